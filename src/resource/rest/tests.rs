use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::cloud::Address;
use crate::resource::fake::{self, Fake};

/// A clock that stands still: no deadline comes.
fn still_time() -> Time {
    Time::ZERO
}

async fn run(cloud: &Fake, resources: &[Resource], anchor: usize, allowed: u32) -> Vec<Outcome> {
    let here = fake::here();
    let asked = AtomicU32::new(0);
    let still = || asked.fetch_add(1, Ordering::Relaxed) < allowed;
    let deadline = Time::ZERO + Duration::from_secs(30);
    let run = Run { cloud, here: &here, still: &still, now: &still_time, deadline };
    acquire_rest(run, resources, anchor).await
}

fn endings(outcomes: &[Outcome]) -> Vec<(&str, &str, &Ending)> {
    outcomes.iter().map(|it| (it.resource.as_str(), it.piece.as_str(), &it.ending)).collect()
}

fn rider_at(interface: &str) -> Address {
    Address {
        allocation: "eipalloc-9".to_owned(),
        interface: Some(interface.to_owned()),
        private_ip: Some(fake::ip("10.0.1.100")),
        ..Address::default()
    }
}

#[tokio::test]
async fn everything_but_the_anchor_is_taken() {
    let cloud = Fake::default();
    cloud.addresses.lock().unwrap().push(rider_at("eni-a"));
    let resources = [
        fake::elastic_ip(),
        fake::private_ip(Some("eipalloc-9")),
        fake::route(&["rtb-1", "rtb-2"], &["10.99.0.1/32", "pl-1"]),
    ];
    let outcomes = run(&cloud, &resources, 1, u32::MAX).await;
    assert_eq!(
        endings(&outcomes),
        [
            ("trunk", "eipalloc-1", &Ending::Here),
            ("service", "eipalloc-9", &Ending::Here),
            ("office", "rtb-1 10.99.0.1/32", &Ending::Here),
            ("office", "rtb-1 pl-1", &Ending::Here),
            ("office", "rtb-2 10.99.0.1/32", &Ending::Here),
            ("office", "rtb-2 pl-1", &Ending::Here),
        ]
    );
    assert_eq!(
        cloud.calls(),
        [
            "AssociateAddress eipalloc-1 eni-a 10.0.1.20 reassociate=true",
            "DescribeAddresses eipalloc-9",
            "ReplaceRoute rtb-1 10.99.0.1/32 eni-a",
            "ReplaceRoute rtb-1 pl-1 eni-a",
            "ReplaceRoute rtb-2 10.99.0.1/32 eni-a",
            "ReplaceRoute rtb-2 pl-1 eni-a",
        ]
    );
}

#[tokio::test]
async fn a_rider_that_did_not_follow_is_told_to() {
    let cloud = Fake::default();
    cloud.addresses.lock().unwrap().push(rider_at("eni-b"));
    let resources = [fake::elastic_ip(), fake::private_ip(Some("eipalloc-9"))];
    let outcomes = run(&cloud, &resources, 0, u32::MAX).await;
    assert_eq!(
        endings(&outcomes),
        [("service", "10.0.1.100", &Ending::Here), ("service", "eipalloc-9", &Ending::Here)]
    );
    let read = "DescribeAddresses eipalloc-9";
    let assign = "AssignPrivateIpAddresses eni-a 10.0.1.100 reassign=true";
    let associate = "AssociateAddress eipalloc-9 eni-a 10.0.1.100 reassociate=true";
    assert_eq!(cloud.calls(), [assign, read, read, read, associate]);
}

#[tokio::test]
async fn a_rider_stays_where_it_is_if_its_address_does_not_come() {
    let cloud = Fake::default();
    cloud.fail("AssignPrivateIpAddresses", &[ErrorKind::Denied]);
    run(&cloud, &[fake::elastic_ip(), fake::private_ip(Some("eipalloc-9"))], 0, u32::MAX).await;
    assert_eq!(cloud.calls(), ["AssignPrivateIpAddresses eni-a 10.0.1.100 reassign=true"]);
}

#[tokio::test]
async fn who_no_longer_holds_the_anchor_changes_nothing() {
    let cloud = Fake::default();
    let resources =
        [fake::elastic_ip(), fake::private_ip(Some("eipalloc-9")), fake::route(&["rtb-1"], &["pl-1"])];
    let outcomes = run(&cloud, &resources, 0, 0).await;
    assert!(outcomes.iter().all(|it| it.ending == Ending::Yielded), "{outcomes:?}");
    assert_eq!(cloud.calls(), [""; 0]);

    // Nor does it repeat a call, or create what was missing.
    let cloud = Fake::default();
    cloud.fail("AssignPrivateIpAddresses", &[ErrorKind::Throttled]);
    let outcomes = run(&cloud, &[fake::elastic_ip(), fake::private_ip(None)], 0, 1).await;
    assert_eq!(endings(&outcomes), [("service", "10.0.1.100", &Ending::Yielded)]);
    assert_eq!(cloud.calls().len(), 1);
    let cloud = Fake::default();
    cloud.fail("ReplaceRoute", &[ErrorKind::NotFound]);
    let outcomes = run(&cloud, &[fake::elastic_ip(), fake::route(&["rtb-1"], &["pl-1"])], 0, 1).await;
    assert_eq!(endings(&outcomes), [("office", "rtb-1 pl-1", &Ending::Yielded)]);
    assert_eq!(cloud.calls(), ["ReplaceRoute rtb-1 pl-1 eni-a"]);
}

