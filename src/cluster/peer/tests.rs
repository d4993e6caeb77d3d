use super::*;
use crate::cluster::heartbeat::{Maintenance, Tally};
use crate::cluster::tests::{ms, settings};

const ME: Session = Session(1);
const IT: Session = Session(2);

fn at(ms: u64) -> Time {
    Time::from_nanos((10_000 + ms) * 1_000_000)
}

fn beat(sequence: u64) -> Heartbeat {
    Heartbeat {
        from: NodeId(1),
        to: NodeId(0),
        link: LinkId(0),
        session: IT,
        sequence,
        nonce: 77,
        echo: None,
        sent_us: sequence * 1000,
        reply: None,
        ask: false,
        goodbye: false,
        back_in: None,
        farewell_seen: false,
        hears: NodeSet::default(),
        config_hash: 7,
        instance: None,
        interfaces: Vec::new(),
        groups: Vec::new(),
    }
}

struct Side {
    peer: Peer,
}

impl Side {
    fn new() -> Self {
        Self { peer: Peer::new(NodeId(1), 2, &mut Random::new(1), at(0)) }
    }

    /// Its session is confirmed at 0, by a heartbeat with sequence 1.
    fn met() -> Self {
        let mut side = Self::new();
        let echo = Some(Echo { session: ME, nonce: side.peer.nonce });
        let received = side.hear(Heartbeat { echo, ..beat(1) }, 0);
        let theirs = Echo { session: IT, nonce: 77 };
        assert_eq!(received, Received { counts: true, answer: Some(Some(theirs)), confirmed: true });
        side
    }

    fn hear(&mut self, beat: Heartbeat, now: u64) -> Received {
        self.peer.receive(&beat, ME, &settings(2), at(now))
    }

    fn state(&self, now: u64) -> PeerState {
        self.peer.state(at(now), &settings(2))
    }
}

const NOTHING: Received = Received { counts: false, answer: None, confirmed: false };
const COUNTS: Received = Received { counts: true, answer: None, confirmed: false };

#[test]
fn a_session_counts_only_once_it_echoes_our_nonce() {
    let mut side = Side::new();
    let nonce = side.peer.nonce;
    for (wrong_session, wrong_nonce) in [(9, nonce), (1, nonce + 1)] {
        let echo = Some(Echo { session: Session(wrong_session), nonce: wrong_nonce });
        assert!(!side.hear(Heartbeat { echo, ..beat(1) }, 0).counts);
    }
    assert_eq!((side.peer.session, side.peer.heard_at), (None, None));
    let mut side = Side::met();
    assert_eq!((side.peer.session, side.peer.heard_at), (Some(IT), Some(at(0))));
    assert_ne!(side.peer.nonce, nonce, "whoever recorded this cannot use it for the next session");
    let echo = Some(Echo { session: ME, nonce: side.peer.nonce });
    let next = Heartbeat { session: Session(3), echo, ..beat(1) };
    assert!(side.hear(next, 100).confirmed, "a restarted peer's sequence starts again");
    assert_eq!(side.peer.session, Some(Session(3)));
}

#[test]
fn an_unknown_session_is_answered_but_not_every_replay_of_it() {
    let mut side = Side::new();
    let theirs = Some(Echo { session: IT, nonce: 77 });
    let answered = Received { answer: Some(theirs), ..NOTHING };
    assert_eq!(side.hear(beat(1), 0), answered);
    assert_eq!(side.hear(beat(2), 19), NOTHING);
    assert_eq!(side.hear(beat(3), 20), answered);
    assert_eq!(side.peer.echo, theirs, "our next regular heartbeat answers it as well");
    let mut side = Side::met();
    let known = side.peer.echo;
    side.hear(Heartbeat { session: Session(9), nonce: 5, ..beat(1) }, 100);
    assert_eq!(side.peer.echo, known, "a replay does not cost the known session its echo");
}

#[test]
fn only_a_request_is_answered_and_not_too_often() {
    let mut side = Side::met();
    assert_eq!(side.hear(beat(2), 100), COUNTS);
    let ask = |sequence| Heartbeat { ask: true, ..beat(sequence) };
    assert!(side.hear(ask(3), 101).answer.is_some());
    assert_eq!(side.hear(ask(4), 105), COUNTS);
    assert!(side.hear(ask(5), 106).answer.is_some());
    assert_eq!(side.hear(ask(5), 200), NOTHING, "a replay");
    assert_eq!(side.hear(Heartbeat { link: LinkId(2), ..ask(9) }, 200), NOTHING, "a link that there is not");
    let mut side = Side::new();
    let echo = Some(Echo { session: ME, nonce: side.peer.nonce });
    let empty = side.hear(Heartbeat { echo, ..beat(0) }, 0);
    assert_eq!(empty, Received { confirmed: true, ..NOTHING }, "no sequence starts with 0");
}

