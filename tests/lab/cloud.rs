//! EC2: the sandbox in this process, and what makes its decisions count. Every few milliseconds its state is
//! turned into the VPC's tables; nothing else changes them.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use standin::sandbox::model::{Change, Destination, Holder, Interface, State, Subject, Vpc};
use standin::sandbox::{Clock, Options, Running, Spec, serve};

use crate::network::{CAME_UP, ENDS, LINKS, NODES, OFFICE_ROUTE, PUBLIC, SERVICE, ip, nft};

/// How often the state is looked at.
const STEER_EVERY: Duration = Duration::from_millis(5);

/// EC2.
pub(crate) struct Cloud {
    running: Arc<Running>,
    stop: Arc<AtomicBool>,
    steering: Option<std::thread::JoinHandle<()>>,
    /// It serves for as long as this is there.
    _runtime: tokio::runtime::Runtime,
}

impl Cloud {
    /// Serves it on this namespace's loopback. Nothing is steered yet.
    pub(crate) fn serve() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let spec = Spec::parse(&description()).context("the lab's VPC")?;
        let start = Instant::now();
        let clock = Clock {
            monotonic: Arc::new(move || start.elapsed()),
            wall: Arc::new(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
        };
        let running = runtime.block_on(serve(spec, Options { port: 0, clock }))?;
        let stop = Arc::new(AtomicBool::new(false));
        Ok(Self { running: Arc::new(running), stop, steering: None, _runtime: runtime })
    }

    /// The ports of EC2 and of each node's metadata service.
    pub(crate) fn ports(&self) -> anyhow::Result<(u16, [u16; 2])> {
        let port = |url: &str| -> anyhow::Result<u16> {
            let (_, port) = url.rsplit_once(':').context("a URL has a port")?;
            Ok(port.parse()?)
        };
        let at = |node: usize| port(&self.running.instances[node].imds_url);
        Ok((port(&self.running.ec2_url)?, [at(0)?, at(1)?]))
    }

    /// From now on packets follow EC2.
    pub(crate) fn steer(&mut self) {
        let (running, stop) = (Arc::clone(&self.running), Arc::clone(&self.stop));
        self.steering = Some(std::thread::spawn(move || {
            let (mut in_force, mut came_up) = ((String::new(), String::new()), 0);
            while !stop.load(Ordering::Relaxed) {
                let (routes, rules) = running.with_vpc(|vpc| (routes(vpc), rules(vpc)));
                let ups = CAME_UP.load(Ordering::Relaxed);
                if came_up != ups {
                    (came_up, in_force.0) = (ups, String::new());
                }
                // A link that is down takes no route; it is tried again until it does.
                if in_force.0 != routes && ip(&routes).is_ok() {
                    in_force.0 = routes;
                }
                if in_force.1 != rules {
                    nft(&rules).expect("nft takes the VPC's rules");
                    in_force.1 = rules;
                }
                std::thread::sleep(STEER_EVERY);
            }
        }));
    }

    /// The region, the allocation id of the Elastic IP, the id of the route table.
    pub(crate) fn ids(&self) -> [String; 3] {
        let running = &self.running;
        let allocation = running.elastic_ips[0].allocation_id.clone();
        [running.region.clone(), allocation, running.route_tables[0].id.clone()]
    }

    /// The hardware addresses of a node's links.
    pub(crate) fn macs(&self, node: usize) -> [String; 2] {
        self.running.with_vpc(|vpc| {
            let interfaces = vpc.state().interfaces.values();
            let find = |address| interfaces.clone().find(|it| it.primary == address);
            LINKS[node].map(|address| find(address).map(|it| it.mac.clone()).unwrap_or_default())
        })
    }

    /// Which node holds the anchor, in truth.
    pub(crate) fn holder(&self) -> Option<usize> {
        self.running.with_vpc(|vpc| node_of(vpc.state(), vpc.private_ip_holder(SERVICE)))
    }

    /// Which node holds the private address, the Elastic IP and the route, in truth.
    pub(crate) fn holders(&self) -> [Option<usize>; 3] {
        let [_, allocation, table] = self.ids();
        self.running.with_vpc(|vpc| {
            let state = vpc.state();
            [
                vpc.private_ip_holder(SERVICE),
                vpc.elastic_ip_holder(&allocation),
                vpc.route_holder(&table, &office()),
            ]
            .map(|holder| node_of(state, holder))
        })
    }

