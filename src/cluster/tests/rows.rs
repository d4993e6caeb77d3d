//! Each row of the table as an incident, by its number: what a pair (or three nodes) does.

use super::*;

/// A pair in which node 0 is active, and has been for a minute.
pub(super) fn pair() -> World {
    let mut world = World::new(2, Held::By(0));
    world.run(ms(60_000));
    assert_eq!(world.active(), [0]);
    world.takes.clear();
    world.calls.clear();
    world.wishes.clear();
    world.notices.clear();
    world.tags.clear();
    world
}

#[test]
fn row_1_maintenance_spreads_and_nothing_moves_until_it_ends() {
    let mut world = pair();
    world.tell(1, Event::Asked(Wish::Maintenance(GroupId(0), true)));
    world.run(ms(1000));
    assert!(world.group(0).maintenance && world.group(1).maintenance);
    world.kill(0);
    world.run(ms(120_000));
    assert_eq!(world.takes, []);
    world.tell(1, Event::Asked(Wish::Maintenance(GroupId(0), false)));
    world.run(ms(60_000));
    assert_eq!(world.active(), [1]);
}

#[test]
fn row_1_a_stop_in_maintenance_leaves_the_service_as_it_is() {
    let mut world = pair();
    world.tell(0, Event::Asked(Wish::Maintenance(GroupId(0), true)));
    world.run(ms(1000));
    world.tell(0, Event::ShutdownAsked(Shutdown::Stop));
    world.run(ms(3000));
    assert_eq!(world.exited, [0]);
    assert_eq!(world.desired[0], Some(Desired::Serve { repair: false }), "it was not told to stand by");
    world.start(0);
    world.run(ms(60_000));
    assert_eq!((world.takes.len(), world.holder[0]), (0, Held::By(0)));
    world.tell(1, Event::Asked(Wish::Maintenance(GroupId(0), false)));
    world.run(ms(10_000));
    assert_eq!((world.active(), world.takes.len()), (vec![0], 0));
}

#[test]
fn row_2_after_its_start_a_node_believes_no_read_for_five_seconds() {
    let mut world = World::new(2, Held::By(0));
    world.run(ms(4900));
    assert_eq!(world.group(0).row, Row::NotSettled);
    assert_eq!(world.desired, [None, None], "a running service is not touched");
    world.run(ms(2000));
    assert_eq!(world.active(), [0]);
}

#[test]
fn row_2_a_stale_read_after_a_take_does_not_make_the_taker_yield() {
    let mut world = pair();
    world.kill(0);
    world.run(ms(1500));
    world.read_lag = Some(Held::By(0));
    world.run(ms(3000));
    assert_eq!(world.active(), [1]);
    world.read_lag = None;
    world.run(ms(20_000));
    assert_eq!(world.active(), [1]);
    assert!(!world.notices.iter().any(|(_, it)| it.text.contains("row 5")));
}

#[test]
fn row_3_the_active_serves_and_writes_no_counter_while_all_hear_all() {
    let mut world = pair();
    world.run(ms(60_000));
    assert_eq!(world.group(0).row, Row::Serve);
    assert_eq!(world.desired[0], Some(Desired::Serve { repair: true }));
    assert_eq!(world.tags, []);
}

#[test]
fn row_3_the_active_writes_the_counter_every_five_seconds_once_a_peer_is_not_heard() {
    let mut world = pair();
    world.kill(1);
    world.run(ms(62_000));
    assert!((11..=13).contains(&world.tags.len()), "{:?}", world.tags);
    let deaf = pair_with_cut(&[(0, 1)]);
    assert!(!deaf.tags.is_empty(), "the peer does not hear us: that counts too");
}

fn pair_with_cut(cut: &[(u8, u8)]) -> World {
    let mut world = pair();
    world.cut.extend(cut);
    world.take_answer = Some(Failure::Refused);
    world.run(ms(30_000));
    world
}

