//! The heartbeat that takes the most bytes.

use std::time::Duration;

use crate::cluster::heartbeat::{Echo, Maintenance, Reply, Tally};
use crate::cluster::{GroupId, GroupReport, Heartbeat, LinkId, NodeId, NodeSet, Offer, Owner, Role, Session};

use super::Roster;

/// As long as the ids of EC2 are: a prefix and 17 hexadecimal digits.
const INSTANCE: &str = "i-0123456789abcdef0";
const INTERFACE: &str = "eni-0123456789abcdef0";

/// No term and no setting gets beyond this, nor does a time in milliseconds (49 days).
const COUNT: u64 = u32::MAX as u64;

/// Every field is there, with the highest value that it will ever have, about every group of the roster.
pub(super) fn heartbeat(roster: &Roster<'_>, interfaces: usize) -> Heartbeat {
    let last = NodeId(u8::MAX);
    Heartbeat {
        from: last,
        to: last,
        link: LinkId(u8::MAX),
        session: Session(u64::MAX),
        sequence: u64::MAX,
        nonce: u64::MAX,
        echo: Some(Echo { session: Session(u64::MAX), nonce: u64::MAX }),
        sent_us: u64::MAX,
        reply: Some(Reply { sent_us: u64::MAX, held_us: u64::MAX }),
        ask: true,
        goodbye: true,
        back_in: Some(Duration::from_millis(COUNT)),
        farewell_seen: true,
        hears: NodeSet(u32::MAX),
        config_hash: u64::MAX,
        instance: Some(INSTANCE.to_owned()),
        interfaces: vec![INTERFACE.to_owned(); interfaces],
        groups: (0..=u8::MAX).zip(roster.groups).map(|(group, _name)| report(GroupId(group), last)).collect(),
    }
}

fn report(group: GroupId, last: NodeId) -> GroupReport {
    GroupReport {
        group,
        role: Role::Active,
        term: COUNT,
        // Or why not, which is as long.
        eligible: true,
        why_not: None,
        fit: false,
        owner: Some(Owner::Theirs(last)),
        fail_count: u32::MAX,
        maintenance: Maintenance { version: COUNT, on: true },
        offer: Some(Offer {
            // A random number, of any length.
            id: u64::MAX,
            term: COUNT,
            to: Some(last),
            ttl: Duration::from_millis(COUNT),
            stopped: true,
        }),
        ready: Some(u64::MAX),
        tally: Tally { calls: Some(u16::MAX), unregistered: Some(u8::MAX) },
    }
}
