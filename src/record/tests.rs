use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::line::{Decoder, Encoder};
use super::*;
use crate::cluster::heartbeat::{Echo, Reply, Tally};
use crate::cluster::{
    AnchorRead, Cluster, Counter, Event, Failure, GroupId, GroupReport, GroupSettings, Heartbeat, Lease,
    LinkId, Maintenance, NodeId, NodeSet, Offer, Owner, Role, Running, ServiceFailure, Session, Settings,
    Shutdown, Time, Wish,
};

fn beat(sequence: u64, goodbye: bool) -> Heartbeat {
    let report = GroupReport {
        group: GroupId(0),
        role: Role::Active,
        term: 7,
        eligible: true,
        why_not: None,
        fit: true,
        owner: Some(Owner::Theirs(NodeId(1))),
        fail_count: 2,
        maintenance: Maintenance { version: 3, on: true },
        offer: Some(Offer {
            id: u64::MAX,
            term: 7,
            to: Some(NodeId(1)),
            ttl: Duration::from_millis(9_999),
            stopped: true,
        }),
        ready: Some(5),
        tally: Tally { calls: Some(12), unregistered: Some(u8::MAX) },
    };
    Heartbeat {
        from: NodeId(1),
        to: NodeId(0),
        link: LinkId(1),
        session: Session(u64::MAX),
        sequence,
        nonce: u64::MAX - 1,
        echo: Some(Echo { session: Session(4), nonce: 5 }),
        sent_us: 1_000_000 + sequence,
        reply: Some(Reply { sent_us: 1, held_us: sequence }),
        ask: true,
        goodbye,
        back_in: Some(Duration::from_secs(10)),
        farewell_seen: true,
        hears: NodeSet(3),
        config_hash: u64::MAX,
        instance: Some("i-0".into()),
        interfaces: vec!["eni-0".into(), "eni-1".into()],
        groups: vec![report],
    }
}

/// At least one of each kind. [`kind`] makes that a new one is thought of here.
fn events() -> Vec<Event> {
    let (group, node, call) = (GroupId(0), NodeId(1), u64::MAX);
    let counter = Some(Counter { node, session: Session(9), n: 3 });
    let lease = Lease { owner: Some(node), nonce: 1, term: 2, length: Duration::from_secs(10) };
    let mut all = vec![
        Event::Ticked,
        Event::HeartbeatReceived(Box::new(beat(1, false))),
        Event::DatagramRefused { peer: node, link: LinkId(0) },
        Event::CounterWritten { group, ok: false },
        Event::OwnTagWritten { group, ok: true },
        Event::Probed { group, call, answered: true },
        Event::Converged { group, change: 8 },
        Event::IdentityLearned { instance: "i-\"\\\u{e9}\n".into(), interfaces: vec![] },
        Event::AbilityChanged { group, able: Ok(()) },
        Event::Counted { group, tally: Tally { calls: Some(3), unregistered: None } },
        Event::AbilityChanged { group, able: Err("why".into()) },
        Event::ServiceChanged { group, fit: true },
        Event::ServiceFailed { group, how: ServiceFailure::Start },
        Event::ServiceFailed { group, how: ServiceFailure::Running },
        Event::ShutdownAsked(Shutdown::Stop),
        Event::ShutdownAsked(Shutdown::Restart),
    ];
    let owners = [Owner::Mine, Owner::Theirs(node), Owner::Nobody, Owner::Orphaned, Owner::Stranger];
    all.extend(owners.map(|owner| Event::AnchorRead {
        group,
        call,
        answer: Ok(AnchorRead { owner, counter: counter.filter(|_| owner == Owner::Mine) }),
    }));
    for answer in [Failure::Conflict, Failure::Refused, Failure::Passing, Failure::NoAnswer].map(Err) {
        all.push(Event::AnchorRead { group, call, answer });
        all.push(Event::TakeAnswered { group, call, answer: answer.map(|_| ()) });
        all.push(Event::Fenced { group, node, call, answer: answer.map(|_| ()) });
        all.push(Event::Recovered { node, call, answer: answer.map(|_| ()) });
        all.push(Event::LeaseWritten { group, call, answer: answer.map(|_| ()) });
    }
    all.extend([None, Some(lease)].map(|it| Event::LeaseRead { group, call, answer: Ok(it) }));
    let states = [None, Some(Running::Yes), Some(Running::Ending), Some(Running::No)];
    all.extend(states.map(|it| Event::InstanceRead { node, call, answer: Ok(it) }));
    all.push(Event::TakeAnswered { group, call, answer: Ok(()) });
    let wishes = [
        Wish::Switchover(group, None),
        Wish::Switchover(group, Some(node)),
        Wish::Maintenance(group, true),
        Wish::Standby(group, false),
        Wish::Cleanup(group),
        Wish::TakeOver(group),
    ];
    all.extend(wishes.map(Event::Asked));
    all
}

