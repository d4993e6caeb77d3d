//! One group by itself: what it makes of what its peers and EC2 have said, to the nanosecond.

use super::super::lease::Purpose;
use super::super::side::{Side, active, at, hears, holder, ms, standby};
use super::super::take::{Call, Contest};
use super::*;
use crate::cluster::command::TakeFrom;
use crate::cluster::heartbeat::{GroupReport, Offer};
use crate::cluster::lease::Lease;
use crate::cluster::node::Session;

const THEIRS: Owner = Owner::Theirs(NodeId(1));

#[test]
fn a_holder_is_lost_to_all_if_a_majority_is_heard_and_none_of_it_hears_the_holder() {
    // How many nodes there are, which of the others are heard, and which of those hear the holder, node 1.
    for (nodes, heard, hears_it, lost) in [
        (2, &[][..], &[][..], true),
        (3, &[], &[], false),
        (3, &[2], &[], true),
        (3, &[2], &[2], false),
        (4, &[2], &[], false),
        (4, &[2, 3], &[], true),
        (4, &[2, 3], &[3], false),
        (5, &[2], &[], false),
        (5, &[2, 4], &[], true),
    ] {
        let mut side = Side::of(nodes);
        for node in heard {
            let known = if hears_it.contains(node) { hears(&[0, 1]) } else { hears(&[0]) };
            side.says(*node, 100, standby()).hears = known;
        }
        let found = side.run(200, |group, cx, _| group.lost_to_all(NodeId(1), cx));
        assert_eq!(found, lost, "{nodes} nodes, {heard:?} heard, {hears_it:?} hear it");
    }
}

#[test]
fn who_is_outranked_yields_only_to_a_heard_active_with_a_higher_term_and_ec2s_word() {
    for (report, heard, outranks) in [
        (active(8), true, true),
        (active(7), true, false),
        (active(6), true, false),
        (active(8), false, false),
        (GroupReport { role: Role::Standby, ..active(8) }, true, false),
        (GroupReport { owner: None, ..active(8) }, true, false),
        (GroupReport { owner: Some(Owner::Theirs(NodeId(0))), ..active(8) }, true, false),
    ] {
        let mut side = Side::of(2);
        side.group.term = 7;
        side.says(1, if heard { 9000 } else { 0 }, report.clone());
        let found = side.run(9100, |group, cx, _| group.view(cx).outranked_by);
        assert_eq!(found, outranks.then_some(NodeId(1)), "heard: {heard}, {report:?}");
    }
}

#[test]
fn all_hear_all_means_everybody_everybody() {
    for (of_1, of_2, all) in [
        (&[0, 2][..], &[0, 1][..], true),
        (&[0, 2], &[0], false),
        (&[0], &[0, 1], false),
        (&[2], &[0, 1], false),
        (&[0, 2], &[1], false),
    ] {
        let mut side = Side::of(3);
        side.says(1, 100, standby()).hears = hears(of_1);
        side.says(2, 100, standby()).hears = hears(of_2);
        assert_eq!(side.run(200, |group, cx, _| group.all_hear_all(cx)), all, "{of_1:?} {of_2:?}");
    }
}

#[test]
fn the_taker_is_the_first_in_order_that_is_heard_and_eligible() {
    let unfit = GroupReport { eligible: false, ..standby() };
    for (one, two, taker) in [
        (Some(standby()), Some(standby()), Some(2)),
        (Some(standby()), Some(unfit.clone()), Some(1)),
        (Some(standby()), None, Some(1)),
        (Some(unfit), None, None),
        (None, None, None),
    ] {
        let mut side = Side::with(3, |group| group.nodes = vec![NodeId(2), NodeId(0), NodeId(1)]);
        for (node, report) in [(1, one), (2, two)] {
            if let Some(report) = report {
                side.says(node, 100, report);
            }
        }
        assert_eq!(side.run(200, |group, cx, _| group.taker(cx)), taker.map(NodeId));
    }
}

