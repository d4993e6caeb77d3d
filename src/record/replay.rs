//! A recording through the core of this binary.

use super::calls::Calls;
use super::decisions::{Decision, Decisions, Difference, differences};
use super::line::Line;
use super::read::{ReadError, Segment};
use crate::cluster::{Cluster, Command, Event, GroupId, Snapshot, Stance, Time};

/// A core that is told what another one was told.
#[derive(Debug)]
pub struct Replay {
    core: Cluster,
    calls: Calls,
    stances: Vec<(GroupId, Stance)>,
    at: Time,
    /// What the core wanted in the present turn, which ends when time goes on.
    wanted: Vec<Line>,
    /// What it decided.
    said: Vec<Line>,
}

/// What became of one segment.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// What is recorded.
    pub recorded: Vec<Decision>,
    /// What this binary decides.
    pub now: Vec<Decision>,
    /// The first difference of each group.
    pub differences: Vec<Difference>,
    /// How many inputs there were.
    pub inputs: usize,
    /// The last of them.
    pub end: Time,
}

impl Replay {
    /// The core as it was when the segment began.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`]: the header holds no core that this version understands.
    pub fn of(segment: &Segment) -> Result<Self, ReadError> {
        let core = segment.header.core().map_err(|error| segment.corrupt_core(&error))?;
        let stances = core.stances().collect();
        let at = segment.header.at;
        Ok(Self { core, calls: Calls::default(), stances, at, wanted: Vec::new(), said: Vec::new() })
    }

    /// Replays a whole segment, and compares.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`].
    pub fn all(segment: &Segment) -> Result<Replayed, ReadError> {
        let mut replay = Self::of(segment)?;
        let (mut recorded, mut now) = (replay.decisions(), replay.decisions());
        let mut inputs = 0;
        for line in segment.lines() {
            let line = line?;
            if matches!(line, Line::Gap(_)) {
                break;
            }
            inputs += usize::from(replay.feed(&line));
            recorded.look(&line);
        }
        let (end, interval) = (replay.at, replay.core.settings().interval);
        replay.end().iter().for_each(|line| now.look(line));
        let (recorded, mut now) = (recorded.all, now.all);
        // What the last turn led to may be what is missing.
        while now.len() > recorded.len() && now.last().is_some_and(|it| it.at >= end) {
            now.pop();
        }
        let differences = differences(&recorded, &now, interval);
        Ok(Replayed { recorded, now, differences, inputs, end })
    }

    /// For finding decisions from here on.
    pub fn decisions(&self) -> Decisions {
        Decisions::from(self.stances.iter().copied())
    }

    /// Takes in one recorded line; answers whether it was an input.
    pub fn feed(&mut self, line: &Line) -> bool {
        match line {
            Line::Input(at, event) => self.input(*at, event, false),
            Line::Stalled(at, event) => self.input(*at, event, true),
            Line::Command(at, command) => {
                self.calls.recorded(command, *at);
                return false;
            }
            // The decoder has made inputs of the short forms.
            Line::Begin(_)
            | Line::Tick(_)
            | Line::Beat(..)
            | Line::Decided(..)
            | Line::Told(..)
            | Line::Gap(_) => return false,
        }
        true
    }

    /// The present state of the core.
    pub fn snapshot(&self, at: Time) -> Snapshot {
        self.core.snapshot(at)
    }

    /// The core.
    pub fn core(&self) -> &Cluster {
        &self.core
    }

    /// What it has decided and told so far, in the recording's own form.
    pub fn end(mut self) -> Vec<Line> {
        self.said.append(&mut self.wanted);
        self.said
    }

    fn input(&mut self, at: Time, event: &Event, stalled: bool) {
        if at != self.at {
            self.said.append(&mut self.wanted);
        }
        // Another core may have wanted to be woken earlier than the recorded one was: that is no stall.
        while !stalled && self.core.is_stalled(at) {
            let due = self.core.next_deadline();
            self.handle(Event::Ticked, due);
        }
        self.at = at;
        for event in self.calls.inputs(event.clone(), at) {
            self.handle(event, at);
        }
    }

    fn handle(&mut self, event: Event, at: Time) {
        self.core.handle(event, at);
        for (stance, old) in self.core.stances().zip(&mut self.stances) {
            if stance != *old {
                *old = stance;
                self.said.push(Line::Decided(at, stance.0, stance.1));
            }
        }
        while let Some(command) = self.core.next_command() {
            match command {
                Command::Send(_) => {}
                Command::Tell(notice) => self.wanted.push(Line::told(&notice)),
                Command::ReadAnchor { .. }
                | Command::ReadInstance { .. }
                | Command::TakeAnchor { .. }
                | Command::WriteCounter { .. }
                | Command::WriteOwnTag { .. }
                | Command::Fence { .. }
                | Command::Recover { .. }
                | Command::Probe { .. }
                | Command::ReadLease { .. }
                | Command::WriteLease { .. }
                | Command::Guard { .. }
                | Command::Converge { .. }
                | Command::Store { .. }
                | Command::Exit => {
                    self.calls.wanted(&command, at);
                    self.wanted.push(Line::Command(at, command));
                }
            }
        }
    }
}

impl Segment {
    fn corrupt_core(&self, error: &serde_json::Error) -> ReadError {
        let why = format!("the core in the header cannot be understood: {error}");
        ReadError::Corrupt { path: self.path.clone(), line: self.first_line(), why }
    }
}
