//! Rules for addresses, so that what moves cannot hurt what stays (design section 2, "Addresses").

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::super::file::{File, Kind};
use super::super::forms::endpoint_address;
use super::super::report::{Problems, Spot, Written};
use super::first_time;
use super::resources::good_destinations;
use crate::cloud::Destination;

/// Who has which address, over all nodes and groups.
struct Addresses<'a> {
    /// The links: which node, and the place in its list.
    links: BTreeMap<IpAddr, (&'a str, usize)>,
    /// Private addresses that move.
    moving: BTreeMap<Ipv4Addr, Spot>,
    /// Private addresses that Elastic IPs go to.
    targets: BTreeMap<Ipv4Addr, Spot>,
    /// Where EC2 answers, if that is written as an address.
    endpoint: Option<IpAddr>,
}

/// All rules about addresses.
pub(super) fn check(file: &File, problems: &mut Problems<'_>) {
    let mut known = Addresses {
        links: links(file),
        moving: BTreeMap::new(),
        targets: BTreeMap::new(),
        endpoint: file.aws.endpoint_url.as_ref().and_then(|url| endpoint_address(&url.value)),
    };
    let mut allocations = BTreeMap::new();
    let resources = || file.groups.iter().flat_map(|group| &group.resources);
    for resource in resources() {
        match &resource.kind {
            Kind::ElasticIp { allocation: Some(id), .. } | Kind::PrivateIp { elastic_ip: Some(id), .. } => {
                let what = "each Elastic IP belongs to one resource of one group";
                let remedy = "leave one of them out";
                first_time(&mut allocations, id.value.clone(), &id.spot, what, remedy, problems);
            }
            Kind::ElasticIp { allocation: None, .. }
            | Kind::PrivateIp { elastic_ip: None, .. }
            | Kind::Route { .. } => {}
        }
        if let Kind::PrivateIp { address: Some(address), .. } = &resource.kind {
            moving_address(address, &mut known, problems);
        }
    }
    for resource in resources() {
        if let Kind::ElasticIp { to: Some(to), .. } = &resource.kind {
            for (node, address) in &to.value {
                if let Some(address) = address {
                    target_address(&node.value, address, &mut known, problems);
                }
            }
        }
    }
    for resource in resources() {
        if let Kind::Route { destinations, .. } = &resource.kind {
            for destination in good_destinations(destinations.as_ref()) {
                routed_destination(destination, &known, problems);
            }
        }
    }
}

fn links(file: &File) -> BTreeMap<IpAddr, (&str, usize)> {
    let mut links = BTreeMap::new();
    for node in &file.nodes {
        let name = node.name.as_ref().map_or("a node", |name| name.value.as_str());
        let addresses = node.links.iter().flat_map(|links| links.value.iter().enumerate());
        for (place, address) in addresses {
            if let Some(address) = address {
                links.entry(address.value).or_insert((name, place));
            }
        }
    }
    links
}

fn moving_address(address: &Written<Ipv4Addr>, known: &mut Addresses<'_>, problems: &mut Problems<'_>) {
    if let Some((node, place)) = known.links.get(&IpAddr::V4(address.value)) {
        problems.add(
            &address.spot,
            format!("an address that moves is no link address; this is link {place} of {node}"),
            "choose a free address of the subnet, which belongs to no node",
        );
    }
    let what = "each private address belongs to one resource of one group";
    first_time(&mut known.moving, address.value, &address.spot, what, "leave one of them out", problems);
}

fn target_address(
    node: &str,
    address: &Written<Ipv4Addr>,
    known: &mut Addresses<'_>,
    problems: &mut Problems<'_>,
) {
    if let Some(moving) = known.moving.get(&address.value) {
        let rule = format!("this address moves itself (line {})", problems.line(moving));
        let remedy = "let the Elastic IP ride on it: elastic-ip = \"eipalloc-…\" in that [[group.private-ip]], instead of [[group.elastic-ip]]";
        problems.add(&address.spot, rule, remedy);
        return;
    }
    match known.links.get(&IpAddr::V4(address.value)) {
        Some((owner, place)) if *owner != node => {
            let rule = format!("this is link {place} of {owner}, not an address of {node}");
            problems.add(&address.spot, rule, format!("write a secondary private address of {node}"));
        }
        Some((_, 0)) => problems.add(
            &address.spot,
            format!("{node} reaches EC2 from this address (its first link): its way there would change with every move"),
            "give the node a secondary private address for the Elastic IP, and write that",
        ),
        Some(_) | None => {}
    }
    let what = "two Elastic IPs cannot go to one private address, nor can one address be on two nodes";
    let remedy = "write another secondary private address";
    first_time(&mut known.targets, address.value, &address.spot, what, remedy, problems);
}

fn routed_destination(
    destination: &Written<Destination>,
    known: &Addresses<'_>,
    problems: &mut Problems<'_>,
) {
    let Destination::Cidr(net) = &destination.value else { return };
    if let Some(endpoint) = known.endpoint
        && carries_endpoint(net, endpoint)
    {
        problems.add(
            &destination.spot,
            format!("this route would carry the agent's own way to EC2 (aws.endpoint-url, {endpoint})"),
            "narrow the destination, so that the agent's calls do not follow what they move",
        );
    }
    // The VPC's own route is always more specific than a default route, so links do not follow that one:
    // a pair of NAT nodes moves 0.0.0.0/0.
    if net.prefix_len() == 0 {
        return;
    }
    if let Some((address, (node, place))) = known.links.iter().find(|(address, _)| net.contains(*address)) {
        problems.add(
            &destination.spot,
            format!("this route would carry heartbeats and the agent's own way to EC2: {address} is link {place} of {node}"),
            "narrow the destination, so that it contains no link address",
        );
    }
    let moved = known.moving.iter().chain(&known.targets);
    if let Some((address, spot)) = moved.into_iter().find(|(address, _)| net.contains(&IpAddr::V4(**address)))
    {
        let line = problems.line(spot);
        problems.add(
            &destination.spot,
            format!("an address moves in one way only; this destination contains {address} of line {line}"),
            "leave one of the two out",
        );
    }
}

/// Whether calls to the endpoint would follow this route. Loopback follows no route table; an address of
/// the VPC follows the VPC's own route, which is more specific than a default route.
fn carries_endpoint(net: &IpNet, endpoint: IpAddr) -> bool {
    let inside_the_vpc = match endpoint {
        IpAddr::V4(it) => it.is_private(),
        IpAddr::V6(it) => it.is_unique_local(),
    };
    net.contains(&endpoint) && !endpoint.is_loopback() && !(net.prefix_len() == 0 && inside_the_vpc)
}
