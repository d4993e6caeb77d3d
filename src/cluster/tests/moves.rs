//! What moves a group besides the table's rows: failures of the service, the probe, failback, a service that must
//! run alone, a forced takeover.

use std::time::Duration;

use super::*;

fn pair(change: impl FnOnce(&mut GroupSettings)) -> World {
    let mut settings = settings(2);
    change(&mut settings.groups[0]);
    let mut world = World::empty(settings, Held::By(0));
    world.start(0);
    world.start(1);
    world.run(ms(60_000));
    assert_eq!(world.active(), [0]);
    world.notices.clear();
    world.takes.clear();
    world
}

fn fails(world: &mut World, node: u8, how: ServiceFailure) {
    world.tell(node, Event::ServiceFailed { group: GroupId(0), how });
    world.run(ms(1_000));
}

#[test]
fn failures_are_counted_up_to_the_threshold_and_then_the_group_moves() {
    let mut world = pair(|_| {});
    fails(&mut world, 0, ServiceFailure::Running);
    fails(&mut world, 0, ServiceFailure::Running);
    assert_eq!(world.active(), [0]);
    fails(&mut world, 0, ServiceFailure::Running);
    assert_eq!(world.active(), [1]);
    assert!(world.said(1, "offer-heard") && world.takes.len() == 1);
    assert!(world.group(0).ineligible.unwrap().contains("failed here 3 times"));
    // Barred until cleanup, also over a restart of the agent.
    world.kill(0);
    world.start(0);
    world.run(ms(60_000));
    assert!(world.group(0).ineligible.unwrap().contains("barred"));
    assert!(world.group(0).barred && world.group(0).fail_count > 0);
    assert!(!world.group(1).barred && world.group(1).fail_count == 0);
    // The active node knows it, too.
    assert_eq!(world.group(1).not_takers, [(NodeId(0), Some(WhyNot::Barred))]);
    assert!(world.group(1).takers.is_empty());
    world.tell(0, Event::Asked(Wish::Cleanup(GroupId(0))));
    world.run(ms(1_000));
    assert_eq!(world.group(0).ineligible, None);
    assert!(world.group(1).not_takers.is_empty());
}

#[test]
fn a_barred_node_serves_all_the_same_while_nobody_better_is_heard() {
    // The active node's service has failed too often, nobody else is there, and its agent is upgraded.
    let mut world = pair(|_| {});
    world.kill(1);
    world.run(ms(5_000));
    for _ in 0..3 {
        fails(&mut world, 0, ServiceFailure::Running);
    }
    assert_eq!(world.active(), [0], "and limps on");
    world.kill(0);
    world.start(0);
    world.run(ms(29_000));
    assert!(world.active().is_empty(), "somebody may be heard yet");
    world.run(ms(15_000));
    assert_eq!(world.active(), [0]);
    assert!(world.group(0).barred);
    // Somebody better comes, with no failures of its own: it is offered the group.
    world.settings.groups[0].memory = Memory::default();
    world.start(1);
    world.run(ms(60_000));
    assert_eq!(world.active(), [1]);
    // An operator's wish is no failure.
    let mut world = pair(|_| {});
    world.kill(1);
    world.tell(0, Event::Asked(Wish::Standby(GroupId(0), true)));
    world.kill(0);
    world.start(0);
    world.run(ms(120_000));
    assert!(world.active().is_empty());
}

#[test]
fn a_start_that_fails_bars_at_once() {
    let mut world = pair(|_| {});
    fails(&mut world, 0, ServiceFailure::Start);
    assert_eq!(world.active(), [1]);
}

#[test]
fn failures_are_forgotten_after_the_failure_timeout() {
    let mut world = pair(|group| group.failure_timeout = Some(ms(60_000)));
    fails(&mut world, 0, ServiceFailure::Running);
    fails(&mut world, 0, ServiceFailure::Running);
    world.run(ms(61_000));
    assert!(world.said(0, "failures-forgotten"));
    fails(&mut world, 0, ServiceFailure::Running);
    assert_eq!(world.active(), [0]);
}

