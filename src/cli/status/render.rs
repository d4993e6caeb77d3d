//! The status as text, for a terminal of 80 columns.

use std::io;

use crate::cli::Out;
use crate::cli::layout::{age, field, wrapped, wrapped_to};
use crate::control::protocol::{Group, Lease, Link, Node, Status, Takeover};

/// Prints it all, the most important things first.
pub(super) fn text(status: &Status, out: Out<'_>) -> io::Result<()> {
    writeln!(out, "{} as {} sees it, {}", status.cluster, status.node, status.at)?;
    if status.well {
        writeln!(out, "\nAll is well.")?;
    } else {
        writeln!(out, "\nNeeds attention:")?;
        for problem in &status.problems {
            wrapped(out, "  - ", problem)?;
        }
    }
    for it in status.groups.iter() {
        group(it, &status.node, out)?;
    }
    writeln!(out, "\nNodes")?;
    for it in &status.nodes {
        node(it, status, out)?;
    }
    if !status.takeovers.is_empty() {
        writeln!(out, "\nTakeovers by this node (ms after the decision)")?;
        for it in &status.takeovers {
            takeover(it, out)?;
        }
    }
    if !status.errors.is_empty() {
        writeln!(out, "\nLast errors")?;
        for it in &status.errors {
            let over = if it.over { ", over since" } else { "" };
            let head = format!("  {}, {} ago, {} in all{over}: ", it.call, age(it.age_ms), it.count);
            wrapped_to(out, &head, 4, &it.text)?;
        }
    }
    let agent = &status.agent;
    writeln!(out, "\nAgent")?;
    let (version, pid, up) = (&agent.version, agent.pid, age(agent.up_ms));
    writeln!(out, "  standin {version}, process {pid}, up {up}, {} stalls", agent.stalls)?;
    writeln!(out, "  foreign datagrams: {}", agent.foreign_datagrams)?;
    match &agent.recording {
        Some(folder) => writeln!(out, "  recorded in {folder}, {} lines left out", agent.recording_dropped),
        None => writeln!(out, "  nothing is recorded"),
    }
}

fn group(it: &Group, me: &str, out: Out<'_>) -> io::Result<()> {
    writeln!(out, "\nGroup {}", it.name)?;
    let whom = |node: &String| if node == me { format!("{node} (this node)") } else { node.clone() };
    let active: Vec<String> = it.active.iter().map(whom).collect();
    let active =
        if active.is_empty() { "no node, as far as it is heard".to_owned() } else { active.join(", ") };
    field(out, "active", &active)?;
    if !it.member {
        return field(out, "members", &it.members.join(", "));
    }
    let since = age(it.since_ms);
    field(out, "this node", &format!("{} for {since}, term {}", it.role, it.term))?;
    field(out, "because", &format!("row {}: {}", it.row, it.reason))?;
    field(out, "now", &format!("row {}: {}", it.row_now, it.situation))?;
    let works = if it.takeover.works { "would work" } else { "would NOT work" };
    field(out, "takeover", &format!("{works}: {}", it.takeover.because))?;
    if let Some(armed) = &it.armed {
        field(out, "armed", &format!("the silence of {armed} would move the group"))?;
    }
    if it.maintenance {
        field(out, "maintenance", "on: nothing is changed")?;
    }
    if it.standby {
        field(out, "standby", "an operator has set this node to standby")?;
    }
    let fencing = match it.fencing.as_str() {
        "none" => "none: nothing makes sure that a silent node's processes have stopped",
        other => other,
    };
    field(out, "fencing", fencing)?;
    if let Some(fence) = &it.fence {
        let how = match fence.state.as_str() {
            "accepted" => "EC2 is stopping its instance",
            "failed" => "has FAILED: its instance has not been stopped",
            _ => "EC2 is asked to stop its instance",
        };
        field(out, "", &format!("{}: {how}", fence.node))?;
    }
    if let Some(of) = &it.lease {
        field(out, "lease", &lease(of, me))?;
    }
    if it.fail_count > 0 {
        let barred = if it.barred { ", and is BARRED from this node until cleanup" } else { "" };
        let times = if it.fail_count == 1 { "once".to_owned() } else { format!("{} times", it.fail_count) };
        field(out, "service", &format!("has failed here {times}{barred}"))?;
    }
    if let Some(desired) = &it.desired {
        let reached = if it.reached { "reached" } else { "not reached yet" };
        field(out, "wanted here", &format!("{desired}: {reached}"))?;
    }
    let settled = if it.anchor.settled { "" } else { ", not settled" };
    field(out, "anchor", &format!("{}: {}{settled}", it.anchor.resource, it.anchor.owner))?;
    resources(it, out)?;
    checks(it, out)?;
    for hook in it.hooks.iter().take(2) {
        let took = millis(hook.took_us);
        let text = format!("{} {}, took {took} ms, {} ago", hook.program, hook.end, age(hook.age_ms));
        field(out, &hook.event, &text)?;
    }
    Ok(())
}

fn lease(it: &Lease, me: &str) -> String {
    let mut words = match (it.valid_for_ms, it.expires_in_ms) {
        (Some(ms), _) => vec![format!("{}, valid for {} if it is not renewed", it.owner, age(ms))],
        (None, Some(0)) => vec![format!("{}, has run out", it.owner)],
        (None, Some(ms)) => vec![format!("{}, runs out in {} if it is not renewed", it.owner, age(ms))],
        (None, None) if it.owner == me => vec![format!("{me}, NOT valid: it has to be renewed first")],
        (None, None) => vec![it.owner.clone()],
    };
    words.extend(it.read_age_ms.map(|ms| format!("read {} ago", age(ms))));
    if it.failed_calls > 0 {
        words.push(format!("DynamoDB has FAILED {} calls in a row", it.failed_calls));
    }
    words.join(", ")
}

