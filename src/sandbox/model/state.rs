//! What is in the VPC at one instant: the records, and what follows from them.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Serialize, Serializer};

use super::error::{ApiError, IdKind};
use super::market::{Market, RootDevice};

/// Tags of one thing.
pub type Tags = BTreeMap<String, String>;

/// Everything at one instant. Keys are ids.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct State {
    /// VPCs.
    pub vpcs: BTreeMap<String, Network>,
    /// Subnets.
    pub subnets: BTreeMap<String, Subnet>,
    /// Instances.
    pub instances: BTreeMap<String, Instance>,
    /// Network interfaces.
    pub interfaces: BTreeMap<String, Interface>,
    /// Elastic IPs.
    pub elastic_ips: BTreeMap<String, ElasticIp>,
    /// Route tables.
    pub route_tables: BTreeMap<String, RouteTable>,
    /// Managed prefix lists: id and name. Their entries do not matter to any call here.
    pub prefix_lists: BTreeMap<String, String>,
}

/// A VPC.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Network {
    /// "vpc-0…".
    pub id: String,
    /// Its name in the description of the sandbox.
    pub name: String,
    /// Its primary IPv4 range.
    pub cidr: Ipv4Net,
    /// Its internet gateway.
    pub gateway: String,
    /// Tags.
    pub tags: Tags,
}

/// A subnet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Subnet {
    /// "subnet-0…".
    pub id: String,
    /// Its name in the description of the sandbox.
    pub name: String,
    /// Its VPC.
    pub vpc: String,
    /// Its IPv4 range.
    pub cidr: Ipv4Net,
    /// Its IPv6 range.
    pub ipv6_cidr: Option<Ipv6Net>,
    /// Its Availability Zone.
    pub zone: String,
    /// Tags.
    pub tags: Tags,
}

/// An instance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Instance {
    /// "i-0…".
    pub id: String,
    /// Its name in the description of the sandbox.
    pub name: String,
    /// Its state.
    pub state: InstanceState,
    /// When the state changes by itself, and to what.
    #[serde(skip)]
    pub next: Option<(Duration, InstanceState)>,
    /// How often it was rebooted: nothing else shows it.
    pub reboots: u32,
    /// Its Availability Zone.
    pub zone: String,
    /// Whether its status checks fail.
    pub impaired: bool,
    /// DisableApiStop.
    pub stop_protection: bool,
    /// DisableApiTermination.
    pub termination_protection: bool,
    /// How it is paid for.
    pub market: Market,
    /// What it boots from.
    pub root_device: RootDevice,
    /// Tags.
    pub tags: Tags,
}

/// An instance's state.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// It starts.
    Pending,
    /// It runs.
    Running,
    /// It is being terminated.
    ShuttingDown,
    /// It is gone.
    Terminated,
    /// It stops.
    Stopping,
    /// It has stopped.
    Stopped,
}

impl InstanceState {
    /// EC2's code and name (API Reference, "InstanceState").
    pub fn code(self) -> (u16, &'static str) {
        match self {
            Self::Pending => (0, "pending"),
            Self::Running => (16, "running"),
            Self::ShuttingDown => (32, "shutting-down"),
            Self::Terminated => (48, "terminated"),
            Self::Stopping => (64, "stopping"),
            Self::Stopped => (80, "stopped"),
        }
    }
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Interface {
    /// "eni-0…".
    pub id: String,
    /// Its name in the description of the sandbox.
    pub name: String,
    /// Its subnet.
    pub subnet: String,
    /// Its MAC address.
    pub mac: String,
    /// Its primary private IPv4 address.
    pub primary: Ipv4Addr,
    /// Its secondary private IPv4 addresses.
    pub secondary: Vec<Ipv4Addr>,
    /// Its IPv6 addresses.
    pub ipv6: Vec<Ipv6Addr>,
    /// What it is attached to.
    pub attachment: Option<Attachment>,
    /// SourceDestCheck.
    pub source_dest_check: bool,
    /// Tags.
    pub tags: Tags,
}

impl Interface {
    /// Whether it has this private IPv4 address.
    pub fn has(&self, address: Ipv4Addr) -> bool {
        self.primary == address || self.secondary.contains(&address)
    }

    /// All its private IPv4 addresses, the primary one first.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        std::iter::once(self.primary).chain(self.secondary.iter().copied())
    }

    /// The instance that it is attached to.
    pub fn instance(&self) -> Option<&str> {
        self.attachment.as_ref().map(|it| it.instance.as_str())
    }
}

/// An interface's being attached to an instance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attachment {
    /// "eni-attach-0…".
    pub id: String,
    /// The instance.
    pub instance: String,
    /// 0 for the instance's primary interface.
    pub device_index: u32,
    /// DeleteOnTermination.
    pub delete_on_termination: bool,
}

/// An Elastic IP.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ElasticIp {
    /// "eipalloc-0…".
    pub id: String,
    /// Its name in the description of the sandbox.
    pub name: String,
    /// The public address.
    pub public_ip: Ipv4Addr,
    /// Where it goes: at most one place.
    pub association: Option<Association>,
    /// Tags.
    pub tags: Tags,
}

/// Where an Elastic IP goes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Association {
    /// "eipassoc-0…".
    pub id: String,
    /// The interface.
    pub interface: String,
    /// One of the interface's private addresses.
    pub private_ip: Ipv4Addr,
}

/// A route table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RouteTable {
    /// "rtb-0…".
    pub id: String,
    /// Its name in the description of the sandbox.
    pub name: String,
    /// Its VPC.
    pub vpc: String,
    /// Its routes, one per destination.
    pub routes: Vec<Route>,
    /// Tags.
    pub tags: Tags,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Route {
    /// Where it leads from.
    pub destination: Destination,
    /// Where it leads to.
    pub target: Target,
}