#[test]
fn a_conflict_is_something_in_the_way_after_three_over_five_seconds_and_a_read_since() {
    for (count, last, read, contested) in [
        (3, 5001, 5001, true),
        (2, 5001, 5001, false),
        (3, 5000, 5001, false),
        (3, 5001, 5000, false),
        (9, 9000, 9500, true),
    ] {
        let mut side = Side::of(2);
        side.reads(Owner::Nobody, read);
        side.group.take.contest = Some(Contest { count, first: at(0), last: at(last) });
        assert_eq!(side.group.contested(), contested, "{count} {last} {read}");
        side.reads(THEIRS, 10_000);
        assert!(!side.group.contested() && side.group.take.contest.is_none(), "somebody was faster");
    }
    let mut side = Side::of(2);
    for _ in 0..5 {
        side.run(100, |group, cx, out| group.conflicted(cx, out));
    }
    assert_eq!(side.told("contested"), 1, "said once");
}

#[test]
fn a_call_is_held_back_by_one_under_way_by_a_stop_and_by_the_back_off() {
    let gate = |side: &mut Side, now| side.run(now, |group, cx, _| group.call_gate(cx));
    let mut side = Side::of(2);
    assert_eq!(gate(&mut side, 100), None);
    side.group.take.retry_at = at(200);
    assert_eq!((gate(&mut side, 199), gate(&mut side, 200)), (Some(Gate::BackOff(at(200))), None));
    side.group.leaving = true;
    assert!(matches!(gate(&mut side, 300), Some(Gate::NotEligible(_))));
    let call = Call { number: 1, sent: at(300), row: Row::Free, from: TakeFrom::Nobody };
    side.group.take.under_way = Some(call);
    assert_eq!(gate(&mut side, 300), Some(Gate::UnderWay));
    let mut side = Side::leased();
    side.group.lease.as_mut().unwrap().begin(Purpose::Take(Row::Free), 1, at(0));
    assert_eq!(gate(&mut side, 0), Some(Gate::UnderWay));
    side.group.role = Role::Active;
    assert_eq!(gate(&mut side, 0), None, "a renewal does not keep the active from its anchor");
}

#[test]
fn the_gate_opens_to_the_nanosecond_when_my_step_has_come() {
    // Node 2 goes first, is heard and eligible.
    let mut side = Side::with(3, |group| group.nodes = vec![NodeId(2), NodeId(0), NodeId(1)]);
    side.says(2, 9000, standby());
    side.reads(THEIRS, 9000);
    let mut gate = |row, now| side.run(now, |group, cx, _| group.gate(row, at(8500), cx));
    assert_eq!(gate(Row::Proof, 10_499), Some(Gate::Step(at(10_500))));
    assert_eq!(gate(Row::Proof, 10_500), None);
    // It was not: then it has first-dead-after from our start.
    let mut side = Side::with(3, |group| group.nodes = vec![NodeId(2), NodeId(0), NodeId(1)]);
    side.reads(THEIRS, 9000);
    let mut gate = |row, now| side.run(now, |group, cx, _| group.gate(row, at(8500), cx));
    assert_eq!(gate(Row::Proof, 29_999), Some(Gate::Step(at(30_000))));
    assert_eq!(gate(Row::Proof, 30_000), None);
    assert_eq!(gate(Row::Proof, 39_000), Some(Gate::NoRead), "the last read is too old by now");
    // Who comes after us, or holds it, is not waited for.
    let mut side = Side::with(3, |group| group.nodes = vec![NodeId(1), NodeId(0), NodeId(2)]);
    side.says(1, 9000, standby());
    side.says(2, 9000, standby());
    side.reads(THEIRS, 9000);
    assert_eq!(side.run(9000, |group, cx, _| group.gate(Row::Proof, at(9000), cx)), None);
}

