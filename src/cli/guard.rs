//! `standin guard`: started by the agent, not by people.

use std::path::PathBuf;

use anyhow::Context as _;

use super::{Exit, Out};

const HELP: &str = "\
The agent starts it by itself where a group has a lease (arbiter = \"dynamodb\"). It kills the
group's service when the agent does not prolong it in time. To override it: systemctl stop
'standin-guard-*'.

Examples:
  standin guard --socket /run/standin/standin.guard";

/// Kill services whose lease is over.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// Where the agent speaks to it
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// Where it keeps what it was told, for the guard that follows when it is killed
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
}

pub(super) fn run(args: &Args, _: Out<'_>) -> anyhow::Result<Exit> {
    crate::agent::guard::run(&args.socket, args.state.as_deref())
        .with_context(|| args.socket.display().to_string())?;
    Ok(Exit::Ok)
}
