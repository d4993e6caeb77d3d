//! `[group.asterisk]`: how Asterisk is spoken to, and what of it follows the group.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::file::{GroupFile, Maybe, choice, form};
use super::forms;
use super::report::{Problems, Refusal, Spot, refuse};
use super::show::{Page, quoted};
use super::table::Table;

/// Asterisk, as the service of a group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asterisk {
    /// Where AMI listens.
    pub ami: SocketAddr,
    /// The user of manager.conf.
    pub user: String,
    /// The file with its secret (mode 0600).
    pub secret_file: PathBuf,
    /// Whether its outbound registrations follow the group.
    pub registrations: Registrations,
    /// The folder of its configuration.
    pub config: PathBuf,
}

/// What happens to the outbound registrations.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Registrations {
    /// All of them are registered on the active node, and on no other.
    #[default]
    Auto,
    /// Nothing.
    Off,
}

impl Registrations {
    /// As in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Off => "off",
        }
    }
}

/// As it is written.
#[derive(Debug)]
pub(super) struct AsteriskFile {
    spot: Spot,
    ami: Maybe<SocketAddr>,
    user: Maybe<String>,
    secret_file: Maybe<PathBuf>,
    registrations: Maybe<Registrations>,
    config: Maybe<PathBuf>,
}

impl AsteriskFile {
    pub(super) fn read(table: &Table<'_>, problems: &mut Problems<'_>) -> Self {
        let registrations = [("auto", Registrations::Auto), ("off", Registrations::Off)];
        Self {
            spot: table.spot(),
            ami: form(table.text("ami"), forms::service_address, problems),
            user: form(table.text("user"), user, problems),
            secret_file: form(table.text("secret-file"), forms::path, problems),
            registrations: choice(table.text("registrations"), &registrations, problems),
            config: form(table.text("config"), forms::path, problems),
        }
    }

    pub(super) fn build(self) -> Option<Asterisk> {
        Some(Asterisk {
            ami: self.ami?.value,
            user: self.user?.value,
            secret_file: self.secret_file?.value,
            registrations: self.registrations?.value,
            config: self.config?.value,
        })
    }
}

/// The name of a section of manager.conf.
fn user(text: &str) -> Result<String, Refusal> {
    let bad = |c: char| c.is_control() || c.is_whitespace() || "[]();".contains(c);
    if text.is_empty() || text.chars().any(bad) {
        return refuse(
            "the name of a user of manager.conf: no spaces and none of []();",
            "write the name of its section, \"standin\" say",
        );
    }
    Ok(text.to_owned())
}

/// What must hold with the rest of the group.
pub(super) fn check(group: &GroupFile, problems: &mut Problems<'_>) {
    if let Some(asterisk) = group.asterisk.as_ref().filter(|_| group.service.is_none()) {
        problems.add(
            &asterisk.spot,
            "Asterisk is the group's service, and it has none",
            "add [group.service] with unit = \"asterisk.service\", or leave [group.asterisk] out",
        );
    }
}

pub(super) fn show(asterisk: &Asterisk, page: &mut Page) {
    page.table("[group.asterisk]");
    page.value("ami", quoted(&asterisk.ami.to_string()));
    page.value("user", quoted(&asterisk.user));
    page.comment("The secret in it is never shown.");
    page.value("secret-file", quoted(&asterisk.secret_file.display().to_string()));
    page.value("registrations", quoted(asterisk.registrations.word()));
    page.value("config", quoted(&asterisk.config.display().to_string()));
}

/// What must agree on all nodes: not where files are, nor where each node's own Asterisk listens.
pub(super) fn agreed(asterisk: &Asterisk) -> String {
    format!("asterisk {}", asterisk.registrations.word())
}