#[test]
fn a_free_anchor_is_left_to_a_heard_active_for_fifteen_seconds_and_then_taken_by_a_young_read() {
    for (report, heard, waits) in
        [(active(1), true, true), (active(1), false, false), (standby(), true, false)]
    {
        let mut side = Side::of(2);
        side.reads(Owner::Nobody, 6000);
        let said = |side: &mut Side, now| {
            side.says(1, if heard { now } else { 0 }, report.clone());
        };
        let gate = |side: &mut Side, row, now| side.run(now, |group, cx, _| group.gate(row, at(6000), cx));
        said(&mut side, 7000);
        assert_eq!(gate(&mut side, Row::Free, 7000), waits.then_some(Gate::Step(at(21_000))));
        said(&mut side, 21_000);
        assert_eq!(gate(&mut side, Row::Free, 21_000), waits.then_some(Gate::NoRead));
        assert_eq!(gate(&mut side, Row::Proof, 21_000), None);
        side.reads(Owner::Nobody, 21_000);
        assert_eq!(gate(&mut side, Row::Free, 21_000), None);
    }
}

#[test]
fn damping_and_an_offer_are_of_their_rows_only() {
    let mut side = Side::with(3, |group| group.nodes = vec![NodeId(2), NodeId(0), NodeId(1)]);
    side.says(2, 6000, standby());
    side.reads(THEIRS, 6000);
    side.group.take.by_silence = vec![at(0); 6].into();
    let gate = |side: &mut Side, row| side.run(6000, |group, cx, _| group.gate(row, at(6000), cx));
    assert_eq!(gate(&mut side, Row::Silent), Some(Gate::Damped));
    assert_eq!(gate(&mut side, Row::Proof), Some(Gate::Step(at(8000))));
    for (to, free) in [(Some(NodeId(0)), true), (None, false)] {
        let offer = Offer { id: 1, term: 1, to, ttl: ms(10_000), stopped: true };
        side.group.heard_offer = Heard::hear(None, NodeId(1), NodeId(0), &offer, at(6000));
        let step = Some(Gate::Step(at(8000)));
        assert_eq!(gate(&mut side, Row::Offered).is_none(), free);
        assert_eq!(gate(&mut side, Row::Proof), step, "another row waits for its step");
    }
}

#[test]
fn a_claim_is_news_once_and_only_with_a_term_not_below_any() {
    let owner = |side: &Side, now| side.group.knowledge.anchor(at(now)).1;
    for (own, others, term, counts) in [(5, 0, 5, true), (5, 0, 4, false), (0, 5, 5, true), (0, 5, 4, false)]
    {
        let mut side = Side::of(3);
        side.group.term = own;
        side.reads(Owner::Nobody, 6000);
        side.says(2, 7000, GroupReport { term: others, ..standby() });
        side.says(1, 7000, active(term));
        side.run(7000, |group, cx, out| group.hear(cx, out));
        let known = if counts { THEIRS } else { Owner::Nobody };
        assert_eq!(owner(&side, 7000), Some(known), "{own} {others} {term}");
        // EC2 says otherwise, for long enough: the same claim again changes nothing.
        side.reads(Owner::Nobody, 13_000);
        side.says(1, 13_100, active(term));
        side.run(13_100, |group, cx, out| group.hear(cx, out));
        assert_eq!(owner(&side, 13_100), Some(Owner::Nobody));
        side.says(1, 13_200, active(9)).session = Some(Session(2));
        side.run(13_200, |group, cx, out| group.hear(cx, out));
        assert_eq!(owner(&side, 13_200), Some(THEIRS), "a new one does");
    }
}

