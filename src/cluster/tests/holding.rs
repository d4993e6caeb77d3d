//! With a lease: what is given back and when, what the guard is told, what is said of DynamoDB's failures, and how
//! the anchor follows.

use super::*;

fn pair(change: impl FnOnce(&mut Settings)) -> World {
    let mut settings = settings(2);
    let lease = LeaseSettings { length: ms(10_000), stop_bound: ms(2000), grace: Duration::ZERO };
    settings.groups[0].lease = Some(lease);
    change(&mut settings);
    let mut world = World::empty(settings, Held::Nobody);
    world.start(0);
    world.run(ms(10_000));
    world.start(1);
    world.run(ms(60_000));
    assert_eq!((world.active(), world.holder[0]), (vec![0], Held::By(0)));
    world.takes.clear();
    world.notices.clear();
    world.guards.clear();
    world.table_reads.clear();
    world
}

fn grace(settings: &mut Settings, grace: u64) {
    settings.groups[0].lease.as_mut().unwrap().grace = ms(grace);
}

fn owner(world: &World) -> Option<u8> {
    world.table.and_then(|lease| lease.owner).map(|node| node.0)
}

fn said(world: &World, node: u8, id: &str) -> Vec<String> {
    let of = world.notices.iter().filter(|(from, notice)| *from == node && notice.id == id);
    of.map(|(_, notice)| notice.text.clone()).collect()
}

fn gaps(times: impl Iterator<Item = Time>) -> Vec<u64> {
    let times: Vec<Time> = times.collect();
    let gap = |pair: &[Time]| u64::try_from(pair[1].since(pair[0]).as_millis()).unwrap();
    times.windows(2).map(gap).collect()
}

fn table_reads(world: &mut World, node: u8, for_: u64) -> Vec<u64> {
    world.table_reads.clear();
    world.run(ms(for_));
    gaps(world.table_reads.iter().filter(|(_, it)| *it == node).map(|(at, _)| *at))
}

fn all_are(gaps: &[u64], gap: u64, at_least: usize) {
    assert!(gaps.len() >= at_least && gaps.iter().all(|it| *it == gap), "not each {gap}: {gaps:?}");
}

/// DynamoDB is away until the holder has stood down; then it is back.
fn lapse(world: &mut World) {
    world.table_fails = Some(Failure::Passing);
    world.run(ms(12_000));
    assert!(world.active().is_empty());
    world.table_fails = None;
}

#[test]
fn who_has_stood_down_and_could_not_serve_gives_the_lease_back() {
    let unfit = Some(Event::ServiceChanged { group: GroupId(0), fit: false });
    let standby = Some(Event::Asked(Wish::Standby(GroupId(0), true)));
    for (cause, gives_back) in [(unfit, true), (standby, true), (None, false)] {
        let mut world = pair(|_| {});
        world.tell(1, Event::AbilityChanged { group: GroupId(0), able: Err("no".into()) });
        world.run(ms(500));
        let name = format!("{cause:?}");
        if let Some(cause) = cause {
            world.tell(0, cause);
        }
        lapse(&mut world);
        world.run(ms(20_000));
        assert_eq!(world.table.map(|lease| lease.owner.is_none()), Some(gives_back), "{name}");
        assert_eq!(world.active().is_empty(), gives_back);
    }
}

#[test]
fn nothing_is_given_back_in_maintenance_or_before_the_service_has_stopped() {
    for (maintenance, stuck) in [(true, false), (false, true)] {
        let mut world = pair(|_| {});
        world.tell(1, Event::AbilityChanged { group: GroupId(0), able: Err("no".into()) });
        world.tell(0, Event::Asked(Wish::Standby(GroupId(0), true)));
        if stuck {
            world.stuck = vec![0];
        }
        lapse(&mut world);
        if maintenance {
            world.tell(0, Event::Asked(Wish::Maintenance(GroupId(0), true)));
        }
        world.run(ms(20_000));
        assert_eq!(owner(&world), Some(0), "maintenance: {maintenance}, stuck: {stuck}");
    }
}

