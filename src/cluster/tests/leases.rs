//! With `arbiter = "dynamodb"`: the lease owns the group, and nobody serves without it.

use std::time::Duration;

use super::*;

const LENGTH: Duration = Duration::from_secs(10);

fn leased(grace: Duration) -> Settings {
    let mut settings = settings(2);
    settings.groups[0].lease = Some(LeaseSettings { length: LENGTH, stop_bound: ms(2000), grace });
    settings
}

/// A pair in which node 0 holds the lease, and has for a minute.
fn pair_with(grace: Duration) -> World {
    let mut world = World::empty(leased(grace), Held::Nobody);
    world.start(0);
    world.run(ms(10_000));
    world.start(1);
    world.run(ms(60_000));
    assert_eq!(world.active(), [0]);
    assert_eq!(world.holder[0], Held::By(0), "the anchor follows the lease");
    world.takes.clear();
    world.notices.clear();
    world.guards.clear();
    world
}

fn pair() -> World {
    pair_with(Duration::ZERO)
}

fn owner(world: &World) -> Option<u8> {
    world.table.and_then(|lease| lease.owner).map(|node| node.0)
}

#[test]
fn the_holder_renews_every_fifth_and_moves_the_guard_with_it() {
    let mut world = pair();
    world.run(ms(20_000));
    let guards: Vec<_> = world.guards.iter().map(|(_, node, until)| (*node, until.unwrap())).collect();
    assert!((9..=11).contains(&guards.len()), "{guards:?}");
    for (at, node, until) in &world.guards {
        assert_eq!(*node, 0);
        // Counted from the start of the attempt, which was answered 5 ms later.
        assert_eq!(until.unwrap().since(*at), LENGTH * 4 / 5 - ms(5));
    }
    assert!(world.takes.is_empty() && world.notices.is_empty(), "{:?}", world.notices);
}

#[test]
fn what_an_operator_sees_of_the_lease() {
    let mut world = pair();
    let serves_for = LENGTH * 4 / 5 - ms(2000);
    let view = |world: &World, node: u8| world.group(node).lease.unwrap();
    let (holder, contender) = (view(&world, 0), view(&world, 1));
    assert_eq!((holder.owner, contender.owner), (Some(NodeId(0)), Some(NodeId(0))));
    // It is renewed every two seconds.
    let left = holder.valid_for.unwrap();
    assert!(left <= serves_for && left > serves_for - ms(2100), "{left:?}");
    assert_eq!((holder.expires_in, contender.valid_for), (None, None));
    assert!(contender.expires_in.unwrap() > LENGTH / 2, "{contender:?}");
    assert_eq!((holder.failures, contender.failures), (0, 0));
    world.table_fails = Some(Failure::Passing);
    world.run(ms(4_000));
    let holder = view(&world, 0);
    assert!(holder.failures >= 3 && holder.valid_for.unwrap() < ms(3_000), "{holder:?}");
    world.run(ms(9_000));
    assert_eq!(view(&world, 0).valid_for, None, "its name still stands there, and counts for nothing");
    assert_eq!(view(&world, 0).owner, Some(NodeId(0)));
    assert_eq!(view(&world, 1).expires_in, Some(Duration::ZERO));
}

#[test]
fn a_killed_holder_is_replaced_once_its_lease_was_seen_for_its_whole_length() {
    let mut world = pair();
    world.kill(0);
    let died = world.now;
    world.run(ms(7_900));
    assert!(world.active().is_empty(), "the lease lasts");
    world.run(ms(4_200));
    assert_eq!(world.active(), [1]);
    assert_eq!(owner(&world), Some(1));
    assert_eq!(world.holder[0], Held::By(1));
    let (at, _, _) = world.takes[0];
    assert!(at.since(died) >= ms(8_000) && at.since(died) <= ms(12_000), "{:?}", at.since(died));
    assert_eq!(world.group(1).reason.0, Row::Free);
}

#[test]
fn silence_and_a_partition_move_nothing_while_the_lease_is_renewed() {
    let mut world = pair();
    world.cut = vec![(0, 1), (1, 0)];
    world.run(ms(120_000));
    assert_eq!(world.active(), [0]);
    assert!(world.takes.is_empty());
}

