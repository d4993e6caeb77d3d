use super::*;
use crate::cloud::{Address, RouteTable};
use crate::cluster::NodeId;
use crate::resource::fake::{self, Fake, destination, interface};

const KEY: &str = "standin:ivr/main";

async fn owner(cloud: &Fake, anchor: &Resource) -> Result<Owner, CloudError> {
    observe_anchor(cloud, anchor, &fake::here(), &fake::roster(), KEY).await.map(|it| it.owner)
}

/// The interfaces that the cases speak about. Node b is not in the roster yet: EC2 has to be asked.
fn interfaces() -> Vec<Interface> {
    vec![
        interface("eni-a", Some("i-a"), &["10.0.1.10", "10.0.1.20"]),
        interface("eni-b", Some("i-b"), &["10.0.1.11", "10.0.1.21"]),
        interface("eni-b2", Some("i-b"), &["10.0.1.31"]),
        interface("eni-nat", Some("amazon-nat"), &["10.0.1.5"]),
        interface("eni-loose", None, &["10.0.1.6"]),
    ]
}

#[tokio::test]
async fn whose_an_elastic_ip_is() {
    let cases = [
        (Some("eni-a"), Some("i-a"), Owner::Mine),
        (Some("eni-a"), None, Owner::Mine),
        (Some("eni-b"), Some("i-b"), Owner::Theirs(NodeId(1))),
        (Some("eni-nat"), None, Owner::Stranger),
        (Some("eni-loose"), None, Owner::Orphaned),
        (Some("eni-deleted"), None, Owner::Orphaned),
        (None, None, Owner::Nobody),
    ];
    for (holder, instance, expected) in cases {
        let cloud = Fake::default();
        *cloud.interfaces.lock().unwrap() = interfaces();
        cloud.addresses.lock().unwrap().push(Address {
            allocation: "eipalloc-1".to_owned(),
            interface: holder.map(str::to_owned),
            instance: instance.map(str::to_owned),
            ..Address::default()
        });
        assert_eq!(owner(&cloud, &fake::elastic_ip()).await, Ok(expected), "{holder:?}");
    }
    let error = owner(&Fake::default(), &fake::elastic_ip()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.message.contains("eipalloc-1"), "{error}");
}

#[tokio::test]
async fn whose_a_private_address_is() {
    let with = |id: &str| {
        let mut all = interfaces();
        let extra = interface(id, None, &["0.0.0.0", "10.0.1.100"]).addresses.remove(1);
        all.iter_mut().find(|it| it.id == id).unwrap().addresses.push(extra);
        all
    };
    let mut primary = interfaces();
    primary.push(interface("eni-x", Some("i-x"), &["10.0.1.100"]));
    let mut primary_of_b = interfaces();
    primary_of_b.push(interface("eni-b3", Some("i-b"), &["10.0.1.100"]));
    let mut loose_primary = interfaces();
    loose_primary.push(interface("eni-y", None, &["10.0.1.100"]));
    let cases = [
        (with("eni-a"), Owner::Mine),
        (with("eni-b"), Owner::Theirs(NodeId(1))),
        (with("eni-nat"), Owner::Stranger),
        (with("eni-loose"), Owner::Orphaned),
        (interfaces(), Owner::Nobody),
        (primary, Owner::Stranger),
        (primary_of_b, Owner::Stranger),
        (loose_primary, Owner::Stranger),
    ];
    for (number, (interfaces, expected)) in cases.into_iter().enumerate() {
        let cloud = Fake::default();
        *cloud.interfaces.lock().unwrap() = interfaces;
        let roster = fake::roster();
        roster.heard(NodeId(1), Some("i-b"), &[]);
        let read = observe_anchor(&cloud, &fake::private_ip(None), &fake::here(), &roster, KEY).await;
        assert_eq!(read.map(|it| it.owner), Ok(expected), "case {number}");
        assert_eq!(cloud.calls().len(), 1, "case {number}: one Describe is enough");
    }
}

#[tokio::test]
async fn a_private_address_on_two_interfaces_is_unknown() {
    let cloud = Fake::default();
    *cloud.interfaces.lock().unwrap() = vec![
        interface("eni-a", Some("i-a"), &["10.0.1.10", "10.0.1.100"]),
        interface("eni-b", Some("i-b"), &["10.0.1.11", "10.0.1.100"]),
    ];
    assert!(owner(&cloud, &fake::private_ip(None)).await.is_err());
}

