//! What is wrong with EC2, or with what the configuration says of it.

use std::time::{Duration, Instant};

use standin::cli::demo::stage::NODES;
use standin::sandbox::model::{AssociateAddress, FaultKind, FaultSpec, Request};

use super::pair::{A, B, Door, Pair, holder, pause, standin};

pub(crate) async fn unreachable_endpoint_and_its_return() {
    let mut pair = Pair::new().await;
    let door = Door::before(pair.stage.endpoint());
    let endpoint = pair.stage.endpoint().to_owned();
    pair.edit(B, |text| text.replace(&endpoint, &door.url));
    pair.start(A);
    pair.start(B);
    let told = pair.until_told(B, &["did not reach EC2"]).await;
    assert!(told.contains(&door.url) && told.contains("aws.endpoint-url"), "which one, what to do: {told}");
    pair.until("the other one is heard", A, |it| it.nodes[B].state == "online").await;
    pair.until_active(A).await;
    let group = pair.group(B).await;
    assert!(!group.takeover.works && group.takeover.because.contains("EC2"), "{group:#?}");
    door.open().await;
    pair.stage.ready(A).await.unwrap();
    // And it is worth something.
    pair.kill(A).await;
    pair.until_active(B).await;
}

pub(crate) async fn denied_anchor() {
    let mut pair = Pair::ready().await;
    let seq = pair.stage.last_change();
    pair.fault(FaultKind::Deny, Some(B), Some("AssignPrivateIpAddresses"));
    pair.kill(A).await;
    pair.until_told(B, &["allow ec2:AssignPrivateIpAddresses"]).await;
    pair.nothing_moves(seq, Duration::from_secs(3)).await;
    assert_eq!(pair.group(B).await.role, "standby");
    assert_eq!(pair.hooks("promote ivr-b"), 0);
    let calls = pair.met();
    assert!(calls < 30, "a denied call was repeated {calls} times");
    // The permission is granted: no one has to do anything else.
    pair.heal();
    pair.until_active(B).await;
}

pub(crate) async fn denied_elastic_ip() {
    denied("AssociateAddress", "(trunk)").await;
}

pub(crate) async fn denied_routes() {
    denied("ReplaceRoute", "route ").await;
}

/// One resource's call is denied: the others move, the service runs, and it is said which permission lacks.
async fn denied(action: &str, stays: &str) {
    let mut pair = Pair::ready().await;
    pair.fault(FaultKind::Deny, Some(B), Some(action));
    pair.kill(A).await;
    pair.until_moved("the others move", |it| {
        it.iter().all(|(name, node)| node == NODES[usize::from(!name.contains(stays))])
    })
    .await;
    pair.until_told(B, &[&format!("allow ec2:{action}")]).await;
    let status = pair.status(B).await;
    assert_eq!(status.groups[0].role, "active");
    assert!(!status.well);
    while pair.hooks("promote ivr-b") == 0 {
        pause().await;
    }
    pair.heal();
    pair.until_active(B).await;
}

/// Somebody else puts right what this node may not: the status says no longer that it fails.
pub(crate) async fn denied_and_done_by_hand() {
    let mut pair = Pair::ready().await;
    pair.fault(FaultKind::Deny, Some(B), Some("AssociateAddress"));
    pair.kill(A).await;
    pair.until_told(B, &["trunk", "allow ec2:AssociateAddress"]).await;
    let trunk = pair.stage.sandbox().elastic_ips.iter().find(|it| it.name == "trunk").unwrap();
    pair.order(&Request::AssociateAddress(AssociateAddress {
        allocation: Some(trunk.allocation_id.clone()),
        interface: Some(pair.interface(B)),
        private_ip: Some("127.0.0.22".parse().unwrap()),
        ..AssociateAddress::default()
    }));
    pair.until_active(B).await;
    pair.until("nothing fails", B, |it| it.groups[0].failing.is_empty()).await;
}

pub(crate) async fn throttled_takeover() {
    let mut pair = Pair::ready().await;
    for action in ["AssignPrivateIpAddresses", "AssociateAddress", "ReplaceRoute"] {
        let caller = Some(NODES[B].to_owned());
        let action = Some(action.to_owned());
        pair.add(FaultSpec { action, caller, count: Some(3), ..FaultSpec::new(FaultKind::Throttle) });
    }
    pair.kill(A).await;
    pair.until_active(B).await;
    assert!(pair.stage.sandbox().with_faults(|it| it.list().is_empty()), "not every fault was met");
}

pub(crate) async fn hanging_call_of_the_rest() {
    let mut pair = Pair::ready().await;
    pair.fault(FaultKind::Hang, Some(B), Some("AssociateAddress"));
    pair.kill(A).await;
    pair.until_moved("the others move", |it| {
        it.iter().all(|(name, node)| node == NODES[usize::from(!name.contains("(trunk)"))])
    })
    .await;
    pair.until_told(B, &["AssociateAddress", "got no answer"]).await;
    assert_eq!(pair.group(B).await.role, "active");
    pair.heal();
    pair.until_active(B).await;
}

