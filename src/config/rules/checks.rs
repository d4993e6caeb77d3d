//! Rules for `[[group.check]]`.

use std::collections::BTreeMap;
use std::time::Duration;

use humantime::format_duration;

use super::super::checks::{OnFail, When};
use super::super::file::{CheckFile, GroupFile, KINDS};
use super::super::report::{Problems, Written};
use super::super::{Arbiter, Standby};
use super::{distinct_number, first_time};

/// More checks than that are a mistake.
const MOST_CHECKS: usize = 32;
/// The same for the targets of one check.
const MOST_TARGETS: usize = 16;

/// All rules about the checks of one group.
pub(super) fn check(group: &GroupFile, problems: &mut Problems<'_>) {
    if let Some(last) = group.checks.get(MOST_CHECKS) {
        problems.add(
            &last.spot,
            format!("a group has at most {MOST_CHECKS} checks"),
            "make one command of several",
        );
    }
    let mut names = BTreeMap::new();
    for it in &group.checks {
        own_name(it, &mut names, problems);
        asks(it, problems);
        answers(it, problems);
        fits(it, group, problems);
        timing(it, problems);
        failure(it, group, problems);
        place(it, group, problems);
    }
}

fn own_name(
    it: &CheckFile,
    names: &mut BTreeMap<String, super::super::report::Spot>,
    problems: &mut Problems<'_>,
) {
    let what = "each check of a group has a name of its own";
    match (&it.name, it.kind()) {
        (Some(name), _) => {
            first_time(names, name.value.clone(), &name.spot, what, "rename one of them", problems);
        }
        (None, Some(kind)) => {
            let what = format!("{what}, which is its kind where none is written (\"{kind}\")");
            let remedy = format!("write name = \"{kind}-2\", say");
            first_time(names, kind.to_owned(), &it.spot, &what, &remedy, problems);
        }
        (None, None) => {}
    }
}

/// One thing is asked, and well.
fn asks(it: &CheckFile, problems: &mut Problems<'_>) {
    if it.kinds.len() != 1 {
        let are = if it.kinds.is_empty() { "none is".to_owned() } else { it.kinds.join(" and ") + " are" };
        let (last, first) = KINDS.split_last().unwrap_or((&"", &[]));
        problems.add(
            &it.spot,
            format!("one of {} and {last} is written; {are}", first.join(", ")),
            "write one: sip-options = \"udp:127.0.0.1:5060\", say; two checks are two [[group.check]]",
        );
    }
    if let Some(command) = &it.command
        && command.value.first().is_none_or(|program| program.value.is_empty())
    {
        problems.add(
            &command.spot,
            "command begins with a program",
            "write command = [\"/usr/local/bin/check-service\"]",
        );
    }
    if it.asterisk_ami == Some(false) && it.kinds == ["asterisk-ami"] {
        problems.add(
            &it.spot,
            "asterisk-ami = false checks nothing",
            "write asterisk-ami = true, or leave the check out",
        );
    }
    if let Some(tcp) = &it.tcp {
        targets(tcp, distinct_number(&tcp.value), problems);
    }
    if let Some(ping) = &it.ping {
        targets(ping, distinct_number(&ping.value), problems);
    }
}

fn targets<T>(list: &Written<Vec<Option<T>>>, distinct: usize, problems: &mut Problems<'_>) {
    let good = list.value.iter().flatten().count();
    if list.value.is_empty() || list.value.len() > MOST_TARGETS {
        let rule = format!("a check asks 1 to {MOST_TARGETS} targets");
        problems.add(&list.spot, rule, "write them like [\"…\", \"…\"]");
    } else if distinct < good {
        problems.add(&list.spot, "each target is written once", "leave the second one out");
    }
}

/// What counts as an answer.
fn answers(it: &CheckFile, problems: &mut Problems<'_>) {
    let several =
        it.tcp.as_ref().map_or(0, |it| it.value.len()).max(it.ping.as_ref().map_or(0, |it| it.value.len()));
    if let Some(need) = &it.need
        && several < 2
    {
        problems.add(
            &need.spot,
            "need says how many of several targets of tcp or ping have to answer",
            "leave it out, or write more targets",
        );
    }
    let http = it.kinds.contains(&"http");
    if let Some(status) = &it.status {
        if !http {
            problems.add(&status.spot, "only http has a status", "leave it out");
        } else if !(100..=599).contains(&status.value) {
            problems.add(
                &status.spot,
                "a status of HTTP is 100 to 599",
                "leave it out: then 200 to 399 are good",
            );
        }
    }
    if let Some(text) = &it.body_contains {
        if !http {
            problems.add(&text.spot, "only http has a body", "leave it out");
        } else if text.value.is_empty() {
            problems.add(
                &text.spot,
                "every body contains nothing",
                "leave it out, or write what it has to contain",
            );
        }
    }
}