#[test]
fn row_3_a_failed_read_right_after_the_take_does_not_hold_back_the_rest() {
    let mut world = pair();
    world.kill(0);
    world.run(ms(2020));
    assert_eq!(world.active(), [1]);
    world.cloudless = vec![1];
    world.run(ms(3000));
    assert_eq!(world.desired[1], Some(Desired::Serve { repair: true }));
    world.run(ms(5000));
    assert_eq!(world.desired[1], Some(Desired::Serve { repair: false }), "but later it does");
}

#[test]
fn row_4_a_failed_service_moves_the_group() {
    let mut world = pair();
    world.tell(0, Event::ServiceChanged { group: GroupId(0), fit: false });
    world.run(ms(500));
    assert_eq!(world.active(), [1]);
    assert_eq!(world.holder, [Held::By(1)]);
}

#[test]
fn row_4_a_failed_service_stays_if_nobody_is_eligible() {
    let mut world = pair();
    world.tell(1, Event::ServiceChanged { group: GroupId(0), fit: false });
    world.run(ms(500));
    world.tell(0, Event::ServiceChanged { group: GroupId(0), fit: false });
    world.run(ms(60_000));
    assert_eq!(world.holder, [Held::By(0)]);
    assert_eq!(world.group(0).row, Row::Barred);
}

#[test]
fn row_5_who_no_longer_holds_the_anchor_yields_and_fights_not() {
    let mut world = pair();
    world.holder = vec![Held::By(1)];
    world.run(ms(30_000));
    assert_eq!(world.active(), [1], "row 9 on the other side");
    assert_eq!(world.takes, []);
    assert_eq!(world.desired[0], Some(Desired::Standby));
}

#[test]
fn row_5_an_active_without_ec2_yields_to_a_peer_that_took_over_and_knows_it() {
    let mut world = pair();
    world.cut = vec![(0, 1), (1, 0)];
    world.cloudless = vec![0];
    world.run(ms(10_000));
    assert_eq!(world.active(), [0, 1], "nobody can tell the old one");
    world.cut.clear();
    world.run(ms(40_000));
    assert_eq!(world.active(), [1]);
    assert_eq!(world.desired[0], Some(Desired::Standby));
}

#[test]
fn row_6_a_detached_anchor_is_taken_back_by_the_active() {
    for held in [Held::Nobody, Held::Orphaned] {
        let mut world = pair();
        world.holder = vec![held];
        world.run(ms(11_000));
        assert_eq!(world.active(), [0]);
        assert_eq!(world.holder, [Held::By(0)]);
        assert!(world.takes.iter().all(|(_, node, _)| *node == 0), "{:?}", world.takes);
    }
}

#[test]
fn row_7_without_ec2_but_with_a_peer_the_active_serves() {
    let mut world = pair();
    world.cloudless = vec![0, 1];
    world.run(ms(300_000));
    assert_eq!(world.active(), [0]);
    assert_eq!(world.group(0).row, Row::ServeBlind);
    assert_eq!(world.desired[0], Some(Desired::Serve { repair: false }));
    assert_eq!(world.group(1).row, Row::Unknown);
}

#[test]
fn row_8_isolated_keeps_by_default_and_releases_when_told() {
    for release in [false, true] {
        let mut settings = settings(2);
        settings.groups[0].release_when_isolated = release;
        let mut world = World::empty(settings, Held::By(0));
        world.start(0);
        world.run(ms(30_000));
        assert_eq!(world.active(), [0]);
        world.cloudless = vec![0];
        world.run(ms(60_000));
        assert_eq!(world.active().is_empty(), release);
        world.cloudless.clear();
        world.run(ms(30_000));
        assert_eq!(world.active(), [0], "and back, once EC2 says that the anchor is ours");
    }
}

#[test]
fn row_9_a_restarted_agent_finds_itself_active_and_nothing_is_taken() {
    let mut world = pair();
    world.kill(0);
    world.run(ms(500));
    world.start(0);
    world.run(ms(30_000));
    assert_eq!(world.active(), [0]);
    assert_eq!(world.takes, [], "the peer heard it again before dead-after");
}

