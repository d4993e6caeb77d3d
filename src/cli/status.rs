//! `standin status`.

mod render;

use std::path::PathBuf;

use super::{Exit, Failure, Out};
use crate::control::client;
use crate::control::protocol::{Request, Response};

const HELP: &str = "\
What this node knows: is all well, per group who is active and why, who holds what according
to EC2 and how old that knowledge is, whether a takeover would work now; the nodes with their
links; the last errors and takeovers. The exit code is 5 when something needs attention.

Examples:
  standin status
  standin status --json --socket /run/standin/standin.sock";

/// Show what this node's agent knows.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// The agent's socket
    #[arg(long, value_name = "PATH", default_value = "/run/standin/standin.sock")]
    socket: PathBuf,
}

pub(super) fn run(args: &Args, out: Out<'_>) -> anyhow::Result<Exit> {
    let unreachable =
        |what: String, remedy: &str| Failure { exit: Exit::Unreachable, what, remedy: remedy.to_owned() };
    let answer = client::ask(&args.socket, Request::Status).map_err(|error| {
        unreachable(error.to_string(), "`journalctl -u standin` says why it is not there")
    })?;
    let status = match answer {
        Response::Status(status) => status,
        Response::Refused { why } => return Err(unreachable(why, "try again in a moment").into()),
        Response::Pong { .. } | Response::Accepted => {
            let what = "the agent answered another question".to_owned();
            return Err(unreachable(what, "use the tool of the agent's version").into());
        }
    };
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&status)?)?;
    } else {
        render::text(&status, out)?;
    }
    Ok(if status.well { Exit::Ok } else { Exit::Attention })
}
