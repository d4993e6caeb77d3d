//! Real agents in pairs: real UDP on loopback, real threads, sockets, hooks and files; EC2 is the sandbox's
//! model in memory. No SDK, no root.

#![allow(clippy::disallowed_methods, reason = "tests measure")]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

#[path = "agent/checks.rs"]
mod checks;
#[path = "agent/cloud.rs"]
mod cloud;
#[path = "agent/incidents.rs"]
mod incidents;
#[path = "agent/leases.rs"]
mod leases;
#[path = "agent/losers.rs"]
mod losers;
#[path = "agent/pair.rs"]
mod pair;
#[path = "agent/probe.rs"]
mod probe;
#[path = "agent/process.rs"]
mod process;
#[path = "agent/recorded.rs"]
mod recorded;
#[path = "agent/recovery.rs"]
mod recovery;
#[path = "agent/safety.rs"]
mod safety;
#[path = "agent/service.rs"]
mod service;
#[path = "agent/supervision.rs"]
mod supervision;
#[path = "agent/systemd.rs"]
mod systemd;

use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pair::{DEAD_AFTER, Member, Pair, settled, until};
use standin::agent::Ended;
use standin::control::client;
use standin::control::protocol::{Request, Response, Status};
use standin::sandbox::model::Request as Ec2;

#[test]
fn the_standby_takes_everything_when_the_active_dies() {
    let pair = Pair::new();
    let (mut a, b) = settled(&pair);
    assert_eq!(a.group().active, ["ivr-a"]);
    a.kill();
    let took = until("ivr-b has all", 10, || pair.all_with("ivr-b"));
    assert!(took >= DEAD_AFTER - Duration::from_millis(60), "before dead-after: {took:?}");
    assert!(took < DEAD_AFTER + Duration::from_millis(300), "{took:?}");
    until("ivr-b's hooks ran", 5, || pair.hooks().contains(&"ivr-b promote ivr".to_owned()));
    until("ivr-b's takeover is measured", 5, || {
        b.status().takeovers.first().is_some_and(|it| it.hooks_done_us.is_some())
    });
    let status = b.status();
    let group = &status.groups[0];
    assert_eq!(
        (group.role.as_str(), group.row, group.active.as_slice()),
        ("active", 16, &["ivr-b".into()][..])
    );
    assert_eq!(b.node("ivr-a").state, "lost");
    assert!(!status.well && status.problems.iter().any(|it| it.contains("ivr-a is lost")), "{status:?}");
    let takeover = &status.takeovers[0];
    assert!(takeover.take_sent_us <= takeover.take_answered_us, "{takeover:?}");
    assert!(takeover.rest_done_us > Some(takeover.take_answered_us), "{takeover:?}");
    eprintln!("dead after {DEAD_AFTER:?}, everything moved after {took:?}; {takeover:?}");
}

#[test]
fn slow_calls_are_made_at_the_same_time() {
    const DELAY: Duration = Duration::from_millis(150);
    let pair = Pair::new();
    let (mut a, b) = settled(&pair);
    b.line.delay_ms.store(150, Ordering::Relaxed);
    // A read that was under way when the delay began is over.
    std::thread::sleep(DELAY);
    a.kill();
    let took = until("ivr-b has all", 10, || pair.all_with("ivr-b"));
    assert!(took < DEAD_AFTER + DELAY * 2 + Duration::from_millis(150), "{took:?}");
    eprintln!("with {DELAY:?} a call everything moved after {took:?}");
}

#[test]
fn a_clean_stop_hands_everything_over() {
    let pair = Pair::new();
    let (mut a, b) = settled(&pair);
    a.agent.as_ref().unwrap().stop();
    let took = until("ivr-b has all", 10, || pair.all_with("ivr-b"));
    assert!(took < Duration::from_millis(300), "{took:?}");
    assert_eq!(a.wait(), Ended::Done);
    assert!(!a.socket.exists());
    assert_eq!(b.group().row, 11, "by the offer");
    until("ivr-a's demote hook ran", 5, || pair.hooks().contains(&"ivr-a demote ivr".to_owned()));
    assert_eq!(b.node("ivr-a").state, "left");
    let changes: Vec<String> = pair.world.with(|vpc| vpc.changes(0).map(|it| format!("{it:?}")).collect());
    assert!(changes.iter().all(|it| !it.contains("holder: None")), "{changes:?}");
    eprintln!("everything moved within {took:?} of the stop");
}

