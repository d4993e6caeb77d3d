//! Fencing: the last thing in the GATE.

use std::time::Duration;

use super::*;

fn pair(fencing: Fencing, take_when_it_fails: bool) -> World {
    let mut settings = settings(2);
    settings.groups[0].fencing = fencing;
    settings.groups[0].take_when_fencing_fails = take_when_it_fails;
    let mut world = World::empty(settings, Held::By(0));
    world.start(0);
    world.start(1);
    world.run(ms(60_000));
    assert_eq!(world.active(), [0]);
    world.notices.clear();
    world.takes.clear();
    world
}

#[test]
fn before_waits_until_ec2_says_stopped_and_stopping_is_not_enough() {
    let mut world = pair(Fencing::Before, false);
    world.kill(0);
    world.run(ms(20_000));
    assert_eq!(world.fences.len(), 1, "{:?}", world.fences);
    assert!(world.takes.is_empty(), "it is only stopping");
    assert_eq!(world.instances[0], Some(Running::Ending));
    assert!(world.group(1).gate.unwrap().contains("has stopped"));
    assert_eq!(world.group(1).fence, Some((NodeId(0), snapshot::Fencing::Accepted)));
    world.instances[0] = Some(Running::No);
    world.run(ms(6_500));
    assert_eq!(world.active(), [1]);
    assert_eq!(world.fences.len(), 1);
}

#[test]
fn alongside_stops_and_takes_at_once() {
    let mut world = pair(Fencing::Alongside, false);
    world.kill(0);
    world.run(ms(5_000));
    assert_eq!(world.fences.len(), 1);
    assert_eq!(world.active(), [1]);
    assert!(world.takes[0].0.since(world.fences[0].0) < ms(50));
}

#[test]
fn the_less_preferred_node_waits_two_seconds_in_a_draw() {
    for (killed, waits) in [(0, 2_000), (1, 0)] {
        let mut world = pair(Fencing::Before, false);
        if killed == 1 {
            world.tell(0, Event::Asked(Wish::Switchover(GroupId(0), None)));
            world.run(ms(30_000));
            assert_eq!(world.active(), [1]);
        }
        world.kill(killed);
        let died = world.now;
        world.run(ms(10_000));
        let after = world.fences[0].0.since(died);
        let low = ms(1_700 + waits);
        assert!(after >= low && after <= low + ms(600), "{after:?}");
    }
}

#[test]
fn who_offered_is_not_fenced() {
    let mut world = pair(Fencing::Before, false);
    world.tell(0, Event::ShutdownAsked(Shutdown::Stop));
    world.run(ms(5_000));
    assert_eq!(world.active(), [1]);
    assert!(world.fences.is_empty());
}

#[test]
fn a_node_that_is_unwell_never_fences() {
    // EC2 says that its own instance is stopping; or says nothing of it.
    for own in [Some(Running::Ending), None] {
        let mut world = pair(Fencing::Alongside, true);
        world.instances[1] = own;
        world.kill(0);
        world.run(ms(30_000));
        assert!(world.fences.is_empty() && world.takes.is_empty());
        assert!(world.group(1).gate.unwrap().contains("must not fence"));
    }
    // It has just been frozen itself.
    let mut world = pair(Fencing::Alongside, false);
    world.frozen = vec![1];
    world.run(ms(10_000));
    world.kill(0);
    world.frozen.clear();
    let thawed = world.now;
    world.run(ms(20_000));
    assert!(world.fences.iter().all(|(at, ..)| at.since(thawed) >= ms(5_000)), "{:?}", world.fences);
}

#[test]
fn a_refused_stop_holds_by_default_says_so_and_is_tried_again_a_minute_later() {
    let mut world = pair(Fencing::Before, false);
    world.fence_answer = Err(Failure::Refused);
    world.kill(0);
    world.run(ms(50_000));
    assert_eq!(world.fences.len(), 1);
    assert!(world.said(1, "fencing-failed"));
    assert_eq!(world.group(1).fence, Some((NodeId(0), snapshot::Fencing::Failed)));
    assert!(world.takes.is_empty());
    world.run(ms(20_000));
    assert_eq!(world.fences.len(), 2, "what refuses may have been mended");
}