/// Where a route leads from.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Destination {
    /// DestinationCidrBlock or DestinationIpv6CidrBlock.
    Cidr(IpNet),
    /// DestinationPrefixListId.
    PrefixList(String),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cidr(net) => write!(f, "{net}"),
            Self::PrefixList(id) => f.write_str(id),
        }
    }
}

impl Serialize for Destination {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// Where a route leads to.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Inside the VPC.
    Local,
    /// The internet gateway.
    Gateway(String),
    /// A network interface, which may be gone.
    Interface(String),
}

/// Who has something.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Holder {
    /// The interface; for a route it may be gone.
    pub interface: String,
    /// The instance that it is attached to.
    pub instance: Option<String>,
    /// The private address that an Elastic IP goes to.
    pub private_ip: Option<Ipv4Addr>,
    /// Whether a route's target is gone or stopped.
    pub blackhole: bool,
}

impl State {
    /// Who holds an Elastic IP. `None`: nobody, or there is no such Elastic IP.
    pub fn elastic_ip_holder(&self, allocation: &str) -> Option<Holder> {
        let association = self.elastic_ips.get(allocation)?.association.as_ref()?;
        Some(self.holder(&association.interface, Some(association.private_ip)))
    }

    /// Who holds a private IPv4 address (in any subnet of the sandbox). `None`: nobody.
    pub fn private_ip_holder(&self, address: Ipv4Addr) -> Option<Holder> {
        let interface = self.interfaces.values().find(|it| it.has(address))?;
        Some(self.holder(&interface.id, Some(address)))
    }

    /// Where a route leads. `None`: there is no such route, or it does not lead to an interface.
    pub fn route_holder(&self, table: &str, destination: &Destination) -> Option<Holder> {
        let routes = &self.route_tables.get(table)?.routes;
        match &routes.iter().find(|it| it.destination == *destination)?.target {
            Target::Interface(id) => Some(self.holder(id, None)),
            Target::Local | Target::Gateway(_) => None,
        }
    }

    /// Whether a route to this interface would be a blackhole (API Reference, "Route": the target is not
    /// available). Which instance states count is not documented; here a stopping one still counts as
    /// available, a stopped one does not.
    pub fn is_blackhole(&self, target: &Target) -> bool {
        let Target::Interface(id) = target else { return false };
        let instance = self.interfaces.get(id).and_then(Interface::instance);
        match instance.and_then(|it| self.instances.get(it)).map(|it| it.state) {
            None => true,
            Some(InstanceState::Pending | InstanceState::Running | InstanceState::Stopping) => false,
            Some(InstanceState::ShuttingDown | InstanceState::Terminated | InstanceState::Stopped) => true,
        }
    }

    /// The instance's interfaces, by device index.
    pub fn interfaces_of<'a>(&'a self, instance: &str) -> Vec<&'a Interface> {
        let mut found: Vec<_> =
            self.interfaces.values().filter(|it| it.instance() == Some(instance)).collect();
        found.sort_by_key(|it| it.attachment.as_ref().map(|at| at.device_index));
        found
    }

    /// The Elastic IP that goes to this private address of this interface.
    pub fn elastic_ip_on(&self, interface: &str, address: Ipv4Addr) -> Option<&ElasticIp> {
        self.elastic_ips.values().find(|it| {
            it.association.as_ref().is_some_and(|at| at.interface == interface && at.private_ip == address)
        })
    }

    /// The VPC of an interface.
    pub fn vpc_of(&self, interface: &Interface) -> &str {
        self.subnets.get(&interface.subnet).map_or("", |it| it.vpc.as_str())
    }

    /// The tags of anything that can be tagged.
    pub fn tags_of(&self, id: &str) -> Option<&Tags> {
        None.or_else(|| self.interfaces.get(id).map(|it| &it.tags))
            .or_else(|| self.elastic_ips.get(id).map(|it| &it.tags))
            .or_else(|| self.route_tables.get(id).map(|it| &it.tags))
            .or_else(|| self.instances.get(id).map(|it| &it.tags))
            .or_else(|| self.subnets.get(id).map(|it| &it.tags))
            .or_else(|| self.vpcs.get(id).map(|it| &it.tags))
    }

    pub(crate) fn tags_mut(&mut self, id: &str) -> Option<&mut Tags> {
        match id.split('-').next()? {
            "eni" => self.interfaces.get_mut(id).map(|it| &mut it.tags),
            "eipalloc" => self.elastic_ips.get_mut(id).map(|it| &mut it.tags),
            "rtb" => self.route_tables.get_mut(id).map(|it| &mut it.tags),
            "i" => self.instances.get_mut(id).map(|it| &mut it.tags),
            "subnet" => self.subnets.get_mut(id).map(|it| &mut it.tags),
            "vpc" => self.vpcs.get_mut(id).map(|it| &mut it.tags),
            _ => None,
        }
    }

    pub(crate) fn interface(&self, id: &str) -> Result<&Interface, ApiError> {
        self.interfaces.get(id).ok_or_else(|| ApiError::unknown(IdKind::Interface, id))
    }

    pub(crate) fn instance(&self, id: &str) -> Result<&Instance, ApiError> {
        self.instances.get(id).ok_or_else(|| ApiError::unknown(IdKind::Instance, id))
    }

    fn holder(&self, interface: &str, private_ip: Option<Ipv4Addr>) -> Holder {
        let instance = self.interfaces.get(interface).and_then(Interface::instance).map(str::to_owned);
        let blackhole = self.is_blackhole(&Target::Interface(interface.to_owned()));
        Holder { interface: interface.to_owned(), instance, private_ip, blackhole }
    }
}
