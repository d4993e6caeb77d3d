//! The loser's side: who was active, and is not any more, or never should have been. Each is one story,
//! told to its end: who serves, who holds, who took what and how often, and what the loser said and did.

use super::rows::pair;
use super::*;

/// One node serves and holds the anchor; on every other one that runs the service is in its standby state.
fn served_by(world: &World, node: u8) {
    assert_eq!((world.active(), world.holder[0]), (vec![node], Held::By(node)));
    assert_eq!(world.desired[usize::from(node)], Some(Desired::Serve { repair: true }));
    for (other, core) in (0u8..).zip(&world.nodes) {
        if other != node && core.is_some() {
            assert_eq!(world.group(other).desired, Some((Desired::Standby, true)), "node {other}");
        }
    }
}

/// How often a node became active or standby by a row.
fn became(world: &World, node: u8, role: &str, row: u8) -> usize {
    let (text, row) = (format!("this node is {role}"), format!("(row {row}:"));
    let so = |it: &Notice| it.id == "role-changed" && it.text.starts_with(&text) && it.text.contains(&row);
    world.notices.iter().filter(|(from, it)| *from == node && so(it)).count()
}

/// Whether a node decided by a row. (A read may find out what a take has done before its answer comes: then the
/// node becomes active by row 9.)
fn decided(world: &World, node: u8, row: Row) -> bool {
    world.notices.iter().any(|(from, it)| *from == node && it.id == "decided" && it.row == Some(row))
}

/// How often a node's role changed.
fn turns(world: &World, node: u8) -> usize {
    world.notices.iter().filter(|(from, it)| *from == node && it.id == "role-changed").count()
}

fn takes_of(world: &World, node: u8) -> usize {
    world.calls.iter().filter(|call| call.node == node).count()
}

/// Everything that a node has changed in EC2, or tried to.
fn changes_of(world: &World, node: u8) -> usize {
    takes_of(world, node) + world.tags.iter().filter(|(_, from, _)| *from == node).count()
}

const APART: [(u8, u8); 2] = [(0, 1), (1, 0)];

#[test]
fn two_actives_of_which_ec2_names_one_are_one_as_soon_as_the_other_can_ask() {
    let mut world = pair();
    world.cut = APART.to_vec();
    world.cloudless = vec![0];
    world.run(ms(20_000));
    assert_eq!(world.active(), [0, 1], "each for itself");
    let changes = changes_of(&world, 0);
    world.cloudless.clear();
    world.run(ms(15_000));
    served_by(&world, 1);
    assert!(decided(&world, 1, Row::Silent));
    assert_eq!(became(&world, 0, "standby", 5), 1);
    world.cut.clear();
    world.run(ms(120_000));
    served_by(&world, 1);
    assert_eq!((turns(&world, 0), turns(&world, 1)), (1, 1), "and it stays so");
    assert_eq!((takes_of(&world, 0), takes_of(&world, 1)), (0, 1));
    assert_eq!(changes_of(&world, 0), changes, "the loser changed nothing in EC2");
}

#[test]
fn two_actives_of_equal_terms_go_by_what_ec2_says() {
    let mut world = World::empty(settings(2), Held::By(0));
    world.cut = APART.to_vec();
    world.start(0);
    world.run(ms(10_000));
    world.holder = vec![Held::By(1)];
    world.cloudless = vec![0];
    world.forget();
    world.start(1);
    world.run(ms(10_000));
    assert_eq!(world.active(), [0, 1]);
    assert_eq!(world.group(0).term, world.group(1).term);
    world.cut.clear();
    world.run(ms(60_000));
    assert_eq!(world.active(), [0, 1], "a term that is no higher decides nothing");
    let changes = changes_of(&world, 0);
    world.cloudless.clear();
    world.run(ms(10_000));
    served_by(&world, 1);
    assert_eq!((became(&world, 0, "standby", 5), turns(&world, 1)), (1, 1));
    assert_eq!((world.calls.len(), changes_of(&world, 0)), (0, changes));
}

