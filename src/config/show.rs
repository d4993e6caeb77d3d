//! The effective configuration as a file: every default filled in, so that it can be read, compared and
//! used again.

mod checks;

use std::fmt::{Display, Write as _};
use std::time::Duration;

use super::report::mask;
use super::{Arbiter, Ask, Config, Fencing, Group, HookFailure, Resource, Run, Service};

impl Config {
    /// The effective values as TOML. Reading it again gives the same configuration, except where an
    /// argument of a program, or an agent's parameter, looks like a secret: that is shown as `<hidden>`.
    pub fn show(&self) -> String {
        let mut page = Page::default();
        page.value("cluster", quoted(&self.cluster));
        page.comment("The keys in it are never shown.");
        page.value("key-file", quoted(&self.key_file.display().to_string()));
        page.value("state-dir", quoted(&self.state_dir.display().to_string()));
        page.value("socket", quoted(&self.socket.display().to_string()));
        page.table("[heartbeat]");
        page.value("port", self.heartbeat.port);
        page.value("interval", duration(self.heartbeat.interval));
        page.value("warn-after", duration(self.heartbeat.warn_after));
        page.value("dead-after", duration(self.heartbeat.dead_after));
        page.value("first-dead-after", duration(self.heartbeat.first_dead_after));
        page.table("[recovery]");
        match self.recovery {
            None => page.value("when-lost", quoted("none")),
            Some(it) => {
                page.value("when-lost", quoted(it.when_lost.word()));
                page.value("boot-time", duration(it.boot_time));
                page.value("attempts", it.attempts);
            }
        }
        page.table("[aws]");
        page.optional("region", self.aws.region.as_deref(), "AWS_REGION, the profile, or IMDS");
        page.optional("profile", self.aws.profile.as_deref(), "AWS_PROFILE, or the instance's role");
        page.optional("endpoint-url", self.aws.endpoint_url.as_deref(), "the region's own");
        page.value("call-timeout", duration(self.aws.call_timeout));
        if let Some(lease) = &self.lease {
            page.table("[lease]");
            page.value("table", quoted(&lease.table));
            page.value("length", duration(lease.length));
            page.value("stop-bound", duration(lease.stop_bound));
            page.value("grace", lease.grace.map_or_else(|| quoted("none"), duration));
            page.optional("endpoint-url", lease.endpoint_url.as_deref(), "the region's own");
        }
        for node in &self.nodes {
            page.table("[[node]]");
            page.value("name", quoted(&node.name));
            page.value("links", list(&node.links));
        }
        for group in &self.groups {
            self.show_group(group, &mut page);
        }
        page.text
    }

    fn show_group(&self, group: &Group, page: &mut Page) {
        let name_of = |node: &crate::cluster::NodeId| {
            self.nodes.get(usize::from(node.0)).map_or("", |node| node.name.as_str()).to_owned()
        };
        let nodes: Vec<String> = group.nodes.iter().map(name_of).collect();
        let anchor = group.resources.get(group.anchor).map_or("", Resource::name);
        page.table("[[group]]");
        page.value("name", quoted(&group.name));
        page.value("nodes", list(&nodes));
        page.value("anchor", quoted(anchor));
        page.value("arbiter", quoted(group.arbiter.word()));
        page.value("when-silent", quoted(group.when_silent.word()));
        match group.arbiter {
            Arbiter::Ec2 => page.value("when-isolated", quoted(group.when_isolated.word())),
            Arbiter::Dynamodb => page.comment("when-isolated: the lease decides"),
        }
        page.value("fencing", quoted(group.fencing.word()));
        match group.fencing {
            Fencing::None => page.comment("when-fencing-fails: nothing is fenced"),
            Fencing::Before | Fencing::Alongside => {
                page.value("when-fencing-fails", quoted(group.when_fencing_fails.word()));
            }
        }
        page.value("failback", group.failback.map_or_else(|| quoted("never"), duration));
        show_service(group, page);
        group.checks.iter().for_each(|check| checks::show(check, page));
        for resource in &group.resources {
            match resource {
                Resource::ElasticIp(it) => {
                    page.table("[[group.elastic-ip]]");
                    page.value("name", quoted(&it.name));
                    page.value("allocation-id", quoted(&it.allocation_id));
                    let to: Vec<String> =
                        it.to.iter().map(|(node, to)| format!("{} = \"{to}\"", name_of(node))).collect();
                    page.value("to", format!("{{ {} }}", to.join(", ")));
                    page.value("source-ports", list(&it.source_ports));
                }
                Resource::PrivateIp(it) => {
                    page.table("[[group.private-ip]]");
                    page.value("name", quoted(&it.name));
                    page.value("address", quoted(&it.address.to_string()));
                    page.optional("elastic-ip", it.elastic_ip.as_deref(), "none");
                    page.value("guest", it.guest);
                    page.value("source-ports", list(&it.source_ports));
                }
                Resource::Route(it) => {
                    page.table("[[group.route]]");
                    page.value("name", quoted(&it.name));
                    page.value("tables", list(&it.tables));
                    page.value("destinations", list(&it.destinations));
                    page.value("link", it.link);
                }
            }
        }
        for hook in &group.hooks {
            page.table("[[group.hook]]");
            page.value("on", quoted(hook.on.word()));
            match group.service {
                Some(_) => page.value("when", quoted(hook.when.word())),
                None => page.comment("when: there is no service"),
            }
            page.value("run", masked(&hook.run));
            page.value("timeout", duration(hook.timeout));
            page.value("on-failure", quoted(hook.on_failure.word()));
        }
    }
}

