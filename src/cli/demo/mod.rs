//! `standin demo`: two agents, two processes, on loopback; EC2 is the sandbox. The active one is killed, then
//! stopped, then frozen and thawed, and a timeline says what took how long.

pub mod stage;
pub mod timeline;

use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use self::stage::{NODES, Plan, Stage};
use self::timeline::{Fault, Takeover};
use super::{Exit, Failure, Out};

const HELP: &str = "\
It needs no root, no cloud account and no configuration, takes half a minute, and leaves
nothing behind.

Examples:
  standin demo
  standin demo --dead-after 300ms --interval 50ms
  standin demo --json > demo.json";

/// Show a pair that fails over: on loopback, against the sandbox
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// Between two heartbeats
    #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = crate::config::duration)]
    interval: Duration,
    /// Silence after which a node is lost
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = crate::config::duration)]
    dead_after: Duration,
    /// Added to each call to EC2
    #[arg(long, value_name = "DURATION", default_value = "0ms", value_parser = humantime::parse_duration)]
    api_delay: Duration,
    /// One JSON document instead of text; progress goes to standard error
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    version: u32,
    ok: bool,
    interval_ms: u128,
    dead_after_ms: u128,
    api_delay_ms: u128,
    left_out: &'static str,
    takeovers: Vec<Takeover>,
}

const LEFT_OUT: &str = "the guest's own address (it needs root: the private IP has guest = false)";

pub(super) fn run(args: &Args, out: Out<'_>) -> anyhow::Result<Exit> {
    if args.dead_after <= args.interval * 2 {
        let failure = Failure {
            exit: Exit::Usage,
            what: format!(
                "--dead-after {} with --interval {}: dead-after must be more than twice the interval",
                humantime::format_duration(args.dead_after),
                humantime::format_duration(args.interval)
            ),
            remedy: "a longer --dead-after or a shorter --interval".to_owned(),
        };
        return Err(failure.into());
    }
    // The processes are started by this very thread: they end with it, whatever happens to it.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            done = play(args, out) => done,
            _ = interrupt.recv() => interrupted(),
            _ = terminate.recv() => interrupted(),
        }
    })
}

fn interrupted() -> anyhow::Result<Exit> {
    Err(Failure {
        exit: Exit::Failed,
        what: "interrupted; both agents and the sandbox have ended".to_owned(),
        remedy: "`standin demo` starts anew at any time".to_owned(),
    }
    .into())
}

async fn play(args: &Args, out: Out<'_>) -> anyhow::Result<Exit> {
    let plan = Plan { interval: args.interval, dead_after: args.dead_after, api_delay: args.api_delay };
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut stage = Stage::set(plan, program).await?;
    let mut say = Teller { out, json: args.json };
    say.line(&format!(
        "standin demo: EC2 is the sandbox at {}, the agents run on loopback",
        stage.endpoint()
    ))?;
    say.line(&format!("left out: {LEFT_OUT}"))?;
    for node in 0..NODES.len() {
        stage.start(node)?;
    }
    let mut active = 0;
    let mut takeovers = Vec::new();
    for (fault, number) in [Fault::Kill, Fault::Stop, Fault::Freeze].into_iter().zip(1..) {
        say.progress(&format!(
            "\n… waiting until {} is active and {} could step in",
            NODES[active],
            NODES[1 - active]
        ))?;
        stage.ready(active).await?;
        say.line(&format!("\n{number}. {} {}", NODES[active], fault.sentence()))?;
        let takeover = Takeover::stage(&mut stage, fault, active, args.dead_after).await?;
        say.takeover(&takeover)?;
        let failed = !takeover.ok;
        takeovers.push(takeover);
        if failed {
            break;
        }
        if fault != Fault::Freeze {
            restart(&mut stage, active).await?;
        }
        active = 1 - active;
    }
    let ok = takeovers.iter().all(|it| it.ok);
    say.end(args, ok, takeovers)?;
    Ok(if ok { Exit::Ok } else { Exit::Failed })
}

/// Collects the ended process and starts the node again, as its service manager would.
///
/// # Errors
/// It does not end, or cannot be started.
pub async fn restart(stage: &mut Stage, node: usize) -> anyhow::Result<()> {
    for _ in 0..2000 {
        if stage.ended(node)? {
            return stage.start(node);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    anyhow::bail!("{} has not ended 20 s after its signal", NODES[node])
}

/// Where the demo's words go: text to standard output, or progress to standard error and a document in the
/// end.
struct Teller<'a> {
    out: Out<'a>,
    json: bool,
}

impl Teller<'_> {
    fn line(&mut self, text: &str) -> std::io::Result<()> {
        if self.json {
            return Ok(());
        }
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    fn progress(&mut self, text: &str) -> std::io::Result<()> {
        if self.json {
            use std::io::Write as _;
            return writeln!(std::io::stderr(), "{}", text.trim_start());
        }
        self.line(text)
    }

    fn takeover(&mut self, takeover: &Takeover) -> std::io::Result<()> {
        for (ms, text) in takeover.lines() {
            self.line(&format!("  {ms:>9.1} ms  {text}"))?;
        }
        if let Some(ms) = takeover.yielded_ms {
            self.line(&format!(
                "  {ms:>9.1} ms  after its thaw {} has become standby; EC2 was not touched",
                takeover.from
            ))?;
        }
        for problem in &takeover.problems {
            self.line(&format!("  FAILED: {problem}"))?;
        }
        for (what, holder) in &takeover.holders {
            self.line(&format!("    {holder}  {what}"))?;
        }
        Ok(())
    }

    fn end(&mut self, args: &Args, ok: bool, takeovers: Vec<Takeover>) -> anyhow::Result<()> {
        if !self.json {
            let text = if ok { "all takeovers worked" } else { "a takeover FAILED" };
            self.line(&format!("\n{text}"))?;
            return Ok(());
        }
        let document = Document {
            version: 1,
            ok,
            interval_ms: args.interval.as_millis(),
            dead_after_ms: args.dead_after.as_millis(),
            api_delay_ms: args.api_delay.as_millis(),
            left_out: LEFT_OUT,
            takeovers,
        };
        serde_json::to_writer_pretty(&mut *self.out, &document)?;
        writeln!(self.out)?;
        Ok(())
    }
}
