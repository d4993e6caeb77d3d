//! What recording costs the heart: the copy of the whole core with which a segment begins (at the agent's start, and
//! when a file is full). And what a replay costs.
//! `cargo bench --no-default-features --bench record`

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use standin::cluster::{Cluster, GroupSettings, NodeId, Settings, Time};
use standin::record::{Header, Names, Recording, Replay};

const SAMPLES: usize = 201;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/incidents/switchover-and-back.jsonl");
    let recording = Recording::read(&path)?;
    let segment = recording.segments.first().ok_or("an incident has a segment")?;
    let mut replay = Replay::of(segment)?;
    for line in segment.lines() {
        replay.feed(&line?);
    }
    report(&mut out, "a pair with one group, after an incident", replay.core())?;
    let nodes: Vec<NodeId> = (0..32).map(NodeId).collect();
    let settings =
        Settings { nodes: 32, links: 2, groups: vec![GroupSettings::of(nodes); 32], ..Settings::default() };
    report(
        &mut out,
        "32 nodes with 2 links and 32 groups, just started",
        &Cluster::new(settings, Time::ZERO),
    )?;
    let replayed = Replay::all(segment)?;
    let whole = median(|| drop(black_box(Replay::all(black_box(segment)))));
    writeln!(out, "a replay takes {} ns an input", whole.as_nanos() / replayed.inputs.max(1) as u128)?;
    Ok(())
}

fn report(out: &mut impl Write, what: &str, core: &Cluster) -> Result<(), Box<dyn std::error::Error>> {
    let text = serde_json::to_string(&Header::new(&Names::default(), "", core)?)?;
    let copy = median(|| drop(black_box(black_box(core).clone())));
    let written = median(|| drop(black_box(Header::new(&Names::default(), "", black_box(core)))));
    writeln!(
        out,
        "{what}: the heart copies its core in {} ns; the recorder's thread writes {} bytes in {} ns",
        copy.as_nanos(),
        text.len(),
        written.as_nanos()
    )?;
    Ok(())
}

fn median(mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..SAMPLES)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[SAMPLES / 2]
}