#[test]
fn the_table_is_read_every_two_seconds_and_each_second_while_the_holder_is_quiet() {
    let mut world = pair(|_| {});
    all_are(&table_reads(&mut world, 1, 60_000), 2000, 25);
    all_are(&table_reads(&mut world, 0, 60_000), 10_000, 4);
    world.cut = vec![(0, 1), (1, 0)];
    world.run(ms(5000));
    all_are(&table_reads(&mut world, 1, 60_000), 1000, 50);
}

#[test]
fn time_alone_reads_renews_and_stands_down() {
    let slow = |settings: &mut Settings| {
        let hour = ms(3_600_000);
        (settings.interval, settings.warn_after, settings.dead_after) = (hour, hour * 2, hour * 3);
    };
    for granted in [0, 21_300] {
        let mut world = pair(|settings| {
            slow(settings);
            grace(settings, granted);
        });
        all_are(&table_reads(&mut world, 1, 30_000), 2000, 12);
        world.guards.clear();
        world.run(ms(30_000));
        all_are(&gaps(world.guards.iter().map(|(at, ..)| *at)), 2000, 10);
        // The last renewal counts from 8 s before the guard's bound; standing down takes 2 s.
        let until = world.guards.last().unwrap().2.unwrap();
        world.table_fails = Some(Failure::Passing);
        world.notices.clear();
        world.run(ms(60_000));
        let down =
            world.notices.iter().find(|(node, it)| *node == 0 && it.id == "role-changed").unwrap().1.at;
        assert_eq!(down, until - ms(2000) + ms(granted));
        assert_eq!(world.group(0).reason.0, Row::Isolated);
    }
}

#[test]
fn in_the_grace_the_guard_is_moved_two_seconds_at_a_time() {
    let mut world = pair(|settings| grace(settings, 60_000));
    world.table_fails = Some(Failure::NoAnswer);
    world.run(ms(15_000));
    world.guards.clear();
    world.run(ms(30_000));
    let guards: Vec<_> = world.guards.iter().map(|(at, _, until)| until.unwrap().since(*at)).collect();
    assert!(guards.iter().all(|ahead| *ahead == ms(8000)), "{guards:?}");
    let gaps = gaps(world.guards.iter().map(|(at, ..)| *at));
    assert!(gaps.len() >= 12 && gaps.iter().all(|gap| (2001..=2250).contains(gap)), "{gaps:?}");
    assert_eq!(said(&world, 0, "lease-grace").len(), 1, "an alarm, once");
}

#[test]
fn a_grace_is_for_dynamodbs_failures_and_not_for_our_own() {
    let mut world = pair(|settings| grace(settings, 60_000));
    world.frozen = vec![0];
    world.run(ms(8500));
    world.frozen.clear();
    world.run(ms(1));
    assert!(world.active().is_empty(), "DynamoDB had not failed: the holder had not asked");
    assert!(said(&world, 0, "lease-grace").is_empty());
}

#[test]
fn a_holder_says_once_that_dynamodb_does_not_answer_and_once_that_it_does() {
    let mut world = pair(|_| {});
    for _ in 0..2 {
        // Just after it has read, and then renewed.
        world.table_reads.clear();
        world.run_until(ms(1), |world| world.table_reads.iter().any(|(_, node)| *node == 0));
        world.guards.clear();
        world.run_until(ms(1), |world| !world.guards.is_empty());
        world.notices.clear();
        world.table_fails = Some(Failure::Passing);
        world.run(ms(3500));
        let words = said(&world, 0, "lease-unanswered");
        assert_eq!(words.len(), 1, "{words:?}");
        assert!(words[0].contains("this node stands down in 4.0 s"), "{words:?}");
        assert!(said(&world, 0, "lease-answered").is_empty());
        world.table_fails = None;
        world.run(ms(8000));
        assert_eq!(said(&world, 0, "lease-answered").len(), 1);
    }
    assert_eq!(world.active(), [0]);
}

