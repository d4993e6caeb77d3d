//! What an operator sees of a core.

use super::*;

#[test]
fn a_link_is_shown_up_then_late_then_lost() {
    let mut world = rows::pair();
    let link = |world: &World| world.core(1).snapshot(world.now).peers[0].links[0].clone();
    assert_eq!(link(&world).state, LinkState::Up);
    world.kill(0);
    world.run(ms(1500));
    assert_eq!(link(&world).state, LinkState::Late);
    world.run(ms(1500));
    assert_eq!(link(&world).state, LinkState::Lost);
    assert!(link(&world).since <= ms(1250) && link(&world).heard.unwrap() >= ms(2500), "{:?}", link(&world));
}

#[test]
fn a_peer_with_another_configuration_is_shown() {
    let mut world = World::empty(settings(2), Held::By(0));
    world.start(0);
    assert_eq!(world.core(0).snapshot(world.now).peers[0].same_config, None);
    world.settings.config_hash = 8;
    world.start(1);
    world.run(ms(1000));
    assert_eq!(world.core(0).snapshot(world.now).peers[0].same_config, Some(false));
    world.kill(1);
    world.settings.config_hash = 7;
    world.start(1);
    world.run(ms(1000));
    let peer = world.core(0).snapshot(world.now).peers.remove(0);
    assert_eq!((peer.same_config, peer.hears_us, peer.back_in), (Some(true), Some(true), None));
}

#[test]
fn an_announced_restart_and_ec2s_word_are_shown_with_their_ages() {
    let mut world = rows::pair();
    world.tell(0, Event::ShutdownAsked(Shutdown::Restart));
    world.run(ms(5000));
    let peer = world.core(1).snapshot(world.now).peers.remove(0);
    assert!(peer.back_in.is_some_and(|left| left > ms(5000) && left <= ms(5600)), "{:?}", peer.back_in);
    assert_eq!((peer.state, peer.hears_us), (PeerState::Restarting, None));
    let (running, age) = peer.running.unwrap();
    assert!(running == Running::Yes && age <= ms(5000), "{age:?}");
    world.run(ms(10_000));
    assert_eq!(world.core(1).snapshot(world.now).peers[0].back_in, None);
}

#[test]
fn a_stance_is_what_was_decided() {
    let mut world = rows::pair();
    let all = |world: &World, node| world.core(node).stances().collect::<Vec<_>>();
    let (id, stance) = all(&world, 0).remove(0);
    assert_eq!(
        (id, stance.role, stance.by, stance.row),
        (GroupId(0), Role::Active, Row::OwnAnchor, Row::Serve)
    );
    assert_eq!(stance.term, world.group(0).term);
    world.kill(0);
    world.run(ms(10_000));
    let stances = all(&world, 1);
    let view = world.group(1);
    assert_eq!((stances.len(), stances[0].1.role, stances[0].1.by), (1, Role::Active, view.reason.0));
    assert_eq!(stances[0].1.term, view.term);
}
