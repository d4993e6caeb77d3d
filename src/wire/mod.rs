//! The bytes of a heartbeat: encode, decode, authenticate. Never panics, on any bytes.
//!
//! ```text
//!  byte  0       4       5       6      7                          n-32        n
//!        +-------+-------+-------+------+---------------------------+-----------+
//!        | magic | major | minor | key  | body: CBOR (RFC 8949)     | tag       |
//!        | STBY  |       |       | id   |                           |           |
//!        +-------+-------+-------+------+---------------------------+-----------+
//!        |<--- the tag, HMAC-SHA-256 with that key, covers these -->|
//!
//!  body  [ cluster, [node name, ...], { field: value, ... } ]
//! ```
//!
//! - The body is an array. First the cluster's name, so that a datagram that strayed in from another
//!   cluster is told apart before anything else in it is looked at. Then the names of the sender's nodes:
//!   wherever the body speaks of a node it gives a place in this list, and the receiver finds the name in
//!   its own list. So the order of the nodes in two configuration files need not agree, nor does a node
//!   that one of them lacks do harm. Groups travel by name, each once. Links travel by place.
//! - Everything else is a map with small integers as keys (they are listed in `key.rs`), and so is each
//!   thing inside it. A key that the receiver does not know is skipped with its value; a key that is
//!   absent gives the default. Array elements after the third are skipped too.
//!
//! **The version rule.** A datagram of another *major* is refused. The *minor* is for people who read a
//! dump: no code looks at it. So, within one major: keys are never reused or change their meaning, a new
//! field is optional and its absence means what versions without it did, and a new value of an
//! enumeration reads as "said nothing" in older versions (a group report whose role is unknown is
//! dropped, an unknown kind of owner is "not read"). Whatever cannot be said under these terms needs a new major, and then a
//! rolling upgrade needs a version that speaks both.
//!
//! **What the tag does not do**: it does not hide the content, and it does not stop a replay. The core
//! does that, with session, sequence, nonce and the receiver's name in each datagram.

mod auth;
mod error;
mod key;
mod longest;
mod read;
mod write;

pub use auth::{Keyring, NoSuchKey};
pub use error::{DecodeError, EncodeError};

use crate::cluster::Heartbeat;

/// The longest datagram that is sent, in bytes: with IPv6 and UDP headers (48) it stays below 1280, the
/// smallest MTU of IPv6 (RFC 8200, section 5), so a heartbeat is never lost for one fragment of it.
pub const MAX_DATAGRAM: usize = 1200;

/// The version that this code writes, and the only major that it reads.
pub const VERSION: Version = Version { major: 1, minor: 0 };

const MAGIC: &[u8; 4] = b"STBY";
/// Magic, major, minor, key id.
const HEADER: usize = 7;
/// HMAC-SHA-256, not truncated.
const TAG: usize = 32;

/// A version of the protocol; see the version rule above.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Version {
    /// Another major is refused.
    pub major: u8,
    /// Another minor is understood: unknown fields are skipped, absent ones have defaults.
    pub minor: u8,
}

/// The names behind the numbers: a `NodeId` or `GroupId` is a place in these lists.
#[derive(Clone, Copy, Debug)]
pub struct Roster<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// The nodes' names, at most 32.
    pub nodes: &'a [String],
    /// The groups' names.
    pub groups: &'a [String],
}

/// Writes a heartbeat as a signed datagram into `to`, whose earlier content is lost.
///
/// # Errors
/// The heartbeat names a node or a group that the roster lacks, or the datagram would be longer than
/// [`MAX_DATAGRAM`]. `to` is then empty.
pub fn encode(
    heartbeat: &Heartbeat,
    roster: &Roster<'_>,
    keys: &Keyring,
    to: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    to.clear();
    write::check(heartbeat, roster)?;
    to.extend_from_slice(MAGIC);
    to.extend_from_slice(&[VERSION.major, VERSION.minor, keys.signing()]);
    write::write(heartbeat, roster, to);
    let tag = keys.sign(to);
    to.extend_from_slice(&tag);
    if to.len() > MAX_DATAGRAM {
        let length = to.len();
        to.clear();
        return Err(EncodeError::TooLong { length });
    }
    Ok(())
}

/// How long the longest datagram of this cluster can be, in bytes, from a node with so many network
/// interfaces. If it is longer than [`MAX_DATAGRAM`], say so at the start: else the node falls silent at the
/// very moment when it has the most to say, with every group on offer.
pub fn longest(roster: &Roster<'_>, interfaces: usize) -> usize {
    let mut body = Vec::new();
    write::write(&longest::heartbeat(roster, interfaces), roster, &mut body);
    HEADER + body.len() + TAG
}

/// Reads a datagram. The order of the checks is the order of [`DecodeError`]'s variants: nothing of the body
/// is looked at before the tag has proved that a holder of the key wrote it.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode(datagram: &[u8], roster: &Roster<'_>, keys: &Keyring) -> Result<Heartbeat, DecodeError> {
    let body = authenticate(datagram, keys)?;
    read::read(body, roster)
}

/// Magic, version, key and tag; returns the body.
fn authenticate<'a>(datagram: &'a [u8], keys: &Keyring) -> Result<&'a [u8], DecodeError> {
    let Some((signed, tag)) = datagram.split_last_chunk::<TAG>() else {
        return Err(DecodeError::NotOurs);
    };
    let Some((&[m0, m1, m2, m3, major, minor, key], body)) = signed.split_first_chunk::<HEADER>() else {
        return Err(DecodeError::NotOurs);
    };
    if [m0, m1, m2, m3] != *MAGIC {
        return Err(DecodeError::NotOurs);
    }
    if major != VERSION.major {
        return Err(DecodeError::Version(Version { major, minor }));
    }
    if !keys.knows(key) {
        return Err(DecodeError::UnknownKey(key));
    }
    if !keys.verify(key, signed, tag) {
        return Err(DecodeError::BadTag);
    }
    Ok(body)
}

#[cfg(test)]
mod tests;