#[test]
fn a_call_that_lands_late_moves_the_group_once_and_nobody_fights() {
    let mut world = pair();
    world.delays = vec![Delay { node: 1, lands: ms(9000), answered: true }];
    world.cut = APART.to_vec();
    world.run(ms(2500));
    assert_eq!(takes_of(&world, 1), 1);
    world.cut.clear();
    world.run(ms(5000));
    served_by(&world, 0);
    assert_eq!(world.group(1).row, Row::Watch, "it has no reason any more, but its call is on its way");
    world.run(ms(15_000));
    served_by(&world, 1);
    assert_eq!((became(&world, 0, "standby", 5), became(&world, 1, "active", 9)), (1, 1));
    world.run(ms(300_000));
    served_by(&world, 1);
    assert_eq!((takes_of(&world, 0), takes_of(&world, 1), turns(&world, 0)), (0, 1, 1));
}

#[test]
fn a_call_that_lands_after_the_other_nodes_wins_and_the_other_yields() {
    let mut world = World::new(3, Held::By(0));
    world.run(ms(60_000));
    world.notices.clear();
    world.delays = vec![Delay { node: 1, lands: ms(20_000), answered: true }];
    world.kill(0);
    world.run(ms(10_000));
    assert_eq!(world.active(), [2], "the first in line has sent its call, and nobody knows where it is");
    assert_eq!((takes_of(&world, 1), takes_of(&world, 2)), (1, 1));
    world.run(ms(30_000));
    served_by(&world, 1);
    assert!(decided(&world, 2, Row::Silent));
    assert_eq!((became(&world, 2, "standby", 5), turns(&world, 2)), (1, 2));
    assert_eq!(became(&world, 1, "active", 9), 1, "what has landed is just mine");
    world.run(ms(300_000));
    served_by(&world, 1);
    assert_eq!((takes_of(&world, 1), takes_of(&world, 2)), (1, 1));
}

#[test]
fn a_frozen_active_that_thaws_in_the_middle_of_a_call_does_not_believe_its_answer() {
    let mut world = pair();
    world.delays = vec![Delay { node: 0, lands: ms(300), answered: true }];
    world.holder = vec![Held::Nobody];
    world.run_until(ms(100), |world| !world.calls.is_empty());
    world.frozen = vec![0];
    world.run(ms(400));
    assert_eq!((world.calls[0].did, world.holder[0]), (Some(Ok(())), Held::By(0)), "it has acted");
    world.run(ms(20_000));
    served_by_other_than_frozen(&world);
    world.frozen.clear();
    world.run(ms(200));
    served_by(&world, 1);
    world.run(ms(60_000));
    served_by(&world, 1);
    assert!(world.said(0, "stalled"));
    assert_eq!(became(&world, 0, "standby", 5), 1);
    assert_eq!((takes_of(&world, 0), takes_of(&world, 1)), (1, 1), "one each, and none after the thaw");
}

fn served_by_other_than_frozen(world: &World) {
    assert_eq!((world.holder[0], world.group(1).role), (Held::By(1), Role::Active));
    assert_eq!(world.desired[1], Some(Desired::Serve { repair: true }));
}

#[test]
fn a_call_of_a_frozen_active_that_lands_after_the_takeover_is_found_out_by_its_counter() {
    let mut world = pair();
    world.delays = vec![Delay { node: 0, lands: ms(6000), answered: true }];
    world.holder = vec![Held::Orphaned];
    world.run_until(ms(100), |world| !world.calls.is_empty());
    assert_eq!(world.calls[0].from, TakeFrom::Anyone);
    world.frozen = vec![0];
    world.run(ms(4000));
    served_by_other_than_frozen(&world);
    world.run(ms(10_000));
    assert_eq!(world.holder[0], Held::By(0), "it landed; who sent it does not run");
    assert_eq!((became(&world, 1, "standby", 5), takes_of(&world, 1)), (1, 1));
    world.run(ms(60_000));
    served_by_other_than_frozen(&world);
    assert!(decided(&world, 1, Row::CounterAtRest));
    assert_eq!(takes_of(&world, 1), 2);
    world.frozen.clear();
    world.run(ms(60_000));
    served_by(&world, 1);
    assert_eq!((became(&world, 0, "standby", 5), takes_of(&world, 0)), (1, 1));
}