#[test]
fn row_10_an_unfit_holder_offers_after_first_dead_after() {
    let mut world = World::new(2, Held::By(0));
    world.tell(0, Event::ServiceChanged { group: GroupId(0), fit: false });
    world.run(ms(29_000));
    assert!(world.active().is_empty());
    world.run(ms(20_000));
    assert_eq!(world.active(), [1]);
}

#[test]
fn row_11_a_clean_stop_hands_over_within_a_few_calls() {
    let mut world = pair();
    let asked = world.now;
    world.tell(0, Event::ShutdownAsked(Shutdown::Stop));
    world.run(ms(200));
    assert_eq!(world.active(), [1]);
    assert_eq!(world.exited, [0]);
    let (taken, _, from) = world.takes[0];
    assert!(taken.since(asked) <= ms(5), "the offer is taken at once: {:?}", taken.since(asked));
    assert_eq!(from, TakeFrom::Anyone);
    assert!(!world.said(0, "nobody-ready"));
}

#[test]
fn row_11_a_switchover_moves_the_group_and_leaves_nothing_behind() {
    let mut world = pair();
    world.tell(0, Event::Asked(Wish::Switchover(GroupId(0), Some(NodeId(1)))));
    world.run(ms(200));
    assert_eq!(world.active(), [1]);
    world.run(ms(60_000));
    world.tell(1, Event::Asked(Wish::Switchover(GroupId(0), None)));
    world.run(ms(200));
    assert_eq!(world.active(), [0]);
}

#[test]
fn row_11_a_stop_with_nobody_ready_says_so_and_ends_in_bounded_time() {
    let mut world = pair();
    world.tell(1, Event::Asked(Wish::Standby(GroupId(0), true)));
    world.run(ms(500));
    world.tell(0, Event::ShutdownAsked(Shutdown::Stop));
    world.run(ms(3000));
    assert_eq!(world.exited, [0]);
    assert!(world.said(0, "nobody-ready"));
    assert_eq!(world.holder, [Held::By(0)], "the anchor is not thrown away");
}

#[test]
fn row_12_a_heard_active_holder_is_watched_and_arms() {
    let world = pair();
    assert_eq!(world.group(1).row, Row::Watch);
    assert_eq!(world.group(1).armed, Some(NodeId(0)));
    assert_eq!(world.group(1).desired.unwrap().0, Desired::Standby);
}

#[test]
fn row_13_an_idle_holder_loses_the_group_after_first_dead_after() {
    let mut world = pair();
    world.kill(0);
    world.cloudless = vec![0];
    world.start(0);
    world.run(ms(29_000));
    assert_eq!(world.group(1).row, Row::HolderIdle);
    assert_eq!(world.takes, []);
    world.run(ms(10_000));
    assert_eq!(world.active(), [1]);
}

#[test]
fn row_13_a_short_first_dead_after_leaves_a_restarted_holder_time_to_settle() {
    let mut settings = settings(2);
    settings.first_dead_after = ms(2000);
    let mut world = World::empty(settings, Held::By(0));
    world.start(0);
    world.start(1);
    world.run(ms(60_000));
    world.takes.clear();
    world.tell(0, Event::ShutdownAsked(Shutdown::Restart));
    world.run(ms(1000));
    world.start(0);
    world.run(ms(30_000));
    assert_eq!(world.takes, []);
    assert_eq!(world.active(), [0]);
}

#[test]
fn row_14_an_announced_restart_moves_nothing_for_ten_seconds() {
    let mut world = pair();
    world.tell(0, Event::ShutdownAsked(Shutdown::Restart));
    world.run(ms(600));
    assert_eq!(world.exited, [0]);
    world.run(ms(8000));
    assert_eq!(world.group(1).row, Row::BackSoon);
    world.start(0);
    world.run(ms(30_000));
    assert_eq!(world.active(), [0]);
    assert_eq!(world.takes, []);
}

#[test]
fn row_14_not_back_in_time_is_silence() {
    let mut world = pair();
    world.tell(0, Event::ShutdownAsked(Shutdown::Restart));
    world.run(ms(9900));
    assert_eq!(world.takes, []);
    world.run(ms(1000));
    assert_eq!(world.active(), [1]);
}

