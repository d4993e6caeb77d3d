//! EC2 in our own words: the calls that standin makes, what they answer, and how they fail.
//!
//! [`Cloud`] is what everything above speaks; `ec2/` (feature `ec2`) speaks to AWS, or to the sandbox,
//! which answers in the same protocol. [`LeaseTable`](lease::LeaseTable) is the same for the lease, and
//! `dynamodb.rs` (feature `dynamodb`) speaks to DynamoDB. Only these, `aws/` and `imds.rs` name the SDK.

#[cfg(feature = "ec2")]
pub mod aws;
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
#[cfg(feature = "ec2")]
pub mod ec2;
pub mod error;
pub mod fence;
pub mod identity;
#[cfg(feature = "ec2")]
pub mod imds;
pub mod lease;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::time::Duration;

use ipnet::IpNet;

pub use error::{CloudError, ErrorKind};
pub use fence::Obstacle;
pub use identity::{Identity, OwnInterface};
pub use lease::{LeaseItem, LeaseTable};

/// How EC2 is reached; what is absent comes from the environment, the profile or IMDS, as in the AWS tools.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Settings {
    /// Region; else AWS_REGION, the profile, or IMDS.
    pub region: Option<String>,
    /// Profile of the shared configuration files; else AWS_PROFILE.
    pub profile: Option<String>,
    /// Another endpoint for EC2 (a VPC endpoint, the sandbox); else AWS_ENDPOINT_URL_EC2, AWS_ENDPOINT_URL.
    pub endpoint_url: Option<String>,
    /// Bound on each call, from request to answer; zero: three seconds.
    pub call_timeout: Duration,
}

/// The answer to one call.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, CloudError>> + Send + 'a>>;

/// The calls. Every one of them ends within its own bound; none of them is retried inside, except that a
/// Describe that was throttled may be.
pub trait Cloud: Send + Sync {
    /// DescribeAddresses, filtered by allocation id. `None`: there is no such address.
    fn address<'a>(&'a self, allocation: &'a str) -> Answer<'a, Option<Address>>;
    /// DescribeNetworkInterfaces, filtered. What is not there is absent, not an error.
    fn interfaces<'a>(&'a self, filter: &'a InterfaceFilter) -> Answer<'a, Vec<Interface>>;
    /// DescribeRouteTables, filtered by ids. What is not there is absent, not an error.
    fn route_tables<'a>(&'a self, tables: &'a [String]) -> Answer<'a, Vec<RouteTable>>;
    /// DescribeInstances, filtered by this one id, in a call of its own. `None`: EC2 does not know it.
    fn instance<'a>(&'a self, instance: &'a str) -> Answer<'a, Option<Instance>>;
    /// AssociateAddress to an interface and one of its private addresses. With `reassociate` false it
    /// fails ([`ErrorKind::Conflict`]) if the address is associated. Answers the association id.
    fn associate_address<'a>(
        &'a self,
        allocation: &'a str,
        interface: &'a str,
        private_ip: Ipv4Addr,
        reassociate: bool,
    ) -> Answer<'a, String>;
    /// AssignPrivateIpAddresses of one address. With `reassign` false it fails
    /// ([`ErrorKind::Conflict`]) if another interface has it.
    fn assign_private_ip<'a>(
        &'a self,
        interface: &'a str,
        address: Ipv4Addr,
        reassign: bool,
    ) -> Answer<'a, ()>;
    /// ReplaceRoute to an interface. Fails ([`ErrorKind::NotFound`]) if there is no such route.
    fn replace_route<'a>(
        &'a self,
        table: &'a str,
        destination: &'a Destination,
        interface: &'a str,
    ) -> Answer<'a, ()>;
    /// CreateRoute to an interface. Fails ([`ErrorKind::Conflict`]) if there is such a route.
    fn create_route<'a>(
        &'a self,
        table: &'a str,
        destination: &'a Destination,
        interface: &'a str,
    ) -> Answer<'a, ()>;
    /// StopInstances with Force and SkipOsShutdown, of this one instance: "force stops and bypasses the graceful OS
    /// shutdown" (User Guide, "Methods for stopping an instance"), so that its system has no word in it. Answers
    /// the state that EC2 names: as a rule stopping. Only [`Self::instance`] tells when it has stopped; one that had
    /// stopped before is no error. Fails for good with [`ErrorKind::Invalid`] if it is protected, a Spot Instance of
    /// a one-time request, or boots from an instance store; with [`ErrorKind::WrongState`] if it is just starting,
    /// or terminated.
    fn stop_instance<'a>(&'a self, instance: &'a str) -> Answer<'a, InstanceState>;
    /// StartInstances, of this one instance. Answers the state that EC2 names, as a rule pending; one that runs
    /// already is no error. Fails with [`ErrorKind::WrongState`] while it is stopping, and if it is terminated.
    fn start_instance<'a>(&'a self, instance: &'a str) -> Answer<'a, InstanceState>;
    /// RebootInstances, of this one instance. EC2 "only queues a request to reboot"; a system that does not shut
    /// down cleanly within a few minutes is rebooted hard (RebootInstances). Its state stays running, so nothing
    /// but the node itself tells when it is back. Fails with [`ErrorKind::WrongState`] if it does not run.
    fn reboot_instance<'a>(&'a self, instance: &'a str) -> Answer<'a, ()>;
    /// What would make [`Self::stop_instance`] fail or be in vain: DescribeInstances, DescribeInstanceAttribute
    /// (disableApiStop) and a dry run of StopInstances, at the same time. Stop protection is eventually consistent.
    fn fence_obstacles<'a>(&'a self, instance: &'a str) -> Answer<'a, Vec<Obstacle>>;
    /// CreateTags: one tag on one resource; an existing value is overwritten.
    fn write_tag<'a>(&'a self, resource: &'a str, key: &'a str, value: &'a str) -> Answer<'a, ()>;
}

