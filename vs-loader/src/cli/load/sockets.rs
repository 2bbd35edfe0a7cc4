//! `vs load --kill-sockets`: what stands at addresses that contexts no longer have is ended.

use serde::Serialize;

use crate::compile::{EpochRows, name_of};
use crate::host_sockets::destroy_strays;
use crate::host_sockets::sock_diag::TaggedSockets;
use crate::maps::live::LiveStore;

/// Sockets of one context that were ended.
#[derive(Serialize, Debug)]
pub(super) struct SocketsAnswer {
    pub(super) name: String,
    pub(super) xid: u32,
    pub(super) sockets: usize,
}

/// Ends them, with a warning for each that goes on.
pub(super) fn kill(store: &LiveStore, before: EpochRows<'_>, now: EpochRows<'_>) -> Vec<SocketsAnswer> {
    let destroyed = TaggedSockets::open(store.socket_tags())
        .and_then(|mut kernel| destroy_strays(&mut kernel, before.networks, now.networks));
    let destroyed = match destroyed {
        Ok(destroyed) => destroyed,
        Err(error) => {
            eprintln!("vs: the policy is in force, and sockets at lost addresses go on: {error}");
            return Vec::new();
        }
    };
    for survivor in &destroyed.survivors {
        eprintln!("vs: {survivor}");
    }
    let counts = destroyed.counts.into_iter();
    counts
        .map(|(xid, sockets)| SocketsAnswer {
            name: before.rows.get(&xid).map(|rules| name_of(rules).into_owned()).unwrap_or_default(),
            xid: xid.0,
            sockets,
        })
        .collect()
}