#[test]
fn row_15_a_goodbye_is_proof() {
    let mut world = pair();
    world.tell(1, Event::Asked(Wish::Standby(GroupId(0), true)));
    world.run(ms(100));
    world.tell(0, Event::ShutdownAsked(Shutdown::Stop));
    world.run(ms(3000));
    assert_eq!(world.exited, [0]);
    world.tell(1, Event::Asked(Wish::Standby(GroupId(0), false)));
    world.run(ms(100));
    assert_eq!(world.active(), [1], "no wait for dead-after");
}

#[test]
fn row_15_ec2_says_that_the_holder_has_stopped() {
    let mut world = World::empty(settings(2), Held::By(0));
    world.instances[0] = Some(Running::No);
    world.start(1);
    world.run(ms(7000));
    assert_eq!(world.active(), [1], "never heard, not armed, but stopped");
    assert_eq!(world.group(1).reason.0, Row::Proof);
}

#[test]
fn row_16_silence_of_an_armed_holder_takes_at_dead_after() {
    let mut world = pair();
    world.kill(0);
    let dead = world.now;
    world.run(ms(2050));
    assert_eq!(world.active(), [1]);
    let (taken, ..) = world.takes[0];
    assert!(taken.since(dead) <= ms(2001), "counted from the last receipt: {:?}", taken.since(dead));
}

#[test]
fn row_16_hold_waits_for_the_operator() {
    let mut settings = settings(2);
    settings.groups[0].when_silent = WhenSilent::Hold;
    let mut world = World::empty(settings, Held::By(0));
    world.start(0);
    world.start(1);
    world.run(ms(60_000));
    world.kill(0);
    world.run(ms(300_000));
    assert_eq!(world.takes, []);
    assert_eq!(world.group(1).row, Row::Silent);
}

#[test]
fn row_16_silence_counts_once_so_that_a_lasting_partition_is_no_duel() {
    let mut world = pair();
    world.cut = vec![(0, 1), (1, 0)];
    world.run(ms(600_000));
    assert_eq!(world.takes.len(), 1, "{:?}", world.takes);
    assert_eq!(world.active(), [1]);
    world.cut.clear();
    world.run(ms(60_000));
    assert_eq!(world.active(), [1]);
    assert_eq!(world.takes.len(), 1);
}

#[test]
fn row_16_three_nodes_need_a_majority_and_nobody_who_hears_the_holder() {
    let mut world = World::new(3, Held::By(0));
    world.run(ms(60_000));
    world.takes.clear();
    world.cut = vec![(0, 1)];
    world.run(ms(60_000));
    assert_eq!(world.takes, [], "node 2 hears the holder");
    world.cut.clear();
    world.run(ms(10_000));
    world.kill(0);
    world.run(ms(2500));
    assert_eq!(world.active(), [1], "in order of preference");
    world.run(ms(10_000));
    assert_eq!(world.takes.len(), 1);
}

#[test]
fn row_16_the_second_in_line_goes_one_dead_after_later() {
    let mut world = World::new(3, Held::By(0));
    world.run(ms(60_000));
    world.take_answer = Some(Failure::Refused);
    world.takes.clear();
    world.kill(0);
    world.run(ms(6000));
    let first = |node| world.takes.iter().find(|(_, taker, _)| *taker == node).map(|(at, ..)| *at);
    let (one, two) = (first(1).unwrap(), first(2).unwrap());
    assert!(two.since(one) >= ms(1900), "{:?}", two.since(one));
}

#[test]
fn row_17_an_unarmed_standby_takes_once_the_counter_rests() {
    let mut world = World::empty(settings(2), Held::By(0));
    world.start(1);
    world.run(ms(59_000));
    assert_eq!(world.takes, [], "30 s of first-dead-after, then 30 s of a counter at rest");
    world.run(ms(20_000));
    assert_eq!(world.active(), [1]);
    assert_eq!(world.group(1).reason.0, Row::CounterAtRest);
}