#[test]
fn a_standby_says_so_after_three_answers_that_were_none() {
    let mut world = pair(|_| {});
    world.run(ms(1000));
    world.cut = vec![(0, 1), (1, 0)];
    world.run(ms(1000));
    world.notices.clear();
    world.table_fails = Some(Failure::Passing);
    let failures = |world: &World| world.group(1).lease.unwrap().failures;
    world.run_until(ms(1), |world| failures(world) == 2);
    assert!(said(&world, 1, "lease-unanswered").is_empty());
    world.run_until(ms(1), |world| failures(world) == 3);
    let words = said(&world, 1, "lease-unanswered");
    assert!(words.len() == 1 && words[0].contains("cannot take over"), "{words:?}");
    world.run_until(ms(1), |world| failures(world) == 6);
    assert_eq!(said(&world, 1, "lease-unanswered").len(), 1);
    world.table_fails = None;
    world.run(ms(30_000));
    assert_eq!(said(&world, 1, "lease-answered").len(), 1);
}

#[test]
fn a_lease_that_somebody_else_has_written_is_lost_and_said_by_its_holder() {
    let mut world = pair(|_| {});
    world.kill(1);
    let other = Lease { owner: Some(NodeId(1)), nonce: 5, term: 99, length: ms(10_000) };
    world.table = Some(other);
    world.run(ms(2500));
    assert_eq!((world.active(), said(&world, 0, "lease-lost").len()), (vec![], 1));
    // A standby that the table names, and that loses while it renews, has lost nothing.
    let mut world = pair(|_| {});
    world.kill(0);
    world.kill(1);
    world.table_delay = ms(100);
    world.start(0);
    world.run(ms(50));
    world.table = Some(other);
    world.notices.clear();
    world.run(ms(3000));
    assert!(world.active().is_empty() && said(&world, 0, "lease-lost").is_empty());
}

/// Somebody moves the anchor away as soon as it is back, and again; these are the takes.
fn moved_away(world: &mut World, for_: u64) -> Vec<Time> {
    world.takes.clear();
    for _ in 0..for_ / 50 {
        world.holder[0] = Held::Stranger;
        world.run(ms(50));
    }
    world.takes.iter().map(|(at, ..)| *at).collect()
}

#[test]
fn an_anchor_that_is_moved_away_is_taken_back_less_and_less_often() {
    let mut world = pair(|_| {});
    world.run(ms(400_000));
    let first = moved_away(&mut world, 15_000);
    assert_eq!(first.len(), 1, "{:?}", gaps(first.into_iter()));
    let alarms = |world: &World| said(world, 0, "anchor-moved-away").len();
    assert_eq!(alarms(&world), 0, "once is no alarm");
    let mut takes = moved_away(&mut world, 60_000);
    assert_eq!(
        (takes.len(), alarms(&world)),
        (2, 1),
        "the first one was that at the start: {:?}",
        gaps(takes.into_iter())
    );
    takes = moved_away(&mut world, 200_000);
    all_are(&gaps(takes.into_iter()), 60_000, 2);
    assert_eq!(alarms(&world), 1);
    // Five minutes of peace: it is as at the beginning.
    world.holder[0] = Held::By(0);
    world.run(ms(420_000));
    let again = gaps(moved_away(&mut world, 60_000).into_iter());
    assert!(again.len() >= 2 && (10_000..21_000).contains(&again[0]), "{again:?}");
}

#[test]
fn a_restarted_holder_takes_the_anchor_back_at_once() {
    let mut world = pair(|_| {});
    world.kill(0);
    world.holder[0] = Held::Orphaned;
    world.start(0);
    world.run(ms(1000));
    assert_eq!((world.active(), world.holder[0]), (vec![0], Held::By(0)), "not only when it is settled");
    let mut world = pair(|_| {});
    world.tell(0, Event::Asked(Wish::Maintenance(GroupId(0), true)));
    world.run(ms(100));
    world.holder[0] = Held::Orphaned;
    world.run(ms(30_000));
    assert!(world.takes.is_empty(), "nothing is changed in maintenance");
}

