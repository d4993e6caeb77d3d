//! Rules for single resources, and for their names.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::super::file::{File, GroupFile, Kind, Maybe};
use super::super::report::{Problems, Written};
use super::first_time;
use crate::cloud::Destination;

/// Rules that concern one resource at a time, or the resources of one group.
pub(super) fn check(file: &File, problems: &mut Problems<'_>) {
    // Over all groups: a route of a table has one owner.
    let mut routes = BTreeMap::new();
    for group in &file.groups {
        let mut names = BTreeMap::new();
        for resource in &group.resources {
            if let Some(name) = &resource.name {
                let what = "each resource of a group has a name of its own";
                first_time(&mut names, name.value.clone(), &name.spot, what, "rename one of them", problems);
            }
            match &resource.kind {
                Kind::ElasticIp { to: Some(to), .. } => covers_the_group(to, group, file, problems),
                Kind::Route { tables, destinations, link } => {
                    let tables = distinct_tables(tables.as_ref(), problems);
                    for destination in distinct(destinations.as_ref(), problems) {
                        for table in &tables {
                            let key = (table.clone(), destination.value.clone());
                            let what = "each destination of a route table is moved once";
                            let remedy = "leave one of them out";
                            first_time(&mut routes, key, &destination.spot, what, remedy, problems);
                        }
                    }
                    link_exists(link.as_ref(), file, problems);
                }
                Kind::ElasticIp { to: None, .. } | Kind::PrivateIp { .. } => {}
            }
        }
    }
}

/// An Elastic IP says for each node of its group, and for no other, where it goes.
fn covers_the_group(
    to: &Written<Vec<(Written<String>, Maybe<Ipv4Addr>)>>,
    group: &GroupFile,
    file: &File,
    problems: &mut Problems<'_>,
) {
    let Some(nodes) = members(group, file) else { return };
    let mut covered = BTreeSet::new();
    for (node, _) in &to.value {
        if !covered.insert(node.value.as_str()) || nodes.contains(node.value.as_str()) {
            continue;
        }
        let known: Vec<&str> = nodes.iter().copied().collect();
        problems.add(&node.spot, "not a node of this group", super::one_of(&node.value, &known));
    }
    let missing: Vec<&str> = nodes.difference(&covered).copied().collect();
    if !missing.is_empty() {
        problems.add(
            &to.spot,
            format!("to names an address for every node of the group; {} is missing", missing.join(", ")),
            format!("add {} = \"…\", a secondary private address of that node", missing[0]),
        );
    }
}

/// The names of a group's nodes; `None` if one of them is wrong: that has been said, and what follows from
/// it would only be noise.
fn members<'a>(group: &'a GroupFile, file: &'a File) -> Option<BTreeSet<&'a str>> {
    let names = file.nodes.iter().map(|node| node.name.as_ref().map(|name| name.value.as_str()));
    let all: BTreeSet<&str> = names.collect::<Option<_>>()?;
    let members = match &group.nodes {
        Some(named) => named.value.iter().map(|node| node.value.as_str()).collect(),
        None => all.clone(),
    };
    (members.len() >= 2 && members.is_subset(&all)).then_some(members)
}

fn distinct_tables(tables: Option<&Written<Vec<Maybe<String>>>>, problems: &mut Problems<'_>) -> Vec<String> {
    distinct(tables, problems).into_iter().map(|table| table.value.clone()).collect()
}

/// The entries of a list that must have some, each once.
fn distinct<'a, T: Clone + Ord>(
    list: Option<&'a Written<Vec<Maybe<T>>>>,
    problems: &mut Problems<'_>,
) -> Vec<&'a Written<T>> {
    let Some(Written { value: list, spot }) = list else { return Vec::new() };
    if list.is_empty() {
        problems.add(spot, "a route has at least one table and one destination", "name one");
    }
    let mut seen = BTreeMap::new();
    let mut kept = Vec::new();
    for entry in list.iter().flatten() {
        let what = "a list names each entry once";
        if first_time(&mut seen, entry.value.clone(), &entry.spot, what, "leave it out", problems) {
            kept.push(entry);
        }
    }
    kept
}

fn link_exists(link: Option<&Written<i64>>, file: &File, problems: &mut Problems<'_>) {
    let links = file.nodes.iter().filter_map(|node| Some(node.links.as_ref()?.value.len())).min();
    if let (Some(link), Some(links)) = (link, links)
        && !usize::try_from(link.value).is_ok_and(|it| it < links)
    {
        problems.add(
            &link.spot,
            format!("link is the place of a link in each node's links, from 0; there are {links}"),
            "leave it out: then the routes lead to the interface of the first link",
        );
    }
}

/// The destinations that could be read.
pub(super) fn good_destinations(
    destinations: Option<&Written<Vec<Maybe<Destination>>>>,
) -> impl Iterator<Item = &Written<Destination>> {
    destinations.into_iter().flat_map(|it| it.value.iter().flatten())
}