fn kind(event: &Event) -> usize {
    match event {
        Event::Ticked => 0,
        Event::HeartbeatReceived(_) => 1,
        Event::DatagramRefused { .. } => 2,
        Event::AnchorRead { .. } => 3,
        Event::InstanceRead { .. } => 4,
        Event::TakeAnswered { .. } => 5,
        Event::CounterWritten { .. } => 6,
        Event::OwnTagWritten { .. } => 7,
        Event::Fenced { .. } => 8,
        Event::Probed { .. } => 9,
        Event::LeaseRead { .. } => 10,
        Event::LeaseWritten { .. } => 11,
        Event::Converged { .. } => 12,
        Event::IdentityLearned { .. } => 13,
        Event::AbilityChanged { .. } => 14,
        Event::ServiceChanged { .. } => 15,
        Event::ServiceFailed { .. } => 16,
        Event::Asked(_) => 17,
        Event::ShutdownAsked(_) => 18,
        Event::Counted { .. } => 19,
        Event::Recovered { .. } => 20,
    }
}

fn through(encoder: &mut Encoder, decoder: &mut Decoder, line: Line) -> Line {
    let text = encoder.encode(line).unwrap();
    assert!(!text.contains('\n'));
    decoder.decode(&text).unwrap()
}

#[test]
fn every_event_comes_back_as_it_was() {
    let events = events();
    let mut kinds: Vec<usize> = events.iter().map(kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, (0..20).collect::<Vec<_>>(), "one of each kind");
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
    for event in events {
        for line in [Line::Input, Line::Stalled] {
            let line = line(Time::from_nanos(u64::MAX), event.clone());
            let back = through(&mut encoder, &mut decoder, line.clone());
            assert_eq!(format!("{back:?}"), format!("{line:?}"));
        }
    }
}

proptest! {
    /// Short and long forms in any order.
    #[test]
    fn heartbeats_come_back_as_they_were(
        beats in prop::collection::vec((any::<u8>(), any::<u64>(), any::<bool>(), any::<bool>(), any::<u64>()), 1..40),
    ) {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        for (from, sequence, goodbye, stalled, sent_us) in beats {
            let (from, link) = (NodeId(from % 3), LinkId(from % 2));
            let beat = Heartbeat { from, link, sent_us, ..beat(sequence / 2, goodbye) };
            let line = if stalled { Line::Stalled } else { Line::Input };
            let line = line(Time::from_nanos(sequence), Event::HeartbeatReceived(Box::new(beat)));
            let back = through(&mut encoder, &mut decoder, line.clone());
            prop_assert_eq!(format!("{back:?}"), format!("{line:?}"));
        }
    }
}

#[test]
fn a_heartbeat_without_news_is_short() {
    let mut encoder = Encoder::default();
    let mut text = |sequence| {
        let event = Event::HeartbeatReceived(Box::new(beat(sequence, false)));
        encoder.encode(Line::Input(Time::from_nanos(9), event)).unwrap()
    };
    assert!(text(1).len() > 300);
    assert_eq!(text(2), "{\"b\":[9,[1,1,2,1000002,[1,2]]]}");
}

#[test]
fn a_core_comes_back_and_decides_the_same() {
    let settings = Settings {
        nodes: 3,
        links: 2,
        interval: Duration::from_millis(250),
        warn_after: Duration::from_secs(1),
        dead_after: Duration::from_secs(2),
        first_dead_after: Duration::from_secs(30),
        call_timeout: Duration::from_secs(3),
        seed: 5,
        groups: vec![GroupSettings::of(vec![NodeId(0), NodeId(1)]); 2],
        ..Settings::default()
    };
    let mut now = Time::from_nanos(1_000_000_000);
    let mut one = Cluster::new(settings, now);
    for (step, event) in events().into_iter().cycle().take(500).enumerate() {
        now += Duration::from_millis(40 + 100 * (step as u64 % 5));
        one.handle(event, now);
        while one.next_command().is_some() {}
    }
    let header = Header::new(&Names::default(), "boot", &one).unwrap();
    let mut other = header.core().unwrap();
    assert_eq!(format!("{other:?}").len(), format!("{one:?}").len() - histograms(&one));
    for event in events() {
        now += Duration::from_millis(100);
        one.handle(event.clone(), now);
        other.handle(event, now);
        loop {
            let (one, other) = (one.next_command(), other.next_command());
            assert_eq!(format!("{one:?}"), format!("{other:?}"));
            if one.is_none() {
                break;
            }
        }
        assert_eq!(one.next_deadline(), other.next_deadline());
    }
}

