//! What happens at once and what happens not before its time: stalls, news, evidence, farewells.

use super::rows::pair;
use super::*;

/// One core by itself, with all that it wants.
struct Alone {
    core: Cluster,
    now: Time,
}

impl Alone {
    fn new() -> Self {
        let now = Time::from_nanos(1_000_000_000_000);
        let mut alone = Self { core: Cluster::new(settings(2), now), now };
        alone.tell(Event::AbilityChanged { group: GroupId(0), able: Ok(()) });
        alone
    }

    fn tell(&mut self, event: Event) -> Vec<Command> {
        self.core.handle(event, self.now);
        std::iter::from_fn(|| self.core.next_command()).collect()
    }

    /// Wakes it so long after the moment that it asked for.
    fn wake(&mut self, late: Duration) -> Vec<Command> {
        self.now = self.core.next_deadline() + late;
        self.tell(Event::Ticked)
    }
}

fn sends(commands: &[Command]) -> usize {
    commands.iter().filter(|it| matches!(it, Command::Send(_))).count()
}

fn tells(commands: &[Command], id: &str) -> bool {
    commands.iter().any(|it| matches!(it, Command::Tell(notice) if notice.id == id))
}

#[test]
fn a_stall_is_a_gap_of_an_interval_and_said_from_warn_after_on() {
    let mut alone = Alone::new();
    let nanosecond = Duration::from_nanos(1);
    for (late, stalls, said) in [
        (ms(250) - nanosecond, 0, false),
        (ms(250), 1, false),
        (ms(1000) - nanosecond, 2, false),
        (ms(1000), 3, true),
    ] {
        let commands = alone.wake(late);
        assert_eq!(alone.core.snapshot(alone.now).stalls, stalls, "{late:?}");
        assert_eq!(tells(&commands, "stalled"), said, "{late:?}");
    }
    let words = format!("{:?}", alone.wake(ms(1234)));
    assert!(words.contains("did not run for 1234 ms"), "{words}");
}

#[test]
fn news_goes_out_at_once_and_no_news_at_the_interval() {
    let mut alone = Alone::new();
    let able = |able: bool| Event::AbilityChanged {
        group: GroupId(0),
        able: if able { Ok(()) } else { Err("why".into()) },
    };
    let fit = |fit| Event::ServiceChanged { group: GroupId(0), fit };
    for (event, news) in [
        (able(true), false),
        (able(false), true),
        (able(false), false),
        (fit(true), false),
        (fit(false), true),
        (fit(false), false),
        (Event::Ticked, false),
        (Event::IdentityLearned { instance: "i-1".into(), interfaces: Vec::new() }, true),
        (Event::Asked(Wish::Standby(GroupId(0), true)), true),
    ] {
        let name = format!("{event:?}");
        assert_eq!(sends(&alone.tell(event)), usize::from(news), "{name}");
    }
    let end = alone.now + ms(2000);
    let mut sent = 0;
    for _ in 0..100 {
        if alone.core.next_deadline() <= end {
            sent += sends(&alone.wake(Duration::ZERO));
        }
    }
    assert_eq!(sent, 8, "every 250 ms");
}

#[test]
fn a_group_or_a_node_that_there_is_not_is_nothing() {
    let mut alone = Alone::new();
    assert_eq!(sends(&alone.tell(Event::ServiceChanged { group: GroupId(9), fit: false })), 0);
    let read = Event::InstanceRead { node: NodeId(9), call: 1, answer: Ok(Some(Running::No)) };
    assert_eq!(sends(&alone.tell(read)), 0);
}

#[test]
fn each_call_has_a_number_of_its_own() {
    let lease = LeaseSettings { length: ms(10_000), stop_bound: ms(2000), grace: Duration::ZERO };
    for lease in [None, Some(lease)] {
        let mut settings = settings(2);
        settings.groups[0].fencing = Fencing::Alongside;
        settings.groups[0].when_silent = WhenSilent::Probe;
        settings.groups[0].lease = lease;
        let mut world = World::empty(settings, Held::By(0));
        world.start(0);
        world.start(1);
        world.run(ms(60_000));
        world.fence_answer = Err(Failure::Passing);
        world.take_answer = Some(Failure::Passing);
        world.probe_answers = false;
        world.kill(0);
        world.run(ms(60_000));
        assert!(world.probes.len() > 1 && world.fences.len() > 1 && world.takes.len() > 1);
        let mut numbers = world.numbers.clone();
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert!(all > 50 && numbers.len() == all, "{} of {all}", numbers.len());
    }
}