fn resources(it: &Group, out: Out<'_>) -> io::Result<()> {
    let name_width = it.resources.iter().map(|it| it.name.chars().count()).max().unwrap_or(0).clamp(8, 30);
    if !it.resources.is_empty() {
        writeln!(out, "  {:<name_width$} {:<11} {:<20} read", "resource", "kind", "held by (EC2)")?;
    }
    for resource in &it.resources {
        let holder = resource.holder.as_deref().unwrap_or("not read yet");
        let read = resource.age_ms.map_or_else(String::new, |ms| format!("{} ago", age(ms)));
        let line = format!("  {:<name_width$} {:<11} {holder:<20} {read}", resource.name, resource.kind);
        writeln!(out, "{}", line.trim_end())?;
        if let Some(problem) = &resource.problem {
            wrapped(out, "    ! ", problem)?;
        }
    }
    Ok(())
}

fn checks(it: &Group, out: Out<'_>) -> io::Result<()> {
    let name_width = it.checks.iter().map(|it| it.name.chars().count()).max().unwrap_or(0).clamp(8, 30);
    if !it.checks.is_empty() {
        writeln!(out, "  {:<name_width$} {:<11} {:<20} took", "check", "kind", "state")?;
    }
    for check in &it.checks {
        let state = match check.state.as_str() {
            "failed" => "FAILED",
            "degraded" => "DEGRADED",
            "unknown" => "UNKNOWN",
            other => other,
        };
        let state = format!("{state} for {}", age(check.since_ms));
        let took = check.took_us.map_or_else(String::new, |us| format!("{} ms", millis(us)));
        let line = format!("  {:<name_width$} {:<11} {state:<20} {took}", check.name, check.kind);
        writeln!(out, "{}", line.trim_end())?;
        if !check.text.is_empty() {
            let times = match check.fails {
                0 | 1 => String::new(),
                fails => format!(", {fails} times in a row"),
            };
            wrapped(out, "    ! ", &format!("{}{times}", check.text))?;
        }
    }
    Ok(())
}

fn node(it: &Node, status: &Status, out: Out<'_>) -> io::Result<()> {
    let mut words = vec![it.state.clone()];
    if let Some(ms) = it.heard_ms.filter(|_| it.state != "online") {
        words.push(format!("last heard {} ago", age(ms)));
    }
    words.extend(it.instance.clone());
    if let Some(recovery) = &it.recovery {
        let next = recovery.next_in_ms.map_or_else(String::new, |ms| format!(", next in {}", age(ms)));
        words.push(format!("recovery: {}, {} attempts{next}", recovery.state, recovery.attempts));
    }
    if it.hears_us == Some(false) {
        words.push("does NOT hear this node".to_owned());
    }
    if it.same_config == Some(false) {
        words.push("has ANOTHER configuration".to_owned());
    }
    wrapped_to(out, &format!("  {}: ", it.name), 4, &words.join(", "))?;
    for link in &it.links {
        self::link(link, status, out)?;
    }
    Ok(())
}

fn link(it: &Link, status: &Status, out: Out<'_>) -> io::Result<()> {
    let rtt = it.rtt_us.map_or_else(String::new, |us| format!(", rtt {} ms", millis(us)));
    let head = format!("    link {}: ", it.link);
    let text = format!(
        "{} - {}, {} for {}{rtt}, loss {:.2} %, late {}, lost {}",
        it.ours,
        it.theirs,
        it.state,
        age(it.since_ms),
        it.loss_percent,
        it.late,
        it.lost
    );
    wrapped_to(out, &head, 6, &text)?;
    if let (Some(p99), Some(longest)) = (it.gap_p99_us, it.gap_longest_us) {
        let advised = it
            .advised_dead_after_ms
            .map_or_else(|| "advised after 1000 heartbeats".to_owned(), |ms| format!("advised {}", age(ms)));
        let text = format!(
            "p99 {} ms, longest {} ms; dead-after {}, {advised}",
            millis(p99),
            millis(longest),
            age(status.agent.dead_after_ms)
        );
        wrapped_to(out, "      gaps ", 6, &text)?;
    }
    if it.refused > 0 {
        let why = it.refused_because.as_deref().unwrap_or_default();
        wrapped_to(out, "      ! ", 6, &format!("{} datagrams refused, the last: {why}", it.refused))?;
    }
    Ok(())
}

fn takeover(it: &Takeover, out: Out<'_>) -> io::Result<()> {
    wrapped_to(out, &format!("  {} {}: ", it.at, it.group), 4, &it.from)?;
    let step = |us: Option<u64>| us.map_or_else(|| "not yet".to_owned(), millis);
    let text = format!(
        "take sent {}, answered {}, rest {}, guest {}, hooks {}",
        millis(it.take_sent_us),
        millis(it.take_answered_us),
        step(it.rest_done_us),
        step(it.guest_done_us),
        step(it.hooks_done_us)
    );
    wrapped(out, "    ", &text)
}

/// Microseconds in milliseconds, with one digit after the point.
fn millis(us: u64) -> String {
    format!("{}.{}", us / 1000, us % 1000 / 100)
}

#[cfg(test)]
mod tests;
