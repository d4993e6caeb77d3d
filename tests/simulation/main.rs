//! The simulator: N cores on one virtual clock, a faulty network, a faulty EC2, and checkers that stand
//! outside. One seed is one run: half an hour of faults, then healing, then peace is required.
//!
//! ```text
//! cargo test --no-default-features --test simulation
//! cargo test --no-default-features --test simulation -- --seed 7 --nodes 3      # one, with its timeline
//! cargo test --profile sim --no-default-features --test simulation -- --seeds 10000
//! cargo test --no-default-features --test simulation -- --planted all --seeds 300
//! ```

mod args;
mod calls;
mod chance;
mod check;
mod ec2;
mod faults;
mod machine;
mod net;
mod operate;
mod plant;
mod tally;
mod world;

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use standin::cluster::Time;

use self::args::Args;
use self::plant::Plant;
use self::tally::Tally;
use self::world::{Topology, World};

/// Seeds of each topology in a plain `cargo test`.
const SEEDS: u64 = 2;
/// A planted bug has to be found within so many seeds.
const PLANTED_SEEDS: u64 = 300;
/// So much of the timeline is printed on failure.
const LAST_LINES: usize = 60;

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    let args = match Args::read(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(text) => {
            let _ = writeln!(out, "{text}");
            return ExitCode::from(2);
        }
    };
    if args.nothing {
        return ExitCode::SUCCESS;
    }
    let passed =
        if let Some(seed) = args.seed { replay(seed, &args, &mut out) } else { search(&args, &mut out) };
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(_) => ExitCode::from(2),
    }
}

/// A real clock, to say how fast the virtual one runs.
#[allow(clippy::disallowed_methods)]
fn real_time() -> Instant {
    Instant::now()
}

/// Runs one seed; a panic of the core is a violation.
fn run(seed: u64, topology: Topology, plant: Option<Plant>) -> World {
    let mut world = World::new(seed, topology, plant);
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| world.run())) {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        world.checks.fail(format!("panic: {}", text.unwrap_or_default()));
    }
    world.tally.runs = 1;
    world.tally.simulated = world.now.since(Time::ZERO);
    world
}

fn topologies(args: &Args) -> Vec<(&'static str, Topology)> {
    args.topology.map_or(Topology::ALL.to_vec(), |only| vec![only])
}

fn replay(seed: u64, args: &Args, out: &mut impl Write) -> io::Result<bool> {
    let (_, topology) = topologies(args)[0];
    let started = real_time();
    let world = run(seed, topology, args.planted.first().copied());
    timeline(&world, usize::MAX, out)?;
    world.tally.print(started.elapsed(), out)?;
    let passed = world.checks.violation.is_none();
    if let Some(text) = &world.checks.violation {
        writeln!(out, "violation: {text}")?;
    }
    writeln!(out, "{} passed, {} failed", u8::from(passed), u8::from(!passed))?;
    Ok(passed)
}

fn search(args: &Args, out: &mut impl Write) -> io::Result<bool> {
    let (mut passed, mut failed) = (0u64, 0u64);
    if args.planted.is_empty() {
        for (name, topology) in topologies(args) {
            let (good, bad) = sound(name, topology, args, out)?;
            passed += good;
            failed += bad;
        }
    }
    let default = args.seeds.is_none() && args.planted.is_empty();
    let plants = if default { Plant::QUICK.to_vec() } else { args.planted.clone() };
    for plant in plants {
        if planted(plant, args, out)? {
            passed += 1;
        } else {
            failed += 1;
        }
    }
    writeln!(out, "{passed} passed, {failed} failed")?;
    Ok(failed == 0)
}

/// The core as it is: no seed may fail.
fn sound(name: &str, topology: Topology, args: &Args, out: &mut impl Write) -> io::Result<(u64, u64)> {
    let (mut total, started) = (Tally::default(), real_time());
    let (mut passed, mut failed) = (0, 0);
    for seed in args.seeds.clone().unwrap_or(0..SEEDS) {
        let world = run(seed, topology, None);
        total.add(&world.tally);
        if let Some(wait) = world.tally.longest_wait().filter(|_| args.waits) {
            writeln!(out, "waited {:.0} s: --seed {seed} --nodes {name}", wait.as_secs_f64())?;
        }
        if let Some(text) = &world.checks.violation {
            failed += 1;
            if failed == 1 || !args.all {
                timeline(&world, LAST_LINES, out)?;
            }
            writeln!(out, "seed {seed} of {name}: {text}")?;
            writeln!(
                out,
                "replay: cargo test --no-default-features --test simulation -- --seed {seed} --nodes {name}"
            )?;
            if !args.all {
                break;
            }
        } else {
            passed += 1;
        }
    }
    writeln!(out, "== nodes {name}: {passed} seeds passed, {failed} failed")?;
    total.print(started.elapsed(), out)?;
    Ok((passed, failed))
}

/// A core with a planted bug: some seed must fail.
fn planted(plant: Plant, args: &Args, out: &mut impl Write) -> io::Result<bool> {
    // Two groups on two nodes: the most decisions in the least time.
    let (name, topology) = args.topology.unwrap_or(Topology::ALL[2]);
    for seed in args.seeds.clone().unwrap_or(0..PLANTED_SEEDS) {
        if let Some(text) = run(seed, topology, Some(plant)).checks.violation {
            let name = format!("seed {seed} of {name}");
            writeln!(out, "planted {} found by {name}: {text}", plant.name())?;
            return Ok(true);
        }
    }
    writeln!(out, "planted {} NOT FOUND", plant.name())?;
    Ok(false)
}

fn timeline(world: &World, lines: usize, out: &mut impl Write) -> io::Result<()> {
    for (at, text) in world.timeline.iter().skip(world.timeline.len().saturating_sub(lines)) {
        let at: Duration = at.since(Time::ZERO);
        writeln!(out, "{:10.3} {text}", at.as_secs_f64())?;
    }
    Ok(())
}