#[test]
fn what_it_says_is_learned_and_what_it_does_not_say_stays() {
    let mut side = Side::met();
    let named = |sequence, instance: &str, interface: &str| Heartbeat {
        instance: Some(instance.into()),
        interfaces: vec![interface.into()],
        ..beat(sequence)
    };
    let known = |side: &Side| (side.peer.instance.clone().unwrap(), side.peer.interfaces.join(" "));
    side.hear(named(2, "i-1", "eni-1"), 10);
    assert_eq!(known(&side), ("i-1".into(), "eni-1".into()));
    side.hear(beat(3), 20);
    assert_eq!(known(&side), ("i-1".into(), "eni-1".into()));
    side.hear(named(4, "i-2", "eni-2"), 30);
    assert_eq!(known(&side), ("i-2".into(), "eni-2".into()));
}

#[test]
fn what_was_said_earlier_is_a_sign_of_life_and_no_news() {
    let mut side = Side::met();
    side.hear(Heartbeat { sent_us: 50_000, ..beat(2) }, 50);
    let late = Heartbeat { link: LinkId(1), sent_us: 49_999, goodbye: true, ..beat(1) };
    assert_eq!(side.hear(late, 60), COUNTS);
    assert_eq!((side.peer.heard_at, side.peer.said_at, side.peer.left), (Some(at(60)), Some(at(50)), false));
    let same = Heartbeat { link: LinkId(1), sent_us: 50_000, goodbye: true, ..beat(2) };
    side.hear(same, 70);
    assert_eq!((side.peer.said_at, side.peer.left), (Some(at(70)), true), "said at the same moment");
}

#[test]
fn silence_has_its_steps_and_each_begins_on_time() {
    let mut side = Side::met();
    side.hear(beat(2), 100);
    let settings = settings(2);
    let states = |now| {
        let (peer, now) = (&side.peer, at(now));
        (peer.heard(now, &settings), peer.late(now, &settings), peer.silent(now, &settings))
    };
    assert_eq!(states(1099), (true, false, false));
    assert_eq!(states(1100), (true, true, false));
    assert_eq!(states(2099), (true, true, false));
    assert_eq!(states(2100), (false, true, true));
    let states = [100, 1099, 1100, 2099, 2100].map(|now| side.state(now));
    use PeerState::{Late, Lost, Online};
    assert_eq!(states, [Online, Online, Late, Late, Lost]);
    let asked = [1099, 1100, 4099, 4100].map(|now| side.peer.wants_asking(at(now), &settings));
    assert_eq!(asked, [false, true, true, false], "a peer that is long silent is not asked for ever");
    assert_eq!(side.peer.silent_at(ms(2000)), at(2100));
    let never = Side::new();
    let silent = [29_999, 30_000].map(|now| never.peer.silent(at(now), &settings));
    assert_eq!(silent, [false, true], "never heard: first-dead-after");
    assert_eq!(never.state(0), PeerState::NeverSeen);
    assert_eq!(never.peer.silent_at(ms(30_000)), at(30_000));
}

#[test]
fn who_was_heard_at_least_once_is_late_and_who_left_is_not() {
    let settings = settings(2);
    assert!(!Side::new().peer.late(at(5000), &settings));
    let mut side = Side::met();
    side.hear(Heartbeat { goodbye: true, ..beat(2) }, 100);
    assert!(!side.peer.late(at(5000), &settings) && !side.peer.heard(at(101), &settings));
    assert_eq!(side.state(101), PeerState::Left);
    assert_eq!(side.peer.newly_quiet(at(101), &settings), (false, true), "a goodbye is silence at once");
    assert_eq!(side.peer.newly_quiet(at(102), &settings), (false, false), "and is news once");
}

#[test]
fn becoming_late_and_silent_is_news_once_each() {
    let settings = settings(2);
    let mut side = Side::met();
    let news = [999, 1000, 1500, 2000, 2500].map(|now| side.peer.newly_quiet(at(now), &settings));
    let (none, late, silent) = ((false, false), (true, false), (false, true));
    assert_eq!(news, [none, late, none, silent, none]);
}

#[test]
fn our_own_gap_counts_silence_anew_but_not_for_who_was_silent_before() {
    let settings = settings(2);
    let mut side = Side::met();
    side.peer.newly_quiet(at(1500), &settings);
    side.peer.count_anew(at(1500));
    assert_eq!(side.peer.silence(at(1600)), ms(100));
    assert_eq!(side.peer.silent_at(ms(2000)), at(3500));
    side.peer.newly_quiet(at(3500), &settings);
    side.peer.count_anew(at(3600));
    assert_eq!(side.peer.silence(at(3600)), ms(2100));
}

#[test]
fn an_announced_restart_is_no_silence_until_its_time_is_over() {
    let settings = settings(2);
    let mut side = Side::met();
    side.hear(Heartbeat { back_in: Some(ms(10_000)), ..beat(2) }, 100);
    assert!(side.peer.back_soon(at(10_099)) && !side.peer.back_soon(at(10_100)));
    assert!(!side.peer.silent(at(10_099), &settings) && side.peer.silent(at(10_100), &settings));
    let states = [1099, 1100, 10_099, 10_100].map(|now| side.state(now));
    use PeerState::{Lost, Online, Restarting};
    assert_eq!(states, [Online, Restarting, Restarting, Lost]);
    side.hear(beat(3), 200);
    assert!(!side.peer.back_soon(at(300)), "it is back, or has changed its mind");
}

