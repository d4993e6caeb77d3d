//! Others change in EC2 what the agents hold.

use standin::cli::demo::stage::SERVICE;
use standin::sandbox::model::{Request, RouteChange, RouteTarget};

use super::pair::{A, B, Pair, holder};

pub(crate) async fn anchor_detached_by_hand() {
    let mut pair = Pair::ready().await;
    pair.order(&Request::UnassignPrivateIpAddresses {
        interface: pair.interface(A),
        addresses: vec![SERVICE],
    });
    assert_eq!(pair.holder("private IP"), "nobody");
    // The active one takes it back; its Elastic IP rides on it again.
    pair.until_active(A).await;
    pair.stage.ready(A).await.unwrap();
    assert_eq!((pair.hooks("promote ivr-a"), pair.hooks("promote ivr-b")), (1, 0));
    assert_eq!(pair.hooks("demote ivr-a"), 0);
}

pub(crate) async fn elastic_ip_detached_by_hand() {
    let pair = Pair::ready().await;
    let trunk = pair.stage.sandbox().elastic_ips.iter().find(|it| it.name == "trunk").unwrap();
    let (public_ip, id) = (trunk.public_ip, trunk.allocation_id.clone());
    let association = pair
        .stage
        .sandbox()
        .with_vpc(|vpc| vpc.state().elastic_ips[&id].association.as_ref().map(|it| it.id.clone()));
    assert!(association.is_some(), "{public_ip} is associated");
    pair.order(&Request::DisassociateAddress { association, public_ip: None, dry_run: false });
    assert_eq!(pair.holder("(trunk)"), "nobody");
    pair.until_active(A).await;
    assert_eq!(pair.hooks("promote ivr-b"), 0);
}

/// Another tool puts a route where its own file says: it is pointed back.
pub(crate) async fn route_changed_by_another_tool() {
    let pair = Pair::ready().await;
    let table = pair.stage.sandbox().route_tables[0].id.clone();
    let change = RouteChange {
        table,
        destination: "10.99.0.0/24".parse().map(standin::sandbox::model::Destination::Cidr).unwrap(),
        target: RouteTarget::Interface(pair.interface(B)),
        dry_run: false,
    };
    pair.order(&Request::ReplaceRoute(change));
    let start = std::time::Instant::now();
    assert_eq!(pair.holder("10.99.0.0/24"), "ivr-b");
    pair.until_moved("the route is repaired", |it| holder(it, "10.99.0.0/24") == "ivr-a").await;
    println!("a route changed by another tool was repaired after {:.1} s", start.elapsed().as_secs_f64());
    pair.until_active(A).await;
    assert_eq!((pair.hooks("promote ivr-a"), pair.hooks("promote ivr-b")), (1, 0));
}
