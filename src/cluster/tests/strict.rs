//! With the lease: schedules in which two services could run, or one without its guard.

use std::time::Duration;

use super::*;

fn leased(length: Duration) -> Settings {
    let mut settings = settings(2);
    settings.groups[0].lease = Some(LeaseSettings { length, stop_bound: ms(2000), grace: Duration::ZERO });
    settings
}

fn pair(length: Duration) -> World {
    let mut world = World::empty(leased(length), Held::Nobody);
    world.start(0);
    world.run(ms(10_000));
    world.start(1);
    world.run(ms(60_000));
    assert_eq!(world.active(), [0]);
    world.takes.clear();
    world.notices.clear();
    world.guards.clear();
    world
}

/// No two were ever told to serve at one instant.
fn never_two(world: &World) {
    let mut serves = [false; 2];
    for (at, node, desired) in &world.wishes {
        serves[usize::from(*node)] = matches!(desired, Desired::Serve { .. });
        assert_ne!(serves, [true, true], "at {at:?}: {:?}", world.wishes);
    }
}

#[test]
fn the_guard_is_told_before_the_service_is_wanted() {
    let mut world = pair(ms(10_000));
    world.kill(0);
    world.wishes.clear();
    world.guards_at.clear();
    world.run(ms(15_000));
    // A standby whose service has stopped has taken the lease.
    assert!(world.wishes.iter().all(|(_, node, _)| *node == 1));
    assert!(matches!(world.wishes[0].2, Desired::Serve { .. }), "{:?}", world.wishes);
    assert_eq!(world.guards_at[0], 0, "the guard first");
}

#[test]
fn what_was_offered_as_stopped_is_renewed_before_it_is_served_again() {
    // A lease that outlasts the offer.
    let mut world = pair(ms(60_000));
    world.tell(0, Event::Asked(Wish::Switchover(GroupId(0), None)));
    // The taker's write is on its way, and lands when the offer is over.
    world.table_delay = ms(13_100);
    world.run(ms(40_000));
    never_two(&world);
    world.table_delay = Duration::ZERO;
    world.run(ms(120_000));
    never_two(&world);
    assert_eq!(world.active().len(), 1);
}

#[test]
fn a_forced_takeover_waits_for_the_lease() {
    let mut world = pair(ms(10_000));
    world.tell(1, Event::Asked(Wish::TakeOver(GroupId(0))));
    world.run(ms(40_000));
    never_two(&world);
    assert_eq!(world.active(), [0]);
    // Its holder is gone: as soon as the lease has run out.
    world.kill(0);
    world.tell(1, Event::Asked(Wish::TakeOver(GroupId(0))));
    assert!(world.said(1, "force-waits"));
    world.run(ms(7_900));
    assert!(world.active().is_empty());
    world.run(ms(4_200));
    assert_eq!(world.active(), [1]);
}

#[test]
fn an_agent_that_starts_in_maintenance_disarms_the_guard_that_it_finds() {
    let mut world = pair(ms(10_000));
    world.run(ms(2_500));
    assert!(world.guards.last().unwrap().2.is_some());
    world.kill(0);
    world.tell(1, Event::Asked(Wish::Maintenance(GroupId(0), true)));
    world.run(ms(500));
    world.start(0);
    world.run(ms(3_000));
    let last = world.guards.iter().rfind(|(_, node, _)| *node == 0).unwrap();
    assert_eq!(last.2, None, "maintenance changes nothing, and the guard would");
}

#[test]
fn a_lease_that_lapsed_in_maintenance_is_guarded_again_when_that_ends() {
    let mut world = pair(ms(10_000));
    world.tell(0, Event::Asked(Wish::Maintenance(GroupId(0), true)));
    world.table_fails = Some(Failure::Passing);
    world.run(ms(30_000));
    assert_eq!(world.desired[0], Some(Desired::Serve { repair: false }), "nothing is changed");
    // The service will not stop.
    world.stuck = vec![0];
    world.tell(0, Event::Asked(Wish::Maintenance(GroupId(0), false)));
    let ended = world.now;
    world.run(ms(10_000));
    assert_eq!(world.desired[0], Some(Desired::Standby));
    let last = world.guards.iter().rfind(|(_, node, _)| *node == 0).unwrap();
    assert!(last.2.is_some_and(|until| until <= ended + ms(2_250)), "{last:?}");
}

#[test]
fn a_throttled_take_of_the_anchor_is_repeated_soon() {
    let mut world = pair(ms(10_000));
    world.take_answer = Some(Failure::Passing);
    world.kill(0);
    world.run_until(ms(5), |world| !world.takes.is_empty());
    world.run(ms(500));
    assert!(world.takes.len() >= 2, "as without a lease: {:?}", world.takes);
    world.take_answer = None;
    world.run(ms(2_000));
    assert_eq!(world.holder[0], Held::By(1));
}

#[test]
fn a_stopped_instance_is_no_proof_against_a_younger_lease() {
    let mut world = pair(ms(10_000));
    world.cut = vec![(0, 1), (1, 0)];
    world.run(ms(10_000));
    // What EC2 says of an instance that has meanwhile been started again.
    world.instances[0] = Some(Running::No);
    world.tell(1, Event::AbilityChanged { group: GroupId(0), able: Err("no".into()) });
    world.run(ms(6_000));
    world.instances[0] = None;
    world.tell(1, Event::AbilityChanged { group: GroupId(0), able: Ok(()) });
    world.run(ms(30_000));
    never_two(&world);
    assert_eq!(world.active(), [0]);
}

#[test]
fn a_restarted_standby_releases_the_guard_once_its_service_has_stopped() {
    let mut world = pair(ms(10_000));
    world.kill(0);
    world.run(ms(15_000));
    assert_eq!(world.active(), [1]);
    world.start(0);
    world.run(ms(5_000));
    let last = world.guards.iter().rfind(|(_, node, _)| *node == 0).unwrap();
    assert_eq!(last.2, None);
}

#[test]
fn the_goodbye_waits_until_the_lease_is_given_back() {
    let mut world = pair(ms(10_000));
    world.tell(1, Event::AbilityChanged { group: GroupId(0), able: Err("no".into()) });
    world.run(ms(500));
    world.table_delay = ms(1_500);
    world.tell(0, Event::ShutdownAsked(Shutdown::Stop));
    world.run_until(ms(5), |world| !world.exited.is_empty());
    assert_eq!(world.table.map(|lease| lease.owner), Some(None), "it ended before its last write landed");
}