#[test]
fn a_refused_stop_takes_where_that_is_chosen() {
    let mut world = pair(Fencing::Before, true);
    world.fence_answer = Err(Failure::Refused);
    world.kill(0);
    world.run(ms(10_000));
    assert!(world.said(1, "fencing-failed"));
    assert_eq!(world.active(), [1]);
}

#[test]
fn attempts_are_bounded() {
    let mut world = pair(Fencing::Before, false);
    world.fence_answer = Err(Failure::Passing);
    world.kill(0);
    world.run(ms(50_000));
    assert_eq!(world.fences.len(), 3);
    assert!(world.said(1, "fencing-failed"));
}

#[test]
fn a_stop_that_is_never_confirmed_fails_after_three_minutes() {
    let mut world = pair(Fencing::Before, false);
    world.kill(0);
    world.run(ms(180_000));
    assert!(!world.said(1, "fencing-failed"));
    world.run(ms(10_000));
    assert!(world.said(1, "fencing-failed"));
    assert!(world.takes.is_empty());
}

#[test]
fn a_holder_that_is_heard_again_is_left_alone() {
    let mut world = pair(Fencing::Before, false);
    world.fence_answer = Err(Failure::Passing);
    world.cut = vec![(0, 1), (1, 0)];
    world.run(ms(5_000));
    let before = world.fences.len();
    assert!(before >= 1);
    world.cut.clear();
    world.run(ms(120_000));
    assert_eq!(world.fences.len(), before);
    assert_eq!(world.active(), [0]);
}

#[test]
fn a_holder_that_is_heard_and_idle_is_fenced_too() {
    let mut world = pair(Fencing::Before, false);
    // Its agent restarts, cannot ask EC2, and so finds neither its anchor nor that its old service runs.
    world.cloudless = vec![0];
    world.kill(0);
    world.start(0);
    world.run(ms(29_000));
    assert!(world.fences.is_empty());
    world.run(ms(10_000));
    assert_eq!(world.fences.len(), 1, "{:?}", world.group(1));
    assert!(world.takes.is_empty());
    world.kill(0);
    world.instances[0] = Some(Running::No);
    world.run(ms(10_000));
    assert_eq!(world.active(), [1]);
}

#[test]
fn a_stop_that_was_not_needed_is_forgotten() {
    let mut world = pair(Fencing::Before, false);
    world.fence_answer = Err(Failure::Refused);
    world.cut = vec![(0, 1), (1, 0)];
    world.run(ms(10_000));
    assert!(world.said(1, "fencing-failed"));
    world.cut.clear();
    world.run(ms(120_000));
    assert_eq!(world.active(), [0]);
    // Long afterwards the group is handed over: the old active is heard, and still says that it is active.
    world.fence_answer = Ok(());
    let before = world.fences.len();
    world.tell(0, Event::Asked(Wish::Switchover(GroupId(0), None)));
    world.run(ms(30_000));
    assert_eq!(world.active(), [1]);
    assert_eq!(world.fences.len(), before, "who hands over is not shot");
}

#[test]
fn an_offer_ends_the_stop_of_who_makes_it() {
    let mut world = pair(Fencing::Before, false);
    world.fence_answer = Err(Failure::Refused);
    world.cut = vec![(0, 1), (1, 0)];
    world.run(ms(61_000));
    assert!(world.said(1, "fencing-failed"));
    let before = world.fences.len();
    world.fence_answer = Ok(());
    // The first that is heard of it again is an offer.
    world.cut = vec![(0, 1)];
    world.run(ms(500));
    world.tell(0, Event::Asked(Wish::Standby(GroupId(0), true)));
    world.cut.clear();
    world.run(ms(30_000));
    assert_eq!(world.active(), [1]);
    assert_eq!(world.fences.len(), before, "{:?}", world.fences);
}

