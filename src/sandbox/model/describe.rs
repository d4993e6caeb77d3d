//! The Describes, and their filters.
//!
//! An id that does not exist is an error, a filter that matches nothing is an empty answer. Filter names
//! are those of each action's page, as far as the sandbox has something to compare them with; another
//! name is InvalidParameterValue.

use super::attribute;
use super::error::{ApiError, IdKind};
use super::interface::free_count;
use super::request::{Describe, Request};
use super::response::{AddressView, InstanceView, InterfaceView, Response, RouteTableView};
use super::state::{Destination, Instance, InstanceState, Network, State, Subnet, Tags, Target};

/// Answers a Describe from one state.
pub(super) fn describe(state: &State, request: &Request) -> Result<Response, ApiError> {
    match request {
        Request::DescribeAddresses(it) => addresses(state, it),
        Request::DescribeNetworkInterfaces(it) => {
            known(&it.ids, IdKind::Interface, |id| state.interfaces.contains_key(id))?;
            let all = state.interfaces.values().filter(|at| wanted(it, &at.id));
            let all = all.map(|at| InterfaceView::of(state, at));
            Ok(Response::Interfaces(select(it, all, INTERFACE, |at| &at.interface.tags)?))
        }
        Request::DescribeRouteTables(it) => {
            known(&it.ids, IdKind::RouteTable, |id| state.route_tables.contains_key(id))?;
            let all = state.route_tables.values().filter(|at| wanted(it, &at.id));
            let all = all.map(|at| RouteTableView::of(state, at));
            Ok(Response::RouteTables(select(it, all, ROUTE_TABLE, |at| &at.table.tags)?))
        }
        Request::DescribeInstances(it) => {
            known(&it.ids, IdKind::Instance, |id| state.instances.contains_key(id))?;
            let all = state.instances.values().filter(|at| wanted(it, &at.id));
            let all = all.map(|at| InstanceView::of(state, at));
            Ok(Response::Instances(select(it, all, INSTANCE, |at| &at.instance.tags)?))
        }
        Request::DescribeInstanceStatus(it, all_states) => {
            known(&it.ids, IdKind::Instance, |id| state.instances.contains_key(id))?;
            // DescribeInstanceStatus: only running instances are described unless IncludeAllInstances.
            let all = state
                .instances
                .values()
                .filter(|at| wanted(it, &at.id) && (*all_states || at.state == InstanceState::Running));
            let found = select(it, all.cloned(), INSTANCE_STATUS, |at| &at.tags)?;
            Ok(Response::InstanceStatus(found))
        }
        Request::DescribeSubnets(it) => {
            known(&it.ids, IdKind::Subnet, |id| state.subnets.contains_key(id))?;
            let all = state.subnets.values().filter(|at| wanted(it, &at.id)).cloned();
            let found = select(it, all, SUBNET, |at| &at.tags)?;
            Ok(Response::Subnets(found.into_iter().map(|at| (at.clone(), free_count(state, &at))).collect()))
        }
        Request::DescribeVpcs(it) => {
            known(&it.ids, IdKind::Vpc, |id| state.vpcs.contains_key(id))?;
            let all = state.vpcs.values().filter(|at| wanted(it, &at.id)).cloned();
            Ok(Response::Vpcs(select(it, all, VPC, |at| &at.tags)?))
        }
        Request::DescribeInstanceAttribute { instance, attribute, .. } => {
            attribute::describe(state, instance, *attribute)
        }
        Request::AssociateAddress(_)
        | Request::DisassociateAddress { .. }
        | Request::AssignPrivateIpAddresses { .. }
        | Request::UnassignPrivateIpAddresses { .. }
        | Request::CreateRoute(_)
        | Request::ReplaceRoute(_)
        | Request::DeleteRoute { .. }
        | Request::RebootInstances(_)
        | Request::StartInstances(_)
        | Request::StopInstances(_)
        | Request::TerminateInstances(_)
        | Request::CreateTags { .. }
        | Request::DeleteTags { .. }
        | Request::SetSourceDestCheck { .. }
        | Request::SetProtection { .. } => Err(ApiError::new("InternalError", "not a Describe")),
    }
}

