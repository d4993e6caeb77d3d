use super::super::side::{Side, active, at, hears, holder, ms, standby};
use super::*;

/// What the guard was told, in order.
fn guards(side: &Side) -> Vec<Option<Time>> {
    let until = |it: &Command| if let Command::Guard { until, .. } = it { Some(*until) } else { None };
    side.out.commands.iter().filter_map(until).collect()
}

fn tends_guard(side: &mut Side, now: u64) -> Option<Option<Time>> {
    let before = guards(side).len();
    side.run(now, |group, cx, out| group.tend_guard(cx, out));
    let all = guards(side);
    assert!(all.len() <= before + 1);
    all.get(before).copied()
}

#[test]
fn the_guard_watches_who_serves_until_the_renewal_ends_and_nobody_else() {
    let mut side = holder();
    assert_eq!(tends_guard(&mut side, 100), Some(Some(at(8000))));
    assert_eq!(tends_guard(&mut side, 200), None, "it knows");
    // Lapsed: what it was told stands, until the service has stopped.
    assert_eq!(tends_guard(&mut side, 6500), None);
    side.group.role = Role::Standby;
    (side.group.desired, side.group.converged) = (Some(Desired::Standby), false);
    assert_eq!(tends_guard(&mut side, 6600), None);
    side.group.converged = true;
    assert_eq!(tends_guard(&mut side, 6700), Some(None));
    assert_eq!(tends_guard(&mut side, 6800), None);
}

#[test]
fn an_agent_that_starts_leaves_the_guard_alone_until_it_knows_what_runs() {
    let mut side = Side::leased();
    assert_eq!(tends_guard(&mut side, 100), None, "nothing is wanted yet");
    (side.group.desired, side.group.converged) = (Some(Desired::Standby), false);
    assert_eq!(tends_guard(&mut side, 200), None, "what the last one said stands");
    side.group.converged = true;
    assert_eq!(tends_guard(&mut side, 300), Some(None), "stopped: it is told so once");
    assert_eq!(tends_guard(&mut side, 400), None);
    let mut side = Side::leased();
    side.group.memory.maintenance.on = true;
    assert_eq!((tends_guard(&mut side, 100), tends_guard(&mut side, 200)), (Some(None), None));
}

#[test]
fn maintenance_disarms_the_guard_and_afterwards_what_has_no_right_to_run_has_its_time_to_stop() {
    let mut side = holder();
    tends_guard(&mut side, 100);
    side.group.memory.maintenance.on = true;
    assert_eq!(tends_guard(&mut side, 200), Some(None));
    side.group.memory.maintenance.on = false;
    assert_eq!(tends_guard(&mut side, 300), Some(Some(at(8000))));
    side.group.memory.maintenance.on = true;
    tends_guard(&mut side, 400);
    side.group.memory.maintenance.on = false;
    assert_eq!(tends_guard(&mut side, 30_000), Some(Some(at(32_000))), "lapsed meanwhile");
    assert_eq!(tends_guard(&mut side, 31_000), None, "not prolonged");
}

#[test]
fn the_grace_moves_the_guard_by_steps() {
    let mut side = holder();
    tends_guard(&mut side, 100);
    side.group.lease.as_mut().unwrap().failures = 1;
    let mut tends = |now| {
        side.says(1, now, standby()).hears = hears(&[0]);
        tends_guard(&mut side, now)
    };
    assert_eq!(tends(6000), Some(Some(at(14_000))));
    assert_eq!(
        (tends(8000), tends(8001)),
        (None, Some(Some(at(16_001)))),
        "while six seconds are left it knows"
    );
    assert_eq!(side.told("lease-grace"), 1);
}

#[test]
fn a_lease_is_renewed_by_who_serves_given_back_by_who_cannot_and_else_left_alone() {
    type Change = fn(&mut Side);
    let stopped = |side: &mut Side| {
        side.group.role = Role::Standby;
        (side.group.desired, side.group.converged) = (Some(Desired::Standby), true);
    };
    let cases: [(bool, Change, Option<Purpose>); 14] = [
        (false, |_| {}, Some(Purpose::Renew)),
        (false, |side| side.group.memory.maintenance.on = true, Some(Purpose::Renew)),
        (false, |side| side.group.fit = false, Some(Purpose::Renew)),
        (
            false,
            |side| {
                side.run(2500, |group, cx, out| group.make_offer(None, cx, out));
            },
            Some(Purpose::Renew),
        ),
        (
            false,
            |side| {
                side.run(2500, |group, cx, out| group.make_offer(None, cx, out));
                side.group.offer.as_mut().unwrap().stopped = true;
            },
            None,
        ),
        (true, |_| {}, None),
        (true, |side| side.group.fit = false, Some(Purpose::GiveBack)),
        (true, |side| side.group.leaving = true, Some(Purpose::GiveBack)),
        (true, |side| side.group.memory.standby = true, Some(Purpose::GiveBack)),
        (true, |side| side.group.aside_until = Some(at(9000)), Some(Purpose::GiveBack)),
        (
            true,
            |side| {
                side.group.fit = false;
                side.group.converged = false;
            },
            None,
        ),
        (
            true,
            |side| {
                side.group.fit = false;
                side.group.desired = None;
            },
            None,
        ),
        (
            true,
            |side| {
                side.group.fit = false;
                side.group.memory.maintenance.on = true;
            },
            None,
        ),
        (
            true,
            |side| {
                side.group.fit = false;
                side.group.lease.as_mut().unwrap().seen = None;
            },
            None,
        ),
    ];
    for (number, (stands_by, change, writes)) in cases.into_iter().enumerate() {
        let mut side = holder();
        if stands_by {
            stopped(&mut side);
        }
        change(&mut side);
        side.run(2500, |group, cx, out| group.tend_lease(Watch::Standby, cx, out));
        let purpose = side.group.lease.as_ref().unwrap().write.as_ref().map(|write| write.purpose);
        assert_eq!(purpose, writes, "{number}");
        let sent = side.out.commands.iter().filter(|it| matches!(it, Command::WriteLease { .. })).count();
        assert_eq!(sent, usize::from(writes.is_some()), "{number}");
    }
}

