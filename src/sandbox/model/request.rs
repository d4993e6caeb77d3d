//! The calls, typed. Names and meanings are those of the EC2 API Reference, version 2016-11-15.

use std::net::Ipv4Addr;

use super::state::Destination;

/// One call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request {
    /// DescribeAddresses.
    DescribeAddresses(Describe),
    /// DescribeNetworkInterfaces.
    DescribeNetworkInterfaces(Describe),
    /// DescribeRouteTables.
    DescribeRouteTables(Describe),
    /// DescribeInstances.
    DescribeInstances(Describe),
    /// DescribeInstanceStatus; IncludeAllInstances beside it.
    DescribeInstanceStatus(Describe, bool),
    /// DescribeInstanceAttribute, of one of the two protections.
    DescribeInstanceAttribute {
        /// InstanceId.
        instance: String,
        /// Attribute.
        attribute: Protection,
        /// DryRun.
        dry_run: bool,
    },
    /// DescribeSubnets.
    DescribeSubnets(Describe),
    /// DescribeVpcs.
    DescribeVpcs(Describe),
    /// AssociateAddress.
    AssociateAddress(AssociateAddress),
    /// DisassociateAddress.
    DisassociateAddress {
        /// AssociationId.
        association: Option<String>,
        /// PublicIp.
        public_ip: Option<Ipv4Addr>,
        /// DryRun.
        dry_run: bool,
    },
    /// AssignPrivateIpAddresses.
    AssignPrivateIpAddresses {
        /// NetworkInterfaceId.
        interface: String,
        /// PrivateIpAddress.N.
        addresses: Vec<Ipv4Addr>,
        /// SecondaryPrivateIpAddressCount.
        count: Option<u32>,
        /// AllowReassignment (default false).
        reassign: bool,
    },
    /// UnassignPrivateIpAddresses.
    UnassignPrivateIpAddresses {
        /// NetworkInterfaceId.
        interface: String,
        /// PrivateIpAddress.N.
        addresses: Vec<Ipv4Addr>,
    },
    /// CreateRoute.
    CreateRoute(RouteChange),
    /// ReplaceRoute.
    ReplaceRoute(RouteChange),
    /// DeleteRoute.
    DeleteRoute {
        /// RouteTableId.
        table: String,
        /// One of the three destinations.
        destination: Destination,
        /// DryRun.
        dry_run: bool,
    },
    /// RebootInstances.
    RebootInstances(Instances),
    /// StartInstances.
    StartInstances(Instances),
    /// StopInstances.
    StopInstances(Instances),
    /// TerminateInstances.
    TerminateInstances(Instances),
    /// ModifyInstanceAttribute, of one of the two protections.
    SetProtection {
        /// InstanceId.
        instance: String,
        /// Which one.
        attribute: Protection,
        /// DisableApiStop.Value or DisableApiTermination.Value.
        on: bool,
        /// DryRun.
        dry_run: bool,
    },
    /// CreateTags.
    CreateTags {
        /// ResourceId.N.
        resources: Vec<String>,
        /// Tag.N.
        tags: Vec<(String, String)>,
        /// DryRun.
        dry_run: bool,
    },
    /// DeleteTags.
    DeleteTags {
        /// ResourceId.N.
        resources: Vec<String>,
        /// Tag.N; without a value the tag goes whatever its value. None at all: all tags go.
        tags: Vec<(String, Option<String>)>,
        /// DryRun.
        dry_run: bool,
    },
    /// ModifyNetworkInterfaceAttribute, of SourceDestCheck only.
    SetSourceDestCheck {
        /// NetworkInterfaceId.
        interface: String,
        /// SourceDestCheck.Value.
        check: bool,
        /// DryRun.
        dry_run: bool,
    },
}

