//! What the core is told and decides, on its way to the disk. A thread of its own writes (see
//! [`record`](crate::record)); when the disk is too slow, inputs are dropped and counted, and the recording goes
//! on with the core as it is then.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use super::clock;
use crate::cluster::{Cluster, Command, Event, GroupId, Settings, Stance, Time};
use crate::record::{Header, Line, Names, Ring, Why};

/// So many lines may wait for the disk.
const WAITING: usize = 2048;
/// So many inputs a second are recorded, besides four times the heartbeats that peers send: a flood must not wash
/// everything else out of the ring.
const INPUTS_A_SECOND: u32 = 200;
/// After a loss the recording pauses so long: to go on it takes the whole core, which is large.
const PAUSE: Duration = Duration::from_secs(10);
/// What waits in memory is written at the latest after this; a decision at once.
const FLUSH_AFTER: Duration = Duration::from_secs(1);

/// The writing thread wants nothing; wants a header, because the file is full; could not write.
const WELL: u8 = 0;
const FULL: u8 = 1;
const BROKEN: u8 = 2;

/// The heart's side. Nothing here waits.
#[derive(Debug)]
pub(super) struct Recorder {
    to: Option<SyncSender<Entry>>,
    dropped: Arc<AtomicU64>,
    wants: Arc<AtomicU8>,
    /// The present second, and how many inputs it has had.
    second: (u64, u32),
    limit: u32,
    gap: Option<Gap>,
    stances: Vec<(GroupId, Stance)>,
}

/// Inputs are missing.
#[derive(Clone, Copy, Debug)]
struct Gap {
    lost: u64,
    until: Time,
    /// The recording says so.
    said: bool,
}

/// What the writing thread is told.
#[derive(Debug)]
enum Entry {
    Line(Line),
    /// A segment begins: when, what the wall clock shows, why, after how many lost inputs, with what core.
    Begin(Time, Duration, Why, u64, Box<Cluster>),
}

/// What stands in every header.
#[derive(Debug)]
struct Place {
    names: Names,
    boot: String,
}

/// The end of the writing thread.
#[derive(Debug)]
pub(super) struct Written(Receiver<()>);

impl Recorder {
    /// A recorder that records nothing.
    pub(super) fn off() -> Self {
        Self {
            to: None,
            dropped: Arc::default(),
            wants: Arc::default(),
            second: (0, 0),
            limit: 0,
            gap: None,
            stances: Vec::new(),
        }
    }

    /// Records into the ring in this folder, from this core on.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub(super) fn start(
        folder: &Path,
        names: Names,
        boot: String,
        core: &Cluster,
        now: Time,
    ) -> io::Result<(Self, Written)> {
        let (recorder, writer, from) = Self::connect(Ring::open(folder)?, Place { names, boot }, core, now);
        let (ended, written) = sync_channel(1);
        std::thread::Builder::new().name("recorder".into()).spawn(move || {
            writer.run(&from);
            drop(ended);
        })?;
        Ok((recorder, Written(written)))
    }

    /// Both sides, and what is between them.
    fn connect(ring: Ring, place: Place, core: &Cluster, now: Time) -> (Self, Writer, Receiver<Entry>) {
        let (to, from) = sync_channel(WAITING);
        let wants = Arc::new(AtomicU8::new(WELL));
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            ring,
            place,
            wants: Arc::clone(&wants),
            dropped: Arc::clone(&dropped),
            broken: false,
            asked: false,
            flushed: now,
        };
        let recorder = Self {
            to: Some(to),
            dropped,
            wants,
            second: (0, 0),
            limit: limit(core.settings()),
            gap: None,
            stances: core.stances().collect(),
        };
        recorder.send(Entry::Begin(now, clock::wall(), Why::Start, 0, Box::new(core.clone())));
        (recorder, writer, from)
    }

    /// How many inputs were dropped; the count goes on with the recorder.
    pub(super) fn dropped(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }

    /// The core is about to be told this.
    pub(super) fn input(&mut self, event: &Event, core: &Cluster, now: Time) {
        if self.to.is_none() {
            return;
        }
        let second = now.as_nanos() / 1_000_000_000;
        let (present, count) = self.second;
        self.second = if second == present { (present, count.saturating_add(1)) } else { (second, 1) };
        if self.gap.is_none() && self.second.1 <= self.limit {
            let stalled = core.is_stalled(now);
            let line = if stalled { Line::Stalled } else { Line::Input }(now, event.clone());
            if self.send(Entry::Line(line)) {
                return;
            }
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
        let gap = self.gap.get_or_insert(Gap { lost: 0, until: now + PAUSE, said: false });
        gap.lost += 1;
    }

    /// The core has been told something: whatever that changed.
    pub(super) fn decided(&mut self, core: &Cluster, now: Time) {
        if self.to.is_none() {
            return;
        }
        for (at, (group, stance)) in core.stances().enumerate() {
            if self.stances.get(at) != Some(&(group, stance)) {
                if let Some(known) = self.stances.get_mut(at) {
                    *known = (group, stance);
                }
                self.output(now, || Line::Decided(now, group, stance));
            }
        }
    }

    /// What the core wants; heartbeats follow from the inputs and are left out.
    pub(super) fn command(&mut self, command: &Command, now: Time) {
        match command {
            Command::Send(_) => {}
            Command::Tell(notice) => self.output(now, || Line::told(notice)),
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
            | Command::Exit => self.output(now, || Line::Command(now, command.clone())),
        }
    }

    /// A turn has ended and everything is carried out: a segment can begin here, if one is wanted.
    pub(super) fn turned(&mut self, core: &Cluster, now: Time) {
        if self.to.is_none() {
            return;
        }
        let wants = self.wants.load(Ordering::Relaxed);
        if wants == BROKEN && self.gap.is_none() {
            self.gap = Some(Gap { lost: 0, until: now + PAUSE, said: true });
        }
        let (why, lost) = match self.gap {
            Some(gap) if now < gap.until => return,
            Some(gap) => (Why::Gap, gap.lost),
            None if wants == FULL => (Why::Full, 0),
            None => return,
        };
        // The thread is to ask again if it still wants one after this one.
        self.wants.store(WELL, Ordering::Relaxed);
        if self.send(Entry::Begin(now, clock::wall(), why, lost, Box::new(core.clone()))) {
            self.gap = None;
        } else {
            self.gap = Some(Gap { lost, until: now + PAUSE, said: self.gap.is_some_and(|gap| gap.said) });
        }
    }

    /// What follows from the inputs. After a loss the recording has to say so before.
    fn output(&mut self, now: Time, line: impl FnOnce() -> Line) {
        if let Some(gap) = self.gap.filter(|gap| !gap.said) {
            let said = self.send(Entry::Line(Line::Gap(now)));
            self.gap = Some(Gap { said, ..gap });
            if !said {
                return;
            }
        }
        if self.to.is_some() && !self.send(Entry::Line(line())) && self.gap.is_none() {
            // A replay would miss it.
            self.gap = Some(Gap { lost: 0, until: now + PAUSE, said: false });
        }
    }

    fn send(&self, entry: Entry) -> bool {
        self.to.as_ref().is_some_and(|to| to.try_send(entry).is_ok())
    }
}

