//! Fencing and the lease, from the configuration to the calls.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use standin::cloud::LeaseItem;
use standin::sandbox::model::{Change, InstanceState, Protection, Request, Spec, Subject};

use crate::leases::Leases;
use crate::pair::{Member, Pair, settled, until};
use crate::service::with_scripts;

const GROUP: &str = "test/ivr";

/// The pair, with stops that take a moment.
fn fenced(group: &'static str) -> Pair {
    let mut spec = Spec::pair();
    spec.settings.hard_stop_time = Duration::from_millis(700);
    Pair { group: group.into(), ..Pair::of(&spec) }
}

/// What has happened, in its order: "stopped" for ivr-a's instance, "moved" for the service's address.
fn order(pair: &Pair) -> Vec<&'static str> {
    pair.world.with(|vpc| {
        let a = vpc.state().instances.values().find(|it| it.name == "ivr-a").unwrap().id.clone();
        let of = |change: &Change| {
            let stopped = matches!(&change.subject, Subject::Instance { id } if *id == a)
                && change.to.as_deref() == Some("stopped");
            let moved =
                matches!(&change.subject, Subject::PrivateIp { address, .. } if address.octets()[3] == 100);
            if stopped { Some("stopped") } else { moved.then_some("moved") }
        };
        vpc.changes(0).filter_map(of).collect()
    })
}

fn state_of_a(pair: &Pair) -> InstanceState {
    pair.world.with(|vpc| vpc.state().instances.values().find(|it| it.name == "ivr-a").unwrap().state)
}

#[test]
fn the_silent_node_has_stopped_before_its_group_is_taken() {
    let pair = fenced("fencing = \"before\"");
    let (mut a, b) = settled(&pair);
    a.kill();
    until("ivr-b has all", 30, || pair.all_with("ivr-b"));
    assert_eq!(order(&pair), ["stopped", "moved"]);
    assert_eq!(b.line.calls.lock().unwrap().iter().filter(|it| **it == "StopInstances").count(), 1);
}

#[test]
fn alongside_does_not_wait_for_it() {
    let pair = fenced("fencing = \"alongside\"");
    let (mut a, _b) = settled(&pair);
    a.kill();
    until("ivr-b has all", 30, || pair.all_with("ivr-b"));
    until("ivr-a has stopped", 10, || state_of_a(&pair) == InstanceState::Stopped);
    assert_eq!(order(&pair), ["moved", "stopped"]);
}

#[test]
fn what_would_make_fencing_fail_is_said_beforehand_and_holds() {
    let pair = fenced("fencing = \"before\"");
    let instance = pair.world.identity("ivr-a").instance;
    let attribute = Protection::Stop;
    let protect = Request::SetProtection { instance, attribute, on: true, dry_run: false };
    pair.world.call("console", &protect);
    let (mut a, b) = settled(&pair);
    let said = |it: &String| it.contains("fencing of ivr-a: it has stop protection");
    until("the obstacle is said", 40, || b.status().problems.iter().any(said));
    a.kill();
    until("EC2 has refused", 20, || b.line.calls.lock().unwrap().contains(&"StopInstances"));
    std::thread::sleep(Duration::from_secs(2));
    assert!(pair.all_with("ivr-a") && b.group().role == "standby");
    assert_eq!(state_of_a(&pair), InstanceState::Running);
    let calls = b.line.calls.lock().unwrap().iter().filter(|it| **it == "StopInstances").count();
    assert_eq!(calls, 1, "what is refused is not repeated at once");
    let fence = b.group().fence.unwrap();
    assert_eq!((fence.node.as_str(), fence.state.as_str()), ("ivr-a", "failed"));
    let takeover = b.group().takeover;
    assert!(!takeover.works && takeover.because == "ivr-a could not be fenced", "{takeover:?}");
    let problems = b.status().problems.join("\n");
    assert!(problems.contains("ivr: fencing of ivr-a has failed, so that ivr-a may still run"), "{problems}");
}

fn leased() -> (Pair, Arc<Leases>) {
    let leases = Arc::new(Leases::default());
    let pair = Pair {
        group: "arbiter = \"dynamodb\"".into(),
        // Both nodes are on one machine here: each has a unit of its own.
        tables: "[group.service]\nunit = \"den-{node}.service\"\n[lease]\ntable = \"leases\"\nlength = \"5s\"\nstop-bound = \"1s\"",
        leases: Some(Arc::clone(&leases)),
        ..Pair::new()
    };
    (pair, leases)
}