#[test]
fn what_does_not_authenticate_shows_for_thirty_seconds() {
    let mut side = Side::new();
    side.peer.refuse(LinkId(1), at(0));
    side.peer.refuse(LinkId(7), at(0));
    assert_eq!(side.peer.links.iter().map(|it| it.stats.refused).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(side.state(29_999), PeerState::KeyMismatch);
    assert_eq!(side.state(30_000), PeerState::NeverSeen);
}

#[test]
fn ec2s_word_on_its_instance_is_worth_something_while_young_and_until_it_is_heard() {
    let mut side = Side::new();
    side.peer.running = Some((at(100), Running::No));
    assert_eq!(side.peer.running(at(30_099)), Some(Running::No));
    assert_eq!(side.peer.running(at(30_100)), None);
    let mut side = Side::met();
    side.peer.running = Some((at(100), Running::No));
    side.hear(beat(2), 99);
    assert_eq!(side.peer.running(at(200)), Some(Running::No));
    side.hear(beat(3), 100);
    assert_eq!(side.peer.running(at(200)), None, "it lives, whatever was said before");
}

#[test]
fn what_goes_to_it_carries_link_sequence_echo_and_what_was_seen() {
    let mut side = Side::met();
    side.hear(Heartbeat { sent_us: 9000, ..beat(2) }, 100);
    let mut out = beat(0);
    side.peer.address(&mut out, LinkId(0), None, at(103));
    assert_eq!((out.to, out.link, out.sequence, out.nonce), (NodeId(1), LinkId(0), 1, side.peer.nonce));
    assert_eq!(out.echo, Some(Echo { session: IT, nonce: 77 }));
    assert_eq!(out.reply, Some(Reply { sent_us: 9000, held_us: 3000 }));
    assert!(!out.farewell_seen);
    let other = Some(Echo { session: Session(9), nonce: 5 });
    side.peer.address(&mut out, LinkId(0), other, at(103));
    assert_eq!((out.sequence, out.echo), (2, other), "an answer to another session");
    side.peer.address(&mut out, LinkId(1), None, at(103));
    assert_eq!((out.sequence, out.reply), (1, None), "each link counts for itself");
    side.hear(Heartbeat { back_in: Some(ms(10_000)), ..beat(30) }, 110);
    side.peer.address(&mut out, LinkId(0), None, at(120));
    assert!(out.farewell_seen);
    let mut side = Side::met();
    side.hear(Heartbeat { goodbye: true, ..beat(2) }, 110);
    side.peer.address(&mut out, LinkId(0), None, at(120));
    assert!(out.farewell_seen);
}

#[test]
fn the_round_trip_leaves_out_how_long_the_peer_held_it() {
    let mut side = Side::met();
    let reply = Some(Reply { sent_us: 10_050_000, held_us: 30_000 });
    side.hear(Heartbeat { reply, ..beat(2) }, 100);
    assert_eq!(side.peer.links[0].stats.rtt_us, Some(20_000));
}

#[test]
fn it_hears_us_only_if_it_says_so_and_is_heard() {
    let settings = settings(2);
    let mut side = Side::met();
    assert!(!side.peer.hears_us(NodeId(0), at(100), &settings));
    let mut hears = NodeSet::default();
    hears.insert(NodeId(0));
    side.hear(Heartbeat { hears, ..beat(2) }, 100);
    assert!(side.peer.hears_us(NodeId(0), at(200), &settings));
    assert!(!side.peer.hears_us(NodeId(0), at(2100), &settings));
}

#[test]
fn its_report_is_the_one_of_that_group() {
    let report = |group, role| GroupReport {
        group: GroupId(group),
        role,
        term: 1,
        eligible: true,
        why_not: None,
        fit: true,
        owner: None,
        fail_count: 0,
        maintenance: Maintenance::default(),
        offer: None,
        ready: None,
        tally: Tally::default(),
    };
    let mut side = Side::met();
    let groups = vec![report(1, Role::Active), report(2, Role::Standby)];
    side.hear(Heartbeat { groups, ..beat(2) }, 100);
    let active = [0, 1, 2].map(|group| side.peer.says_active(GroupId(group)));
    assert_eq!(active, [false, true, false]);
    assert!(side.peer.report(GroupId(0)).is_none());
}

#[test]
fn a_late_peer_is_asked_every_50_ms_at_most_at_the_interval() {
    let mut settings = settings(2);
    assert_eq!(Peer::ask_interval(&settings), ms(50));
    settings.interval = ms(20);
    assert_eq!(Peer::ask_interval(&settings), ms(20));
}
