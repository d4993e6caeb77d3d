//! Recorded incidents through the core as it is now: each decision as it is expected, which is what was decided
//! then, or what somebody has since agreed to (`UPDATE_EXPECTED=1 cargo test --test incidents` writes it anew).
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use standin::cluster::Time;
use standin::record::{Decision, Line, Recording, Replay, Segment};

/// A decision may come so much earlier or later than it is expected, in seconds: reads and random numbers may
/// change, decisions may not.
const TOLERANCE: f64 = 1.0;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/incidents")
}

fn incidents() -> Vec<PathBuf> {
    let all = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<PathBuf> = all.filter(|path| path.extension().is_some_and(|it| it == "jsonl")).collect();
    all.sort();
    all
}

/// What the core decides now, one line each: the time since the segment began, the group, the decision.
fn decisions(segment: &Segment, decisions: &[Decision]) -> String {
    let names = &segment.header.names;
    let me = segment.header.core().unwrap().settings().me;
    let mut text = format!("{}:\n", names.nodes[usize::from(me.0)]);
    let seconds = |at: Time| at.since(segment.header.at).as_secs_f64();
    for decision in decisions {
        let group = decision.group.map_or("", |group| names.groups[usize::from(group.0)].as_str());
        writeln!(text, "{:9.3}  {group:<4} {}", seconds(decision.at), decision.text(names)).unwrap();
    }
    text
}

/// Whether these are the same decisions, at about the same times.
fn same(expected: &str, now: &str) -> bool {
    let split = |line: &str| {
        let (time, rest) = line.trim_start().split_once(' ').unwrap_or((line, ""));
        (time.parse::<f64>().ok(), rest.trim().to_owned())
    };
    expected.lines().count() == now.lines().count()
        && expected.lines().zip(now.lines()).all(|(one, other)| match (split(one), split(other)) {
            ((Some(at), one), (Some(then), other)) => one == other && (at - then).abs() <= TOLERANCE,
            ((None, _), _) | (_, (None, _)) => one == other,
        })
}

/// Both, side by side enough for an eye.
fn difference(expected: &str, now: &str) -> String {
    let place = expected.lines().zip(now.lines()).take_while(|(one, other)| same(one, other)).count();
    let mut text = String::new();
    for line in expected.lines().take(place).skip(place.saturating_sub(5)) {
        writeln!(text, "    {line}").unwrap();
    }
    for line in expected.lines().skip(place).take(8) {
        writeln!(text, "  - {line}").unwrap();
    }
    for line in now.lines().skip(place).take(8) {
        writeln!(text, "  + {line}").unwrap();
    }
    text
}

#[test]
fn every_incident_is_decided_as_expected() {
    let incidents = incidents();
    assert!(incidents.len() >= 8, "{incidents:?}");
    let mut failed = String::new();
    for path in incidents {
        let recording = Recording::read(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(recording.notes, [""; 0]);
        let mut now = String::new();
        for segment in &recording.segments {
            let replayed = Replay::all(segment).unwrap_or_else(|error| panic!("{error}"));
            now += &decisions(segment, &replayed.now);
        }
        let place = path.with_extension("expected");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&place, &now).unwrap();
            continue;
        }
        let expected = fs::read_to_string(&place).unwrap_or_default();
        if !same(&expected, &now) {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            write!(failed, "\n{name} (- expected, + now):\n{}", difference(&expected, &now)).unwrap();
        }
    }
    assert!(
        failed.is_empty(),
        "{failed}\nIf that is meant so: UPDATE_EXPECTED=1 cargo test --test incidents\n"
    );
}

/// Every line that any of them has is understood, and written as it was.
#[test]
fn incidents_are_small_and_readable() {
    for path in incidents() {
        assert!(fs::metadata(&path).unwrap().len() < 150_000, "{path:?}");
        let recording = Recording::read(&path).unwrap();
        for segment in &recording.segments {
            let lines: Vec<Line> = segment.lines().collect::<Result<_, _>>().unwrap();
            assert!(lines.len() > 20, "{path:?}");
            assert!(lines.is_sorted_by_key(Line::at), "{path:?}");
            assert!(lines.last().unwrap().at().since(segment.header.at) < Duration::from_secs(900));
        }
    }
}

/// The comparison finds what it is for.
#[test]
fn another_decision_is_a_difference_and_another_moment_is_not() {
    let one = "ivr-b:\n   12.000  ivr  row 16\n   12.001  ivr  take from anyone\n";
    assert!(same(one, one));
    assert!(same(one, &one.replace("12.000", "12.700")));
    for other in [one.replace("12.000", "14.000"), one.replace("16", "17"), one.replace("ivr-b", "ivr-a")] {
        assert!(!same(one, &other), "{other}");
    }
    assert!(!same(one, "ivr-b:\n   12.000  ivr  row 16\n"));
    assert!(difference(one, &one.replace("16", "17")).contains("  - "));
}
