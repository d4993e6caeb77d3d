//! What a node decided, out of the lines of a recording; and where two of them differ.

use std::time::Duration;

use super::line::{Line, Names};
use crate::cluster::{Command, Desired, GroupId, NodeId, Remedy, Role, Row, Stance, TakeFrom, Time};

/// Decisions that come so much earlier or later are still the same: at least so long, or two intervals.
const TOLERANCE: Duration = Duration::from_millis(500);

/// One decision.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decision {
    /// When.
    pub at: Time,
    /// About which group; `None`: about the process.
    pub group: Option<GroupId>,
    /// What.
    pub what: What,
    /// The row in force.
    pub row: Option<Row>,
}

/// What was decided.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum What {
    /// Another row of the table is in force.
    Row(Row),
    /// This node's part in the group.
    Role(Role, Row),
    /// The group's anchor is taken.
    Take(TakeFrom),
    /// A node is to be stopped by EC2.
    Fence(NodeId),
    /// A lost node's instance is to be brought back.
    Recover(NodeId, Remedy),
    /// The group is offered.
    Offer,
    /// How this node's world should be.
    Converge(Desired),
    /// The process ends.
    Exit,
}

/// Where a replay and its recording part.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// About which group.
    pub group: Option<GroupId>,
    /// What is recorded; `None`: nothing more.
    pub recorded: Option<Decision>,
    /// What this binary decides; `None`: nothing more.
    pub now: Option<Decision>,
}

impl Decision {
    /// The decision in a few words.
    pub fn text(&self, names: &Names) -> String {
        let node = |node: NodeId| names.nodes.get(usize::from(node.0)).map_or("?", String::as_str).to_owned();
        match self.what {
            What::Row(row) => format!("row {}", row.number()),
            What::Role(Role::Active, row) => format!("active by row {}", row.number()),
            What::Role(Role::Standby, row) => format!("standby by row {}", row.number()),
            What::Take(TakeFrom::Anyone) => "take from anyone".to_owned(),
            What::Take(TakeFrom::Nobody) => "take from nobody".to_owned(),
            What::Fence(whom) => format!("fence {}", node(whom)),
            What::Recover(whom, remedy) => format!("{} {}", remedy.words(), node(whom)),
            What::Offer => "offer".to_owned(),
            What::Converge(Desired::Serve { repair: true }) => "serve and repair".to_owned(),
            What::Converge(Desired::Serve { repair: false }) => "serve".to_owned(),
            What::Converge(Desired::Standby) => "stand by".to_owned(),
            What::Exit => "exit".to_owned(),
        }
    }
}

/// Finds the decisions among the lines of a segment.
#[derive(Clone, Debug)]
pub struct Decisions {
    stances: Vec<(GroupId, Stance)>,
    /// What was found, in order.
    pub all: Vec<Decision>,
}

impl Decisions {
    /// In force at the beginning are these.
    pub fn from(stances: impl IntoIterator<Item = (GroupId, Stance)>) -> Self {
        Self { stances: stances.into_iter().collect(), all: Vec::new() }
    }

    /// Looks at the next line.
    pub fn look(&mut self, line: &Line) {
        match line {
            Line::Decided(at, group, stance) => self.decided(*at, *group, *stance),
            Line::Told(at, told) => {
                if told.id == "offered" {
                    self.note(*at, told.group, What::Offer);
                }
            }
            Line::Command(at, command) => self.command(*at, command),
            Line::Begin(_)
            | Line::Tick(_)
            | Line::Beat(..)
            | Line::Input(..)
            | Line::Stalled(..)
            | Line::Gap(_) => {}
        }
    }

    fn decided(&mut self, at: Time, group: GroupId, stance: Stance) {
        let Some((_, known)) = self.stances.iter_mut().find(|(it, _)| *it == group) else { return };
        let was = std::mem::replace(known, stance);
        if was.row != stance.row {
            self.note(at, Some(group), What::Row(stance.row));
        }
        if was.role != stance.role {
            self.note(at, Some(group), What::Role(stance.role, stance.by));
        }
    }

    fn command(&mut self, at: Time, command: &Command) {
        match command {
            Command::TakeAnchor { group, from, .. } => self.note(at, Some(*group), What::Take(*from)),
            Command::Fence { group, node, .. } => self.note(at, Some(*group), What::Fence(*node)),
            Command::Recover { node, remedy, .. } => self.note(at, None, What::Recover(*node, *remedy)),
            Command::Converge { group, desired, .. } => {
                self.note(at, Some(*group), What::Converge(*desired));
            }
            Command::Exit => self.note(at, None, What::Exit),
            Command::Send(_)
            | Command::ReadAnchor { .. }
            | Command::ReadInstance { .. }
            | Command::WriteCounter { .. }
            | Command::WriteOwnTag { .. }
            | Command::Probe { .. }
            | Command::ReadLease { .. }
            | Command::WriteLease { .. }
            | Command::Guard { .. }
            | Command::Store { .. }
            | Command::Tell(_) => {}
        }
    }

    fn note(&mut self, at: Time, group: Option<GroupId>, what: What) {
        let row = self.stances.iter().find(|(it, _)| Some(*it) == group).map(|(_, stance)| stance.row);
        self.all.push(Decision { at, group, what, row });
    }
}

/// The first difference of each group, in the order of time.
pub fn differences(recorded: &[Decision], now: &[Decision], interval: Duration) -> Vec<Difference> {
    let tolerance = TOLERANCE.max(interval * 2);
    let mut groups: Vec<Option<GroupId>> = recorded.iter().chain(now).map(|it| it.group).collect();
    groups.sort_unstable();
    groups.dedup();
    let first = |group: Option<GroupId>| {
        let mut recorded = recorded.iter().filter(|it| it.group == group);
        let mut now = now.iter().filter(|it| it.group == group);
        loop {
            let pair = (recorded.next(), now.next());
            match pair {
                (None, None) => return None,
                (Some(one), Some(other)) if one.same(other, tolerance) => {}
                (recorded, now) => {
                    return Some(Difference { group, recorded: recorded.cloned(), now: now.cloned() });
                }
            }
        }
    };
    let mut all: Vec<Difference> = groups.into_iter().filter_map(first).collect();
    all.sort_by_key(|it| it.recorded.iter().chain(&it.now).map(|it| it.at).min());
    all
}

impl Decision {
    /// Whether it is the same decision, at about the same time.
    pub fn same(&self, other: &Self, tolerance: Duration) -> bool {
        let apart = self.at.since(other.at).max(other.at.since(self.at));
        (self.group, self.what) == (other.group, other.what) && apart <= tolerance
    }
}
