//! How often EC2 is asked and told, and that time alone wakes a core when something becomes due.

use super::*;

fn pair(change: impl FnOnce(&mut Settings)) -> World {
    let mut settings = settings(2);
    change(&mut settings);
    let mut world = World::empty(settings, Held::By(0));
    world.start(0);
    world.start(1);
    world.run(ms(90_000));
    world.notices.clear();
    world
}

/// Heartbeats go out once an hour, or when there is news: nothing else wakes these cores by chance.
fn slow(settings: &mut Settings) {
    let hour = ms(3_600_000);
    (settings.interval, settings.warn_after, settings.dead_after) = (hour, hour * 2, hour * 3);
}

fn gaps(times: impl Iterator<Item = Time>) -> Vec<u64> {
    let times: Vec<Time> = times.collect();
    let gap = |pair: &[Time]| u64::try_from(pair[1].since(pair[0]).as_millis()).unwrap();
    times.windows(2).map(gap).collect()
}

/// How long this node waited between two reads of the anchor, from now on.
fn reads_of(world: &mut World, node: u8, for_: u64) -> Vec<u64> {
    world.reads.clear();
    world.run(ms(for_));
    gaps(world.reads.iter().filter(|(_, it)| *it == node).map(|(at, _)| *at))
}

fn all_are(gaps: &[u64], gap: u64, at_least: usize) {
    assert!(gaps.len() >= at_least && gaps.iter().all(|it| *it == gap), "not each {gap}: {gaps:?}");
}

/// When a node said this first.
fn said_at(world: &World, node: u8, id: &str, words: &str) -> Time {
    let says = |notice: &Notice| notice.id == id && notice.text.contains(words);
    let found = world.notices.iter().find(|(from, notice)| *from == node && says(notice));
    found.unwrap_or_else(|| panic!("{node} never said {id} {words}: {:?}", world.notices)).1.at
}

#[test]
fn in_peace_the_active_asks_every_ten_seconds_and_a_standby_every_twenty() {
    let mut world = pair(|_| {});
    all_are(&reads_of(&mut world, 0, 200_000), 10_000, 18);
    all_are(&reads_of(&mut world, 1, 200_000), 20_000, 8);
}

#[test]
fn while_a_peer_is_silent_every_five_seconds() {
    for (killed, left) in [(0, 1), (1, 0)] {
        let mut world = pair(|it| it.groups[0].when_silent = WhenSilent::Hold);
        world.kill(killed);
        world.run(ms(30_000));
        all_are(&reads_of(&mut world, left, 100_000), 5000, 18);
    }
}

#[test]
fn who_waits_to_take_looks_each_second_and_who_may_not_take_does_not() {
    let mut world = pair(|_| {});
    world.take_answer = Some(Failure::Refused);
    world.kill(0);
    world.run(ms(60_000));
    let reads = reads_of(&mut world, 1, 60_000);
    assert!(reads.len() >= 59 && reads.iter().all(|it| *it <= 1000), "{reads:?}");
    let mut world = pair(|_| {});
    world.tell(1, Event::Asked(Wish::Standby(GroupId(0), true)));
    world.run(ms(500));
    world.kill(0);
    world.run(ms(60_000));
    assert_eq!(world.group(1).row, Row::Silent);
    all_are(&reads_of(&mut world, 1, 60_000), 5000, 10);
}

#[test]
fn a_silent_holders_instance_is_asked_for_every_five_seconds_and_an_unanswered_question_after_six() {
    let mut world = pair(|it| it.groups[0].when_silent = WhenSilent::Hold);
    assert!(world.instance_reads.iter().all(|(at, ..)| *at < world.now - ms(60_000)), "it was heard since");
    world.kill(0);
    world.run(ms(30_000));
    let asked = |world: &World| {
        assert!(world.instance_reads.iter().all(|(_, node, whose)| (*node, *whose) == (1, 0)), "no own one");
        gaps(world.instance_reads.iter().map(|(at, ..)| *at))
    };
    world.instance_reads.clear();
    world.run(ms(60_000));
    all_are(&asked(&world), 5000, 10);
    world.mute = true;
    world.run(ms(5000));
    world.instance_reads.clear();
    world.run(ms(60_000));
    let unanswered = asked(&world);
    assert!(
        unanswered.len() >= 8 && unanswered.iter().all(|gap| (6001..=6250).contains(gap)),
        "{unanswered:?}"
    );
}

#[test]
fn a_probe_goes_out_every_ten_seconds_and_four_times_a_second_into_a_silence() {
    let probes = |world: &World| gaps(world.probes.iter().map(|(at, _)| *at));
    let mut world = pair(|it| {
        it.groups[0].when_silent = WhenSilent::Probe;
        slow(it);
    });
    world.probes.clear();
    world.run(ms(120_000));
    all_are(&probes(&world), 10_000, 10);
    let mut world = pair(|it| it.groups[0].when_silent = WhenSilent::Probe);
    world.probes.clear();
    let killed = world.now;
    world.kill(0);
    world.run(ms(11_000));
    let late = world.probes.iter().map(|(at, _)| at.since(killed)).find(|after| *after >= ms(700));
    assert!(late.is_some_and(|after| after <= ms(1001)), "at once when it is late: {late:?}");
    world.probes.retain(|(at, _)| at.since(killed) > ms(1000));
    all_are(&probes(&world), 250, 38);
    // A probe that nobody answers or ends is waited for as long as two calls take.
    world.mute = true;
    world.run(ms(1000));
    world.probes.clear();
    world.run(ms(30_000));
    let hangs = probes(&world);
    assert!(hangs.len() >= 3 && hangs.iter().all(|gap| (6000..=6250).contains(gap)), "{hangs:?}");
}