#[test]
fn failures_in_maintenance_or_after_a_stall_do_not_count() {
    let mut world = pair(|group| group.migration_threshold = 1);
    world.frozen = vec![0];
    world.run(ms(1_500));
    world.frozen.clear();
    world.run(ms(300));
    fails(&mut world, 0, ServiceFailure::Running);
    assert!(world.said(0, "failure-ignored"));
    assert_eq!(world.active(), [0]);
    world.run(ms(10_000));
    world.tell(0, Event::Asked(Wish::Maintenance(GroupId(0), true)));
    fails(&mut world, 0, ServiceFailure::Running);
    world.tell(0, Event::Asked(Wish::Maintenance(GroupId(0), false)));
    world.run(ms(10_000));
    assert_eq!(world.active(), [0]);
    fails(&mut world, 0, ServiceFailure::Running);
    assert_eq!(world.active(), [1]);
}

#[test]
fn a_probe_that_answers_holds_and_one_that_does_not_takes() {
    let mut world = pair(|group| group.when_silent = WhenSilent::Probe);
    world.kill(0);
    world.run(ms(60_000));
    assert!(world.takes.is_empty(), "the service answers");
    world.probe_answers = false;
    world.run(ms(5_000));
    assert_eq!(world.active(), [1]);
    assert_eq!(world.takes.len(), 1);
}

#[test]
fn a_probe_that_never_answered_in_this_tenure_says_nothing() {
    let mut world = World::empty(
        {
            let mut settings = settings(2);
            settings.groups[0].when_silent = WhenSilent::Probe;
            settings
        },
        Held::By(0),
    );
    world.probe_answers = false;
    world.start(0);
    world.start(1);
    world.run(ms(60_000));
    world.takes.clear();
    world.kill(0);
    world.run(ms(120_000));
    assert!(world.takes.is_empty());
    // Proof needs no probe.
    world.instances[0] = Some(Running::No);
    world.run(ms(6_000));
    assert_eq!(world.active(), [1]);
}

#[test]
fn what_the_probe_has_learned_outlives_a_time_without_ec2() {
    let mut world = pair(|group| group.when_silent = WhenSilent::Probe);
    world.cloudless = vec![1];
    world.run(ms(40_000));
    world.probe_answers = false;
    world.kill(0);
    world.run(ms(60_000));
    assert!(world.takes.is_empty());
    world.cloudless.clear();
    world.run(ms(30_000));
    assert_eq!(world.active(), [1], "it had answered in this tenure, and answers no more");
}

#[test]
fn failback_waits_until_the_preferred_node_was_fit_for_so_long() {
    let mut world = pair(|group| group.failback = Some(Duration::from_secs(120)));
    world.tell(0, Event::Asked(Wish::Switchover(GroupId(0), None)));
    world.run(ms(5_000));
    assert_eq!(world.active(), [1]);
    world.run(ms(110_000));
    assert_eq!(world.active(), [1]);
    world.run(ms(15_000));
    assert_eq!(world.active(), [0]);
    assert!(world.said(1, "failback"));
    world.run(ms(300_000));
    assert_eq!(world.active(), [0], "and there it stays");
}

#[test]
fn failback_and_switchover_do_not_go_to_a_node_that_is_deaf() {
    let mut world = pair(|group| {
        group.failback = Some(Duration::from_secs(30));
        // Else the deaf one would take what it believes to be silent.
        group.when_silent = WhenSilent::Hold;
    });
    world.tell(0, Event::Asked(Wish::Switchover(GroupId(0), None)));
    world.run(ms(5_000));
    assert_eq!(world.active(), [1]);
    world.cut = vec![(1, 0)];
    world.run(ms(3_000));
    world.takes.clear();
    world.tell(1, Event::Asked(Wish::Switchover(GroupId(0), Some(NodeId(0)))));
    assert!(world.said(1, "switchover-refused"));
    world.run(ms(20_000));
    assert_eq!(world.active(), [1]);
    assert!(world.takes.is_empty() && !world.said(1, "failback"));
}