#[test]
fn an_announced_restart_leaves_everything_in_place() {
    let pair = Pair::new();
    let (mut a, b) = settled(&pair);
    a.agent.as_ref().unwrap().restart();
    assert_eq!(a.wait(), Ended::Done);
    until("the restart is known", 2, || b.node("ivr-a").state == "restarting");
    std::thread::sleep(Duration::from_secs(1));
    assert!(pair.all_with("ivr-a") && b.group().role == "standby");
    let a = pair.start("ivr-a");
    until("ivr-a is active again", 20, || a.group().role == "active");
    assert!(pair.all_with("ivr-a") && b.group().role == "standby");
    assert!(a.group().term > 1, "the term is remembered");
}

#[test]
fn a_switchover_moves_the_group_and_back() {
    let pair = Pair::new();
    let (a, b) = settled(&pair);
    let ask = |node: &Member, to: &str| {
        let request = Request::Switchover { group: "ivr".into(), to: Some(to.into()) };
        assert_eq!(client::ask(&node.socket, request).unwrap(), Response::Accepted);
    };
    ask(&a, "ivr-b");
    until("ivr-b has all", 10, || pair.all_with("ivr-b"));
    until("ivr-a stands by", 10, || a.group().role == "standby" && a.group().takeover.works);
    ask(&b, "ivr-a");
    until("ivr-a has all", 20, || pair.all_with("ivr-a"));
    until("ivr-b stands by", 10, || b.group().role == "standby");
    let request = Request::Switchover { group: "nope".into(), to: None };
    let answer = client::ask(&a.socket, request).unwrap();
    assert_eq!(answer, Response::Refused { why: "there is no group \"nope\"; there are: ivr".into() });
}

#[test]
fn what_somebody_takes_away_is_repaired_and_the_anchor_decides() {
    let pair = Pair::new();
    let (a, b) = settled(&pair);
    let other = pair.world.identity("ivr-b").interfaces[1].id.clone();
    let state = pair.world.with(|vpc| vpc.state().clone());
    let trunk = state.elastic_ips.values().find(|it| it.name == "trunk").unwrap().id.clone();
    let request = standin::sandbox::model::AssociateAddress {
        allocation: Some(trunk),
        interface: Some(other),
        reassociate: Some(true),
        ..Default::default()
    };
    pair.world.call("somebody", &Ec2::AssociateAddress(request));
    assert!(!pair.all_with("ivr-a"));
    until("ivr-a has repaired it", 15, || pair.all_with("ivr-a"));
    // Now the anchor itself: its holder is the owner.
    let interface = pair.world.identity("ivr-b").interfaces[0].id.clone();
    let request = Ec2::AssignPrivateIpAddresses {
        interface,
        addresses: vec![Ipv4Addr::new(127, 0, 0, 100)],
        count: None,
        reassign: true,
    };
    pair.world.call("somebody", &request);
    until("ivr-a yields", 20, || a.group().role == "standby");
    until("ivr-b has all", 20, || pair.all_with("ivr-b") && b.group().role == "active");
    assert!(a.line.calls.lock().unwrap().iter().all(|it| *it != "AssignPrivateIpAddresses"), "no fight");
}

#[test]
fn a_denied_call_is_named_and_repeated() {
    let pair = Pair::new();
    let (mut a, b) = settled(&pair);
    *b.line.denied.lock().unwrap() = Some("AssignPrivateIpAddresses");
    a.kill();
    until("the refusal is shown", 10, || {
        b.status().errors.iter().any(|it| it.text.contains("allow ec2:AssignPrivateIpAddresses"))
    });
    assert!(!b.status().well);
    *b.line.denied.lock().unwrap() = None;
    until("ivr-b has all once it may", 30, || pair.all_with("ivr-b"));
}

#[test]
fn an_active_node_without_ec2_serves_on_and_nobody_takes() {
    let pair = Pair::new();
    let (a, b) = settled(&pair);
    a.line.cut.store(true, Ordering::Relaxed);
    b.line.cut.store(true, Ordering::Relaxed);
    until("the errors show", 30, || a.group().anchor.failed_reads > 3 && b.group().anchor.failed_reads > 3);
    assert_eq!((a.group().role.as_str(), b.group().role.as_str()), ("active", "standby"));
    assert!(a.status().errors.iter().any(|it| it.text.contains("cut the line")));
    a.line.cut.store(false, Ordering::Relaxed);
    b.line.cut.store(false, Ordering::Relaxed);
    until("EC2 answers again", 30, || a.group().anchor.failed_reads == 0);
    assert_eq!((a.group().role.as_str(), b.group().role.as_str()), ("active", "standby"));
}

