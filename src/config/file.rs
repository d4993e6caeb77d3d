//! The file as the operator wrote it: each value in its form, with its place. What is bad or absent is
//! `None` here and a problem there, so that the rules can look at everything else.

mod checks;
mod service;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeTable;

use super::asterisk::AsteriskFile;
use super::forms;
use super::recovery::RecoveryFile;
use super::report::{Problems, Spot, Written};
use super::source::{SourcePorts, source_ports};
use super::table::Table;
use super::{Arbiter, Fencing, WhenFencingFails, WhenIsolated, WhenSilent};
use crate::cloud::Destination;
pub(super) use service::{HookFile, ServiceFile};

pub(super) use checks::{CheckFile, KINDS};

/// A value that may be bad.
pub(super) type Maybe<T> = Option<Written<T>>;

/// The whole file.
#[derive(Debug)]
pub(super) struct File {
    pub(super) cluster: Maybe<String>,
    pub(super) key_file: Maybe<PathBuf>,
    pub(super) state_dir: Maybe<PathBuf>,
    pub(super) socket: Maybe<PathBuf>,
    pub(super) heartbeat: HeartbeatFile,
    pub(super) nodes: Vec<NodeFile>,
    pub(super) groups: Vec<GroupFile>,
    pub(super) recovery: RecoveryFile,
    pub(super) aws: AwsFile,
    pub(super) lease: LeaseFile,
}

/// `[heartbeat]`.
#[derive(Debug)]
pub(super) struct HeartbeatFile {
    pub(super) port: Maybe<i64>,
    pub(super) interval: Maybe<Duration>,
    /// `None` also when it is not written: then it follows dead-after.
    pub(super) warn_after: Maybe<Duration>,
    pub(super) dead_after: Maybe<Duration>,
    pub(super) first_dead_after: Maybe<Duration>,
}

/// `[[node]]`.
#[derive(Debug)]
pub(super) struct NodeFile {
    pub(super) spot: Spot,
    pub(super) name: Maybe<String>,
    /// With the place of the list; bad addresses are `None`, so that the others keep their position.
    pub(super) links: Maybe<Vec<Maybe<IpAddr>>>,
}

/// `[[group]]`.
#[derive(Debug)]
pub(super) struct GroupFile {
    pub(super) spot: Spot,
    pub(super) name: Maybe<String>,
    /// `None`: all nodes.
    pub(super) nodes: Maybe<Vec<Written<String>>>,
    pub(super) anchor: Maybe<String>,
    pub(super) arbiter: Maybe<Arbiter>,
    pub(super) when_silent: Maybe<WhenSilent>,
    /// `None`: it is not written.
    pub(super) probe: Option<ProbeFile>,
    pub(super) when_isolated: Maybe<WhenIsolated>,
    pub(super) fencing: Maybe<Fencing>,
    pub(super) when_fencing_fails: Maybe<WhenFencingFails>,
    /// `None` in it: never.
    pub(super) failback: Maybe<Option<Duration>>,
    pub(super) migration_threshold: Maybe<i64>,
    /// `None` also when it is not written: then only cleanup.
    pub(super) failure_timeout: Maybe<Duration>,
    /// `None`: it is not written.
    pub(super) service: Option<ServiceFile>,
    /// `None`: it is not written.
    pub(super) asterisk: Option<AsteriskFile>,
    pub(super) checks: Vec<CheckFile>,
    /// In the order of the file.
    pub(super) resources: Vec<ResourceFile>,
    pub(super) hooks: Vec<HookFile>,
}

/// `[group.probe]`.
#[derive(Debug)]
pub(super) struct ProbeFile {
    pub(super) spot: Spot,
    pub(super) sip_options: Maybe<SocketAddr>,
    pub(super) tcp: Maybe<SocketAddr>,
    pub(super) command: Maybe<Vec<Written<String>>>,
    /// Which of the three are written, well or badly.
    pub(super) asks: Vec<&'static str>,
    pub(super) timeout: Maybe<Duration>,
}

/// A resource, whatever its kind.
#[derive(Debug)]
pub(super) struct ResourceFile {
    pub(super) spot: Spot,
    pub(super) name: Maybe<String>,
    pub(super) kind: Kind,
}