/// A filter's name, and what it compares.
type Field<T> = (&'static str, fn(&T) -> Vec<String>);

const ADDRESS: &[Field<AddressView>] = &[
    ("allocation-id", |it| vec![it.address.id.clone()]),
    ("association-id", |it| it.address.association.iter().map(|at| at.id.clone()).collect()),
    ("domain", |_| vec!["vpc".to_owned()]),
    ("instance-id", |it| it.instance.clone().into_iter().collect()),
    ("network-interface-id", |it| it.address.association.iter().map(|at| at.interface.clone()).collect()),
    ("private-ip-address", |it| it.address.association.iter().map(|at| at.private_ip.to_string()).collect()),
    ("public-ip", |it| vec![it.address.public_ip.to_string()]),
];

const INTERFACE: &[Field<InterfaceView>] = &[
    ("addresses.association.public-ip", |it| {
        it.elastic_ips.iter().map(|at| at.public_ip.to_string()).collect()
    }),
    ("addresses.private-ip-address", |it| it.interface.addresses().map(|at| at.to_string()).collect()),
    ("association.allocation-id", |it| it.elastic_ips.iter().map(|at| at.id.clone()).collect()),
    ("association.association-id", |it| {
        it.elastic_ips.iter().filter_map(|at| Some(at.association.as_ref()?.id.clone())).collect()
    }),
    ("association.public-ip", |it| it.elastic_ips.iter().map(|at| at.public_ip.to_string()).collect()),
    ("attachment.attachment-id", |it| it.interface.attachment.iter().map(|at| at.id.clone()).collect()),
    ("attachment.delete-on-termination", |it| {
        it.interface.attachment.iter().map(|at| at.delete_on_termination.to_string()).collect()
    }),
    ("attachment.device-index", |it| {
        it.interface.attachment.iter().map(|at| at.device_index.to_string()).collect()
    }),
    ("attachment.instance-id", |it| it.interface.instance().map(str::to_owned).into_iter().collect()),
    ("attachment.status", |it| it.interface.attachment.iter().map(|_| "attached".to_owned()).collect()),
    ("availability-zone", |it| vec![it.zone.clone()]),
    ("description", |it| vec![it.interface.name.clone()]),
    ("ipv6-addresses.ipv6-address", |it| it.interface.ipv6.iter().map(ToString::to_string).collect()),
    ("mac-address", |it| vec![it.interface.mac.clone()]),
    ("network-interface-id", |it| vec![it.interface.id.clone()]),
    ("private-ip-address", |it| it.interface.addresses().map(|at| at.to_string()).collect()),
    ("source-dest-check", |it| vec![it.interface.source_dest_check.to_string()]),
    ("status", |it| vec![if it.interface.attachment.is_some() { "in-use" } else { "available" }.to_owned()]),
    ("subnet-id", |it| vec![it.interface.subnet.clone()]),
    ("vpc-id", |it| vec![it.vpc.clone()]),
];

const ROUTE_TABLE: &[Field<RouteTableView>] = &[
    ("route-table-id", |it| vec![it.table.id.clone()]),
    ("route.destination-cidr-block", |it| destinations(it, |net| matches!(net, ipnet::IpNet::V4(_)))),
    ("route.destination-ipv6-cidr-block", |it| destinations(it, |net| matches!(net, ipnet::IpNet::V6(_)))),
    ("route.destination-prefix-list-id", |it| {
        let lists = it.table.routes.iter().filter_map(|at| match &at.destination {
            Destination::PrefixList(id) => Some(id.clone()),
            Destination::Cidr(_) => None,
        });
        lists.collect()
    }),
    ("route.gateway-id", |it| {
        let gateways = it.table.routes.iter().filter_map(|at| match &at.target {
            Target::Gateway(id) => Some(id.clone()),
            Target::Local => Some("local".to_owned()),
            Target::Interface(_) => None,
        });
        gateways.collect()
    }),
    ("route.instance-id", |it| it.targets.iter().filter_map(|(instance, _)| instance.clone()).collect()),
    ("route.state", |it| it.targets.iter().map(|(_, gone)| route_state(*gone).to_owned()).collect()),
    ("vpc-id", |it| vec![it.table.vpc.clone()]),
];

const INSTANCE: &[Field<InstanceView>] = &[
    ("availability-zone", |it| vec![it.instance.zone.clone()]),
    ("instance-id", |it| vec![it.instance.id.clone()]),
    ("instance-lifecycle", |it| it.instance.lifecycle().map(str::to_owned).into_iter().collect()),
    ("instance-state-code", |it| vec![it.instance.state.code().0.to_string()]),
    ("instance-state-name", |it| vec![it.instance.state.code().1.to_owned()]),
    ("network-interface.addresses.private-ip-address", |it| {
        it.interfaces.iter().flat_map(|at| at.interface.addresses().map(|ip| ip.to_string())).collect()
    }),
    ("network-interface.network-interface-id", |it| {
        it.interfaces.iter().map(|at| at.interface.id.clone()).collect()
    }),
    ("private-ip-address", |it| {
        it.interfaces.iter().take(1).map(|at| at.interface.primary.to_string()).collect()
    }),
    ("root-device-type", |it| vec![it.instance.root_device.word().to_owned()]),
    ("subnet-id", |it| it.interfaces.iter().take(1).map(|at| at.interface.subnet.clone()).collect()),
    ("vpc-id", |it| it.interfaces.iter().take(1).map(|at| at.vpc.clone()).collect()),
];

const INSTANCE_STATUS: &[Field<Instance>] = &[
    ("availability-zone", |it| vec![it.zone.clone()]),
    ("instance-state-code", |it| vec![it.state.code().0.to_string()]),
    ("instance-state-name", |it| vec![it.state.code().1.to_owned()]),
    ("instance-status.status", |it| vec![status_of(it).to_owned()]),
    ("system-status.status", |it| vec![status_of(it).to_owned()]),
];

const SUBNET: &[Field<Subnet>] = &[
    ("availability-zone", |it| vec![it.zone.clone()]),
    ("cidr-block", |it| vec![it.cidr.to_string()]),
    ("state", |_| vec!["available".to_owned()]),
    ("subnet-id", |it| vec![it.id.clone()]),
    ("vpc-id", |it| vec![it.vpc.clone()]),
];

const VPC: &[Field<Network>] = &[
    ("cidr", |it| vec![it.cidr.to_string()]),
    ("state", |_| vec!["available".to_owned()]),
    ("vpc-id", |it| vec![it.id.clone()]),
];

/// The state of a route, in EC2's word.
pub(crate) fn route_state(blackhole: bool) -> &'static str {
    if blackhole { "blackhole" } else { "active" }
}