#[test]
fn a_call_that_acted_but_whose_answer_was_lost_is_just_mine() {
    let mut world = pair();
    world.delays = vec![Delay { node: 1, lands: ms(10), answered: false }];
    world.kill(0);
    world.run(ms(10_000));
    served_by(&world, 1);
    assert_eq!(became(&world, 1, "active", 9), 1, "a read says so before the call has timed out");
    assert_eq!(takes_of(&world, 1), 1);
    world.run(ms(300_000));
    served_by(&world, 1);
    assert_eq!((takes_of(&world, 1), turns(&world, 1)), (1, 1));
    assert!(!world.notices.iter().any(|(_, it)| it.level == Level::Alarm));
}

#[test]
fn a_lost_answer_to_the_active_ones_own_call_disturbs_nobody() {
    let mut world = pair();
    world.delays = vec![Delay { node: 0, lands: ms(10), answered: false }];
    world.holder = vec![Held::Nobody];
    world.run(ms(60_000));
    served_by(&world, 0);
    assert_eq!((turns(&world, 0), turns(&world, 1)), (0, 0));
    assert_eq!((takes_of(&world, 0), takes_of(&world, 1)), (1, 0));
}

#[test]
fn an_address_that_is_detached_by_hand_goes_back_to_who_serves() {
    let mut world = pair();
    world.holder = vec![Held::Nobody];
    world.run(ms(15_000));
    served_by(&world, 0);
    assert_eq!((takes_of(&world, 0), takes_of(&world, 1)), (1, 0));
    assert_eq!(world.calls[0].from, TakeFrom::Nobody, "in the call that fails if somebody was faster");
    assert_eq!((turns(&world, 0), turns(&world, 1)), (0, 0));
    let serves = |it: &&(Time, u8, Desired)| matches!(it.2, Desired::Serve { .. });
    assert_eq!(
        world.wishes.iter().filter(serves).count(),
        world.wishes.len(),
        "the service was never touched"
    );
    assert!(world.notices.iter().any(|(from, it)| (*from, it.row) == (0, Some(Row::Retake))));
}

#[test]
fn an_address_that_is_detached_while_the_active_is_dying_is_taken_by_the_other() {
    let mut world = pair();
    world.kill(0);
    world.holder = vec![Held::Nobody];
    world.run(ms(30_000));
    served_by(&world, 1);
    assert!(decided(&world, 1, Row::Free));
    assert_eq!((turns(&world, 1), takes_of(&world, 1)), (1, 1));
    assert_eq!(world.calls[0].from, TakeFrom::Nobody);
}

#[test]
fn terraform_that_moves_the_route_back_moves_the_group_back_and_nobody_fights() {
    let mut world = pair();
    world.kill(0);
    world.run(ms(5000));
    world.start(0);
    world.run(ms(60_000));
    served_by(&world, 1);
    world.calls.clear();
    world.notices.clear();
    world.holder = vec![Held::By(0)];
    world.run(ms(20_000));
    served_by(&world, 0);
    assert_eq!((became(&world, 1, "standby", 5), became(&world, 0, "active", 9)), (1, 1));
    world.run(ms(300_000));
    served_by(&world, 0);
    assert_eq!((world.calls.len(), turns(&world, 0), turns(&world, 1)), (0, 1, 1));
}

#[test]
fn terraform_that_moves_the_route_back_to_a_dead_node_costs_one_more_take() {
    let mut world = pair();
    world.kill(0);
    world.run(ms(30_000));
    served_by(&world, 1);
    world.calls.clear();
    world.notices.clear();
    world.holder = vec![Held::By(0)];
    world.run(ms(20_000));
    assert_eq!(
        (became(&world, 1, "standby", 5), world.calls.len()),
        (1, 0),
        "it may serve: only EC2 can tell"
    );
    assert_eq!(world.group(1).row, Row::CounterAtRest);
    world.run(ms(60_000));
    served_by(&world, 1);
    assert_eq!((turns(&world, 1), takes_of(&world, 1)), (2, 1));

    world.instances[0] = Some(Running::No);
    world.holder = vec![Held::By(0)];
    world.run(ms(20_000));
    served_by(&world, 1);
    assert!(decided(&world, 1, Row::Proof), "EC2's word spares the wait");
    assert_eq!((turns(&world, 1), takes_of(&world, 1)), (4, 2));
}

