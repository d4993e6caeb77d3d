//! An agent in a process of its own: signals, systemd, and the guest's interface in a network namespace.
//! The children are ignored tests of this file, run by the others.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use standin::agent::Ended;

use crate::pair::{Pair, until};

fn child(test: &str, notify: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("NOTIFY_SOCKET", notify)
        .env("WATCHDOG_USEC", "400000")
        .env_remove("WATCHDOG_PID")
        .env_remove("INVOCATION_ID")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

fn ended(child: &mut Child) -> (ExitStatus, Duration) {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return (status, start.elapsed());
        }
        if start.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

struct Notified(UnixDatagram, Vec<String>);

impl Notified {
    fn bind(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self(socket, Vec::new())
    }

    fn has(&mut self, what: &str) -> bool {
        let mut buffer = [0; 512];
        while let Ok(length) = self.0.recv(&mut buffer) {
            self.1.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        self.1.iter().any(|said| said.contains(what))
    }
}

#[test]
fn signals_end_it_and_systemd_is_kept_posted() {
    let folder = tempfile::tempdir().unwrap();
    for signals in [&[Signal::TERM][..], &[Signal::INT], &[Signal::HUP, Signal::USR1]] {
        let path = folder.path().join(format!("notify-{signals:?}"));
        let mut notified = Notified::bind(&path);
        let mut child = child("process::one_agent_with_signals", &path);
        until("it is ready", 20, || notified.has("READY=1"));
        until("it feeds the watchdog", 5, || notified.has("WATCHDOG=1"));
        until("it has a status line", 5, || notified.has("STATUS=ivr: standby; peers online: 0 of 1"));
        for signal in signals {
            send(&child, *signal);
            std::thread::sleep(Duration::from_millis(50));
        }
        let (status, took) = ended(&mut child);
        assert!(status.success() && took < Duration::from_secs(4), "{signals:?} {status} {took:?}");
        assert!(notified.has("STOPPING=1"), "{signals:?}");
    }
}

#[test]
fn the_second_signal_ends_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let mut notified = Notified::bind(&path);
    let mut child = child("process::one_agent_that_takes_its_time", &path);
    until("it is active", 30, || notified.has("STATUS=ivr: active"));
    send(&child, Signal::TERM);
    std::thread::sleep(Duration::from_secs(1));
    assert!(child.try_wait().unwrap().is_none(), "it waits for its hook");
    send(&child, Signal::INT);
    let (status, took) = ended(&mut child);
    assert!(status.success() && took < Duration::from_secs(1), "{status} {took:?}");
}

#[test]
#[ignore = "run by signals_end_it_and_systemd_is_kept_posted"]
fn one_agent_with_signals() {
    let pair = Pair::new();
    let mut a = pair.start("ivr-a");
    a.agent.as_ref().unwrap().listen_to_signals().unwrap();
    assert_eq!(a.wait(), Ended::Done);
}

#[test]
#[ignore = "run by the_second_signal_ends_it_at_once"]
fn one_agent_that_takes_its_time() {
    let mut pair = Pair::new();
    pair.demote = "sleep 4";
    let mut a = pair.start("ivr-a");
    a.agent.as_ref().unwrap().listen_to_signals().unwrap();
    assert_eq!(a.wait(), Ended::AtOnce);
}

#[test]
fn the_guest_has_the_address_while_its_node_is_active() {
    let unshare: &[&str] =
        if rustix::process::geteuid().is_root() { &["unshare", "-n"] } else { &["unshare", "-rn"] };
    let possible = Command::new(unshare[0]).args(&unshare[1..]).arg("true").status();
    if !possible.is_ok_and(|it| it.success()) {
        println!(
            "SKIPPED: {} is not possible here, so the guest's address was NOT tested",
            unshare.join(" ")
        );
        return;
    }
    let output = Command::new(unshare[0])
        .args(&unshare[1..])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "process::an_agent_in_a_namespace", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn ip(words: &str) -> String {
    let output = Command::new("ip").args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {words}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "run by the_guest_has_the_address_while_its_node_is_active, in a namespace"]
fn an_agent_in_a_namespace() {
    ip("link set lo up");
    let mut pair = Pair::new();
    pair.guest = true;
    let mac = pair.world.identity("ivr-a").interfaces[0].mac.clone();
    ip(&format!("link add eth-a address {mac} type veth peer name eth-b"));
    let there = || ip("-o -4 addr show dev eth-a").contains("127.0.0.100/32");
    let mut a = pair.start("ivr-a");
    until("it is active", 20, || a.group().role == "active");
    until("the address is there", 2, there);
    until("that is known", 2, || a.group().reached && a.group().failing.is_empty());
    ip("addr del 127.0.0.100/32 dev eth-a");
    let back = until("the address is back", 2, there);
    println!("back after {back:?}");
    a.agent.as_ref().unwrap().stop();
    assert_eq!(a.wait(), Ended::Done);
    assert!(!there(), "a node that has stopped serving has no service address");
}