/// Where a route leads from: as EC2 writes it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Destination {
    /// DestinationCidrBlock or DestinationIpv6CidrBlock.
    Cidr(IpNet),
    /// DestinationPrefixListId ("pl-0…").
    PrefixList(String),
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cidr(net) => write!(f, "{net}"),
            Self::PrefixList(id) => f.write_str(id),
        }
    }
}

/// Tags of a resource, as key and value.
pub type Tags = Vec<(String, String)>;

/// An Elastic IP address.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Address {
    /// "eipalloc-0…".
    pub allocation: String,
    /// The public address itself.
    pub public_ip: Option<Ipv4Addr>,
    /// "eipassoc-0…" while it is associated.
    pub association: Option<String>,
    /// The interface that it is associated with.
    pub interface: Option<String>,
    /// The instance that this interface is attached to.
    pub instance: Option<String>,
    /// The private address that it goes to.
    pub private_ip: Option<Ipv4Addr>,
    /// Its tags.
    pub tags: Tags,
}

/// Which interfaces to describe.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum InterfaceFilter {
    /// Those with these ids (filter `network-interface-id`).
    Ids(Vec<String>),
    /// Those attached to this instance (filter `attachment.instance-id`).
    Instance(String),
    /// Those that have any of these addresses (filters `addresses.private-ip-address` or
    /// `ipv6-addresses.ipv6-address`, and `vpc-id`; all of `addresses` are of one family).
    Addresses {
        /// Any of these.
        addresses: Vec<IpAddr>,
        /// In this VPC.
        vpc: String,
    },
}

/// A network interface.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Interface {
    /// "eni-0…".
    pub id: String,
    /// "subnet-0…".
    pub subnet: String,
    /// "vpc-0…".
    pub vpc: String,
    /// Its MAC address, lower case with colons.
    pub mac: String,
    /// The instance that it is attached to (status `attached` or `attaching`); for one that a service of
    /// AWS has attached (a NAT gateway's, a load balancer's), its InstanceOwnerId ("amazon-elb").
    pub instance: Option<String>,
    /// Whether SourceDestCheck is on.
    pub source_dest_check: bool,
    /// Its private IPv4 addresses.
    pub addresses: Vec<PrivateAddress>,
    /// Its IPv6 addresses.
    pub ipv6: Vec<std::net::Ipv6Addr>,
    /// Its tags.
    pub tags: Tags,
}

/// One private IPv4 address of an interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PrivateAddress {
    /// The address.
    pub address: Ipv4Addr,
    /// Whether it is the interface's primary one.
    pub primary: bool,
    /// The allocation id of the Elastic IP that rides on it.
    pub allocation: Option<String>,
}

/// A route table.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RouteTable {
    /// "rtb-0…".
    pub id: String,
    /// "vpc-0…".
    pub vpc: String,
    /// Its routes.
    pub routes: Vec<Route>,
    /// Its tags.
    pub tags: Tags,
}

/// One route of a table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Route {
    /// Where it leads from.
    pub destination: Destination,
    /// The interface that it leads to; `None` for any other kind of target.
    pub interface: Option<String>,
    /// The instance that EC2 names beside the interface.
    pub instance: Option<String>,
    /// Whether its target is gone or stopped.
    pub blackhole: bool,
}

/// An instance, as far as standin asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Instance {
    /// "i-0…".
    pub id: String,
    /// Its state.
    pub state: InstanceState,
}

/// An instance's state, in EC2's words.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum InstanceState {
    /// It starts.
    Pending,
    /// It runs.
    Running,
    /// It is being terminated.
    ShuttingDown,
    /// It stops.
    Stopping,
    /// It has stopped.
    Stopped,
    /// It is gone.
    Terminated,
}

/// A pause of any length up to `most`: "full jitter", so that two nodes that were throttled together do not
/// come back together.
pub(crate) fn jitter(most: Duration) -> Duration {
    // Without randomness the whole pause is right too.
    let share = getrandom::u32().unwrap_or(u32::MAX);
    most.mul_f64(f64::from(share) / f64::from(u32::MAX))
}
