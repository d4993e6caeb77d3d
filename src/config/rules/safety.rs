//! Rules for silence, fencing, lease and service: what contradicts itself is refused, and what would promise
//! nothing too.

use std::time::Duration;

use humantime::format_duration;

use super::super::file::{File, GroupFile, HookFile, LeaseFile, ProbeFile, ServiceFile};
use super::super::report::{Problems, Written};
use super::super::{Arbiter, Fencing, HookFailure, Standby, WhenSilent};

/// All rules about safety.
pub(super) fn check(file: &File, problems: &mut Problems<'_>) {
    for group in &file.groups {
        probe(group, file, problems);
        fencing(group, problems);
        failures(group, problems);
        if group.arbiter.as_ref().is_some_and(|it| it.value == Arbiter::Dynamodb) {
            leased(group, file, problems);
        }
    }
    lease(&file.lease, file, problems);
}

/// Whether it was typed, and is not a default.
pub(super) fn typed<T>(value: Option<&Written<T>>) -> Option<&Written<T>> {
    value.filter(|it| it.spot.is_value)
}

fn probe(group: &GroupFile, file: &File, problems: &mut Problems<'_>) {
    let probes = group.when_silent.as_ref().filter(|it| it.value == WhenSilent::Probe);
    match (probes, &group.probe) {
        (Some(when_silent), None) => problems.add(
            &when_silent.spot,
            "\"probe\" asks the service at the address that moves, and nothing says how",
            "add [group.probe] with one of sip-options, tcp and command",
        ),
        (None, Some(probe)) if group.when_silent.is_some() => problems.add(
            &probe.spot,
            "the service is asked with when-silent = \"probe\" only",
            "write when-silent = \"probe\" in [[group]], or leave [group.probe] out",
        ),
        (Some(_) | None, _) => {}
    }
    if let Some(probe) = &group.probe {
        how_to_ask(probe, file, problems);
    }
}

fn how_to_ask(probe: &ProbeFile, file: &File, problems: &mut Problems<'_>) {
    if probe.asks.len() != 1 {
        let are =
            if probe.asks.is_empty() { "none is".to_owned() } else { probe.asks.join(" and ") + " are" };
        problems.add(
            &probe.spot,
            format!("one of sip-options, tcp and command is written; {are}"),
            "write the one that a caller would use: sip-options = \"udp:203.0.113.10:5060\", say",
        );
    }
    if let Some(command) = &probe.command
        && command.value.first().is_none_or(|program| program.value.is_empty())
    {
        problems.add(
            &command.spot,
            "command begins with a program",
            "write command = [\"/usr/local/bin/ask-service\"]",
        );
    }
    let links =
        || file.nodes.iter().filter_map(|node| node.links.as_ref()).flat_map(|it| it.value.iter().flatten());
    for asked in [&probe.sip_options, &probe.tcp].into_iter().flatten() {
        if links().any(|link| link.value == asked.value.ip()) {
            problems.add(
                &asked.spot,
                "the service is asked at the address that moves; this is a node's own, on its link",
                "write the address that callers use: the Elastic IP, or the private IP of the group",
            );
        }
    }
    let sensible = Duration::from_millis(100)..=Duration::from_secs(10);
    if let Some(timeout) = &probe.timeout
        && !sensible.contains(&timeout.value)
    {
        problems.add(
            &timeout.spot,
            "a probe's timeout is 100ms to 10s: a takeover may wait for it",
            "1s is the default",
        );
    }
}

fn fencing(group: &GroupFile, problems: &mut Problems<'_>) {
    if let Some(fails) = typed(group.when_fencing_fails.as_ref())
        && group.fencing.as_ref().is_some_and(|it| it.value == Fencing::None)
    {
        problems.add(
            &fails.spot,
            "with fencing = \"none\" nothing is fenced, so nothing of it can fail",
            "leave it out, or write fencing = \"before\" or \"alongside\"",
        );
    }
}

