//! The checks of a group: each asks once, within its timeout, and says one of four things. What becomes of that
//! over time is [`verdict`]'s to say.

mod asterisk;
mod command;
mod disk;
mod http;
mod interface;
mod ping;
pub(super) mod sip;
mod systemd;
pub(super) mod tcp;
pub mod verdict;

use std::fmt::Display;
use std::io;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rustix::io::Errno;

use super::ami;
use super::hooks::About;
use crate::config::{Asterisk, Check, CheckKind, Need};

pub(super) use command::program;

/// What one run of a check says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// All is well.
    Ok,
    /// It works, and somebody should look at it.
    Degraded(String),
    /// It does not work.
    Failed(String),
    /// The check itself could not be made: that says nothing about what it asks for, and never counts.
    Unknown(String),
}

impl Outcome {
    /// What there is to say.
    pub fn text(&self) -> &str {
        match self {
            Self::Ok => "",
            Self::Degraded(text) | Self::Failed(text) | Self::Unknown(text) => text,
        }
    }
}

/// One check, with what it keeps between its runs.
#[derive(Debug)]
pub struct Checker {
    check: Check,
    about: About,
    asterisk: Option<Asterisk>,
    disk: disk::Disk,
    ami: ami::Watch,
    systemd: systemd::Systemd,
}

impl Checker {
    /// A check that has not run yet. `about` is for a program's environment, `asterisk` for AMI.
    pub fn new(check: Check, about: About, asterisk: Option<Asterisk>) -> Self {
        let (disk, ami, systemd) = Default::default();
        Self { check, about, asterisk, disk, ami, systemd }
    }

    /// Asks once; it is over within the check's timeout.
    pub async fn ask(&mut self) -> Outcome {
        let timeout = self.check.timeout;
        let asked = async {
            match &self.check.kind {
                CheckKind::Systemd(unit) => self.systemd.look(unit, timeout).await,
                CheckKind::AsteriskAmi => asterisk::ask(&mut self.ami, self.asterisk.as_ref(), timeout).await,
                CheckKind::Tcp(targets, need) => of_several(targets, *need, |it| tcp::connect(*it)).await,
                CheckKind::Http(wanted) => http::get(wanted).await,
                CheckKind::Command(words) => program(words, &self.about, "check", timeout).await,
                CheckKind::SipOptions(sip) => sip::ask(*sip, timeout).await,
                CheckKind::Ping(targets, need) => {
                    of_several(targets, *need, |it| ping::ask(*it, timeout)).await
                }
                CheckKind::Disk(folder) => self.disk.try_out(folder, &self.check.name).await,
                CheckKind::Interface(interface) => interface::look(interface).await,
            }
        };
        match &self.check.kind {
            // They keep the time themselves: a program is killed, and what systemd does not say is unknown.
            CheckKind::Command(_) | CheckKind::Systemd(_) | CheckKind::AsteriskAmi => asked.await,
            CheckKind::Tcp(..)
            | CheckKind::Http(_)
            | CheckKind::SipOptions(_)
            | CheckKind::Ping(..)
            | CheckKind::Disk(_)
            | CheckKind::Interface(_) => within(timeout, asked).await,
        }
    }

    /// Ends when there is news before the next run is due; most kinds have none. Cancel safe.
    pub async fn news(&mut self) {
        self.systemd.changes().await;
    }
}

/// What is not said within the timeout is a failure.
pub(super) async fn within(timeout: Duration, asked: impl Future<Output = Outcome>) -> Outcome {
    match tokio::time::timeout(timeout, asked).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => silence(timeout),
    }
}

fn silence(timeout: Duration) -> Outcome {
    Outcome::Failed(format!("no answer within {}", humantime::format_duration(timeout)))
}

/// An error of the way there. What this machine refuses or lacks says nothing about the other end.
fn of_error(error: &io::Error) -> Outcome {
    const OUR_OWN: [Errno; 8] = [
        Errno::PERM,
        Errno::ACCESS,
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::ADDRNOTAVAIL,
        Errno::AFNOSUPPORT,
    ];
    let ours = error.raw_os_error().is_some_and(|code| OUR_OWN.iter().any(|it| it.raw_os_error() == code));
    if ours { Outcome::Unknown(error.to_string()) } else { Outcome::Failed(error.to_string()) }
}

/// Asks several targets at the same time. With [`Need::Any`] one good answer is enough, and is not waited beyond;
/// with [`Need::All`] one failure is. Where it depends on one that is unknown, all of it is.
async fn of_several<T: Display, F: Future<Output = Outcome>>(
    targets: &[T],
    need: Need,
    ask: impl Fn(&T) -> F,
) -> Outcome {
    let alone = targets.len() == 1;
    let named = |target: &T, text: String| if alone { text } else { format!("{target}: {text}") };
    let mut asked: FuturesUnordered<_> = targets
        .iter()
        .map(|target| {
            let asked = ask(target);
            async move { (target, asked.await) }
        })
        .collect();
    let (mut degraded, mut failed, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    while let Some((target, outcome)) = asked.next().await {
        match (outcome, need) {
            (Outcome::Ok, Need::Any) => return Outcome::Ok,
            (Outcome::Ok, Need::All) => {}
            (Outcome::Degraded(text), _) => degraded.push(named(target, text)),
            (Outcome::Failed(text), Need::All) => return Outcome::Failed(named(target, text)),
            (Outcome::Failed(text), Need::Any) => failed.push(named(target, text)),
            (Outcome::Unknown(text), _) => unknown.push(named(target, text)),
        }
    }
    match need {
        Need::Any if !degraded.is_empty() => Outcome::Degraded(degraded.join("; ")),
        Need::Any | Need::All if !unknown.is_empty() => Outcome::Unknown(unknown.join("; ")),
        Need::All if !degraded.is_empty() => Outcome::Degraded(degraded.join("; ")),
        Need::Any => Outcome::Failed(failed.join("; ")),
        Need::All => Outcome::Ok,
    }
}

#[cfg(test)]
mod tests;
