//! What a service sends from a socket that is bound to no address leaves from the interface's primary address:
//! a caller drops such an answer, and EC2 translates no address but the associated one. So for the configured
//! local ports, policy routing: rules lead to a table of the address's own, which is the main table as it looks
//! from the address.
//!
//! The rules match packets of this machine's own (`iif lo`) whose socket has chosen no source yet
//! (`from 0.0.0.0/32`): nothing that is forwarded, and nothing that is bound, as the heartbeats are. A second
//! rule leads what leaves from the address (also on connections that came to it) out by the interface that has
//! it: EC2 drops it elsewhere.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use futures_util::stream::TryStreamExt;
use ipnet::Ipv4Net;
use rtnetlink::packet_core::Nla as _;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage, RulePortRange};
use rtnetlink::packet_route::{AddressFamily, IpProtocol, RouteNetlinkMessage};
use rtnetlink::{IpVersion, MulticastGroup, RouteMessageBuilder};

use super::{EEXIST, Guest, GuestError, Kept, told, unless};
use crate::config::{SourcePorts, Transport};

/// Our tables: 69400 (the first resource of the configuration) and up.
const TABLES: RangeInclusive<u32> = 69_400..=69_400 + 0xffff;
/// Of our rules: after `local` (0), before `main` (32766) and what amazon-ec2-net-utils has (10000 and up).
const PRIORITY: u32 = 6_940;
/// What marks rules and routes as ours (rtnetlink(7), `rtm_protocol`); nobody else's in iproute2's rt_protos.
const PROTOCOL: RouteProtocol = RouteProtocol::Other(169);

/// Linux's errno values for what is not there any more.
const ENOENT: i32 = 2;
const ESRCH: i32 = 3;

/// An address that packets leave from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// The MAC address of its network interface in EC2.
    pub mac: String,
    /// The address.
    pub address: Ipv4Addr,
    /// The subnet of the interface, if EC2 has said.
    pub subnet: Option<Ipv4Net>,
    /// The local ports. None: only what needs the address's own interface.
    pub ports: Vec<SourcePorts>,
    /// Its routing table, see [`table`].
    pub table: u32,
    /// The MAC addresses of all of the node's interfaces in EC2: routes over the others are for other addresses.
    pub interfaces: Vec<String>,
}

/// The table of a resource, by its place among all resources of the configuration (nobody has 65,536 of them);
/// the same on every node.
pub fn table(place: usize) -> u32 {
    TABLES.start() + u32::from(u16::try_from(place).unwrap_or(u16::MAX))
}

impl Kept for Source {
    const GROUPS: &'static [MulticastGroup] =
        &[MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv4Route, MulticastGroup::Ipv4Rule];
    const PAUSE: Duration = Duration::from_millis(50);

    /// The main table's routes are the model of ours; our own changes come back too, and cost one look.
    fn concerns(message: &RouteNetlinkMessage) -> bool {
        matches!(
            message,
            RouteNetlinkMessage::NewAddress(_)
                | RouteNetlinkMessage::DelAddress(_)
                | RouteNetlinkMessage::NewRoute(_)
                | RouteNetlinkMessage::DelRoute(_)
                | RouteNetlinkMessage::NewRule(_)
                | RouteNetlinkMessage::DelRule(_)
        )
    }

    async fn converge(&self, guest: &Guest, want: bool) -> Result<bool, GuestError> {
        if !want {
            return guest.clear(self.table).await;
        }
        match guest.plan(self).await {
            // Routes first: until the rules lead to them, all is as before.
            Ok((routes, rules)) => {
                let routed = guest.set_routes(self.table, &routes).await?;
                Ok(guest.set_rules(self.table, &rules).await? || routed)
            }
            Err(error) => {
                // The kernel keeps routes whose source has gone (fib_sync_down_addr in fib_semantics.c).
                if !matches!(error, GuestError::Netlink(_)) {
                    guest.clear(self.table).await?;
                }
                Err(error)
            }
        }
    }
}

