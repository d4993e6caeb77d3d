//! One line of a recording. The keys are short, because there are many lines.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::FORMAT;
use crate::cluster::{
    Cluster, Command, Event, GroupId, Heartbeat, Level, LinkId, NodeId, Notice, Row, Stance, Time,
};

/// One line. Times are nanoseconds since the boot of the machine.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub enum Line {
    /// A segment begins.
    #[serde(rename = "standin-recording")]
    Begin(Box<Header>),
    /// Time has passed: [`Event::Ticked`].
    #[serde(rename = "t")]
    Tick(Time),
    /// A heartbeat that differs from the one before it, of the same node, in nothing but these numbers.
    #[serde(rename = "b")]
    Beat(Time, Beat),
    /// The core was told this.
    #[serde(rename = "i")]
    Input(Time, Event),
    /// The core was told this after it had not run for a while.
    #[serde(rename = "s")]
    Stalled(Time, Event),
    /// The decision about a group has changed.
    #[serde(rename = "d")]
    Decided(Time, GroupId, Stance),
    /// The core wants this done.
    #[serde(rename = "c")]
    Command(Time, Command),
    /// The core told the operator.
    #[serde(rename = "n")]
    Told(Time, Told),
    /// From here on inputs are missing; the next header says how many.
    #[serde(rename = "gap")]
    Gap(Time),
}

/// The numbers of a heartbeat that change each time.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Beat(NodeId, LinkId, u64, u64, Option<(u64, u64)>);

/// A notice.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Told {
    /// How loud.
    pub level: Level,
    /// Its stable name.
    pub id: String,
    /// About which group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// The row in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<Row>,
    /// The sentence; `{node N}` stands for the name of node N.
    pub text: String,
}

/// Why a segment begins.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Why {
    /// The agent has started.
    Start,
    /// The file before it was full.
    Full,
    /// Lines were lost.
    Gap,
}

/// The names behind the core's numbers.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Names {
    /// The cluster's name.
    pub cluster: String,
    /// The nodes' names.
    pub nodes: Vec<String>,
    /// The groups' names.
    pub groups: Vec<String>,
    /// The name of each group's anchor.
    pub anchors: Vec<String>,
}

/// What is needed to begin here.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of standin that wrote it.
    pub standin: String,
    /// Names.
    pub names: Names,
    /// Which boot of the machine this is: times mean nothing in another one.
    pub boot: String,
    /// Why it begins.
    pub why: Why,
    /// How many inputs are missing before it, as far as this is known.
    pub lost: u64,
    /// When it begins.
    pub at: Time,
    /// What the wall clock showed then, in milliseconds since 1970.
    pub wall_ms: u64,
    /// The core at that moment, with its settings: see [`Header::core`].
    pub(super) core: Value,
}

impl Header {
    /// The header of a segment that begins with this core.
    ///
    /// # Errors
    /// None that is known; JSON has a form for everything in a core.
    pub fn new(names: &Names, boot: &str, core: &Cluster) -> serde_json::Result<Self> {
        Ok(Self {
            format: FORMAT,
            standin: env!("CARGO_PKG_VERSION").to_owned(),
            names: names.clone(),
            boot: boot.to_owned(),
            why: Why::Start,
            lost: 0,
            at: Time::ZERO,
            wall_ms: 0,
            core: serde_json::to_value(core)?,
        })
    }

    /// The core as it was.
    ///
    /// # Errors
    /// What stands there is no core that this version understands.
    pub fn core(&self) -> serde_json::Result<Cluster> {
        super::restore::core(&self.core, self.at)
    }

    /// What the wall clock showed at this moment, in milliseconds since 1970, if nobody has set it since.
    pub fn wall_ms_at(&self, at: Time) -> u64 {
        let after = u64::try_from(at.since(self.at).as_millis()).unwrap_or(u64::MAX);
        let before = u64::try_from(self.at.since(at).as_millis()).unwrap_or(u64::MAX);
        self.wall_ms.saturating_add(after).saturating_sub(before)
    }

    /// When the wall clock showed this.
    pub fn at_wall_ms(&self, wall_ms: u64) -> Time {
        let ms = std::time::Duration::from_millis;
        if wall_ms >= self.wall_ms {
            self.at + ms(wall_ms - self.wall_ms)
        } else {
            self.at - ms(self.wall_ms - wall_ms)
        }
    }
}