#[test]
fn an_instance_that_is_replaced_comes_back_as_a_standby() {
    let mut world = pair();
    world.terminate(0, false);
    world.run(ms(20_000));
    served_by(&world, 1);
    assert_eq!(takes_of(&world, 1), 1);
    world.replace(0);
    world.run(ms(300_000));
    served_by(&world, 1);
    assert_eq!((takes_of(&world, 0), turns(&world, 0), turns(&world, 1)), (0, 0, 1));
    assert_eq!(world.group(1).takers, [NodeId(0)], "and is there when it is needed");
    world.kill(1);
    world.run(ms(5000));
    served_by(&world, 0);
    assert!(decided(&world, 0, Row::Silent));
    assert_eq!((turns(&world, 0), takes_of(&world, 0)), (1, 1));
    assert!(world.group(0).term > 2, "its terms go on from what it heard: {}", world.group(0).term);
}

#[test]
fn an_anchor_on_an_interface_left_over_from_a_terminated_instance_is_taken_once() {
    let mut world = pair();
    world.terminate(0, true);
    world.run(ms(30_000));
    served_by(&world, 1);
    assert_eq!(world.calls.len(), 1);
    assert_eq!(world.calls[0].from, TakeFrom::Anyone, "somebody has it, who is not there any more");
    assert!(decided(&world, 1, Row::Free));
    assert_eq!(turns(&world, 1), 1);
    world.replace(0);
    world.run(ms(120_000));
    served_by(&world, 1);
    assert_eq!((world.calls.len(), turns(&world, 0)), (1, 0));
}

#[test]
fn the_new_instance_takes_what_its_forerunner_left_if_nobody_else_can() {
    let mut world = pair();
    world.tell(1, Event::Asked(Wish::Standby(GroupId(0), true)));
    world.terminate(0, true);
    world.run(ms(60_000));
    assert_eq!((world.active(), world.calls.len()), (vec![], 0));
    world.replace(0);
    world.run(ms(20_000));
    served_by(&world, 0);
    assert!(decided(&world, 0, Row::Free));
    assert_eq!((turns(&world, 0), takes_of(&world, 0), takes_of(&world, 1)), (1, 1, 0));
}

/// Two groups on two nodes, each at home on its own one.
fn two_groups() -> World {
    let order = |first: u8, second: u8| GroupSettings::of(vec![NodeId(first), NodeId(second)]);
    let groups = vec![order(0, 1), order(1, 0)];
    let mut world = World::empty(Settings { groups, ..settings(2) }, Held::By(0));
    world.holder = vec![Held::By(0), Held::By(1)];
    world.start(0);
    world.start(1);
    world.run(ms(60_000));
    assert_eq!(roles(&world, 0), [Role::Active, Role::Standby]);
    assert_eq!(roles(&world, 1), [Role::Standby, Role::Active]);
    world.notices.clear();
    world
}

fn roles(world: &World, node: u8) -> Vec<Role> {
    world.core(node).snapshot(world.now).groups.iter().map(|it| it.role).collect()
}

#[test]
fn two_groups_that_meet_on_one_node_leave_each_other_alone() {
    let mut world = two_groups();
    world.kill(0);
    world.run(ms(10_000));
    assert_eq!(roles(&world, 1), [Role::Active; 2]);
    assert_eq!((world.calls.len(), world.calls[0].group), (1, GroupId(0)));
    let about_own = |it: &&(u8, Notice)| it.1.group == Some(GroupId(1)) && it.1.id == "role-changed";
    assert_eq!(world.notices.iter().filter(about_own).count(), 0, "its own group did not notice");
    world.start(0);
    world.run(ms(300_000));
    assert_eq!(
        (roles(&world, 0), world.calls.len()),
        (vec![Role::Standby; 2], 1),
        "nothing goes home by itself"
    );

    world.tell(1, Event::Asked(Wish::Switchover(GroupId(0), Some(NodeId(0)))));
    world.run(ms(20_000));
    assert_eq!(roles(&world, 0), [Role::Active, Role::Standby]);
    assert_eq!(roles(&world, 1), [Role::Standby, Role::Active]);
    assert_eq!(world.holder, [Held::By(0), Held::By(1)]);
    assert_eq!((world.calls.len(), world.calls[1].group), (2, GroupId(0)));
}

