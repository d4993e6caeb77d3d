//! `[group.service]` and `[[group.hook]]` as the operator wrote them.

use std::time::Duration;

use super::{Maybe, choice, form};
use crate::config::forms;
use crate::config::report::{Problems, Spot, Written};
use crate::config::table::{Pairs, Table};
use crate::config::{HookEvent, HookFailure, HookWhen, Standby};

/// `[group.service]`.
#[derive(Debug)]
pub(in crate::config) struct ServiceFile {
    pub(in crate::config) spot: Spot,
    pub(in crate::config) unit: Maybe<String>,
    pub(in crate::config) start: Maybe<Vec<Written<String>>>,
    pub(in crate::config) stop: Maybe<Vec<Written<String>>>,
    pub(in crate::config) status: Maybe<Vec<Written<String>>>,
    /// Provider and agent.
    pub(in crate::config) ocf: Maybe<(String, String)>,
    /// `None`: they are not written.
    pub(in crate::config) parameters: Maybe<Pairs>,
    /// Which of the keys that say how it runs are written, well or badly.
    pub(in crate::config) runs: Vec<&'static str>,
    /// `None` also when it is not written: then it follows the arbiter.
    pub(in crate::config) standby: Maybe<Standby>,
    pub(in crate::config) start_timeout: Maybe<Duration>,
    /// `None` also when it is not written: then it follows the lease, and what the service is.
    pub(in crate::config) stop_timeout: Maybe<Duration>,
    pub(in crate::config) status_every: Maybe<Duration>,
}

/// `[[group.hook]]`.
#[derive(Debug)]
pub(in crate::config) struct HookFile {
    pub(in crate::config) on: Maybe<HookEvent>,
    /// `None` also when it is not written: then it follows the event.
    pub(in crate::config) when: Maybe<HookWhen>,
    pub(in crate::config) run: Maybe<Vec<Written<String>>>,
    pub(in crate::config) timeout: Maybe<Duration>,
    pub(in crate::config) on_failure: Maybe<HookFailure>,
}

impl ServiceFile {
    pub(super) fn read(table: &Table<'_>, problems: &mut Problems<'_>) -> Self {
        let runs = ["unit", "start", "stop", "status", "ocf"];
        let standby = [("warm", Standby::Warm), ("cold", Standby::Cold)];
        Self {
            spot: table.spot(),
            unit: form(table.text("unit"), forms::unit, problems),
            start: table.list("start"),
            stop: table.list("stop"),
            status: table.list("status"),
            ocf: form(table.text("ocf"), forms::ocf_agent, problems),
            parameters: table.map("parameters"),
            runs: runs.into_iter().filter(|key| table.has(key)).collect(),
            standby: choice(table.text("standby"), &standby, problems),
            start_timeout: form(table.text("start-timeout"), forms::duration, problems),
            stop_timeout: form(table.text("stop-timeout"), forms::duration, problems),
            status_every: form(table.text("status-every"), forms::duration, problems),
        }
    }
}

impl HookFile {
    pub(super) fn read(table: &Table<'_>, problems: &mut Problems<'_>) -> Self {
        let events = [("promote", HookEvent::Promote), ("demote", HookEvent::Demote)];
        let sides = [("before", HookWhen::Before), ("after", HookWhen::After)];
        let failures = [("ignore", HookFailure::Ignore), ("stop", HookFailure::Stop)];
        Self {
            on: choice(table.text("on"), &events, problems),
            when: choice(table.text("when"), &sides, problems),
            run: table.list("run"),
            timeout: form(table.text("timeout"), forms::duration, problems),
            on_failure: choice(table.text("on-failure"), &failures, problems),
        }
    }
}
