//! What must hold between values: the rules of design sections 2 to 4. Each looks at everything that could
//! be read, so that one run shows all problems.

mod addresses;
mod checks;
mod resources;
mod safety;
mod service;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use humantime::format_duration;

use super::file::{File, GroupFile, HeartbeatFile, Kind, Maybe, NodeFile, ResourceFile};
use super::report::{Problems, Spot, Written};
use super::schema;

/// A `NodeSet` has 32 bits.
const MOST_NODES: usize = 32;
/// A heartbeat reports on every group, and should stay within one packet.
const MOST_GROUPS: usize = 32;
/// More links than a node can have interfaces are a mistake.
const MOST_LINKS: usize = 8;

/// All rules over the whole file.
pub(super) fn check(file: &File, problems: &mut Problems<'_>) {
    timers(&file.heartbeat, problems);
    nodes(&file.nodes, problems);
    groups(file, problems);
    resources::check(file, problems);
    addresses::check(file, problems);
    safety::check(file, problems);
    service::check(file, problems);
    source::check(file, problems);
    file.recovery.check(problems);
    call_timeout(file.aws.call_timeout.as_ref(), problems);
}

/// Says that something is there twice; answers whether it was the first time.
fn first_time<K: Ord>(
    seen: &mut BTreeMap<K, Spot>,
    key: K,
    spot: &Spot,
    what: &str,
    remedy: &str,
    problems: &mut Problems<'_>,
) -> bool {
    if let Some(first) = seen.get(&key) {
        let line = problems.line(first);
        problems.add(spot, format!("{what}; this one is already in line {line}"), remedy);
        return false;
    }
    seen.insert(key, spot.clone());
    true
}

fn timers(heartbeat: &HeartbeatFile, problems: &mut Problems<'_>) {
    if let Some(port) = &heartbeat.port
        && !(1..=65535).contains(&port.value)
    {
        problems.add(&port.spot, "a UDP port is 1 to 65535", "694 is the default, and Heartbeat's");
    }
    let HeartbeatFile { interval, warn_after, dead_after, first_dead_after, .. } = heartbeat;
    let Some(dead) = dead_after else { return };
    if let Some(interval) = interval
        && dead.value <= interval.value * 2
    {
        problems.add(
            typed_one(dead, interval),
            format!(
                "dead-after ({}) must be more than twice interval ({}), or one lost heartbeat is a dead peer",
                format_duration(dead.value),
                format_duration(interval.value),
            ),
            format!(
                "write a dead-after of {} (8 intervals), or a shorter interval",
                format_duration(interval.value * 8)
            ),
        );
    } else if let (Some(interval), Some(warn)) = (interval, warn_after)
        && !(interval.value < warn.value && warn.value < dead.value)
    {
        problems.add(
            &warn.spot,
            format!(
                "warn-after lies between interval ({}) and dead-after ({})",
                format_duration(interval.value),
                format_duration(dead.value),
            ),
            format!("leave it out: then it is half of dead-after, {}", format_duration(dead.value / 2)),
        );
    }
    if let Some(first) = first_dead_after
        && first.value < dead.value
    {
        problems.add(
            typed_one(first, dead),
            format!(
                "first-dead-after ({}) must not be less than dead-after ({}): at the start peers need longer",
                format_duration(first.value),
                format_duration(dead.value),
            ),
            format!("write a first-dead-after of {} or more", format_duration(dead.value)),
        );
    }
}

/// Of two values in contradiction, the place of one that was typed, not a default.
fn typed_one<'a>(wrong: &'a Written<Duration>, other: &'a Written<Duration>) -> &'a Spot {
    if wrong.spot.is_value || !other.spot.is_value { &wrong.spot } else { &other.spot }
}

fn call_timeout(timeout: Option<&Written<Duration>>, problems: &mut Problems<'_>) {
    let sensible = Duration::from_millis(100)..=Duration::from_secs(30);
    if let Some(timeout) = timeout
        && !sensible.contains(&timeout.value)
    {
        problems.add(
            &timeout.spot,
            "call-timeout is 100ms to 30s: shorter, and good calls fail; longer, and a takeover waits for a dead one",
            "3s is the default",
        );
    }
}

fn nodes(nodes: &[NodeFile], problems: &mut Problems<'_>) {
    if let Some(last) = nodes.last()
        && !(2..=MOST_NODES).contains(&nodes.len())
    {
        let rule = format!("a cluster has 2 to {MOST_NODES} nodes; this one has {}", nodes.len());
        problems.add(&last.spot, rule, "write one [[node]] per EC2 instance that runs the agent");
    }
    let mut names = BTreeMap::new();
    let mut addresses = BTreeMap::new();
    for node in nodes {
        if let Some(name) = &node.name {
            let what = "each node has a name of its own";
            first_time(&mut names, name.value.clone(), &name.spot, what, "rename one of the nodes", problems);
        }
        for link in node.links.iter().flat_map(|links| links.value.iter().flatten()) {
            let what = "each link address belongs to one node and one link";
            let remedy = "write the address of this node's own interface";
            first_time(&mut addresses, link.value, &link.spot, what, remedy, problems);
        }
    }
    link_shape(nodes, problems);
}

