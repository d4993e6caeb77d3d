//! From a file without problems to a [`Config`].

use std::collections::BTreeMap;
use std::time::Duration;

use super::checks::{Check, CheckKind, Http, OnFail, When};
use super::file::{
    CheckFile, File, GroupFile, HookFile, Kind, LeaseFile, Maybe, ProbeFile, ResourceFile, ServiceFile,
};
use super::report::Written;
use super::{
    Arbiter, Ask, Aws, Commands, Config, ElasticIp, Group, Heartbeat, Hook, HookWhen, Lease, Node, Ocf,
    PrivateIp, Probe, Resource, Route, Run, Service, Standby,
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
    let moving =
        file.checks.iter().map(|it| it.asks_what_moves(&file.resources).is_some()).collect::<Vec<_>>();
    let resources = file.resources.into_iter().map(|it| resource(it, nodes)).collect::<Option<Vec<_>>>()?;
    let arbiter = file.arbiter?.value;
    let hooks = file.hooks.into_iter().map(|it| hook(it, arbiter));
    let probe = match file.probe {
        Some(probe) => Some(self::probe(probe)?),
        None => None,
    };
    let service = match file.service {
        Some(service) => Some(self::service(service, arbiter, lease)?),
        None => None,
    };
    let asterisk = match file.asterisk {
        Some(asterisk) => Some(asterisk.build()?),
        None => None,
    };
    let checks = file.checks.into_iter().zip(moving).map(|(it, moves)| check(it, moves, service.as_ref()));
    let checks = checks.collect::<Option<_>>()?;
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
        asterisk,
        checks,
        hooks: hooks.collect::<Option<_>>()?,
    })
}

fn probe(file: ProbeFile) -> Option<Probe> {
    let sip = file.sip_options.map(|it| Ask::SipOptions(it.value));
    let tcp = file.tcp.map(|it| Ask::Tcp(it.value));
    let command = file.command.map(|it| Ask::Command(it.value.into_iter().map(value).collect()));
    Some(Probe { ask: sip.or(tcp).or(command)?, timeout: file.timeout?.value })
}

/// How long a unit may take to stop, if that is not written and no lease says less.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// And what is no unit, so that what it leaves behind cannot be killed: as long as Pacemaker waits.
const LONG_STOP_TIMEOUT: Duration = Duration::from_secs(20);

fn service(file: ServiceFile, arbiter: Arbiter, lease: &Lease) -> Option<Service> {
    let words = |list: Maybe<Vec<Written<String>>>| -> Option<Vec<String>> {
        Some(list?.value.into_iter().map(value).collect())
    };
    let run = if let Some(unit) = file.unit {
        Run::Unit(unit.value)
    } else if let Some(Written { value: (provider, agent), .. }) = file.ocf {
        let pairs = file.parameters.map(value).unwrap_or_default();
        let parameters = pairs.into_iter().map(|(name, text)| (name.value, text.value)).collect();
        Run::Ocf(Ocf { provider, agent, parameters })
    } else {
        let (start, stop, status) = (words(file.start)?, words(file.stop)?, words(file.status)?);
        Run::Commands(Commands { start, stop, status })
    };
    let stop_timeout = match run {
        Run::Unit(_) => STOP_TIMEOUT,
        Run::Commands(_) | Run::Ocf(_) => LONG_STOP_TIMEOUT,
    };
    let (standby, stop_timeout) = match arbiter {
        Arbiter::Ec2 => (Standby::Warm, stop_timeout),
        Arbiter::Dynamodb => (Standby::Cold, stop_timeout.min(lease.stop_bound)),
    };
    Some(Service {
        run,
        standby: file.standby.map_or(standby, value),
        start_timeout: file.start_timeout?.value,
        stop_timeout: file.stop_timeout.map_or(stop_timeout, value),
        status_every: file.status_every?.value,
    })
}

fn hook(file: HookFile, arbiter: Arbiter) -> Option<Hook> {
    let on = file.on?.value;
    Some(Hook {
        on,
        when: file.when.map_or(HookWhen::usual(on, arbiter), value),
        run: file.run?.value.into_iter().map(value).collect(),
        timeout: file.timeout?.value,
        on_failure: file.on_failure?.value,
    })
}

fn check(file: CheckFile, moves: bool, service: Option<&Service>) -> Option<Check> {
    let word = file.kind()?;
    let on_fail = file.on_fail(service.is_some())?;
    let cold = service.is_some_and(|it| it.standby == Standby::Cold);
    let one_node_only = moves || (cold && on_fail == OnFail::Restart);
    let every = file.every.map_or_else(|| CheckFile::default_every(word), value);
    let need = file.need.map(value).unwrap_or_default();
    let kind = match word {
        "systemd" => CheckKind::Systemd(file.systemd?.value),
        "asterisk-ami" => CheckKind::AsteriskAmi,
        "tcp" => CheckKind::Tcp(all(file.tcp?.value)?, need),
        "http" => {
            let (server, path) = file.http?.value;
            let status = file.status.map(|it| u16::try_from(it.value).ok());
            let status = if let Some(status) = status { Some(status?) } else { None };
            CheckKind::Http(Http { server, path, status, body_contains: file.body_contains.map(value) })
        }
        "command" => CheckKind::Command(file.command?.value.into_iter().map(value).collect()),
        "sip-options" => CheckKind::SipOptions(file.sip_options?.value),
        "ping" => CheckKind::Ping(all(file.ping?.value)?, need),
        "disk" => CheckKind::Disk(file.disk?.value),
        "interface" => CheckKind::Interface(file.interface?.value),
        _ => return None,
    };
    Some(Check {
        name: file.name.map_or_else(|| word.to_owned(), value),
        kind,
        every,
        timeout: file.timeout.map_or_else(|| CheckFile::default_timeout(word, every), value),
        rise: u32::try_from(file.rise?.value).ok()?,
        fall: match file.fall {
            Some(fall) => u32::try_from(fall.value).ok()?,
            None => CheckFile::default_fall(word),
        },
        when: file.when.map_or(if one_node_only { When::Active } else { When::Always }, value),
        on_fail,
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
