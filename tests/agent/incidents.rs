//! Makes recordings of incidents out of real agents, for `tests/incidents`. These tests are ignored: they are run
//! by hand, when a new kind of incident is to be kept (see the README of that folder).

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use standin::control::client;
use standin::control::protocol::{Request, Response};
use standin::record::ring;
use standin::sandbox::model::Request as Ec2;

use crate::pair::{Member, Pair, settled, until};

/// A pair with the timers of a real one, nearly.
fn pair() -> Pair {
    let mut pair = Pair::new();
    pair.timers = ("500ms", "2s");
    pair
}

fn rest(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}

/// Keeps what these nodes recorded, one after the other, as one file.
fn keep(pair: &Pair, nodes: &[&str], name: &str) {
    let mut text = String::new();
    for node in nodes {
        let [first, second] = ring::files(&pair.config(node).state_dir);
        text += &fs::read_to_string(first).unwrap();
        assert!(!second.exists(), "an incident is short");
    }
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let text = text.replace(boot.trim(), "a-boot");
    assert!(text.len() < 150_000, "{name}: {}", text.len());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/incidents");
    fs::write(folder.join(format!("{name}.jsonl")), text).unwrap();
}

fn ask(node: &Member, request: Request) {
    assert_eq!(client::ask(&node.socket, request).unwrap(), Response::Accepted);
}

fn switchover(node: &Member, to: &str) {
    ask(node, Request::Switchover { group: "ivr".into(), to: Some(to.into()), drain_ms: None });
}

#[test]
#[ignore = "makes a file"]
fn killed_active() {
    let pair = pair();
    let (mut a, mut b) = settled(&pair);
    a.kill();
    until("ivr-b has all", 10, || pair.all_with("ivr-b"));
    rest(3);
    b.kill();
    keep(&pair, &["ivr-b"], "killed-active");
}

#[test]
#[ignore = "makes a file"]
fn clean_stop() {
    let pair = pair();
    let (mut a, mut b) = settled(&pair);
    a.agent.as_ref().unwrap().stop();
    a.wait();
    rest(3);
    b.kill();
    keep(&pair, &["ivr-a", "ivr-b"], "clean-stop");
}

#[test]
#[ignore = "makes a file"]
fn announced_restart() {
    let pair = pair();
    let (mut a, mut b) = settled(&pair);
    a.agent.as_ref().unwrap().restart();
    a.wait();
    rest(1);
    let mut a = pair.start("ivr-a");
    until("ivr-a is active again", 20, || a.group().role == "active");
    rest(2);
    a.kill();
    b.kill();
    keep(&pair, &["ivr-a", "ivr-b"], "announced-restart");
}

#[test]
#[ignore = "makes a file"]
fn ec2_unreachable_then_back() {
    let pair = pair();
    let (mut a, mut b) = settled(&pair);
    for line in [&a.line, &b.line] {
        line.cut.store(true, Ordering::Relaxed);
    }
    until("nobody knows who holds the anchor", 60, || a.group().row_now == 7 && b.group().row_now == 20);
    for line in [&a.line, &b.line] {
        line.cut.store(false, Ordering::Relaxed);
    }
    until("they know again", 30, || a.group().row_now == 3 && b.group().row_now == 12);
    a.kill();
    b.kill();
    keep(&pair, &["ivr-a", "ivr-b"], "ec2-unreachable-then-back");
}

#[test]
#[ignore = "makes a file"]
fn address_taken_off_by_hand() {
    let pair = pair();
    let (mut a, mut b) = settled(&pair);
    let interface = pair.world.identity("ivr-a").interfaces[0].id.clone();
    let addresses = vec!["127.0.0.100".parse().unwrap()];
    pair.world.call("somebody", &Ec2::UnassignPrivateIpAddresses { interface, addresses });
    until("ivr-a has it again", 30, || pair.all_with("ivr-a"));
    rest(6);
    a.kill();
    b.kill();
    keep(&pair, &["ivr-a", "ivr-b"], "address-taken-off-by-hand");
}

