//! What a configuration says about checks: what is asked, how often, and what a failure does.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::source::Transport;

/// One `[[group.check]]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Check {
    /// Its name in the configuration, its own in the group.
    pub name: String,
    /// What is asked.
    pub kind: CheckKind,
    /// From the start of one run to the start of the next.
    pub every: Duration,
    /// A run ends after so long; never longer than `every`.
    pub timeout: Duration,
    /// So many good results in a row end a failure.
    pub rise: u32,
    /// So many failed results in a row are a failure.
    pub fall: u32,
    /// On which node it runs.
    pub when: When,
    /// What a failure does.
    pub on_fail: OnFail,
}

/// What a check asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CheckKind {
    /// Another systemd unit than the service's own: it runs.
    Systemd(String),
    /// A TCP connection.
    Tcp(Vec<SocketAddr>, Need),
    /// A GET over HTTP.
    Http(Http),
    /// Program and arguments; its exit code is an answer as OCF has them.
    Command(Vec<String>),
    /// A SIP OPTIONS request (RFC 3261, 11).
    SipOptions(Sip),
    /// Asterisk, by what `[group.asterisk]` says.
    AsteriskAmi,
    /// An ICMP echo.
    Ping(Vec<IpAddr>, Need),
    /// A small file in this folder is written, flushed and read.
    Disk(PathBuf),
    /// A network interface: its name, or its link address ("02:…").
    Interface(String),
}

/// A GET over HTTP, and what answers it well.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Http {
    /// Where the server is.
    pub server: SocketAddr,
    /// Path and query, "/health?deep".
    pub path: String,
    /// The status that is good; `None`: 200 to 399.
    pub status: Option<u16>,
    /// What the body has to contain.
    pub body_contains: Option<String>,
}

/// Who is asked by SIP, and over what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sip {
    /// Over what.
    pub transport: Transport,
    /// Who.
    pub address: SocketAddr,
}

/// Of several targets, how many have to answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Need {
    /// One is enough (Heartbeat's `ping_group`).
    #[default]
    Any,
    /// Each of them.
    All,
}

/// On which node a check runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum When {
    /// Where the group is served.
    Active,
    /// Where it is not.
    Standby,
    /// On every node of the group.
    Always,
}

/// What the failure of a check does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnFail {
    /// The service is restarted, and the failure counts.
    Restart,
    /// The group moves, if another node is eligible.
    Move,
    /// It is shown.
    Report,
}

impl CheckKind {
    /// The key of the file.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Systemd(_) => "systemd",
            Self::Tcp(..) => "tcp",
            Self::Http(_) => "http",
            Self::Command(_) => "command",
            Self::SipOptions(_) => "sip-options",
            Self::AsteriskAmi => "asterisk-ami",
            Self::Ping(..) => "ping",
            Self::Disk(_) => "disk",
            Self::Interface(_) => "interface",
        }
    }

    /// What is asked for may be elsewhere, so that losing it is this node's fault only if the others do not lose it.
    pub const fn is_witness(&self) -> bool {
        match self {
            Self::Tcp(..) | Self::Ping(..) => true,
            Self::Systemd(_)
            | Self::AsteriskAmi
            | Self::Http(_)
            | Self::Command(_)
            | Self::SipOptions(_)
            | Self::Disk(_)
            | Self::Interface(_) => false,
        }
    }
}

impl Need {
    /// As in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::All => "all",
        }
    }
}

impl When {
    /// As in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Always => "always",
        }
    }

    /// Whether it runs on a node that serves the group, or does not.
    pub const fn includes(self, serves: bool) -> bool {
        match self {
            Self::Active => serves,
            Self::Standby => !serves,
            Self::Always => true,
        }
    }
}

impl OnFail {
    /// As in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Move => "move",
            Self::Report => "report",
        }
    }
}

impl fmt::Display for Sip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.word(), self.address)
    }
}

impl fmt::Display for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.server, self.path)
    }
}