/// What a Describe asks for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Describe {
    /// Ids (AllocationId.N, NetworkInterfaceId.N, …): one that does not exist is an error.
    pub ids: Vec<String>,
    /// PublicIp.N of DescribeAddresses.
    pub public_ips: Vec<Ipv4Addr>,
    /// Filter.N: all of them have to match.
    pub filters: Vec<Filter>,
    /// MaxResults. Everything is answered in one page all the same; see the README of the sandbox.
    pub max_results: Option<u32>,
    /// DryRun.
    pub dry_run: bool,
}

/// A filter: it matches if any of its values does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Filter {
    /// Its name.
    pub name: String,
    /// Its values; `*` and `?` are wildcards, a backslash takes their meaning away.
    pub values: Vec<String>,
}

impl Describe {
    /// These ids.
    pub fn ids<S: Into<String>>(ids: impl IntoIterator<Item = S>) -> Self {
        Self { ids: ids.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// One filter.
    pub fn filter<S: Into<String>>(name: &str, values: impl IntoIterator<Item = S>) -> Self {
        Self::default().and(name, values)
    }

    /// And another filter.
    #[must_use]
    pub fn and<S: Into<String>>(mut self, name: &str, values: impl IntoIterator<Item = S>) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        self.filters.push(Filter { name: name.to_owned(), values });
        self
    }
}

/// AssociateAddress.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AssociateAddress {
    /// AllocationId.
    pub allocation: Option<String>,
    /// PublicIp.
    pub public_ip: Option<Ipv4Addr>,
    /// NetworkInterfaceId.
    pub interface: Option<String>,
    /// InstanceId.
    pub instance: Option<String>,
    /// PrivateIpAddress; absent: the primary one.
    pub private_ip: Option<Ipv4Addr>,
    /// AllowReassociation; absent: true.
    pub reassociate: Option<bool>,
    /// DryRun.
    pub dry_run: bool,
}

/// CreateRoute or ReplaceRoute.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RouteChange {
    /// RouteTableId.
    pub table: String,
    /// One of the three destinations.
    pub destination: Destination,
    /// One of the targets.
    pub target: RouteTarget,
    /// DryRun.
    pub dry_run: bool,
}

/// The target of a route, as a call names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RouteTarget {
    /// NetworkInterfaceId.
    Interface(String),
    /// InstanceId: it must have exactly one interface.
    Instance(String),
    /// GatewayId.
    Gateway(String),
    /// LocalTarget (ReplaceRoute only).
    Local,
}

/// RebootInstances, StartInstances, StopInstances or TerminateInstances.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Instances {
    /// InstanceId.N.
    pub ids: Vec<String>,
    /// Force.
    pub force: bool,
    /// SkipOsShutdown.
    pub skip_os_shutdown: bool,
    /// DryRun.
    pub dry_run: bool,
}

/// What an instance can be protected from.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Protection {
    /// DisableApiStop: from StopInstances, and from TerminateInstances.
    Stop,
    /// DisableApiTermination: from TerminateInstances.
    Termination,
}

impl Protection {
    /// The one that EC2 calls so.
    pub fn of(word: &str) -> Option<Self> {
        [Self::Stop, Self::Termination].into_iter().find(|it| it.word() == word)
    }

    /// EC2's name of the attribute.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stop => "disableApiStop",
            Self::Termination => "disableApiTermination",
        }
    }
}