/// A link is a pair of addresses: equal numbers, equal families.
fn link_shape(nodes: &[NodeFile], problems: &mut Problems<'_>) {
    let mut model: Option<(&str, &[Maybe<IpAddr>])> = None;
    for node in nodes {
        let Some(Written { value: links, spot }) = &node.links else { continue };
        if !(1..=MOST_LINKS).contains(&links.len()) {
            problems.add(
                spot,
                format!("a node has 1 to {MOST_LINKS} links"),
                "write one address per link, like [\"10.0.1.10\"]",
            );
            continue;
        }
        let Some((model_name, model_links)) = model else {
            model = Some((node.name.as_ref().map_or("the first node", |name| name.value.as_str()), links));
            continue;
        };
        if links.len() != model_links.len() {
            problems.add(
                spot,
                format!(
                    "every node has the same number of links; {model_name} has {}, this one {}",
                    model_links.len(),
                    links.len()
                ),
                "write one address per link, in the same order on every node",
            );
            continue;
        }
        for (place, (here, there)) in links.iter().zip(model_links).enumerate() {
            if let (Some(here), Some(there)) = (here, there)
                && here.value.is_ipv4() != there.value.is_ipv4()
            {
                problems.add(
                    &here.spot,
                    format!("a link is of one family; on {model_name}, link {place} is {}", there.value),
                    "write IPv4 with IPv4 and IPv6 with IPv6 at the same place of the lists",
                );
            }
        }
    }
}

fn groups(file: &File, problems: &mut Problems<'_>) {
    if let Some(last) = file.groups.get(MOST_GROUPS) {
        problems.add(
            &last.spot,
            format!("a cluster has at most {MOST_GROUPS} groups"),
            "make two clusters of it",
        );
    }
    let mut names = BTreeMap::new();
    for group in &file.groups {
        if let Some(name) = &group.name {
            let what = "each group has a name of its own";
            first_time(
                &mut names,
                name.value.clone(),
                &name.spot,
                what,
                "rename one of the groups",
                problems,
            );
        }
        group_nodes(group, file, problems);
        anchor(group, problems);
        super::asterisk::check(group, problems);
        checks::check(group, problems);
    }
}

fn group_nodes(group: &GroupFile, file: &File, problems: &mut Problems<'_>) {
    let Some(Written { value: typed, spot }) = &group.nodes else { return };
    let known: Vec<&str> =
        file.nodes.iter().filter_map(|node| Some(node.name.as_ref()?.value.as_str())).collect();
    let mut seen = BTreeMap::new();
    for node in typed {
        let what = "a group names each of its nodes once";
        let first = first_time(&mut seen, &node.value, &node.spot, what, "keep the first", problems);
        if first && !known.contains(&node.value.as_str()) {
            problems.add(&node.spot, "there is no such node", one_of(&node.value, &known));
        }
    }
    if seen.len() < 2 {
        problems.add(
            spot,
            "a group has at least two nodes, or there is nothing to fail over to",
            "name two nodes or more, or leave nodes out: then it is all of them",
        );
    }
}

/// "did you mean …?", or all that there are.
fn one_of(typed: &str, known: &[&str]) -> String {
    match schema::nearest(typed, known.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("there is {}", known.join(", ")),
    }
}

fn anchor(group: &GroupFile, problems: &mut Problems<'_>) {
    if group.resources.is_empty() {
        problems.add(
            &group.spot,
            "a group has at least one resource, for its anchor",
            "add [[group.elastic-ip]], [[group.private-ip]] or [[group.route]]",
        );
        return;
    }
    let Some(anchor) = &group.anchor else { return };
    let named = |resource: &&ResourceFile| resource.name.as_ref().is_some_and(|it| it.value == anchor.value);
    let Some(resource) = group.resources.iter().find(named) else {
        let names = group.resources.iter().filter_map(|it| Some(it.name.as_ref()?.value.as_str()));
        let names: Vec<&str> = names.collect();
        problems.add(
            &anchor.spot,
            "the anchor is the name of a resource of this group",
            one_of(&anchor.value, &names),
        );
        return;
    };
    if let Kind::Route { tables: Some(tables), destinations: Some(destinations), .. } = &resource.kind {
        let tables = distinct_number(&tables.value);
        let destinations = distinct_number(&destinations.value);
        if tables * destinations > 1 {
            problems.add(
                &anchor.spot,
                format!(
                    "an anchor is one thing with one holder; this is {} routes (tables: {tables}, destinations: {destinations})",
                    tables * destinations,
                ),
                "move one table and one destination into a [[group.route]] of its own, and make that the anchor",
            );
        }
    }
}

fn distinct_number<T: Ord>(list: &[Maybe<T>]) -> usize {
    list.iter().flatten().map(|entry| &entry.value).collect::<BTreeSet<_>>().len()
}
