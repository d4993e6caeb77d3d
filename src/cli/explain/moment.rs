//! One moment of a recording: found, replayed up to, and described.

use std::time::Duration;

use super::events::Events;
use super::view::{Anchor, Event, Explained, Group, Moment, Node, Said};
use super::{failure, next, when, words};
use crate::agent::names::Names;
use crate::cli::{Exit, Failure};
use crate::cluster::snapshot::{GroupView, PeerView, Snapshot};
use crate::cluster::{GroupId, NodeId, Role, Row, Settings, Time};
use crate::record::{Decisions, Line, ReadError, Recording, Replay, Segment, decisions};

/// So much of what was before a moment is told.
const BEFORE: Duration = Duration::from_secs(60);

/// What the wall clock showed when the recording ends, in milliseconds since 1970.
pub(super) fn newest(recording: &Recording) -> Result<u64, Failure> {
    let Some(segment) = recording.segments.last() else { return Ok(0) };
    let mut newest = segment.header.at;
    for line in segment.lines() {
        newest = line.map_err(failure)?.at();
    }
    Ok(segment.header.wall_ms_at(newest))
}

/// Explains this moment, or each group's last decision.
pub(super) fn explain(
    recording: &Recording,
    at: Option<u64>,
    group: Option<&str>,
) -> Result<Explained, Failure> {
    let Some(newest) = recording.segments.last() else { return Err(nothing_before(None, None)) };
    let names = names(newest);
    let groups: Vec<GroupId> = match group {
        Some(name) => vec![names.group_id(name).ok_or_else(|| Failure {
            exit: Exit::Usage,
            what: format!("there is no group {name:?} in the recording"),
            remedy: format!("there are: {}", names.groups.join(", ")),
        })?],
        None => (0..).map(GroupId).zip(&names.groups).map(|(id, _)| id).collect(),
    };
    let moments = match at {
        Some(at) => {
            let began = recording.segments.iter().map(|it| it.header.wall_ms).min();
            let place = recording.segments.iter().rposition(|it| it.header.wall_ms <= at);
            let place = place.ok_or_else(|| nothing_before(Some(at), began))?;
            let segment = &recording.segments[place];
            vec![moment(recording, place, segment.header.at_wall_ms(at), &groups)?]
        }
        None => {
            let each = |group: &GroupId| {
                let (place, at, decided) = last_decision(recording, *group)?;
                let mut moment = moment(recording, place, at, &[*group])?;
                if !decided {
                    moment.notes.push("No decision is recorded: what is in force is older.".to_owned());
                }
                Ok(moment)
            };
            groups.iter().map(each).collect::<Result<_, Failure>>()?
        }
    };
    let me = newest.header.core().map(|core| core.settings().me).unwrap_or_default();
    let cluster = names.cluster.clone();
    Ok(Explained {
        version: 1,
        cluster,
        node: names.node(me).to_owned(),
        notes: recording.notes.clone(),
        moments,
    })
}

fn nothing_before(at: Option<u64>, began: Option<u64>) -> Failure {
    let at = at.map_or_else(String::new, |at| format!("at {} ", when::moment(at)));
    let began = began.map_or_else(|| "nothing".to_owned(), |it| format!("from {} on", when::moment(it)));
    Failure {
        exit: Exit::Failed,
        what: format!("{at}nothing was recorded, or it is overwritten"),
        remedy: format!("the recording has what was {began} (UTC)"),
    }
}

/// Where this group's last decision is. Without one: the end of the recording, and `false`.
fn last_decision(recording: &Recording, group: GroupId) -> Result<(usize, Time, bool), Failure> {
    let mut end = (0, Time::ZERO, false);
    for (place, segment) in recording.segments.iter().enumerate().rev() {
        let core = Replay::of(segment).map_err(failure)?;
        let (mut found, mut at) = (core.decisions(), segment.header.at);
        for line in segment.lines() {
            let line = line.map_err(failure)?;
            at = line.at();
            found.look(&line);
        }
        if let Some(last) = found.all.iter().rev().find(|it| it.group == Some(group)) {
            return Ok((place, last.at, true));
        }
        if place + 1 == recording.segments.len() {
            end = (place, at, false);
        }
    }
    Ok(end)
}