#[test]
fn garbage_and_wrong_keys_do_no_harm() {
    let pair = Pair::new();
    let (a, b) = settled(&pair);
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let until_then = Instant::now() + Duration::from_secs(3);
    let mut sent = 0;
    while Instant::now() < until_then {
        for to in ["127.0.0.11", "127.0.1.11", "127.0.0.12", "127.0.1.12"] {
            let noise: Vec<u8> =
                (0..200u8).map(|byte| byte.wrapping_mul(31).wrapping_add(sent as u8)).collect();
            stranger.send_to(&noise, (to, pair.port)).unwrap();
        }
        sent += 4;
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!((a.group().role.as_str(), b.group().role.as_str()), ("active", "standby"));
    let status = b.status();
    assert!(
        status.agent.foreign_datagrams >= u64::from(sent / 2 - 100u32),
        "{}",
        status.agent.foreign_datagrams
    );
    for link in &b.node("ivr-a").links {
        assert_eq!((link.state.as_str(), link.lost), ("up", 0));
    }
}

#[test]
fn a_peer_with_another_key_is_said_to_be_one() {
    let mut pair = Pair::new();
    let a = pair.start("ivr-a");
    pair.key = [8; 32];
    let b = pair.start("ivr-b");
    until("the mismatch shows", 10, || a.node("ivr-b").state == "key mismatch");
    let status = a.status();
    let text = status.problems.join("\n");
    assert!(text.contains("ivr-b sends, but does not authenticate: the signature is wrong"), "{text}");
    drop(b);
}

#[test]
fn a_second_agent_and_a_taken_port_are_refused_with_the_remedy() {
    let pair = Pair::new();
    let a = pair.start("ivr-a");
    let line = pair.world.line("ivr-a");
    let error = pair.agent("ivr-a", &line).err().unwrap().to_string();
    assert!(error.contains("another agent is running"), "{error}");
    let _port = UdpSocket::bind(("127.0.0.12", pair.port)).unwrap();
    let error = pair.agent("ivr-b", &pair.world.line("ivr-b")).err().unwrap().to_string();
    assert!(error.contains("another program has the port") && error.contains("127.0.0.12"), "{error}");
    assert!(!Path::new(&pair.config("ivr-b").socket).exists(), "nothing of it runs");
    drop(a);
}

fn standin(arguments: &[&str]) -> (i32, String, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_standin")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn status_is_for_people_and_for_scripts() {
    let pair = Pair::new();
    let (a, b) = settled(&pair);
    let socket = a.socket.display().to_string();
    until("every resource is read", 20, || a.group().resources.iter().all(|it| it.holder.is_some()));
    let problems = || [a.status().problems, b.status().problems].concat();
    let patience = Instant::now() + Duration::from_secs(20);
    while !problems().is_empty() {
        assert!(Instant::now() < patience, "{:#?}", problems());
        std::thread::sleep(Duration::from_millis(20));
    }
    let (code, text, errors) = standin(&["status", "--socket", &socket]);
    assert_eq!((code, errors.as_str()), (0, ""), "{text}");
    assert!(text.contains("All is well.") && text.contains("ivr-a (this node)"), "{text}");
    assert!(text.contains("takeover     would work: ivr-b could take it"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let (code, json, _) = standin(&["status", "--json", "--socket", &socket]);
    let status: Status = serde_json::from_str(&json).unwrap();
    assert_eq!((code, status.version, status.node.as_str()), (0, 1, "ivr-a"));
    drop(b);
    until("the loss shows", 5, || !a.status().well);
    assert_eq!(standin(&["status", "--socket", &socket]).0, 5);
    drop(a);
    let (code, text, errors) = standin(&["status", "--socket", &socket]);
    assert_eq!((code, text.as_str()), (4, ""));
    assert!(errors.contains("no agent answers at"), "{errors}");
}

#[test]
fn run_says_what_is_wrong_and_does_not_half_start() {
    let (code, out, errors) = standin(&["run", "--config", "/nonexistent"]);
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(errors.contains("/nonexistent") && errors.contains("help:"), "{errors}");
    if cfg!(not(feature = "ec2")) {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let pair = Pair::new();
        assert_eq!(standin(&["keygen", "--out", &path("key")]).0, 0);
        let text = pair.text("ivr-a").replace("/nonexistent", &path("key"));
        std::fs::write(path("standin.toml"), text).unwrap();
        let (code, _, errors) = standin(&["run", "--config", &path("standin.toml"), "--node", "ivr-a"]);
        assert_eq!(code, 1);
        assert!(errors.contains("built without EC2"), "{errors}");
        let (code, _, errors) = standin(&["run", "--config", &path("standin.toml"), "--node", "ivr-c"]);
        assert_eq!(code, 3);
        assert!(errors.contains("ivr-a, ivr-b"), "{errors}");
    }
}
