use super::super::side::{Side, active, at, hears, holder, standby};
use super::*;
use crate::cluster::command::Command;
use crate::cluster::heartbeat::GroupReport;

const THEIRS: Owner = Owner::Theirs(NodeId(1));

#[test]
fn only_a_service_that_need_not_stop_or_has_is_offered_as_stopped() {
    // Cold, the role, what was wanted last, whether that is so; whether the offer says stopped.
    for (cold, role, desired, converged, stopped) in [
        (false, Role::Active, Some(Desired::Serve { repair: true }), true, true),
        (true, Role::Active, Some(Desired::Serve { repair: true }), true, false),
        (true, Role::Active, Some(Desired::Standby), true, false),
        (true, Role::Standby, Some(Desired::Standby), true, true),
        (true, Role::Standby, Some(Desired::Standby), false, false),
        (true, Role::Standby, Some(Desired::Serve { repair: true }), true, false),
        (true, Role::Standby, None, false, false),
    ] {
        let mut side = Side::with(2, |group| group.cold = cold);
        (side.group.role, side.group.desired, side.group.converged) = (role, desired, converged);
        side.run(100, |group, cx, out| group.make_offer(None, cx, out));
        assert_eq!(
            side.group.offer.as_ref().unwrap().stopped,
            stopped,
            "{cold} {role:?} {desired:?} {converged}"
        );
        let id = side.group.offer.as_ref().unwrap().id;
        side.run(200, |group, cx, out| group.make_offer(Some(NodeId(1)), cx, out));
        assert_eq!((side.group.offer.as_ref().unwrap().id, side.told("offered")), (id, 1), "one at a time");
    }
    let mut side = holder();
    side.run(100, |group, cx, out| group.make_offer(None, cx, out));
    assert!(!side.group.offer.as_ref().unwrap().stopped, "with a lease the service runs alone");
}

#[test]
fn a_term_is_above_all_that_are_known() {
    for (own, heard, term) in [(5, 3, 5), (3, 5, 5), (0, 0, 0)] {
        let mut side = Side::of(3);
        side.group.term = own;
        side.says(1, 0, GroupReport { term: heard, ..standby() });
        side.says(2, 0, standby());
        assert_eq!(side.run(100, |group, cx, _| group.newest_term(cx)), term);
    }
    let mut side = holder();
    side.group.term = 0;
    assert_eq!(side.run(100, |group, cx, _| group.newest_term(cx)), 1, "what stands in the table");
}

#[test]
fn an_operator_names_a_node_that_is_heard_and_hears_us() {
    for (to, heard, hears_us, begins) in
        [(1, true, true, true), (1, true, false, false), (1, false, true, false), (2, true, true, false)]
    {
        let mut side = Side::of(3);
        side.says(1, if heard { 9000 } else { 0 }, standby()).hears =
            hears(if hears_us { &[0] } else { &[2] });
        side.run(9100, |group, cx, out| group.switch_over(Some(NodeId(to)), cx, out));
        assert_eq!(side.group.offer.is_some(), begins, "{to} {heard} {hears_us}");
        assert_eq!(side.told("switchover-refused"), usize::from(!begins));
    }
}

#[test]
fn a_forced_takeover_is_tried_for_thirty_seconds() {
    let mut side = Side::of(2);
    side.reads(THEIRS, 6000);
    side.run(6000, |group, cx, out| group.force(cx, out));
    let forced = |side: &mut Side, now| {
        side.reads(THEIRS, now);
        let tried = side.run(now, |group, cx, out| {
            let view = group.view(cx);
            group.forced(&view, cx, out)
        });
        side.group.take.under_way = None;
        (tried, side.told("forced"))
    };
    assert_eq!((forced(&mut side, 6001), forced(&mut side, 35_999)), ((true, 1), (true, 2)));
    assert_eq!(forced(&mut side, 36_000), (false, 2));
    let mut side = Side::of(2);
    side.group.memory.maintenance.on = true;
    side.run(6000, |group, cx, out| group.force(cx, out));
    assert!(side.group.forced.is_none() && side.told("force-refused") == 1);
}

#[test]
fn what_leaves_or_is_set_to_standby_is_offered_to_who_can_take_it() {
    // Leaving, standby, maintenance, the role, whether somebody could take it; whether it is offered.
    for (leaving, standby_wanted, maintenance, role, taker, offers) in [
        (true, false, false, Role::Active, true, true),
        (false, true, false, Role::Active, true, true),
        (false, false, false, Role::Active, true, false),
        (true, true, true, Role::Active, true, false),
        (true, true, false, Role::Standby, true, false),
        (true, true, false, Role::Active, false, false),
    ] {
        let mut side = Side::of(2);
        (side.group.leaving, side.group.role) = (leaving, role);
        (side.group.memory.standby, side.group.memory.maintenance.on) = (standby_wanted, maintenance);
        side.says(1, 100, GroupReport { eligible: taker, ..standby() });
        side.run(200, |group, cx, out| group.tend_offer(cx, out));
        assert_eq!(
            side.group.offer.is_some(),
            offers,
            "{leaving} {standby_wanted} {maintenance} {role:?} {taker}"
        );
    }
}

