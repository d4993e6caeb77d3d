//! The real thing: this namespace is an instance with two network interfaces, a second one is everything around
//! it. Like EC2 that one drops what comes from an interface that does not have the address.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::process::{Child, Command};
use std::thread;

use tokio::sync::{mpsc, watch};

use super::super::tests::{in_namespace, ip, next};
use super::super::{GuestAddress, GuestEvent, keep};
use super::*;

const ANSWERS: &str = "resource::guest::source::tests::answers";
const KEPT: &str = "resource::guest::source::tests::kept";
const FIRST: &str = "02:00:00:00:00:0a";
const SECOND: &str = "02:00:00:00:00:0c";
const CALLER: &str = "203.0.113.5:0";

#[test]
fn answers_leave_from_the_service_address() {
    in_namespace(ANSWERS, false);
}

#[test]
fn rules_and_routes_come_go_and_are_put_back() {
    in_namespace(KEPT, false);
}

/// A namespace, for as long as its process lives.
struct Outside(Child);

impl Drop for Outside {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Outside {
    fn new() -> Self {
        let child = Command::new("unshare").args(["-n", "sleep", "60"]).spawn().unwrap();
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        let path = format!("/proc/{}/ns/net", child.id());
        while std::fs::read_link(&path).unwrap() == own {
            thread::yield_now();
        }
        Self(child)
    }

    fn run(&self, words: &str) {
        let pid = self.0.id().to_string();
        let status =
            Command::new("nsenter").args(["-t", &pid, "-n"]).args(words.split(' ')).status().unwrap();
        assert!(status.success(), "{words}");
    }

    /// A socket in there.
    fn socket(&self, from: &str) -> UdpSocket {
        let path = format!("/proc/{}/ns/net", self.0.id());
        let enter = || {
            let namespace = std::fs::File::open(path).unwrap();
            let kind = Some(rustix::thread::LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(namespace.as_fd(), kind).unwrap();
            UdpSocket::bind(from).unwrap()
        };
        let socket = thread::scope(|scope| scope.spawn(enter).join().unwrap());
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        socket
    }

    /// Whether a caller that is connected, as phones and carriers are, hears an answer.
    fn is_answered(&self, from: &str, to: &str) -> bool {
        let caller = self.socket(from);
        caller.connect(to).unwrap();
        caller.send(b"OPTIONS").unwrap();
        caller.recv(&mut [0; 64]).is_ok()
    }

    /// Where the answer comes from, to a caller that takes any.
    fn answer_from(&self, from: &str, to: &str) -> Option<SocketAddr> {
        let caller = self.socket(from);
        caller.send_to(b"OPTIONS", to).unwrap();
        Some(caller.recv_from(&mut [0; 64]).ok()?.1)
    }
}

/// Two interfaces, everything leaves by the first one.
fn instance() -> Outside {
    let outside = Outside::new();
    ip("link set lo up");
    let pid = outside.0.id();
    for (here, there, mac, net) in [("eth-a", "out-a", FIRST, 1), ("eth-c", "out-c", SECOND, 2)] {
        ip(&format!("link add {here} address {mac} type veth peer name {there} netns {pid}"));
        ip(&format!("addr add 10.0.{net}.10/24 dev {here}"));
        ip(&format!("addr add 10.0.{net}.100/32 dev {here}"));
        ip(&format!("link set {here} up"));
        outside.run(&format!("ip addr add 10.0.{net}.1/24 dev {there}"));
        outside.run(&format!("ip link set {there} up"));
        outside.run(&format!("sysctl -qw net.ipv4.conf.{there}.rp_filter=1"));
    }
    ip("route add default via 10.0.1.1 dev eth-a metric 512");
    outside.run("ip link set lo up");
    outside.run("ip addr add 203.0.113.5/32 dev lo");
    outside
}

fn source(mac: &str, address: &str, ports: &[(u16, u16)], place: usize) -> Source {
    let ports = ports.iter().map(|&(first, last)| SourcePorts { transport: Transport::Udp, first, last });
    Source {
        mac: mac.to_owned(),
        address: address.parse().unwrap(),
        subnet: None,
        ports: ports.collect(),
        table: table(place),
        interfaces: vec![FIRST.to_owned(), SECOND.to_owned()],
    }
}

/// Bound to no address, as Asterisk is: each packet is answered to where it came from.
fn responder(port: u16) {
    let socket = UdpSocket::bind(("0.0.0.0", port)).unwrap();
    thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            drop(socket.send_to(&bytes[..length], from));
        }
    });
}