#[tokio::test]
async fn whose_a_route_is() {
    let to = |interface: Option<&str>, instance: Option<&str>, blackhole| crate::cloud::Route {
        destination: destination("10.99.0.1/32"),
        interface: interface.map(str::to_owned),
        instance: instance.map(str::to_owned),
        blackhole,
    };
    let cases = [
        (Some(to(Some("eni-a"), Some("i-a"), false)), Owner::Mine),
        (Some(to(Some("eni-b"), Some("i-b"), false)), Owner::Theirs(NodeId(1))),
        (Some(to(Some("eni-b"), None, false)), Owner::Theirs(NodeId(1))),
        (Some(to(Some("eni-b"), Some("i-b"), true)), Owner::Orphaned),
        (Some(to(Some("eni-nat"), None, false)), Owner::Stranger),
        (Some(to(None, None, false)), Owner::Stranger),
        (Some(to(None, None, true)), Owner::Orphaned),
        (None, Owner::Nobody),
    ];
    for (route, expected) in cases {
        let cloud = Fake::default();
        *cloud.interfaces.lock().unwrap() = interfaces();
        let other = crate::cloud::Route {
            destination: destination("10.98.0.0/16"),
            ..to(Some("eni-a"), Some("i-a"), false)
        };
        let shown = format!("{route:?}");
        let routes = [Some(other), route].into_iter().flatten().collect();
        cloud.tables.lock().unwrap().push(RouteTable {
            id: "rtb-1".to_owned(),
            routes,
            ..RouteTable::default()
        });
        assert_eq!(owner(&cloud, &fake::route(&["rtb-1"], &["10.99.0.1/32"])).await, Ok(expected), "{shown}");
    }
    let missing = owner(&Fake::default(), &fake::route(&["rtb-1"], &["10.99.0.1/32"])).await;
    assert_eq!(missing.unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn what_a_node_has_had_and_has_no_more_is_orphaned() {
    let roster = fake::roster();
    roster.heard(NodeId(1), Some("i-old"), &["eni-old".to_owned()]);
    roster.heard(NodeId(1), Some("i-new"), &["eni-new".to_owned()]);
    let cloud = Fake::default();
    let address = |instance: &str| Address {
        allocation: "eipalloc-1".to_owned(),
        interface: Some(instance.replace("i-", "eni-")),
        instance: Some(instance.to_owned()),
        ..Address::default()
    };
    for (instance, expected) in [("i-old", Owner::Orphaned), ("i-new", Owner::Theirs(NodeId(1)))] {
        *cloud.addresses.lock().unwrap() = vec![address(instance)];
        let read = observe_anchor(&cloud, &fake::elastic_ip(), &fake::here(), &roster, KEY).await;
        assert_eq!(read.map(|it| it.owner), Ok(expected));
    }
    // Back again: an instance that a node has anew is its own.
    roster.heard(NodeId(1), Some("i-old"), &[]);
    assert_eq!(roster.owner_by_instance(&fake::here(), "i-old"), Some(Owner::Theirs(NodeId(1))));
}

#[tokio::test]
async fn a_new_interface_of_a_known_node_is_its_own() {
    let cloud = Fake::default();
    *cloud.interfaces.lock().unwrap() = interfaces();
    let roster = fake::roster();
    roster.refresh(&cloud, "vpc-1").await.unwrap();
    assert_eq!(roster.node_of_instance("i-b"), Some(NodeId(1)));
    assert_eq!(roster.instance_of(NodeId(1)).as_deref(), Some("i-b"));
    cloud.addresses.lock().unwrap().push(Address {
        allocation: "eipalloc-1".to_owned(),
        interface: Some("eni-b2".to_owned()),
        ..Address::default()
    });
    let read = observe_anchor(&cloud, &fake::elastic_ip(), &fake::here(), &roster, KEY).await.unwrap();
    assert_eq!(read.owner, Owner::Theirs(NodeId(1)));
}

#[tokio::test]
async fn the_counter_is_read_with_the_anchor() {
    let good = counter_value("b", Session(0xab), 7);
    assert_eq!(good, "b 00000000000000ab 7");
    let parsed = Some(Counter { node: NodeId(1), session: Session(0xab), n: 7 });
    let cases = [
        (KEY, good.as_str(), parsed),
        ("standin:ivr/other", good.as_str(), None),
        (KEY, "nobody 00ab 7", None),
        (KEY, "b xyz 7", None),
        (KEY, "b 00ab", None),
        (KEY, "b 00ab 7 8", None),
        (KEY, "b 00ab -1", None),
        (KEY, "", None),
    ];
    for (key, value, expected) in cases {
        let tags = vec![("Name".to_owned(), "x".to_owned()), (key.to_owned(), value.to_owned())];
        let cloud = Fake::default();
        cloud.addresses.lock().unwrap().push(Address {
            allocation: "eipalloc-1".to_owned(),
            tags: tags.clone(),
            ..Address::default()
        });
        let mut holder = interface("eni-a", Some("i-a"), &["10.0.1.10", "10.0.1.100"]);
        holder.tags = tags.clone();
        cloud.interfaces.lock().unwrap().push(holder);
        let table = RouteTable { id: "rtb-1".to_owned(), tags, ..RouteTable::default() };
        cloud.tables.lock().unwrap().push(table);
        for anchor in [fake::elastic_ip(), fake::private_ip(None), fake::route(&["rtb-1"], &["10.99.0.1/32"])]
        {
            let read = observe_anchor(&cloud, &anchor, &fake::here(), &fake::roster(), KEY).await.unwrap();
            assert_eq!(read.counter, expected, "{} {key}={value}", anchor.name());
        }
    }
}

#[tokio::test]
async fn tags_are_written_where_they_are_read() {
    let cloud = Fake::default();
    let here = fake::here();
    for anchor in [fake::elastic_ip(), fake::private_ip(None), fake::route(&["rtb-1"], &["10.99.0.1/32"])] {
        write_counter(&cloud, &anchor, &here, KEY, "a 01 2").await.unwrap();
    }
    write_own_tag(&cloud, &here, "ivr", "3").await.unwrap();
    assert_eq!(
        cloud.calls(),
        [
            "CreateTags eipalloc-1 standin:ivr/main=a 01 2",
            "CreateTags eni-a standin:ivr/main=a 01 2",
            "CreateTags rtb-1 standin:ivr/main=a 01 2",
            "CreateTags eni-a standin:alive/ivr=3",
        ]
    );
}

#[tokio::test]
async fn the_anchor_is_taken_in_one_call() {
    use TakeFrom::{Anyone, Nobody};
    let route = |to: &str| fake::route(&["rtb-1"], &[to]);
    let cases = [
        (fake::elastic_ip(), Anyone, "AssociateAddress eipalloc-1 eni-a 10.0.1.20 reassociate=true"),
        (fake::elastic_ip(), Nobody, "AssociateAddress eipalloc-1 eni-a 10.0.1.20 reassociate=false"),
        (
            fake::private_ip(Some("eipalloc-2")),
            Anyone,
            "AssignPrivateIpAddresses eni-a 10.0.1.100 reassign=true",
        ),
        (fake::private_ip(None), Nobody, "AssignPrivateIpAddresses eni-a 10.0.1.100 reassign=false"),
        (route("10.99.0.1/32"), Anyone, "ReplaceRoute rtb-1 10.99.0.1/32 eni-a"),
        (route("10.99.0.1/32"), Nobody, "CreateRoute rtb-1 10.99.0.1/32 eni-a"),
        (route("2001:db8::/56"), Anyone, "ReplaceRoute rtb-1 2001:db8::/56 eni-a"),
        (route("pl-0123"), Nobody, "CreateRoute rtb-1 pl-0123 eni-a"),
    ];
    for (anchor, from, expected) in cases {
        let cloud = Fake::default();
        take_anchor(&cloud, &anchor, &fake::here(), from).await.unwrap();
        assert_eq!(cloud.calls(), [expected]);
        // Nothing is repeated, whatever the answer.
        for kind in [ErrorKind::Throttled, ErrorKind::NoAnswer, ErrorKind::NotFound, ErrorKind::Conflict] {
            let cloud = Fake::default();
            let action = expected.split(' ').next().unwrap();
            let action = ["AssociateAddress", "AssignPrivateIpAddresses", "ReplaceRoute", "CreateRoute"]
                .into_iter()
                .find(|it| *it == action)
                .unwrap();
            cloud.fail(action, &[kind]);
            let error = take_anchor(&cloud, &anchor, &fake::here(), from).await.unwrap_err();
            assert_eq!((error.kind, cloud.calls().len()), (kind, 1));
        }
    }
}

#[tokio::test]
async fn without_an_interface_for_it_nothing_is_called_and_the_reason_is_said() {
    let mut here = fake::here();
    here.identity.interfaces[0].local_ipv4s = vec![fake::ip("10.0.1.9")];
    here.identity.interfaces[0].subnet_cidr = Some("10.0.7.0/24".parse().unwrap());
    let cases = [
        (fake::elastic_ip(), ["elastic-ip \"trunk\"", "10.0.1.20", "10.0.1.9", "`to`"]),
        (fake::private_ip(None), ["private-ip \"service\"", "10.0.1.100", "10.0.7.0/24", "subnet"]),
        (fake::route(&["rtb-1"], &["pl-1"]), ["route \"office\"", "10.0.1.10", "10.0.1.9", "`links`"]),
    ];
    for (anchor, words) in cases {
        let cloud = Fake::default();
        let error = take_anchor(&cloud, &anchor, &here, TakeFrom::Anyone).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
        for word in words {
            assert!(error.to_string().contains(word), "{error} lacks {word}");
        }
        assert!(cloud.calls().is_empty());
    }
}
