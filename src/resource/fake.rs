//! A cloud for tests: answers as the test says, and remembers the calls.

use std::collections::{BTreeMap, VecDeque};
use std::future::ready;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;

use super::{Here, Roster};
use crate::cloud::{
    Address, Answer, Cloud, CloudError, Destination, ErrorKind, Identity, Instance, InstanceState, Interface,
    InterfaceFilter, Obstacle, OwnInterface, PrivateAddress, RouteTable,
};
use crate::cluster::NodeId;
use crate::config;

/// What EC2 would say, and what it was asked.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) addresses: Mutex<Vec<Address>>,
    pub(super) interfaces: Mutex<Vec<Interface>>,
    pub(super) tables: Mutex<Vec<RouteTable>>,
    /// Each call, as one line.
    pub(super) calls: Mutex<Vec<String>>,
    /// By action: what its next calls fail with.
    pub(super) failures: Mutex<BTreeMap<&'static str, VecDeque<ErrorKind>>>,
}

impl Fake {
    pub(super) fn fail(&self, action: &'static str, kinds: &[ErrorKind]) {
        self.failures.lock().unwrap().entry(action).or_default().extend(kinds);
    }

    pub(super) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    fn called(&self, action: &'static str, what: String) -> Result<(), CloudError> {
        self.calls.lock().unwrap().push(format!("{action} {what}").trim().to_owned());
        let mut failures = self.failures.lock().unwrap();
        match failures.get_mut(action).and_then(VecDeque::pop_front) {
            Some(kind) => Err(CloudError::new(kind, action, "as the test said")),
            None => Ok(()),
        }
    }
}

impl Cloud for Fake {
    fn address<'a>(&'a self, allocation: &'a str) -> Answer<'a, Option<Address>> {
        let found = self.addresses.lock().unwrap().iter().find(|it| it.allocation == allocation).cloned();
        Box::pin(ready(self.called("DescribeAddresses", allocation.to_owned()).map(|()| found)))
    }

    fn interfaces<'a>(&'a self, filter: &'a InterfaceFilter) -> Answer<'a, Vec<Interface>> {
        let matches = |it: &Interface| match filter {
            InterfaceFilter::Ids(ids) => ids.contains(&it.id),
            InterfaceFilter::Instance(id) => it.instance.as_ref() == Some(id),
            InterfaceFilter::Addresses { addresses, vpc } => {
                it.vpc == *vpc && it.addresses.iter().any(|own| addresses.contains(&IpAddr::V4(own.address)))
            }
        };
        let found = self.interfaces.lock().unwrap().iter().filter(|it| matches(it)).cloned().collect();
        Box::pin(ready(self.called("DescribeNetworkInterfaces", String::new()).map(|()| found)))
    }

    fn route_tables<'a>(&'a self, tables: &'a [String]) -> Answer<'a, Vec<RouteTable>> {
        let found =
            self.tables.lock().unwrap().iter().filter(|it| tables.contains(&it.id)).cloned().collect();
        Box::pin(ready(self.called("DescribeRouteTables", tables.join(" ")).map(|()| found)))
    }

    fn instance<'a>(&'a self, instance: &'a str) -> Answer<'a, Option<Instance>> {
        Box::pin(ready(self.called("DescribeInstances", instance.to_owned()).map(|()| None)))
    }

