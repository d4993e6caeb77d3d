//! What a heartbeat costs: nanoseconds for encoding and decoding one, with authentication.
//! `cargo bench --no-default-features --bench wire`

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use standin::cluster::heartbeat::{Echo, Maintenance, Reply, Tally};
use standin::cluster::{GroupId, GroupReport, Heartbeat, LinkId, NodeId, NodeSet, Owner, Role, Session};
use standin::wire::{Keyring, Roster, decode, encode};

const ROUNDS: u32 = 20_000;
const SAMPLES: usize = 15;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let nodes = ["ivr-a".to_owned(), "ivr-b".to_owned()];
    let groups: Vec<String> = (0..8).map(|n| format!("group-{n}")).collect();
    let roster = Roster { cluster: "ivr-tokyo", nodes: &nodes, groups: &groups };
    let keys = Keyring::new(1, &BTreeMap::from([(1, [0x5a; 32])]))?;
    let other = Keyring::new(1, &BTreeMap::from([(1, [0xa5; 32])]))?;
    let mut out = std::io::stdout().lock();
    for many in [1, 8] {
        let heartbeat = heartbeat(many);
        let mut datagram = Vec::new();
        encode(&heartbeat, &roster, &keys, &mut datagram)?;
        let mut buffer = Vec::new();
        let writing = median(|| {
            // The roster knows every number, and the first encoding has shown that it fits.
            let _fits = black_box(encode(black_box(&heartbeat), &roster, &keys, &mut buffer));
        });
        let reading = median(|| drop(black_box(decode(black_box(&datagram), &roster, &keys))));
        let refusing = median(|| drop(black_box(decode(black_box(&datagram), &roster, &other))));
        writeln!(
            out,
            "{many} group(s), {} bytes: encode {writing} ns, decode {reading} ns, refuse a wrong key {refusing} ns",
            datagram.len()
        )?;
    }
    Ok(())
}

fn heartbeat(groups: u8) -> Heartbeat {
    let report = |group| GroupReport {
        group: GroupId(group),
        role: Role::Active,
        term: 12,
        eligible: true,
        why_not: None,
        fit: true,
        owner: Some(Owner::Mine),
        fail_count: 0,
        maintenance: Maintenance { version: 3, on: false },
        offer: None,
        ready: None,
        tally: Tally::default(),
    };
    Heartbeat {
        from: NodeId(0),
        to: NodeId(1),
        link: LinkId(0),
        session: Session(u64::MAX / 3),
        sequence: 1_000_000,
        nonce: u64::MAX / 5,
        echo: Some(Echo { session: Session(u64::MAX / 7), nonce: u64::MAX / 9 }),
        sent_us: 3_600_000_000,
        reply: Some(Reply { sent_us: 3_599_000_000, held_us: 125_000 }),
        ask: false,
        goodbye: false,
        back_in: None,
        farewell_seen: false,
        hears: NodeSet(0b10),
        config_hash: u64::MAX / 11,
        instance: Some("i-0a1b2c3d4e5f60718".to_owned()),
        interfaces: vec!["eni-0a1b2c3d4e5f60718".to_owned()],
        groups: (0..groups).map(report).collect(),
    }
}

/// Nanoseconds per call: the median of some samples of many calls each.
fn median(mut call: impl FnMut()) -> u128 {
    let mut sample = || {
        let start = Instant::now();
        (0..ROUNDS).for_each(|_| call());
        start.elapsed()
    };
    let mut samples: Vec<Duration> = (0..SAMPLES).map(|_| sample()).collect();
    samples.sort_unstable();
    samples[SAMPLES / 2].as_nanos() / u128::from(ROUNDS)
}
