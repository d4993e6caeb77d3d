use super::super::side::{Side, active, at, ms, standby};
use super::*;
use crate::cluster::anchor::Owner;
use crate::cluster::lease::Lease;
use crate::cluster::settings::Settings;

const THEIRS: Owner = Owner::Theirs(NodeId(1));

#[test]
fn it_wakes_when_the_next_call_the_bound_or_the_next_round_is_due() {
    let fence = Fence { next: at(500), ..Fence::new(NodeId(1), at(0)) };
    assert_eq!((Fence::new(NodeId(1), at(0)).deadline(), fence.deadline()), (Some(at(0)), Some(at(500))));
    let accepted = Fence { accepted: Some(at(1000)), ..fence };
    assert_eq!(accepted.deadline(), Some(at(181_000)));
    let failed = Fence { failed: Some(at(181_000)), ..accepted };
    assert_eq!(failed.deadline(), Some(at(241_000)));
}

#[test]
fn only_who_was_told_lately_that_it_runs_is_well() {
    let settings = Settings::default();
    let unwell_at = |now, own_running, stalled_at| {
        let cx = Context {
            settings: &settings,
            peers: &[],
            now: at(now),
            started: at(0),
            stalled_at,
            own_running,
        };
        unwell(&cx)
    };
    let runs = Some((at(0), Running::Yes));
    assert_eq!((unwell_at(0, runs, None), unwell_at(29_999, runs, None)), (None, None));
    assert!(unwell_at(30_000, runs, None).unwrap().contains("not said lately"));
    assert!(unwell_at(0, None, None).unwrap().contains("not said lately"));
    for ends in [Running::Ending, Running::No] {
        assert!(unwell_at(0, Some((at(0), ends)), None).unwrap().contains("is stopping"));
    }
    assert!(unwell_at(4999, runs, Some(at(0))).unwrap().contains("just not run"));
    assert_eq!(unwell_at(5000, runs, Some(at(0))), None);
}

/// Node 0 is well, and EC2 has said at 6000 that node 1 holds the anchor, which was last heard long ago.
fn side(nodes: u8, fencing: Fencing, take_when_it_fails: bool) -> Side {
    let mut side = Side::with(nodes, |group| {
        (group.fencing, group.take_when_fencing_fails) = (fencing, take_when_it_fails);
        group.nodes.reverse();
    });
    side.says(1, 0, active(1));
    side.reads(THEIRS, 6000);
    side.own_running = Some((at(6000), Running::Yes));
    side
}

fn gate(side: &mut Side, row: Row, now: u64) -> Option<Gate> {
    side.run(now, |group, cx, out| group.fence_gate(row, at(6000), cx, out))
}

fn calls(side: &Side) -> usize {
    side.out.commands.iter().filter(|it| matches!(it, Command::Fence { .. })).count()
}

#[test]
fn in_a_draw_each_node_waits_two_seconds_for_each_before_it() {
    for (row, nodes, waits) in [
        (Row::Silent, 2, 2000),
        (Row::CounterAtRest, 2, 2000),
        (Row::Free, 3, 0),
        (Row::Silent, 3, 4000),
        (Row::Proof, 3, 0),
        (Row::HolderIdle, 3, 0),
    ] {
        let mut side = side(nodes, Fencing::Before, false);
        if row == Row::Free {
            // A free anchor has no holder to stop.
            side.reads(Owner::Nobody, 7000);
            assert_eq!((gate(&mut side, row, 7000), calls(&side)), (None, 0));
            continue;
        }
        if waits > 0 {
            let step = Some(Gate::Step(at(6000 + waits)));
            assert_eq!((gate(&mut side, row, 5999 + waits), calls(&side)), (step, 0), "{row:?}");
        }
        assert_eq!(gate(&mut side, row, 6000 + waits), Some(Gate::Fencing(NodeId(1))), "{row:?}");
        assert_eq!((calls(&side), side.told("fencing")), (1, 1));
        gate(&mut side, row, 6000 + waits);
        assert_eq!((calls(&side), side.told("fencing")), (1, 1), "once");
    }
}

