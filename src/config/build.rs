//! From a file without problems to a [`Config`].

use std::collections::BTreeMap;
use std::time::Duration;

use super::file::{File, GroupFile, Kind, LeaseFile, Maybe, ProbeFile, ResourceFile, ServiceFile};
use super::report::Written;
use super::{
    Arbiter, Ask, Aws, Config, ElasticIp, Group, Heartbeat, Hook, Lease, Node, PrivateIp, Probe, Resource,
    Route, Service, Standby,
};
use crate::cluster::NodeId;

/// The configuration; `None` if something is missing after all, which the passes before must have said.
pub(super) fn build(file: File) -> Option<Config> {
    let dead_after = file.heartbeat.dead_after?.value;
    let heartbeat = Heartbeat {
        port: u16::try_from(file.heartbeat.port?.value).ok()?,
        interval: file.heartbeat.interval?.value,
        warn_after: file.heartbeat.warn_after.map_or(dead_after / 2, |warn| warn.value),
        dead_after,
        first_dead_after: file.heartbeat.first_dead_after?.value,
    };
    let nodes = file.nodes.into_iter().map(|node| {
        let links = all(node.links?.value)?;
        Some(Node { name: node.name?.value, links })
    });
    let nodes: Vec<Node> = nodes.collect::<Option<_>>()?;
    let lease = lease(file.lease)?;
    let groups = file.groups.into_iter().map(|it| group(it, &nodes, &lease));
    let groups = groups.collect::<Option<Vec<_>>>()?;
    let leased = groups.iter().any(|group| group.arbiter == Arbiter::Dynamodb);
    Some(Config {
        cluster: file.cluster?.value,
        key_file: file.key_file?.value,
        heartbeat,
        groups,
        nodes,
        recovery: file.recovery.build()?,
        aws: Aws {
            region: file.aws.region.map(value),
            profile: file.aws.profile.map(value),
            endpoint_url: file.aws.endpoint_url.map(value),
            call_timeout: file.aws.call_timeout?.value,
        },
        lease: leased.then_some(lease),
        state_dir: file.state_dir?.value,
        socket: file.socket?.value,
    })
}

fn group(file: GroupFile, nodes: &[Node], lease: &Lease) -> Option<Group> {
    let anchor = file.anchor?.value;
    let members = match file.nodes {
        Some(named) => named.value.iter().map(|it| node_id(nodes, &it.value)).collect::<Option<_>>()?,
        None => nodes.iter().map(|node| node_id(nodes, &node.name)).collect::<Option<_>>()?,
    };
    let resources = file.resources.into_iter().map(|it| resource(it, nodes)).collect::<Option<Vec<_>>>()?;
    let hooks = file.hooks.into_iter().map(|hook| {
        let run = hook.run?.value.into_iter().map(value).collect();
        Some(Hook { on: hook.on?.value, run, timeout: hook.timeout?.value })
    });
    let arbiter = file.arbiter?.value;
    let probe = match file.probe {
        Some(probe) => Some(self::probe(probe)?),
        None => None,
    };
    let service = match file.service {
        Some(service) => Some(self::service(service, arbiter, lease)?),
        None => None,
    };
    Some(Group {
        name: file.name?.value,
        nodes: members,
        anchor: resources.iter().position(|resource| resource.name() == anchor)?,
        resources,
        when_silent: file.when_silent?.value,
        probe,
        when_isolated: file.when_isolated?.value,
        arbiter,
        fencing: file.fencing?.value,
        when_fencing_fails: file.when_fencing_fails?.value,
        failback: file.failback?.value,
        migration_threshold: u32::try_from(file.migration_threshold?.value).ok()?,
        failure_timeout: file.failure_timeout.map(value),
        service,
        hooks: hooks.collect::<Option<_>>()?,
    })
}

fn probe(file: ProbeFile) -> Option<Probe> {
    let sip = file.sip_options.map(|it| Ask::SipOptions(it.value));
    let tcp = file.tcp.map(|it| Ask::Tcp(it.value));
    let command = file.command.map(|it| Ask::Command(it.value.into_iter().map(value).collect()));
    Some(Probe { ask: sip.or(tcp).or(command)?, timeout: file.timeout?.value })
}

/// How long a service may take to stop, if that is not written and no lease says less.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

fn service(file: ServiceFile, arbiter: Arbiter, lease: &Lease) -> Option<Service> {
    let (standby, stop_timeout) = match arbiter {
        Arbiter::Ec2 => (Standby::Warm, STOP_TIMEOUT),
        Arbiter::Dynamodb => (Standby::Cold, STOP_TIMEOUT.min(lease.stop_bound)),
    };
    Some(Service {
        unit: file.unit?.value,
        standby: file.standby.map_or(standby, value),
        stop_timeout: file.stop_timeout.map_or(stop_timeout, value),
    })
}

fn lease(file: LeaseFile) -> Option<Lease> {
    Some(Lease {
        table: file.table?.value,
        length: file.length?.value,
        stop_bound: file.stop_bound?.value,
        grace: file.grace?.value,
        endpoint_url: file.endpoint_url.map(value),
    })
}

fn resource(file: ResourceFile, nodes: &[Node]) -> Option<Resource> {
    let name = file.name?.value;
    Some(match file.kind {
        Kind::ElasticIp { allocation, to, source_ports } => {
            let to = to?.value.into_iter().map(|(node, to)| Some((node_id(nodes, &node.value)?, to?.value)));
            let to = to.collect::<Option<BTreeMap<_, _>>>()?;
            let source_ports = optional(source_ports)?;
            Resource::ElasticIp(ElasticIp { name, allocation_id: allocation?.value, to, source_ports })
        }
        Kind::PrivateIp { address, elastic_ip, guest, source_ports } => Resource::PrivateIp(PrivateIp {
            name,
            address: address?.value,
            elastic_ip: elastic_ip.map(value),
            guest: guest?,
            source_ports: optional(source_ports)?,
        }),
        Kind::Route { tables, destinations, link } => Resource::Route(Route {
            name,
            tables: all(tables?.value)?,
            destinations: all(destinations?.value)?,
            link: usize::try_from(link?.value).ok()?,
        }),
    })
}

fn node_id(nodes: &[Node], name: &str) -> Option<NodeId> {
    let place = nodes.iter().position(|node| node.name == name)?;
    Some(NodeId(u8::try_from(place).ok()?))
}

fn all<T>(list: Vec<Maybe<T>>) -> Option<Vec<T>> {
    list.into_iter().map(|it| it.map(value)).collect()
}

/// A list that need not be written.
fn optional<T>(list: Maybe<Vec<Maybe<T>>>) -> Option<Vec<T>> {
    list.map_or_else(|| Some(Vec::new()), |list| all(list.value))
}

fn value<T>(written: Written<T>) -> T {
    written.value
}