#[test]
fn a_take_that_was_not_sent_is_withdrawn_by_who_could_not_serve_and_calls_have_their_numbers() {
    for (able, sends) in [(true, true), (false, false)] {
        let mut side = Side::leased();
        side.group.lease.as_mut().unwrap().read_due(false, 50, at(0));
        side.group.lease.as_mut().unwrap().read(50, Ok(None), at(0));
        side.reads(Owner::Nobody, 0);
        side.group.able = if able { Ok(()) } else { Err("no".into()) };
        side.out.calls = 60;
        side.group.lease.as_mut().unwrap().begin(Purpose::Take(Row::Free), 1, at(2000));
        side.out.commands.clear();
        side.run(2000, |group, cx, out| group.tend_lease(Watch::Taking, cx, out));
        let number = |it: &Command| {
            let (Command::WriteLease { call, .. } | Command::ReadLease { call, .. }) = it else {
                return None;
            };
            Some(*call)
        };
        let numbers: Vec<u64> = side.out.commands.iter().filter_map(number).collect();
        assert_eq!(numbers, if sends { vec![61, 62] } else { vec![61] });
        assert_eq!(side.out.calls, if sends { 62 } else { 61 });
    }
}

#[test]
fn the_table_is_read_closely_while_somebody_is_quiet_or_a_take_waits_or_is_offered() {
    for (watch, offered, closely) in [
        (Watch::Active, false, false),
        (Watch::Standby, false, false),
        (Watch::Quiet, false, true),
        (Watch::Taking, false, true),
        (Watch::Standby, true, true),
    ] {
        let mut side = Side::leased();
        let lease = side.group.lease.as_mut().unwrap();
        lease.read_due(false, 50, at(0));
        lease.read(50, Ok(None), at(0));
        if offered {
            let offer = crate::cluster::Offer { id: 1, term: 1, to: None, ttl: ms(10_000), stopped: false };
            side.group.heard_offer =
                super::super::offer::Heard::hear(None, NodeId(1), NodeId(0), &offer, at(0));
        }
        let next = side.run(100, |group, cx, _| group.holding_deadline(watch, cx));
        assert_eq!(next, Some(at(if closely { 1000 } else { 2000 })), "{watch:?} {offered}");
        side.run(1000, |group, cx, out| group.tend_lease(watch, cx, out));
        let reads = side.out.commands.iter().any(|it| matches!(it, Command::ReadLease { .. }));
        assert_eq!(reads, closely, "{watch:?} {offered}");
    }
}

/// The anchor's takes so far.
fn takes(side: &mut Side, now: u64) -> Vec<TakeFrom> {
    side.run(now, |group, cx, out| group.tend_anchor(cx, out));
    let from = |it: &Command| if let Command::TakeAnchor { from, .. } = it { Some(*from) } else { None };
    side.out.commands.iter().filter_map(from).collect()
}

#[test]
fn the_anchor_is_taken_by_who_serves_by_the_lease_and_only_by_what_ec2_has_said() {
    type Change = fn(&mut Side);
    let cases: [(Change, usize); 9] = [
        (|_| {}, 1),
        (|side| side.group.role = Role::Standby, 0),
        (|side| side.group.desired = Some(Desired::Serve { repair: false }), 0),
        (|side| side.group.memory.maintenance.on = true, 0),
        (|side| side.group.take.retry_at = at(9000), 0),
        (|side| side.group.retakes.next = at(7001), 0),
        (|side| side.group.retakes.next = at(7000), 1),
        (|side| side.group.knowledge = super::super::knowledge::Knowledge::new(at(0)), 0),
        (|side| side.reads(Owner::Mine, 7000), 0),
    ];
    for (number, (change, count)) in cases.into_iter().enumerate() {
        let mut side = holder();
        side.reads(Owner::Orphaned, 6900);
        change(&mut side);
        assert_eq!(takes(&mut side, 7000).len(), count, "{number}");
    }
    let mut side = Side::of(2);
    (side.group.role, side.group.desired) = (Role::Active, Some(Desired::Serve { repair: true }));
    side.reads(Owner::Orphaned, 6900);
    assert!(takes(&mut side, 7000).is_empty(), "without a lease the table decides");
}

