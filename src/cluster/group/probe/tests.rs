use super::super::side::{Side, active, at};
use super::*;
use crate::cluster::anchor::Owner;

#[test]
fn silence_may_move_the_group_after_two_failures_of_a_probe_that_had_answered() {
    let probes = Probes { of: Some(NodeId(1)), answered: true, unanswered: 2, ..Probes::default() };
    assert!(probes.allow(Some(NodeId(1))));
    assert!(!probes.allow(Some(NodeId(2))) && !probes.allow(None));
    assert!(!Probes { answered: false, ..probes }.allow(Some(NodeId(1))));
    assert!(!Probes { unanswered: 1, ..probes }.allow(Some(NodeId(1))));
    assert!(!Probes::default().allow(None), "nobody holds it");
}

#[test]
fn only_a_probe_that_was_sent_into_the_silence_counts() {
    for (heard, failures) in [(6999, 1), (7000, 0), (7001, 0)] {
        let mut side = Side::with(2, |group| group.when_silent = WhenSilent::Probe);
        side.reads(Owner::Theirs(NodeId(1)), 6900);
        side.says(1, 6900, active(1));
        side.run(7000, |group, cx, out| group.tend_probe(cx, out));
        let call = side.group.probes.under_way.unwrap().0;
        assert_eq!(side.group.probes.deadline(), Some(at(17_000)));
        side.says(1, heard, active(1));
        side.run(8500, |group, cx, _| group.probed(call + 1, false, cx));
        assert_eq!(side.group.probes.unanswered, 0, "the answer to another one");
        side.run(8500, |group, cx, _| group.probed(call, false, cx));
        assert_eq!(side.group.probes.unanswered, failures, "heard at {heard}");
        side.run(8600, |group, cx, out| group.tend_probe(cx, out));
        let call = side.group.probes.under_way.unwrap().0;
        side.run(8700, |group, cx, _| group.probed(call, true, cx));
        assert_eq!((side.group.probes.answered, side.group.probes.unanswered), (true, 0));
    }
}

#[test]
fn a_new_holder_is_a_new_tenure_and_unknown_is_none() {
    let mut side = Side::with(3, |group| group.when_silent = WhenSilent::Probe);
    let tend = |side: &mut Side, now| {
        side.run(now, |group, cx, out| group.tend_probe(cx, out));
        (side.group.probes.of, side.group.probes.answered)
    };
    side.reads(Owner::Theirs(NodeId(1)), 6000);
    assert_eq!(tend(&mut side, 6000), (Some(NodeId(1)), false));
    side.group.probes.answered = true;
    assert_eq!(tend(&mut side, 7000), (Some(NodeId(1)), true));
    assert_eq!(tend(&mut side, 60_000), (Some(NodeId(1)), true), "unknown");
    side.reads(Owner::Theirs(NodeId(2)), 61_000);
    assert_eq!(tend(&mut side, 61_000), (Some(NodeId(2)), false));
    side.group.probes.answered = true;
    side.group.role = Role::Active;
    assert_eq!((tend(&mut side, 61_500), side.group.probes.deadline()), ((None, false), None), "ours");
    let mut side = Side::of(2);
    side.reads(Owner::Theirs(NodeId(1)), 6000);
    assert_eq!(tend(&mut side, 6000), (None, false), "not configured");
}
