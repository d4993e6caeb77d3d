//! What is explained as text, for a terminal of 80 columns and an operator who was asleep a minute ago.

use std::io;

use super::view::{Anchor, Explained, Group, Moment, Node, Said};
use crate::cli::Out;
use crate::cli::layout::{age, field, wrapped, wrapped_to};

/// Prints it all.
pub(super) fn text(explained: &Explained, out: Out<'_>) -> io::Result<()> {
    for note in &explained.notes {
        wrapped(out, "! ", note)?;
    }
    for (place, it) in explained.moments.iter().enumerate() {
        if place > 0 || !explained.notes.is_empty() {
            writeln!(out)?;
        }
        moment(it, explained, out)?;
    }
    Ok(())
}

fn moment(it: &Moment, explained: &Explained, out: Out<'_>) -> io::Result<()> {
    writeln!(out, "{} as {} saw it at {} UTC", explained.cluster, explained.node, it.at)?;
    for note in &it.notes {
        wrapped(out, "! ", note)?;
    }
    for it in &it.groups {
        group(it, &explained.node, out)?;
    }
    writeln!(out, "\nOther nodes")?;
    for it in &it.nodes {
        node(it, out)?;
    }
    writeln!(out, "\nThe minute before")?;
    if it.events.is_empty() {
        writeln!(out, "  nothing new")?;
    }
    for event in &it.events {
        let about = event.group.as_ref().map_or_else(String::new, |group| format!("{group}: "));
        wrapped(out, &format!("  {}  ", event.at), &format!("{about}{}", event.text))?;
    }
    Ok(())
}

fn group(it: &Group, me: &str, out: Out<'_>) -> io::Result<()> {
    writeln!(out, "\nGroup {}", it.name)?;
    let whom = |node: &String| if node == me { format!("{node} (this node)") } else { node.clone() };
    let active: Vec<String> = it.active.iter().map(whom).collect();
    let active =
        if active.is_empty() { "no node, as far as it is heard".to_owned() } else { active.join(", ") };
    field(out, "active", &active)?;
    let since = format!("{} since {} ({}); term {}", it.role, it.role_since, age(it.role_ms), it.term);
    field(out, "this node", &since)?;
    field(out, "because", &format!("row {}: {}", it.because_row, it.because))?;
    field(out, "decision", &format!("row {}: {}", it.row, it.situation))?;
    field(out, "", &format!("since {} ({})", it.row_since, age(it.row_ms)))?;
    anchor(&it.anchor, out)?;
    if it.role == "standby" {
        let armed = match &it.armed {
            Some(node) => format!("yes: {node} was heard active, so its silence would count"),
            None => "no: silence alone would not count".to_owned(),
        };
        field(out, "armed", &armed)?;
    }
    if it.counter_at_rest {
        field(out, "counter", "at rest: the holder does not write any more")?;
    }
    match (&it.ineligible, it.takers.is_empty(), it.role) {
        (Some(why), ..) => field(out, "could take", &format!("this node could NOT: {why}"))?,
        (None, true, "active") => field(out, "could take", "no other node said that it could")?,
        (None, false, "active") => field(out, "could take", &it.takers.join(", "))?,
        (None, ..) => field(out, "could take", "this node")?,
    }
    if let Some(gate) = &it.gate {
        let time = it.gate_ms.map_or_else(String::new, |ms| format!(", for {} more", age(ms)));
        field(out, "gate", &format!("{gate}{time}"))?;
    }
    for (on, what) in [
        (it.maintenance, "maintenance: nothing is changed"),
        (it.standby, "an operator has set this node to standby"),
        (!it.fit, "the service has failed on this node"),
    ] {
        if on {
            field(out, "!", what)?;
        }
    }
    if let Some(wanted) = it.wanted {
        let reached = if it.reached { "reached" } else { "not reached yet" };
        field(out, "wanted", &format!("{wanted}: {reached}"))?;
    }
    field(out, "next", &it.next)
}

fn anchor(it: &Anchor, out: Out<'_>) -> io::Result<()> {
    let said = match (&it.read, it.read_age_ms) {
        (Some(read), Some(ms)) => format!("{} is with {read}; asked {} before", it.resource, age(ms)),
        (_, _) => format!("nothing yet about {}", it.resource),
    };
    field(out, "EC2 said", &said)?;
    let counts = match &it.owner {
        Some(owner) => format!("it is with {owner}"),
        None => "it is unknown who has it".to_owned(),
    };
    let settled = if it.settled { "settled" } else { "NOT settled: reads may lag behind a change" };
    field(out, "so", &format!("{counts}; {settled}"))?;
    if it.failed_reads > 0 {
        field(out, "!", &format!("the last {} reads failed", it.failed_reads))?;
    }
    match &it.counter {
        Some(counter) => field(out, "its counter", counter),
        None => Ok(()),
    }
}

fn node(it: &Node, out: Out<'_>) -> io::Result<()> {
    let mut words = vec![it.state.to_owned()];
    match it.heard_ms {
        Some(_) => words.push(format!("silent for {}", age(it.silent_ms))),
        None => words.push("not heard since this agent started".to_owned()),
    }
    words.extend(it.instance.clone());
    if let (Some(state), Some(ms)) = (it.ec2, it.ec2_age_ms) {
        words.push(format!("EC2 said {} before: {state}", age(ms)));
    }
    if it.hears_us == Some(false) {
        words.push("does NOT hear this node".to_owned());
    }
    wrapped_to(out, &format!("  {}: ", it.name), 4, &words.join(", "))?;
    for it in &it.said {
        wrapped_to(out, &format!("    last said of {}: ", it.group), 6, &said(it))?;
    }
    Ok(())
}

fn said(it: &Said) -> String {
    let mut words = vec![format!("{}, term {}", it.role, it.term)];
    if it.role == "standby" {
        words.push(if it.eligible { "could take it" } else { "could not take it" }.to_owned());
    }
    if !it.fit {
        words.push("its service has failed".to_owned());
    }
    if it.fail_count > 0 {
        words.push(format!("{} failures", it.fail_count));
    }
    words.push(match &it.owner {
        Some(owner) => format!("anchor with {owner}"),
        None => "anchor unknown".to_owned(),
    });
    if it.offers {
        words.push("offers the group".to_owned());
    }
    words.join(", ")
}
