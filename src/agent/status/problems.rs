//! Is everything well? What is not, each in one sentence, the worst first.

use crate::control::protocol::{CallError, Check, Group, Node, Status};

/// An error that has not been over since is a problem for so long.
const RECENT_MS: u64 = 120_000;
/// A read says nothing about a situation that began after it, or less than this before it: reads lag.
const READS_LAG_MS: u64 = 5000;

/// So many calls to DynamoDB that fail one after the other are no hiccup.
const FAILED_CALLS: u32 = 3;

/// What needs somebody's attention.
pub(super) fn of(status: &Status, identity_known: bool) -> Vec<String> {
    let mut problems = Vec::new();
    for group in status.groups.iter().filter(|group| group.member) {
        about_group(group, &mut problems);
    }
    for node in &status.nodes {
        about_node(node, &mut problems);
    }
    if !identity_known {
        problems.push("this node does not know its own instance and interfaces in EC2 yet".to_owned());
    }
    // What a hook or the guest's address lacks is said with its group already, and whatever stands above.
    let new = |error: &CallError| !["hook", "guest address", "guest routes"].contains(&error.call.as_str());
    let recent = status.errors.iter().filter(|error| !error.over && error.age_ms < RECENT_MS);
    let said = problems.join("\n");
    for error in recent.filter(|error| new(error) && !said.contains(&error.text)) {
        problems.push(format!("{} fails: {}", error.call, error.text));
    }
    problems
}

fn about_group(group: &Group, problems: &mut Vec<String>) {
    let name = &group.name;
    match group.active.as_slice() {
        [] => problems.push(format!("{name}: no node is heard to be active")),
        [_] => {}
        [_, _, ..] => problems.push(format!("{name}: several nodes are active: {}", group.active.join(", "))),
    }
    if group.anchor.owner == "a stranger" {
        problems.push(format!("{name}: the anchor {} is with a stranger", group.anchor.resource));
    }
    if group.anchor.failed_reads >= 3 {
        problems.push(format!("{name}: EC2 does not say who holds the anchor {}", group.anchor.resource));
    }
    if group.maintenance {
        problems.push(format!("{name}: in maintenance, nothing is changed"));
    }
    if !group.takeover.works && !group.maintenance {
        problems.push(format!("{name}: a takeover would not work now: {}", group.takeover.because));
    }
    let checks: Vec<&Check> = group.checks.iter().filter(|it| it.state != "ok").collect();
    // What has made it unfit is said with the check.
    if !group.fit && !checks.iter().any(|it| it.state == "failed" && it.on_fail == "move") {
        problems.push(format!("{name}: the service has failed on this node"));
    }
    if group.barred {
        let count = group.fail_count;
        problems.push(format!("{name}: the service is barred from this node, fail count {count}"));
    }
    if let Some(fence) = group.fence.as_ref().filter(|fence| fence.state == "failed") {
        let node = &fence.node;
        problems.push(format!("{name}: fencing of {node} has failed, so that {node} may still run"));
    }
    if let Some(lease) = group.lease.as_ref().filter(|lease| lease.failed_calls >= FAILED_CALLS) {
        let left = lease.valid_for_ms.map_or_else(String::new, |ms| {
            format!("; this node stands down in {}.{} s", ms / 1000, ms % 1000 / 100)
        });
        problems.push(format!("{name}: DynamoDB has failed {} calls in a row{left}", lease.failed_calls));
    }
    for it in checks {
        about_check(it, group, problems);
    }
    for failing in &group.failing {
        problems.push(format!("{name}: {failing}"));
    }
    let holder = group.active.first();
    let settled = |age: Option<u64>| age.is_some_and(|age| age + READS_LAG_MS < group.row_now_ms);
    let comparable = |age| group.active.len() == 1 && settled(age);
    for resource in group.resources.iter().filter(|it| comparable(it.age_ms)) {
        if let (Some(of), Some(active)) = (&resource.holder, holder)
            && of != active
            && !group.failing.iter().any(|it| it.starts_with(&resource.name))
        {
            problems.push(format!("{name}: {} is with {of}, not with {active}", resource.name));
        }
    }
}

fn about_check(it: &Check, group: &Group, problems: &mut Vec<String>) {
    let (name, check) = (&group.name, &it.name);
    // It may be why this node is not able, which is said already.
    if group.takeover.because.contains(&format!("check {check}: ")) && !group.maintenance {
        return;
    }
    let text = &it.text;
    match it.state.as_str() {
        "failed" => problems.push(format!("{name}: check {check} has failed: {text}")),
        "degraded" => problems.push(format!("{name}: check {check} is degraded: {text}")),
        "unknown" => problems.push(format!("{name}: check {check} cannot be made: {text}")),
        _ => {}
    }
}

fn about_node(node: &Node, problems: &mut Vec<String>) {
    let name = &node.name;
    match node.state.as_str() {
        "this node" | "online" | "late" => {}
        "key mismatch" => {
            let why = node.links.iter().find_map(|link| link.refused_because.as_deref());
            let why = why.unwrap_or("compare the key files");
            problems.push(format!("{name} sends, but does not authenticate: {why}"));
        }
        state => {
            let why = node.links.iter().find_map(|link| link.refused_because.as_deref());
            let sends =
                why.map_or_else(String::new, |why| format!("; the last datagram from it was refused: {why}"));
            problems.push(format!("{name} is {state}{sends}"));
            if let Some(it) = node.recovery.as_ref().filter(|it| it.state == "gave up") {
                problems.push(format!(
                    "attempts to recover {name}: {}, and it is not heard: look at it",
                    it.attempts
                ));
            }
        }
    }
    let heard = matches!(node.state.as_str(), "online" | "late");
    for link in node.links.iter().filter(|link| heard && link.state != "up") {
        problems.push(format!(
            "link {} ({} - {}) to {name} is {}",
            link.link, link.ours, link.theirs, link.state
        ));
    }
    if node.hears_us == Some(false) {
        problems.push(format!("{name} is heard, but does not hear this node"));
    }
    if node.same_config == Some(false) {
        problems.push(format!("{name} has another configuration"));
    }
}