/// Describes a moment in this segment.
fn moment(recording: &Recording, place: usize, at: Time, groups: &[GroupId]) -> Result<Moment, Failure> {
    let segment = &recording.segments[place];
    let names = names(segment);
    let mut replay = Replay::of(segment).map_err(failure)?;
    let settings = replay.core().settings().clone();
    let (mut recorded, mut last, mut notes) = (replay.decisions(), segment.header.at, Vec::new());
    let now = replay.decisions();
    let clock = |at: Time| when::time(segment.header.wall_ms_at(at));
    for line in segment.lines() {
        let line = line.map_err(failure)?;
        if line.at() > at {
            break;
        }
        last = line.at();
        if let Line::Gap(from) = line {
            notes.push(format!("From {} on inputs are missing: this is what was known then.", clock(from)));
            break;
        }
        replay.feed(&line);
        recorded.look(&line);
    }
    // Something happens in each interval, while an agent runs.
    let at = if at.since(last) > settings.interval * 4 && notes.is_empty() {
        notes
            .push(format!("Nothing is recorded after {}: no agent ran then, or it was frozen.", clock(last)));
        last
    } else {
        at.min(last + settings.interval * 4)
    };
    let snapshot = replay.snapshot(at);
    notes.extend(otherwise(&recorded, now, &replay.end(), settings.interval));
    let describe = Describe { segment, names: &names, snapshot: &snapshot, at };
    let views = snapshot.groups.iter().filter(|view| groups.contains(&view.group));
    Ok(Moment {
        at: when::moment(segment.header.wall_ms_at(at)),
        boot_ns: at.as_nanos(),
        notes,
        groups: views.map(|view| describe.group(view, &settings)).collect(),
        nodes: snapshot.peers.iter().map(|peer| describe.node(peer, groups)).collect(),
        events: before(recording, place, at, groups).map_err(failure)?,
    })
}

/// Whether this binary would have decided otherwise up to here: then its state is not the recorded one.
fn otherwise(recorded: &Decisions, mut now: Decisions, said: &[Line], interval: Duration) -> Option<String> {
    said.iter().for_each(|line| now.look(line));
    // A moment may be in the middle of a turn.
    let whole = now.all.len().min(recorded.all.len());
    let differs = !decisions::differences(&recorded.all[..whole], &now.all[..whole], interval).is_empty();
    differs.then(|| {
        "This standin would have decided otherwise than the one that recorded this, so what follows is not what \
         was in force; `standin explain --replay` shows the difference."
            .to_owned()
    })
}

/// The events of the minute before, also from the segments before this one, while the machine did not boot.
fn before(
    recording: &Recording,
    place: usize,
    at: Time,
    groups: &[GroupId],
) -> Result<Vec<Event>, ReadError> {
    let segment = &recording.segments[place];
    let names = names(segment);
    let me = segment.header.core().map(|core| core.settings().me).unwrap_or_default();
    let mut events = Events::new(&names, me);
    let mut all = Vec::new();
    let same_boot = |it: &&Segment| it.header.boot == segment.header.boot;
    for it in recording.segments[..=place].iter().filter(same_boot) {
        let begins = at.since(it.header.at) < BEFORE && it.header.why == crate::record::Why::Start;
        if begins {
            let text = format!("the agent starts (standin {})", it.header.standin);
            all.push(Event { at: when::time(it.header.wall_ms), group: None, text });
        }
        for line in it.lines() {
            let line = line?;
            if line.at() > at {
                break;
            }
            let Some((group, text)) = events.sentence(&line) else { continue };
            if at.since(line.at()) < BEFORE && group.is_none_or(|group| groups.contains(&group)) {
                let group = group.map(|group| names.group(group).to_owned());
                all.push(Event { at: when::time(it.header.wall_ms_at(line.at())), group, text });
            }
        }
    }
    Ok(all)
}

