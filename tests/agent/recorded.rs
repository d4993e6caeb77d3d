//! What real agents record, replayed through the core.

use std::path::{Path, PathBuf};

use standin::control::client;
use standin::control::protocol::{Request, Response};
use standin::record::{Line, Recording, Replay, Replayed, What};

use crate::pair::{Pair, settled, until};

fn folder(pair: &Pair, node: &str) -> PathBuf {
    pair.config(node).state_dir
}

/// Replays everything; no decision may differ.
#[track_caller]
fn replayed(folder: &Path) -> Vec<Replayed> {
    let recording = Recording::read_ring(folder).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(recording.notes, [""; 0]);
    let all: Vec<Replayed> = recording.segments.iter().map(|it| Replay::all(it).unwrap()).collect();
    for (segment, replayed) in recording.segments.iter().zip(&all) {
        assert_eq!(replayed.differences, [], "{:?}", segment.header.names);
        assert!(replayed.inputs > 20, "{}", replayed.inputs);
        // Not a thing but time differs by design; so nothing may.
        assert_eq!(replayed.recorded, replayed.now);
    }
    all
}

#[test]
fn what_a_pair_records_is_replayed_without_a_difference() {
    let pair = Pair::new();
    let (mut a, mut b) = settled(&pair);
    a.kill();
    until("ivr-b has all", 10, || pair.all_with("ivr-b"));
    let mut a = pair.start("ivr-a");
    until("ivr-a could take it", 30, || a.group().takeover.works && a.group().row_now == 12);
    let request = Request::Switchover { group: "ivr".into(), to: Some("ivr-a".into()), drain_ms: None };
    assert_eq!(client::ask(&b.socket, request).unwrap(), Response::Accepted);
    until("ivr-a has all", 20, || pair.all_with("ivr-a"));
    a.agent.as_ref().unwrap().stop();
    a.wait();
    b.kill();
    let (a, b) = (replayed(&folder(&pair, "ivr-a")), replayed(&folder(&pair, "ivr-b")));
    assert_eq!((a.len(), b.len()), (2, 1), "a segment for each life");
    let takes = |it: &Replayed| it.now.iter().filter(|it| matches!(it.what, What::Take(_))).count();
    assert_eq!((takes(&a[0]), takes(&a[1])), (0, 1), "ivr-a has the anchor from the beginning");
    assert!(takes(&b[0]) >= 1);
    assert!(
        a[1].now.iter().any(|it| it.what == What::Exit) && b[0].now.iter().any(|it| it.what == What::Offer)
    );
}

#[test]
fn no_key_is_recorded() {
    let mut pair = Pair::new();
    pair.key = *b"a-key-that-nobody-else-would-use";
    let (mut a, mut b) = settled(&pair);
    a.kill();
    b.kill();
    let hex: String = pair.key.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{:?}", pair.key).replace(' ', "");
    for node in ["ivr-a", "ivr-b"] {
        let text = std::fs::read_to_string(folder(&pair, node).join("record-0.jsonl")).unwrap();
        assert!(text.lines().count() > 100);
        for secret in [std::str::from_utf8(&pair.key).unwrap(), &hex, &hex.to_uppercase(), &list] {
            assert!(!text.contains(secret), "{secret}");
        }
        assert!(!text.contains(list.trim_matches(['[', ']'])));
    }
}

#[test]
fn an_hour_of_a_pair_fits_into_the_ring() {
    let mut pair = Pair::new();
    // The timers are the default ones.
    pair.timers = ("250ms", "2s");
    let (a, _b) = settled(&pair);
    let bytes = || std::fs::metadata(folder(&pair, "ivr-a").join("record-0.jsonl")).unwrap().len();
    let beats = || a.node("ivr-b").links.iter().map(|it| it.received).sum::<u64>();
    let (bytes_before, beats_before) = (bytes(), beats());
    std::thread::sleep(std::time::Duration::from_secs(25));
    let (written, heard) = (bytes() - bytes_before, beats() - beats_before);
    // Two links, four heartbeats a second on each.
    let hour = written * 8 * 3600 / heard.max(1);
    eprintln!(
        "{written} bytes for {heard} heartbeats: {} kB for an hour of a pair with two links",
        hour / 1000
    );
    assert!(heard > 50 && hour < standin::record::ring::FILE_BYTES, "{written} bytes for {heard} heartbeats");
    let recording = Recording::read_ring(&folder(&pair, "ivr-a")).unwrap();
    let inputs = recording.segments[0].lines().filter(|line| matches!(line, Ok(Line::Input(..)))).count();
    assert!(inputs as u64 > heard);
}
