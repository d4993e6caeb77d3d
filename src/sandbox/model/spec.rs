//! The description of a VPC: what there is at the start, and who holds what.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use serde::Deserialize;

use super::market::{Market, RootDevice};
use super::settings::Settings;

/// A description, as in the sandbox's TOML file. Ids that are absent are made, in EC2's form.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Spec {
    /// The region.
    pub region: String,
    /// The account's number.
    pub account: String,
    /// Ids, keys and every choice made at random follow from it.
    pub seed: u64,
    /// How the sandbox behaves.
    pub settings: Settings,
    /// VPCs. A subnet or a table that names none is in the first.
    pub vpc: Vec<VpcSpec>,
    /// Subnets.
    pub subnet: Vec<SubnetSpec>,
    /// Instances.
    pub instance: Vec<InstanceSpec>,
    /// Interfaces that are attached to nothing.
    pub interface: Vec<InterfaceSpec>,
    /// Secondary private addresses that move.
    pub private_ip: Vec<PrivateIpSpec>,
    /// Elastic IPs.
    pub elastic_ip: Vec<ElasticIpSpec>,
    /// Route tables.
    pub route_table: Vec<RouteTableSpec>,
    /// Prefix lists.
    pub prefix_list: Vec<PrefixListSpec>,
}

/// A VPC.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VpcSpec {
    /// Its name.
    pub name: String,
    /// "vpc-…".
    pub id: Option<String>,
    /// Its IPv4 range. Unlike AWS, the sandbox allows 127.0.0.0/8, so that agents run on loopback.
    pub cidr: Ipv4Net,
}

/// A subnet.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SubnetSpec {
    /// Its name.
    pub name: String,
    /// "subnet-…".
    pub id: Option<String>,
    /// The name of its VPC.
    pub vpc: Option<String>,
    /// Its IPv4 range.
    pub cidr: Ipv4Net,
    /// Its IPv6 range.
    pub ipv6_cidr: Option<Ipv6Net>,
    /// Its Availability Zone; the region's "a" if absent.
    pub zone: Option<String>,
}

/// An instance.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct InstanceSpec {
    /// Its name: faults and holders are named by it.
    pub name: String,
    /// "i-…".
    pub id: Option<String>,
    /// Its interfaces, by device index.
    pub interface: Vec<InterfaceSpec>,
    /// DisableApiStop.
    #[serde(default)]
    pub stop_protection: bool,
    /// DisableApiTermination.
    #[serde(default)]
    pub termination_protection: bool,
    /// How it is paid for.
    #[serde(default)]
    pub market: Market,
    /// What it boots from.
    #[serde(default)]
    pub root_device: RootDevice,
    /// The Auto Scaling group that it belongs to: the tag that AWS puts on it.
    pub auto_scaling_group: Option<String>,
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct InterfaceSpec {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// "eni-…".
    pub id: Option<String>,
    /// The name of its subnet.
    pub subnet: String,
    /// Its primary private IPv4 address.
    pub address: Option<Ipv4Addr>,
    /// Its secondary private IPv4 addresses, of those that do not move.
    #[serde(default)]
    pub secondary: Vec<Ipv4Addr>,
    /// Its IPv6 addresses.
    #[serde(default)]
    pub ipv6: Vec<Ipv6Addr>,
    /// SourceDestCheck; false here, as an agent that moves routes needs it (AWS begins with true).
    #[serde(default)]
    pub source_dest_check: bool,
    /// DeleteOnTermination; absent: true for device 0.
    pub delete_on_termination: Option<bool>,
}

/// A secondary private IPv4 address that moves.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivateIpSpec {
    /// The address.
    pub address: Ipv4Addr,
    /// An instance (its interface in the address's subnet) or an interface, by name or id. Absent: nobody.
    pub holder: Option<String>,
}

