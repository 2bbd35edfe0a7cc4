//! A map whose kind and sizes were compared with its Rust types when it was opened, so that every later call is sound.
//!
//! Not aya's map types: they have neither task storage nor taking an element out of a hash in one step, and one mechanism for all maps
//! beats two.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use aya::Pod;
use aya_obj::generated::{bpf_cmd, bpf_map_type};

use super::syscall::{bpf, map_info};

/// A map is not what its name says.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The kernel refused to tell.
    #[error(transparent)]
    Refused(#[from] io::Error),
    /// The map was made by somebody with other types in mind.
    #[error("it is of kind {}, with keys of {} and values of {} bytes, not of kind {}, {} and {}", .found[0], .found[1], .found[2], .expected[0], .expected[1], .expected[2])]
    Shape {
        /// The number of its `enum bpf_map_type`, the size of its keys, the size of its values.
        found: [u32; 3],
        /// What they should be.
        expected: [u32; 3],
    },
    /// The map was made by somebody who needed less.
    #[error("it has room for {found} elements, not for {expected}")]
    Capacity {
        /// Elements that fit.
        found: u32,
        /// Elements that must fit.
        expected: usize,
    },
}

/// An open map from `K` to `V`.
#[derive(Debug)]
pub(crate) struct TypedMap<K, V> {
    fd: OwnedFd,
    capacity: u32,
    types: PhantomData<(K, V)>,
}

/// The attributes of the commands on elements: that member of `union bpf_attr`.
#[repr(C)]
struct Element {
    map: RawFd,
    padding: u32,
    key: u64,
    /// Of the value, or of the next key.
    value: u64,
    flags: u64,
}

/// What an element's value must be before a program may have created it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Put {
    /// `BPF_ANY`: anything.
    Any = 0,
    /// `BPF_NOEXIST`: absent, or the call fails with `EEXIST`.
    New = 1,
}

impl<K, V> AsFd for TypedMap<K, V> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl<K: Pod + Ord, V: Pod> TypedMap<K, V> {
    /// Takes a map's descriptor if the map is of this kind and its sizes are those of `K` and `V`.
    pub(crate) fn check(fd: OwnedFd, kind: bpf_map_type) -> Result<Self, MapError> {
        let info = map_info(fd.as_fd())?;
        let found = [info.type_, info.key_size, info.value_size];
        let size = |bytes| u32::try_from(bytes).map_err(io::Error::other);
        let expected = [kind as u32, size(size_of::<K>())?, size(size_of::<V>())?];
        if found != expected {
            return Err(MapError::Shape { found, expected });
        }
        Ok(Self { fd, capacity: info.max_entries, types: PhantomData })
    }

    /// The same map if so many elements fit.
    pub(crate) fn with_room_for(self, expected: usize) -> Result<Self, MapError> {
        if usize::try_from(self.capacity).is_ok_and(|capacity| capacity >= expected) {
            return Ok(self);
        }
        Err(MapError::Capacity { found: self.capacity, expected })
    }

    fn call<T>(&self, command: bpf_cmd, key: Option<&K>, value: *const T, flags: u64) -> io::Result<()> {
        let key = key.map_or(0, |key| &raw const *key as u64);
        let map = self.fd.as_raw_fd();
        let attributes = Element { map, padding: 0, key, value: value as u64, flags };
        // SAFETY: the key is a `K`, alive, and of the map's key size by `check`. `value` is what the callers below pass: an address
        // of a live `K`, `V` or array of `V` as the command asks for, of the map's sizes by `check`; both types are `Pod`, so any
        // bytes that the kernel writes are a value.
        unsafe { bpf(command, &attributes) }.map(drop)
    }

    /// The value of a key; `None`: there is none.
    pub(crate) fn get(&self, key: &K) -> io::Result<Option<V>> {
        let mut value = zeroed::<V>();
        absent(self.call(bpf_cmd::BPF_MAP_LOOKUP_ELEM, Some(key), &raw mut value, 0), value)
    }

    /// The value of a key, which is removed in the same step; `None`: there is none.
    pub(crate) fn take(&self, key: &K) -> io::Result<Option<V>> {
        let mut value = zeroed::<V>();
        absent(self.call(bpf_cmd::BPF_MAP_LOOKUP_AND_DELETE_ELEM, Some(key), &raw mut value, 0), value)
    }

    /// Writes the value of a key.
    pub(crate) fn put(&self, key: &K, value: &V, how: Put) -> io::Result<()> {
        self.call(bpf_cmd::BPF_MAP_UPDATE_ELEM, Some(key), &raw const *value, how as u64)
    }

    /// Removes a key, which need not be there.
    pub(crate) fn remove(&self, key: &K) -> io::Result<()> {
        absent(self.call(bpf_cmd::BPF_MAP_DELETE_ELEM, Some(key), std::ptr::null::<V>(), 0), ()).map(drop)
    }

    fn key_after(&self, key: Option<&K>) -> io::Result<Option<K>> {
        let mut next = zeroed::<K>();
        absent(self.call(bpf_cmd::BPF_MAP_GET_NEXT_KEY, key, &raw mut next, 0), next)
    }

    /// Every element, by key.
    ///
    /// Programs may change the map meanwhile. When the element that the walk stands on goes away, the kernel starts again at the
    /// beginning (`kernel/bpf/hashtab.c:htab_map_get_next_key`): a key can come twice, and the walk is given an end.
    pub(crate) fn list(&self) -> io::Result<Vec<(K, V)>> {
        let mut elements = BTreeMap::new();
        let mut key = None;
        for _ in 0..u64::from(self.capacity) * 4 {
            key = self.key_after(key.as_ref())?;
            let Some(key) = &key else { break };
            if let Some(value) = self.get(key)? {
                elements.insert(*key, value);
            }
        }
        Ok(elements.into_iter().collect())
    }

    /// Every key, in order, walked as in [`Self::list`]: for maps whose values are the kernel's alone, as sockets are.
    pub(crate) fn keys(&self) -> io::Result<Vec<K>> {
        let mut keys = BTreeSet::new();
        let mut last = None;
        for _ in 0..u64::from(self.capacity) * 4 {
            last = self.key_after(last.as_ref())?;
            let Some(key) = last else { break };
            keys.insert(key);
        }
        Ok(keys.into_iter().collect())
    }
}

impl<V: Pod> TypedMap<u32, V> {
    /// What each possible processor holds under an index of a per-CPU array.
    ///
    /// The kernel writes every value at a multiple of eight bytes (`kernel/bpf/arraymap.c:bpf_percpu_array_copy`).
    pub(crate) fn get_per_cpu(&self, index: u32) -> io::Result<Vec<V>> {
        const { assert!(size_of::<V>().is_multiple_of(8)) };
        let processors = aya::util::nr_cpus().map_err(|(_, error)| error)?;
        let mut values = vec![zeroed::<V>(); processors];
        self.call(bpf_cmd::BPF_MAP_LOOKUP_ELEM, Some(&index), values.as_mut_ptr(), 0)?;
        Ok(values)
    }
}

/// A value for the kernel to write over.
fn zeroed<T: Pod>() -> T {
    // SAFETY: `Pod` types are those that any bytes of their size can be taken for, zeros too.
    unsafe { std::mem::zeroed() }
}

/// Nothing where the kernel knows no such key.
fn absent<T>(done: io::Result<()>, value: T) -> io::Result<Option<T>> {
    match done {
        Ok(()) => Ok(Some(value)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}
