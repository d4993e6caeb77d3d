//! `standin explain`.

mod events;
mod moment;
mod next;
mod render;
mod replay;
mod view;
mod when;
mod words;

use std::path::{Path, PathBuf};

use super::config::DEFAULT_FILE;
use super::{Exit, Failure, Out};
use crate::config::Config;
use crate::record::{ReadError, Recording};

const HELP: &str = "\
Reads what the agent records in state-dir (record-0.jsonl and record-1.jsonl); no agent has to
run, and the files may be copies. Without --at, the moment is each group's last decision. Times
are UTC, as in the log; one without a date is the last such time that is recorded, and one
without a fraction is the end of that second or minute.

--replay tells this binary's core what the recorded one was told, and compares what they decide:
rows of the table, role changes, takes, offers, fencing. The exit code is 0 without a difference,
else 1.

Examples:
  standin explain
  standin explain --at 03:12:45 --group ivr
  standin explain --at 2026-01-02T03:12:45.120Z --state-dir /tmp/copy --json
  standin explain --replay record-0.jsonl";

/// Say of any moment what was known, what was decided and why.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// Only this group
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// The moment (UTC): 03:12:45, or 2026-01-02T03:12:45.120Z
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The folder of the recording, instead of state-dir
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// The configuration, which names state-dir
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
    /// Re-run a recording (a file, or a folder with both) through this binary
    #[arg(long, value_name = "FILE", conflicts_with_all = ["group", "at", "state_dir", "config"])]
    replay: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, out: Out<'_>) -> anyhow::Result<Exit> {
    if let Some(path) = &args.replay {
        return replay::run(&read(path)?, args.json, out);
    }
    let folder = match &args.state_dir {
        Some(folder) => folder.clone(),
        None => Config::load(&args.config)?.state_dir,
    };
    let recording = read(&folder)?;
    let at = match &args.at {
        Some(typed) => Some(when::parse(typed, moment::newest(&recording)?).map_err(|rule| Failure {
            exit: Exit::Usage,
            what: format!("--at {typed:?}: {rule}"),
            remedy: "a time as in the log, in UTC: 03:12, 03:12:45, 2026-01-02T03:12:45.120Z".to_owned(),
        })?),
        None => None,
    };
    let explained = moment::explain(&recording, at, args.group.as_deref())?;
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&explained)?)?;
    } else {
        render::text(&explained, out)?;
    }
    Ok(Exit::Ok)
}

/// A file, or the ring of a folder.
fn read(path: &Path) -> Result<Recording, Failure> {
    let read = if path.is_dir() { Recording::read_ring(path) } else { Recording::read(path) };
    read.map_err(failure)
}

fn failure(error: ReadError) -> Failure {
    let remedy = match &error {
        ReadError::Io { .. } => "check the path and the rights; the agent's files are for its own user",
        ReadError::Nothing { .. } => {
            "name the folder with --state-dir; an agent that cannot write there says so when it starts"
        }
        ReadError::NotARecording { .. } => {
            "an agent records in record-0.jsonl and record-1.jsonl of state-dir"
        }
        ReadError::OtherFormat { .. } => "use the standin of that version",
        ReadError::Corrupt { .. } => {
            "only the last line before a crash may be broken: the file was changed, or the disk is bad"
        }
    };
    Failure { exit: Exit::Failed, what: error.to_string(), remedy: remedy.to_owned() }
}

#[cfg(test)]
mod tests;