#[test]
fn the_first_take_needs_any_young_read_and_the_next_one_a_settled_one() {
    let mut side = holder();
    side.reads(Owner::Orphaned, 1000);
    assert_eq!(takes(&mut side, 1000).len(), 1, "not settled since the start");
    let mut side = holder();
    side.reads(Owner::Orphaned, 1000);
    assert_eq!(takes(&mut side, 31_000).len(), 0, "too old");
    let mut side = holder();
    side.group.retakes.count = 1;
    side.reads(Owner::Orphaned, 1000);
    assert_eq!(takes(&mut side, 1000).len(), 0);
    side.reads(Owner::Orphaned, 5000);
    assert_eq!(takes(&mut side, 5000).len(), 1);
}

#[test]
fn it_is_taken_from_nobody_in_the_call_that_fails_if_somebody_was_faster_unless_something_is_in_the_way() {
    for (owner, contested, from) in [
        (Owner::Nobody, false, TakeFrom::Nobody),
        (Owner::Nobody, true, TakeFrom::Anyone),
        (Owner::Orphaned, false, TakeFrom::Anyone),
        (Owner::Theirs(NodeId(1)), false, TakeFrom::Anyone),
    ] {
        let mut side = holder();
        side.reads(owner, 9000);
        if contested {
            let contest = super::super::take::Contest { count: 3, first: at(0), last: at(8000) };
            side.group.take.contest = Some(contest);
        }
        assert_eq!(takes(&mut side, 9000), [from], "{owner:?}");
    }
}

#[test]
fn who_is_moved_away_again_waits_longer_each_time_until_five_minutes_of_peace() {
    let mut side = holder();
    let mut now = 10_000;
    for (count, wait) in [5, 10, 20, 40, 60, 60, 60].into_iter().enumerate() {
        side.reads(Owner::Stranger, now);
        assert_eq!(takes(&mut side, now).len(), count + 1);
        assert_eq!(side.group.retakes.next, at(now + wait * 1000));
        assert_eq!(side.told("anchor-moved-away"), usize::from(count >= 3), "at the fourth");
        side.group.take.under_way = None;
        now += wait * 1000;
    }
    // `now` is when the next one might have gone.
    for (peace, count) in [(300_000, 7), (300_001, 1)] {
        side.reads(Owner::Mine, now + peace);
        takes(&mut side, now + peace);
        assert_eq!(side.group.retakes.count, count);
    }
    side.group.retakes.failed();
    assert_eq!(
        (side.group.retakes.count, side.group.retakes.next),
        (0, Time::ZERO),
        "a failed call counts not"
    );
}

#[test]
fn whose_take_of_the_lease_has_landed_becomes_active_unless_it_could_not_serve_or_it_is_too_late() {
    for (able, answered, becomes) in [(true, 100, true), (false, 100, false), (true, 6000, false)] {
        let mut side = Side::leased();
        side.group.able = if able { Ok(()) } else { Err("no".into()) };
        side.reads(Owner::Nobody, 0);
        let lease = side.group.lease.as_mut().unwrap();
        lease.begin(Purpose::Take(Row::Free), 1, at(0));
        lease.attempt_due(9, at(0)).unwrap();
        side.group.accepted = Some((NodeId(1), 5));
        side.run(answered, |group, cx, out| group.lease_written(9, Ok(()), cx, out));
        assert_eq!(side.group.role == Role::Active, becomes, "{able} {answered}");
        assert_eq!(side.group.accepted, None);
    }
}

#[test]
fn a_take_that_somebody_elses_write_has_beaten_is_repeated_at_once_only_under_an_offer() {
    for offered in [true, false] {
        let mut side = Side::leased();
        let lease = side.group.lease.as_mut().unwrap();
        lease.begin(Purpose::Take(Row::Free), 1, at(0));
        lease.attempt_due(9, at(0)).unwrap();
        if offered {
            let offer = crate::cluster::Offer { id: 1, term: 1, to: None, ttl: ms(10_000), stopped: true };
            side.group.heard_offer =
                super::super::offer::Heard::hear(None, NodeId(1), NodeId(0), &offer, at(0));
        }
        side.run(100, |group, cx, out| group.lease_written(9, Err(Failure::Conflict), cx, out));
        assert_eq!(side.group.take.retry_at == at(100), offered);
        assert!(side.group.take.retry_at >= at(100) && side.group.take.failures == 1);
    }
}

#[test]
fn a_read_of_the_lease_is_not_for_a_group_without_one() {
    let mut side = Side::of(2);
    side.says(1, 0, active(1));
    side.run(100, |group, cx, out| {
        group.lease_read(1, Ok(None), cx, out);
        group.lease_written(1, Ok(()), cx, out);
    });
    assert!(side.out.commands.is_empty());
}