#[test]
fn without_dynamodb_the_holder_stands_down_before_eight_tenths_are_over() {
    let mut world = pair();
    let renewed = world.guards.clone();
    world.run(ms(2_000));
    assert_ne!(world.guards, renewed);
    world.table_fails = Some(Failure::NoAnswer);
    let (last, _, until) = *world.guards.last().unwrap();
    world.run_until(ms(10), |world| world.active() != [0]);
    assert!(world.now.since(last) <= ms(6_000), "{:?}", world.now.since(last));
    assert!(until.unwrap().since(world.now) >= ms(1_980), "the service has its stop bound");
    assert_eq!(world.group(0).reason.0, Row::Isolated);
    assert!(world.said(0, "lease-unanswered"));
    // Stopped: the guard need not do anything any more.
    world.run(ms(50));
    assert_eq!(world.guards.last().unwrap().2, None);
    world.run(ms(60_000));
    assert!(world.active().is_empty(), "no DynamoDB, no active node");
    world.table_fails = None;
    world.run(ms(15_000));
    assert_eq!(world.active().len(), 1);
}

#[test]
fn a_throttled_renewal_is_repeated_and_nothing_moves() {
    let mut world = pair();
    for _ in 0..20 {
        world.table_fails = Some(Failure::Passing);
        world.run(ms(2_500));
        world.table_fails = None;
        world.run(ms(2_500));
    }
    assert_eq!(world.active(), [0]);
    assert!(world.takes.is_empty());
}

#[test]
fn a_renewal_whose_answer_is_lost_is_settled_by_its_nonce_and_counts_from_its_first_attempt() {
    let mut world = pair();
    world.run_until(ms(10), |world| !world.guards.is_empty());
    let renewed = world.now;
    // The next renewal is carried out, and its answer lost.
    world.table_fails = Some(Failure::NoAnswer);
    world.run(ms(2_500));
    world.table_fails = None;
    world.run(ms(2_000));
    assert_eq!(world.active(), [0]);
    let (_, _, until) = world.guards[1];
    let first = until.unwrap() - LENGTH * 4 / 5;
    let after = first.since(renewed);
    assert!(after >= ms(1_990) && after <= ms(2_010), "{after:?}");
}

#[test]
fn a_frozen_holder_that_thaws_after_its_lease_stands_down_at_once() {
    let mut world = pair();
    world.frozen = vec![0];
    world.run(ms(30_000));
    assert_eq!(owner(&world), Some(1));
    world.frozen.clear();
    world.takes.clear();
    world.run(ms(300));
    assert_eq!(world.active(), [1]);
    assert_eq!(world.desired[0], Some(Desired::Standby));
    assert!(world.takes.iter().all(|(_, node, _)| *node == 1));
}

#[test]
fn a_late_write_of_the_old_holder_is_refused_by_its_condition() {
    let mut world = pair();
    let before = world.table;
    world.kill(0);
    world.run(ms(15_000));
    assert_eq!(owner(&world), Some(1));
    // What node 0 might have had under way when it died.
    let late = Lease { nonce: 99, ..before.unwrap() };
    assert_ne!(world.table.map(|lease| lease.nonce), before.map(|lease| lease.nonce));
    world.carry_out(
        1,
        Command::WriteLease {
            group: GroupId(0),
            call: 1 << 50,
            expect: before.map(|lease| lease.nonce),
            lease: late,
        },
    );
    world.run(ms(20_000));
    assert_eq!(world.active(), [1]);
}

#[test]
fn a_switchover_stops_the_service_before_the_other_one_takes() {
    let mut world = pair();
    world.tell(0, Event::Asked(Wish::Switchover(GroupId(0), None)));
    let mut stopped = None;
    for _ in 0..300 {
        world.run(ms(5));
        let serves = |node: usize| matches!(world.desired[node], Some(Desired::Serve { .. }));
        assert!(!(serves(0) && serves(1)));
        if world.desired[0] == Some(Desired::Standby) {
            stopped = stopped.or(Some(world.now));
        }
    }
    assert_eq!(world.active(), [1]);
    assert!(stopped.is_some());
    assert_eq!(owner(&world), Some(1));
    assert_eq!(world.takes.len(), 1, "the anchor follows: {:?}", world.takes);
}

#[test]
fn a_clean_stop_with_nobody_ready_gives_the_lease_back() {
    let mut world = pair();
    world.tell(1, Event::AbilityChanged { group: GroupId(0), able: Err("no".into()) });
    world.run(ms(500));
    world.tell(0, Event::ShutdownAsked(Shutdown::Stop));
    world.run(ms(4_000));
    assert_eq!(world.exited, [0]);
    assert_eq!(world.table.map(|lease| lease.owner), Some(None));
    world.tell(1, Event::AbilityChanged { group: GroupId(0), able: Ok(()) });
    world.run(ms(4_000));
    assert_eq!(world.active(), [1]);
}

