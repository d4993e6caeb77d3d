//! How long each step of a takeover took: for the log, `status` and the benchmark.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::clock;
use super::names::Names;
use crate::cluster::{GroupId, Time};
use crate::control::protocol::Takeover;

/// So many takeovers are kept.
const KEPT: usize = 16;

/// The takeovers of this node.
#[derive(Debug)]
pub(super) struct Timeline {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    tracks: Vec<Track>,
    kept: VecDeque<Takeover>,
}

#[derive(Clone, Debug, Default)]
struct Track {
    /// When the row in force was decided, and what it says.
    decided: Option<(Time, String)>,
    run: Option<Run>,
}

#[derive(Clone, Debug)]
struct Run {
    from: Time,
    sent: Time,
    takeover: Takeover,
    answered: bool,
}

/// What follows when the anchor is ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// The other resources.
    Rest,
    /// The guest's addresses.
    Guest,
    /// The promote hooks.
    Hooks,
}

impl Timeline {
    pub(super) fn new(groups: usize) -> Self {
        let inner = Inner { tracks: vec![Track::default(); groups], kept: VecDeque::new() };
        Self { inner: Mutex::new(inner) }
    }

    /// Another row is in force: from here a takeover that it calls for is counted.
    pub(super) fn decided(&self, group: GroupId, at: Time, text: String) {
        self.with(group, |track, _| {
            track.decided = Some((at, text));
            None
        });
    }

    /// The taking call is handed to the client.
    pub(super) fn take_sent(&self, group: GroupId, now: Time) {
        self.with(group, |track, _| {
            let (from, text) = track.decided.clone().unwrap_or_else(|| (now, String::new()));
            let takeover = Takeover { from: text, take_sent_us: micros(from, now), ..Takeover::default() };
            track.run = Some(Run { from, sent: now, takeover, answered: false });
            None
        });
    }

    /// It was answered; `false`: in vain.
    pub(super) fn take_answered(&self, group: GroupId, well: bool, now: Time, names: &Names) {
        self.with(group, |track, _| {
            if !well {
                track.run = None;
            }
            if let Some(run) = &mut track.run {
                run.answered = true;
                run.takeover.take_answered_us = micros(run.from, now);
                run.takeover.group = names.group(group).to_owned();
                run.takeover.at = clock::wall_text();
                let (sent, took) = (run.takeover.take_sent_us, micros(run.sent, now));
                tracing::info!(
                    id = "anchor-taken",
                    group = names.group(group),
                    "EC2 confirms that the anchor is ours: call sent {sent} us after the decision, \
                     answered within {took} us"
                );
            }
            None
        });
    }

    /// A step is done. After the last one the whole takeover is logged.
    pub(super) fn done(&self, group: GroupId, step: Step, now: Time) {
        self.with(group, |track, kept| {
            let run = track.run.as_mut().filter(|run| run.answered)?;
            let it = &mut run.takeover;
            let slot = match step {
                Step::Rest => &mut it.rest_done_us,
                Step::Guest => &mut it.guest_done_us,
                Step::Hooks => &mut it.hooks_done_us,
            };
            slot.get_or_insert(micros(run.from, now));
            let (rest, guest, hooks) = (it.rest_done_us?, it.guest_done_us?, it.hooks_done_us?);
            let takeover = track.run.take()?.takeover;
            tracing::info!(
                id = "takeover-done",
                group = takeover.group,
                take_sent_us = takeover.take_sent_us,
                take_answered_us = takeover.take_answered_us,
                rest_done_us = rest,
                guest_done_us = guest,
                hooks_done_us = hooks,
                "the takeover is done: everything moved {} us after the decision, hooks after {hooks} us",
                rest.max(guest)
            );
            kept.push_front(takeover);
            kept.truncate(KEPT);
            None
        });
    }

    /// So many calls were up on the node that fell silent: of the takeover under way, or the last one.
    pub(super) fn calls_lost(&self, group: GroupId, calls: u32, names: &Names) {
        let name = names.group(group);
        self.with(group, |track, kept| {
            let running = track.run.as_mut().filter(|run| run.answered).map(|run| &mut run.takeover);
            running.or_else(|| kept.iter_mut().find(|it| it.group == name))?.calls_lost = Some(calls);
            None
        });
    }

    /// This node yields: what is not done by now will not be.
    pub(super) fn ended(&self, group: GroupId) {
        self.with(group, |track, kept| {
            let run = track.run.take().filter(|run| run.answered)?;
            kept.push_front(run.takeover);
            kept.truncate(KEPT);
            None
        });
    }

    /// The last takeovers, the latest first; one that is not yet done lacks some times.
    pub(super) fn all(&self) -> Vec<Takeover> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let running = inner.tracks.iter().filter_map(|track| track.run.as_ref());
        let running = running.filter(|run| run.answered).map(|run| run.takeover.clone());
        running.chain(inner.kept.iter().cloned()).collect()
    }

    /// `change` answers an option only so that it can use `?`.
    fn with(&self, group: GroupId, change: impl FnOnce(&mut Track, &mut VecDeque<Takeover>) -> Option<()>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner { tracks, kept } = &mut *inner;
        if let Some(track) = tracks.get_mut(usize::from(group.0)) {
            let _nothing = change(track, kept);
        }
    }
}

fn micros(from: Time, to: Time) -> u64 {
    u64::try_from(to.since(from).as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: u64) -> Time {
        Time::from_nanos(us * 1000)
    }

    #[test]
    fn a_takeover_is_measured_from_its_decision() {
        let names = Names { cluster: String::new(), nodes: vec![], groups: vec!["ivr".into()] };
        let timeline = Timeline::new(1);
        let group = GroupId(0);
        timeline.decided(group, at(1000), "row 16".into());
        timeline.take_sent(group, at(1100));
        timeline.done(group, Step::Hooks, at(1110));
        assert_eq!(timeline.all(), [], "nothing is taken before EC2 has answered");
        timeline.take_answered(group, true, at(1500), &names);
        timeline.done(group, Step::Rest, at(1900));
        timeline.done(group, Step::Guest, at(1600));
        timeline.done(group, Step::Rest, at(9000));
        assert_eq!(timeline.all()[0].hooks_done_us, None);
        timeline.done(group, Step::Hooks, at(2000));
        let all = timeline.all();
        let it = &all[0];
        assert_eq!((it.take_sent_us, it.take_answered_us), (100, 500));
        assert_eq!((it.rest_done_us, it.guest_done_us, it.hooks_done_us), (Some(900), Some(600), Some(1000)));
        timeline.take_sent(group, at(3000));
        timeline.take_answered(group, false, at(3100), &names);
        timeline.ended(group);
        assert_eq!(timeline.all().len(), 1);
    }
}
