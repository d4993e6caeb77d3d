//! The command line: ours, and what cargo passes to every test.

use super::plant::Plant;
use super::world::Topology;

#[derive(Clone, Debug, Default)]
pub(crate) struct Args {
    /// Replay this one, with its timeline.
    pub(crate) seed: Option<u64>,
    /// These seeds.
    pub(crate) seeds: Option<std::ops::Range<u64>>,
    /// Only this topology.
    pub(crate) topology: Option<(&'static str, Topology)>,
    /// Only with these planted bugs.
    pub(crate) planted: Vec<Plant>,
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
                    let known = Topology::ALL.into_iter().find(|(it, _)| *it == name);
                    args.topology = Some(known.ok_or("--nodes is 2, 3, 2x2 or 2+1")?);
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

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}

fn range(text: &str) -> Result<std::ops::Range<u64>, String> {
    match text.split_once("..") {
        Some((from, to)) => Ok(number(from)?..number(to)?),
        None => Ok(0..number(text)?),
    }
}