/// EC2 acts and the answer is lost: the next read tells.
pub(crate) async fn anchor_taken_without_an_answer() {
    let mut pair = Pair::ready().await;
    let (caller, action) = (Some(NODES[B].to_owned()), Some("AssignPrivateIpAddresses".to_owned()));
    pair.add(FaultSpec { caller, action, count: Some(1), ..FaultSpec::new(FaultKind::DropAfter) });
    pair.kill(A).await;
    pair.until_active(B).await;
    let status = pair.status(B).await;
    assert!(status.errors.iter().any(|it| it.call == "AssignPrivateIpAddresses"), "{:#?}", status.errors);
    assert_eq!(pair.hooks("promote ivr-b"), 1);
}

pub(crate) async fn stale_reads() {
    let mut pair = Pair::ready().await;
    pair.fault(FaultKind::Stale { ms: 4000 }, None, None);
    let seq = pair.stage.last_change();
    pair.kill(A).await;
    pair.until_active(B).await;
    pair.start(A);
    pair.stage.ready(B).await.unwrap();
    // For longer than any stale read: it stays where it is, and moved but once.
    let settled = pair.stage.last_change();
    pair.nothing_moves(settled, Duration::from_secs(8)).await;
    assert_eq!(pair.stage.moves_since(seq).iter().filter(|it| it.anchor).count(), 1);
    assert_eq!((pair.hooks("promote ivr-a"), pair.hooks("promote ivr-b")), (1, 1));
}

/// It serves on: the standby hears it, and an error of EC2 is never a reason to let go.
pub(crate) async fn active_cut_off_from_ec2() {
    let mut pair = Pair::ready().await;
    let seq = pair.stage.last_change();
    pair.fault(FaultKind::Hang, Some(A), None);
    pair.nothing_moves(seq, Duration::from_secs(20)).await;
    assert_eq!((pair.group(A).await.role.as_str(), pair.group(B).await.role.as_str()), ("active", "standby"));
    pair.until_told(A, &["EC2 does not say who holds the anchor"]).await;
    assert_eq!((pair.hooks("promote ivr-b"), pair.hooks("demote ivr-a")), (0, 0));
    pair.heal();
    pair.stage.ready(A).await.unwrap();
    pair.until("well again", A, |it| it.well).await;
    pair.nothing_moves(seq, Duration::ZERO).await;
}

pub(crate) async fn standby_cut_off_from_ec2() {
    let mut pair = Pair::ready().await;
    let seq = pair.stage.last_change();
    pair.fault(FaultKind::Hang, Some(B), None);
    // After 30 s without an answer it could not decide, and both say so.
    let blind = |it: &standin::control::protocol::Status| !it.groups[0].takeover.works;
    let status = pair.until("not eligible", B, blind).await;
    assert!(status.groups[0].takeover.because.contains("EC2"), "{}", status.groups[0].takeover.because);
    pair.until("the active one knows it", A, blind).await;
    assert_eq!(pair.group(A).await.role, "active");
    pair.nothing_moves(seq, Duration::ZERO).await;
    pair.heal();
    pair.stage.ready(A).await.unwrap();
}

pub(crate) async fn status_while_ec2_hangs() {
    let pair = Pair::ready().await;
    pair.fault(FaultKind::Hang, None, None);
    pair.until("calls hang", A, |it| it.groups[0].anchor.failed_reads > 0).await;
    let socket = pair.stage.socket(A);
    let start = Instant::now();
    let (code, out, err) = standin(pair.stage.folder(), &["status", "--socket", socket.to_str().unwrap()]);
    let ms = start.elapsed().as_millis();
    println!("standin status while EC2 hangs: {ms} ms");
    assert!(out.contains("ivr-a") && out.contains("active"), "{out}{err}");
    assert_eq!(code, Some(5), "something needs attention: {out}");
    assert!(ms < 4000, "as slow as EC2");
}

pub(crate) async fn unknown_allocation_id() {
    let mut pair = Pair::new().await;
    let trunk = pair.stage.sandbox().elastic_ips.iter().find(|it| it.name == "trunk").unwrap();
    let trunk = trunk.allocation_id.clone();
    for node in [A, B] {
        pair.edit(node, |text| text.replace(&trunk, "eipalloc-0123456789abcdef0"));
    }
    beside_it_all_moves(&mut pair, &["trunk", "eipalloc-0123456789abcdef0"], &["(trunk)"]).await;
}

pub(crate) async fn unknown_route_table() {
    let mut pair = Pair::new().await;
    for node in [A, B] {
        pair.edit(node, |text| text.replace("tables = [", "tables = [\"rtb-0123456789abcdef0\", "));
    }
    beside_it_all_moves(&mut pair, &["office", "rtb-0123456789abcdef0"], &[]).await;
}

async fn beside_it_all_moves(pair: &mut Pair, told: &[&str], never: &[&str]) {
    pair.start(A);
    pair.start(B);
    for node in [A, B] {
        pair.until("active", node, |it| it.groups[0].active == [NODES[node]]).await;
        let all = |holders: &[(String, String)]| {
            let others = holders.iter().filter(|(name, _)| !never.iter().any(|it| name.contains(it)));
            others.into_iter().all(|(_, holder)| holder == NODES[node])
        };
        pair.until_moved("all the rest", all).await;
        pair.until_told(node, told).await;
        while pair.hooks(&format!("promote {}", NODES[node])) == 0 {
            pause().await;
        }
        if node == A {
            pair.until("armed", B, |it| it.groups[0].armed.is_some() && it.groups[0].takeover.works).await;
            pair.kill(A).await;
        }
    }
    assert_eq!(holder(&pair.stage.holders(), "private IP"), NODES[B]);
}
