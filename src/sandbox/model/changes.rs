//! The log of effective changes: found by comparing the state before and after, so that nothing that
//! moved (an Elastic IP that followed its address, a route that became a blackhole) can be missing.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::Serialize;

use super::state::{Destination, State, Target};

/// How many changes are kept.
const KEPT: usize = 20_000;

/// One effective change.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Change {
    /// Counts up from 1, without gaps.
    pub seq: u64,
    /// When, in microseconds since the start.
    pub at_us: u64,
    /// Who called; "" for what happened by itself.
    pub by: String,
    /// The call, or what else it was.
    pub action: String,
    /// What changed.
    pub subject: Subject,
    /// Before.
    pub from: Option<String>,
    /// After.
    pub to: Option<String>,
}

/// What can change hands, or change.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Subject {
    /// An Elastic IP; its value is "interface/private address".
    ElasticIp {
        /// Its allocation id.
        id: String,
    },
    /// A private IPv4 address; its value is the interface.
    PrivateIp {
        /// Its subnet.
        subnet: String,
        /// The address.
        address: Ipv4Addr,
    },
    /// A route; its value is the target, with " blackhole" if it is one.
    Route {
        /// Its table.
        table: String,
        /// Its destination.
        destination: Destination,
    },
    /// An instance; its value is its state.
    Instance {
        /// Its id.
        id: String,
    },
    /// A tag; its value is its value.
    Tag {
        /// What is tagged.
        id: String,
        /// Its key.
        key: String,
    },
}

/// The last changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    seq: u64,
    changes: VecDeque<Change>,
}

impl Log {
    /// Writes down how `after` differs from `before`.
    pub(super) fn compare(&mut self, before: &State, after: &State, at: Duration, by: &str, action: &str) {
        let (old, new) = (facts(before), facts(after));
        let gone = old.iter().filter(|(subject, _)| !new.contains_key(*subject));
        let gone = gone.map(|(subject, from)| (subject, Some(from), None));
        let came = new.iter().filter(|(subject, to)| old.get(*subject) != Some(*to));
        let came = came.map(|(subject, to)| (subject, old.get(subject), Some(to)));
        for (subject, from, to) in gone.chain(came) {
            self.seq += 1;
            if self.changes.len() == KEPT {
                self.changes.pop_front();
            }
            self.changes.push_back(Change {
                seq: self.seq,
                at_us: u64::try_from(at.as_micros()).unwrap_or(u64::MAX),
                by: by.to_owned(),
                action: action.to_owned(),
                subject: subject.clone(),
                from: from.cloned(),
                to: to.cloned(),
            });
        }
    }

    pub(super) fn after(&self, seq: u64) -> impl Iterator<Item = &Change> {
        let skip = self.changes.partition_point(|it| it.seq <= seq);
        self.changes.range(skip..)
    }

    pub(super) fn last(&self) -> u64 {
        self.seq
    }
}

/// What can change, with its value.
pub(super) fn facts(state: &State) -> BTreeMap<Subject, String> {
    let mut facts = BTreeMap::new();
    for address in state.elastic_ips.values() {
        if let Some(at) = &address.association {
            let subject = Subject::ElasticIp { id: address.id.clone() };
            facts.insert(subject, format!("{}/{}", at.interface, at.private_ip));
        }
    }
    for interface in state.interfaces.values() {
        for address in interface.addresses() {
            let subject = Subject::PrivateIp { subnet: interface.subnet.clone(), address };
            facts.insert(subject, interface.id.clone());
        }
    }
    for table in state.route_tables.values() {
        for route in &table.routes {
            let target = match &route.target {
                Target::Local => "local".to_owned(),
                Target::Gateway(id) | Target::Interface(id) => id.clone(),
            };
            let blackhole = if state.is_blackhole(&route.target) { " blackhole" } else { "" };
            let (table, destination) = (table.id.clone(), route.destination.clone());
            facts.insert(Subject::Route { table, destination }, format!("{target}{blackhole}"));
        }
    }
    for instance in state.instances.values() {
        let subject = Subject::Instance { id: instance.id.clone() };
        facts.insert(subject, instance.state.code().1.to_owned());
    }
    let tagged = state.interfaces.values().map(|it| (&it.id, &it.tags));
    let tagged = tagged.chain(state.elastic_ips.values().map(|it| (&it.id, &it.tags)));
    let tagged = tagged.chain(state.route_tables.values().map(|it| (&it.id, &it.tags)));
    let tagged = tagged.chain(state.instances.values().map(|it| (&it.id, &it.tags)));
    for (id, tags) in tagged {
        for (key, value) in tags {
            facts.insert(Subject::Tag { id: id.clone(), key: key.clone() }, value.clone());
        }
    }
    facts
}