/// What is not kept: how the statistic of the gaps between heartbeats is longer than an empty one.
fn histograms(core: &Cluster) -> usize {
    let empty = format!("{:?}", crate::cluster::link::Gaps::default()).len();
    let views = core.snapshot(Time::ZERO).peers.into_iter().flat_map(|peer| peer.links);
    views.map(|link| format!("{:?}", link.stats.gaps).len() - empty).sum()
}

#[test]
fn a_core_of_an_older_version_is_filled_up() {
    let core = Cluster::new(
        Settings {
            nodes: 2,
            links: 1,
            groups: vec![GroupSettings::of(vec![NodeId(0)])],
            ..Settings::default()
        },
        Time::ZERO,
    );
    let header = Header::new(&Names::default(), "boot", &core).unwrap();
    let text = serde_json::to_string(&header).unwrap();
    // As if these had not been there yet.
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["core"]["groups"][0].as_object_mut().unwrap().remove("rest").unwrap();
    value["core"]["settings"]["groups"][0].as_object_mut().unwrap().remove("migration_threshold").unwrap();
    value["core"]["peers"][0].as_object_mut().unwrap().remove("nonces").unwrap();
    let older: Header = serde_json::from_value(value).unwrap();
    assert_eq!(format!("{:?}", older.core().unwrap()), format!("{core:?}"));
    let none: Header = serde_json::from_str(&text.replace("\"session\":", "\"sessions\":")).unwrap();
    assert!(none.core().is_ok(), "even that");
    let none: Header = serde_json::from_str(&text.replace("\"started\":0", "\"started\":\"x\"")).unwrap();
    assert!(none.core().is_err());
}

#[test]
fn a_file_of_another_kind_is_not_continued() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ring::files(folder.path());
    std::fs::write(&first, "{\"at_ns\":7,\"input\":\"Ticked\"}\n").unwrap();
    drop(Ring::open(folder.path()).unwrap());
    assert!(Path::new(&second).exists());
    assert!(std::fs::read_to_string(&first).unwrap().contains("at_ns"), "it may be of an older version");
}

#[test]
fn a_header_that_a_crash_has_torn_costs_nothing_else() {
    let core = Cluster::new(Settings { nodes: 1, links: 1, ..Settings::default() }, Time::ZERO);
    let header = || Header::new(&Names::default(), "boot", &core).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ring::files(folder.path());
    let agent = || {
        let mut ring = Ring::open(folder.path()).unwrap();
        ring.begin(header(), false).unwrap();
        ring.write(Line::Input(Time::ZERO, Event::Ticked)).unwrap();
        ring.flush().unwrap();
    };
    agent();
    let whole = std::fs::read(&first).unwrap();
    for torn in [60, 200] {
        // A second one dies in the middle of its header, and a third one goes on after it.
        let half = [whole.as_slice(), &whole[..torn]].concat();
        std::fs::write(&first, half).unwrap();
        assert_eq!(Recording::read_ring(folder.path()).unwrap().segments.len(), 1);
        agent();
        let recording = Recording::read_ring(folder.path()).unwrap();
        assert_eq!(recording.segments.len(), 2, "{:?}", recording.notes);
        assert!(recording.notes[0].starts_with("line 3 of "), "{:?}", recording.notes);
    }
    // A header that is followed by its lines is not torn: somebody has edited it.
    let text = String::from_utf8(whole.clone()).unwrap().replacen("\"boot\":", "\"boot\"", 1);
    assert!(matches!(Recording::parse(&text, &first), Err(ReadError::Corrupt { line: 1, .. })));
    // One dies before its header, in the file that it has just emptied: the other one stays.
    for begun in ["", "{\"standin-rec"] {
        std::fs::write(&first, &whole).unwrap();
        std::fs::write(&second, begun).unwrap();
        let later = std::fs::metadata(&first).unwrap().modified().unwrap() + Duration::from_secs(1);
        std::fs::File::options().write(true).open(&second).unwrap().set_modified(later).unwrap();
        agent();
        assert_eq!(std::fs::read(&first).unwrap(), whole);
        assert_eq!(Recording::read_ring(folder.path()).unwrap().segments.len(), 2);
    }
}