#[test]
fn who_stands_aside_leaves_it_to_the_others_for_a_minute() {
    let mut world = pair(|_| {});
    world.refused = vec![0];
    world.holder[0] = Held::Orphaned;
    world.run_until(ms(1), |world| world.said(0, "take-refused"));
    let refused = world.now;
    world.run_until(ms(1), |world| world.said(0, "stands-aside"));
    let aside = world.now.since(refused);
    assert!(aside >= ms(30_000) && aside <= ms(30_250), "without the anchor for 30 s: {aside:?}");
    world.run(ms(59_900));
    assert!(world.group(0).ineligible.unwrap().contains("the others go first"));
    world.run(ms(500));
    assert_eq!(world.group(0).ineligible, None);
}

#[test]
fn only_with_a_lease_and_to_an_able_peer_is_a_failed_service_given_away_unheard() {
    let fails = |world: &mut World| {
        world.cut = vec![(0, 1)];
        world.run(ms(500));
        world.tell(0, Event::ServiceFailed { group: GroupId(0), how: ServiceFailure::Start });
        world.run(ms(30_000));
        (world.said(0, "offer-failed"), world.said(0, "stands-aside"))
    };
    let mut world = pair(|_| {});
    assert_eq!(fails(&mut world), (true, true));
    let mut world = pair(|_| {});
    world.tell(1, Event::AbilityChanged { group: GroupId(0), able: Err("no".into()) });
    world.run(ms(500));
    assert_eq!(fails(&mut world), (true, false), "nobody could take it");
    let mut settings = settings(2);
    settings.groups[0].when_silent = WhenSilent::Hold;
    let mut world = World::empty(settings, Held::By(0));
    world.start(0);
    world.start(1);
    world.run(ms(60_000));
    assert_eq!(fails(&mut world), (true, false), "EC2 decides, without a lease");
    assert_eq!(world.active(), [0]);
}

#[test]
fn a_lease_that_has_run_out_or_is_nobodys_can_be_forced() {
    for owned in [true, false] {
        let mut world = pair(|_| {});
        world.kill(0);
        world.kill(1);
        if !owned {
            world.table = world.table.map(|lease| Lease { owner: None, ..lease });
        }
        world.start(1);
        world.run(ms(15_000));
        assert!(world.active().is_empty(), "a preferred node that was never heard may be about to start");
        world.tell(1, Event::Asked(Wish::TakeOver(GroupId(0))));
        world.run(ms(500));
        assert!(!world.said(1, "force-waits"));
        assert_eq!((owner(&world), world.active()), (Some(1), vec![1]));
    }
}

#[test]
fn what_was_offered_is_renewed_as_soon_as_it_is_fit_again_also_where_it_runs_alone() {
    let mut world = pair(|settings| settings.groups[0].cold = true);
    world.tell(1, Event::AbilityChanged { group: GroupId(0), able: Err("no".into()) });
    world.kill(0);
    world.start(0);
    world.tell(0, Event::ServiceChanged { group: GroupId(0), fit: false });
    world.run_until(ms(5), |world| world.said(0, "offered"));
    world.run(ms(200));
    world.tell(0, Event::ServiceChanged { group: GroupId(0), fit: true });
    world.run(ms(500));
    assert_eq!(world.active(), [0], "a write decides who of the two has it");
}

#[test]
fn a_node_to_which_ec2_says_nothing_can_be_forced_to_take_the_lease() {
    let mut world = pair(|_| {});
    world.cloudless = vec![1];
    world.run(ms(40_000));
    world.kill(0);
    world.run(ms(20_000));
    assert!(world.group(1).ineligible.unwrap().contains("EC2 has not said"));
    assert!(world.active().is_empty());
    world.notices.clear();
    world.tell(1, Event::Asked(Wish::TakeOver(GroupId(0))));
    world.run(ms(10_000));
    assert_eq!((owner(&world), world.active(), said(&world, 1, "forced").len()), (Some(1), vec![1], 1));
}