#[test]
fn two_groups_part_with_their_nodes_when_one_loses_its_anchor() {
    let mut world = two_groups();
    world.holder[0] = Held::By(1);
    world.run(ms(20_000));
    assert_eq!((roles(&world, 0), roles(&world, 1)), (vec![Role::Standby; 2], vec![Role::Active; 2]));
    let views = world.core(0).snapshot(world.now).groups;
    assert!(views.iter().all(|it| it.desired == Some((Desired::Standby, true))), "{views:?}");
    assert_eq!((became(&world, 0, "standby", 5), world.calls.len()), (1, 0));
}

/// Two clusters that know nothing of each other, on one anchor: what one holds is a stranger's to the other.
fn side_by_side(worlds: &mut [World; 2], for_: Duration) {
    let end = worlds[0].now + for_;
    while worlds[0].now < end {
        for at in [0, 1] {
            let landed = |world: &World| world.calls.iter().filter(|it| it.did == Some(Ok(()))).count();
            let before = landed(&worlds[at]);
            worlds[at].run(ms(5));
            if landed(&worlds[at]) > before {
                worlds[1 - at].holder = vec![Held::Stranger];
            }
        }
    }
}

fn alarms(world: &World) -> Vec<(u8, &'static str)> {
    let alarms = world.notices.iter().filter(|(_, it)| it.level == Level::Alarm);
    alarms.map(|(node, it)| (*node, it.id)).collect()
}

#[test]
fn two_clusters_with_one_anchor_by_mistake_do_not_fight() {
    let mut worlds = [World::new(2, Held::Nobody), World::new(2, Held::Nobody)];
    side_by_side(&mut worlds, ms(600_000));
    let [one, two] = &worlds;
    served_by(one, 0);
    assert_eq!((one.calls.len(), alarms(one)), (1, vec![]));
    assert_eq!((two.active(), two.holder[0]), (vec![], Held::Stranger));
    assert!(two.calls.len() <= 1, "{:?}", two.calls);
    assert!(two.calls.iter().all(|it| it.did == Some(Err(Failure::Conflict))), "{:?}", two.calls);
    assert_eq!(alarms(two), [(0, "stranger"), (1, "stranger")], "both of its nodes say so, once");
}

#[test]
fn a_second_cluster_on_a_served_anchor_never_takes_it_and_the_first_still_may() {
    let mut worlds = [pair(), World::new(2, Held::Stranger)];
    worlds[1].now = worlds[0].now;
    side_by_side(&mut worlds, ms(60_000));
    worlds[0].kill(0);
    side_by_side(&mut worlds, ms(600_000));
    served_by(&worlds[0], 1);
    assert_eq!((worlds[0].calls.len(), worlds[1].calls.len()), (1, 0));
    assert!(worlds[1].active().is_empty());
    assert_eq!(alarms(&worlds[1]), [(0, "stranger"), (1, "stranger")]);
}

#[test]
fn an_active_whose_anchor_a_second_cluster_takes_yields_and_says_so() {
    let mut world = pair();
    world.holder = vec![Held::Stranger];
    world.run(ms(600_000));
    assert_eq!((world.active(), world.calls.len(), world.tags.len()), (vec![], 0, 0));
    for node in [0, 1] {
        assert_eq!(world.group(node).desired, Some((Desired::Standby, true)));
        assert_eq!(world.group(node).row, Row::Stranger);
    }
    assert_eq!(became(&world, 0, "standby", 5), 1);
    let mut alarms = alarms(&world);
    alarms.sort_unstable();
    assert_eq!(alarms, [(0, "stranger"), (1, "stranger")]);
    world.holder = vec![Held::Nobody];
    world.run(ms(60_000));
    assert_eq!(
        (world.active().len(), world.calls.len()),
        (1, 1),
        "detached, it goes to a node of ours again"
    );
}
