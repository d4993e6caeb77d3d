//! What is wrong with one node: its metadata, its credentials, its port, its key, its file.

use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use standin::cli::demo::stage::NODES;
use standin::sandbox::model::FaultKind;

use super::pair::{A, B, Door, Pair, standin};

pub(crate) async fn no_imds_at_first() {
    let mut pair = Pair::new().await;
    let door = Door::before(&pair.stage.sandbox().instances[B].imds_url);
    pair.stage.set_env(B, "AWS_EC2_METADATA_SERVICE_ENDPOINT", &door.url);
    pair.start(A);
    pair.start(B);
    let told = pair.until_told(B, &["IMDS", "instance-id"]).await;
    assert!(told.contains("AWS_EC2_METADATA_SERVICE_ENDPOINT"), "what to do: {told}");
    // It is heard all the same, and says that it could not take over.
    pair.until("the other one is heard", A, |it| it.nodes[B].state == "online").await;
    pair.until_active(A).await;
    let status = pair.until("no takeover possible", A, |it| !it.groups[0].takeover.works).await;
    assert!(!status.well, "{status:#?}");
    assert!(!pair.group(B).await.takeover.works);
    door.open().await;
    pair.stage.ready(A).await.unwrap();
}

pub(crate) async fn imds_hangs() {
    let mut pair = Pair::new().await;
    pair.imds_fault(FaultKind::Hang, B, None);
    pair.start(A);
    pair.start(B);
    pair.until_told(B, &["IMDS", "instance-id"]).await;
    pair.until("the other one is heard", A, |it| it.nodes[B].state == "online").await;
    pair.until_active(A).await;
    assert!(!pair.group(B).await.takeover.works);
    pair.heal();
    pair.stage.ready(A).await.unwrap();
}

pub(crate) async fn no_credentials() {
    let mut pair = Pair::new().await;
    pair.imds_fault(FaultKind::Http { status: 404 }, B, Some("meta-data/iam*"));
    pair.start(A);
    pair.start(B);
    let told = pair.until_told(B, &["has no valid credentials", "IAM role"]).await;
    assert!(told.contains("AWS_PROFILE"), "what to do: {told}");
    pair.until_active(A).await;
    let group = pair.group(B).await;
    assert!(!group.takeover.works && group.role == "standby", "{group:#?}");
    pair.heal();
    pair.stage.ready(A).await.unwrap();
}

pub(crate) async fn port_in_use() {
    let mut pair = Pair::new().await;
    let port = pair.stage.port();
    let other = UdpSocket::bind(("127.0.1.11", port)).unwrap();
    let (code, log) = pair.start_in_vain(A).await;
    assert_eq!(code, Some(1), "{log}");
    for words in ["127.0.1.11", &format!("UDP port {port}"), "ss -ulpn", "heartbeat.port"] {
        assert!(log.contains(words), "{words}: {log}");
    }
    // It leaves no socket file behind that would look like an agent.
    assert!(!pair.stage.socket(A).exists());
    drop(other);
    pair.start_both().await;
}

pub(crate) async fn two_agents_on_one_socket() {
    let pair = Pair::ready().await;
    let seq = pair.stage.last_change();
    let (config, socket) = (pair.stage.config(A), pair.stage.socket(A));
    let (config, socket) = (config.to_str().unwrap(), socket.to_str().unwrap());
    let dir = pair.stage.folder().join("second");
    let args =
        ["run", "--node", NODES[A], "--config", config, "--socket", socket, "--state-dir"].map(str::to_owned);
    let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
    args.push(dir.to_str().unwrap());
    let (code, _, err) = standin(pair.stage.folder(), &args);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("another agent is running") && err.contains(socket), "{err}");
    assert!(err.contains("systemctl stop standin"), "what to do: {err}");
    // The first one is as it was, its socket too.
    assert_eq!(pair.group(A).await.role, "active");
    pair.nothing_moves(seq, Duration::from_secs(1)).await;
}

pub(crate) async fn two_agents_on_one_node() {
    let pair = Pair::ready().await;
    let seq = pair.stage.last_change();
    let config = pair.stage.config(A);
    let (socket, dir) = (pair.stage.folder().join("second.sock"), pair.stage.folder().join("second"));
    let args = ["run", "--node", NODES[A], "--config", config.to_str().unwrap()];
    let own = ["--socket", socket.to_str().unwrap(), "--state-dir", dir.to_str().unwrap()];
    let (code, _, err) = standin(pair.stage.folder(), &[&args[..], &own[..]].concat());
    assert_eq!(code, Some(1), "{err}");
    for words in ["127.0.0.11", &pair.stage.port().to_string(), "ss -ulpn"] {
        assert!(err.contains(words), "{words}: {err}");
    }
    assert_eq!(pair.group(A).await.role, "active");
    pair.nothing_moves(seq, Duration::from_secs(1)).await;
}

/// Neither hears the other: nobody takes over while the active one lives, as its counter in EC2 shows; and
/// when it is dead, the counter at rest is what still lets the other one step in.
pub(crate) async fn wrong_key_on_one_node() {
    let mut pair = Pair::new().await;
    let other = pair.stage.folder().join("other.key");
    let (code, _, err) = standin(pair.stage.folder(), &["keygen", "--out", other.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(other.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let first = pair.stage.folder().join("cluster.key").display().to_string();
    pair.edit(B, |text| text.replace(&first, other.to_str().unwrap()));
    pair.start(A);
    pair.start(B);
    for (node, peer) in [(A, B), (B, A)] {
        pair.until("the peer is \"key mismatch\"", node, |it| it.nodes[peer].state == "key mismatch").await;
        pair.until_told(node, &[NODES[peer], "does not authenticate", "key file"]).await;
    }
    pair.until_active(A).await;
    let seq = pair.stage.last_change();
    pair.nothing_moves(seq, Duration::from_secs(12)).await;
    assert_eq!(pair.group(B).await.role, "standby");
    assert_eq!(pair.group(A).await.role, "active");
    pair.kill(A).await;
    let start = std::time::Instant::now();
    // Four reads of a counter at rest, over 30 s.
    let moved = || pair.holder("private IP") == NODES[B];
    while !moved() && start.elapsed() < Duration::from_secs(90) {
        super::pair::pause().await;
    }
    assert!(moved(), "{:#?}", pair.group(B).await);
    assert!(start.elapsed() > Duration::from_secs(20), "not by silence alone: {:?}", start.elapsed());
    pair.until_active(B).await;
}

/// Another cluster's datagrams are nobody's words here.
pub(crate) async fn another_cluster_name() {
    let mut pair = Pair::new().await;
    pair.edit(B, |text| text.replace("cluster = \"demo\"", "cluster = \"other\""));
    pair.start(A);
    pair.start(B);
    for (node, peer) in [(A, B), (B, A)] {
        pair.until_told(node, &[NODES[peer], "cluster"]).await;
    }
    pair.until_active(A).await;
    let seq = pair.stage.last_change();
    pair.nothing_moves(seq, Duration::from_secs(10)).await;
    assert_eq!(pair.group(A).await.role, "active");
    assert_eq!(pair.group(B).await.role, "standby");
}
