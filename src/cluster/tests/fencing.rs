//! Fencing: the last thing in the GATE.

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
