//! What is to be done about the outbound registrations, by what Asterisk says of them: on the active node each is to
//! be Registered, on a standby none. No clock and no connection of its own.
//!
//! What Asterisk 16 does, as seen: PJSIPRegister sends a REGISTER with Expires 0 at once, and the real one 1 s to
//! `max_random_initial_delay` later. PJSIPUnregister sends a REGISTER with Expires 0 in every state, which at the
//! registrar takes back the same contact of the *other* node too. Asterisk itself registers 1 s to
//! `max_random_initial_delay` after its start, and not once more after a rejection.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cluster::Time;
use crate::service::ami::Registration;

/// Asterisk sends its first REGISTER within this from its start (`max_random_initial_delay` is 10 s by default).
pub(super) const OWN_START: Duration = Duration::from_secs(12);
/// Nothing that is asked for shows before this: until then what is seen is of before.
const SHOWS_AFTER: Duration = Duration::from_millis(900);
/// A registrar has so long to answer (timer F of RFC 3261, 32 s) after Asterisk's own delay.
const PATIENCE: Duration = Duration::from_secs(42);
/// After a rejection it is tried again after this, twice as long each time, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(320);
/// A registration is not taken back more often than this.
const TAKE_BACK_EVERY: Duration = Duration::from_secs(2);

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Act {
    /// Have it sent.
    Register(String),
    /// Have it taken back. `stray`: this standby had registered it all by itself.
    Unregister { name: String, stray: bool },
    /// It is registered at last, so long after it was wanted.
    Registered { name: String, took: Duration },
}

/// All registrations of one Asterisk.
#[derive(Clone, Debug, Default)]
pub(super) struct Follow {
    serves: Option<bool>,
    since: Option<Time>,
    /// Until then Asterisk may register by itself.
    own_start: Option<Time>,
    all: BTreeMap<String, One>,
}

/// One registration.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct One {
    pub(super) state: String,
    pub(super) since: Option<Time>,
    /// When it was last asked for, or taken back, in this tenure.
    asked: Option<Time>,
    tries: u32,
    /// How long it took to be registered in this tenure.
    pub(super) took: Option<Duration>,
}

impl Follow {
    /// Asterisk has started, or has just been found: it runs for so long.
    pub(super) fn found(&mut self, uptime: Option<Duration>, now: Time) {
        let left = OWN_START.saturating_sub(uptime.unwrap_or_default());
        self.own_start = (!left.is_zero()).then_some(now + left);
        for one in self.all.values_mut() {
            *one = One::default();
        }
    }

    /// This node is active, or standby, from now on.
    pub(super) fn turn(&mut self, serves: Option<bool>, now: Time) {
        if self.serves == serves {
            return;
        }
        self.serves = serves;
        self.since = Some(now);
        for one in self.all.values_mut() {
            (one.asked, one.tries, one.took) = (None, 0, None);
        }
    }

    /// What Asterisk says of all of them.
    pub(super) fn seen(&mut self, list: &[Registration], now: Time) -> Vec<Act> {
        self.all.retain(|name, _| list.iter().any(|it| it.name == *name));
        let starts = self.own_start.is_some_and(|until| now < until);
        let mut acts = Vec::new();
        for it in list {
            let one = self.all.entry(it.name.clone()).or_default();
            let changed = one.state != it.state;
            if changed {
                one.state.clone_from(&it.state);
                one.since = Some(now);
            }
            let act = match self.serves {
                Some(true) => one.on_active(it, starts, self.since.unwrap_or(now), now),
                Some(false) => one.on_standby(it, starts, changed, now),
                None => None,
            };
            acts.extend(act);
        }
        acts
    }

    /// Another node has taken back what may be the same contact: what is registered has to be so once more.
    pub(super) fn taken_back_elsewhere(&mut self, now: Time) -> Vec<Act> {
        if self.serves != Some(true) {
            return Vec::new();
        }
        // What is still on its way will come after that.
        let registered = self.all.iter_mut().filter(|(_, one)| one.took.is_some());
        let again = registered.map(|(name, one)| {
            (one.asked, one.took) = (Some(now), None);
            Act::Register(name.clone())
        });
        again.collect()
    }

    /// Whether something is awaited: then it is looked at often.
    pub(super) fn awaits(&self) -> bool {
        self.serves == Some(true) && self.all.values().any(|one| one.took.is_none())
    }

