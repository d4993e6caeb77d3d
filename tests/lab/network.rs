//! The lab's network. This process's own namespace is the VPC: it routes between the instances, each in a
//! namespace of its own with two links, and "the internet", where the callers are.
//!
//! Nothing is bridged: each link of an instance ends here, and whatever it asks for by ARP this end answers, as
//! the VPC's router does. So a packet goes where the VPC's tables say, and an instance that keeps an address which
//! EC2 took from it gets nothing, and can send nothing from it.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, bail, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The nodes, by their places.
pub(crate) const NODES: [&str; 2] = ["ivr-a", "ivr-b"];
/// The ends, in the VPC, of each node's two links.
pub(crate) const ENDS: [[&str; 2]; 2] = [["a1", "a2"], ["b1", "b2"]];
/// The addresses of each node's two links.
pub(crate) const LINKS: [[Ipv4Addr; 2]; 2] = [
    [Ipv4Addr::new(10, 77, 1, 10), Ipv4Addr::new(10, 77, 2, 10)],
    [Ipv4Addr::new(10, 77, 1, 11), Ipv4Addr::new(10, 77, 2, 11)],
];
/// The private address that moves.
pub(crate) const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 100);
/// The Elastic IP that rides on it: what callers call.
pub(crate) const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// Where the route leads, which is both nodes' address; the office reaches it by the VPC's table.
pub(crate) const OFFICE_ROUTE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
/// EC2's endpoint inside the VPC.
pub(crate) const EC2: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// Whoever calls.
pub(crate) const CALLER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
/// The carrier, where Asterisk registers.
pub(crate) const CARRIER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 20);
/// The namespace of both.
pub(crate) const INTERNET: &str = "internet";

/// Before everything else that happens to a packet: faults, who may send from which address, the Internet
/// gateway. An Internet gateway keeps no state: an address that has moved has moved for calls that last, too.
const TABLE: &str = "
table ip vpc {
  map public { type ipv4_addr : ipv4_addr; }
  map private { type ipv4_addr : ipv4_addr; }
  set moving { type ipv4_addr; elements = { @SERVICE@ } }
  set holders { type ipv4_addr . ifname; }
  chain faults { }
  chain arrive {
    type filter hook prerouting priority -300
    jump faults
    ip saddr @moving ip saddr . iifname != @holders drop
    ip saddr 198.51.100.0/24 notrack
    ip daddr 198.51.100.0/24 notrack
    iifname \"internet\" ip daddr set ip daddr map @public
  }
  chain metadata {
    type nat hook prerouting priority -100
    @METADATA@
    ip daddr @EC2@ tcp dport 80 dnat to 127.0.0.1:@EC2PORT@
  }
  chain leave {
    type filter hook postrouting priority 300
    oifname \"internet\" ip saddr set ip saddr map @private
    oifname \"internet\" ip saddr 10.77.0.0/16 drop
  }
}
";

/// How often a link has come up: with a link the kernel forgets the routes over it.
pub(crate) static CAME_UP: AtomicU64 = AtomicU64::new(0);

/// Makes all of it but the instances' namespaces.
pub(crate) fn make(ec2_port: u16, metadata_ports: [u16; 2]) -> anyhow::Result<()> {
    for setting in [
        "ip_forward=1",
        "conf.all.route_localnet=1",
        "conf.all.rp_filter=0",
        "conf.default.rp_filter=0",
        "conf.all.send_redirects=0",
        "conf.default.send_redirects=0",
    ] {
        sysctl(setting)?;
    }
    ip(&format!(
        "link set lo up
         netns add {INTERNET}
         link add internet type veth peer name eth0 netns {INTERNET}
         link add office type veth peer name eth1 netns {INTERNET}
         addr add 198.51.100.1/24 dev internet
         addr add 10.98.0.1/24 dev office
         link set internet up
         link set office up
         route add blackhole {SERVICE}
         route add blackhole {OFFICE_ROUTE}
         route add blackhole 203.0.113.0/24"
    ))?;
    ip_in(
        INTERNET,
        &format!(
            "link set lo up
             addr add {CALLER}/24 dev eth0
             addr add {CARRIER}/24 dev eth0
             addr add 10.98.0.2/24 dev eth1
             link set eth0 up
             link set eth1 up
             route add default via 198.51.100.1
             route add {OFFICE_ROUTE} via 10.98.0.1"
        ),
    )?;
    let metadata = ENDS.iter().zip(metadata_ports).map(|(ends, port)| {
        let ends = ends.join(", ");
        format!("iifname {{ {ends} }} ip daddr 169.254.169.254 tcp dport 80 dnat to 127.0.0.1:{port}")
    });
    let metadata: Vec<String> = metadata.collect();
    let table = TABLE
        .replace("@SERVICE@", &SERVICE.to_string())
        .replace("@METADATA@", &metadata.join("\n    "))
        .replace("@EC2@", &EC2.to_string())
        .replace("@EC2PORT@", &ec2_port.to_string());
    nft(&table)
}

