use super::super::knowledge::Change;
use super::super::side::{Side, at as now, holder, standby};
use super::*;

fn at(ms: u64) -> Time {
    Time::from_nanos((10_000_000 + ms) * 1_000_000)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_take_is_wanted_since_it_was_first_wanted_from_this_one() {
    let mut take = Take::default();
    let theirs = Some(Owner::Theirs(NodeId(1)));
    assert_eq!(take.want(theirs, at(1)), at(1));
    assert_eq!(take.want(theirs, at(5)), at(1));
    assert_eq!(take.want(Some(Owner::Nobody), at(7)), at(7));
    assert_eq!((take.want(None, at(8)), take.wanted), (at(8), None));
    assert_eq!(take.want(Some(Owner::Nobody), at(9)), at(9));
}

#[test]
fn six_by_silence_within_an_hour_are_enough() {
    let mut take = Take::default();
    for minute in 0..6 {
        assert!(!take.damped(at(minute * 60_000)));
        take.by_silence.push_back(at(minute * 60_000));
    }
    assert!(take.damped(at(3_599_999)));
    assert!(!take.damped(at(3_600_000)), "the oldest one is forgotten after an hour");
    assert_eq!(take.by_silence.len(), 5);
}

#[test]
fn what_fails_is_repeated_later_by_what_it_failed_with() {
    let mut random = Random::new(1);
    let mut waits = |failure, times: u32| {
        let all = (0..200).map(|_| {
            let mut take = Take::default();
            (0..times).for_each(|_| take.failed(failure, &mut random, at(0)));
            assert_eq!(take.failures, times);
            u64::try_from(take.retry_at.since(at(0)).as_millis()).unwrap()
        });
        let all: Vec<u64> = all.collect();
        (*all.iter().min().unwrap(), *all.iter().max().unwrap())
    };
    for (failure, times, longest) in [
        (Failure::Refused, 1, 10_000),
        (Failure::Conflict, 1, 1000),
        (Failure::Passing, 1, 100),
        (Failure::Passing, 2, 200),
        (Failure::Passing, 6, 3200),
        (Failure::Passing, 60, 3200),
        (Failure::NoAnswer, 1, 0),
        (Failure::NoAnswer, 2, 100),
        (Failure::NoAnswer, 60, 3100),
    ] {
        let (least, most) = waits(failure, times);
        assert!(least >= longest / 2 && most <= longest, "{failure:?} {times}: {least} to {most}");
        assert!(
            least <= longest * 6 / 10 && most >= longest * 9 / 10,
            "{failure:?} {times}: {least} to {most}"
        );
    }
}

#[test]
fn conflicts_are_counted_from_the_first_to_the_last_until_the_role_changes() {
    let mut take = Take::default();
    take.conflicted(at(1));
    take.conflicted(at(5));
    let contest = take.contest.unwrap();
    assert_eq!((contest.count, contest.first, contest.last), (2, at(1), at(5)));
    take.failed(Failure::Conflict, &mut Random::new(1), at(5));
    take.want(Some(Owner::Nobody), at(5));
    take.reset();
    assert!(take.contest.is_none() && take.wanted.is_none());
    assert_eq!((take.failures, take.retry_at), (0, Time::ZERO));
}

const ELIGIBLE: Rival = Rival { heard: true, ever_heard: true, eligible: true, active: false };

fn my_step(row: Row, before: &[Rival], all: &[Rival]) -> Duration {
    let (before, all) = (before.iter().copied(), all.iter().copied());
    step(row, before, all, at(0), ms(2000), at(30_000), ms(15_000)).since(at(0))
}

#[test]
fn each_eligible_node_that_is_heard_goes_before_me() {
    assert_eq!(my_step(Row::Silent, &[], &[]), ms(0));
    assert_eq!(my_step(Row::Silent, &[ELIGIBLE], &[]), ms(2000));
    assert_eq!(my_step(Row::Silent, &[ELIGIBLE, ELIGIBLE], &[]), ms(4000));
    let unfit = Rival { eligible: false, ..ELIGIBLE };
    let gone = Rival { heard: false, ..ELIGIBLE };
    assert_eq!(my_step(Row::Silent, &[unfit, gone], &[]), ms(0));
    let never = Rival { heard: false, ever_heard: false, eligible: false, active: false };
    assert_eq!(my_step(Row::Silent, &[never], &[]), ms(30_000), "it may be about to start");
    assert_eq!(my_step(Row::Silent, &[never, ELIGIBLE], &[]), ms(32_000));
}

#[test]
fn with_a_free_anchor_a_heard_active_node_goes_first() {
    let active = Rival { active: true, ..ELIGIBLE };
    assert_eq!(my_step(Row::Free, &[], &[active]), ms(15_000));
    assert_eq!(my_step(Row::Free, &[ELIGIBLE], &[active]), ms(15_000), "not one after the other");
    assert_eq!(my_step(Row::Free, &[], &[ELIGIBLE, Rival { heard: false, ..active }]), ms(0));
    assert_eq!(my_step(Row::Proof, &[], &[active]), ms(0));
}

#[test]
fn each_gate_says_what_it_waits_for() {
    let gates = [
        (Gate::NotEligible("why".into()), "not eligible: why"),
        (Gate::NoRead, "lately enough"),
        (Gate::Step(at(0)), "goes first"),
        (Gate::Damped, "six takeovers"),
        (Gate::BackOff(at(0)), "will be repeated"),
        (Gate::UnderWay, "under way"),
        (Gate::Unwell("why".into()), "must not fence: why"),
        (Gate::Fencing(NodeId(2)), "{node 2} has stopped"),
        (Gate::FencingFailed(NodeId(2)), "{node 2} could not be fenced"),
    ];
    for (gate, words) in gates {
        assert!(gate.to_string().contains(words), "{gate}");
    }
}

/// A call of this row is under way since 6000.
fn taking(row: Row, from: TakeFrom) -> Side {
    let mut side = Side::of(2);
    side.group.knowledge.changed(Change::Unknown, now(6000));
    side.group.take.sent(7, row, from, now(6000));
    side.group.accepted = Some((NodeId(1), 3));
    side
}

fn answers(side: &mut Side, call: u64, answer: Result<(), Failure>) {
    side.run(6500, |group, cx, out| group.take_answered(call, answer, cx, out));
}

#[test]
fn only_a_conflict_of_a_call_from_nobody_counts_as_one() {
    for (from, answer, counts) in [
        (TakeFrom::Nobody, Failure::Conflict, true),
        (TakeFrom::Anyone, Failure::Conflict, false),
        (TakeFrom::Nobody, Failure::Passing, false),
        (TakeFrom::Nobody, Failure::NoAnswer, false),
    ] {
        let mut side = taking(Row::Free, from);
        answers(&mut side, 8, Err(answer));
        assert!(side.group.take.under_way.is_some(), "the answer to another call");
        answers(&mut side, 7, Err(answer));
        assert_eq!(side.group.take.contest.is_some(), counts, "{from:?} {answer:?}");
        let now = now(6500);
        assert_eq!(side.group.knowledge.call_open(now), answer == Failure::NoAnswer);
        assert_eq!((side.group.take.failures, side.group.take.under_way.is_none()), (1, true));
        assert_eq!(side.group.accepted, None);
    }
    let mut side = taking(Row::Free, TakeFrom::Nobody);
    answers(&mut side, 7, Err(Failure::Refused));
    assert_eq!(side.told("take-refused"), 1);
}

#[test]
fn a_take_that_was_answered_makes_active_unless_something_has_changed_since() {
    type Before = fn(&mut Side);
    let later = now(6001);
    let mut cases: Vec<(Before, bool)> = vec![
        (|_| {}, true),
        (|side| side.group.memory.maintenance.on = true, false),
        (|side| side.group.lease = holder().group.lease, false),
    ];
    cases.push((|side| side.group.knowledge.changed(Change::Unknown, now(6001)), false));
    for (number, (before, becomes)) in cases.into_iter().enumerate() {
        let mut side = taking(Row::Proof, TakeFrom::Anyone);
        before(&mut side);
        answers(&mut side, 7, Ok(()));
        assert_eq!(side.group.role == Role::Active, becomes, "{number}");
        let mine = side.group.knowledge.anchor(later + ms(500)).1 == Some(Owner::Mine);
        assert_eq!(mine, number != 3, "{number}");
        assert!(side.group.memory.silent_takeovers.is_empty(), "not by silence");
    }
    for (row, remembered) in [(Row::Silent, 1), (Row::CounterAtRest, 0), (Row::Free, 0)] {
        let mut side = taking(row, TakeFrom::Anyone);
        answers(&mut side, 7, Ok(()));
        assert_eq!((side.group.role, side.group.memory.silent_takeovers.len()), (Role::Active, remembered));
    }
}

#[test]
fn what_an_operator_forces_is_not_what_is_his_already_or_in_maintenance() {
    type Before = fn(&mut Side);
    let cases: [(Before, bool, usize); 7] = [
        (|_| {}, true, 1),
        (|side| side.group.forced = None, false, 0),
        (|side| side.group.role = Role::Active, false, 0),
        (|side| side.group.memory.maintenance.on = true, false, 0),
        (|side| side.reads(Owner::Mine, 7000), false, 0),
        (|side| side.group.able = Err("no".into()), true, 0),
        (|side| side.group.take.retry_at = now(9000), true, 0),
    ];
    for (number, (before, counts, calls)) in cases.into_iter().enumerate() {
        let mut side = Side::of(2);
        side.reads(Owner::Theirs(NodeId(1)), 6000);
        side.group.forced = Some(now(9000));
        before(&mut side);
        let wish = side.run(7000, |group, cx, out| {
            let view = group.view(cx);
            group.forced(&view, cx, out)
        });
        assert_eq!((wish, side.told("forced")), (counts, calls), "{number}");
    }
}

#[test]
fn damping_is_said_once_while_it_lasts() {
    let mut side = Side::of(2);
    side.says(1, 0, standby());
    side.reads(Owner::Theirs(NodeId(1)), 6000);
    side.group.take.by_silence = vec![now(0); 6].into();
    for now in [6000, 7000] {
        let owner = Some(Owner::Theirs(NodeId(1)));
        side.run(now, |group, cx, out| group.try_take(Row::Silent, owner, TakeFrom::Anyone, cx, out));
        assert_eq!((side.group.gate.clone(), side.told("damped")), (Some(Gate::Damped), 1));
    }
    side.group.able = Err("no".into());
    let owner = Some(Owner::Theirs(NodeId(1)));
    side.run(8000, |group, cx, out| group.try_take(Row::Silent, owner, TakeFrom::Anyone, cx, out));
    assert_eq!(side.told("damped"), 1);
    assert!(matches!(side.group.gate, Some(Gate::NotEligible(_))));
}