#[test]
fn a_cold_service_stops_here_before_it_starts_there() {
    let mut world = pair(|group| group.cold = true);
    world.tell(0, Event::Asked(Wish::Switchover(GroupId(0), None)));
    for _ in 0..400 {
        world.run(ms(5));
        let serves = |node: usize| matches!(world.desired[node], Some(Desired::Serve { .. }));
        assert!(!(serves(0) && serves(1)));
    }
    assert_eq!(world.active(), [1]);
}

#[test]
fn a_cold_service_starts_again_if_nobody_takes_it() {
    let mut world = pair(|group| group.cold = true);
    world.take_answer = Some(Failure::Refused);
    world.tell(0, Event::Asked(Wish::Switchover(GroupId(0), None)));
    world.run(ms(2_000));
    assert_eq!(world.desired[0], Some(Desired::Standby));
    world.run(ms(14_000));
    assert!(matches!(world.desired[0], Some(Desired::Serve { .. })));
    assert_eq!(world.active(), [0]);
    assert!(world.said(0, "offer-failed"));
}

#[test]
fn a_forced_takeover_passes_a_stranger_and_a_heard_holder_but_not_maintenance() {
    let mut world = pair(|_| {});
    world.tell(1, Event::Asked(Wish::TakeOver(GroupId(0))));
    world.run(ms(2_000));
    assert_eq!(world.active(), [1]);
    world.holder[0] = Held::Stranger;
    world.run(ms(60_000));
    assert!(world.active().is_empty());
    world.tell(0, Event::Asked(Wish::TakeOver(GroupId(0))));
    world.run(ms(2_000));
    assert_eq!(world.active(), [0]);
    world.tell(0, Event::Asked(Wish::Maintenance(GroupId(0), true)));
    world.run(ms(1_000));
    world.tell(1, Event::Asked(Wish::TakeOver(GroupId(0))));
    world.run(ms(10_000));
    assert_eq!(world.active(), [0]);
    assert!(world.said(1, "force-refused"));
}

#[test]
fn in_maintenance_the_rest_is_not_repaired() {
    let mut world = pair(|_| {});
    assert_eq!(world.desired[0], Some(Desired::Serve { repair: true }));
    world.tell(0, Event::Asked(Wish::Maintenance(GroupId(0), true)));
    world.run(ms(100));
    assert_eq!(world.active(), [0]);
    assert_eq!(world.desired[0], Some(Desired::Serve { repair: false }));
    world.tell(0, Event::Asked(Wish::Maintenance(GroupId(0), false)));
    world.run(ms(20_000));
    assert_eq!(world.desired[0], Some(Desired::Serve { repair: true }));
}

#[test]
fn a_cold_service_that_was_offered_as_stopped_does_not_start_while_the_offer_lasts() {
    let mut world = pair(|group| group.cold = true);
    world.take_answer = Some(Failure::Refused);
    // Its agent restarts: a standby whose anchor it is, and which is not fit (row 10).
    world.kill(0);
    world.start(0);
    world.tell(0, Event::ServiceChanged { group: GroupId(0), fit: false });
    world.run_until(ms(5), |world| world.said(0, "offered") && world.desired[0] == Some(Desired::Standby));
    world.run(ms(200));
    assert!(world.said(1, "take-refused"), "node 1 has heard that it may take");
    world.tell(0, Event::ServiceChanged { group: GroupId(0), fit: true });
    world.run(ms(9_000));
    assert!(world.active().is_empty(), "another call of node 1 may be under way");
    world.run(ms(6_000));
    assert_eq!(world.active(), [0]);
}

fn three() -> World {
    let mut world = World::new(3, Held::By(0));
    world.run(ms(60_000));
    assert_eq!(world.active(), [0]);
    world.takes.clear();
    world.notices.clear();
    world
}

#[test]
fn an_offer_to_one_of_three_is_taken_at_once_whether_the_third_is_heard_or_not() {
    for (third_lives, to) in [(true, 1), (true, 2), (false, 1)] {
        let mut world = three();
        if !third_lives {
            world.kill(2);
            world.run(ms(10_000));
        }
        let asked = world.now;
        world.tell(0, Event::Asked(Wish::Switchover(GroupId(0), Some(NodeId(to)))));
        world.run(ms(5000));
        assert_eq!((world.active(), world.takes.len()), (vec![to], 1), "{third_lives}");
        assert!(world.takes[0].0.since(asked) <= ms(5), "whom it names need not wait for a step");
    }
}