fn failures(group: &GroupFile, problems: &mut Problems<'_>) {
    const MOST: i64 = 1000;
    if let Some(threshold) = &group.migration_threshold
        && !(0..=MOST).contains(&threshold.value)
    {
        problems.add(
            &threshold.spot,
            format!("migration-threshold is 0 to {MOST}"),
            "3 is the default; 0: no number of failures bars the service",
        );
    }
    let counts = |hook: &HookFile| hook.on_failure.as_ref().is_none_or(|it| it.value == HookFailure::Stop);
    if group.service.is_some() || group.hooks.iter().any(counts) {
        return;
    }
    let threshold = typed(group.migration_threshold.as_ref()).map(|it| &it.spot);
    let timeout = typed(group.failure_timeout.as_ref()).map(|it| &it.spot);
    for spot in threshold.into_iter().chain(timeout) {
        problems.add(
            spot,
            "failures are those of the group's service, and it has none",
            "leave it out, or add [group.service]",
        );
    }
}

/// What a group needs whose owner is who holds the lease.
fn leased(group: &GroupFile, file: &File, problems: &mut Problems<'_>) {
    if let Some(silent) = &group.when_silent
        && silent.value != WhenSilent::Take
    {
        problems.add(
            &silent.spot,
            "with arbiter = \"dynamodb\" silence does not decide: a standby waits until the lease has lapsed",
            "leave when-silent out",
        );
    }
    if let Some(isolated) = typed(group.when_isolated.as_ref()) {
        problems.add(
            &isolated.spot,
            "with arbiter = \"dynamodb\" an isolated node stands down when its lease runs out",
            "leave when-isolated out; lease.grace says whether a lapsed lease may be outlived",
        );
    }
    let Some(service) = &group.service else {
        let spot = group.arbiter.as_ref().map_or(&group.spot, |arbiter| &arbiter.spot);
        problems.add(
            spot,
            "a lease promises that the service has stopped when it runs out, so there must be one that can be stopped",
            "add [group.service] with unit = \"….service\", or leave arbiter out",
        );
        return;
    };
    leased_service(service, file, problems);
}

fn leased_service(service: &ServiceFile, file: &File, problems: &mut Problems<'_>) {
    if let Some(standby) = &service.standby
        && standby.value == Standby::Warm
    {
        problems.add(
            &standby.spot,
            "a warm service runs on the standby too, and a lease promises that it runs on one node at most",
            "leave standby out: with the lease it is \"cold\"",
        );
    }
    if let (Some(timeout), Some(bound)) = (&service.stop_timeout, &file.lease.stop_bound)
        && timeout.value > bound.value
    {
        problems.add(
            &timeout.spot,
            format!(
                "stop-timeout ({}) must not be more than lease.stop-bound ({}): by then the service has stopped",
                format_duration(timeout.value),
                format_duration(bound.value),
            ),
            "leave it out, or write a longer stop-bound in [lease]",
        );
    }
}

fn lease(lease: &LeaseFile, file: &File, problems: &mut Problems<'_>) {
    let used = |group: &GroupFile| group.arbiter.as_ref().is_none_or(|it| it.value == Arbiter::Dynamodb);
    if let Some(spot) = &lease.spot
        && !file.groups.iter().any(used)
    {
        problems.add(
            spot,
            "a lease belongs to a group with arbiter = \"dynamodb\", and there is none",
            "write arbiter = \"dynamodb\" in [[group]], or leave [lease] out",
        );
    }
    let Some(length) = &lease.length else { return };
    if !(Duration::from_secs(5)..=Duration::from_mins(5)).contains(&length.value) {
        problems.add(
            &length.spot,
            "a lease lasts 5s to 5m: shorter, and one slow answer ends it; longer, and a takeover waits as long",
            "10s is the default",
        );
        return;
    }
    // Renewed every 0.2 of the length, and standing down is finished at 0.8 of it (design section 2).
    let most = length.value * 2 / 5;
    if let Some(bound) = &lease.stop_bound
        && bound.value > most
    {
        problems.add(
            super::typed_one(bound, length),
            format!(
                "stop-bound ({}) is at most 0.4 of length ({}): a lease is renewed every 0.2 of its length and standing \
                 down, which takes stop-bound, is finished at 0.8, so that one lost renewal does not end it",
                format_duration(bound.value),
                format_duration(length.value),
            ),
            format!(
                "write a stop-bound of {} or less, or a length of {} or more",
                format_duration(most),
                format_duration(bound.value * 5 / 2),
            ),
        );
    }
}
