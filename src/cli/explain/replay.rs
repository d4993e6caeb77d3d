//! `explain --replay`: a recording through the core of this binary.

use std::path::PathBuf;

use serde::Serialize;

use super::{failure, when};
use crate::cli::layout::{wrapped, wrapped_to};
use crate::cli::{Exit, Failure, Out};
use crate::record::{Decision, Recording, Replay, Replayed, Segment};

/// The document that `--json` prints.
#[derive(Debug, Serialize)]
struct Document {
    /// 1.
    version: u32,
    /// Whether nothing differs.
    same: bool,
    notes: Vec<String>,
    segments: Vec<Part>,
}

#[derive(Debug, Serialize)]
struct Part {
    file: PathBuf,
    /// Whose recording it is.
    node: String,
    /// The version that recorded it.
    standin: String,
    /// UTC.
    from: String,
    to: String,
    inputs: usize,
    decisions: usize,
    /// Inputs that are missing before it.
    lost: u64,
    /// The first difference of each group.
    differences: Vec<Differs>,
}

#[derive(Debug, Serialize)]
struct Differs {
    group: Option<String>,
    recorded: Option<Said>,
    now: Option<Said>,
}

#[derive(Debug, Serialize)]
struct Said {
    /// UTC.
    at: String,
    decision: String,
    row: Option<u8>,
    reason: Option<&'static str>,
}

pub(super) fn run(recording: &Recording, json: bool, out: Out<'_>) -> anyhow::Result<Exit> {
    let mut segments = Vec::new();
    for segment in &recording.segments {
        let replayed = Replay::all(segment).map_err(failure)?;
        segments.push(part(segment, &replayed)?);
    }
    let same = segments.iter().all(|it| it.differences.is_empty());
    let document = Document { version: 1, same, notes: recording.notes.clone(), segments };
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&document)?)?;
    } else {
        text(&document, out)?;
    }
    Ok(if same { Exit::Ok } else { Exit::Failed })
}

fn part(segment: &Segment, replayed: &Replayed) -> Result<Part, Failure> {
    let header = &segment.header;
    let names = &header.names;
    let me = Replay::of(segment).map_err(failure)?.core().settings().me;
    let said = |it: &Decision| Said {
        at: when::moment(header.wall_ms_at(it.at)),
        decision: it.text(names),
        row: it.row.map(|row| row.number()),
        reason: it.row.map(|row| row.situation()),
    };
    let differences = replayed.differences.iter().map(|it| Differs {
        group: it.group.and_then(|group| names.groups.get(usize::from(group.0)).cloned()),
        recorded: it.recorded.as_ref().map(said),
        now: it.now.as_ref().map(said),
    });
    Ok(Part {
        file: segment.path.clone(),
        node: names.nodes.get(usize::from(me.0)).cloned().unwrap_or_default(),
        standin: header.standin.clone(),
        from: when::moment(header.wall_ms),
        to: when::moment(header.wall_ms_at(replayed.end)),
        inputs: replayed.inputs,
        decisions: replayed.recorded.len(),
        lost: header.lost,
        differences: differences.collect(),
    })
}

fn text(document: &Document, out: Out<'_>) -> std::io::Result<()> {
    for note in &document.notes {
        wrapped(out, "! ", note)?;
    }
    for it in &document.segments {
        writeln!(out, "{}: {}, recorded by standin {}", it.file.display(), it.node, it.standin)?;
        if it.lost > 0 {
            writeln!(out, "  {} inputs are missing before it", it.lost)?;
        }
        let counts = format!("{} inputs, {} decisions", it.inputs, it.decisions);
        wrapped(out, "  ", &format!("{} to {} UTC: {counts}", it.from, it.to))?;
        if it.differences.is_empty() {
            writeln!(out, "  no difference")?;
        }
        for it in &it.differences {
            let group = it.group.as_deref().unwrap_or("the agent");
            writeln!(out, "  the first difference of {group}:")?;
            one(out, "recorded", it.recorded.as_ref())?;
            one(out, "now", it.now.as_ref())?;
        }
    }
    let all = document.segments.iter().map(|it| it.inputs).sum::<usize>();
    let end = if document.same { "No difference" } else { "This standin decides otherwise" };
    let (count, s) = (document.segments.len(), if document.segments.len() == 1 { "" } else { "s" });
    writeln!(out, "{end}: {all} inputs in {count} segment{s}.")
}

fn one(out: Out<'_>, whose: &str, said: Option<&Said>) -> std::io::Result<()> {
    let Some(said) = said else { return writeln!(out, "    {whose:<9} nothing more") };
    let row = said.row.filter(|_| !said.decision.starts_with("row "));
    let row = row.map_or_else(String::new, |row| format!(" (row {row})"));
    let reason = said.reason.map_or_else(String::new, |it| format!(": {it}"));
    let text = format!("{} {}{row}{reason}", said.at, said.decision);
    wrapped_to(out, &format!("    {whose:<9} "), 14, &text)
}