/// The status of an instance's checks (API Reference, "InstanceStatusSummary").
pub(crate) fn status_of(instance: &Instance) -> &'static str {
    match instance.state {
        InstanceState::Running if instance.impaired => "impaired",
        InstanceState::Running => "ok",
        InstanceState::Pending => "initializing",
        InstanceState::ShuttingDown
        | InstanceState::Terminated
        | InstanceState::Stopping
        | InstanceState::Stopped => "not-applicable",
    }
}

fn addresses(state: &State, it: &Describe) -> Result<Response, ApiError> {
    known(&it.ids, IdKind::Allocation, |id| state.elastic_ips.contains_key(id))?;
    for ip in &it.public_ips {
        if !state.elastic_ips.values().any(|at| at.public_ip == *ip) {
            return Err(ApiError::new("InvalidAddress.NotFound", format!("Address '{ip}' not found.")));
        }
    }
    let all = state.elastic_ips.values();
    let all = all.filter(|at| {
        wanted(it, &at.id) && (it.public_ips.is_empty() || it.public_ips.contains(&at.public_ip))
    });
    let all = all.map(|at| AddressView::of(state, at));
    Ok(Response::Addresses(select(it, all, ADDRESS, |at| &at.address.tags)?))
}

fn destinations(it: &RouteTableView, family: fn(&ipnet::IpNet) -> bool) -> Vec<String> {
    let nets = it.table.routes.iter().filter_map(|at| match &at.destination {
        Destination::Cidr(net) if family(net) => Some(net.to_string()),
        Destination::Cidr(_) | Destination::PrefixList(_) => None,
    });
    nets.collect()
}

