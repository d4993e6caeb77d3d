//! AMI, the side of Asterisk that programs speak to: a client that does one thing at a time over one connection.
//! Whoever uses it makes a new one after any error.

mod check;
mod client;
mod message;
mod secret;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

pub use check::Watch;
pub use client::{Booted, Client, CoreStatus, Registration};
pub use message::{LONGEST_LINE, MOST_LINES, Malformed, Message, Reader};
pub use secret::{Secret, read as read_secret};

/// Why Asterisk did not do what it was asked.
#[derive(Debug)]
pub enum AmiError {
    /// The secret cannot be had.
    Secret(String),
    /// There is no connection.
    Connect {
        /// Where to.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// Somebody listens who is not Asterisk.
    NotAmi {
        /// Where.
        address: SocketAddr,
        /// What it said.
        said: String,
    },
    /// It does not let this user in.
    Denied {
        /// Where.
        address: SocketAddr,
        /// Whom.
        user: String,
        /// What Asterisk said.
        why: String,
    },
    /// It does not do this.
    Refused {
        /// What.
        action: String,
        /// What Asterisk said.
        why: String,
    },
    /// It says nothing.
    Silence {
        /// What was asked.
        action: String,
        /// For how long.
        after: Duration,
    },
    /// What it says is no AMI.
    Malformed(Malformed),
    /// The connection has ended: Asterisk has ended, or was restarted.
    Closed(io::Error),
}

impl fmt::Display for AmiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = |after: &Duration| humantime::format_duration(*after).to_string();
        match self {
            Self::Secret(why) => f.write_str(why),
            Self::Connect { address, source } if source.kind() == io::ErrorKind::ConnectionRefused => write!(
                f,
                "nobody listens at {address}: Asterisk does not run, or has no AMI there (`enabled = yes`, \
                 `port` and `bindaddr` in manager.conf)"
            ),
            Self::Connect { address, source } => write!(f, "no connection to {address}: {source}"),
            Self::NotAmi { address, said } => {
                write!(f, "who listens at {address} is not Asterisk's AMI: it says {said:?}")
            }
            Self::Denied { address, user, why } => write!(
                f,
                "AMI at {address} does not let the user {user} in ({why}): compare name, secret, `permit` and \
                 `deny` with manager.conf, then `asterisk -rx 'manager reload'`"
            ),
            Self::Refused { action, why } => write!(f, "Asterisk refuses {action}: {why}"),
            Self::Silence { action, after: time } => {
                write!(f, "Asterisk does not answer {action} within {}", after(time))
            }
            Self::Malformed(malformed) => write!(f, "this is no AMI: {malformed}"),
            Self::Closed(error) => write!(f, "Asterisk has closed the connection: {error}"),
        }
    }
}

impl std::error::Error for AmiError {}

impl From<Malformed> for AmiError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}