#[test]
fn a_restarted_agent_renews_its_lease_and_its_service_goes_on() {
    let mut world = pair();
    world.kill(0);
    world.run(ms(1_000));
    world.start(0);
    world.run(ms(3_000));
    assert_eq!(world.active(), [0]);
    assert_eq!(world.group(0).reason.0, Row::OwnAnchor);
    assert_eq!(owner(&world), Some(0));
}

#[test]
fn a_stopped_instance_is_proof_and_the_lease_is_not_waited_for() {
    let mut world = pair();
    world.instances[0] = Some(Running::No);
    world.kill(0);
    let died = world.now;
    world.run(ms(3_500));
    assert_eq!(world.active(), [1], "{:?}", world.group(1));
    assert!(world.now.since(died) < ms(8_000));
    // Stopping is none: its service may still run.
    let mut world = pair();
    world.instances[0] = Some(Running::Ending);
    world.kill(0);
    world.run(ms(7_000));
    assert!(world.active().is_empty());
}

#[test]
fn grace_holds_while_every_other_node_is_heard_and_no_longer() {
    let mut world = pair_with(ms(60_000));
    world.table_fails = Some(Failure::NoAnswer);
    world.run(ms(30_000));
    assert_eq!(world.active(), [0], "DynamoDB is away, and the standby agrees");
    assert!(world.said(0, "lease-grace"));
    let (at, _, until) = *world.guards.last().unwrap();
    assert!(until.unwrap() > world.now && until.unwrap().since(at) <= LENGTH);
    world.cut = vec![(1, 0)];
    world.run(ms(2_500));
    assert!(world.active().is_empty(), "it hears nobody: it cannot know that it is alone");
    let mut world = pair_with(ms(20_000));
    world.table_fails = Some(Failure::NoAnswer);
    world.run(ms(40_000));
    assert!(world.active().is_empty(), "a grace is no licence");
}

#[test]
fn maintenance_disarms_the_guard_and_renews() {
    let mut world = pair();
    world.tell(0, Event::Asked(Wish::Maintenance(GroupId(0), true)));
    world.run(ms(100));
    assert_eq!(world.guards.last().unwrap().2, None);
    let before = world.table;
    world.run(ms(30_000));
    assert_ne!(world.table, before);
    assert_eq!((owner(&world), world.active()), (Some(0), vec![0]));
    world.tell(1, Event::Asked(Wish::Maintenance(GroupId(0), false)));
    world.run(ms(5_000));
    assert!(world.guards.last().unwrap().2.is_some());
    assert_eq!(world.active(), [0]);
}

#[test]
fn the_anchor_that_was_moved_away_is_taken_back_by_the_lease_holder_only() {
    let mut world = pair();
    world.holder[0] = Held::By(1);
    world.run(ms(30_000));
    assert_eq!(world.holder[0], Held::By(0));
    assert_eq!(world.active(), [0]);
    assert!(world.takes.iter().all(|(_, node, _)| *node == 0));
}

#[test]
fn an_anchor_that_is_moved_away_again_and_again_is_an_alarm_and_no_storm() {
    let mut world = pair();
    for _ in 0..60 {
        world.holder[0] = Held::Stranger;
        world.run(ms(5_000));
    }
    assert!(world.said(0, "anchor-moved-away"));
    assert!(world.takes.len() <= 12, "{}", world.takes.len());
}

#[test]
fn two_contenders_never_both_win() {
    let mut settings = leased(Duration::ZERO);
    settings.nodes = 3;
    settings.groups[0].nodes = vec![NodeId(0), NodeId(1), NodeId(2)];
    let mut world = World::empty(settings, Held::Nobody);
    (0..3).for_each(|node| world.start(node));
    // They do not hear each other: no step keeps one back.
    world.cut = (0..3).flat_map(|a| (0..3).map(move |b| (a, b))).collect();
    for _ in 0..6_000 {
        world.run(ms(10));
        assert!(world.active().len() <= 1);
    }
    assert_eq!(world.active().len(), 1);
}

#[test]
fn a_fit_node_takes_what_an_unfit_one_gives_back() {
    let mut world = pair();
    world.tell(0, Event::ServiceChanged { group: GroupId(0), fit: false });
    world.run(ms(5_000));
    assert_eq!(world.active(), [1]);
    assert_eq!(world.group(1).reason.0, Row::Offered);
}