/// What another table has to say.
fn fits(it: &CheckFile, group: &GroupFile, problems: &mut Problems<'_>) {
    if it.kinds.contains(&"asterisk-ami") && group.asterisk.is_none() {
        problems.add(
            &it.spot,
            "asterisk-ami logs in by what [group.asterisk] says, and there is none",
            "add [group.asterisk] with user and secret-file",
        );
    }
    let own = group.service.as_ref().and_then(|service| service.unit.as_ref());
    if let (Some(unit), Some(own)) = (&it.systemd, own)
        && unit.value == own.value
    {
        problems.add(
            &unit.spot,
            "this is the group's service, which is watched anyhow",
            "leave the check out, or name another unit",
        );
    }
}

fn timing(it: &CheckFile, problems: &mut Problems<'_>) {
    const MOST: i64 = 100;
    for count in [&it.rise, &it.fall].into_iter().flatten() {
        if !(1..=MOST).contains(&count.value) {
            problems.add(
                &count.spot,
                format!("so many results in a row: 1 to {MOST}"),
                "rise is 1 and fall is 3 where they are not written",
            );
        }
    }
    let Some(kind) = it.kind() else { return };
    if kind == "systemd" {
        for written in [&it.every, &it.timeout].into_iter().flatten() {
            problems.add(&written.spot, "systemd is not asked: it tells of each change", "leave it out");
        }
        return;
    }
    if let Some(every) = &it.every
        && !(Duration::from_millis(100)..=Duration::from_hours(1)).contains(&every.value)
    {
        problems.add(&every.spot, "a check runs every 100ms to 1h", "2s is the default for most kinds");
        return;
    }
    let every = it.every.as_ref().map_or_else(|| CheckFile::default_every(kind), |it| it.value);
    if let Some(timeout) = &it.timeout
        && !(Duration::from_millis(10)..=every).contains(&timeout.value)
    {
        problems.add(
            &timeout.spot,
            format!(
                "timeout is 10ms to every ({}): a run has ended when the next one begins",
                format_duration(every)
            ),
            "write a shorter timeout, or a longer every",
        );
    }
}

fn failure(it: &CheckFile, group: &GroupFile, problems: &mut Problems<'_>) {
    if let Some(on_fail) = &it.on_fail
        && on_fail.value == OnFail::Restart
        && group.service.is_none()
    {
        problems.add(
            &on_fail.spot,
            "\"restart\" restarts the group's service, and it has none",
            "add [group.service], or write on-fail = \"move\" or \"report\"",
        );
    }
}

/// A check of what is on one node only does not run on the others.
fn place(it: &CheckFile, group: &GroupFile, problems: &mut Problems<'_>) {
    let Some(when) = it.when.as_ref().filter(|when| when.value != When::Active) else { return };
    if let Some(address) = it.asks_what_moves(&group.resources) {
        problems.add(
            &when.spot,
            format!("{address} moves with the group: from a standby it is the other node that would answer"),
            "leave when out: then it is \"active\"; or ask at an address that the node keeps",
        );
    } else if is_cold(group) && it.on_fail(group.service.is_some()) == Some(OnFail::Restart) {
        problems.add(
            &when.spot,
            "a cold service does not run on a standby, so that a check which restarts it has nothing to ask there",
            "leave when out: then it is \"active\"; or write on-fail = \"move\" or \"report\"",
        );
    }
}

/// Whether the group's service runs on the active node only.
fn is_cold(group: &GroupFile) -> bool {
    let leased = group.arbiter.as_ref().is_some_and(|it| it.value == Arbiter::Dynamodb);
    let written = group.service.as_ref().map(|service| service.standby.as_ref().map(|it| it.value));
    match written {
        Some(Some(standby)) => standby == Standby::Cold,
        Some(None) => leased,
        None => false,
    }
}
