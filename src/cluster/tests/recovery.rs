//! A lost peer's instance is brought back: by whom, when, how often, and when not.

use super::*;

const BOOT: Duration = Duration::from_secs(60);

fn recovering(nodes: u8, when_lost: WhenLost) -> Settings {
    Settings {
        recovery: Some(RecoverySettings { when_lost, boot_time: BOOT, attempts: 3 }),
        ..settings(nodes)
    }
}

/// Node 0 is active, all are heard.
fn world(of: Settings) -> World {
    let nodes = of.nodes;
    let mut world = World::empty(of, Held::By(0));
    for node in 0..nodes {
        world.start(node);
    }
    world.run(ms(60_000));
    assert_eq!(world.active(), [0]);
    world
}

fn view(world: &World) -> Option<snapshot::RecoveryView> {
    world.core(0).snapshot(world.now).peers[0].recovery
}

#[test]
fn a_dead_standby_is_rebooted_three_times_with_time_to_boot_and_then_no_more() {
    let mut world = world(recovering(2, WhenLost::Reboot));
    world.kill(1);
    let died = world.now;
    world.run(ms(59_000));
    assert_eq!(world.recoveries, []);
    assert_eq!(view(&world).map(|it| (it.state, it.attempts)), Some((snapshot::RecoveryState::Waiting, 0)));
    world.run(ms(600_000));
    assert_eq!(world.recoveries.len(), 3, "{:?}", world.recoveries);
    for (n, (at, by, whom, remedy)) in (1..).zip(&world.recoveries) {
        assert_eq!((*by, *whom, *remedy), (0, 1, Remedy::Reboot));
        let after = at.since(died);
        assert!(after >= BOOT * n && after < BOOT * n + ms(10_000), "attempt {n} after {after:?}");
    }
    assert!(world.said(0, "recovery-failed"));
    assert_eq!(view(&world).map(|it| (it.state, it.attempts)), Some((snapshot::RecoveryState::GaveUp, 3)));
    // An operator has looked at it.
    world.tell(0, Event::Asked(Wish::Cleanup(GroupId(0))));
    world.run(ms(10_000));
    assert_eq!(world.recoveries.len(), 4);
    // It is heard again, but not for long: the count goes on.
    world.start(1);
    world.run(ms(30_000));
    assert_eq!(view(&world).map(|it| (it.state, it.attempts)), Some((snapshot::RecoveryState::Heard, 1)));
    world.run(ms(40_000));
    assert!(world.said(0, "recovered"));
    assert_eq!(view(&world), None);
}

#[test]
fn a_restart_is_a_stop_and_when_it_has_stopped_a_start() {
    let mut world = world(recovering(2, WhenLost::Restart));
    world.kill(1);
    world.run(ms(75_000));
    let remedies: Vec<Remedy> = world.recoveries.iter().map(|it| it.3).collect();
    assert_eq!(remedies, [Remedy::Stop, Remedy::Start]);
    assert_eq!(view(&world).map(|it| it.attempts), Some(1), "both are one attempt");
    world.run(ms(70_000));
    assert_eq!(world.recoveries.len(), 4);
}

#[test]
fn a_restart_that_has_begun_is_ended_by_the_agent_that_runs_next() {
    let mut world = world(recovering(2, WhenLost::Restart));
    world.kill(1);
    world.run(ms(60_000));
    // It is still stopping when this agent ends.
    while world.recoveries.is_empty() {
        world.run(ms(1));
    }
    world.instances[1] = Some(Running::Ending);
    world.kill(0);
    world.start(0);
    world.run(ms(30_000));
    assert_eq!(world.recoveries.len(), 1);
    world.instances[1] = Some(Running::No);
    world.run(ms(30_000));
    let remedies: Vec<Remedy> = world.recoveries.iter().map(|it| it.3).collect();
    assert_eq!(remedies, [Remedy::Stop, Remedy::Start]);
    world.instances[1] = Some(Running::No);
    world.run(ms(300_000));
    assert_eq!(world.recoveries.len(), 2, "it is started once, and was not heard since");
    assert!(world.settings.groups[0].memory.restarting.is_empty());
}