/// What differs between the kinds of resources.
#[derive(Debug)]
pub(super) enum Kind {
    ElasticIp {
        allocation: Maybe<String>,
        to: Maybe<Vec<(Written<String>, Maybe<Ipv4Addr>)>>,
        source_ports: Maybe<Vec<Maybe<SourcePorts>>>,
    },
    PrivateIp {
        address: Maybe<Ipv4Addr>,
        elastic_ip: Maybe<String>,
        guest: Option<bool>,
        source_ports: Maybe<Vec<Maybe<SourcePorts>>>,
    },
    Route {
        tables: Maybe<Vec<Maybe<String>>>,
        destinations: Maybe<Vec<Maybe<Destination>>>,
        link: Maybe<i64>,
    },
}

/// `[aws]`.
#[derive(Debug)]
pub(super) struct AwsFile {
    pub(super) region: Maybe<String>,
    pub(super) profile: Maybe<String>,
    pub(super) endpoint_url: Maybe<String>,
    pub(super) call_timeout: Maybe<Duration>,
}

/// `[lease]`.
#[derive(Debug)]
pub(super) struct LeaseFile {
    /// Of its header; `None`: it is not written.
    pub(super) spot: Option<Spot>,
    pub(super) table: Maybe<String>,
    pub(super) length: Maybe<Duration>,
    pub(super) stop_bound: Maybe<Duration>,
    /// `None` in it: none.
    pub(super) grace: Maybe<Option<Duration>>,
    pub(super) endpoint_url: Maybe<String>,
}

impl File {
    /// Reads the whole file; bad forms become problems.
    pub(super) fn read(top: &Table<'_>, problems: &mut Problems<'_>) -> Self {
        let empty = DeTable::new();
        let heartbeat = top.table("heartbeat", &empty);
        let aws = top.table("aws", &empty);
        Self {
            cluster: form(top.text("cluster"), forms::name, problems),
            key_file: form(top.text("key-file"), forms::path, problems),
            state_dir: form(top.text("state-dir"), forms::path, problems),
            socket: form(top.text("socket"), forms::socket, problems),
            heartbeat: HeartbeatFile {
                port: heartbeat.integer("port"),
                interval: form(heartbeat.text("interval"), forms::duration, problems),
                warn_after: form(heartbeat.text("warn-after"), forms::duration, problems),
                dead_after: form(heartbeat.text("dead-after"), forms::duration, problems),
                first_dead_after: form(heartbeat.text("first-dead-after"), forms::duration, problems),
            },
            nodes: top.tables("node").iter().map(|table| NodeFile::read(table, problems)).collect(),
            groups: top.tables("group").iter().map(|table| GroupFile::read(table, problems)).collect(),
            recovery: RecoveryFile::read(&top.table("recovery", &empty), problems),
            aws: AwsFile {
                region: form(aws.text("region"), forms::region, problems),
                profile: aws.text("profile"),
                endpoint_url: form(aws.text("endpoint-url"), forms::endpoint, problems),
                call_timeout: form(aws.text("call-timeout"), forms::duration, problems),
            },
            lease: LeaseFile::read(top, problems),
        }
    }
}

impl NodeFile {
    fn read(table: &Table<'_>, problems: &mut Problems<'_>) -> Self {
        Self {
            spot: table.spot(),
            name: form(table.text("name"), forms::name, problems),
            links: form_list(table.list("links"), forms::address, problems),
        }
    }
}

impl GroupFile {
    fn read(table: &Table<'_>, problems: &mut Problems<'_>) -> Self {
        let kinds = ["elastic-ip", "private-ip", "route"];
        let tables = kinds.iter().flat_map(|kind| table.tables(kind).into_iter().map(move |it| (*kind, it)));
        let mut resources: Vec<_> =
            tables.map(|(kind, table)| ResourceFile::read(kind, &table, problems)).collect();
        resources.sort_by_key(|resource| resource.spot.range.start);
        Self {
            spot: table.spot(),
            name: form(table.text("name"), forms::name, problems),
            nodes: table.list("nodes"),
            anchor: table.text("anchor"),
            arbiter: choice(
                table.text("arbiter"),
                &[("ec2", Arbiter::Ec2), ("dynamodb", Arbiter::Dynamodb)],
                problems,
            ),
            when_silent: choice(
                table.text("when-silent"),
                &[("take", WhenSilent::Take), ("probe", WhenSilent::Probe), ("hold", WhenSilent::Hold)],
                problems,
            ),
            probe: table.written("probe").map(|probe| ProbeFile::read(&probe, problems)),
            when_isolated: choice(
                table.text("when-isolated"),
                &[("keep", WhenIsolated::Keep), ("release", WhenIsolated::Release)],
                problems,
            ),
            fencing: choice(
                table.text("fencing"),
                &[("none", Fencing::None), ("before", Fencing::Before), ("alongside", Fencing::Alongside)],
                problems,
            ),
            when_fencing_fails: choice(
                table.text("when-fencing-fails"),
                &[("hold", WhenFencingFails::Hold), ("take", WhenFencingFails::Take)],
                problems,
            ),
            failback: form(table.text("failback"), |text| forms::duration_or(text, "never"), problems),
            migration_threshold: table.integer("migration-threshold"),
            failure_timeout: form(table.text("failure-timeout"), forms::duration, problems),
            service: table.written("service").map(|service| ServiceFile::read(&service, problems)),
            asterisk: table.written("asterisk").map(|it| AsteriskFile::read(&it, problems)),
            checks: table.tables("check").iter().map(|check| CheckFile::read(check, problems)).collect(),
            resources,
            hooks: table.tables("hook").iter().map(|hook| HookFile::read(hook, problems)).collect(),
        }
    }
}

