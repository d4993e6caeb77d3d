//! Rules for `source-ports`: the agent's own traffic stays out, and of two addresses that one node may serve at
//! the same time, a packet knows which one it leaves from.

use super::super::file::{File, GroupFile, Kind, Maybe, ResourceFile};
use super::super::report::{Problems, Written};
use super::super::source::{SourcePorts, Transport};

/// All rules over `source-ports`.
pub(super) fn check(file: &File, problems: &mut Problems<'_>) {
    let heartbeats = file.heartbeat.port.as_ref().and_then(|port| u16::try_from(port.value).ok());
    let mut seen: Vec<(&GroupFile, &ResourceFile, &Written<SourcePorts>)> = Vec::new();
    for group in &file.groups {
        for resource in &group.resources {
            for ports in ports(resource) {
                if heartbeats.is_some_and(|port| has(&ports.value, port)) {
                    problems.add(
                        &ports.spot,
                        "these ports contain the one of the heartbeats, which leave from their links' addresses",
                        "leave heartbeat.port out of the range",
                    );
                }
                let earlier =
                    seen.iter().find(|(of, _, it)| it.value.overlap(&ports.value) && share(of, group));
                if let Some((_, of, it)) = earlier {
                    let line = problems.line(&it.spot);
                    let (rule, remedy) = if std::ptr::eq(*of, resource) {
                        (
                            format!("each port is named once; \"{}\" is in line {line}", it.value),
                            "leave one of them out",
                        )
                    } else {
                        (
                            format!(
                                "a packet leaves from one address; \"{}\" of line {line} is for another one, which the same node may have",
                                it.value
                            ),
                            "give the services different ports, or bind each to its own address instead \
                             (net.ipv4.ip_nonlocal_bind=1 allows that on the standby too)",
                        )
                    };
                    problems.add(&ports.spot, rule, remedy);
                }
                seen.push((group, resource, ports));
            }
        }
    }
}

fn ports(resource: &ResourceFile) -> impl Iterator<Item = &Written<SourcePorts>> {
    let list: Option<&Written<Vec<Maybe<SourcePorts>>>> = match &resource.kind {
        Kind::ElasticIp { source_ports, .. } | Kind::PrivateIp { source_ports, .. } => source_ports.as_ref(),
        Kind::Route { .. } => None,
    };
    list.into_iter().flat_map(|list| list.value.iter().flatten())
}

fn has(ports: &SourcePorts, port: u16) -> bool {
    let SourcePorts { transport, first, last } = *ports;
    transport == Transport::Udp && (first..=last).contains(&port)
}

/// Whether a node may serve both groups.
fn share(one: &GroupFile, other: &GroupFile) -> bool {
    let (Some(one), Some(other)) = (&one.nodes, &other.nodes) else { return true };
    one.value.iter().any(|node| other.value.iter().any(|it| it.value == node.value))
}