#[test]
fn two_probes_into_the_silence_have_to_fail() {
    let mut world = pair(|it| it.groups[0].when_silent = WhenSilent::Probe);
    world.kill(0);
    world.run(ms(5000));
    assert!(world.takes.is_empty());
    world.probe_answers = false;
    world.probes.clear();
    world.run_until(ms(1), |world| !world.takes.is_empty());
    assert_eq!(world.probes.len(), 2, "one may be lost");
}

#[test]
fn time_alone_forgets_failures_and_gives_back_to_the_preferred() {
    let mut world = pair(|it| {
        slow(it);
        it.groups[0].failure_timeout = Some(ms(63_700));
        it.groups[0].failback = Some(ms(71_300));
    });
    let failed = world.now;
    world.tell(0, Event::ServiceFailed { group: GroupId(0), how: ServiceFailure::Running });
    world.run(ms(64_000));
    assert_eq!(said_at(&world, 0, "failures-forgotten", "").since(failed), ms(63_700));
    // News, so that node 0 hears that node 1 is eligible.
    for fit in [false, true] {
        world.tell(1, Event::ServiceChanged { group: GroupId(0), fit });
    }
    world.run(ms(100));
    world.tell(0, Event::Asked(Wish::Switchover(GroupId(0), None)));
    world.run(ms(80_000));
    let back = said_at(&world, 1, "failback", "").since(said_at(&world, 1, "role-changed", "active"));
    assert_eq!(back, ms(71_300));
    assert_eq!(world.active(), [0]);
}

#[test]
fn time_alone_ends_the_patience_with_an_idle_holder() {
    for (first_dead_after, patience) in [(30_700, 30_700), (1000, 10_000)] {
        let mut world = pair(|it| {
            slow(it);
            it.first_dead_after = ms(first_dead_after);
        });
        world.cloudless = vec![0];
        world.kill(0);
        world.start(0);
        world.run(ms(40_000));
        let waited = world.takes.last().unwrap().0.since(said_at(&world, 1, "decided", "row 13"));
        assert_eq!(waited, ms(patience));
        assert_eq!(world.active(), [1]);
    }
}

#[test]
fn time_alone_makes_what_was_read_unknown() {
    let mut world = pair(slow);
    let last = world.reads.iter().rfind(|(_, node)| *node == 0).unwrap().0;
    world.cloudless = vec![0, 1];
    world.run(ms(60_000));
    assert_eq!(said_at(&world, 0, "decided", "row 7").since(last), ms(30_000));
}

#[test]
fn time_alone_writes_the_counter_and_tries_a_tag_of_our_own() {
    let mut settings = settings(2);
    slow(&mut settings);
    let mut world = World::empty(settings.clone(), Held::By(0));
    world.start(0);
    world.run(ms(60_000));
    world.tags.clear();
    world.run(ms(60_000));
    all_are(&gaps(world.tags.iter().map(|(at, ..)| *at)), 5000, 10);
    let mut world = World::empty(settings, Held::By(0));
    world.start(1);
    world.run(ms(60_000));
    // Reads that fail are repeated after a while with jitter: from here on nothing else wakes it in step.
    world.cloudless = vec![1];
    world.run(ms(12_300));
    world.cloudless.clear();
    world.own_tags.clear();
    world.counter = None;
    world.run(ms(21_000));
    all_are(&gaps(world.own_tags.iter().map(|(at, _)| *at)), 10_000, 1);
}

#[test]
fn an_announced_restart_is_over_ten_seconds_after_it_was_last_announced() {
    let mut world = pair(|_| {});
    world.tell(0, Event::ShutdownAsked(Shutdown::Restart));
    world.run(ms(20_000));
    let said = world.datagrams.iter().rfind(|beat| beat.from == NodeId(0) && beat.back_in.is_some()).unwrap();
    let heard = Time::from_nanos((said.sent_us + 1000) * 1000);
    assert_eq!(said_at(&world, 1, "decided", "row 16").since(heard), ms(10_000));
}

#[test]
fn with_a_free_anchor_a_heard_standby_goes_first_by_its_step_and_no_longer() {
    let mut settings = settings(2);
    settings.dead_after = ms(8000);
    let mut world = World::empty(settings, Held::Stranger);
    world.refused = vec![0];
    world.start(0);
    world.start(1);
    world.run(ms(60_000));
    world.holder = vec![Held::Nobody];
    world.run_until(ms(1), |world| world.group(1).row == Row::Free);
    // Its step comes eight seconds later; meanwhile EC2 does not answer it any more.
    world.cloudless = vec![1];
    world.run(ms(9000));
    assert!(world.takes.iter().any(|(_, node, _)| *node == 1), "only a heard active needs a young read");
}

#[test]
fn time_alone_ends_the_last_word() {
    let mut world = pair(slow);
    world.cut = vec![(0, 1)];
    world.tell(0, Event::ShutdownAsked(Shutdown::Restart));
    world.run(ms(499));
    assert!(world.exited.is_empty(), "node 1 is heard, and has not acknowledged it");
    world.run(ms(1));
    assert_eq!(world.exited, [0]);
}