impl Written {
    /// Waits until everything is written, or until this time is over.
    pub(super) fn wait(&self, at_most: Duration) {
        let _ended = self.0.recv_timeout(at_most);
    }
}

/// How many inputs a second are no flood.
fn limit(settings: &Settings) -> u32 {
    let interval = settings.interval.as_millis().max(1);
    let paths = u128::from(settings.nodes) * u128::from(settings.links);
    let beats = paths.saturating_mul(1000) / interval;
    INPUTS_A_SECOND.saturating_add(u32::try_from(beats).unwrap_or(u32::MAX).saturating_mul(4))
}

/// The side of the disk.
#[derive(Debug)]
struct Writer {
    ring: Ring,
    place: Place,
    wants: Arc<AtomicU8>,
    dropped: Arc<AtomicU64>,
    /// Something could not be written: lines count again after the next header.
    broken: bool,
    /// A header is asked for.
    asked: bool,
    flushed: Time,
}

impl Writer {
    fn run(mut self, from: &Receiver<Entry>) {
        loop {
            match from.recv_timeout(FLUSH_AFTER) {
                Ok(entry) => self.take_in(entry),
                Err(RecvTimeoutError::Timeout) => {
                    let flushed = self.ring.flush();
                    self.judge(&flushed);
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let _flushed = self.ring.flush();
    }

    fn take_in(&mut self, entry: Entry) {
        let written = self.write(entry);
        self.judge(&written);
    }

    /// What is wanted of the heart after this.
    fn judge(&mut self, written: &io::Result<()>) {
        if written.is_err() {
            // The disk is full, say.
            self.broken = true;
            self.wants.store(BROKEN, Ordering::Relaxed);
        } else if self.ring.is_full() && !self.asked && !self.broken {
            self.asked = true;
            self.wants.store(FULL, Ordering::Relaxed);
        }
    }

    fn write(&mut self, entry: Entry) -> io::Result<()> {
        let (decision, at) = match entry {
            Entry::Begin(at, wall, why, lost, core) => {
                let mut header = Header::new(&self.place.names, &self.place.boot, &core)?;
                (header.why, header.lost, header.at) = (why, lost, at);
                header.wall_ms = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
                // The other file is emptied with that: where the disk is full, there is room again.
                self.ring.begin(header, self.broken)?;
                (self.broken, self.asked) = (false, false);
                (true, at)
            }
            Entry::Line(_) if self.broken => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            Entry::Line(line) => {
                let input = matches!(line, Line::Input(..) | Line::Stalled(..));
                let at = line.at();
                self.ring.write(line)?;
                (!input, at)
            }
        };
        if decision || at.since(self.flushed) >= FLUSH_AFTER {
            self.flushed = at;
            self.ring.flush()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