#[test]
fn only_the_answer_to_the_last_wish_makes_it_done() {
    let mut world = World::new(2, Held::By(0));
    world.stuck = vec![0];
    world.run(ms(20_000));
    let first_that_counts = |world: &mut World| {
        (0..10).find(|change| {
            world.tell(0, Event::Converged { group: GroupId(0), change: *change });
            world.group(0).desired.unwrap().1
        })
    };
    let first = first_that_counts(&mut world);
    world.holder = vec![Held::By(1)];
    world.run(ms(20_000));
    assert_eq!(world.group(0).desired, Some((Desired::Standby, false)));
    let second = first_that_counts(&mut world);
    assert!(first.is_some() && second > first, "{first:?}, then {second:?}");
}

#[test]
fn maintenance_that_ends_where_there_was_none_unsettles_nothing() {
    let mut world = pair();
    world.tell(0, Event::Asked(Wish::Maintenance(GroupId(0), false)));
    assert_eq!(world.group(0).row, Row::Serve);
    assert_eq!(world.desired[0], Some(Desired::Serve { repair: true }));
    world.run(ms(20_000));
    assert!(world.wishes.is_empty(), "{:?}", world.wishes);
}

#[test]
fn a_stall_is_just_over_when_five_seconds_are() {
    let settings = settings(2);
    let started = Time::from_nanos(7);
    let stalled = |after: Duration| {
        let cx = Context {
            settings: &settings,
            peers: &[],
            now: started + after,
            started,
            stalled_at: Some(started),
            own_running: None,
        };
        cx.just_stalled()
    };
    assert!(stalled(ms(5000) - Duration::from_nanos(1)) && !stalled(ms(5000)));
}

#[test]
fn a_confirmed_session_is_news_to_everybody() {
    let mut world = World::new(3, Held::By(0));
    world.run(ms(60_000));
    world.kill(2);
    world.run(ms(60_100));
    world.start(2);
    world.datagrams.clear();
    world.run(ms(1000));
    let hears_it = |beat: &&Heartbeat| beat.from == NodeId(0) && beat.hears.contains(NodeId(2));
    let first = |to| world.datagrams.iter().filter(hears_it).find(|it| it.to == NodeId(to)).unwrap().sent_us;
    let started = world.datagrams[0].sent_us;
    assert!(first(1) < started + 10_000 && first(2) < started + 10_000, "not at the next interval");
}

#[test]
fn the_last_word_is_said_also_where_nobody_is_heard() {
    let mut alone = Alone::new();
    let commands = alone.tell(Event::ShutdownAsked(Shutdown::Restart));
    let said = commands.iter().any(|it| matches!(it, Command::Send(beat) if beat.back_in.is_some()));
    let exits = |commands: &[Command]| commands.iter().any(|it| matches!(it, Command::Exit));
    assert!(said && !exits(&commands), "they may hear us");
    assert!(exits(&alone.wake(Duration::ZERO)));
    assert!(!exits(&alone.wake(Duration::ZERO)), "once");
}

#[test]
fn a_peer_is_said_to_be_heard_late_and_silent_once_each() {
    let mut world = World::new(2, Held::By(0));
    world.run(ms(60_000));
    let said =
        |world: &World, id| world.notices.iter().filter(|(node, it)| (*node, it.id) == (1, id)).count();
    let all = |world: &World| ["peer-heard", "peer-late", "peer-silent"].map(|id| said(world, id));
    assert_eq!(all(&world), [1, 0, 0]);
    world.kill(0);
    world.run(ms(60_000));
    assert_eq!(all(&world), [1, 1, 1]);
    world.start(0);
    world.run(ms(60_000));
    assert_eq!(all(&world), [2, 1, 1]);
    let text =
        |world: &World| world.notices.iter().rfind(|(_, it)| it.id == "peer-silent").unwrap().1.text.clone();
    assert_eq!(text(&world), "{node 0} is silent");
    world.tell(0, Event::ShutdownAsked(Shutdown::Stop));
    world.run(ms(5000));
    assert_eq!(text(&world), "{node 0} has said goodbye");
}