impl Line {
    /// A notice as it is recorded.
    pub fn told(notice: &Notice) -> Self {
        let Notice { at, level, id, group, row, text } = notice;
        let told = Told { level: *level, id: (*id).to_owned(), group: *group, row: *row, text: text.clone() };
        Self::Told(*at, told)
    }

    /// When; a header has its own time.
    pub fn at(&self) -> Time {
        match self {
            Self::Begin(header) => header.at,
            Self::Tick(at)
            | Self::Beat(at, _)
            | Self::Input(at, _)
            | Self::Stalled(at, _)
            | Self::Decided(at, _, _)
            | Self::Command(at, _)
            | Self::Told(at, _)
            | Self::Gap(at) => *at,
        }
    }
}

/// Writes lines; it knows what was written before in the same segment.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    beats: Vec<Heartbeat>,
}

/// Reads lines; the other side of [`Encoder`].
#[derive(Clone, Debug, Default)]
pub(super) struct Decoder {
    beats: Vec<Heartbeat>,
}

impl Encoder {
    /// The line as text, without its end.
    pub(super) fn encode(&mut self, line: Line) -> serde_json::Result<String> {
        let line = match line {
            Line::Begin(header) => {
                self.beats.clear();
                Line::Begin(header)
            }
            Line::Input(at, Event::Ticked) => Line::Tick(at),
            Line::Input(at, Event::HeartbeatReceived(beat)) => match self.shorter(&beat) {
                Some(short) => Line::Beat(at, short),
                None => {
                    keep(&mut self.beats, &beat);
                    Line::Input(at, Event::HeartbeatReceived(beat))
                }
            },
            Line::Stalled(at, Event::HeartbeatReceived(beat)) => {
                keep(&mut self.beats, &beat);
                Line::Stalled(at, Event::HeartbeatReceived(beat))
            }
            line @ (Line::Tick(_)
            | Line::Beat(..)
            | Line::Input(..)
            | Line::Stalled(..)
            | Line::Decided(..)
            | Line::Command(..)
            | Line::Told(..)
            | Line::Gap(_)) => line,
        };
        serde_json::to_string(&line)
    }

    /// The heartbeat in short, if there was one that differs in nothing else.
    fn shorter(&self, beat: &Heartbeat) -> Option<Beat> {
        let reply = beat.reply.map(|reply| (reply.sent_us, reply.held_us));
        let short = Beat(beat.from, beat.link, beat.sequence, beat.sent_us, reply);
        (long(&self.beats, &short)? == *beat).then_some(short)
    }
}

impl Decoder {
    /// Reads a line. Short forms come back in full.
    pub(super) fn decode(&mut self, text: &str) -> Result<Line, String> {
        let line = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match &line {
            Line::Begin(_) => self.beats.clear(),
            Line::Tick(at) => return Ok(Line::Input(*at, Event::Ticked)),
            Line::Beat(at, short) => {
                let beat =
                    long(&self.beats, short).ok_or("a heartbeat in short, without one that it follows")?;
                return Ok(Line::Input(*at, Event::HeartbeatReceived(Box::new(beat))));
            }
            Line::Input(_, Event::HeartbeatReceived(beat))
            | Line::Stalled(_, Event::HeartbeatReceived(beat)) => keep(&mut self.beats, beat),
            Line::Input(..)
            | Line::Stalled(..)
            | Line::Decided(..)
            | Line::Command(..)
            | Line::Told(..)
            | Line::Gap(_) => {}
        }
        Ok(line)
    }
}

fn keep(beats: &mut Vec<Heartbeat>, beat: &Heartbeat) {
    beats.retain(|it| it.from != beat.from);
    beats.push(beat.clone());
}

fn long(beats: &[Heartbeat], short: &Beat) -> Option<Heartbeat> {
    let Beat(from, link, sequence, sent_us, reply) = *short;
    let mut beat = beats.iter().find(|it| it.from == from)?.clone();
    beat.link = link;
    beat.sequence = sequence;
    beat.sent_us = sent_us;
    beat.reply = reply.map(|(sent_us, held_us)| crate::cluster::heartbeat::Reply { sent_us, held_us });
    Some(beat)
}