impl Guest {
    /// Adds (`true`) or removes what makes packets leave from the address; done already is as good.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn source(&self, source: &Source, want: bool) -> Result<(), GuestError> {
        source.converge(self, want).await.map(drop)
    }

    /// Removes what an earlier run has left in tables that are none of these.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn clear_other_sources(&self, known: &[u32]) -> Result<(), GuestError> {
        let routes = self.routes().await?.into_iter().filter(is_ours).map(|it| table_of(&it));
        let rules = self.rules().await?.into_iter().filter_map(|it| own_table(&it));
        let mut tables: Vec<u32> = routes.chain(rules).filter(|it| !known.contains(it)).collect();
        tables.sort_unstable();
        tables.dedup();
        for table in tables {
            self.clear(table).await?;
        }
        Ok(())
    }

    /// Answers whether there was anything. A rule whose table has no route any more would fall through to main.
    async fn clear(&self, table: u32) -> Result<bool, GuestError> {
        let ruled = self.set_rules(table, &[]).await?;
        Ok(self.set_routes(table, &[]).await? || ruled)
    }

    /// The routes and rules that this address needs now; neither, if it has no ports and its interface is the one
    /// that everything leaves by.
    async fn plan(&self, source: &Source) -> Result<(Vec<RouteMessage>, Vec<RuleMessage>), GuestError> {
        let index = self.index(&source.mac).await?;
        let mut elsewhere = Vec::new();
        for mac in source.interfaces.iter().filter(|mac| **mac != source.mac) {
            // One that is down or detached has no routes.
            elsewhere.extend(self.index(mac).await.ok());
        }
        let main = self.routes().await?.into_iter().filter(|it| table_of(it) == MAIN).collect::<Vec<_>>();
        if source.ports.is_empty() && way_out(&main).is_none_or(|it| it == index) {
            return Ok(Default::default());
        }
        let subnet = self.subnet(index, source).await?;
        Ok((routes(&main, index, &elsewhere, subnet, source), rules(source)))
    }

    /// The subnet around the address, which the interface must have.
    async fn subnet(&self, index: u32, source: &Source) -> Result<Ipv4Net, GuestError> {
        let address = source.address;
        if self.found(index, address).await?.is_empty() {
            return Err(GuestError::NotThere(address));
        }
        let request = self.handle.address().get().set_link_index_filter(index);
        let all: Vec<AddressMessage> = request.execute().try_collect().await.map_err(told)?;
        let net = |it: &AddressMessage| {
            let local = it.attributes.iter().find_map(|it| {
                if let AddressAttribute::Local(IpAddr::V4(it)) = it { Some(*it) } else { None }
            });
            Ipv4Net::new(local?, it.header.prefix_len).ok().map(|it| it.trunc())
        };
        let around = |net: &Ipv4Net| net.prefix_len() < 32 && net.contains(&address);
        let known = source.subnet.filter(around);
        known.or_else(|| all.iter().filter_map(net).find(around)).ok_or(GuestError::NoSubnet(address))
    }

    async fn routes(&self) -> Result<Vec<RouteMessage>, GuestError> {
        let all = RouteMessageBuilder::<Ipv4Addr>::new().build();
        self.handle.route().get(all).execute().try_collect().await.map_err(told)
    }

    async fn rules(&self) -> Result<Vec<RuleMessage>, GuestError> {
        self.handle.rule().get(IpVersion::V4).execute().try_collect().await.map_err(told)
    }

    /// Answers whether something had to be changed.
    async fn set_routes(&self, table: u32, wanted: &[RouteMessage]) -> Result<bool, GuestError> {
        let present: Vec<RouteMessage> =
            self.routes().await?.into_iter().filter(|it| is_ours(it) && table_of(it) == table).collect();
        let mut changed = false;
        for route in wanted.iter().filter(|it| !present.iter().any(|other| shape(it) == shape(other))) {
            self.handle.route().add(route.clone()).replace().execute().await.map_err(told)?;
            changed = true;
        }
        for route in present.into_iter().filter(|it| !wanted.iter().any(|other| key(it) == key(other))) {
            unless(self.handle.route().del(route).execute().await, ESRCH)?;
            changed = true;
        }
        Ok(changed)
    }

    /// Answers whether something had to be changed.
    async fn set_rules(&self, table: u32, wanted: &[RuleMessage]) -> Result<bool, GuestError> {
        let present: Vec<RuleMessage> =
            self.rules().await?.into_iter().filter(|it| own_table(it) == Some(table)).collect();
        let mut changed = false;
        for rule in wanted.iter().filter(|it| !present.iter().any(|other| sign(it) == sign(other))) {
            let mut request = self.handle.rule().add();
            *request.message_mut() = rule.clone();
            unless(request.execute().await, EEXIST)?;
            changed = true;
        }
        for rule in present.into_iter().filter(|it| !wanted.iter().any(|other| sign(it) == sign(other))) {
            unless(self.handle.rule().del(rule).execute().await, ENOENT)?;
            changed = true;
        }
        Ok(changed)
    }
}

