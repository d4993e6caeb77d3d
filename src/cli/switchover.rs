//! `standin switchover`.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use super::{Exit, Failure, Out};
use crate::control::client;
use crate::control::protocol::{Group, Request, Response, Status};

const HELP: &str = "\
Ask on the active node. The group is handed over to the other node, or to the one that --to
names. With --drain Asterisk first takes no new calls, and the hand-over comes when the last
call has ended, at the latest after that time; --cancel ends that.

Examples:
  standin switchover ivr
  standin switchover ivr --to ivr-b --drain 10m
  standin switchover ivr --cancel";

/// The state is asked for so often.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A line of progress comes so often.
const LINE_EVERY: u32 = 20;
/// The hand-over itself takes a second or two; an offer that nobody takes is over by then.
const PATIENCE: Duration = Duration::from_secs(45);

/// Hand a group over to another node.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// The group
    group: String,
    /// The node that is to have it; else the best one
    #[arg(long, value_name = "NODE", conflicts_with = "cancel")]
    to: Option<String>,
    /// Take no new calls, and wait at most so long for the others to end
    #[arg(long, value_name = "TIME", value_parser = crate::config::duration, conflicts_with = "cancel")]
    drain: Option<Duration>,
    /// End a drain that is under way: new calls are taken again
    #[arg(long)]
    cancel: bool,
    /// The agent's socket
    #[arg(long, value_name = "PATH", default_value = "/run/standin/standin.sock")]
    socket: PathBuf,
}

pub(super) fn run(args: &Args, out: Out<'_>) -> anyhow::Result<Exit> {
    if args.cancel {
        ask(args, Request::CancelDrain { group: args.group.clone() })?;
        writeln!(out, "{}: no longer drained, new calls are taken", args.group)?;
        return Ok(Exit::Ok);
    }
    let (before, me) = look(args)?;
    if before.role != "active" {
        let active = if before.active.is_empty() { "no node".to_owned() } else { before.active.join(", ") };
        return Err(failed(
            format!("{me} is not active for {}; {active} is", args.group),
            "ask there: `standin switchover` on the active node",
        ));
    }
    if args.to.as_deref() == Some(me.as_str()) {
        return Err(failed(format!("{me} is active for {} already", args.group), "name another node"));
    }
    if !before.takeover.works {
        let why = format!("{} would not be taken over now: {}", args.group, before.takeover.because);
        return Err(failed(why, "`standin status` on the other node says what it lacks"));
    }
    let drain_ms = args.drain.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let request = Request::Switchover { group: args.group.clone(), to: args.to.clone(), drain_ms };
    ask(args, request)?;
    watch(args, &me, out)
}

/// Until another node is active, or it is clear that none will be.
fn watch(args: &Args, me: &str, out: Out<'_>) -> anyhow::Result<Exit> {
    let (mut waited, mut turns, mut drained) = (Duration::ZERO, 0, false);
    loop {
        let (group, _) = look(args)?;
        if let Some(active) = group.active.iter().find(|it| *it != me)
            && group.role == "standby"
        {
            writeln!(out, "{}: {active} is active", args.group)?;
            return Ok(Exit::Ok);
        }
        match &group.draining {
            Some(it) => {
                if turns % LINE_EVERY == 0 {
                    writeln!(out, "{}: {} channels up, {} s left", args.group, it.calls, it.left_ms / 1000)?;
                    out.flush()?;
                }
                drained = it.calls > 0 && it.left_ms > 0;
                waited = Duration::ZERO;
            }
            None if drained => {
                let what =
                    format!("the drain of {} has ended without a hand-over: {me} is active", args.group);
                return Err(failed(what, "it was cancelled, or failed: see `standin status`"));
            }
            None => {}
        }
        if waited >= PATIENCE {
            let what =
                format!("nobody has taken {} within {} s: {me} is active", args.group, PATIENCE.as_secs());
            return Err(failed(what, "`standin status` on both nodes says why"));
        }
        sleep(LOOK_EVERY);
        waited += LOOK_EVERY;
        turns += 1;
    }
}

/// The group as this node sees it, and the node's name.
fn look(args: &Args) -> anyhow::Result<(Group, String)> {
    let Response::Status(status) = ask(args, Request::Status)? else {
        return Err(failed(
            "the agent answered another question".into(),
            "use the tool of the agent's version",
        ));
    };
    let Status { groups, node, .. } = *status;
    let names: Vec<String> = groups.iter().map(|it| it.name.clone()).collect();
    match groups.into_iter().find(|it| it.name == args.group) {
        Some(group) => Ok((group, node)),
        None => {
            let what = format!("there is no group {:?}", args.group);
            Err(failed(what, &format!("there are: {}", names.join(", "))))
        }
    }
}

fn ask(args: &Args, request: Request) -> anyhow::Result<Response> {
    let answer = client::ask(&args.socket, request).map_err(|error| Failure {
        exit: Exit::Unreachable,
        what: error.to_string(),
        remedy: "`journalctl -u standin` says why it is not there".to_owned(),
    })?;
    match answer {
        Response::Refused { why } => Err(failed(why, "nothing has changed")),
        Response::Pong { .. } | Response::Status(_) | Response::Accepted => Ok(answer),
    }
}

fn failed(what: String, remedy: &str) -> anyhow::Error {
    Failure { exit: Exit::Failed, what, remedy: remedy.to_owned() }.into()
}