#[test]
fn row_17_a_moving_counter_is_a_link() {
    let mut world = World::empty(settings(2), Held::By(0));
    world.cut = vec![(0, 1), (1, 0)];
    world.start(0);
    world.start(1);
    world.run(ms(600_000));
    assert_eq!(world.takes, []);
    assert_eq!(world.active(), [0]);
    assert_eq!(world.group(1).row, Row::CounterAtRest);
}

#[test]
fn row_17_a_counter_that_nobody_could_write_is_not_at_rest() {
    let mut world = World::empty(settings(2), Held::By(0));
    world.cut = vec![(0, 1), (1, 0)];
    world.start(0);
    world.start(1);
    world.run(ms(100_000));
    world.tagless = true;
    world.run(ms(28_000));
    world.read_lag = Some(Held::By(0));
    let counter = world.counter;
    world.run(ms(22_000));
    world.tagless = false;
    // EC2's reads lag: the old counter is seen for a while longer.
    for _ in 0..45 {
        world.counter = counter;
        world.run(ms(100));
    }
    world.run(ms(60_000));
    assert_eq!(world.takes, []);
    assert_eq!(world.active(), [0]);
}

#[test]
fn row_18_nobodys_anchor_is_taken_by_the_preferred_node() {
    let mut world = World::new(2, Held::Nobody);
    world.run(ms(20_000));
    assert_eq!(world.active(), [0]);
    assert_eq!(world.takes.len(), 1);
    assert_eq!(world.takes[0].2, TakeFrom::Nobody);
}

#[test]
fn row_18_the_second_node_waits_for_a_preferred_one_that_was_never_heard() {
    let mut world = World::empty(settings(2), Held::Orphaned);
    world.start(1);
    world.run(ms(29_000));
    assert_eq!(world.takes, []);
    world.run(ms(2000));
    assert_eq!(world.active(), [1]);
}

#[test]
fn row_18_what_is_in_the_way_of_a_free_anchor_does_not_keep_it_free() {
    let mut world = World::new(2, Held::Nobody);
    world.in_the_way = true;
    world.run(ms(20_000));
    assert_eq!(world.active(), [0]);
    let (before, last) = world.takes.split_at(world.takes.len() - 1);
    assert!(before.len() >= 3 && before.iter().all(|(.., from)| *from == TakeFrom::Nobody), "{before:?}");
    let (at, taker, from) = last[0];
    assert_eq!((taker, from), (0, TakeFrom::Anyone));
    assert!(at.since(before[0].0) > ms(5000), "a read would have shown who was faster");
    assert!(world.said(0, "contested"));
}

#[test]
fn row_18_who_was_slower_does_not_take_from_who_was_faster() {
    let mut world = World::empty(settings(2), Held::Nobody);
    world.start(0);
    world.run(ms(4000));
    world.read_lag = Some(Held::Nobody);
    world.holder = vec![Held::Stranger];
    world.run(ms(6000));
    assert!(world.takes.len() >= 3, "{:?}", world.takes);
    world.read_lag = None;
    world.run(ms(60_000));
    assert!(world.takes.iter().all(|(.., from)| *from == TakeFrom::Nobody), "{:?}", world.takes);
    assert_eq!(world.holder, [Held::Stranger]);
}

#[test]
fn row_6_what_is_in_the_way_does_not_keep_the_active_from_its_anchor() {
    let mut world = pair();
    world.in_the_way = true;
    world.holder = vec![Held::Nobody];
    world.run(ms(25_000));
    assert_eq!((world.active(), world.holder), (vec![0], vec![Held::By(0)]));
}

#[test]
fn row_18_a_heard_active_node_goes_first() {
    let mut world = pair();
    world.take_answer = Some(Failure::Passing);
    world.holder = vec![Held::Nobody];
    world.run(ms(60_000));
    world.take_answer = None;
    assert!(world.takes.iter().any(|(_, node, _)| *node == 0));
    let first = world.takes.iter().find(|(_, node, _)| *node == 1).map(|(at, ..)| *at).unwrap();
    let began = world.takes[0].0;
    assert!(first.since(began) >= ms(10_000), "{:?}", first.since(began));
}