    fn associate_address<'a>(
        &'a self,
        allocation: &'a str,
        interface: &'a str,
        private_ip: Ipv4Addr,
        reassociate: bool,
    ) -> Answer<'a, String> {
        let what = format!("{allocation} {interface} {private_ip} reassociate={reassociate}");
        Box::pin(ready(self.called("AssociateAddress", what).map(|()| "eipassoc-1".to_owned())))
    }

    fn assign_private_ip<'a>(
        &'a self,
        interface: &'a str,
        address: Ipv4Addr,
        reassign: bool,
    ) -> Answer<'a, ()> {
        let what = format!("{interface} {address} reassign={reassign}");
        Box::pin(ready(self.called("AssignPrivateIpAddresses", what)))
    }

    fn replace_route<'a>(
        &'a self,
        table: &'a str,
        destination: &'a Destination,
        interface: &'a str,
    ) -> Answer<'a, ()> {
        Box::pin(ready(self.called("ReplaceRoute", format!("{table} {destination} {interface}"))))
    }

    fn create_route<'a>(
        &'a self,
        table: &'a str,
        destination: &'a Destination,
        interface: &'a str,
    ) -> Answer<'a, ()> {
        Box::pin(ready(self.called("CreateRoute", format!("{table} {destination} {interface}"))))
    }

    fn stop_instance<'a>(&'a self, instance: &'a str) -> Answer<'a, InstanceState> {
        let answer = self.called("StopInstances", instance.to_owned());
        Box::pin(ready(answer.map(|()| InstanceState::Stopping)))
    }

    fn start_instance<'a>(&'a self, instance: &'a str) -> Answer<'a, InstanceState> {
        let answer = self.called("StartInstances", instance.to_owned());
        Box::pin(ready(answer.map(|()| InstanceState::Pending)))
    }

    fn reboot_instance<'a>(&'a self, instance: &'a str) -> Answer<'a, ()> {
        Box::pin(ready(self.called("RebootInstances", instance.to_owned())))
    }

    fn fence_obstacles<'a>(&'a self, instance: &'a str) -> Answer<'a, Vec<Obstacle>> {
        Box::pin(ready(self.called("DescribeInstanceAttribute", instance.to_owned()).map(|()| Vec::new())))
    }

    fn write_tag<'a>(&'a self, resource: &'a str, key: &'a str, value: &'a str) -> Answer<'a, ()> {
        Box::pin(ready(self.called("CreateTags", format!("{resource} {key}={value}"))))
    }
}

/// Node 0 ("a", this one: i-a, eni-a) and node 1 ("b": i-b, eni-b), in one subnet.
pub(super) fn here() -> Here {
    let own = OwnInterface {
        id: "eni-a".to_owned(),
        mac: "02:00:00:00:00:0a".to_owned(),
        subnet_cidr: Some("10.0.1.0/24".parse().unwrap()),
        vpc: "vpc-1".to_owned(),
        local_ipv4s: vec![ip("10.0.1.10"), ip("10.0.1.20")],
        ..OwnInterface::default()
    };
    let identity =
        Identity { instance: "i-a".to_owned(), region: "eu-west-1".to_owned(), interfaces: vec![own] };
    Here { node: NodeId(0), links: vec!["10.0.1.10".parse().unwrap()], identity }
}

pub(super) fn roster() -> Roster {
    let node =
        |name: &str, link: &str| config::Node { name: name.to_owned(), links: vec![link.parse().unwrap()] };
    let roster = Roster::new(vec![node("a", "10.0.1.10"), node("b", "10.0.1.11")]);
    roster.heard(NodeId(0), Some("i-a"), &["eni-a".to_owned()]);
    roster
}

/// An interface with these private addresses, the first one primary.
pub(super) fn interface(id: &str, instance: Option<&str>, addresses: &[&str]) -> Interface {
    let private = |(place, address): (usize, &&str)| PrivateAddress {
        address: ip(address),
        primary: place == 0,
        allocation: None,
    };
    Interface {
        id: id.to_owned(),
        vpc: "vpc-1".to_owned(),
        instance: instance.map(str::to_owned),
        addresses: addresses.iter().enumerate().map(private).collect(),
        ..Interface::default()
    }
}

pub(super) fn elastic_ip() -> config::Resource {
    config::Resource::ElasticIp(config::ElasticIp {
        name: "trunk".to_owned(),
        allocation_id: "eipalloc-1".to_owned(),
        to: [(NodeId(0), ip("10.0.1.20")), (NodeId(1), ip("10.0.1.21"))].into(),
        source_ports: Vec::new(),
    })
}

pub(super) fn private_ip(rider: Option<&str>) -> config::Resource {
    config::Resource::PrivateIp(config::PrivateIp {
        name: "service".to_owned(),
        address: ip("10.0.1.100"),
        elastic_ip: rider.map(str::to_owned),
        guest: true,
        source_ports: Vec::new(),
    })
}

pub(super) fn route(tables: &[&str], destinations: &[&str]) -> config::Resource {
    config::Resource::Route(config::Route {
        name: "office".to_owned(),
        tables: tables.iter().map(|it| (*it).to_owned()).collect(),
        destinations: destinations.iter().map(|it| destination(it)).collect(),
        link: 0,
    })
}

pub(super) fn destination(text: &str) -> Destination {
    match text.parse() {
        Ok(net) => Destination::Cidr(net),
        Err(_) => Destination::PrefixList(text.to_owned()),
    }
}

pub(super) fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}