#[test]
fn an_old_stop_does_not_count_for_a_later_silence() {
    let mut world = pair(Fencing::Before, true);
    world.cut = vec![(0, 1), (1, 0)];
    world.run(ms(5_000));
    assert_eq!(world.fences.len(), 1, "accepted");
    // It has been stopped, started again, and is heard: an operator was faster.
    world.instances[0] = Some(Running::Yes);
    world.cut.clear();
    world.run(ms(600_000));
    assert_eq!(world.active(), [0]);
    world.cut = vec![(0, 1), (1, 0)];
    world.run(ms(10_000));
    assert_eq!(world.fences.len(), 2, "{:?}", world.fences);
    assert!(world.takes.is_empty() && !world.said(1, "fencing-failed"));
}

#[test]
fn an_active_node_goes_on_stopping_the_old_one_and_says_how_it_ends() {
    // A read shows the take before it is answered; it is answered first; its answer is lost.
    let cases = [None, Some((1, true)), Some((100, false))];
    for (delay, stops) in cases.into_iter().flat_map(|delay| [(delay, true), (delay, false)]) {
        let mut world = pair(Fencing::Alongside, false);
        world.fence_answer = Err(Failure::Passing);
        if let Some((lands, answered)) = delay {
            world.delays = vec![Delay { node: 1, lands: ms(lands), answered }];
        }
        world.kill(0);
        world.run(ms(5500));
        assert_eq!((world.active(), world.said(1, "fencing-failed")), (vec![1], false));
        if stops {
            world.fence_answer = Ok(());
            world.run(ms(2500));
            assert_eq!(world.instances[0], Some(Running::Ending), "{delay:?}: {:?}", world.fences);
            world.instances[0] = Some(Running::No);
        }
        world.run(ms(10_000));
        assert_eq!((world.said(1, "fenced"), world.said(1, "fencing-failed")), (stops, !stops));
    }
}

#[test]
fn each_call_that_fails_is_followed_by_a_longer_wait() {
    let mut all = vec![Vec::new(); 2];
    for seed in 0..20 {
        let mut world = pair(Fencing::Before, false);
        world.fence_answer = Err(Failure::Passing);
        world.kill(0);
        // Jitter depends on all that was drawn before.
        world.run(ms(2000 + seed));
        world.run(ms(8000));
        assert_eq!(world.fences.len(), 3);
        for (at, waits) in all.iter_mut().enumerate() {
            waits.push(world.fences[at + 1].0.since(world.fences[at].0).as_millis());
        }
    }
    assert!(all[0].iter().all(|wait| (505..=1005).contains(wait)), "{all:?}");
    assert!(all[1].iter().all(|wait| (1005..=2005).contains(wait)), "{all:?}");
}

#[test]
fn a_call_that_nobody_answers_or_ends_is_repeated_after_the_time_of_two() {
    let mut world = pair(Fencing::Before, false);
    world.kill(0);
    // It has been told that it runs itself; from here on EC2 says nothing of instances and stops.
    world.run(ms(1500));
    world.mute = true;
    world.run(ms(3000));
    assert_eq!(world.fences.len(), 1);
    for calls in [1, 2] {
        let overdue = world.fences[calls - 1].0 + ms(6000);
        world.run(overdue.since(world.now) - Duration::from_nanos(1));
        world.tell(1, Event::Ticked);
        assert_eq!(world.fences.len(), calls);
        world.run(Duration::from_nanos(1));
        world.tell(1, Event::Ticked);
        assert_eq!(world.fences.len(), calls + 1);
    }
    assert!(!world.said(1, "fencing-failed"));
    world.run(ms(6300));
    assert!(world.said(1, "fencing-failed") && world.fences.len() == 3);
}

#[test]
fn whether_it_runs_itself_is_asked_while_the_holder_is_late_so_that_the_stop_is_not() {
    let mut world = pair(Fencing::Before, false);
    world.tell(0, Event::Asked(Wish::Switchover(GroupId(0), None)));
    world.run(ms(30_000));
    assert_eq!(world.active(), [1]);
    let own = |world: &World| world.instance_reads.iter().filter(|(_, node, whose)| node == whose).count();
    assert_eq!(own(&world), 0, "in peace nobody wants to know");
    world.kill(1);
    world.run_until(ms(1), |world| !world.fences.is_empty());
    assert!(own(&world) > 0);
    let silent = world.notices.iter().find(|(_, it)| it.id == "peer-silent").unwrap().1.at;
    assert_eq!(world.fences[0].0, silent, "node 0 goes first");
}
