//! What was seen, over one run or many.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use standin::cluster::Row;

#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) runs: u64,
    pub(crate) events: u64,
    pub(crate) datagrams: u64,
    pub(crate) replayed: u64,
    pub(crate) calls: u64,
    pub(crate) simulated: Duration,
    pub(crate) takeovers: u64,
    pub(crate) takeovers_at_most: u32,
    pub(crate) late_takeovers: u64,
    pub(crate) handed_over: u64,
    pub(crate) two_actives: Vec<Duration>,
    faults: BTreeMap<&'static str, u64>,
    rows: BTreeMap<Row, u64>,
    long_waits: Vec<Duration>,
    convergence: Vec<Duration>,
}

impl Tally {
    pub(crate) fn fault(&mut self, name: &'static str) {
        *self.faults.entry(name).or_default() += 1;
    }

    pub(crate) fn became_active(&mut self, row: Row) {
        *self.rows.entry(row).or_default() += 1;
    }

    pub(crate) fn waited(&mut self, time: Duration, long: Duration) {
        if time >= long {
            self.long_waits.push(time);
        }
    }

    pub(crate) fn converged(&mut self, after: Duration) {
        self.convergence.push(after);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.events += other.events;
        self.datagrams += other.datagrams;
        self.replayed += other.replayed;
        self.calls += other.calls;
        self.simulated += other.simulated;
        self.takeovers += other.takeovers;
        self.takeovers_at_most = self.takeovers_at_most.max(other.takeovers_at_most);
        self.late_takeovers += other.late_takeovers;
        self.handed_over += other.handed_over;
        self.two_actives.extend(&other.two_actives);
        self.long_waits.extend(&other.long_waits);
        self.convergence.extend(&other.convergence);
        for (name, count) in &other.faults {
            *self.faults.entry(name).or_default() += count;
        }
        for (row, count) in &other.rows {
            *self.rows.entry(*row).or_default() += count;
        }
    }

    /// The longest wait of the run, if it was a long one.
    pub(crate) fn longest_wait(&self) -> Option<Duration> {
        self.long_waits.iter().max().copied()
    }

    /// Prints the summary; `took` is real time.
    pub(crate) fn print(&self, took: Duration, out: &mut impl Write) -> io::Result<()> {
        let hours = self.simulated.as_secs_f64() / 3600.0;
        let minutes = (took.as_secs_f64() / 60.0).max(1e-9);
        writeln!(
            out,
            "{} seeds, {hours:.1} simulated hours in {:.1} s ({:.0} hours a minute), {} events, {} datagrams, {} replayed, {} EC2 calls",
            self.runs,
            took.as_secs_f64(),
            hours / minutes,
            self.events,
            self.datagrams,
            self.replayed,
            self.calls
        )?;
        let faults: Vec<String> = self.faults.iter().map(|(name, count)| format!("{name} {count}")).collect();
        writeln!(out, "faults: {}", faults.join(", "))?;
        let rows: Vec<String> =
            self.rows.iter().map(|(row, count)| format!("row {}: {count}", row.number())).collect();
        writeln!(
            out,
            "takeovers: {} ({} of them by a call that landed late), at most {} a group and run; handed over {}; became active by {}",
            self.takeovers,
            self.late_takeovers,
            self.takeovers_at_most,
            self.handed_over,
            rows.join(", ")
        )?;
        writeln!(out, "two actives that both read EC2: {}", distribution(&self.two_actives))?;
        writeln!(out, "converged after healing: {}", distribution(&self.convergence))?;
        writeln!(out, "a node that could waited over 120 s: {}", distribution(&self.long_waits))
    }
}

fn distribution(times: &[Duration]) -> String {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = |part: usize| sorted.get((sorted.len() * part / 1000).min(sorted.len().saturating_sub(1)));
    let show =
        |time: Option<&Duration>| time.map_or("-".into(), |time| format!("{:.1} s", time.as_secs_f64()));
    format!(
        "{} times, median {}, p99 {}, p99.9 {}, at worst {}",
        sorted.len(),
        show(at(500)),
        show(at(990)),
        show(at(999)),
        show(sorted.last())
    )
}
