//! The keys and values of the body's maps. Never reuse one: the version rule is in `mod.rs`.

/// How many nodes the list in a datagram can have: as many as a `NodeSet`.
pub(super) const MAX_NODES: usize = 32;

pub(super) const FROM: u64 = 0;
pub(super) const TO: u64 = 1;
pub(super) const LINK: u64 = 2;
pub(super) const SESSION: u64 = 3;
pub(super) const SEQUENCE: u64 = 4;
pub(super) const NONCE: u64 = 5;
pub(super) const ECHO: u64 = 6;
/// Microseconds.
pub(super) const SENT: u64 = 7;
pub(super) const REPLY: u64 = 8;
pub(super) const ASK: u64 = 9;
pub(super) const GOODBYE: u64 = 10;
/// Milliseconds.
pub(super) const BACK_IN: u64 = 11;
pub(super) const FAREWELL_SEEN: u64 = 12;
/// Bit n: the node at place n of the list.
pub(super) const HEARS: u64 = 13;
pub(super) const CONFIG_HASH: u64 = 14;
pub(super) const INSTANCE: u64 = 15;
pub(super) const INTERFACES: u64 = 16;
pub(super) const GROUPS: u64 = 17;

pub(super) mod echo {
    pub(in crate::wire) const SESSION: u64 = 0;
    pub(in crate::wire) const NONCE: u64 = 1;
}
pub(super) mod reply {
    /// Microseconds, both.
    pub(in crate::wire) const SENT: u64 = 0;
    pub(in crate::wire) const HELD: u64 = 1;
}
pub(super) mod group {
    pub(in crate::wire) const NAME: u64 = 0;
    pub(in crate::wire) const ROLE: u64 = 1;
    pub(in crate::wire) const TERM: u64 = 2;
    pub(in crate::wire) const ELIGIBLE: u64 = 3;
    /// Not `fit`: the default is then what a version without supervision would say.
    pub(in crate::wire) const BARRED: u64 = 4;
    pub(in crate::wire) const OWNER: u64 = 5;
    /// With owner `THEIRS`: which node.
    pub(in crate::wire) const HOLDER: u64 = 6;
    pub(in crate::wire) const FAIL_COUNT: u64 = 7;
    pub(in crate::wire) const MAINTENANCE: u64 = 8;
    pub(in crate::wire) const OFFER: u64 = 9;
    pub(in crate::wire) const READY: u64 = 10;
    pub(in crate::wire) const CALLS: u64 = 11;
    pub(in crate::wire) const UNREGISTERED: u64 = 12;
    /// The number of a `WhyNot`.
    pub(in crate::wire) const WHY_NOT: u64 = 13;
}
pub(super) mod maintenance {
    pub(in crate::wire) const VERSION: u64 = 0;
    pub(in crate::wire) const ON: u64 = 1;
}
pub(super) mod offer {
    pub(in crate::wire) const ID: u64 = 0;
    pub(in crate::wire) const TERM: u64 = 1;
    pub(in crate::wire) const TO: u64 = 2;
    /// Milliseconds.
    pub(in crate::wire) const TTL: u64 = 3;
    pub(in crate::wire) const STOPPED: u64 = 4;
}

/// The values of a role.
pub(super) mod role {
    pub(in crate::wire) const STANDBY: u64 = 0;
    pub(in crate::wire) const ACTIVE: u64 = 1;
}

/// The values of an owner.
pub(super) mod owner {
    pub(in crate::wire) const MINE: u64 = 0;
    pub(in crate::wire) const THEIRS: u64 = 1;
    pub(in crate::wire) const NOBODY: u64 = 2;
    pub(in crate::wire) const ORPHANED: u64 = 3;
    pub(in crate::wire) const STRANGER: u64 = 4;
}