#[test]
fn an_offer_ends_with_the_rows_in_which_it_may_be_made() {
    for (role, row, ends) in [
        (Role::Active, Row::Serve, false),
        (Role::Standby, Row::OwnUnfit, false),
        (Role::Standby, Row::OwnAnchor, false),
        (Role::Standby, Row::Watch, true),
    ] {
        let mut side = Side::of(2);
        side.run(100, |group, cx, out| group.make_offer(None, cx, out));
        (side.group.role, side.group.row) = (role, row);
        side.run(200, |group, cx, out| group.tend_offer(cx, out));
        assert_eq!(side.group.offer.is_none(), ends, "{role:?} {row:?}");
    }
    let mut side = Side::of(2);
    side.group.role = Role::Active;
    side.run(0, |group, cx, out| group.make_offer(None, cx, out));
    side.run(12_999, |group, cx, out| group.tend_offer(cx, out));
    assert!(side.group.offer.is_some());
    side.run(13_000, |group, cx, out| group.tend_offer(cx, out));
    assert!(side.group.offer.is_none() && side.told("offer-failed") == 1, "ten seconds, and a call");
}

#[test]
fn a_service_that_runs_alone_stops_when_its_offer_is_answered_but_not_in_maintenance() {
    for (maintenance, answered, stops) in [(false, true, true), (true, true, false), (false, false, false)] {
        let mut side = Side::with(3, |group| group.cold = true);
        side.group.role = Role::Active;
        side.group.desired = Some(Desired::Serve { repair: true });
        side.group.memory.maintenance.on = maintenance;
        side.run(100, |group, cx, out| group.make_offer(None, cx, out));
        let id = side.group.offer.as_ref().unwrap().id;
        side.says(1, 150, GroupReport { ready: Some(id + 1), ..standby() });
        side.says(2, 150, GroupReport { ready: answered.then_some(id), ..standby() });
        side.out.urgent = false;
        side.run(200, |group, cx, out| group.tend_offer(cx, out));
        assert_eq!(side.group.desired == Some(Desired::Standby), stops, "{maintenance} {answered}");
        let offer = side.group.offer.as_ref().unwrap();
        assert_eq!((offer.answered_by, offer.stopped), (answered.then_some(NodeId(2)), false));
        assert!(side.out.urgent, "the others hear that it is not for them, or it is repeated");
        if stops {
            side.group.converged = true;
            side.run(300, |group, cx, out| group.tend_offer(cx, out));
            assert!(side.group.offer.as_ref().unwrap().stopped);
        }
    }
}

#[test]
fn a_failed_service_whose_offer_nobody_hears_is_given_away_only_with_a_lease() {
    type Change = fn(&mut Side);
    let cases: [(Change, bool); 7] = [
        (|_| {}, true),
        (|side| side.group.lease = None, false),
        (|side| side.group.fit = true, false),
        (|side| side.group.role = Role::Standby, false),
        (|side| side.group.memory.maintenance.on = true, false),
        (|side| side.peers[0].reports[0].eligible = false, false),
        (|side| side.group.offer.as_mut().unwrap().answered_by = Some(NodeId(1)), false),
    ];
    for (number, (change, gives)) in cases.into_iter().enumerate() {
        let mut side = holder();
        (side.group.fit, side.group.row) = (false, Row::OwnUnfit);
        side.run(0, |group, cx, out| group.make_offer(None, cx, out));
        side.says(1, 13_000, standby());
        change(&mut side);
        side.run(13_000, |group, cx, out| group.tend_offer(cx, out));
        assert_eq!((side.told("offer-failed"), side.told("stands-aside") == 1), (1, gives), "{number}");
    }
}

#[test]
fn the_guard_is_told_before_the_service_is_wanted_and_only_then() {
    let mut side = holder();
    side.group.desired = Some(Desired::Standby);
    side.group.converged = true;
    side.run(100, |group, cx, out| group.serve(true, cx, out));
    let place = |wanted: fn(&Command) -> bool| side.out.commands.iter().position(wanted).unwrap();
    let guarded = place(|it| matches!(it, Command::Guard { until: Some(_), .. }));
    assert!(guarded < place(|it| matches!(it, Command::Converge { .. })));
    assert_eq!(side.group.desired, Some(Desired::Serve { repair: true }));
    side.group.converged = true;
    side.run(200, |group, cx, out| group.serve(true, cx, out));
    assert!(side.group.converged, "nothing new is wanted");
}

#[test]
fn who_is_active_already_does_not_become_so_again() {
    let mut side = Side::of(2);
    side.says(1, 0, active(4));
    for _ in 0..2 {
        side.run(100, |group, cx, out| group.become_active(Row::OwnAnchor, "why", cx, out));
    }
    assert_eq!((side.group.term, side.group.memory.term, side.told("role-changed")), (5, 5, 1));
    assert_eq!(side.group.role_since, at(100));
}