/// A fresh namespace with the node's two links, as after a boot: nothing of what its guest had set up is left.
/// The links have EC2's hardware addresses: by them a guest knows which is which.
pub(crate) fn attach(node: usize, macs: &[String; 2]) -> anyhow::Result<()> {
    let name = NODES[node];
    if std::fs::exists(format!("/run/netns/{name}"))? {
        ip(&format!("netns del {name}"))?;
    }
    ip(&format!("netns add {name}"))?;
    ip_in(name, "link set lo up")?;
    ip_in(name, &format!("addr add {OFFICE_ROUTE}/32 dev lo"))?;
    for (link, (end, address)) in ENDS[node].iter().zip(LINKS[node]).enumerate() {
        let (gateway, mac) = (gateway(link), &macs[link]);
        // Until the old namespace is gone, its link is still here.
        let _ = quiet(Command::new("ip").args(["link", "del", end]));
        ip(&format!("link add {end} type veth peer name eth{link} address {mac} netns {name}"))?;
        ip_in(name, &format!("addr add {address}/24 dev eth{link}\nlink set eth{link} up"))?;
        ip(&format!(
            "addr add {gateway}/32 dev {end}\nlink set {end} up\nroute replace {address} dev {end}"
        ))?;
        sysctl(&format!("conf.{end}.proxy_arp=1"))?;
        // A router answers at once; the kernel's own default is up to 0.8 s later.
        sysctl(&format!("neigh.{end}.proxy_delay=0"))?;
    }
    CAME_UP.fetch_add(1, Ordering::Relaxed);
    ip_in(name, &format!("route add default via {}", gateway(0)))
}

/// Plugs a node's links in or out, from outside.
pub(crate) fn plug(ends: &[&str], up: bool) -> anyhow::Result<()> {
    for end in ends {
        ip(&format!("link set {end} {}", if up { "up" } else { "down" }))?;
        if !up {
            continue;
        }
        CAME_UP.fetch_add(1, Ordering::Relaxed);
        let at = |node: &[&str; 2]| node.iter().position(|it| it == end);
        let found = ENDS.iter().zip(LINKS).find_map(|(node, links)| Some(links[at(node)?]));
        let address = found.with_context(|| format!("{end} is no link's end"))?;
        ip(&format!("route replace {address} dev {end}"))?;
    }
    Ok(())
}

/// The faults in force: rules of nftables, which replace the ones before.
pub(crate) fn faults(rules: &[String]) -> anyhow::Result<()> {
    let mut text = "flush chain ip vpc faults\n".to_owned();
    for rule in rules {
        text += &format!("add rule ip vpc faults {rule}\n");
    }
    nft(&text)
}

/// What is sent from one node to the other is lost, on both links.
pub(crate) fn cut(from: usize) -> String {
    let ends = ENDS[from].join(", ");
    let [one, two] = LINKS[1 - from];
    format!("iifname {{ {ends} }} ip daddr {{ {one}, {two} }} drop")
}

/// Of what is sent between the nodes, so many percent are lost, on both links and in both directions.
pub(crate) fn lossy(percent: u32) -> String {
    let all: Vec<String> = LINKS.iter().flatten().map(ToString::to_string).collect();
    let all = all.join(", ");
    format!("ip saddr {{ {all} }} ip daddr {{ {all} }} numgen random mod 100 < {percent} drop")
}

/// EC2 and the metadata service are out of a node's reach.
pub(crate) fn no_ec2(node: usize) -> String {
    let ends = ENDS[node].join(", ");
    format!("iifname {{ {ends} }} ip daddr {{ {EC2}, 169.254.169.254 }} drop")
}

/// The VPC's own address on this link.
fn gateway(link: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, if link == 0 { 1 } else { 2 }, 1)
}

fn sysctl(setting: &str) -> anyhow::Result<()> {
    let (key, value) = setting.split_once('=').context("KEY=VALUE")?;
    let path = format!("/proc/sys/net/ipv4/{}", key.replace('.', "/"));
    std::fs::write(&path, value).with_context(|| format!("cannot set {path}"))
}

/// Commands of ip(8), one per line.
pub(crate) fn ip(commands: &str) -> anyhow::Result<()> {
    fed(Command::new("ip").args(["-batch", "-"]), commands)
}

/// The same in a namespace.
pub(crate) fn ip_in(namespace: &str, commands: &str) -> anyhow::Result<()> {
    fed(Command::new("ip").args(["-n", namespace, "-batch", "-"]), commands)
}

/// A script of nft(8): all of it or nothing.
pub(crate) fn nft(script: &str) -> anyhow::Result<()> {
    fed(Command::new("nft").args(["-f", "-"]), script)
}

fn fed(command: &mut Command, text: &str) -> anyhow::Result<()> {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = piped.spawn().with_context(|| format!("cannot run {command:?}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // If it has ended already, its words say why.
        let _ = stdin.write_all(text.as_bytes());
    }
    let done = child.wait_with_output()?;
    ensure!(done.status.success(), "{command:?} said: {}\n{text}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

fn quiet(command: &mut Command) -> anyhow::Result<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if !status.success() {
        bail!("{command:?} failed");
    }
    Ok(())
}

/// Moves the calling thread to where the callers are.
pub(crate) fn enter_internet() -> anyhow::Result<()> {
    use std::os::fd::AsFd as _;
    let file = std::fs::File::open(format!("/run/netns/{INTERNET}"))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .context("cannot enter the callers' namespace")
}
