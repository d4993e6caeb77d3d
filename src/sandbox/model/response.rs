//! The answers, typed: each record with what EC2 derives from other records.

use std::net::Ipv4Addr;

use super::request::Protection;
use super::state::{ElasticIp, Instance, InstanceState, Interface, Network, RouteTable, State, Subnet};

/// The answer to one call.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// Of DescribeAddresses.
    Addresses(Vec<AddressView>),
    /// Of DescribeNetworkInterfaces.
    Interfaces(Vec<InterfaceView>),
    /// Of DescribeRouteTables.
    RouteTables(Vec<RouteTableView>),
    /// Of DescribeInstances.
    Instances(Vec<InstanceView>),
    /// Of DescribeInstanceStatus.
    InstanceStatus(Vec<Instance>),
    /// Of DescribeSubnets: the subnet, and how many of its addresses are free.
    Subnets(Vec<(Subnet, usize)>),
    /// Of DescribeVpcs.
    Vpcs(Vec<Network>),
    /// Of AssociateAddress.
    Associated {
        /// The association id.
        association: String,
    },
    /// Of AssignPrivateIpAddresses.
    Assigned {
        /// The interface.
        interface: String,
        /// What was assigned.
        addresses: Vec<Ipv4Addr>,
    },
    /// Of StartInstances, StopInstances and TerminateInstances.
    InstanceStates(Vec<StateChange>),
    /// Of DescribeInstanceAttribute.
    Protection {
        /// The instance.
        instance: String,
        /// Which protection.
        attribute: Protection,
        /// Whether it is on.
        on: bool,
    },
    /// Of every other call that changes something.
    Done,
}

/// An Elastic IP, and the instance that its interface is attached to.
#[derive(Clone, Debug, PartialEq)]
pub struct AddressView {
    /// The Elastic IP.
    pub address: ElasticIp,
    /// The instance.
    pub instance: Option<String>,
}

/// A network interface, and the Elastic IPs on it.
#[derive(Clone, Debug, PartialEq)]
pub struct InterfaceView {
    /// The interface.
    pub interface: Interface,
    /// Its VPC.
    pub vpc: String,
    /// Its Availability Zone.
    pub zone: String,
    /// The Elastic IPs that go to its addresses.
    pub elastic_ips: Vec<ElasticIp>,
}

impl InterfaceView {
    /// The Elastic IP that goes to this address of the interface.
    pub fn elastic_ip_on(&self, address: Ipv4Addr) -> Option<&ElasticIp> {
        self.elastic_ips.iter().find(|it| it.association.as_ref().is_some_and(|at| at.private_ip == address))
    }
}

/// A route table, and what EC2 says beside each route.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteTableView {
    /// The table.
    pub table: RouteTable,
    /// For each of its routes, in order: the instance of its interface, and whether it is a blackhole.
    pub targets: Vec<(Option<String>, bool)>,
}

/// An instance and its interfaces, by device index.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceView {
    /// The instance.
    pub instance: Instance,
    /// Its interfaces.
    pub interfaces: Vec<InterfaceView>,
}

/// How a call changed an instance's state.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StateChange {
    /// The instance.
    pub instance: String,
    /// Its state before.
    pub previous: InstanceState,
    /// Its state now.
    pub current: InstanceState,
}

impl AddressView {
    pub(super) fn of(state: &State, address: &ElasticIp) -> Self {
        let interface = address.association.as_ref().and_then(|it| state.interfaces.get(&it.interface));
        let instance = interface.and_then(Interface::instance).map(str::to_owned);
        Self { address: address.clone(), instance }
    }
}

impl InterfaceView {
    pub(super) fn of(state: &State, interface: &Interface) -> Self {
        let subnet = state.subnets.get(&interface.subnet);
        Self {
            interface: interface.clone(),
            vpc: subnet.map(|it| it.vpc.clone()).unwrap_or_default(),
            zone: subnet.map(|it| it.zone.clone()).unwrap_or_default(),
            elastic_ips: state
                .elastic_ips
                .values()
                .filter(|it| it.association.as_ref().is_some_and(|at| at.interface == interface.id))
                .cloned()
                .collect(),
        }
    }
}

impl RouteTableView {
    pub(super) fn of(state: &State, table: &RouteTable) -> Self {
        let targets = table
            .routes
            .iter()
            .map(|it| {
                let holder = state.route_holder(&table.id, &it.destination);
                (holder.and_then(|it| it.instance), state.is_blackhole(&it.target))
            })
            .collect();
        Self { table: table.clone(), targets }
    }
}

impl InstanceView {
    pub(super) fn of(state: &State, instance: &Instance) -> Self {
        let interfaces =
            state.interfaces_of(&instance.id).into_iter().map(|it| InterfaceView::of(state, it)).collect();
        Self { instance: instance.clone(), interfaces }
    }
}
