//! The pinned ring buffer, read with aya.

use std::error::Error;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use aya::maps::{Map, MapData, MapError, MapInfo, RingBuf};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use vs_common::map_name::{LAYOUT_VERSION, PIN_ROOT, VIOLATIONS};

use crate::maps::store::Store;

use super::{Opened, Ring, Source, SourceError};

/// Opens the other maps; `None`: nothing is loaded.
pub type OpenStore = Box<dyn FnMut() -> Result<Option<Box<dyn Store>>, Box<dyn Error + Send + Sync>>>;

/// The ring buffer under its pin.
pub struct PinnedSource {
    path: PathBuf,
    open_store: OpenStore,
}

impl PinnedSource {
    /// The system's; `open_store` opens the maps beside it.
    pub fn system(open_store: OpenStore) -> Self {
        let path = Path::new(PIN_ROOT).join(LAYOUT_VERSION.to_string()).join("maps").join(VIOLATIONS);
        Self { path, open_store }
    }

    fn error(&self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> SourceError {
        SourceError { path: self.path.clone(), cause: cause.into() }
    }
}

impl Source for PinnedSource {
    type Ring = PinnedRing;

    fn current(&mut self) -> Result<Option<u32>, SourceError> {
        match std::fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.error(error)),
            Ok(_) => {}
        }
        match MapInfo::from_pin(&self.path) {
            Ok(info) => Ok(Some(info.id())),
            // Removed between the two questions; if it was something else, the next answer says so.
            Err(_) if !self.path.exists() => Ok(None),
            Err(error) => Err(self.error(error)),
        }
    }

    fn open(&mut self) -> Result<Option<Opened<PinnedRing>>, SourceError> {
        let Some(store) = (self.open_store)().map_err(|error| self.error(error))? else { return Ok(None) };
        let (id, ring) = PinnedRing::open(&self.path).map_err(|error| self.error(error))?;
        // Not both of one load: an unload and a load came in between. The next second brings them together.
        if self.current()? != Some(id) {
            return Ok(None);
        }
        Ok(Some(Opened { id, ring, store }))
    }
}

/// The ring buffer, mapped.
pub struct PinnedRing {
    ring: RingBuf<MapData>,
    /// Registered with the runtime when it is first waited for.
    watch: Option<AsyncFd<OwnedFd>>,
}

impl PinnedRing {
    fn open(path: &Path) -> Result<(u32, Self), MapError> {
        let data = MapData::from_pin(path)?;
        let id = data.info()?.id();
        let ring = RingBuf::try_from(Map::from_map_data(data)?)?;
        Ok((id, Self { ring, watch: None }))
    }
}

impl Ring for PinnedRing {
    /// The kernel wakes whoever waits when it commits a record that the reader has caught up with
    /// (`kernel/bpf/ringbuf.c:bpf_ringbuf_commit`). The readiness is cleared here, before the records are taken: what is committed
    /// after that is either taken or wakes again.
    async fn ready(&mut self) -> io::Result<()> {
        let watch = match &mut self.watch {
            Some(watch) => watch,
            none => {
                let descriptor = self.ring.as_fd().try_clone_to_owned()?;
                // SAFETY: the descriptor was just made and is owned by the watch from here on, which hands it out by reference only: it
                // stays open and the ring's until the watch is dropped.
                none.insert(unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?)
            }
        };
        watch.readable().await?.clear_ready();
        Ok(())
    }

    fn take(&mut self, limit: usize, visit: &mut dyn FnMut(&[u8])) -> usize {
        for taken in 0..limit {
            let Some(item) = self.ring.next() else { return taken };
            visit(&item);
        }
        limit
    }
}
