//! How long a takeover takes, and what an idle agent costs: two agents (release build) as processes on
//! loopback against the sandbox, measured from outside.
//!
//! ```text
//! cargo build --release && cargo run --release --example takeover    the whole table, 20 runs each (15 minutes)
//! cargo run --release --example takeover -- --runs 3                 fewer
//! cargo run --release --example takeover -- --only fast              one part: kill, delay, stop, fast, idle, flood
//! cargo run --release --example takeover -- --only soak --minutes 60
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may panic and print"
)]

use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use standin::cli::demo::restart;
use standin::cli::demo::stage::{NODES, Plan, Stage};
use standin::cli::demo::timeline::{Fault, Takeover};

struct Options {
    runs: usize,
    only: Option<String>,
    minutes: u64,
}

/// One row of the table: a fault, many times, to and fro.
struct Case {
    name: &'static str,
    title: &'static str,
    plan: Plan,
    fault: Fault,
    anchor_within: Option<Duration>,
    all_within: Duration,
}

fn main() {
    let options = options();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let result = runtime.block_on(async {
        for case in cases() {
            if wanted(&options, case.name) {
                takeovers(&case, options.runs).await?;
            }
        }
        if wanted(&options, "idle") {
            idle().await?;
        }
        if wanted(&options, "flood") {
            flood().await?;
        }
        if options.only.as_deref() == Some("soak") {
            soak(Duration::from_secs(options.minutes * 60)).await?;
        }
        anyhow::Ok(())
    });
    if let Err(error) = result {
        eprintln!("takeover: {error:#}");
        std::process::exit(1);
    }
}

fn options() -> Options {
    let mut options = Options { runs: 20, only: None, minutes: 60 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--runs" => options.runs = words.next().and_then(|it| it.parse().ok()).expect("--runs N"),
            "--only" => options.only = words.next(),
            "--minutes" => {
                options.minutes = words.next().and_then(|it| it.parse().ok()).expect("--minutes N")
            }
            _ => {}
        }
    }
    options
}

fn wanted(options: &Options, name: &str) -> bool {
    options.only.as_deref().is_none_or(|only| only == name)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn cases() -> Vec<Case> {
    let normal = Plan { interval: ms(250), dead_after: ms(2000), api_delay: ms(0) };
    let fast = Plan { interval: ms(50), dead_after: ms(300), api_delay: ms(0) };
    let case = |name, title, plan, fault, anchor_within, all_within| Case {
        name,
        title,
        plan,
        fault,
        anchor_within,
        all_within,
    };
    vec![
        case("kill", "killed, dead-after 2 s", normal, Fault::Kill, Some(ms(2030)), ms(2060)),
        case(
            "delay",
            "killed, every call + 150 ms",
            Plan { api_delay: ms(150), ..normal },
            Fault::Kill,
            None,
            ms(2360),
        ),
        case("stop", "clean stop", normal, Fault::Stop, None, ms(300)),
        case("fast", "killed, dead-after 300 ms", fast, Fault::Kill, None, ms(360)),
    ]
}

/// The agent of the same build: `target/release/examples/takeover` -> `target/release/standin`.
fn program() -> PathBuf {
    let own = std::env::current_exe().expect("a running program has a file");
    let folder = own.parent().and_then(std::path::Path::parent).expect("cargo's examples folder");
    let program = folder.join("standin");
    assert!(program.exists(), "{} is missing: cargo build --release", program.display());
    program
}

async fn pair(plan: Plan) -> anyhow::Result<Stage> {
    let mut stage = Stage::set(plan, program()).await?;
    for node in 0..NODES.len() {
        stage.start(node)?;
    }
    stage.ready(0).await?;
    Ok(stage)
}

async fn takeovers(case: &Case, runs: usize) -> anyhow::Result<()> {
    let mut stage = pair(case.plan).await?;
    let mut all: Vec<Takeover> = Vec::new();
    for run in 0..runs {
        let active = run % 2;
        stage.ready(active).await?;
        let takeover = Takeover::stage(&mut stage, case.fault, active, case.plan.dead_after).await?;
        anyhow::ensure!(takeover.ok, "{}: {:?}", case.title, takeover.problems);
        all.push(takeover);
        // Else damping ends the benchmark after six takeovers by each node.
        stage.forget_state(active);
        restart(&mut stage, active).await?;
    }
    println!("\n{} ({runs} runs; ms since the fault: min / median / max)", case.title);
    row("suspected", all.iter().filter_map(|it| it.suspected_ms).collect(), None);
    row("anchor moved", all.iter().filter_map(|it| it.anchor_moved_ms).collect(), case.anchor_within);
    row(
        "everything moved",
        all.iter().filter_map(|it| it.everything_moved_ms).collect(),
        Some(case.all_within),
    );
    row("hook run", all.iter().filter_map(|it| it.hook_run_ms).collect(), None);
    Ok(())
}

fn row(what: &str, mut values: Vec<f64>, aim: Option<Duration>) {
    values.sort_by(f64::total_cmp);
    let Some((min, max)) = values.first().zip(values.last()) else {
        println!("  {what:<18} nothing measured");
        return;
    };
    let middle = values.len() / 2;
    let median =
        if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
    let verdict = aim.map_or(String::new(), |aim| {
        let aim = aim.as_secs_f64() * 1e3;
        format!("   aim {aim:.0}: {}", if median <= aim { "reached" } else { "MISSED" })
    });
    println!("  {what:<18} {min:>8.1} / {median:>8.1} / {max:>8.1}{verdict}");
}

/// Memory and processor time of an agent that has nothing to do.
async fn idle() -> anyhow::Result<()> {
    let stage = pair(Plan { interval: ms(250), dead_after: ms(2000), api_delay: ms(0) }).await?;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let before: Vec<f64> = (0..2).map(|node| cpu_ms(&stage, node)).collect();
    tokio::time::sleep(Duration::from_secs(60)).await;
    println!("\nidle, interval 250 ms, two links (after 60 s; aim: 15 MB, 100 ms a minute)");
    for (node, before) in before.into_iter().enumerate() {
        let used = cpu_ms(&stage, node) - before;
        let role = if node == 0 { "active" } else { "standby" };
        println!(
            "  {role:<8} {:>6.1} MB PSS, {:>6.1} MB RSS, {used:>5.0} ms of processor time a minute",
            rollup_mb(&stage, node, "Pss:"),
            rollup_mb(&stage, node, "Rss:")
        );
    }
    Ok(())
}

fn cpu_ms(stage: &Stage, node: usize) -> f64 {
    // In nanoseconds, summed over the threads: clock ticks of 10 ms are too coarse here.
    let pid = stage.pid(node).expect("the agent runs");
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the agent runs");
    let nanos: f64 = threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<f64>().ok())
        .sum();
    nanos / 1e6
}