#[test]
fn evidence_is_gathered_at_once_when_a_peer_is_late_and_again_when_it_is_silent() {
    let mut world = pair();
    world.settings.groups[0].when_silent = WhenSilent::Hold;
    let killed = world.now;
    world.kill(0);
    world.reads.clear();
    world.take_answer = Some(Failure::Refused);
    world.run(ms(3000));
    let after = |node: u8| -> Vec<u128> {
        let own = world.reads.iter().filter(|(_, reader)| *reader == node);
        own.map(|(at, _)| at.since(killed).as_millis()).collect()
    };
    let reads = after(1);
    let within = |from: u128| reads.iter().any(|at| (from..from + 20).contains(at));
    assert!(within(990) && within(1990), "at its lateness and its silence: {reads:?}");
}

#[test]
fn only_the_active_hands_over_and_only_to_who_could_take() {
    let mut world = pair();
    world.tell(1, Event::Asked(Wish::Switchover(GroupId(0), Some(NodeId(0)))));
    world.run(ms(2000));
    assert!(!world.said(1, "offered") && world.takes.is_empty());
    world.tell(1, Event::Asked(Wish::Standby(GroupId(0), true)));
    world.run(ms(500));
    world.tell(0, Event::Asked(Wish::Switchover(GroupId(0), None)));
    world.run(ms(2000));
    assert_eq!((world.active(), world.takes.len()), (vec![0], 0));
}

#[test]
fn a_stop_says_what_it_does_with_maintenance_and_without() {
    for maintenance in [false, true] {
        let mut world = pair();
        world.tell(0, Event::Asked(Wish::Maintenance(GroupId(0), maintenance)));
        world.run(ms(1000));
        world.tell(0, Event::ShutdownAsked(Shutdown::Stop));
        let stopping = world.notices.iter().find(|(_, it)| it.id == "stopping").unwrap();
        assert_eq!(stopping.1.text.contains("groups in maintenance"), maintenance);
        world.tell(0, Event::ShutdownAsked(Shutdown::Stop));
        assert_eq!(world.notices.iter().filter(|(_, it)| it.id == "stopping").count(), 1, "once");
    }
}

#[test]
fn the_last_word_is_repeated_until_it_was_heard_but_not_for_ever() {
    for (deaf, at_least, at_most) in [(false, 1, 100), (true, 500, 520)] {
        let mut world = pair();
        world.tell(1, Event::Asked(Wish::Standby(GroupId(0), true)));
        world.run(ms(500));
        if deaf {
            world.cut = vec![(0, 1)];
        }
        let asked = world.now;
        world.tell(0, Event::ShutdownAsked(Shutdown::Restart));
        let mut ended = None;
        for _ in 0..2000 {
            world.run(ms(1));
            if !world.exited.is_empty() {
                ended = Some(world.now.since(asked));
                break;
            }
        }
        let ended = ended.unwrap().as_millis();
        assert!((at_least..=at_most).contains(&ended), "deaf: {deaf}, {ended} ms");
    }
}

#[test]
fn a_stop_waits_for_a_taker_that_has_answered_and_for_its_own_service() {
    let mut world = pair();
    // The taker's call takes its time; it has said that it takes.
    world.delays = vec![Delay { node: 1, lands: ms(2800), answered: true }];
    world.tell(0, Event::ShutdownAsked(Shutdown::Stop));
    world.run(ms(2600));
    assert!(
        world.exited.is_empty() && !world.said(0, "nobody-ready"),
        "longer than two seconds: it is answered"
    );
    assert_eq!(world.group(0).role, Role::Active);
    world.run(ms(2000));
    assert_eq!((world.active(), world.exited.clone()), (vec![1], vec![0]));
    assert!(!world.said(0, "nobody-ready"));
}

#[test]
fn a_stop_with_a_service_that_does_not_stand_down_ends_after_fifteen_seconds() {
    let mut world = pair();
    world.stuck = vec![0];
    let asked = world.now;
    world.tell(0, Event::ShutdownAsked(Shutdown::Stop));
    world.run(ms(14_900));
    assert!(world.exited.is_empty(), "its service does not stand down");
    world.run(ms(1200));
    assert_eq!(world.exited, [0], "{:?}", world.now.since(asked));
}