/// An Elastic IP.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ElasticIpSpec {
    /// Its name.
    pub name: String,
    /// "eipalloc-…".
    pub id: Option<String>,
    /// The public address; absent: one of 203.0.113.0/24.
    pub public_ip: Option<Ipv4Addr>,
    /// The private address that it goes to. Absent: nobody's.
    pub to: Option<Ipv4Addr>,
}

/// A route table.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteTableSpec {
    /// Its name.
    pub name: String,
    /// "rtb-…".
    pub id: Option<String>,
    /// The name of its VPC.
    pub vpc: Option<String>,
    /// Its routes, but for the local one.
    #[serde(default)]
    pub route: Vec<RouteSpec>,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteSpec {
    /// An IPv4 or IPv6 range, or a prefix list ("pl-…").
    pub destination: String,
    /// An instance (its first interface), an interface, by name or id, or "internet". Absent: there is no
    /// such route yet.
    pub holder: Option<String>,
}

/// A prefix list.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrefixListSpec {
    /// Its name.
    pub name: String,
    /// "pl-…".
    pub id: Option<String>,
}

impl Default for Spec {
    /// Nothing at all, in Tokyo.
    fn default() -> Self {
        Self {
            region: "ap-northeast-1".to_owned(),
            account: "123456789012".to_owned(),
            seed: 1,
            settings: Settings::default(),
            vpc: Vec::new(),
            subnet: Vec::new(),
            instance: Vec::new(),
            interface: Vec::new(),
            private_ip: Vec::new(),
            elastic_ip: Vec::new(),
            route_table: Vec::new(),
            prefix_list: Vec::new(),
        }
    }
}

impl Spec {
    /// Reads a description.
    ///
    /// # Errors
    /// What is wrong with it, with the place in the file.
    pub fn parse(toml: &str) -> Result<Self, SpecError> {
        toml::from_str(toml).map_err(|error| SpecError(error.to_string()))
    }

    /// The pair that `standin sandbox` and `standin demo` begin with.
    pub fn pair() -> Self {
        let interface = |host: u8, subnet: u8| InterfaceSpec {
            subnet: if subnet == 0 { "a".to_owned() } else { "b".to_owned() },
            address: Some(Ipv4Addr::new(127, 0, subnet, host)),
            ..InterfaceSpec::default()
        };
        let instance = |name: &str, host| InstanceSpec {
            name: name.to_owned(),
            interface: vec![interface(host, 0), interface(host, 1)],
            ..InstanceSpec::default()
        };
        let subnet = |name: &str, third| SubnetSpec {
            name: name.to_owned(),
            id: None,
            vpc: None,
            cidr: Ipv4Net::new_assert(Ipv4Addr::new(127, 0, third, 0), 24),
            ipv6_cidr: None,
            zone: None,
        };
        let elastic_ip =
            |name: &str, to| ElasticIpSpec { name: name.to_owned(), id: None, public_ip: None, to };
        let table = |name: &str| RouteTableSpec {
            name: name.to_owned(),
            id: None,
            vpc: None,
            route: ["10.99.0.0/24", "10.99.1.0/24"]
                .map(|it| RouteSpec { destination: it.to_owned(), holder: Some("ivr-a".to_owned()) })
                .to_vec(),
        };
        let service = Ipv4Addr::new(127, 0, 0, 100);
        Self {
            vpc: vec![VpcSpec {
                name: "sandbox".to_owned(),
                id: None,
                cidr: Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 16),
            }],
            subnet: vec![subnet("a", 0), subnet("b", 1)],
            instance: vec![instance("ivr-a", 11), instance("ivr-b", 12)],
            private_ip: vec![PrivateIpSpec { address: service, holder: Some("ivr-a".to_owned()) }],
            elastic_ip: vec![
                elastic_ip("trunk", None),
                elastic_ip("spare", None),
                elastic_ip("service", Some(service)),
            ],
            route_table: vec![table("office-0"), table("office-1")],
            ..Self::default()
        }
    }
}

/// What is wrong with a description.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SpecError(pub String);

impl std::fmt::Display for SpecError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SpecError {}
