//! The configuration: the file as written -> a typed, valid [`Config`]; all problems at once.

mod asterisk;
mod build;
mod checks;
pub mod error;
mod file;
mod forms;
mod hash;
pub mod keys;
mod load;
mod own_node;
mod recovery;
mod report;
mod rules;
mod safety;
pub mod schema;
mod service;
mod show;
mod source;
mod table;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use crate::cloud::Destination;
use crate::cluster::NodeId;

pub use asterisk::{Asterisk, Registrations};
pub use checks::{Check, CheckKind, Http, Need, OnFail, Sip, When};
pub use error::{ConfigError, Problem};
pub use keys::{Keys, check_key_file};
pub use own_node::OwnNodeError;
pub use recovery::{Recovery, WhenLost};
pub use safety::{Arbiter, Ask, Fencing, Lease, Probe, WhenFencingFails, WhenIsolated, WhenSilent};
pub use service::{Commands, Hook, HookEvent, HookFailure, HookWhen, Ocf, Run, Service, Standby};
pub use source::{SourcePorts, Transport};

/// A duration as the file has it ("250ms", 1ms to 24h).
///
/// # Errors
/// It is none: the rule and the remedy.
pub fn duration(text: &str) -> Result<Duration, String> {
    forms::duration(text).map_err(|it| format!("{}; {}", it.rule, it.remedy))
}

/// Another endpoint for EC2, under the rules of `aws.endpoint-url`.
///
/// # Errors
/// It is none: the rule and the remedy.
pub fn endpoint_url(text: &str) -> Result<String, String> {
    forms::endpoint(text).map_err(|it| format!("{}; {}", it.rule, it.remedy))
}

/// An AWS region, under the rules of `aws.region`.
///
/// # Errors
/// It is none: the rule and the remedy.
pub fn region(text: &str) -> Result<String, String> {
    forms::region(text).map_err(|it| format!("{}; {}", it.rule, it.remedy))
}

/// A valid configuration, defaults filled in. The same on every node of the cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// The cluster's name: in each datagram, and in the counter's tag.
    pub cluster: String,
    /// The file with the keys (mode 0600).
    pub key_file: PathBuf,
    /// Heartbeats.
    pub heartbeat: Heartbeat,
    /// The nodes; a [`NodeId`] is a place in this list.
    pub nodes: Vec<Node>,
    /// The groups; a `GroupId` is a place in this list.
    pub groups: Vec<Group>,
    /// What is done about a lost peer's instance; `None`: nothing.
    pub recovery: Option<Recovery>,
    /// How EC2 is reached.
    pub aws: Aws,
    /// The leases; `None`: no group's arbiter is DynamoDB.
    pub lease: Option<Lease>,
    /// Where the agent keeps its small durable state.
    pub state_dir: PathBuf,
    /// The operator's Unix socket.
    pub socket: PathBuf,
}

/// The timers of the heartbeat, and its port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Heartbeat {
    /// UDP port, the same on every node.
    pub port: u16,
    /// Between two heartbeats (Heartbeat's keepalive).
    pub interval: Duration,
    /// Silence after which a peer is late (warntime).
    pub warn_after: Duration,
    /// Silence after which a peer is lost (deadtime).
    pub dead_after: Duration,
    /// The first dead-after, from our own start (initdead).
    pub first_dead_after: Duration,
}

/// One node: its links.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// One address per link.
    pub links: Vec<IpAddr>,
}

/// One group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its nodes, in order of preference.
    pub nodes: Vec<NodeId>,
    /// The place of the anchor in `resources`.
    pub anchor: usize,
    /// Its resources, in the order of the file (Elastic IPs, private IPs, routes).
    pub resources: Vec<Resource>,
    /// What silence does (row 16).
    pub when_silent: WhenSilent,
    /// How the service is asked, with [`WhenSilent::Probe`] only.
    pub probe: Option<Probe>,
    /// What isolation does (row 8); with the lease it says nothing.
    pub when_isolated: WhenIsolated,
    /// What decides who owns the group.
    pub arbiter: Arbiter,
    /// Whether EC2 stops the old active.
    pub fencing: Fencing,
    /// What happens when it cannot.
    pub when_fencing_fails: WhenFencingFails,
    /// The group goes back to a preferred node that has been fit for so long; `None`: never.
    pub failback: Option<Duration>,
    /// So many failures bar the service on a node; zero: none does.
    pub migration_threshold: u32,
    /// Failures are forgotten so long after the last one; `None`: only by cleanup.
    pub failure_timeout: Option<Duration>,
    /// The service that the agent starts, watches and stops.
    pub service: Option<Service>,
    /// That service is Asterisk, and is spoken to.
    pub asterisk: Option<Asterisk>,
    /// What is asked, again and again, on this node and of others.
    pub checks: Vec<Check>,
    /// Programs that run when this node becomes active or standby.
    pub hooks: Vec<Hook>,
}

/// One resource.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Resource {
    /// An Elastic IP that is re-associated.
    ElasticIp(ElasticIp),
    /// A secondary private IPv4 address that is reassigned.
    PrivateIp(PrivateIp),
    /// A set of routes.
    Route(Route),
}

impl Resource {
    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        match self {
            Self::ElasticIp(it) => &it.name,
            Self::PrivateIp(it) => &it.name,
            Self::Route(it) => &it.name,
        }
    }

    /// The local ports whose packets leave from its address.
    pub fn source_ports(&self) -> &[SourcePorts] {
        match self {
            Self::ElasticIp(it) => &it.source_ports,
            Self::PrivateIp(it) => &it.source_ports,
            Self::Route(_) => &[],
        }
    }
}

/// An Elastic IP.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ElasticIp {
    /// Its name in the configuration.
    pub name: String,
    /// "eipalloc-…".
    pub allocation_id: String,
    /// The private address that it goes to, per node of the group.
    pub to: BTreeMap<NodeId, Ipv4Addr>,
    /// What leaves from these local ports leaves from the node's own address in `to`.
    pub source_ports: Vec<SourcePorts>,
}

/// A secondary private IPv4 address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PrivateIp {
    /// Its name in the configuration.
    pub name: String,
    /// The address that moves.
    pub address: Ipv4Addr,
    /// The Elastic IP that rides on it ("eipalloc-…"): moves in the same call, and is verified.
    pub elastic_ip: Option<String>,
    /// Whether the address is set up on the guest's interface (default true).
    pub guest: bool,
    /// What leaves from these local ports leaves from the address.
    pub source_ports: Vec<SourcePorts>,
}

/// A set of routes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Route {
    /// Its name in the configuration.
    pub name: String,
    /// "rtb-…".
    pub tables: Vec<String>,
    /// Where the routes lead from.
    pub destinations: Vec<Destination>,
    /// Which link's interface they lead to (0: the first).
    pub link: usize,
}

/// How EC2 is reached; what is absent comes from the environment, as in the AWS tools.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Aws {
    /// Region; else AWS_REGION, the profile, or IMDS.
    pub region: Option<String>,
    /// Profile of the shared configuration files.
    pub profile: Option<String>,
    /// Another endpoint for EC2 (a VPC endpoint, the sandbox).
    pub endpoint_url: Option<String>,
    /// Bound on each call.
    pub call_timeout: Duration,
}
