//! The command line: ours, and what cargo passes to every test.

use std::time::Duration;

use standin::cluster::{Fencing, WhenSilent};

use crate::plant::Plant;
use crate::run::Only;
use crate::setup::{Force, Topology};

#[derive(Clone, Debug, Default)]
pub(crate) struct Args {
    /// Replay this one, with its timeline.
    pub(crate) seed: Option<u64>,
    /// These seeds.
    pub(crate) seeds: Option<std::ops::Range<u64>>,
    /// Only this topology.
    pub(crate) topology: Option<Topology>,
    /// Only with these planted bugs.
    pub(crate) planted: Vec<Plant>,
    /// Instead of what the seeds draw.
    pub(crate) force: Force,
    /// Of a replayed seed only these faults.
    pub(crate) only: Option<Only>,
    /// Threads.
    jobs: Option<u64>,
    /// Print each seed with a long wait.
    pub(crate) waits: bool,
    /// Go on after a failure.
    pub(crate) all: bool,
    /// There is nothing to do: `--list`, or a filter that does not mean us.
    pub(crate) nothing: bool,
}

impl Args {
    pub(crate) fn read(mut given: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args = Self::default();
        while let Some(arg) = given.next() {
            let mut value = || given.next().ok_or(format!("{arg} needs a value"));
            match arg.as_str() {
                "--seed" => args.seed = Some(number(&value()?)?),
                "--seeds" => args.seeds = Some(range(&value()?)?),
                "--nodes" => {
                    let name = value()?;
                    let rule = "--nodes is 2 to 5, with groups (2x2) or witnesses (2+1), 5 nodes at most";
                    args.topology = Some(Topology::named(&name).ok_or(format!("{rule}; not {name}"))?);
                }
                "--planted" => {
                    let name = value()?;
                    let found: Vec<Plant> =
                        Plant::ALL.into_iter().filter(|it| name == "all" || it.name() == name).collect();
                    if found.is_empty() {
                        let names: Vec<&str> = Plant::ALL.iter().map(|it| it.name()).collect();
                        return Err(format!("--planted is all or one of {}", names.join(", ")));
                    }
                    args.planted = found;
                }
                "--jobs" => args.jobs = Some(number(&value()?)?.max(1)),
                "--only" => args.only = Some(only(&value()?)?),
                "--arbiter" | "--fencing" | "--when-silent" | "--cold" | "--failback" | "--recovery" => {
                    let value = value()?;
                    args.force(&arg, &value)?;
                }
                "--waits" => args.waits = true,
                "--all" => args.all = true,
                "--list" | "--ignored" => args.nothing = true,
                // Options of libtest that take a value.
                "--test-threads" | "--color" | "--format" | "--logfile" | "--skip" | "-Z" => {
                    value()?;
                }
                _ if arg.starts_with('-') => {}
                _ => args.nothing |= !"simulation".contains(&arg),
            }
        }
        Ok(args)
    }
}

impl Args {
    /// How many threads.
    pub(crate) fn jobs(&self) -> usize {
        let all = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.jobs.map_or(all, |jobs| jobs as usize)
    }

    fn force(&mut self, option: &str, value: &str) -> Result<(), String> {
        let force = &mut self.force;
        match (option, value) {
            ("--arbiter", "lease") => force.lease = Some(true),
            ("--arbiter", "anchor") => force.lease = Some(false),
            ("--fencing", "none") => force.fencing = Some(Fencing::None),
            ("--fencing", "before") => force.fencing = Some(Fencing::Before),
            ("--fencing", "alongside") => force.fencing = Some(Fencing::Alongside),
            ("--when-silent", "take") => force.when_silent = Some(WhenSilent::Take),
            ("--when-silent", "probe") => force.when_silent = Some(WhenSilent::Probe),
            ("--when-silent", "hold") => force.when_silent = Some(WhenSilent::Hold),
            ("--cold", "yes" | "no") => force.cold = Some(value == "yes"),
            ("--failback", "yes" | "no") => force.failback = Some(value == "yes"),
            ("--recovery", "yes" | "no") => force.recovery = Some(value == "yes"),
            _ => return Err(format!("{option} cannot be {value}; see the head of main.rs")),
        }
        Ok(())
    }
}

/// "3,5=1200": faults 3 and 5, the second for 1,200 ms.
fn only(text: &str) -> Result<Only, String> {
    let one = |part: &str| match part.split_once('=') {
        Some((at, lasts)) => Ok((number(at)? as usize, Some(Duration::from_millis(number(lasts)?)))),
        None => Ok((number(part)? as usize, None)),
    };
    text.split(',').filter(|part| !part.is_empty()).map(one).collect()
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}

fn range(text: &str) -> Result<std::ops::Range<u64>, String> {
    match text.split_once("..") {
        Some((from, to)) => Ok(number(from)?..number(to)?),
        None => Ok(0..number(text)?),
    }
}