#[test]
fn who_is_taken_over_from_is_rebooted_by_the_node_that_took() {
    let mut world = world(recovering(2, WhenLost::Reboot));
    world.kill(0);
    world.run(ms(90_000));
    assert_eq!(world.active(), [1]);
    assert_eq!(world.recoveries.iter().map(|it| (it.1, it.2)).collect::<Vec<_>>(), [(1, 0)]);
}

#[test]
fn a_partition_reboots_one_side_at_most() {
    let mut world = world(recovering(2, WhenLost::Reboot));
    world.cut = vec![(0, 1), (1, 0)];
    world.run(ms(600_000));
    let by: Vec<u8> = world.recoveries.iter().map(|it| it.1).collect();
    assert_eq!(world.active().len(), 1);
    assert_eq!(by, vec![world.active()[0]; 3]);
}

#[test]
fn what_is_stopped_by_others_left_heard_by_others_or_never_seen_is_left_alone() {
    // An operator stopped it.
    let mut world = world(recovering(2, WhenLost::Reboot));
    world.instances[1] = Some(Running::No);
    world.kill(1);
    world.run(ms(300_000));
    assert_eq!(world.recoveries, []);
    // It said goodbye.
    let mut world = self::world(recovering(2, WhenLost::Reboot));
    world.tell(1, Event::ShutdownAsked(Shutdown::Stop));
    world.run(ms(300_000));
    assert_eq!(world.recoveries, []);
    // Another node hears it.
    let mut world = self::world(recovering(3, WhenLost::Reboot));
    world.cut = vec![(0, 2), (2, 0)];
    world.run(ms(300_000));
    assert_eq!(world.recoveries, []);
    // It was not heard since our start.
    let mut world = World::empty(recovering(2, WhenLost::Reboot), Held::By(0));
    world.start(0);
    world.run(ms(300_000));
    assert_eq!((world.active(), world.recoveries.len()), (vec![0], 0));
}

#[test]
fn in_maintenance_without_ec2_and_after_a_stall_nothing_is_rebooted() {
    let mut world = world(recovering(2, WhenLost::Reboot));
    world.tell(0, Event::Asked(Wish::Maintenance(GroupId(0), true)));
    world.kill(1);
    world.run(ms(200_000));
    assert_eq!(world.recoveries, []);
    world.cloudless = vec![0];
    world.tell(0, Event::Asked(Wish::Maintenance(GroupId(0), false)));
    world.run(ms(200_000));
    assert_eq!(world.recoveries, []);
    world.cloudless.clear();
    // EC2 says that this node itself is stopping.
    world.instances[0] = Some(Running::Ending);
    world.run(ms(200_000));
    assert_eq!(world.recoveries, []);
    world.instances[0] = Some(Running::Yes);
    world.run(ms(40_000));
    assert_eq!(world.recoveries.len(), 1);
}

#[test]
fn who_was_fenced_by_us_is_started() {
    let mut of = recovering(2, WhenLost::Reboot);
    of.groups[0].fencing = Fencing::Before;
    let mut world = world(of);
    world.kill(0);
    world.run(ms(10_000));
    assert_eq!(world.fences.len(), 1);
    world.instances[0] = Some(Running::No);
    world.run(ms(100_000));
    assert_eq!(world.active(), [1]);
    assert_eq!(world.recoveries.iter().map(|it| (it.2, it.3)).collect::<Vec<_>>(), [(0, Remedy::Start)]);
}

#[test]
fn a_call_that_was_not_carried_out_is_no_attempt_and_a_refusal_is_one() {
    let mut world = world(recovering(2, WhenLost::Reboot));
    world.recovery_answer = Err(Failure::Passing);
    world.kill(1);
    world.run(ms(95_000));
    assert!(world.recoveries.len() >= 2);
    assert_eq!(view(&world).map(|it| it.attempts), Some(0));
    let before = world.recoveries.len();
    world.recovery_answer = Err(Failure::Refused);
    world.run(ms(600_000));
    assert_eq!(world.recoveries.len(), before + 3);
    assert!(world.said(0, "recovery-refused") && world.said(0, "recovery-failed"));
}
