//! The loser's side where the shell has its part in it: the rest of a group, and the way to EC2.

use std::sync::atomic::Ordering;

use standin::control::client;
use standin::control::protocol::{Request, Response};
use standin::sandbox::model::{Request as Ec2, RouteChange, RouteTarget};

use crate::cloud::Line;
use crate::pair::{Pair, settled, until};

const CHANGES: [&str; 4] = ["AssociateAddress", "AssignPrivateIpAddresses", "ReplaceRoute", "CreateRoute"];

/// The calls of a node that change something, but for its tags.
fn changes(line: &Line) -> Vec<&'static str> {
    line.calls.lock().unwrap().iter().copied().filter(|it| CHANGES.contains(it)).collect()
}

#[test]
fn of_two_nodes_with_half_of_the_routes_each_only_the_anchors_holder_takes() {
    let pair = Pair::new();
    let (a, b) = settled(&pair);
    a.line.calls.lock().unwrap().clear();
    let state = pair.world.with(|vpc| vpc.state().clone());
    let interface = pair.world.identity("ivr-b").interfaces[0].id.clone();
    let mut moved = 0;
    for table in state.route_tables.values() {
        let own = table
            .routes
            .iter()
            .filter(|it| pair.world.name(state.route_holder(&table.id, &it.destination)) == "ivr-a");
        for route in own.step_by(2) {
            let (destination, target) =
                (route.destination.clone(), RouteTarget::Interface(interface.clone()));
            let change = RouteChange { table: table.id.clone(), destination, target, dry_run: false };
            pair.world.call("somebody", &Ec2::ReplaceRoute(change));
            moved += 1;
        }
    }
    let holders = pair.world.holders();
    let with = |node: &str| holders.iter().filter(|it| *it == node).count();
    assert!(moved > 0 && with("ivr-b") == moved && with("ivr-a") >= moved, "{holders:?}");
    until("ivr-a has all again", 20, || pair.all_with("ivr-a"));
    assert_eq!(changes(&a.line), vec!["ReplaceRoute"; moved], "what was in its place was left there");
    assert_eq!(changes(&b.line), [""; 0], "it has half of them, and no anchor");
    assert_eq!((a.group().role.as_str(), b.group().role.as_str()), ("active", "standby"));
}

#[test]
fn a_connection_that_dies_with_the_way_that_the_anchor_changed_does_not_keep_the_rest() {
    let pair = Pair::new();
    let (mut a, b) = settled(&pair);
    b.line.way_moves.store(true, Ordering::Relaxed);
    a.kill();
    until("ivr-b has all", 20, || pair.all_with("ivr-b") && b.group().role == "active");
    until("ivr-b has left its old connections behind", 5, || b.line.replaced.load(Ordering::Relaxed) > 0);
    let anchors = changes(&b.line).into_iter().filter(|it| *it == "AssignPrivateIpAddresses").count();
    assert_eq!(anchors, 1, "the take itself was answered before");
    until("ivr-b has it from EC2 that all is there", 20, || b.group().reached && b.group().row_now == 3);
}

#[test]
fn whoever_gains_or_loses_the_anchor_leaves_its_connections_behind() {
    let pair = Pair::new();
    let (a, b) = settled(&pair);
    let replaced = |line: &Line| line.replaced.load(Ordering::Relaxed);
    let before = (replaced(&a.line), replaced(&b.line));
    let request = Request::Switchover { group: "ivr".into(), to: Some("ivr-b".into()), drain_ms: None };
    assert_eq!(client::ask(&a.socket, request).unwrap(), Response::Accepted);
    until("ivr-b has all", 10, || pair.all_with("ivr-b") && a.group().role == "standby");
    until("both speak over new connections", 5, || {
        replaced(&a.line) > before.0 && replaced(&b.line) > before.1
    });
}
