//! What was seen, over one run or many.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use standin::cluster::Row;

/// How often each duration was seen, in tenths of a second (the checkers look ten times a second).
#[derive(Clone, Debug, Default)]
pub(crate) struct Durations(BTreeMap<u64, u64>);

impl Durations {
    pub(crate) fn add(&mut self, time: Duration) {
        *self.0.entry(time.as_millis() as u64 / 100).or_default() += 1;
    }

    fn extend(&mut self, other: &Self) {
        for (time, count) in &other.0 {
            *self.0.entry(*time).or_default() += count;
        }
    }

    fn longest(&self) -> Option<Duration> {
        self.0.last_key_value().map(|(time, _)| Duration::from_millis(time * 100))
    }

    /// The value below which so many of a thousand lie.
    fn at(&self, part: u64) -> String {
        let count: u64 = self.0.values().sum();
        let mut left = count * part / 1000;
        for (time, count) in &self.0 {
            if left < *count {
                return format!("{:.1} s", *time as f64 / 10.0);
            }
            left -= count;
        }
        self.longest().map_or("-".into(), |time| format!("{:.1} s", time.as_secs_f64()))
    }

    fn text(&self) -> String {
        let count: u64 = self.0.values().sum();
        let (median, p99, p999) = (self.at(500), self.at(990), self.at(999));
        format!("{count} times, median {median}, p99 {p99}, p99.9 {p999}, at worst {}", self.at(1000))
    }
}

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
    pub(crate) guard_kills: u64,
    pub(crate) fenced: u64,
    pub(crate) recovered: u64,
    pub(crate) two_actives: Durations,
    pub(crate) losers: Durations,
    faults: BTreeMap<&'static str, u64>,
    rows: BTreeMap<Row, u64>,
    long_waits: Durations,
    convergence: Durations,
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
            self.long_waits.add(time);
        }
    }

    pub(crate) fn converged(&mut self, after: Duration) {
        self.convergence.add(after);
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
        self.guard_kills += other.guard_kills;
        self.fenced += other.fenced;
        self.recovered += other.recovered;
        self.losers.extend(&other.losers);
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
        self.long_waits.longest()
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
        writeln!(
            out,
            "fenced {}, killed by the guard {}, orders to recover a lost node {}",
            self.fenced, self.guard_kills, self.recovered
        )?;
        writeln!(out, "two actives that both read EC2: {}", self.two_actives.text())?;
        writeln!(out, "a loser's service ran on: {}", self.losers.text())?;
        writeln!(out, "converged after healing: {}", self.convergence.text())?;
        writeln!(out, "a node that could waited over 60 s: {}", self.long_waits.text())
    }
}
