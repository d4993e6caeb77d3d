//! Many seeds, over all cores: in order of their numbers, so that the number of threads changes nothing.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::run::{Case, Outcome};
use crate::tally::Tally;

/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// How often the bar moves.
const BAR_EVERY: Duration = Duration::from_millis(200);

/// How a search is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    pub(crate) jobs: usize,
    /// Go on after a failure.
    pub(crate) all: bool,
    pub(crate) quiet: bool,
}

/// What a search found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) tally: Tally,
    pub(crate) passed: u64,
    pub(crate) failures: Vec<(u64, &'static str, String)>,
    /// Each seed with a long wait.
    pub(crate) waits: Vec<(u64, Duration)>,
    pub(crate) took: Duration,
}

/// Somebody pressed Ctrl-C: what was seen so far is printed.
pub(crate) static STOPPED: AtomicBool = AtomicBool::new(false);

/// Lets Ctrl-C end the search instead of the process.
pub(crate) fn watch_ctrl_c() {
    std::thread::spawn(|| {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            STOPPED.store(true, Ordering::Relaxed);
        }
    });
}

/// A real clock, to say how fast the virtual one runs.
#[allow(clippy::disallowed_methods)]
pub(crate) fn real_time() -> Instant {
    Instant::now()
}

/// Runs the case with each of these seeds; stops at the first failure, unless all are wanted.
pub(crate) fn search(case: &Case, seeds: Range<u64>, how: How, out: &mut impl Write) -> io::Result<Found> {
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let (send, receive) = mpsc::channel::<Outcome>();
    let started = real_time();
    std::thread::scope(|scope| {
        for _ in 0..how.jobs.max(1) {
            let (send, seeds, next, stop) = (send.clone(), &seeds, &next, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) && !STOPPED.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let case = Case { seed, ..case.clone() };
                    if send.send(case.outcome()).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        gather(&receive, &seeds, how, &stop, started, out)
    })
}

/// Takes the outcomes in order: what comes after the first failure was run for nothing.
fn gather(
    receive: &mpsc::Receiver<Outcome>,
    seeds: &Range<u64>,
    how: How,
    stop: &AtomicBool,
    started: Instant,
    out: &mut impl Write,
) -> io::Result<Found> {
    let mut found = Found::default();
    let (mut early, mut due) = (BTreeMap::new(), seeds.start);
    let mut progress = Progress::new(how.quiet, started);
    while let Ok(outcome) = receive.recv() {
        early.insert(outcome.seed, outcome);
        while let Some(outcome) = early.remove(&due).filter(|_| how.all || found.failures.is_empty()) {
            due += 1;
            found.add(outcome);
        }
        if !found.failures.is_empty() && !how.all {
            stop.store(true, Ordering::Relaxed);
        }
        progress.show(due - seeds.start, seeds.end - seeds.start, &found, out)?;
    }
    progress.clear(out)?;
    found.took = started.elapsed();
    Ok(found)
}

impl Found {
    fn add(&mut self, outcome: Outcome) {
        self.tally.add(&outcome.tally);
        if let Some(wait) = outcome.tally.longest_wait() {
            self.waits.push((outcome.seed, wait));
        }
        match outcome.violation {
            Some((checker, text)) => self.failures.push((outcome.seed, checker, text)),
            None => self.passed += 1,
        }
    }
}

/// A bar on a terminal, now and then a line elsewhere.
struct Progress {
    bar: bool,
    quiet: bool,
    started: Instant,
    shown: Instant,
}

impl Progress {
    fn new(quiet: bool, started: Instant) -> Self {
        Self { bar: io::stdout().is_terminal(), quiet, started, shown: started }
    }

    fn show(&mut self, done: u64, of: u64, found: &Found, out: &mut impl Write) -> io::Result<()> {
        let every = if self.bar { BAR_EVERY } else { LINE_EVERY };
        if self.quiet || self.shown.elapsed() < every {
            return Ok(());
        }
        self.shown = real_time();
        let took = self.started.elapsed().as_secs_f64();
        let hours = found.tally.simulated.as_secs_f64() / 3600.0;
        let left = took / done.max(1) as f64 * (of - done) as f64;
        let text = format!(
            "{done}/{of} seeds, {hours:.0} simulated hours, {:.0} a minute, {} violations, {left:.0} s left",
            hours / took * 60.0,
            found.failures.len()
        );
        if self.bar {
            let full = (done * 30 / of.max(1)) as usize;
            write!(out, "\r\x1b[K[{}{}] {text}", "=".repeat(full), " ".repeat(30 - full))?;
        } else {
            writeln!(out, "{text}")?;
        }
        out.flush()
    }

    fn clear(&self, out: &mut impl Write) -> io::Result<()> {
        if self.bar && !self.quiet { write!(out, "\r\x1b[K") } else { Ok(()) }
    }
}
