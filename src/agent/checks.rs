//! What the checks of a group have found on this node: for the core, and for `status`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::cluster::Time;
use crate::config::{Check, OnFail, When};
use crate::service::check::verdict::{State, Verdict};

/// The checks of one group.
#[derive(Debug)]
pub(super) struct Checks {
    inner: Mutex<Found>,
}

/// What they have found.
#[derive(Debug)]
pub(super) struct Found {
    /// In the order of the configuration.
    pub(super) all: Vec<Tracked>,
    /// What the core was last told.
    pub(super) told: Told,
}

/// One check.
#[derive(Clone, Debug)]
pub(super) struct Tracked {
    pub(super) verdict: Verdict,
    /// What was last seen of it, and since when.
    pub(super) shown: State,
    pub(super) since: Time,
    /// The last run: when it ended, and how long it took.
    pub(super) ran: Option<(Time, Duration)>,
}

/// What the checks say about a node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Told {
    /// It may go on being active.
    pub(super) fit: bool,
    /// It could take the group (`Err`: why not).
    pub(super) able: Result<(), String>,
}

impl Checks {
    pub(super) fn new(checks: &[Check], now: Time) -> Self {
        let tracked = |check: &Check| Tracked {
            verdict: Verdict::new(check.rise, check.fall),
            shown: State::NotYet,
            since: now,
            ran: None,
        };
        let told = Told { fit: true, able: Ok(()) };
        Self { inner: Mutex::new(Found { all: checks.iter().map(tracked).collect(), told }) }
    }

    pub(super) fn found(&self) -> MutexGuard<'_, Found> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tracked {
    /// Notes a change of what is shown; answers what was shown before.
    pub(super) fn changed(&mut self, now: Time) -> Option<State> {
        let state = self.verdict.state();
        if state == self.shown {
            return None;
        }
        self.since = now;
        Some(std::mem::replace(&mut self.shown, state))
    }

    /// "no answer within 1s, 3 times in a row".
    pub(super) fn words(&self) -> String {
        let text = self.verdict.text();
        match self.verdict.fails() {
            0 | 1 => text.to_owned(),
            fails => format!("{text}, {fails} times in a row"),
        }
    }
}

/// What the core is to know, on a node that serves the group or does not. An active node leaves when a check with
/// on-fail = "move" is down; a witness has to be down here only. A standby is not able while anything is down that
/// would send the group away again.
pub(super) fn told(checks: &[Check], found: &[Tracked], serves: bool, now: Time) -> Told {
    let counts = |check: &Check| check.on_fail != OnFail::Report;
    let down = |(check, it): &(&Check, &Tracked)| {
        let elsewhere_too = check.kind.is_witness() && check.when == When::Always;
        check.on_fail == OnFail::Move
            && if elsewhere_too { it.verdict.is_down_here_only() } else { it.verdict.is_down() }
    };
    let pairs = || checks.iter().zip(found).filter(|(check, _)| counts(check));
    if serves {
        return Told { fit: !pairs().any(|pair| down(&pair)), able: Ok(()) };
    }
    let why = pairs().filter_map(|(check, it)| {
        let name = &check.name;
        if it.verdict.is_in_the_way() {
            let never = if it.verdict.is_down() { "" } else { " (it has not been well yet)" };
            Some(format!("check {name}: {}{never}", it.words()))
        } else if check.on_fail == OnFail::Move && it.verdict.remembered(now).is_some() {
            let text = it.verdict.text();
            Some(format!("check {name} had failed when this node was last active: {text}"))
        } else {
            None
        }
    });
    let why: Vec<String> = why.collect();
    Told { fit: true, able: if why.is_empty() { Ok(()) } else { Err(why.join("; ")) } }
}

#[cfg(test)]
mod tests;
