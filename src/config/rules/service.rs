//! Rules for the service of a group, and for the hooks around it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::file::{File, GroupFile, HookFile, Maybe, ServiceFile};
use super::super::report::{Problems, Spot, Written};
use super::super::{Arbiter, HookEvent, HookWhen};
use super::first_time;

const COMMANDS: [&str; 3] = ["start", "stop", "status"];

/// All rules about services and hooks.
pub(super) fn check(file: &File, problems: &mut Problems<'_>) {
    let mut units = BTreeMap::new();
    for group in &file.groups {
        group.hooks.iter().for_each(|it| hook(it, group, problems));
        let Some(service) = &group.service else { continue };
        runs(service, group, problems);
        parameters(service, problems);
        durations(service, problems);
        for (command, name) in [&service.start, &service.stop, &service.status].into_iter().zip(COMMANDS) {
            begins_with_a_program(command, name, "/usr/local/bin/my-service", problems);
        }
        if let Some(unit) = &service.unit {
            let what = "a unit is the service of one group";
            let remedy = "divide the service, or make one group of the two";
            first_time(&mut units, unit.value.clone(), &unit.spot, what, remedy, problems);
        }
    }
}

/// Exactly one way to run it, and that one as a whole.
fn runs(service: &ServiceFile, group: &GroupFile, problems: &mut Problems<'_>) {
    let has = |key: &str| service.runs.contains(&key);
    let commands = COMMANDS.iter().any(|key| has(key));
    match (has("unit"), commands, has("ocf")) {
        (true, false, false) | (false, false, true) => {}
        (false, true, false) => {
            let lacking: Vec<&str> = COMMANDS.into_iter().filter(|key| !has(key)).collect();
            if !lacking.is_empty() {
                problems.add(
                    &service.spot,
                    format!(
                        "start, stop and status are written together; there is no {}",
                        lacking.join(" and no ")
                    ),
                    format!("add {}: program and arguments", lacking.join(" and ")),
                );
            }
        }
        (false, false, false) => problems.add(
            &service.spot,
            "a service is a unit, or start, stop and status, or ocf; none is written",
            "write unit = \"asterisk.service\", say",
        ),
        (true, true | false, _) | (false, true, true) => problems.add(
            &service.spot,
            format!(
                "a service is a unit, or start, stop and status, or ocf; {} are written",
                service.runs.join(" and ")
            ),
            "leave one way, and take the others out",
        ),
    }
    let leased = group.arbiter.as_ref().is_some_and(|it| it.value == Arbiter::Dynamodb);
    if leased && (commands || has("ocf")) {
        let first = [&service.start, &service.stop, &service.status].into_iter().flatten().map(|it| &it.spot);
        let spot = first.chain(service.ocf.as_ref().map(|it| &it.spot)).next().unwrap_or(&service.spot);
        problems.add(
            spot,
            "with arbiter = \"dynamodb\" the service is a systemd unit: its guard kills a cgroup, and commands and OCF \
             agents have none",
            "write a unit for it, and unit = \"….service\"",
        );
    }
}

fn parameters(service: &ServiceFile, problems: &mut Problems<'_>) {
    let Some(parameters) = &service.parameters else { return };
    if !service.runs.contains(&"ocf") {
        problems.add(
            &Spot { is_value: false, ..parameters.spot.clone() },
            "parameters are those of an OCF agent, and this service is none",
            "leave them out, or write ocf = \"provider:agent\"",
        );
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    for (name, value) in &parameters.value {
        if name.value.is_empty() || !name.value.chars().all(allowed) || name.value.starts_with("CRM_meta") {
            problems.add(
                &name.spot,
                "the name of a parameter is made of a-z, A-Z, 0-9, '_' and '-', and CRM_meta… are not parameters",
                "write it as the agent's meta-data does, without OCF_RESKEY_",
            );
        }
        if value.value.contains('\0') {
            problems.add(&value.spot, "an environment has no NUL", "leave it out");
        }
    }
}

fn durations(service: &ServiceFile, problems: &mut Problems<'_>) {
    let between = |value: &Maybe<Duration>, problems: &mut Problems<'_>, rule: &str, remedy: &str| {
        let sensible = Duration::from_millis(100)..=Duration::from_hours(1);
        if let Some(value) = value
            && !sensible.contains(&value.value)
        {
            problems.add(&value.spot, rule, remedy);
        }
    };
    between(
        &service.start_timeout,
        problems,
        "start-timeout is 100ms to 1h: a group moves when its service has not started by then",
        "90s is the default, as it is systemd's",
    );
    between(&service.status_every, problems, "status-every is 100ms to 1h", "10s is the default");
    if let Some(every) = super::safety::typed(service.status_every.as_ref())
        && service.runs.contains(&"unit")
    {
        problems.add(
            &every.spot,
            "a unit is not asked every so often: systemd tells at once when its state changes",
            "leave status-every out; it is for commands and OCF agents",
        );
    }
}

fn hook(hook: &HookFile, group: &GroupFile, problems: &mut Problems<'_>) {
    begins_with_a_program(&hook.run, "run", "/usr/local/bin/on-promote", problems);
    let Some(when) = &hook.when else { return };
    if group.service.is_none() {
        problems.add(
            &when.spot,
            "a hook runs before or after the group's service, and it has none",
            "leave when out, or add [group.service]",
        );
        return;
    }
    let leased = group.arbiter.as_ref().is_some_and(|it| it.value == Arbiter::Dynamodb);
    let demote = hook.on.as_ref().is_some_and(|it| it.value == HookEvent::Demote);
    if leased && demote && when.value == HookWhen::Before {
        problems.add(
            &when.spot,
            "with arbiter = \"dynamodb\" nothing delays the stop of the service: a lease promises when it has stopped",
            "leave when out: then this hook runs after the stop",
        );
    }
}

fn begins_with_a_program(
    command: &Maybe<Vec<Written<String>>>,
    name: &str,
    example: &str,
    problems: &mut Problems<'_>,
) {
    if let Some(command) = command
        && command.value.first().is_none_or(|program| program.value.is_empty())
    {
        problems.add(
            &command.spot,
            format!("{name} begins with a program"),
            format!("write {name} = [\"{example}\"]"),
        );
    }
}