#[test]
fn who_stops_offers_the_group_as_stopped_only_when_its_service_has() {
    let mut world = pair();
    world.converging = 1_000;
    world.tell(1, Event::AbilityChanged { group: GroupId(0), able: Err("no".into()) });
    world.run(ms(500));
    world.tell(0, Event::ShutdownAsked(Shutdown::Stop));
    world.run_until(ms(5), |world| world.desired[0] == Some(Desired::Standby));
    // Found by the simulator: somebody becomes able while the leaving node, already standby, still stops.
    world.tell(1, Event::AbilityChanged { group: GroupId(0), able: Ok(()) });
    world.run(ms(950));
    assert_eq!(owner(&world), Some(0), "{:?}", world.notices);
    world.run(ms(4_000));
    assert_eq!(world.active(), [1]);
}

#[test]
fn a_thawed_holder_that_is_heard_is_not_fenced() {
    let mut world = World::empty(leased(Duration::ZERO), Held::Nobody);
    world.settings.groups[0].fencing = Fencing::Before;
    world.fence_answer = Err(Failure::Passing);
    world.start(0);
    world.run(ms(10_000));
    world.start(1);
    world.run(ms(60_000));
    world.frozen = vec![0];
    world.run_until(ms(5), |world| world.said(1, "fencing"));
    // It thaws, and cannot renew: it is heard, and stands by. Found by the simulator: fencing began anew with every
    // datagram, and shot it as soon as it had renewed.
    world.table_fails = Some(Failure::Passing);
    world.frozen.clear();
    world.run(ms(1_000));
    let (said, fences) = (world.notices.len(), world.fences.len());
    world.run(ms(3_000));
    world.table_fails = None;
    world.run(ms(30_000));
    assert_eq!(world.active().len(), 1);
    assert_eq!(world.fences.len(), fences);
    let again = world.notices[said..].iter().filter(|(_, notice)| notice.id == "fencing").count();
    assert_eq!(again, 0);
}

#[test]
fn a_holder_that_cannot_take_the_anchor_gives_the_lease_to_one_that_can() {
    let mut world = pair();
    // Found by the simulator: EC2 denies node 0's writes, and somebody has moved the anchor away.
    world.refused = vec![0];
    world.holder[0] = Held::Orphaned;
    world.run(ms(60_000));
    assert!(world.said(0, "stands-aside"));
    assert_eq!((world.active(), world.holder[0]), (vec![1], Held::By(1)));
    world.run(ms(300_000));
    assert_eq!(world.active(), [1], "and there it stays");
}

#[test]
fn a_holder_that_does_not_reach_ec2_is_told_that_its_anchor_has_gone() {
    let mut world = pair();
    // Found by the simulator: only the peers can see that somebody has detached it.
    world.cloudless = vec![0];
    world.run(ms(60_000));
    assert_eq!(world.active(), [0], "unknown alone moves nothing");
    world.holder[0] = Held::Orphaned;
    world.run(ms(70_000));
    assert_eq!((world.active(), world.holder[0]), (vec![1], Held::By(1)));
}

#[test]
fn nobody_stands_aside_for_a_node_that_could_not_either() {
    let mut world = pair();
    world.tell(1, Event::AbilityChanged { group: GroupId(0), able: Err("no".into()) });
    world.refused = vec![0];
    world.holder[0] = Held::Orphaned;
    world.run(ms(120_000));
    assert_eq!(world.active(), [0]);
}

#[test]
fn a_failed_service_whose_offer_is_not_heard_gives_the_lease_back() {
    let mut world = pair();
    world.cut = vec![(0, 1)];
    world.run(ms(5_000));
    assert_eq!(world.active(), [0], "one-way deafness moves no lease");
    world.tell(0, Event::ServiceFailed { group: GroupId(0), how: ServiceFailure::Start });
    world.run(ms(30_000));
    assert!(world.said(0, "stands-aside"));
    assert_eq!(world.active(), [1]);
}

#[test]
fn the_anchor_is_not_taken_by_what_was_known_long_ago() {
    let mut world = pair();
    // Found by the simulator: the lease was renewed after a long freeze, and the last read was older than that.
    world.kill(0);
    world.cloudless = vec![0];
    world.start(0);
    world.run(ms(5_000));
    assert_eq!(world.active(), [0]);
    assert!(world.takes.is_empty(), "EC2 has not said anything to this agent yet");
    world.cloudless.clear();
    world.holder[0] = Held::Orphaned;
    world.run(ms(10_000));
    assert_eq!(world.holder[0], Held::By(0));
}
