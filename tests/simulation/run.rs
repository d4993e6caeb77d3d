//! One case: a seed, what it is drawn for, and, for a replay, which of its faults happen.

use std::cell::RefCell;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use standin::cluster::{Fencing, NodeId, Time, WhenSilent};

use crate::model::service::name;
use crate::plant::Plant;
use crate::setup::{Force, Topology};
use crate::tally::Tally;
use crate::world::World;

/// Of the planned faults only these happen, each for so long (`None`: as drawn).
pub(crate) type Only = Vec<(usize, Option<Duration>)>;

/// What is run.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) seed: u64,
    pub(crate) topology: Topology,
    pub(crate) force: Force,
    pub(crate) plant: Option<Plant>,
    pub(crate) only: Option<Only>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) tally: Tally,
    /// The checker's word and what it found.
    pub(crate) violation: Option<(&'static str, String)>,
}

thread_local! {
    static PANICKED_AT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A panic of the core is a violation, and says so there instead of in the middle of the output.
pub(crate) fn catch_panics() {
    std::panic::set_hook(Box::new(|info| {
        let at = info.location().map(ToString::to_string).unwrap_or_default();
        PANICKED_AT.with_borrow_mut(|it| *it = at);
    }));
}

impl Case {
    /// How long this fault lasts; `None`: it does not happen.
    pub(crate) fn lasts(&self, fault: usize, drawn: Duration) -> Option<Duration> {
        let Some(only) = &self.only else { return Some(drawn) };
        only.iter().find(|(at, _)| *at == fault).map(|(_, lasts)| lasts.unwrap_or(drawn))
    }

    /// Runs it to its end, or to the first violation.
    pub(crate) fn run(&self, recording: bool) -> World {
        let mut world = World::new(self, recording);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| world.run())) {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            let at = PANICKED_AT.with_borrow(String::clone);
            world.fail("panic", format!("{} at {at}", text.unwrap_or_default()));
        }
        world.tally.runs = 1;
        world.tally.simulated = world.now.since(Time::ZERO);
        world
    }

    pub(crate) fn outcome(&self) -> Outcome {
        let world = self.run(false);
        Outcome { seed: self.seed, tally: world.tally, violation: world.checks.violation }
    }

    /// The command that runs just this.
    pub(crate) fn command(&self) -> String {
        let mut text = format!(
            "cargo test --profile sim --no-default-features --test simulation -- --seed {} --nodes {}",
            self.seed,
            self.topology.name()
        );
        let mut add = |more: String| text.push_str(&more);
        let force = &self.force;
        if let Some(lease) = force.lease {
            add(format!(" --arbiter {}", if lease { "lease" } else { "anchor" }));
        }
        if let Some(fencing) = force.fencing {
            let name = match fencing {
                Fencing::None => "none",
                Fencing::Before => "before",
                Fencing::Alongside => "alongside",
            };
            add(format!(" --fencing {name}"));
        }
        if let Some(when_silent) = force.when_silent {
            let name = match when_silent {
                WhenSilent::Take => "take",
                WhenSilent::Probe => "probe",
                WhenSilent::Hold => "hold",
            };
            add(format!(" --when-silent {name}"));
        }
        for (option, value) in
            [("--cold", force.cold), ("--failback", force.failback), ("--recovery", force.recovery)]
        {
            if let Some(value) = value {
                add(format!(" {option} {}", if value { "yes" } else { "no" }));
            }
        }
        if let Some(plant) = self.plant {
            add(format!(" --planted {}", plant.name()));
        }
        if let Some(only) = &self.only {
            let one = |(at, lasts): &(usize, Option<Duration>)| {
                lasts.map_or(at.to_string(), |lasts| format!("{at}={}", lasts.as_millis()))
            };
            add(format!(" --only {}", only.iter().map(one).collect::<Vec<_>>().join(",")));
        }
        text
    }
}

impl World {
    /// The last so many lines, and then how everything stands: EC2's truth, DynamoDB's, each node's.
    pub(crate) fn print(&self, lines: usize, out: &mut impl Write) -> io::Result<()> {
        for (at, text) in self.timeline.iter().skip(self.timeline.len().saturating_sub(lines)) {
            writeln!(out, "{:10.3} {text}", at.since(Time::ZERO).as_secs_f64())?;
        }
        writeln!(out, "at {:.3} s:", self.now.since(Time::ZERO).as_secs_f64())?;
        for (at, settings) in self.settings.groups.iter().enumerate() {
            let anchor = &self.ec2.anchors[at];
            writeln!(
                out,
                "  group {at} ({:?}): anchor {:?} since {:.3}, rest {:?}, lease {:?}; fencing {:?}, when-silent {:?}{}{}{}",
                anchor.kind,
                anchor.holder.now(),
                anchor.holder.since().since(Time::ZERO).as_secs_f64(),
                self.ec2.rests[at].now(),
                self.dynamo.owners[at].now(),
                settings.fencing,
                settings.when_silent,
                settings.lease.map_or(String::new(), |it| format!(", {it:?}")),
                if settings.cold { ", cold" } else { "" },
                settings.failback.map_or(String::new(), |it| format!(", failback {it:?}")),
            )?;
        }
        for machine in &self.machines {
            let node = machine.id;
            let state = match (&machine.process, machine.frozen(self.now)) {
                _ if !machine.up => "off",
                (None, _) => "no agent",
                (Some(_), true) => "frozen",
                (Some(_), false) => "runs",
            };
            let instance = self.ec2.instances[usize::from(node.0)].now();
            writeln!(out, "  {}: {state}, instance running: {instance:?}", name(node))?;
            let Some(process) = &machine.process else { continue };
            let local = machine.clock.local(self.now);
            for view in process.core.cluster.snapshot(local).groups {
                let service = &machine.groups[usize::from(view.group.0)].service;
                writeln!(
                    out,
                    "    group {}: {:?} by row {}, now row {} with owner {:?}{}, term {}, gate {:?}, ineligible {:?}; service running: {}, reached {:?}",
                    view.group.0,
                    view.role,
                    view.reason.0.number(),
                    view.row.number(),
                    view.anchor,
                    if view.settled { "" } else { " (not settled)" },
                    view.term,
                    view.gate,
                    view.ineligible,
                    service.running,
                    service.real,
                )?;
            }
        }
        Ok(())
    }
}

/// Names of nodes in a message of the core.
pub(crate) fn named(text: &str) -> String {
    let mut text = text.to_owned();
    for it in (0..5).map(NodeId) {
        text = text.replace(&format!("{{node {}}}", it.0), &name(it).to_string());
    }
    text
}