#[test]
#[ignore = "makes a file"]
fn anchor_moved_back_by_another_tool() {
    let pair = pair();
    let (mut a, mut b) = settled(&pair);
    switchover(&a, "ivr-b");
    until("ivr-b has all", 10, || pair.all_with("ivr-b"));
    until("ivr-a watches", 20, || a.group().row_now == 12);
    // A tool that knows the first node only, and puts everything back as it was.
    let request = Ec2::AssignPrivateIpAddresses {
        interface: pair.world.identity("ivr-a").interfaces[0].id.clone(),
        addresses: vec!["127.0.0.100".parse().unwrap()],
        count: None,
        reassign: true,
    };
    pair.world.call("terraform", &request);
    until("ivr-b yields", 30, || b.group().role == "standby");
    until("ivr-a has all", 30, || pair.all_with("ivr-a"));
    rest(2);
    a.kill();
    b.kill();
    keep(&pair, &["ivr-a", "ivr-b"], "anchor-moved-back-by-another-tool");
}

#[test]
#[ignore = "makes a file"]
fn take_without_an_answer_that_landed() {
    let pair = pair();
    let (mut a, mut b) = settled(&pair);
    a.kill();
    until("ivr-b asks", 10, || b.node("ivr-a").state == "late");
    b.line.deaf.store(true, Ordering::Relaxed);
    until("the take has landed", 10, || pair.world.holders()[0] == "ivr-b");
    rest(1);
    b.line.deaf.store(false, Ordering::Relaxed);
    until("ivr-b is active", 20, || b.group().role == "active");
    rest(2);
    b.kill();
    keep(&pair, &["ivr-b"], "take-without-an-answer-that-landed");
}

#[test]
#[ignore = "makes a file"]
fn both_started_at_once_and_nobody_holds() {
    let pair = pair();
    let interface = pair.world.identity("ivr-a").interfaces[0].id.clone();
    let addresses = vec!["127.0.0.100".parse().unwrap()];
    pair.world.call("somebody", &Ec2::UnassignPrivateIpAddresses { interface, addresses });
    let (mut a, mut b) = (pair.start("ivr-a"), pair.start("ivr-b"));
    until("one of them has all", 40, || pair.all_with("ivr-a") || pair.all_with("ivr-b"));
    rest(6);
    a.kill();
    b.kill();
    keep(&pair, &["ivr-a", "ivr-b"], "both-started-at-once-and-nobody-holds");
}

#[test]
#[ignore = "makes a file"]
fn switchover_and_back() {
    let pair = pair();
    let (mut a, mut b) = settled(&pair);
    switchover(&a, "ivr-b");
    until("ivr-b has all", 10, || pair.all_with("ivr-b"));
    until("ivr-a could take it", 20, || a.group().takeover.works && a.group().row_now == 12);
    switchover(&b, "ivr-a");
    until("ivr-a has all", 20, || pair.all_with("ivr-a"));
    rest(6);
    a.kill();
    b.kill();
    keep(&pair, &["ivr-a", "ivr-b"], "switchover-and-back");
}

#[test]
#[ignore = "makes a file"]
fn take_denied_at_first() {
    let pair = pair();
    let (mut a, mut b) = settled(&pair);
    *b.line.denied.lock().unwrap() = Some("AssignPrivateIpAddresses");
    a.kill();
    until("the refusal is shown", 10, || b.status().errors.iter().any(|it| it.text.contains("allow ec2:")));
    *b.line.denied.lock().unwrap() = None;
    until("ivr-b has all once it may", 30, || pair.all_with("ivr-b"));
    rest(2);
    b.kill();
    keep(&pair, &["ivr-b"], "take-denied-at-first");
}

#[test]
#[ignore = "makes a file"]
fn killed_while_in_maintenance() {
    let pair = pair();
    let (mut a, mut b) = settled(&pair);
    ask(&a, Request::Maintenance { group: "ivr".into(), on: true });
    until("ivr-b knows", 5, || b.group().maintenance);
    a.kill();
    rest(5);
    ask(&b, Request::Maintenance { group: "ivr".into(), on: false });
    until("ivr-b has all", 60, || pair.all_with("ivr-b"));
    rest(2);
    b.kill();
    keep(&pair, &["ivr-b"], "killed-while-in-maintenance");
}