#[test]
fn an_offer_to_all_is_taken_by_one_after_the_other() {
    let mut world = three();
    world.refused = vec![1];
    world.tell(1, Event::ServiceChanged { group: GroupId(0), fit: false });
    world.tell(2, Event::ServiceChanged { group: GroupId(0), fit: false });
    world.run(ms(500));
    // Nobody is eligible: it is offered to all, and then both are.
    world.tell(0, Event::ServiceChanged { group: GroupId(0), fit: false });
    world.run(ms(100));
    let fit = world.now;
    world.tell(1, Event::ServiceChanged { group: GroupId(0), fit: true });
    world.run(ms(50));
    world.tell(2, Event::ServiceChanged { group: GroupId(0), fit: true });
    world.run(ms(4000));
    let first = |node| world.takes.iter().find(|(_, taker, _)| *taker == node).unwrap().0.since(fit);
    assert!(first(1) <= ms(300) && first(2) >= ms(1800), "{:?}", world.takes);
    assert_eq!(world.active(), [2]);
}

#[test]
fn an_offer_of_who_has_fallen_silent_is_forgotten() {
    let mut world = pair(|_| {});
    world.refused = vec![1];
    world.tell(0, Event::Asked(Wish::Switchover(GroupId(0), None)));
    world.run(ms(500));
    assert_eq!(world.group(1).row, Row::Offered);
    world.kill(0);
    world.run(ms(2500));
    assert_eq!(world.group(1).row, Row::Silent);
}

#[test]
fn a_warm_service_that_was_offered_and_is_fit_again_starts_at_once() {
    let mut world = pair(|_| {});
    world.take_answer = Some(Failure::Refused);
    world.kill(0);
    world.start(0);
    world.tell(0, Event::ServiceChanged { group: GroupId(0), fit: false });
    world.run_until(ms(5), |world| world.said(0, "offered"));
    world.run(ms(200));
    world.tell(0, Event::ServiceChanged { group: GroupId(0), fit: true });
    world.run(ms(10));
    assert_eq!(world.active(), [0]);
}

#[test]
fn nobody_is_forced_who_could_not_serve_or_whose_call_is_under_way() {
    let unable = Event::AbilityChanged { group: GroupId(0), able: Err("no".into()) };
    for cannot in [unable, Event::ServiceChanged { group: GroupId(0), fit: false }] {
        let mut world = pair(|_| {});
        world.tell(1, cannot);
        world.tell(1, Event::Asked(Wish::TakeOver(GroupId(0))));
        world.run(ms(35_000));
        assert_eq!((world.active(), world.takes.len()), (vec![0], 0));
        // The wish lasts for thirty seconds.
        world.tell(1, Event::AbilityChanged { group: GroupId(0), able: Ok(()) });
        world.tell(1, Event::ServiceChanged { group: GroupId(0), fit: true });
        world.run(ms(10_000));
        assert_eq!(world.active(), [0]);
    }
    let mut world = pair(|_| {});
    world.delays = vec![Delay { node: 1, lands: ms(2000), answered: true }];
    world.tell(1, Event::Asked(Wish::TakeOver(GroupId(0))));
    world.run(ms(1500));
    assert_eq!(world.takes.len(), 1);
    world.run(ms(5000));
    assert_eq!((world.active(), world.takes.len()), (vec![1], 1));
}

#[test]
fn a_forced_takeover_takes_from_nobody_in_the_call_that_fails_if_somebody_was_faster() {
    let mut world = pair(|_| {});
    world.kill(0);
    world.holder[0] = Held::Nobody;
    world.tell(1, Event::Asked(Wish::Standby(GroupId(0), true)));
    world.run(ms(30_000));
    world.tell(1, Event::Asked(Wish::Standby(GroupId(0), false)));
    world.tell(1, Event::Asked(Wish::TakeOver(GroupId(0))));
    world.run(ms(1000));
    assert_eq!((world.active(), world.takes.last().map(|it| it.2)), (vec![1], Some(TakeFrom::Nobody)));
}