fn shown(words: &str) -> String {
    let output = Command::new("ip").args(words.split(' ')).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
#[ignore = "run by answers_leave_from_the_service_address, in a namespace"]
async fn answers() {
    let outside = instance();
    for port in [5060, 10_500, 5070] {
        responder(port);
    }
    let guest = Guest::open().unwrap();
    let untouched = (shown("rule"), shown("route show table all"));
    let first = source(FIRST, "10.0.1.100", &[(5060, 5060), (10_000, 20_000)], 0);

    assert!(!outside.is_answered(CALLER, "10.0.1.100:5060"), "it answers from another address");
    let primary = outside.answer_from(CALLER, "10.0.1.100:5060");
    assert_eq!(primary, Some("10.0.1.10:5060".parse().unwrap()));
    guest.source(&first, true).await.unwrap();
    for to in ["10.0.1.100:5060", "10.0.1.100:10500"] {
        assert!(outside.is_answered(CALLER, to), "{to}, over the gateway");
        assert!(outside.is_answered("10.0.1.1:0", to), "{to}, in the subnet");
        assert!(outside.is_answered("10.0.2.1:0", to), "{to}, from the other interface's subnet");
    }
    // Other ports, and sockets that are bound to another address, as those of heartbeats are.
    assert_eq!(outside.answer_from(CALLER, "10.0.1.10:5070"), Some("10.0.1.10:5070".parse().unwrap()));
    let bound = UdpSocket::bind("10.0.1.10:15000").unwrap();
    let caller = outside.socket(CALLER);
    caller.send_to(b"from", "10.0.1.10:15000").unwrap();
    let (_, from) = bound.recv_from(&mut [0; 64]).unwrap();
    bound.send_to(b"back", from).unwrap();
    assert_eq!(caller.recv_from(&mut [0; 64]).unwrap().1, "10.0.1.10:15000".parse().unwrap());
    // Within the machine all is as before.
    for to in ["127.0.0.1:5060", "10.0.1.10:5060", "10.0.1.100:5060"] {
        let local = UdpSocket::bind("0.0.0.0:0").unwrap();
        local.connect(to).unwrap();
        local.send(b"OPTIONS").unwrap();
        local.recv(&mut [0; 64]).unwrap();
    }

    // The second interface: by the first one, what leaves from its address would be dropped.
    let second = source(SECOND, "10.0.2.100", &[(5070, 5070)], 1);
    assert!(!outside.is_answered(CALLER, "10.0.2.100:5070"));
    guest.source(&second, true).await.unwrap();
    assert!(outside.is_answered(CALLER, "10.0.2.100:5070"), "over the gateway that no route named");
    assert!(outside.is_answered("10.0.2.1:0", "10.0.2.100:5070"), "in the subnet");
    guest.source(&second, false).await.unwrap();
    // Also what is bound to the address needs its interface, without any port.
    let bound = UdpSocket::bind("10.0.2.100:7000").unwrap();
    let caller = outside.socket(CALLER);
    let target = caller.local_addr().unwrap();
    bound.send_to(b"lost", target).unwrap();
    assert!(caller.recv(&mut [0; 64]).is_err());
    let second = source(SECOND, "10.0.2.100", &[], 1);
    guest.source(&second, true).await.unwrap();
    bound.send_to(b"there", target).unwrap();
    caller.recv(&mut [0; 64]).unwrap();
    // On the first interface that needs nothing.
    guest.source(&source(FIRST, "10.0.1.100", &[], 2), true).await.unwrap();
    assert!(!shown("rule").contains("69402"));

    guest.source(&first, false).await.unwrap();
    guest.source(&second, false).await.unwrap();
    assert_eq!((shown("rule"), shown("route show table all")), untouched);
    assert!(!outside.is_answered(CALLER, "10.0.1.100:5060"));
}

#[tokio::test]
#[ignore = "run by rules_and_routes_come_go_and_are_put_back, in a namespace"]
async fn kept() {
    let outside = instance();
    responder(5060);
    let guest = Guest::open().unwrap();
    // No interface of EC2's: a tunnel, a bridge of containers.
    ip(&format!("link add tunnel type veth peer name far netns {}", outside.0.id()));
    ip("addr add 10.8.0.1/24 dev tunnel");
    ip("link set tunnel up");
    outside.run("ip link set far up");
    ip("route add 10.9.0.0/16 via 10.0.1.7 dev eth-a mtu 1400");
    let untouched = shown("rule");

    // Of an earlier run, with another configuration; and somebody else's in a table of ours.
    guest.source(&source(FIRST, "10.0.1.100", &[(5080, 5080)], 7), true).await.unwrap();
    ip("rule add from 10.0.7.7 lookup 69407 pref 5000");
    guest.clear_other_sources(&[69400]).await.unwrap();
    assert!(!shown("rule").contains("5080") && shown("rule").contains("10.0.7.7"));
    assert_eq!(shown("route show table 69407"), "");
    ip("rule del from 10.0.7.7 lookup 69407");

    let wanted = source(FIRST, "10.0.1.100", &[(5060, 5060)], 0);
    let (say, listen) = watch::channel(vec![(wanted.clone(), true)]);
    let (send, mut events) = mpsc::unbounded_channel();
    let keeper = tokio::spawn(keep(listen, move |event| send.send(event).unwrap()));
    assert_eq!(next(&mut events).await, GuestEvent::Added(wanted.clone()));
    guest.clear_other_sources(&[69400]).await.unwrap();
    assert!(outside.is_answered(CALLER, "10.0.1.100:5060"));
    let way = |to: &str| shown(&format!("route get {to} ipproto udp sport 5060"));
    assert!(way("10.8.0.9").contains("dev tunnel table 69400 src 10.8.0.1"), "{}", way("10.8.0.9"));
    assert!(way("10.9.0.9").contains("via 10.0.1.7 dev eth-a table 69400 src 10.0.1.100"));
    assert!(shown("route show table 69400").contains("mtu 1400"));

    for taken in [
        "rule del from 10.0.1.100 lookup 69400",
        "rule del iif lo ipproto udp sport 5060 lookup 69400",
        "route flush table 69400",
        // Not taken, but no longer right.
        "route replace default via 10.0.1.2 dev eth-a metric 512",
        "route replace default via 10.0.1.1 dev eth-a metric 512",
    ] {
        let gone = tokio::time::Instant::now();
        ip(taken);
        assert_eq!(next(&mut events).await, GuestEvent::PutBack(wanted.clone()), "{taken}");
        println!("put right {:?} after `ip {taken}` began", gone.elapsed());
    }
    assert!(outside.is_answered(CALLER, "10.0.1.100:5060"));

    // The address goes: nothing is sent from it any more.
    ip("addr del 10.0.1.100/32 dev eth-a");
    let lost = GuestError::NotThere("10.0.1.100".parse().unwrap());
    assert_eq!(next(&mut events).await, GuestEvent::Failed(wanted.clone(), lost));
    assert_eq!(outside.answer_from(CALLER, "10.0.1.10:5060"), Some("10.0.1.10:5060".parse().unwrap()));
    let address = GuestAddress { mac: FIRST.to_owned(), address: wanted.address };
    guest.add(&address).await.unwrap();
    assert_eq!(next(&mut events).await, GuestEvent::Added(wanted.clone()));
    assert!(outside.is_answered(CALLER, "10.0.1.100:5060"));

    // An interface that is gone keeps nothing from being removed.
    let gone = Source { mac: "02:00:00:00:00:ff".to_owned(), ..wanted.clone() };
    say.send(vec![(gone.clone(), false)]).unwrap();
    assert_eq!(next(&mut events).await, GuestEvent::Removed(gone));
    assert_eq!(shown("rule"), untouched);
    assert_eq!(shown("route show table 69400"), "");
    drop(say);
    keeper.await.unwrap().unwrap();
}
