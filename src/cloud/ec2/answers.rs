//! EC2's answers, in our words.

use std::str::FromStr;

use aws_sdk_ec2::types;
use ipnet::IpNet;

use crate::cloud::{
    Address, Destination, Instance, InstanceState, Interface, PrivateAddress, Route, RouteTable, Tags,
};

pub(super) fn address(it: types::Address) -> Address {
    Address {
        allocation: it.allocation_id.unwrap_or_default(),
        public_ip: parsed(it.public_ip.as_deref()),
        association: filled(it.association_id),
        interface: filled(it.network_interface_id),
        instance: filled(it.instance_id),
        private_ip: parsed(it.private_ip_address.as_deref()),
        tags: tags(it.tags),
    }
}

pub(super) fn interface(it: types::NetworkInterface) -> Interface {
    Interface {
        id: it.network_interface_id.unwrap_or_default(),
        subnet: it.subnet_id.unwrap_or_default(),
        vpc: it.vpc_id.unwrap_or_default(),
        mac: it.mac_address.unwrap_or_default().to_ascii_lowercase(),
        instance: it.attachment.and_then(attached_to),
        source_dest_check: it.source_dest_check.unwrap_or(true),
        addresses: it.private_ip_addresses.unwrap_or_default().into_iter().filter_map(private).collect(),
        ipv6: it
            .ipv6_addresses
            .unwrap_or_default()
            .iter()
            .filter_map(|it| parsed(it.ipv6_address.as_deref()))
            .collect(),
        tags: tags(it.tag_set),
    }
}

pub(super) fn route_table(it: types::RouteTable) -> RouteTable {
    RouteTable {
        id: it.route_table_id.unwrap_or_default(),
        vpc: it.vpc_id.unwrap_or_default(),
        routes: it.routes.unwrap_or_default().into_iter().filter_map(route).collect(),
        tags: tags(it.tags),
    }
}

/// `None`: a state that this version does not know says nothing about the instance.
pub(super) fn instance(it: types::Instance) -> Option<Instance> {
    Some(Instance { state: state(it.state)?, id: it.instance_id.unwrap_or_default() })
}

/// `None`: one that this version does not know.
pub(super) fn state(it: Option<types::InstanceState>) -> Option<InstanceState> {
    use types::InstanceStateName as Name;
    let name = it?.name?;
    [
        (Name::Pending, InstanceState::Pending),
        (Name::Running, InstanceState::Running),
        (Name::ShuttingDown, InstanceState::ShuttingDown),
        (Name::Stopping, InstanceState::Stopping),
        (Name::Stopped, InstanceState::Stopped),
        (Name::Terminated, InstanceState::Terminated),
    ]
    .into_iter()
    .find_map(|(theirs, ours)| (theirs == name).then_some(ours))
}

fn attached_to(it: types::NetworkInterfaceAttachment) -> Option<String> {
    use types::AttachmentStatus as Status;
    if !matches!(it.status, Some(Status::Attached | Status::Attaching)) {
        return None;
    }
    filled(it.instance_id).or(filled(it.instance_owner_id))
}

fn private(it: types::NetworkInterfacePrivateIpAddress) -> Option<PrivateAddress> {
    Some(PrivateAddress {
        address: parsed(it.private_ip_address.as_deref())?,
        primary: it.primary.unwrap_or(false),
        allocation: it.association.and_then(|it| filled(it.allocation_id)),
    })
}

fn route(it: types::Route) -> Option<Route> {
    let cidr = it.destination_cidr_block.as_deref().or(it.destination_ipv6_cidr_block.as_deref());
    let destination = match (parsed::<IpNet>(cidr), filled(it.destination_prefix_list_id)) {
        (Some(net), _) => Destination::Cidr(net),
        (None, Some(id)) => Destination::PrefixList(id),
        (None, None) => return None,
    };
    Some(Route {
        destination,
        interface: filled(it.network_interface_id),
        instance: filled(it.instance_id),
        blackhole: it.state == Some(types::RouteState::Blackhole),
    })
}

fn tags(them: Option<Vec<types::Tag>>) -> Tags {
    let pair = |it: types::Tag| Some((it.key?, it.value.unwrap_or_default()));
    them.unwrap_or_default().into_iter().filter_map(pair).collect()
}

/// EC2 writes an empty element where there is nothing.
fn filled(it: Option<String>) -> Option<String> {
    it.filter(|it| !it.is_empty())
}

fn parsed<T: FromStr>(it: Option<&str>) -> Option<T> {
    it.and_then(|it| it.parse().ok())
}