/// The number of the main table.
const MAIN: u32 = 254;

/// The main table as it looks from the address: what leads over its interface, with the address as source; what
/// leads into the machine or a tunnel, as it is; nothing over the other interfaces in EC2, which are for other
/// addresses, and no default route of anybody else's.
fn routes(
    main: &[RouteMessage],
    index: u32,
    elsewhere: &[u32],
    subnet: Ipv4Net,
    source: &Source,
) -> Vec<RouteMessage> {
    let plain = |it: &&RouteMessage| it.header.kind == RouteType::Unicast && it.header.tos == 0;
    let by = |route: &RouteMessage, wanted: u32| interface_of(route) == Some(wanted);
    let own = main.iter().filter(plain).filter(|it| by(it, index));
    let other = main.iter().filter(plain).filter(|it| {
        it.header.destination_prefix_length > 0
            && interface_of(it).is_some_and(|it| it != index && !elsewhere.contains(&it))
    });
    let mut all: Vec<RouteMessage> = own.map(|it| copy(it, source.table, Some(source.address))).collect();
    let is_subnet = |it: &RouteMessage| {
        it.header.destination_prefix_length == subnet.prefix_len()
            && destination(it) == Some(subnet.network())
    };
    if !all.iter().any(is_subnet) {
        let route = from_here(index, source).scope(RouteScope::Link);
        all.push(route.destination_prefix(subnet.network(), subnet.prefix_len()).build());
    }
    if !all.iter().any(|it| it.header.destination_prefix_length == 0) {
        // The VPC's router is the subnet's first address (Amazon VPC User Guide, "Subnet sizing for IPv4").
        let router = Ipv4Addr::from(u32::from(subnet.network()).saturating_add(1));
        all.push(from_here(index, source).gateway(router).build());
    }
    all.extend(other.map(|it| copy(it, source.table, None)));
    // What is on the link goes first: a gateway must be reachable when its route is added.
    all.sort_by_key(|it| it.attributes.iter().any(|it| matches!(it, RouteAttribute::Gateway(_))));
    all
}

fn from_here(index: u32, source: &Source) -> RouteMessageBuilder<Ipv4Addr> {
    let builder = RouteMessageBuilder::<Ipv4Addr>::new().table_id(source.table).protocol(PROTOCOL);
    builder.output_interface(index).pref_source(source.address)
}

fn copy(route: &RouteMessage, table: u32, from: Option<Ipv4Addr>) -> RouteMessage {
    let mut copy = RouteMessageBuilder::<Ipv4Addr>::new().table_id(table).protocol(PROTOCOL).build();
    copy.header.destination_prefix_length = route.header.destination_prefix_length;
    copy.header.scope = route.header.scope;
    copy.header.flags = route.header.flags & RouteFlags::Onlink;
    let kept = |it: &&RouteAttribute| {
        matches!(
            it,
            RouteAttribute::Destination(_)
                | RouteAttribute::Gateway(_)
                | RouteAttribute::Oif(_)
                | RouteAttribute::Priority(_)
                | RouteAttribute::Metrics(_)
        ) || from.is_none() && matches!(it, RouteAttribute::PrefSource(_))
    };
    copy.attributes.extend(route.attributes.iter().filter(kept).cloned());
    copy.attributes.extend(from.map(|it| RouteAttribute::PrefSource(RouteAddress::Inet(it))));
    copy
}