fn rollup_mb(stage: &Stage, node: usize, field: &str) -> f64 {
    let pid = stage.pid(node).expect("the agent runs");
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(field));
    let kb = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kb| kb.parse::<f64>().ok());
    kb.unwrap_or(f64::NAN) / 1024.0
}

/// A thousand datagrams a second of garbage and replays at one agent's port, for 30 seconds.
async fn flood() -> anyhow::Result<()> {
    let stage = pair(Plan { interval: ms(250), dead_after: ms(2000), api_delay: ms(0) }).await?;
    let seq = stage.last_change();
    let before = rollup_mb(&stage, 1, "Pss:");
    let status = stage.status(1).await?;
    let port = stage.port();
    // One from a stranger's address, one from the peer's own.
    let sockets = [UdpSocket::bind("127.0.0.77:0")?, UdpSocket::bind("127.0.0.11:0")?];
    let target = format!("127.0.0.12:{port}");
    let until = Instant::now() + Duration::from_secs(30);
    let mut sent = 0u64;
    while Instant::now() < until {
        // Two each: a pause of 2 ms is often one of 3, and it has to be a thousand a second.
        for socket in sockets.iter().chain(&sockets) {
            let length = 1 + (sent as usize * 7) % 1400;
            let byte = (sent % 251) as u8;
            socket.send_to(&vec![byte; length], &target)?;
            sent += 1;
        }
        tokio::time::sleep(ms(2)).await;
    }
    let after = stage.status(1).await?;
    let gap = |status: &standin::control::protocol::Status| {
        let node = status.nodes.iter().find(|node| node.name == NODES[0]);
        node.and_then(|node| node.links[0].gap_longest_us).unwrap_or(0)
    };
    println!(
        "\n{sent} datagrams of garbage in 30 s at the standby's port, half of them from the peer's address"
    );
    println!("  memory {before:.1} MB before, {:.1} MB after", rollup_mb(&stage, 1, "Pss:"));
    println!(
        "  longest gap between heartbeats {:.1} ms before, {:.1} ms after",
        gap(&status) as f64 / 1e3,
        gap(&after) as f64 / 1e3
    );
    println!("  moves in EC2: {}", stage.moves_since(seq).len());
    Ok(())
}

/// The fast profile while every core is busy: no takeover may happen.
async fn soak(time: Duration) -> anyhow::Result<()> {
    let stage = pair(Plan { interval: ms(50), dead_after: ms(300), api_delay: ms(0) }).await?;
    let busy = Arc::new(AtomicBool::new(true));
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let burners: Vec<_> = (0..cores)
        .map(|_| {
            let busy = Arc::clone(&busy);
            std::thread::spawn(move || {
                let mut n = 0u64;
                while busy.load(Ordering::Relaxed) {
                    n = std::hint::black_box(n.wrapping_mul(31).wrapping_add(1));
                }
            })
        })
        .collect();
    let seq = stage.last_change();
    let start = Instant::now();
    while start.elapsed() < time {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let moves = stage.moves_since(seq).len();
        if moves > 0 {
            println!("after {:.0} s: {moves} moves", start.elapsed().as_secs_f64());
        }
    }
    busy.store(false, Ordering::Relaxed);
    for burner in burners {
        burner.join().expect("a loop cannot fail");
    }
    let status = stage.status(1).await?;
    println!("\nfast profile (50 ms / 300 ms), {cores} busy cores, {:.0} minutes", time.as_secs_f64() / 60.0);
    println!("  moves in EC2: {}", stage.moves_since(seq).len());
    for link in
        status.nodes.iter().find(|node| node.name == NODES[0]).into_iter().flat_map(|node| &node.links)
    {
        println!(
            "  link {}: {} received, {} missed, late {}, lost {}, longest gap {:.1} ms",
            link.link,
            link.received,
            link.missed,
            link.late,
            link.lost,
            link.gap_longest_us.unwrap_or(0) as f64 / 1e3
        );
    }
    println!("  stalls of the standby's own: {}", status.agent.stalls);
    Ok(())
}