impl Request {
    /// EC2's name of the call.
    pub fn action(&self) -> &'static str {
        match self {
            Self::DescribeAddresses(_) => "DescribeAddresses",
            Self::DescribeNetworkInterfaces(_) => "DescribeNetworkInterfaces",
            Self::DescribeRouteTables(_) => "DescribeRouteTables",
            Self::DescribeInstances(_) => "DescribeInstances",
            Self::DescribeInstanceStatus(..) => "DescribeInstanceStatus",
            Self::DescribeInstanceAttribute { .. } => "DescribeInstanceAttribute",
            Self::DescribeSubnets(_) => "DescribeSubnets",
            Self::DescribeVpcs(_) => "DescribeVpcs",
            Self::AssociateAddress(_) => "AssociateAddress",
            Self::DisassociateAddress { .. } => "DisassociateAddress",
            Self::AssignPrivateIpAddresses { .. } => "AssignPrivateIpAddresses",
            Self::UnassignPrivateIpAddresses { .. } => "UnassignPrivateIpAddresses",
            Self::CreateRoute(_) => "CreateRoute",
            Self::ReplaceRoute(_) => "ReplaceRoute",
            Self::DeleteRoute { .. } => "DeleteRoute",
            Self::RebootInstances(_) => "RebootInstances",
            Self::StartInstances(_) => "StartInstances",
            Self::StopInstances(_) => "StopInstances",
            Self::TerminateInstances(_) => "TerminateInstances",
            Self::CreateTags { .. } => "CreateTags",
            Self::DeleteTags { .. } => "DeleteTags",
            Self::SetSourceDestCheck { .. } => "ModifyNetworkInterfaceAttribute",
            Self::SetProtection { .. } => "ModifyInstanceAttribute",
        }
    }

    /// Whether it only reads: what it shows may lag behind.
    pub fn reads(&self) -> bool {
        self.describe().is_some() || matches!(self, Self::DescribeInstanceAttribute { .. })
    }

    /// What a Describe of a list asks for; `None` for every other call.
    pub fn describe(&self) -> Option<&Describe> {
        match self {
            Self::DescribeAddresses(it)
            | Self::DescribeNetworkInterfaces(it)
            | Self::DescribeRouteTables(it)
            | Self::DescribeInstances(it)
            | Self::DescribeInstanceStatus(it, _)
            | Self::DescribeSubnets(it)
            | Self::DescribeVpcs(it) => Some(it),
            Self::AssociateAddress(_)
            | Self::DisassociateAddress { .. }
            | Self::AssignPrivateIpAddresses { .. }
            | Self::UnassignPrivateIpAddresses { .. }
            | Self::CreateRoute(_)
            | Self::ReplaceRoute(_)
            | Self::DeleteRoute { .. }
            | Self::RebootInstances(_)
            | Self::StartInstances(_)
            | Self::StopInstances(_)
            | Self::TerminateInstances(_)
            | Self::CreateTags { .. }
            | Self::DeleteTags { .. }
            | Self::SetSourceDestCheck { .. }
            | Self::SetProtection { .. }
            | Self::DescribeInstanceAttribute { .. } => None,
        }
    }

    /// DryRun. AssignPrivateIpAddresses and UnassignPrivateIpAddresses have no such parameter.
    pub fn dry_run(&self) -> bool {
        match self {
            Self::AssociateAddress(it) => it.dry_run,
            Self::CreateRoute(it) | Self::ReplaceRoute(it) => it.dry_run,
            Self::RebootInstances(it)
            | Self::StartInstances(it)
            | Self::StopInstances(it)
            | Self::TerminateInstances(it) => it.dry_run,
            Self::DisassociateAddress { dry_run, .. }
            | Self::DeleteRoute { dry_run, .. }
            | Self::CreateTags { dry_run, .. }
            | Self::DeleteTags { dry_run, .. }
            | Self::SetSourceDestCheck { dry_run, .. }
            | Self::SetProtection { dry_run, .. }
            | Self::DescribeInstanceAttribute { dry_run, .. } => *dry_run,
            Self::AssignPrivateIpAddresses { .. } | Self::UnassignPrivateIpAddresses { .. } => false,
            Self::DescribeAddresses(it)
            | Self::DescribeNetworkInterfaces(it)
            | Self::DescribeRouteTables(it)
            | Self::DescribeInstances(it)
            | Self::DescribeInstanceStatus(it, _)
            | Self::DescribeSubnets(it)
            | Self::DescribeVpcs(it) => it.dry_run,
        }
    }
}
