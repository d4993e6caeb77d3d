//! Sessions, nonces and sequences: what counts as heard.

use std::time::Duration;

use super::*;

#[test]
fn a_replay_of_an_earlier_session_does_not_count() {
    let mut world = World::new(2, Held::By(0));
    world.run(ms(10_000));
    let old: Vec<Heartbeat> = world.datagrams.iter().filter(|beat| beat.from == NodeId(0)).cloned().collect();
    world.kill(0);
    world.start(0);
    world.run(ms(10_000));
    world.kill(0);
    let heard = |world: &World| world.core(1).snapshot(world.now).peers[0].heard.unwrap();
    world.run(ms(500));
    let before = heard(&world);
    for beat in old {
        world.tell(1, Event::HeartbeatReceived(Box::new(beat)));
    }
    assert_eq!(heard(&world), before);
    world.run(ms(2000));
    assert_eq!(world.active(), [1], "replays do not keep a dead node alive");
}

#[test]
fn a_replay_within_the_session_does_not_count() {
    let mut world = World::new(2, Held::By(0));
    world.run(ms(60_000));
    let all: Vec<Heartbeat> = world.datagrams.iter().filter(|beat| beat.from == NodeId(0)).cloned().collect();
    world.kill(0);
    for _ in 0..12 {
        world.run(ms(200));
        for beat in all.iter().rev().take(40) {
            world.tell(1, Event::HeartbeatReceived(Box::new(beat.clone())));
        }
    }
    assert_eq!(world.active(), [1]);
    assert!(world.core(1).snapshot(world.now).peers[0].links[0].stats.replayed > 100);
}

#[test]
fn a_datagram_for_another_node_does_not_count() {
    let mut world = World::new(3, Held::By(0));
    world.run(ms(1000));
    let stray = world.datagrams.iter().rfind(|beat| beat.from == NodeId(0) && beat.to == NodeId(2)).cloned();
    let before = world.core(1).snapshot(world.now).peers[0].links[0].stats.clone();
    world.tell(1, Event::HeartbeatReceived(Box::new(stray.unwrap())));
    let after = world.core(1).snapshot(world.now).peers[0].links[0].stats.clone();
    assert_eq!((before.received, before.replayed), (after.received, after.replayed));
}

#[test]
fn two_fresh_nodes_hear_each_other_within_a_few_round_trips() {
    let mut world = World::new(2, Held::Nobody);
    world.run(ms(300));
    for node in [0, 1] {
        assert_eq!(world.core(node).snapshot(world.now).peers[0].state, PeerState::Online);
    }
}

#[test]
fn a_restarted_peer_is_heard_again_at_once_and_round_trips_are_measured() {
    let mut world = World::new(2, Held::By(0));
    world.run(ms(10_000));
    world.kill(0);
    world.run(ms(100));
    world.start(0);
    world.run(ms(600));
    let peer = world.core(1).snapshot(world.now).peers.remove(0);
    assert_eq!(peer.state, PeerState::Online);
    let rtt = peer.links[0].stats.rtt_us.unwrap();
    assert!((1000..4000).contains(&rtt), "1 ms each way: {rtt}");
}

#[test]
fn what_does_not_authenticate_is_a_state_of_its_own() {
    let mut world = World::empty(settings(2), Held::By(0));
    world.start(1);
    world.run(ms(1000));
    world.tell(1, Event::DatagramRefused { peer: NodeId(0), link: LinkId(0) });
    let peer = world.core(1).snapshot(world.now).peers.remove(0);
    assert_eq!(peer.state, PeerState::KeyMismatch);
    assert_eq!(peer.links[0].stats.refused, 1);
}

#[test]
fn a_late_peer_is_asked_every_50_ms_and_answers_at_once() {
    let mut world = World::new(2, Held::By(0));
    world.run(ms(20_000));
    world.cut = vec![(0, 1)];
    world.run(ms(1000));
    world.datagrams.clear();
    world.run(ms(900));
    let asked = world.datagrams.iter().filter(|beat| beat.from == NodeId(1) && beat.ask).count();
    assert!((15..=22).contains(&asked), "{asked}");
    let answered = world.datagrams.iter().filter(|beat| beat.from == NodeId(0)).count();
    assert!(answered >= asked, "{answered} answers to {asked} requests");
    world.cut.clear();
    world.run(ms(60));
    assert_eq!(world.core(1).snapshot(world.now).peers[0].state, PeerState::Online);
}

#[test]
fn heavy_loss_is_not_death() {
    let mut world = World::new(2, Held::By(0));
    world.run(ms(20_000));
    world.takes.clear();
    for step in 0..6000u64 {
        // Five of six slots of 50 ms are lost, both ways.
        let lossy = step % 6 != 0;
        world.cut = if lossy { vec![(0, 1), (1, 0)] } else { Vec::new() };
        world.run(ms(50));
    }
    assert_eq!(world.takes, []);
}

#[test]
fn what_a_slow_link_brings_late_is_no_news() {
    let mut world = World::empty(Settings { links: 2, ..settings(2) }, Held::By(0));
    world.start(0);
    world.start(1);
    world.run(ms(30_000));
    let last = |link| {
        world.datagrams.iter().rfind(|it| (it.from, it.link) == (NodeId(0), LinkId(link))).cloned().unwrap()
    };
    let (fast, slow) = (last(0), last(1));
    world.kill(0);
    let back_in = Some(Duration::from_secs(10));
    let farewell = Heartbeat { sequence: fast.sequence + 9, sent_us: fast.sent_us + 1000, back_in, ..fast };
    world.tell(1, Event::HeartbeatReceived(Box::new(farewell)));
    let overtaken = Heartbeat { sequence: slow.sequence + 9, ..slow };
    world.tell(1, Event::HeartbeatReceived(Box::new(overtaken)));
    world.run(ms(9000));
    assert_eq!(world.group(1).row, Row::BackSoon);
    world.run(ms(2000));
    assert_eq!(world.active(), [1]);
}