impl ProbeFile {
    fn read(table: &Table<'_>, problems: &mut Problems<'_>) -> Self {
        let asks = ["sip-options", "tcp", "command"];
        Self {
            spot: table.spot(),
            sip_options: form(table.text("sip-options"), forms::udp_service, problems),
            tcp: form(table.text("tcp"), forms::service_address, problems),
            command: table.list("command"),
            asks: asks.into_iter().filter(|ask| table.has(ask)).collect(),
            timeout: form(table.text("timeout"), forms::duration, problems),
        }
    }
}

impl LeaseFile {
    fn read(top: &Table<'_>, problems: &mut Problems<'_>) -> Self {
        let empty = DeTable::new();
        let table = top.table("lease", &empty);
        Self {
            spot: top.has("lease").then(|| table.spot()),
            table: form(table.text("table"), forms::dynamodb_table, problems),
            length: form(table.text("length"), forms::duration, problems),
            stop_bound: form(table.text("stop-bound"), forms::duration, problems),
            grace: form(table.text("grace"), |text| forms::duration_or(text, "none"), problems),
            endpoint_url: form(table.text("endpoint-url"), forms::endpoint, problems),
        }
    }
}

impl ResourceFile {
    fn read(kind: &str, table: &Table<'_>, problems: &mut Problems<'_>) -> Self {
        let name = form(table.text("name"), forms::name, problems);
        let kind = match kind {
            "elastic-ip" => Kind::ElasticIp {
                allocation: form(table.text("allocation-id"), forms::allocation_id, problems),
                to: table.map("to").map(|Written { value, spot }| {
                    let pairs = value.into_iter();
                    let pairs = pairs.map(|(node, to)| (node, form(Some(to), forms::ipv4, problems)));
                    Written { value: pairs.collect(), spot }
                }),
                source_ports: form_list(table.list("source-ports"), source_ports, problems),
            },
            "private-ip" => Kind::PrivateIp {
                address: form(table.text("address"), forms::ipv4, problems),
                elastic_ip: form(table.text("elastic-ip"), forms::allocation_id, problems),
                guest: table.switch("guest"),
                source_ports: form_list(table.list("source-ports"), source_ports, problems),
            },
            _ => Kind::Route {
                tables: form_list(table.list("tables"), forms::route_table, problems),
                destinations: form_list(table.list("destinations"), forms::destination, problems),
                link: table.integer("link"),
            },
        };
        Self { spot: table.spot(), name, kind }
    }
}

pub(super) fn form<T>(
    text: Maybe<String>,
    parse: impl Fn(&str) -> Result<T, super::report::Refusal>,
    problems: &mut Problems<'_>,
) -> Maybe<T> {
    let Written { value, spot } = text?;
    problems.keep(spot, parse(&value))
}

fn form_list<T>(
    list: Maybe<Vec<Written<String>>>,
    parse: impl Fn(&str) -> Result<T, super::report::Refusal>,
    problems: &mut Problems<'_>,
) -> Maybe<Vec<Maybe<T>>> {
    let Written { value, spot } = list?;
    Some(Written { value: value.into_iter().map(|it| form(Some(it), &parse, problems)).collect(), spot })
}

/// One of a few words.
pub(super) fn choice<T: Copy>(
    text: Maybe<String>,
    words: &[(&str, T)],
    problems: &mut Problems<'_>,
) -> Maybe<T> {
    let Written { value: typed, spot } = text?;
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == typed) {
        return Some(Written { value: *value, spot });
    }
    let list: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    let list = match list.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        Some(_) | None => list.concat(),
    };
    problems.add(&spot, format!("only {list}"), format!("write {list}"));
    None
}
