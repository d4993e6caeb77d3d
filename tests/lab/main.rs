//! The lab: two instances that boot real systemd and real Asterisk, the sandbox as EC2, its decisions steering real
//! packets, and callers who count. `tests/lab/run` starts it in namespaces of its own, as root; `README.md` beside it
//! says what there is.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test program")]
#![allow(clippy::disallowed_methods, reason = "tests measure")]

mod calls;
mod clients;
mod cloud;
mod instance;
mod lab;
mod network;
mod scenario;
mod sip;
mod trial;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use lab::Lab;
use network::NODES;
use scenario::{ALL, Amount, Scenario};
use trial::{Outcome, unix_seconds};

const USAGE: &str = "\
tests/lab/run [--list] [--only NAME,…] [--quick] [--long] [--switchovers N] [--logs] [--keep]
  --list           the scenarios
  --only NAME,…    those with one of the words in their names
  --quick          the short list
  --long           packets are lost for 5 minutes, and 1,000 switchovers
  --switchovers N  so many switchovers
  --logs           what the nodes logged, of each scenario and not only of those that fail
  --keep           at the end the pair stays, to be looked at, until Ctrl-C";

struct Args {
    scenarios: Vec<&'static Scenario>,
    amount: Amount,
    keep: bool,
    logs: bool,
}

fn args() -> anyhow::Result<Option<Args>> {
    let mut amount = Amount { loss: Duration::from_secs(60), switchovers: 20 };
    let (mut words, mut quick, mut keep, mut logs) = (Vec::new(), false, false, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} takes a value\n{USAGE}"));
        match arg.as_str() {
            "--list" => {
                ALL.iter().for_each(|it| println!("{}", it.name));
                return Ok(None);
            }
            "--only" => words.extend(value()?.split(',').map(str::to_owned)),
            "--quick" => quick = true,
            "--keep" => keep = true,
            "--logs" => logs = true,
            "--long" => amount = Amount { loss: Duration::from_secs(300), switchovers: 1000 },
            "--switchovers" => {
                amount.switchovers = value()?.parse().context("--switchovers takes a number")?
            }
            _ => bail!("{arg} is no option\n{USAGE}"),
        }
    }
    let named = |it: &&Scenario| words.is_empty() || words.iter().any(|word| it.name.contains(word.as_str()));
    let scenarios: Vec<_> = ALL.iter().filter(named).filter(|it| !quick || it.quick).collect();
    if scenarios.is_empty() {
        bail!("no scenario is named so: `--list` lists them");
    }
    Ok(Some(Args { scenarios, amount, keep, logs }))
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tests/lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    let Some(Args { scenarios, amount, keep, logs }) = args()? else { return Ok(ExitCode::SUCCESS) };
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let missing = "tests/lab/run starts this program, and sets";
    let program = variable("STANDIN_BIN").with_context(|| format!("{missing} STANDIN_BIN"))?;
    let tree = variable("STANDIN_LAB_TREE").with_context(|| format!("{missing} STANDIN_LAB_TREE"))?;
    let cgroup =
        std::env::var("STANDIN_LAB_CGROUP").with_context(|| format!("{missing} STANDIN_LAB_CGROUP"))?;
    end_when_told();
    let begin = Instant::now();
    let mut lab = Lab::set_up(&program, &tree, &cgroup)?;
    println!("== two instances have booted in {:.1?}", begin.elapsed());
    let mut rows = Vec::new();
    for scenario in &scenarios {
        let (begin, since) = (Instant::now(), unix_seconds());
        let outcome = (scenario.run)(&mut lab, amount);
        let row = row(scenario, &outcome);
        println!("{row}  [{:.0?}]", begin.elapsed());
        if logs || outcome.is_err() {
            println!("{}", lab.logs(since));
        }
        if let Err(error) = &outcome {
            println!("---- {}: {error:#}", scenario.name);
        }
        rows.push((row, outcome.is_ok()));
    }
    println!("\n{}", head());
    rows.iter().for_each(|(row, _)| println!("{row}"));
    let failed = rows.iter().filter(|(_, ok)| !ok).count();
    println!("== {} scenarios in {:.0?}, {failed} failed", rows.len(), begin.elapsed());
    if keep {
        let leaders: Vec<_> = lab.nodes.iter().map(|it| (NODES[it.node], it.leader())).collect();
        println!(
            "== it stays until Ctrl-C. As root: nsenter -t $(pgrep -f deps/lab-) -m -n -p, and from there"
        );
        leaders.iter().for_each(|(name, pid)| println!("   {name}: nsenter -t {pid} -m -u -i -n -p"));
        loop {
            std::thread::park();
        }
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn head() -> String {
    let [name, silence, target, calls] = ["scenario", "silence", "target", "calls failed"];
    format!("{name:26} {silence:>9} {target:14} {calls:>14} takeovers  answered by        verdict")
}

fn row(scenario: &Scenario, outcome: &anyhow::Result<Outcome>) -> String {
    let (name, target) = (scenario.name, scenario.target);
    match outcome {
        Ok(it) => {
            let silence = format!("{} ms", it.silence.as_millis());
            let calls = format!("{} of {}", it.calls.failed, it.calls.placed);
            let by = it.answered_by.map(|node| NODES[node]).join(", ");
            let notes: String = it.notes.iter().map(|note| format!("; {note}")).collect();
            let takeovers = it.takeovers;
            format!("{name:26} {silence:>9} {target:14} {calls:>14} {takeovers:>9}  {by:18} pass{notes}")
        }
        Err(error) => {
            format!("{name:26} {:>9} {target:14} {:>14} {:>9}  {:18} FAIL: {error:#}", "", "", "", "")
        }
    }
}

/// With this process, the first of its PID namespace, ends everything that it has started.
fn end_when_told() {
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let mut term = signal(SignalKind::terminate()).unwrap();
            let code = tokio::select! {
                _ = tokio::signal::ctrl_c() => 130,
                _ = term.recv() => 143,
            };
            std::process::exit(code);
        });
    });
}
