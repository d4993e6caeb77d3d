//! `[recovery]`: what is done about a lost peer's instance.

use std::time::Duration;

use super::file::{Maybe, choice, form};
use super::forms;
use super::report::Problems;
use super::table::Table;

/// Fewer than one is `when-lost = "none"`; more would hide a machine that somebody has to look at.
const ATTEMPTS: std::ops::RangeInclusive<i64> = 1..=10;
/// No instance boots faster, so that a shorter time would reboot one that is about to be back.
const SHORTEST_BOOT: Duration = Duration::from_mins(1);

/// What is done about a lost peer's instance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Recovery {
    /// How it is brought back.
    pub when_lost: WhenLost,
    /// Not before it had so long to boot: from its loss, and from each attempt.
    pub boot_time: Duration,
    /// So many times at most.
    pub attempts: u32,
}

/// How a lost peer's instance is brought back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhenLost {
    /// It is rebooted.
    Reboot,
    /// It is stopped, and started on another host.
    Restart,
}

impl WhenLost {
    /// As in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Reboot => "reboot",
            Self::Restart => "restart",
        }
    }
}

/// The table as it is written.
#[derive(Debug)]
pub(super) struct RecoveryFile {
    /// `None` in it: nothing.
    when_lost: Maybe<Option<WhenLost>>,
    boot_time: Maybe<Duration>,
    attempts: Maybe<i64>,
}

impl RecoveryFile {
    pub(super) fn read(table: &Table<'_>, problems: &mut Problems<'_>) -> Self {
        let words =
            [("none", None), ("reboot", Some(WhenLost::Reboot)), ("restart", Some(WhenLost::Restart))];
        Self {
            when_lost: choice(table.text("when-lost"), &words, problems),
            boot_time: form(table.text("boot-time"), forms::duration, problems),
            attempts: table.integer("attempts"),
        }
    }

    /// The rules.
    pub(super) fn check(&self, problems: &mut Problems<'_>) {
        if let Some(boot) = self.boot_time.as_ref().filter(|it| it.value < SHORTEST_BOOT) {
            problems.add(
                &boot.spot,
                "boot-time is 1m or more: a peer that is just booting is not to be rebooted",
                "write the longest time from a reboot to the first heartbeat, and as much again; 5m is the default",
            );
        }
        if let Some(attempts) = self.attempts.as_ref().filter(|it| !ATTEMPTS.contains(&it.value)) {
            problems.add(
                &attempts.spot,
                "attempts is 1 to 10: what has not come back then needs somebody to look at it",
                "3 is the default; when-lost = \"none\" does nothing at all",
            );
        }
    }

    /// `None`: it cannot be built; `None` in it: nothing is done.
    pub(super) fn build(self) -> Option<Option<Recovery>> {
        let (boot_time, attempts) = (self.boot_time?.value, u32::try_from(self.attempts?.value).ok()?);
        Some(self.when_lost?.value.map(|when_lost| Recovery { when_lost, boot_time, attempts }))
    }
}