#[test]
fn a_stop_of_two_groups_waits_for_both() {
    let mut settings = settings(2);
    settings.groups.push(settings.groups[0].clone());
    let mut world = World::empty(settings, Held::By(0));
    world.start(0);
    world.start(1);
    world.run(ms(60_000));
    world.delays = vec![Delay { node: 1, lands: ms(1500), answered: true }];
    world.tell(0, Event::ShutdownAsked(Shutdown::Stop));
    world.run(ms(1200));
    assert!(world.exited.is_empty());
    world.run(ms(3000));
    assert_eq!((world.exited.clone(), world.holder.clone()), (vec![0], vec![Held::By(1), Held::By(1)]));
}

#[test]
fn a_change_of_role_decides_anew_at_once() {
    let mut world = pair();
    world.holder = vec![Held::By(1)];
    world.run_until(ms(1), |world| world.group(0).role == Role::Standby);
    assert_eq!(world.group(0).row, Row::NotSettled, "not row 5: that is done");
    world.run_until(ms(1), |world| world.group(1).role == Role::Active);
    assert_eq!(world.group(1).row, Row::Serve);
}

#[test]
fn an_active_that_was_frozen_goes_on_but_changes_nothing_until_it_knows() {
    let mut world = pair();
    world.frozen = vec![0];
    world.run(ms(1600));
    world.frozen.clear();
    world.run(ms(10));
    assert_eq!((world.active(), world.group(0).row), (vec![0], Row::NotSettled));
    assert_eq!(world.desired[0], Some(Desired::Serve { repair: false }));
    world.run(ms(10_000));
    assert_eq!((world.active(), world.takes.len()), (vec![0], 0));
    assert_eq!(world.desired[0], Some(Desired::Serve { repair: true }));
    let stood_by = world.wishes.iter().any(|(_, node, it)| (*node, *it) == (0, Desired::Standby));
    assert!(!stood_by, "its service was never touched");
}

#[test]
fn who_waits_for_its_step_alarms_nobody() {
    let mut world = World::new(3, Held::By(0));
    world.run(ms(60_000));
    world.kill(0);
    world.run(ms(30_000));
    assert_eq!(world.active(), [1]);
    assert!(!world.notices.iter().any(|(_, it)| it.level == Level::Alarm), "{:?}", world.notices);
}

#[test]
fn a_take_that_is_answered_in_maintenance_changes_no_role_until_it_ends() {
    let mut world = pair();
    world.delays = vec![Delay { node: 1, lands: ms(500), answered: true }];
    world.kill(0);
    world.run_until(ms(1), |world| !world.calls.is_empty());
    world.tell(1, Event::Asked(Wish::Maintenance(GroupId(0), true)));
    world.run(ms(60_000));
    assert_eq!((world.holder[0], world.group(1).role), (Held::By(1), Role::Standby));
    world.tell(1, Event::Asked(Wish::Maintenance(GroupId(0), false)));
    world.run(ms(20_000));
    assert_eq!((world.active(), world.calls.len()), (vec![1], 1));
}

#[test]
fn what_was_read_in_maintenance_counts_for_nothing_when_it_ends() {
    let mut world = pair();
    world.tell(0, Event::Asked(Wish::Maintenance(GroupId(0), true)));
    world.run(ms(1000));
    world.holder = vec![Held::By(1)];
    world.run(ms(60_000));
    assert_eq!(world.active(), [0], "nothing changes in maintenance");
    world.tell(0, Event::Asked(Wish::Maintenance(GroupId(0), false)));
    world.run(ms(4900));
    assert_eq!(world.active(), [0]);
    world.run(ms(5000));
    assert_eq!((world.active(), world.takes.len()), (vec![1], 0));
}

#[test]
fn an_offer_that_is_lost_is_repeated_within_milliseconds() {
    let mut world = pair();
    world.cut = vec![(0, 1)];
    world.tell(0, Event::Asked(Wish::Switchover(GroupId(0), None)));
    world.run(ms(5));
    world.cut.clear();
    assert!(world.takes.is_empty());
    world.run(ms(8));
    assert_eq!(world.takes.len(), 1, "not at the next interval");
    world.run(ms(2000));
    assert_eq!(world.active(), [1]);
}

