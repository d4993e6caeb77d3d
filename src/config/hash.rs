//! What nodes compare in their heartbeats: a hash of what must be the same on all of them.

use std::fmt::Write as _;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Arbiter, Check, Config, Fencing, Group, HookFailure, HookWhen, Resource, Run, Service};

impl Config {
    /// A hash over the effective values that must agree on all nodes: everything but key file, socket,
    /// state directory and `[aws]`. It depends on neither the layout of the file nor the version of the
    /// agent: a key that a later version adds joins the text below only while it is not at its default.
    pub fn hash(&self) -> u64 {
        let digest = Sha256::digest(self.agreed().as_bytes());
        digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
    }

    /// One line per value. Names cannot contain spaces; what can is quoted.
    fn agreed(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let mut line = |text: String| {
            let _ = writeln!(out, "{text}");
        };
        line(format!("cluster {}", self.cluster));
        let beat = &self.heartbeat;
        line(format!(
            "heartbeat {} {} {} {} {}",
            beat.port,
            beat.interval.as_nanos(),
            beat.warn_after.as_nanos(),
            beat.dead_after.as_nanos(),
            beat.first_dead_after.as_nanos()
        ));
        for node in &self.nodes {
            line(format!("node {} {}", node.name, words(&node.links)));
        }
        for group in &self.groups {
            let nodes: Vec<u8> = group.nodes.iter().map(|node| node.0).collect();
            let silent = group.when_silent.word();
            let isolated = group.when_isolated.word();
            line(format!("group {} {} {} {silent} {isolated}", group.name, words(&nodes), group.anchor));
            for resource in &group.resources {
                line(resource_line(resource));
                if !resource.source_ports().is_empty() {
                    line(format!("source-ports {}", words(resource.source_ports())));
                }
            }
            safety_lines(group).into_iter().for_each(&mut line);
            for check in &group.checks {
                line(check_line(check));
            }
            for hook in &group.hooks {
                line(format!("hook {:?} {:?} {}", hook.on, hook.run, hook.timeout.as_nanos()));
            }
            hook_lines(group).into_iter().for_each(&mut line);
        }
        if let Some(it) = self.recovery {
            let when_lost = it.when_lost.word();
            line(format!("recovery {when_lost} {} {}", it.boot_time.as_nanos(), it.attempts));
        }
        if let Some(lease) = &self.lease {
            let grace = lease.grace.unwrap_or_default().as_nanos();
            let (length, stop_bound) = (lease.length.as_nanos(), lease.stop_bound.as_nanos());
            line(format!("lease {} {length} {stop_bound} {grace}", lease.table));
        }
        out
    }
}

/// What is not at its default: earlier versions did not have these keys.
fn safety_lines(group: &Group) -> Vec<String> {
    let mut lines = Vec::new();
    if group.arbiter != Arbiter::Ec2 {
        lines.push(format!("arbiter {}", group.arbiter.word()));
    }
    if let Some(probe) = &group.probe {
        lines.push(format!("probe {:?} {}", probe.ask, probe.timeout.as_nanos()));
    }
    if group.fencing != Fencing::None {
        lines.push(format!("fencing {} {}", group.fencing.word(), group.when_fencing_fails.word()));
    }
    if let Some(failback) = group.failback {
        lines.push(format!("failback {}", failback.as_nanos()));
    }
    if let Some(service) = &group.service {
        let failures = group.failure_timeout.unwrap_or_default().as_nanos();
        lines.push(format!(
            "service {} {} {} {} {failures}",
            service.name(),
            service.standby.word(),
            service.stop_timeout.as_nanos(),
            group.migration_threshold,
        ));
        lines.extend(run_lines(service));
    }
    lines
}

/// How the service runs, where that is not what the first version with a service had.
fn run_lines(service: &Service) -> Vec<String> {
    let mut lines = Vec::new();
    match &service.run {
        Run::Unit(_) => {}
        Run::Commands(it) => {
            lines.push(format!("commands {:?} {:?} {:?}", it.start, it.stop, it.status));
        }
        Run::Ocf(it) => lines.push(format!("ocf {} {} {:?}", it.provider, it.agent, it.parameters)),
    }
    if service.start_timeout != Duration::from_secs(90) {
        lines.push(format!("start-timeout {}", service.start_timeout.as_nanos()));
    }
    if service.status_every != Duration::from_secs(10) {
        lines.push(format!("status-every {}", service.status_every.as_nanos()));
    }
    lines
}

/// What hooks mean, where that is not what they meant in the first version.
fn hook_lines(group: &Group) -> Vec<String> {
    let mut lines = Vec::new();
    for (hook, place) in group.hooks.iter().zip(0..) {
        if hook.when != HookWhen::usual(hook.on, group.arbiter) {
            lines.push(format!("hook-when {place} {}", hook.when.word()));
        }
        if hook.on_failure == HookFailure::Stop {
            let failures = group.failure_timeout.unwrap_or_default().as_nanos();
            lines.push(format!("hook-failure {place} stop {} {failures}", group.migration_threshold));
        }
    }
    if let Some(asterisk) = &group.asterisk {
        lines.push(super::asterisk::agreed(asterisk));
    }
    lines
}

fn check_line(check: &Check) -> String {
    let (every, timeout) = (check.every.as_nanos(), check.timeout.as_nanos());
    let (when, on_fail) = (check.when.word(), check.on_fail.word());
    let (name, kind) = (&check.name, &check.kind);
    format!("check {name} {kind:?} {every} {timeout} {} {} {when} {on_fail}", check.rise, check.fall)
}

fn resource_line(resource: &Resource) -> String {
    match resource {
        Resource::ElasticIp(it) => {
            let to: Vec<String> = it.to.iter().map(|(node, to)| format!("{}={to}", node.0)).collect();
            format!("elastic-ip {} {} {}", it.name, it.allocation_id, words(&to))
        }
        Resource::PrivateIp(it) => {
            let rider = it.elastic_ip.as_deref().unwrap_or("-");
            format!("private-ip {} {} {rider} {}", it.name, it.address, it.guest)
        }
        Resource::Route(it) => {
            format!("route {} {} {} {}", it.name, words(&it.tables), words(&it.destinations), it.link)
        }
    }
}

fn words<T: ToString>(list: &[T]) -> String {
    list.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}
