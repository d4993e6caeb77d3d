//! The simulator: N cores on one virtual clock, a faulty network, a faulty EC2 and DynamoDB, services with
//! their guards, and checkers that stand outside (`check`). One seed is one run: half an hour of faults, then
//! healing, then peace is required.
//!
//! ```text
//! cargo test --no-default-features --test simulation
//! cargo test --profile sim --no-default-features --test simulation -- --seeds 10000
//! cargo test --profile sim --no-default-features --test simulation -- --seeds 1000000 --nodes 3
//! cargo test --profile sim --no-default-features --test simulation -- --seed 7 --nodes 3    # with its timeline
//! cargo test --profile sim --no-default-features --test simulation -- --planted all         # the table
//!
//! --seeds N | A..B   these, of each topology, over all cores; --jobs N: over so many
//! --nodes N | NxG | N+W   nodes, times groups, plus witnesses; otherwise all of the usual ones
//! --seed N           replays one; --only 3,5=1200: with only these faults, the second for 1,200 ms
//! --arbiter lease | anchor, --fencing none | before | alongside, --when-silent take | probe | hold,
//! --cold yes | no, --failback yes | no, --recovery yes | no   instead of what the seed draws
//! --all              goes on after a failure; --waits: prints each seed with a long wait
//! --planted NAME | all   with a planted bug
//! ```

mod args;
mod carry_out;
mod chance;
mod check;
mod fault;
mod model;
mod plant;
mod run;
mod search;
mod setup;
mod shrink;
mod tally;
mod world;

use std::io::{self, Write};
use std::process::ExitCode;

use self::args::Args;
use self::plant::Plant;
use self::run::Case;
use self::search::{Found, How, search};
use self::setup::Topology;
use self::tally::Tally;

/// Seeds of each topology in a plain `cargo test`.
const SEEDS: u64 = 2;
/// A planted bug has to be found within so many seeds.
const PLANTED_SEEDS: u64 = 2000;
/// So much of the timeline is printed on failure.
const LAST_LINES: usize = 60;

fn main() -> ExitCode {
    let mut out = io::stdout();
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
    run::catch_panics();
    search::watch_ctrl_c();
    let passed = match args.seed {
        Some(seed) => replay(seed, &args, &mut out),
        None => all(&args, &mut out),
    };
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(_) => ExitCode::from(2),
    }
}

fn case(seed: u64, topology: Topology, plant: Option<Plant>, args: &Args) -> Case {
    Case { seed, topology, force: args.force, plant, only: args.only.clone() }
}

fn topologies(args: &Args) -> Vec<Topology> {
    args.topology.map_or(Topology::ALL.iter().filter_map(|it| Topology::named(it)).collect(), |it| vec![it])
}

fn replay(seed: u64, args: &Args, out: &mut impl Write) -> io::Result<bool> {
    let started = search::real_time();
    let case = case(seed, topologies(args)[0], args.planted.first().copied(), args);
    let world = case.run(true);
    world.print(usize::MAX, out)?;
    world.tally.print(started.elapsed(), out)?;
    let passed = world.checks.violation.is_none();
    if let Some((checker, text)) = &world.checks.violation {
        writeln!(out, "violation of {checker}: {text}")?;
    }
    writeln!(out, "{} passed, {} failed", u8::from(passed), u8::from(!passed))?;
    Ok(passed)
}

fn all(args: &Args, out: &mut impl Write) -> io::Result<bool> {
    let (mut passed, mut failed) = (0u64, 0u64);
    let (mut total, started) = (Tally::default(), search::real_time());
    if args.planted.is_empty() {
        for topology in topologies(args) {
            let found = sound(topology, args, out)?;
            passed += found.passed;
            failed += found.failures.len() as u64;
            total.add(&found.tally);
        }
        writeln!(out, "== all: {passed} seeds passed, {failed} failed")?;
        total.print(started.elapsed(), out)?;
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
fn sound(topology: Topology, args: &Args, out: &mut impl Write) -> io::Result<Found> {
    let how = How { jobs: args.jobs(), all: args.all, quiet: false };
    let seeds = args.seeds.clone().unwrap_or(0..SEEDS);
    let found = search(&case(0, topology, None, args), seeds, how, out)?;
    for (seed, wait) in found.waits.iter().filter(|_| args.waits) {
        let command = case(*seed, topology, None, args).command();
        writeln!(out, "waited {:.0} s: {command}", wait.as_secs_f64())?;
    }
    for (at, (seed, checker, text)) in found.failures.iter().enumerate() {
        let failed = case(*seed, topology, None, args);
        if at == 0 {
            explain(&failed, out)?;
        }
        writeln!(out, "seed {seed} of {}: {checker}: {text}\nreplay: {}", topology.name(), failed.command())?;
    }
    let failed = found.failures.len() as u64;
    writeln!(out, "== nodes {}: {} seeds passed, {failed} failed", topology.name(), found.passed)?;
    found.tally.print(found.took, out)?;
    Ok(found)
}

/// The least that still fails: its timeline, its faults, and the command that replays them.
fn explain(case: &Case, out: &mut impl Write) -> io::Result<()> {
    let small = shrink::shrink(case);
    let world = small.run(true);
    world.print(LAST_LINES, out)?;
    let only = small.only.clone().unwrap_or_default();
    writeln!(out, "shrunk to {} of {} faults:", only.len(), world.faults.len())?;
    for (at, _) in only {
        let fault = &world.faults[at];
        let from = fault.at.since(standin::cluster::Time::ZERO).as_secs_f64();
        writeln!(out, "  {at}: at {from:.3} s for {:.1?}: {:?}", fault.lasts, fault.fault)?;
    }
    if let Some((checker, text)) = &world.checks.violation {
        writeln!(out, "it violates {checker}: {text}")?;
    }
    writeln!(out, "replay what is left: {}", small.command())
}

/// A core with a planted bug: some seed must fail.
fn planted(plant: Plant, args: &Args, out: &mut impl Write) -> io::Result<bool> {
    let (default, force) = plant.hunts_in();
    let mut hunt = case(0, args.topology.unwrap_or(default), Some(plant), args);
    if args.force == setup::Force::default() {
        hunt.force = force;
    }
    let how = How { jobs: args.jobs(), all: false, quiet: true };
    let mut seeds = args.seeds.clone().unwrap_or(0..PLANTED_SEEDS);
    let (bug, place) = (plant.name(), hunt.topology.name());
    loop {
        let found = search(&hunt, seeds.clone(), how, out)?;
        let Some((seed, checker, text)) = found.failures.first() else {
            writeln!(out, "planted {bug:24} NOT FOUND in {} seeds of {place}", seeds.end)?;
            return Ok(false);
        };
        // A seed that fails without the bug, too, proves nothing.
        if (Case { seed: *seed, plant: None, ..hunt.clone() }).outcome().violation.is_none() {
            writeln!(out, "planted {bug:24} found by {checker:13} seed {seed:4} of {place:4} {text}")?;
            return Ok(true);
        }
        seeds.start = seed + 1;
    }
}