#[test]
fn who_is_heard_active_since_we_are_standby_arms() {
    for (heard, report, armed) in [
        (6001, active(1), true),
        (6000, active(1), false),
        (5999, active(1), false),
        (6001, standby(), false),
    ] {
        let mut side = Side::of(2);
        side.reads(THEIRS, 6500);
        side.group.role_since = at(6000);
        side.says(1, heard, report);
        side.run(6600, |group, cx, _| group.arm(cx));
        assert_eq!(side.group.armed, armed.then_some(NodeId(1)), "{heard}");
        side.run(40_000, |group, cx, _| group.arm(cx));
        assert_eq!(side.group.armed, armed.then_some(NodeId(1)), "unknown disarms nobody");
        side.reads(Owner::Nobody, 41_000);
        side.run(41_000, |group, cx, _| group.arm(cx));
        assert_eq!(side.group.armed, None, "another holder does");
    }
    let mut side = Side::of(2);
    side.reads(THEIRS, 6500);
    side.says(1, 6500, active(1));
    side.group.role = Role::Active;
    side.run(6600, |group, cx, _| group.arm(cx));
    assert_eq!(side.group.armed, None, "an active node arms nothing");
}

#[test]
fn failed_reads_are_said_at_the_third_and_when_they_are_over() {
    let mut side = Side::of(2);
    let fails = |side: &mut Side, now| {
        let call = side.out.call();
        side.group.knowledge.ask_now();
        assert!(side.group.knowledge.read_due(Watch::Standby, call, at(now)));
        side.run(now, |group, cx, out| group.anchor_read(call, Err(Failure::Passing), cx, out));
    };
    side.reads(THEIRS, 1000);
    for (now, said) in [(2000, 0), (3000, 0), (4000, 1), (5000, 1)] {
        fails(&mut side, now);
        assert_eq!((side.told("reads-fail"), side.told("reads-answered")), (said, 0));
    }
    side.reads(THEIRS, 6000);
    side.reads(THEIRS, 7000);
    assert_eq!((side.told("reads-fail"), side.told("reads-answered")), (1, 1));
}

#[test]
fn a_standby_is_fit_unless_it_is_to_stay_one() {
    let fit = |change: fn(&mut Group), role| {
        let mut side = Side::of(2);
        side.group.role = role;
        change(&mut side.group);
        side.run(1000, |group, cx, _| group.view(cx).fit)
    };
    type Change = fn(&mut Group);
    let changes: [(Change, bool, bool); 5] = [
        (|_| {}, true, true),
        (|group| group.fit = false, false, false),
        (|group| group.memory.standby = true, false, true),
        (|group| group.leaving = true, false, true),
        (|group| group.aside_until = Some(at(9000)), false, true),
    ];
    for (number, (change, standby, active)) in changes.into_iter().enumerate() {
        assert_eq!((fit(change, Role::Standby), fit(change, Role::Active)), (standby, active), "{number}");
    }
}

#[test]
fn patience_ends_with_rows_10_and_13_and_an_idle_holders_lease_by_itself() {
    let over = |mut side: Side, row, now| {
        (side.group.row, side.group.row_since) = (row, at(500));
        side.run(now, |group, cx, _| group.view(cx).patience_over)
    };
    for (row, leased, ends) in [
        (Row::OwnUnfit, false, true),
        (Row::HolderIdle, false, true),
        (Row::Watch, false, false),
        (Row::OwnUnfit, true, true),
        (Row::HolderIdle, true, false),
        (Row::Watch, true, false),
    ] {
        let side = || if leased { Side::leased() } else { Side::of(2) };
        assert_eq!((over(side(), row, 30_499), over(side(), row, 30_500)), (false, ends), "{row:?} {leased}");
    }
}

#[test]
fn it_stands_aside_for_a_minute_to_the_nanosecond() {
    let mut side = Side::leased();
    side.group.role = Role::Active;
    side.run(1000, |group, cx, out| group.stand_aside("why", cx, out));
    let aside = [60_999, 61_000].map(|now| side.run(now, |group, cx, _| group.stands_aside(cx)));
    assert_eq!(aside, [true, false]);
    assert_eq!((side.group.role, side.told("stands-aside")), (Role::Standby, 1));
}

