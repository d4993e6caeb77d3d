//! `[[group.check]]` as it was written.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::super::checks::{Need, OnFail, Sip, When};
use super::super::forms;
use super::super::report::{Problems, Spot, Written};
use super::super::table::Table;
use super::{Kind, Maybe, ResourceFile, choice, form, form_list};
use crate::cloud::Destination;

/// The keys of which each check has one.
pub(in super::super) const KINDS: [&str; 9] =
    ["systemd", "tcp", "http", "command", "sip-options", "asterisk-ami", "ping", "disk", "interface"];

/// `[[group.check]]`.
#[derive(Debug)]
pub(in super::super) struct CheckFile {
    pub(in super::super) spot: Spot,
    /// `None` also when it is not written: then it is the kind.
    pub(in super::super) name: Maybe<String>,
    /// Which of [`KINDS`] are written, well or badly.
    pub(in super::super) kinds: Vec<&'static str>,
    pub(in super::super) systemd: Maybe<String>,
    pub(in super::super) asterisk_ami: Option<bool>,
    pub(in super::super) tcp: Maybe<Vec<Maybe<SocketAddr>>>,
    pub(in super::super) http: Maybe<(SocketAddr, String)>,
    pub(in super::super) status: Maybe<i64>,
    pub(in super::super) body_contains: Maybe<String>,
    pub(in super::super) command: Maybe<Vec<Written<String>>>,
    pub(in super::super) sip_options: Maybe<Sip>,
    pub(in super::super) ping: Maybe<Vec<Maybe<IpAddr>>>,
    /// `None` also when it is not written: then it is any.
    pub(in super::super) need: Maybe<Need>,
    pub(in super::super) disk: Maybe<PathBuf>,
    pub(in super::super) interface: Maybe<String>,
    /// `None` also when it is not written: then it follows the kind.
    pub(in super::super) every: Maybe<Duration>,
    /// `None` also when it is not written: then it follows the kind, and every.
    pub(in super::super) timeout: Maybe<Duration>,
    pub(in super::super) rise: Maybe<i64>,
    /// `None` also when it is not written: then it follows the kind.
    pub(in super::super) fall: Maybe<i64>,
    /// `None` also when it is not written: then it follows what is asked.
    pub(in super::super) when: Maybe<When>,
    /// `None` also when it is not written: then it follows the kind, and the service.
    pub(in super::super) on_fail: Maybe<OnFail>,
}

impl CheckFile {
    pub(super) fn read(table: &Table<'_>, problems: &mut Problems<'_>) -> Self {
        let need = [("any", Need::Any), ("all", Need::All)];
        let when = [("active", When::Active), ("standby", When::Standby), ("always", When::Always)];
        let on_fail = [("restart", OnFail::Restart), ("move", OnFail::Move), ("report", OnFail::Report)];
        Self {
            spot: table.spot(),
            name: form(table.text("name"), forms::name, problems),
            kinds: KINDS.into_iter().filter(|kind| table.has(kind)).collect(),
            systemd: form(table.text("systemd"), forms::unit, problems),
            asterisk_ami: table.switch("asterisk-ami"),
            tcp: form_list(table.one_or_more("tcp"), forms::service_address, problems),
            http: form(table.text("http"), forms::http, problems),
            status: table.integer("status"),
            body_contains: table.text("body-contains"),
            command: table.list("command"),
            sip_options: form(table.text("sip-options"), forms::sip, problems),
            ping: form_list(table.one_or_more("ping"), forms::ping, problems),
            need: choice(table.text("need"), &need, problems),
            disk: form(table.text("disk"), forms::path, problems),
            interface: form(table.text("interface"), forms::interface, problems),
            every: form(table.text("every"), forms::duration, problems),
            timeout: form(table.text("timeout"), forms::duration, problems),
            rise: table.integer("rise"),
            fall: table.integer("fall"),
            when: choice(table.text("when"), &when, problems),
            on_fail: choice(table.text("on-fail"), &on_fail, problems),
        }
    }
}

impl CheckFile {
    /// Its kind, if it has one.
    pub(in super::super) fn kind(&self) -> Option<&'static str> {
        match self.kinds.as_slice() {
            [kind] => Some(kind),
            [] | [_, _, ..] => None,
        }
    }

    /// How often it runs if that is not written. (systemd tells of changes; this is for one that has hung.)
    pub(in super::super) fn default_every(kind: &str) -> Duration {
        Duration::from_secs(if ["disk", "systemd"].contains(&kind) { 10 } else { 2 })
    }

    /// How many failed results are a failure if that is not written.
    pub(in super::super) fn default_fall(kind: &str) -> u32 {
        if kind == "systemd" { 1 } else { 3 }
    }

    /// How long it may take if that is not written.
    pub(in super::super) fn default_timeout(kind: &str, every: Duration) -> Duration {
        every.min(Duration::from_secs(if kind == "disk" { 5 } else { 1 }))
    }

    /// What a failure does: what is written, or what fits the kind.
    pub(in super::super) fn on_fail(&self, service: bool) -> Option<OnFail> {
        let kind = self.kind()?;
        let of_the_node = ["ping", "disk", "interface"].contains(&kind);
        let default = if service && !of_the_node { OnFail::Restart } else { OnFail::Move };
        Some(self.on_fail.as_ref().map_or(default, |it| it.value))
    }

    /// An address that it asks and that moves with the group: a private address, or a destination of one address.
    /// (Where an Elastic IP leads to differs from node to node, and is asked by none.)
    pub(in super::super) fn asks_what_moves(&self, resources: &[ResourceFile]) -> Option<IpAddr> {
        let moves =
            |address: &IpAddr| {
                resources.iter().any(|resource| match &resource.kind {
                    Kind::PrivateIp { address: Some(it), .. } => *address == IpAddr::V4(it.value),
                    Kind::Route { destinations: Some(list), .. } => list.value.iter().flatten().any(
                        |it| matches!(&it.value, Destination::Cidr(net) if *net == IpNet::from(*address)),
                    ),
                    Kind::PrivateIp { address: None, .. }
                    | Kind::Route { destinations: None, .. }
                    | Kind::ElasticIp { .. } => false,
                })
            };
        let tcp = self.tcp.iter().flat_map(|it| it.value.iter().flatten()).map(|it| it.value.ip());
        let ping = self.ping.iter().flat_map(|it| it.value.iter().flatten()).map(|it| it.value);
        let http = self.http.iter().map(|it| it.value.0.ip());
        let sip = self.sip_options.iter().map(|it| it.value.address.ip());
        tcp.chain(ping).chain(http).chain(sip).find(moves)
    }
}