#[test]
fn only_a_holder_that_may_run_and_did_not_offer_is_stopped() {
    assert_eq!(gate(&mut side(2, Fencing::None, false), Row::Proof, 6000), None);
    assert_eq!(gate(&mut side(2, Fencing::Before, false), Row::Offered, 6000), None);
    for (running, stops) in [(Running::No, false), (Running::Ending, true), (Running::Yes, true)] {
        let mut side = side(2, Fencing::Before, false);
        side.peers[0].running = Some((at(5000), running));
        assert_eq!(gate(&mut side, Row::Proof, 6000).is_some(), stops, "{running:?}");
    }
    let mut side = side(2, Fencing::Before, false);
    side.own_running = None;
    assert!(matches!(gate(&mut side, Row::Proof, 6000), Some(Gate::Unwell(_))));
    assert_eq!(calls(&side), 0);
}

#[test]
fn what_a_failed_stop_holds_back_is_configured() {
    for (fencing, takes, before, after) in [
        (Fencing::Before, false, Some(Gate::Fencing(NodeId(1))), Some(Gate::FencingFailed(NodeId(1)))),
        (Fencing::Before, true, Some(Gate::Fencing(NodeId(1))), None),
        (Fencing::Alongside, false, None, Some(Gate::FencingFailed(NodeId(1)))),
        (Fencing::Alongside, true, None, None),
    ] {
        let mut side = side(2, fencing, takes);
        assert_eq!(gate(&mut side, Row::Proof, 6000), before);
        side.run(6100, |group, cx, out| group.fence_answered(99, Err(Failure::Refused), cx, out));
        assert_eq!(gate(&mut side, Row::Proof, 6100), before, "the answer to another call");
        let call = side.out.calls;
        side.run(6100, |group, cx, out| group.fence_answered(call, Err(Failure::Refused), cx, out));
        assert_eq!((gate(&mut side, Row::Proof, 6200), side.told("fencing-failed")), (after, 1));
    }
}

#[test]
fn a_stop_that_was_accepted_has_three_minutes_and_a_round_that_failed_one() {
    let mut side = side(2, Fencing::Before, false);
    gate(&mut side, Row::Proof, 6000);
    let call = side.out.calls;
    side.run(6000, |group, cx, out| group.fence_answered(call, Ok(()), cx, out));
    let tend = |side: &mut Side, now| {
        side.own_running = Some((at(now), Running::Yes));
        side.run(now, |group, cx, out| group.tend_fence(cx, out));
        (calls(side), side.told("fencing-failed"))
    };
    assert_eq!(tend(&mut side, 185_999), (1, 0), "not repeated");
    assert_eq!((tend(&mut side, 186_000), tend(&mut side, 190_000)), ((1, 1), (1, 1)), "said once");
    assert_eq!((tend(&mut side, 245_999), tend(&mut side, 246_000)), ((1, 1), (2, 1)));
}

#[test]
fn three_calls_make_a_round_and_a_node_that_has_become_unwell_sends_none() {
    let mut side = side(2, Fencing::Before, false);
    let mut now = 6000;
    for round in 1..=3 {
        gate(&mut side, Row::Proof, now);
        assert_eq!(calls(&side), round);
        let call = side.out.calls;
        side.run(now, |group, cx, out| group.fence_answered(call, Err(Failure::Passing), cx, out));
        let next = side.group.fence.unwrap().next;
        now = u64::try_from(next.since(at(0)).as_millis()).unwrap();
        side.run(now - 1, |group, cx, out| group.tend_fence(cx, out));
        assert_eq!(calls(&side), round, "not before its time");
        side.own_running = Some((at(now), Running::Ending));
        side.run(now, |group, cx, out| group.tend_fence(cx, out));
        assert_eq!((calls(&side), side.told("fencing-failed")), (round, 0));
        side.own_running = Some((at(now), Running::Yes));
    }
    side.run(now, |group, cx, out| group.tend_fence(cx, out));
    assert_eq!((calls(&side), side.told("fencing-failed")), (3, 1));
}