fn known(ids: &[String], kind: IdKind, is_known: impl Fn(&str) -> bool) -> Result<(), ApiError> {
    match ids.iter().find(|id| !is_known(id)) {
        Some(id) => Err(ApiError::unknown(kind, id)),
        None => Ok(()),
    }
}

fn wanted(describe: &Describe, id: &str) -> bool {
    describe.ids.is_empty() || describe.ids.iter().any(|it| it == id)
}

fn select<T>(
    describe: &Describe,
    all: impl Iterator<Item = T>,
    fields: &[Field<T>],
    tags: fn(&T) -> &Tags,
) -> Result<Vec<T>, ApiError> {
    for filter in &describe.filters {
        let is_tag = filter.name == "tag-key" || filter.name.starts_with("tag:");
        if !is_tag && !fields.iter().any(|(name, _)| *name == filter.name) {
            return Err(ApiError::value(format!("The filter '{}' is invalid", filter.name)));
        }
    }
    let found = all.filter(|it| {
        describe.filters.iter().all(|filter| {
            let present: Vec<String> = if filter.name == "tag-key" {
                tags(it).keys().cloned().collect()
            } else if let Some(key) = filter.name.strip_prefix("tag:") {
                tags(it).get(key).cloned().into_iter().collect()
            } else {
                fields.iter().find(|(name, _)| *name == filter.name).map_or_else(Vec::new, |(_, get)| get(it))
            };
            present.iter().any(|value| filter.values.iter().any(|pattern| matches(pattern, value)))
        })
    });
    Ok(found.collect())
}

/// User Guide, "Filtering resources": `*` is any characters, `?` is one, a backslash escapes. Case counts.
fn matches(pattern: &str, value: &str) -> bool {
    let (pattern, value): (Vec<char>, Vec<char>) = (pattern.chars().collect(), value.chars().collect());
    let (mut at, mut seen) = (0, 0);
    // Where to begin again: after the last star, and one character further into the value.
    let mut retry: Option<(usize, usize)> = None;
    while seen < value.len() {
        let step = match (pattern.get(at), pattern.get(at + 1)) {
            (Some('*'), _) => {
                retry = Some((at + 1, seen));
                at += 1;
                continue;
            }
            (Some('?'), _) => Some(1),
            (Some('\\'), Some(next)) if *next == value[seen] => Some(2),
            (Some('\\'), Some(_)) => None,
            (Some(here), _) if *here == value[seen] => Some(1),
            (Some(_) | None, _) => None,
        };
        match (step, retry) {
            (Some(step), _) => (at, seen) = (at + step, seen + 1),
            (None, Some((star, from))) => {
                (at, seen) = (star, from + 1);
                retry = Some((star, from + 1));
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|it| *it == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn wildcards() {
        for (pattern, value, expected) in [
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*b*c", "aXbYbc", true),
            ("a?c", "abc", true),
            ("a?", "abc", false),
            ("", "", true),
            ("*", "", true),
            ("", "a", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("A", "a", false),
        ] {
            assert_eq!(matches(pattern, value), expected, "{pattern} {value}");
        }
    }
}