/// The rules that lead to the table.
fn rules(source: &Source) -> Vec<RuleMessage> {
    let rule = |from: Ipv4Addr, more: &[RuleAttribute]| {
        let mut rule = RuleMessage::default();
        rule.header.family = AddressFamily::Inet;
        rule.header.src_len = 32;
        rule.header.action = RuleAction::ToTable;
        rule.attributes = vec![
            RuleAttribute::Source(from.into()),
            RuleAttribute::Priority(PRIORITY),
            RuleAttribute::Table(source.table),
            RuleAttribute::Protocol(PROTOCOL),
        ];
        rule.attributes.extend_from_slice(more);
        rule
    };
    let ports = |ports: &SourcePorts| {
        let protocol = match ports.transport {
            Transport::Udp => IpProtocol::Udp,
            Transport::Tcp => IpProtocol::Tcp,
        };
        let range = RulePortRange { start: ports.first, end: ports.last };
        let local = RuleAttribute::Iifname("lo".to_owned());
        let more = [local, RuleAttribute::IpProtocol(protocol), RuleAttribute::SourcePortRange(range)];
        rule(Ipv4Addr::UNSPECIFIED, &more)
    };
    [rule(source.address, &[])].into_iter().chain(source.ports.iter().map(ports)).collect()
}

/// The interface of the default route that counts.
fn way_out(main: &[RouteMessage]) -> Option<u32> {
    let default = main.iter().filter(|it| it.header.destination_prefix_length == 0);
    let metric = |route: &&RouteMessage| {
        let metric =
            |it: &RouteAttribute| if let RouteAttribute::Priority(it) = it { Some(*it) } else { None };
        route.attributes.iter().find_map(metric).unwrap_or(0)
    };
    default.min_by_key(metric).and_then(interface_of)
}

fn interface_of(route: &RouteMessage) -> Option<u32> {
    route.attributes.iter().find_map(|it| if let RouteAttribute::Oif(it) = it { Some(*it) } else { None })
}

fn destination(route: &RouteMessage) -> Option<Ipv4Addr> {
    route.attributes.iter().find_map(|it| {
        if let RouteAttribute::Destination(RouteAddress::Inet(it)) = it { Some(*it) } else { None }
    })
}

fn table_of(route: &RouteMessage) -> u32 {
    let table = |it: &RouteAttribute| if let RouteAttribute::Table(it) = it { Some(*it) } else { None };
    route.attributes.iter().find_map(table).unwrap_or_else(|| route.header.table.into())
}

fn is_ours(route: &RouteMessage) -> bool {
    route.header.protocol == PROTOCOL && TABLES.contains(&table_of(route))
}

/// The table of a rule of ours.
fn own_table(rule: &RuleMessage) -> Option<u32> {
    let ours = rule.attributes.contains(&RuleAttribute::Protocol(PROTOCOL));
    let table = |it: &RuleAttribute| if let RuleAttribute::Table(it) = it { Some(*it) } else { None };
    rule.attributes.iter().find_map(table).filter(|it| ours && TABLES.contains(it))
}

/// What two routes to the same destination have in common: adding the one replaces the other.
fn key(route: &RouteMessage) -> (u8, Vec<&RouteAttribute>) {
    let kept =
        |it: &&RouteAttribute| matches!(it, RouteAttribute::Destination(_) | RouteAttribute::Priority(_));
    let mut attributes: Vec<&RouteAttribute> = route.attributes.iter().filter(kept).collect();
    attributes.sort_by_key(|it| it.kind());
    (route.header.destination_prefix_length, attributes)
}

/// What we say of a route, without what the kernel adds.
fn shape(route: &RouteMessage) -> (u8, RouteScope, RouteFlags, Vec<&RouteAttribute>) {
    let kept = |it: &&RouteAttribute| !matches!(it, RouteAttribute::CacheInfo(_) | RouteAttribute::Table(_));
    let mut attributes: Vec<&RouteAttribute> = route.attributes.iter().filter(kept).collect();
    attributes.sort_by_key(|it| it.kind());
    let header = &route.header;
    (header.destination_prefix_length, header.scope, header.flags & RouteFlags::Onlink, attributes)
}

/// What we say of a rule, without what the kernel adds.
fn sign(rule: &RuleMessage) -> (u8, Vec<&RuleAttribute>) {
    let kept = |it: &&RuleAttribute| {
        !matches!(it, RuleAttribute::SuppressPrefixLen(_) | RuleAttribute::Table(_) | RuleAttribute::Other(_))
    };
    let mut attributes: Vec<&RuleAttribute> = rule.attributes.iter().filter(kept).collect();
    attributes.sort_by_key(|it| it.kind());
    (rule.header.src_len, attributes)
}

#[cfg(test)]
mod tests;