fn names(segment: &Segment) -> Names {
    let names = &segment.header.names;
    Names { cluster: names.cluster.clone(), nodes: names.nodes.clone(), groups: names.groups.clone() }
}

/// What a description looks at.
struct Describe<'a> {
    segment: &'a Segment,
    names: &'a Names,
    snapshot: &'a Snapshot,
    at: Time,
}

impl Describe<'_> {
    fn group(&self, view: &GroupView, settings: &Settings) -> Group {
        let name = |node: &NodeId| self.names.node(*node).to_owned();
        let mut active: Vec<String> = view.active_peers.iter().map(name).collect();
        if view.role == Role::Active {
            active.insert(0, name(&self.snapshot.me));
        }
        let since = |ago: Duration| when::time(self.segment.header.wall_ms_at(self.at - ago));
        let (row, reason) = &view.reason;
        Group {
            name: self.names.group(view.group).to_owned(),
            active,
            role: view.role.word(),
            role_since: since(view.since),
            role_ms: ms(view.since),
            because_row: row.number(),
            because: because(*row, self.names.text(reason)),
            row: view.row.number(),
            situation: view.row.situation().to_owned(),
            row_since: since(view.row_since),
            row_ms: ms(view.row_since),
            term: view.term,
            anchor: self.anchor(view),
            armed: view.armed.as_ref().map(name),
            counter_at_rest: view.at_rest,
            gate: view.gate.as_ref().map(|gate| self.names.text(gate)),
            gate_ms: view.gate_for.map(ms),
            ineligible: view.ineligible.as_ref().map(|why| self.names.text(why)),
            takers: view.takers.iter().map(name).collect(),
            maintenance: view.maintenance,
            standby: view.standby,
            fit: view.fit,
            wanted: view.desired.map(|(desired, _)| words::wish(desired)),
            reached: view.desired.is_some_and(|(_, reached)| reached),
            next: next::next(view, self.snapshot, settings, self.names),
        }
    }

    fn anchor(&self, view: &GroupView) -> Anchor {
        let owner = |owner| words::owner(owner, self.snapshot.me, self.names);
        let resource = self.segment.header.names.anchors.get(usize::from(view.group.0));
        let counter = view.last_read.and_then(|(_, counter, _)| counter);
        Anchor {
            resource: resource.cloned().unwrap_or_else(|| "?".to_owned()),
            owner: view.anchor.map(owner),
            settled: view.settled,
            read: view.last_read.map(|(it, ..)| owner(it)),
            read_age_ms: view.last_read.map(|(.., age)| ms(age)),
            failed_reads: view.failed_reads,
            counter: counter.map(|it| format!("{} of {}", it.n, self.names.node(it.node))),
        }
    }

    fn node(&self, peer: &PeerView, groups: &[GroupId]) -> Node {
        let said = peer.reports.iter().filter(|it| groups.contains(&it.group)).map(|it| Said {
            group: self.names.group(it.group).to_owned(),
            role: it.role.word(),
            term: it.term,
            eligible: it.eligible,
            fit: it.fit,
            owner: it.owner.map(|owner| words::owner(owner, peer.node, self.names)),
            fail_count: it.fail_count,
            offers: it.offer.is_some(),
        });
        Node {
            name: self.names.node(peer.node).to_owned(),
            state: peer.state.word(),
            silent_ms: ms(peer.silence),
            heard_ms: peer.heard.map(ms),
            hears_us: peer.hears_us,
            instance: peer.instance.clone(),
            ec2: peer.running.map(|(running, _)| words::running(running)),
            ec2_age_ms: peer.running.map(|(_, age)| ms(age)),
            said: said.collect(),
        }
    }
}

/// A take is confirmed by EC2; what called for it is the row's situation.
fn because(row: Row, reason: String) -> String {
    if row.is_take() { format!("{}; {reason}", row.situation()) } else { reason }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