#[tokio::test]
async fn throttling_and_a_lost_endpoint_are_retried() {
    let cloud = Fake::default();
    cloud.fail("AssociateAddress", &[ErrorKind::Throttled, ErrorKind::Unreachable, ErrorKind::Credentials]);
    let outcomes = run(&cloud, &[fake::private_ip(None), fake::elastic_ip()], 0, u32::MAX).await;
    assert_eq!(endings(&outcomes), [("trunk", "eipalloc-1", &Ending::Here)]);
    assert_eq!(cloud.calls().len(), 4);
}

#[tokio::test]
async fn a_denial_is_not_retried_and_names_the_action() {
    let cloud = Fake::default();
    cloud.fail("AssociateAddress", &[ErrorKind::Denied]);
    let outcomes = run(&cloud, &[fake::private_ip(None), fake::elastic_ip()], 0, u32::MAX).await;
    let [Outcome { ending: Ending::Failed(error), .. }] = outcomes.as_slice() else { panic!("{outcomes:?}") };
    assert!(error.to_string().contains("allow ec2:AssociateAddress"), "{error}");
    assert_eq!(cloud.calls().len(), 1);
}

#[tokio::test]
async fn a_call_without_an_answer_is_looked_after_before_it_is_repeated() {
    let cloud = Fake::default();
    cloud.fail("AssociateAddress", &[ErrorKind::NoAnswer]);
    cloud.addresses.lock().unwrap().push(Address {
        allocation: "eipalloc-1".to_owned(),
        interface: Some("eni-a".to_owned()),
        private_ip: Some(fake::ip("10.0.1.20")),
        ..Address::default()
    });
    let outcomes = run(&cloud, &[fake::private_ip(None), fake::elastic_ip()], 0, u32::MAX).await;
    assert_eq!(endings(&outcomes), [("trunk", "eipalloc-1", &Ending::Here)]);
    assert_eq!(cloud.calls()[1..], ["DescribeAddresses eipalloc-1"]);

    // It has not landed: then it is repeated.
    cloud.addresses.lock().unwrap()[0].interface = Some("eni-b".to_owned());
    cloud.calls.lock().unwrap().clear();
    cloud.fail("AssociateAddress", &[ErrorKind::NoAnswer]);
    run(&cloud, &[fake::private_ip(None), fake::elastic_ip()], 0, u32::MAX).await;
    assert_eq!(cloud.calls().len(), 3);
}

#[tokio::test]
async fn a_missing_route_is_created() {
    let resources = [fake::elastic_ip(), fake::route(&["rtb-1"], &["2001:db8::/56"])];
    let replace = "ReplaceRoute rtb-1 2001:db8::/56 eni-a";
    let create = "CreateRoute rtb-1 2001:db8::/56 eni-a";

    let cloud = Fake::default();
    cloud.fail("ReplaceRoute", &[ErrorKind::NotFound]);
    let outcomes = run(&cloud, &resources, 0, u32::MAX).await;
    assert_eq!(endings(&outcomes), [("office", "rtb-1 2001:db8::/56", &Ending::Here)]);
    assert_eq!(cloud.calls(), [replace, create]);

    // Created by somebody else in between: replaced after all.
    let cloud = Fake::default();
    cloud.fail("ReplaceRoute", &[ErrorKind::NotFound]);
    cloud.fail("CreateRoute", &[ErrorKind::Conflict]);
    run(&cloud, &resources, 0, u32::MAX).await;
    assert_eq!(cloud.calls(), [replace, create, replace]);

    // No such table: said, not repeated.
    let cloud = Fake::default();
    cloud.fail("ReplaceRoute", &[ErrorKind::NotFound]);
    cloud.fail("CreateRoute", &[ErrorKind::NotFound]);
    let outcomes = run(&cloud, &resources, 0, u32::MAX).await;
    assert!(matches!(&outcomes[0].ending, Ending::Failed(it) if it.kind == ErrorKind::NotFound));
    assert_eq!(cloud.calls().len(), 2);
}