/// Both run, and one of them holds the lease and everything else.
fn settled_by_lease(pair: &Pair, leases: &Leases) -> (Member, Member) {
    let (a, b) = (pair.start("ivr-a"), pair.start("ivr-b"));
    until("somebody is active", 40, || a.group().role == "active" || b.group().role == "active");
    let owner = leases.item(GROUP).and_then(|it| it.owner).unwrap();
    let (active, standby) = if owner == "ivr-a" { (a, b) } else { (b, a) };
    until("the holder has all", 20, || pair.all_with(&owner) && active.group().reached);
    (active, standby)
}

#[test]
fn the_lease_is_taken_when_it_has_run_out_and_the_rest_follows() {
    with_scripts("safety::a_lease_that_runs_out");
}

#[test]
#[ignore = "run by the_lease_is_taken_when_it_has_run_out_and_the_rest_follows, which has a systemd for it"]
fn a_lease_that_runs_out() {
    let (pair, leases) = leased();
    let (mut active, standby) = settled_by_lease(&pair, &leases);
    let before = leases.item(GROUP).unwrap();
    assert_eq!(before.length_ms, 5000);
    until("the lease is renewed", 10, || leases.item(GROUP).unwrap().nonce != before.nonce);
    active.kill();
    let killed = Instant::now();
    let name = standby.status().node;
    until("the other one has all", 40, || pair.all_with(&name));
    let now = leases.item(GROUP).unwrap();
    assert_eq!(now.owner.as_deref(), Some(name.as_str()));
    assert!(now.term > before.term, "{now:?} after {before:?}");
    // A whole lease from the receipt of the last nonce, which was there at most one renewal before.
    let waited = killed.elapsed();
    assert!(waited >= Duration::from_millis(3500), "only {waited:?}");
    eprintln!("with a lease of 5 s everything moved {waited:?} after the kill");
}

#[test]
fn without_dynamodb_nobody_is_active() {
    with_scripts("safety::a_lease_without_dynamodb");
}

#[test]
#[ignore = "run by without_dynamodb_nobody_is_active, which has a systemd for it"]
fn a_lease_without_dynamodb() {
    let (pair, leases) = leased();
    let (active, standby) = settled_by_lease(&pair, &leases);
    let name = active.status().node;
    let (ours, theirs) = (active.group().lease.unwrap(), standby.group().lease.unwrap());
    assert!(ours.owner == name && theirs.owner == name, "{ours:?} {theirs:?}");
    assert!(ours.valid_for_ms.is_some() && theirs.expires_in_ms.is_some(), "{ours:?} {theirs:?}");
    leases.down.store(true, Ordering::Relaxed);
    until("the active one stands down", 20, || active.group().role == "standby");
    assert_eq!(standby.group().role, "standby");
    let lease = active.group().lease.unwrap();
    assert!(lease.failed_calls > 0 && lease.valid_for_ms.is_none(), "{lease:?}");
    let problems = active.status().problems.join("\n");
    assert!(problems.contains("ivr: DynamoDB has failed"), "{problems}");
    assert!(problems.contains("PutItem") || problems.contains("GetItem"), "{problems}");
    leases.down.store(false, Ordering::Relaxed);
    until("one is active again", 40, || active.group().role == "active" || standby.group().role == "active");
}

#[test]
fn the_lease_of_a_node_that_is_no_more_runs_out() {
    with_scripts("safety::a_lease_of_nobody");
}

#[test]
#[ignore = "run by the_lease_of_a_node_that_is_no_more_runs_out, which has a systemd for it"]
fn a_lease_of_nobody() {
    let (pair, leases) = leased();
    let written_at = "long ago".to_owned();
    let owner = Some("ivr-z".to_owned());
    leases.put(GROUP, LeaseItem { owner, nonce: 9, term: 41, length_ms: 6000, written_at });
    let started = Instant::now();
    let (active, _standby) = settled_by_lease(&pair, &leases);
    assert!(started.elapsed() >= Duration::from_secs(6), "before it had run out: {:?}", started.elapsed());
    assert!(active.group().term >= 42, "{}", active.group().term);
}