#[test]
fn a_stop_ends_when_ec2_says_stopped_or_the_old_one_says_that_it_stands_by() {
    let tends = |side: &mut Side, now| {
        side.run(now, |group, cx, out| group.tend_fence(cx, out));
        (side.group.fences().is_some(), side.told("fenced"))
    };
    let begun = || {
        let mut side = side(2, Fencing::Before, false);
        gate(&mut side, Row::Proof, 6000);
        side
    };
    let mut side = begun();
    side.peers[0].running = Some((at(6500), Running::Ending));
    assert_eq!(tends(&mut side, 7000), (true, 0));
    side.peers[0].running = Some((at(6500), Running::No));
    assert_eq!(tends(&mut side, 7000), (false, 1));
    for (role, report, heard, goes_on) in [
        (Role::Active, standby(), true, false),
        (Role::Active, active(1), true, true),
        (Role::Active, standby(), false, true),
        (Role::Standby, standby(), true, true),
    ] {
        let mut side = begun();
        side.group.role = role;
        side.says(1, if heard { 6900 } else { 0 }, report);
        assert_eq!(tends(&mut side, 7000), (goes_on, 0), "{role:?} heard: {heard}");
    }
}

#[test]
fn a_stop_that_is_not_wanted_any_more_is_forgotten_by_a_standby() {
    // The row, whether its node is heard, who holds the anchor, whether a call of our own is open.
    for (row, heard, owner, open, kept) in [
        (Row::Silent, false, Some(THEIRS), false, true),
        (Row::Offered, false, Some(THEIRS), false, false),
        (Row::Watch, true, Some(THEIRS), false, false),
        (Row::HolderIdle, true, Some(THEIRS), false, true),
        (Row::Watch, false, Some(THEIRS), false, true),
        (Row::Free, false, Some(Owner::Nobody), false, false),
        (Row::Unknown, false, None, false, true),
        (Row::OwnAnchor, false, Some(Owner::Mine), false, false),
        (Row::OwnAnchor, false, Some(Owner::Mine), true, true),
        (Row::Stranger, false, Some(Owner::Stranger), true, false),
    ] {
        let mut side = side(3, Fencing::Before, false);
        gate(&mut side, Row::Proof, 6000);
        let now = if owner.is_some() { 7000 } else { 60_000 };
        if let Some(owner) = owner {
            side.reads(owner, now);
        }
        if open {
            side.group.knowledge.call_left_open(at(now));
        }
        side.says(1, if heard { now } else { 0 }, standby());
        side.says(2, now, standby());
        side.run(now, |group, cx, _| group.forget_fence(row, cx));
        assert_eq!(side.group.fences().is_some(), kept, "{row:?} heard: {heard} {owner:?} open: {open}");
    }
    let mut side = side(2, Fencing::Alongside, false);
    gate(&mut side, Row::Proof, 6000);
    side.group.role = Role::Active;
    side.reads(Owner::Mine, 7000);
    side.run(7000, |group, cx, _| group.forget_fence(Row::Serve, cx));
    assert!(side.group.fences().is_some(), "an active node goes on");
}

#[test]
fn a_heard_node_whose_lease_has_run_out_is_not_stopped() {
    let expired = |report| {
        let mut side = Side::leased();
        side.settings.groups[0].fencing = Fencing::Before;
        let lease = Lease { owner: Some(NodeId(1)), nonce: 9, term: 1, length: ms(10_000) };
        let own = side.group.lease.as_mut().unwrap();
        assert!(own.read_due(false, 1, at(0)));
        own.read(1, Ok(Some(lease)), at(0));
        side.own_running = Some((at(11_000), Running::Yes));
        side.says(1, 11_000, report);
        let gate = gate(&mut side, Row::Free, 11_000);
        (gate, calls(&side), side.group.fences())
    };
    assert_eq!(expired(standby()), (None, 0, None), "it has stood down");
    assert_eq!(expired(active(1)), (Some(Gate::Step(at(11_250))), 0, None), "the next read will show it");
}