#[test]
fn the_grace_is_for_its_time_and_while_each_other_node_is_heard_and_stands_by() {
    let lapsed = |failures, report, hears_us, now| {
        let mut side = holder();
        side.group.lease.as_mut().unwrap().failures = failures;
        side.says(1, now - 100, report).hears = if hears_us { hears(&[0]) } else { hears(&[]) };
        side.run(now, |group, cx, _| group.lapsed(cx))
    };
    assert!(!lapsed(0, standby(), true, 5999) && lapsed(0, standby(), true, 6000), "6 s without a renewal");
    assert!(!lapsed(1, standby(), true, 6000) && !lapsed(1, standby(), true, 25_999));
    assert!(lapsed(1, standby(), true, 26_000), "20 s more");
    assert!(lapsed(1, active(1), true, 6000) && lapsed(1, standby(), false, 6000));
    let mut side = holder();
    side.group.role = Role::Standby;
    assert!(!side.run(60_000, |group, cx, _| group.lapsed(cx)), "it is about an active node");
}

#[test]
fn what_is_shown_of_the_lease_ends_with_it() {
    let side = holder();
    let valid = |now| side.group.lease_view(at(now)).unwrap().valid_for;
    assert_eq!((valid(0), valid(5999), valid(6000)), (Some(ms(6000)), Some(ms(1)), None));
    assert!(Side::of(2).group.lease_view(at(0)).is_none());
}

#[test]
fn without_the_anchor_for_thirty_seconds_it_leaves_the_lease_to_who_could_do_better() {
    let other = GroupReport { owner: Some(Owner::Orphaned), ..standby() };
    let mine = GroupReport { owner: Some(Owner::Theirs(NodeId(0))), ..standby() };
    let unknown = GroupReport { owner: None, ..standby() };
    let unable = GroupReport { eligible: false, ..other.clone() };
    // Our calls fail; what EC2 says to us; what a heard peer says; whether we stand aside.
    for (fails, own, report, aside) in [
        (true, Some(Owner::Orphaned), Some(unknown.clone()), true),
        (true, Some(Owner::Mine), Some(unknown.clone()), false),
        (true, Some(Owner::Orphaned), Some(unable.clone()), false),
        (true, Some(Owner::Orphaned), None, true),
        (false, Some(Owner::Orphaned), Some(other.clone()), false),
        (false, None, Some(other.clone()), true),
        (false, None, Some(mine), false),
        (false, None, Some(unknown), false),
        (false, None, None, false),
        (false, None, Some(unable), false),
    ] {
        for (lasts, long) in [(30_000, true), (29_999, false)] {
            let mut side = holder();
            side.group.take.failures = u32::from(fails);
            for now in [40_000, 40_000 + lasts] {
                if let Some(owner) = own {
                    side.reads(owner, now);
                }
                if let Some(report) = &report {
                    side.says(1, now, report.clone());
                }
                side.run(now, |group, cx, out| group.tend_aside(cx, out));
            }
            let found = side.group.role == Role::Standby;
            assert_eq!(found, aside && long, "{fails} {own:?} {report:?} {lasts}");
        }
    }
    let mut side = holder();
    side.group.take.failures = 1;
    side.group.memory.maintenance.on = true;
    for now in [0, 60_000] {
        side.run(now, |group, cx, out| group.tend_aside(cx, out));
    }
    assert_eq!(side.group.role, Role::Active, "nothing is given away in maintenance");
}

#[test]
fn only_what_is_anothers_can_be_leased_or_given_back() {
    let given = |side: &Side| side.group.has_given_back();
    assert!(given(&Side::of(2)) && given(&Side::leased()) && !given(&holder()));
    let mut side = Side::leased();
    let lease = Lease { owner: Some(NodeId(1)), nonce: 9, term: 1, length: ms(10_000) };
    let own = side.group.lease.as_mut().unwrap();
    assert!(own.read_due(false, 1, at(0)));
    own.read(1, Ok(Some(lease)), at(50));
    let leased = [50, 10_049, 10_050].map(|now| side.run(now, |group, cx, _| group.is_leased(cx)));
    assert_eq!(leased, [true, true, false]);
    assert!(!holder().run(100, |group, cx, _| group.is_leased(cx)), "ours");
}