/// The group's service, its failures, and how it is asked.
fn show_service(group: &Group, page: &mut Page) {
    if group.service.is_some() || group.hooks.iter().any(|hook| hook.on_failure == HookFailure::Stop) {
        page.value("migration-threshold", group.migration_threshold);
        match group.failure_timeout {
            Some(timeout) => page.value("failure-timeout", duration(timeout)),
            None => page.comment("failure-timeout: only cleanup"),
        }
    }
    if let Some(probe) = &group.probe {
        page.table("[group.probe]");
        match &probe.ask {
            Ask::SipOptions(address) => page.value("sip-options", quoted(&format!("udp:{address}"))),
            Ask::Tcp(address) => page.value("tcp", quoted(&address.to_string())),
            Ask::Command(command) => page.value("command", masked(command)),
        }
        page.value("timeout", duration(probe.timeout));
    }
    if let Some(service) = &group.service {
        show_run(service, page);
    }
    if let Some(asterisk) = &group.asterisk {
        super::asterisk::show(asterisk, page);
    }
}

fn show_run(service: &Service, page: &mut Page) {
    page.table("[group.service]");
    match &service.run {
        Run::Unit(unit) => page.value("unit", quoted(unit)),
        Run::Commands(it) => {
            page.value("start", masked(&it.start));
            page.value("stop", masked(&it.stop));
            page.value("status", masked(&it.status));
        }
        Run::Ocf(it) => page.value("ocf", quoted(&format!("{}:{}", it.provider, it.agent))),
    }
    page.value("standby", quoted(service.standby.word()));
    page.value("start-timeout", duration(service.start_timeout));
    page.value("stop-timeout", duration(service.stop_timeout));
    match &service.run {
        Run::Unit(_) => page.comment("status-every: systemd tells"),
        Run::Commands(_) | Run::Ocf(_) => page.value("status-every", duration(service.status_every)),
    }
    if let Run::Ocf(it) = &service.run
        && !it.parameters.is_empty()
    {
        page.table("[group.service.parameters]");
        for (name, text) in &it.parameters {
            page.value(&quoted(name), quoted(&mask(text)));
        }
    }
}

/// The text as it grows. Writing to a String cannot fail.
#[derive(Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    pub(super) fn table(&mut self, header: &str) {
        let _ = writeln!(self.text, "\n{header}");
    }

    pub(super) fn value(&mut self, key: &str, value: impl Display) {
        let _ = writeln!(self.text, "{key} = {value}");
    }

    pub(super) fn comment(&mut self, words: &str) {
        let _ = writeln!(self.text, "# {words}");
    }

    /// A value that may be absent; then a comment says where it comes from.
    fn optional(&mut self, key: &str, value: Option<&str>, absent: &str) {
        match value {
            Some(value) => self.value(key, quoted(value)),
            None => self.comment(&format!("{key}: {absent}")),
        }
    }
}

pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn duration(duration: Duration) -> String {
    quoted(&humantime::format_duration(duration).to_string())
}

/// A command, without what looks like a secret.
fn masked(command: &[String]) -> String {
    list(&command.iter().map(|word| mask(word)).collect::<Vec<_>>())
}

fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(|item| quoted(&item.to_string())).collect();
    format!("[{}]", items.join(", "))
}