    /// The number of the last change.
    pub(crate) fn last_change(&self) -> u64 {
        self.running.with_vpc(|vpc| vpc.last_change())
    }

    /// To which nodes the anchor went since then, in this order.
    pub(crate) fn moves_since(&self, seq: u64) -> Vec<usize> {
        self.running.with_vpc(|vpc| {
            let anchor = |change: &&Change| match &change.subject {
                Subject::PrivateIp { address, .. } => *address == SERVICE,
                Subject::ElasticIp { .. }
                | Subject::Route { .. }
                | Subject::Instance { .. }
                | Subject::Tag { .. } => false,
            };
            let to = |change: &Change| {
                let state = vpc.state();
                change.to.as_ref().and_then(|id| node_at(state.interfaces.get(id)?))
            };
            vpc.changes(seq).filter(anchor).filter_map(to).collect()
        })
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(steering) = self.steering.take() {
            // If it has panicked, it has said so.
            let _ = steering.join();
        }
    }
}

fn description() -> String {
    let mut text = format!(
        r#"
[settings]
stop-time = "3s"
start-time = "1s"
[[vpc]]
name = "lab"
cidr = "10.77.0.0/16"
[[subnet]]
name = "one"
cidr = "10.77.1.0/24"
[[subnet]]
name = "two"
cidr = "10.77.2.0/24"
[[private-ip]]
address = "{SERVICE}"
holder = "ivr-a"
[[elastic-ip]]
name = "service"
public-ip = "{PUBLIC}"
to = "{SERVICE}"
[[route-table]]
name = "office"
[[route-table.route]]
destination = "{OFFICE_ROUTE}/32"
holder = "ivr-a"
"#
    );
    for (name, [one, two]) in NODES.iter().zip(LINKS) {
        let _ = write!(
            text,
            r#"
[[instance]]
name = "{name}"
[[instance.interface]]
subnet = "one"
address = "{one}"
[[instance.interface]]
subnet = "two"
address = "{two}"
"#
        );
    }
    text
}

fn office() -> Destination {
    Destination::Cidr(ipnet::IpNet::new_assert(OFFICE_ROUTE.into(), 32))
}

/// The node and the link of an interface.
fn place(interface: &Interface) -> Option<(usize, usize)> {
    let find = |links: &[Ipv4Addr; 2]| links.iter().position(|it| *it == interface.primary);
    LINKS.iter().enumerate().find_map(|(node, links)| Some((node, find(links)?)))
}

fn node_at(interface: &Interface) -> Option<usize> {
    place(interface).map(|(node, _)| node)
}

fn node_of(state: &State, holder: Option<Holder>) -> Option<usize> {
    node_at(state.interfaces.get(&holder?.interface)?)
}

/// The VPC's routes to what moves. By the primary address of the interface: the VPC delivers to an interface, and
/// whether its guest has the address is the guest's business.
fn routes(vpc: &Vpc) -> String {
    let state = vpc.state();
    let table = state.route_tables.values().next().map(|it| it.id.clone()).unwrap_or_default();
    let line = |to: Ipv4Addr, holder: Option<Holder>| {
        let holder = holder.filter(|it| !it.blackhole);
        match holder.and_then(|it| place(state.interfaces.get(&it.interface)?)) {
            None => format!("route replace blackhole {to}\n"),
            Some((node, link)) => {
                let (via, end) = (LINKS[node][link], ENDS[node][link]);
                format!("route replace {to} via {via} dev {end} onlink\n")
            }
        }
    };
    line(SERVICE, vpc.private_ip_holder(SERVICE)) + &line(OFFICE_ROUTE, vpc.route_holder(&table, &office()))
}

/// What the Internet gateway translates, and through which link each address that moves may be used.
fn rules(vpc: &Vpc) -> String {
    let mut text = "flush map ip vpc public\nflush map ip vpc private\nflush set ip vpc holders\n".to_owned();
    let state = vpc.state();
    for address in state.elastic_ips.values() {
        let Some(at) = &address.association else { continue };
        let (public, private) = (address.public_ip, at.private_ip);
        let _ = writeln!(text, "add element ip vpc public {{ {public} : {private} }}");
        let _ = writeln!(text, "add element ip vpc private {{ {private} : {public} }}");
    }
    for interface in state.interfaces.values() {
        let Some((node, link)) = place(interface) else { continue };
        for address in &interface.secondary {
            let _ = writeln!(text, "add element ip vpc holders {{ {address} . {} }}", ENDS[node][link]);
        }
    }
    text
}