#[test]
fn a_step_ends_when_it_ends_and_not_at_the_next_interval() {
    let mut world = World::new(3, Held::By(0));
    world.run(ms(60_000));
    world.take_answer = Some(Failure::Refused);
    world.takes.clear();
    world.kill(0);
    world.run(ms(6000));
    let first = |node| world.takes.iter().find(|(_, taker, _)| *taker == node).map(|(at, ..)| *at).unwrap();
    let apart = first(2).since(first(1));
    assert!(apart >= ms(1990) && apart <= ms(2010), "{apart:?}");
}

#[test]
fn six_takeovers_by_silence_and_the_seventh_is_an_alarm_until_an_hour_is_over() {
    let mut world = pair();
    world.settings.groups[0].memory.silent_takeovers = vec![world.now; 6];
    world.kill(1);
    world.run(ms(100));
    world.start(1);
    world.run(ms(60_000));
    world.kill(0);
    world.run(ms(30_000));
    assert_eq!((world.active(), world.takes.len()), (vec![], 0));
    let alarms = |world: &World| world.notices.iter().filter(|(_, it)| it.id == "damped").count();
    assert_eq!(alarms(&world), 1);
    assert!(world.group(1).gate.unwrap().contains("six takeovers"));
    world.run(ms(3_600_000));
    assert_eq!((world.active(), alarms(&world)), (vec![1], 1));
}

#[test]
fn each_row_says_what_it_is_about() {
    let all: std::collections::BTreeSet<&str> = Row::ALL.iter().map(|row| row.situation()).collect();
    assert_eq!(all.len(), Row::ALL.len());
    assert!(all.iter().all(|text| text.contains(' ')));
    let numbers: Vec<u8> = Row::ALL.iter().map(|row| row.number()).collect();
    assert_eq!(numbers, (1..=20).collect::<Vec<u8>>());
}

#[test]
fn an_answer_from_before_a_freeze_lets_nobody_repair_what_is_anothers_by_now() {
    let mut world = pair();
    world.delays = vec![Delay { node: 0, lands: ms(300), answered: true }];
    world.holder = vec![Held::Nobody];
    world.run_until(ms(100), |world| !world.calls.is_empty());
    world.frozen = vec![0];
    world.run(ms(20_000));
    assert_eq!(world.holder[0], Held::By(1), "it landed, and was taken from the frozen node since");
    world.cut = vec![(0, 1), (1, 0)];
    world.run(ms(100));
    world.wishes.clear();
    world.queue.retain(|(_, node, event)| *node != 0 || !matches!(event, Event::HeartbeatReceived(_)));
    world.frozen.clear();
    world.run(ms(20_000));
    assert_eq!(world.active(), [1]);
    let repairs = (0, Desired::Serve { repair: true });
    assert!(!world.wishes.iter().any(|(_, node, it)| (*node, *it) == repairs), "{:?}", world.wishes);
}

#[test]
fn a_stop_waits_two_seconds_for_an_answer_and_no_nanosecond_longer() {
    let mut world = pair();
    world.cut = vec![(0, 1)];
    world.tell(0, Event::ShutdownAsked(Shutdown::Stop));
    world.run(ms(2000) - Duration::from_nanos(1));
    world.tell(0, Event::Ticked);
    assert!(!world.said(0, "nobody-ready"), "node 1 is heard, and could take it");
    world.run(Duration::from_nanos(1));
    world.tell(0, Event::Ticked);
    assert!(world.said(0, "nobody-ready"));
}

#[test]
fn a_stop_waits_fifteen_seconds_for_who_has_answered() {
    let mut settings = settings(2);
    settings.groups[0].cold = true;
    let mut world = World::empty(settings, Held::By(0));
    world.start(0);
    world.start(1);
    world.run(ms(60_000));
    // The service takes so long to stop that the offer outlasts the wait; and the taker's calls lead to nothing.
    world.converging = 4000;
    world.take_answer = Some(Failure::Refused);
    world.tell(0, Event::ShutdownAsked(Shutdown::Stop));
    world.run(ms(15_000) - Duration::from_nanos(1));
    world.tell(0, Event::Ticked);
    assert!(!world.said(0, "nobody-ready") && !world.takes.is_empty());
    world.run(Duration::from_nanos(1));
    world.tell(0, Event::Ticked);
    assert!(world.said(0, "nobody-ready"));
}