    /// Each of them, for `status`.
    pub(super) fn all(&self) -> impl Iterator<Item = (&String, &One)> {
        self.all.iter()
    }

    /// What is not as it should be, for operators.
    pub(super) fn problem(&self, now: Time) -> Option<String> {
        let bad = |(name, one): (&String, &One)| match self.serves? {
            true if is(one, "Rejected") && one.tries > 0 => {
                Some(format!("{name} is rejected by its registrar"))
            }
            true if one.took.is_none() => {
                let waits = now.since(one.asked?);
                let late = waits >= Duration::from_secs(32) || one.tries > 1;
                late.then(|| format!("{name} is not registered ({}, attempt {})", one.state, one.tries))
            }
            false if is(one, "Registered") => Some(format!("{name} is registered from this standby")),
            true | false => None,
        };
        let all: Vec<String> = self.all.iter().filter_map(bad).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

fn is(one: &One, state: &str) -> bool {
    one.state.eq_ignore_ascii_case(state)
}

impl One {
    fn on_active(&mut self, it: &Registration, starts: bool, wanted: Time, now: Time) -> Option<Act> {
        let asked_for = self.asked.map(|at| now.since(at));
        if asked_for.is_some_and(|time| time < SHOWS_AFTER) {
            return None;
        }
        if it.is_registered() {
            let first = self.took.is_none();
            let took = now.since(self.asked.unwrap_or(wanted));
            self.took.get_or_insert(took);
            self.tries = 0;
            return first.then(|| Act::Registered { name: it.name.clone(), took });
        }
        // It was, and is no longer: that is a new need.
        if self.took.take().is_some() {
            (self.asked, self.tries) = (None, 0);
        }
        let due = match asked_for.filter(|_| self.asked.is_some()) {
            None => !starts,
            Some(time) if is(self, "Rejected") => time >= pause(self.tries),
            Some(time) => time >= PATIENCE,
        };
        if !due {
            return None;
        }
        self.asked = Some(now);
        self.tries += 1;
        Some(Act::Register(it.name.clone()))
    }

    fn on_standby(&mut self, it: &Registration, starts: bool, changed: bool, now: Time) -> Option<Act> {
        self.took = None;
        if self.asked.is_some_and(|at| now.since(at) < TAKE_BACK_EVERY) {
            return None;
        }
        // In its first seconds Asterisk is about to register, and after a rejection it may be about to try again. Else
        // nothing is sent that is not needed: it would take back what the active node has registered.
        let about_to =
            (starts && self.asked.is_none()) || (is(self, "Rejected") && (changed || self.asked.is_none()));
        if !it.is_registered() && !about_to {
            return None;
        }
        let stray = it.is_registered() && self.asked.is_some();
        self.asked = Some(now);
        Some(Act::Unregister { name: it.name.clone(), stray })
    }
}

/// After the first, the second, … attempt.
fn pause(tries: u32) -> Duration {
    let doublings = tries.saturating_sub(1).min(16);
    FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_nanos(ms * 1_000_000)
    }

    fn list(state: &str) -> Vec<Registration> {
        vec![Registration { name: "carrier".into(), state: state.into() }]
    }

    fn register() -> Vec<Act> {
        vec![Act::Register("carrier".into())]
    }

    fn unregister(stray: bool) -> Vec<Act> {
        vec![Act::Unregister { name: "carrier".into(), stray }]
    }

    fn follow(serves: bool) -> Follow {
        let mut follow = Follow::default();
        follow.found(Some(Duration::from_hours(1)), at(0));
        follow.turn(Some(serves), at(0));
        follow
    }

    #[test]
    fn an_active_node_registers_and_says_how_long_it_took() {
        let mut it = follow(true);
        assert_eq!(it.seen(&list("Unregistered"), at(100)), register());
        assert!(it.awaits());
        assert_eq!(it.seen(&list("Registered"), at(200)), [], "that is of before");
        assert_eq!(it.seen(&list("Unregistered"), at(1000)), []);
        let took = Duration::from_millis(1020);
        assert_eq!(
            it.seen(&list("Registered"), at(1120)),
            [Act::Registered { name: "carrier".into(), took }]
        );
        assert_eq!(it.seen(&list("Registered"), at(6000)), []);
        assert!(!it.awaits() && it.problem(at(6000)).is_none());
        assert_eq!(it.seen(&list("Unregistered"), at(7000)), register(), "it was lost");
    }

    #[test]
    fn what_is_registered_already_is_not_touched() {
        let mut it = follow(true);
        let took = Duration::from_millis(100);
        assert_eq!(it.seen(&list("Registered"), at(100)), [Act::Registered { name: "carrier".into(), took }]);
    }

    #[test]
    fn a_rejection_is_a_problem_and_is_tried_again_ever_more_seldom() {
        let mut it = follow(true);
        assert_eq!(it.seen(&list("Unregistered"), at(0)), register());
        assert_eq!(it.seen(&list("Rejected"), at(2000)), []);
        assert_eq!(it.problem(at(2000)).unwrap(), "carrier is rejected by its registrar");
        let mut tries = vec![];
        for second in 3..700 {
            if !it.seen(&list("Rejected"), at(second * 1000)).is_empty() {
                tries.push(second);
            }
        }
        assert_eq!(tries, [10, 30, 70, 150, 310, 630]);
    }

    #[test]
    fn a_registrar_that_says_nothing_is_a_problem_after_32_seconds() {
        let mut it = follow(true);
        assert_eq!(it.seen(&list("Unregistered"), at(0)), register());
        assert_eq!(it.seen(&list("Unregistered"), at(31_000)), []);
        assert_eq!(it.problem(at(31_000)), None);
        assert!(it.problem(at(32_000)).unwrap().contains("not registered"));
        assert_eq!(it.seen(&list("Unregistered"), at(42_000)), register());
        assert!(it.problem(at(42_500)).is_some(), "it stays one");
    }

    #[test]
    fn a_standby_takes_back_what_is_registered_and_nothing_else() {
        let mut it = follow(false);
        assert_eq!(it.seen(&list("Unregistered"), at(0)), [], "it would be the active node's");
        assert_eq!(it.seen(&list("Registered"), at(5000)), unregister(false));
        assert_eq!(it.seen(&list("Registered"), at(6000)), [], "not twice");
        assert!(it.problem(at(6000)).unwrap().contains("registered from this standby"));
        assert_eq!(it.seen(&list("Unregistered"), at(8000)), []);
        assert_eq!(it.seen(&list("Registered"), at(20_000)), unregister(true));
    }

    #[test]
    fn an_asterisk_that_has_just_started_is_kept_from_registering() {
        let mut it = Follow::default();
        it.turn(Some(false), at(0));
        it.found(Some(Duration::from_secs(1)), at(0));
        assert_eq!(it.seen(&list("Unregistered"), at(100)), unregister(false));
        assert_eq!(it.seen(&list("Unregistered"), at(5000)), []);
        // On the active node it is left to it.
        let mut it = Follow::default();
        it.turn(Some(true), at(0));
        it.found(Some(Duration::from_secs(1)), at(0));
        assert_eq!(it.seen(&list("Unregistered"), at(100)), []);
        assert_eq!(it.seen(&list("Unregistered"), at(11_000)), register());
    }

    #[test]
    fn a_promotion_and_a_demotion_begin_anew() {
        let mut it = follow(false);
        assert_eq!(it.seen(&list("Registered"), at(0)), unregister(false));
        it.turn(Some(true), at(500));
        assert_eq!(it.seen(&list("Unregistered"), at(600)), register());
        it.turn(Some(false), at(700));
        assert_eq!(it.seen(&list("Registered"), at(800)), unregister(false));
        it.turn(None, at(900));
        assert_eq!(it.seen(&list("Registered"), at(9000)), []);
    }

    #[test]
    fn what_another_node_has_taken_back_is_registered_once_more() {
        let mut it = follow(true);
        assert_eq!(it.taken_back_elsewhere(at(0)), []);
        it.seen(&list("Unregistered"), at(0));
        assert_eq!(it.taken_back_elsewhere(at(500)), [], "ours comes after that");
        it.seen(&list("Registered"), at(1100));
        assert_eq!(it.taken_back_elsewhere(at(2000)), register());
        assert_eq!(it.seen(&list("Registered"), at(2100)), []);
        assert_eq!(it.seen(&list("Unregistered"), at(2950)), [], "it is on its way");
        let took = Duration::from_millis(1100);
        assert_eq!(
            it.seen(&list("Registered"), at(3100)),
            [Act::Registered { name: "carrier".into(), took }]
        );
    }
}