#[tokio::test]
async fn the_deadline_ends_the_effort() {
    let cloud = Fake::default();
    cloud.fail("AssociateAddress", &[ErrorKind::Throttled; 1000]);
    let here = fake::here();
    let started = tokio::time::Instant::now();
    let now = || Time::ZERO + started.elapsed();
    let deadline = Time::ZERO + Duration::from_secs(1);
    let run = Run { cloud: &cloud, here: &here, still: &|| true, now: &now, deadline };
    let outcomes = acquire_rest(run, &[fake::private_ip(None), fake::elastic_ip()], 0).await;
    assert!(matches!(&outcomes[0].ending, Ending::Failed(it) if it.kind == ErrorKind::Throttled));
    let calls = cloud.calls().len();
    assert!((3..100).contains(&calls), "{calls} calls in a second");
    assert!(outcomes[0].finished <= Duration::from_secs(1), "{outcomes:?}");
}

#[tokio::test]
async fn one_resource_that_cannot_be_placed_does_not_hold_the_others() {
    let cloud = Fake::default();
    let mut elsewhere = fake::private_ip(None);
    let Resource::PrivateIp(it) = &mut elsewhere else { unreachable!() };
    it.address = fake::ip("10.7.7.7");
    let resources = [fake::route(&["rtb-9"], &["pl-9"]), elsewhere, fake::elastic_ip()];
    let outcomes = run(&cloud, &resources, 0, u32::MAX).await;
    assert!(outcomes.iter().any(|it| it.resource == "trunk" && it.ending == Ending::Here));
    assert!(outcomes.iter().any(|it| it.resource == "service"
        && matches!(&it.ending, Ending::Failed(e) if e.kind == ErrorKind::Invalid)));
}

#[tokio::test]
async fn every_piece_is_observed() {
    let cloud = Fake::default();
    cloud.addresses.lock().unwrap().push(rider_at("eni-b"));
    *cloud.interfaces.lock().unwrap() =
        vec![fake::interface("eni-a", Some("i-a"), &["10.0.1.10", "10.0.1.100"])];
    let here = fake::here();
    let held = observe(&cloud, &fake::private_ip(Some("eipalloc-9")), &here).await.unwrap();
    let held: Vec<_> = held.into_iter().map(|(piece, held)| (piece.to_string(), held.unwrap())).collect();
    assert_eq!(
        held,
        [
            ("10.0.1.100".to_owned(), Held::Here),
            ("eipalloc-9".to_owned(), Held::Elsewhere("eni-b".to_owned()))
        ]
    );
    let route = |to: &str, interface: Option<&str>, blackhole| crate::cloud::Route {
        destination: fake::destination(to),
        interface: interface.map(str::to_owned),
        instance: None,
        blackhole,
    };
    cloud.tables.lock().unwrap().push(crate::cloud::RouteTable {
        id: "rtb-1".to_owned(),
        routes: vec![
            route("10.1.0.0/16", Some("eni-a"), false),
            route("10.2.0.0/16", Some("eni-a"), true),
            route("10.3.0.0/16", None, false),
        ],
        ..Default::default()
    });
    let wanted = fake::route(&["rtb-1"], &["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16"]);
    let held: Vec<_> =
        observe(&cloud, &wanted, &here).await.unwrap().into_iter().map(|(_, held)| held.unwrap()).collect();
    let elsewhere = |what: &str| Held::Elsewhere(what.to_owned());
    assert_eq!(held, [Held::Here, elsewhere("eni-a"), elsewhere("another kind of target"), Held::Nowhere]);
}

/// The agent spawns these.
#[test]
fn efforts_can_move_between_threads() {
    fn sendable(_: impl Send) {}
    let (cloud, here, roster, anchor) = (Fake::default(), fake::here(), fake::roster(), fake::elastic_ip());
    let run = Run { cloud: &cloud, here: &here, still: &|| true, now: &still_time, deadline: Time::ZERO };
    sendable(acquire_rest(run, std::slice::from_ref(&anchor), 0));
    sendable(async {
        let (cloud, here, roster) = (Fake::default(), fake::here(), fake::roster());
        let resources = vec![fake::elastic_ip()];
        let cloud: &dyn Cloud = &cloud;
        let run = Run { cloud, here: &here, still: &|| true, now: &still_time, deadline: Time::ZERO };
        let read = crate::resource::observe_anchor(cloud, &resources[0], &here, &roster, "key").await;
        (acquire_rest(run, &resources, 0).await, read)
    });
    sendable(observe(&cloud, &anchor, &here));
    sendable(crate::resource::observe_anchor(&cloud, &anchor, &here, &roster, "key"));
    sendable(crate::resource::take_anchor(&cloud, &anchor, &here, TakeFrom::Anyone));
    let (_say, listen) = tokio::sync::watch::channel(crate::resource::guest::Wanted::new());
    sendable(crate::resource::guest::keep::<crate::resource::guest::GuestAddress>(listen, |_| ()));
    let (_say, listen) = tokio::sync::watch::channel(Vec::new());
    sendable(crate::resource::guest::keep::<crate::resource::guest::source::Source>(listen, |_| ()));
}