#[test]
fn row_19_a_strangers_anchor_raises_an_alarm_and_moves_nothing() {
    let mut world = World::new(2, Held::Stranger);
    world.run(ms(300_000));
    assert_eq!(world.takes, []);
    assert!(world.said(0, "stranger") && world.said(1, "stranger"));
}

#[test]
fn row_20_unknown_moves_nothing() {
    let mut world = World::empty(settings(2), Held::By(0));
    world.cloudless = vec![0, 1];
    world.start(0);
    world.start(1);
    world.run(ms(300_000));
    assert_eq!(world.takes, []);
    assert!(world.active().is_empty());
    assert_eq!(world.group(1).row, Row::Unknown);
    assert_eq!(world.desired, [None, None]);
}

#[test]
fn gate_without_a_read_of_the_last_30_s_is_not_eligible_and_takes_on_the_first_answer() {
    let mut world = pair();
    world.cloudless = vec![1];
    world.run(ms(60_000));
    assert!(world.group(1).ineligible.unwrap().contains("30 s"));
    world.kill(0);
    world.run(ms(20_000));
    assert_eq!(world.takes, []);
    world.cloudless.clear();
    world.run(ms(12_000));
    assert_eq!(world.active(), [1]);
}

#[test]
fn gate_at_most_six_takeovers_an_hour_by_silence() {
    let mut world = pair();
    for _ in 0..10 {
        for victim in [0, 1] {
            if world.active() != [victim] {
                continue;
            }
            world.kill(victim);
            world.run(ms(5000));
            world.start(victim);
            world.run(ms(20_000));
        }
    }
    let damped = world.said(0, "damped") || world.said(1, "damped");
    assert!(damped);
    assert!(world.takes.len() <= 13, "six each at most: {}", world.takes.len());
}

#[test]
fn a_frozen_active_that_thaws_yields_without_a_single_changing_call() {
    let mut world = pair();
    world.frozen = vec![0];
    world.run(ms(10_000));
    assert_eq!(world.holder, [Held::By(1)]);
    world.frozen.clear();
    let calls = world.takes.len();
    world.run(ms(200));
    assert_eq!(world.active(), [1]);
    assert_eq!(world.desired[0], Some(Desired::Standby));
    world.run(ms(30_000));
    assert_eq!(world.takes.len(), calls);
    assert!(world.said(0, "stalled"));
}

#[test]
fn a_standby_that_thaws_takes_nothing_from_a_healthy_active() {
    let mut world = pair();
    world.frozen = vec![1];
    world.run(ms(20_000));
    world.frozen.clear();
    world.run(ms(60_000));
    assert_eq!(world.takes, []);
    assert_eq!(world.active(), [0]);
}

#[test]
fn a_call_without_an_answer_that_landed_is_just_mine() {
    let mut world = pair();
    world.kill(0);
    world.run(ms(1000));
    world.take_answer = Some(Failure::NoAnswer);
    world.run(ms(3000));
    assert!(world.active().is_empty());
    world.holder = vec![Held::By(1)];
    world.run(ms(8000));
    assert_eq!(world.active(), [1]);
}

#[test]
fn terms_grow_with_each_takeover() {
    let mut world = pair();
    let term = world.group(0).term;
    world.tell(0, Event::Asked(Wish::Switchover(GroupId(0), None)));
    world.run(ms(1000));
    assert!(world.group(1).term > term);
}

#[test]
fn a_stall_of_our_own_does_not_make_a_lost_holder_heard_again() {
    let mut world = pair();
    world.cut = vec![(0, 1), (1, 0)];
    world.run(ms(60_000));
    assert_eq!(world.active(), [1], "silence has counted, once");
    world.holder = vec![Held::By(0)];
    world.run(ms(30_000));
    assert_eq!(world.active(), [0], "moved back by hand; the partition lasts");
    let takes = world.takes.len();
    for _ in 0..20 {
        world.frozen = vec![1];
        world.run(ms(600));
        world.frozen.clear();
        world.run(ms(5000));
    }
    assert_eq!(world.takes.len(), takes, "its last word before the partition does not arm again");
    assert_eq!(world.active(), [0]);
}
