//! A write of the lease, until it is settled.

use serde::{Deserialize, Serialize};

use crate::cluster::decision::Row;
use crate::cluster::lease::Lease;
use crate::cluster::time::Time;

/// What a write is for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(in super::super) enum Purpose {
    /// Ours already: prolong it.
    Renew,
    /// Another's, or nobody's: it becomes ours.
    Take(Row),
    /// We do not need it any more.
    GiveBack,
}

/// A write until it is settled. Its repetitions are the same write.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in super::super) struct Write {
    pub(in super::super) purpose: Purpose,
    pub(in super::super) lease: Lease,
    pub(in super::super) expect: Option<u64>,
    /// When the first attempt was begun: from here it counts.
    pub(super) first: Time,
    pub(super) calls: Vec<u64>,
    pub(super) attempts: u32,
    /// An attempt may have landed, or may land yet, although another one failed.
    pub(super) open: bool,
    pub(super) next: Time,
}

/// What an answer has settled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) enum Settled {
    /// The write stands in the table.
    Landed(Purpose),
    /// Something else stands there.
    Lost(Purpose),
}
