//! A heartbeat into the body of a datagram.

use std::convert::Infallible;
use std::time::Duration;

use minicbor::{Encoder, encode};

use crate::cluster::heartbeat::Maintenance;
use crate::cluster::{GroupReport, Heartbeat, NodeId, Offer, Owner, Role};

use super::key::{self, MAX_NODES};
use super::{EncodeError, Roster};

/// Whether the roster has a name for every node and group that the heartbeat speaks of.
pub(super) fn check(heartbeat: &Heartbeat, roster: &Roster<'_>) -> Result<(), EncodeError> {
    let node = |id: NodeId| {
        let known = usize::from(id.0) < roster.nodes.len().min(MAX_NODES);
        if known { Ok(()) } else { Err(EncodeError::NoSuchNode(id)) }
    };
    node(heartbeat.from)?;
    node(heartbeat.to)?;
    heartbeat.hears.iter().try_for_each(node)?;
    for report in &heartbeat.groups {
        if usize::from(report.group.0) >= roster.groups.len() {
            return Err(EncodeError::NoSuchGroup(report.group));
        }
        if let Some(Owner::Theirs(holder)) = report.owner {
            node(holder)?;
        }
        report.offer.and_then(|offer| offer.to).map_or(Ok(()), node)?;
    }
    Ok(())
}

/// Appends the body. The heartbeat has passed [`check`].
pub(super) fn write(heartbeat: &Heartbeat, roster: &Roster<'_>, to: &mut Vec<u8>) {
    Writer { out: Encoder::new(to) }.body(heartbeat, roster).expect("a Vec takes any number of bytes");
}

type Written = Result<(), encode::Error<Infallible>>;

/// Maps are written with an open end, so that a field can be left out without counting first.
struct Writer<'a> {
    out: Encoder<&'a mut Vec<u8>>,
}

impl Writer<'_> {
    fn body(&mut self, heartbeat: &Heartbeat, roster: &Roster<'_>) -> Written {
        self.out.array(3)?.str(roster.cluster)?;
        let nodes = roster.nodes.iter().take(MAX_NODES);
        self.out.array(nodes.len() as u64)?;
        for name in nodes {
            self.out.str(name)?;
        }
        self.heartbeat(heartbeat, roster)
    }

    fn heartbeat(&mut self, it: &Heartbeat, roster: &Roster<'_>) -> Written {
        self.out.begin_map()?;
        self.number(key::FROM, it.from.0)?;
        self.number(key::TO, it.to.0)?;
        self.number(key::LINK, it.link.0)?;
        self.number(key::SESSION, it.session.0)?;
        self.number(key::SEQUENCE, it.sequence)?;
        self.number(key::NONCE, it.nonce)?;
        if let Some(echo) = it.echo {
            self.out.u64(key::ECHO)?.begin_map()?;
            self.number(key::echo::SESSION, echo.session.0)?;
            self.number(key::echo::NONCE, echo.nonce)?;
            self.out.end()?;
        }
        self.number(key::SENT, it.sent_us)?;
        if let Some(reply) = it.reply {
            self.out.u64(key::REPLY)?.begin_map()?;
            self.number(key::reply::SENT, reply.sent_us)?;
            self.number(key::reply::HELD, reply.held_us)?;
            self.out.end()?;
        }
        self.flag(key::ASK, it.ask)?;
        self.flag(key::GOODBYE, it.goodbye)?;
        if let Some(back_in) = it.back_in {
            self.number(key::BACK_IN, millis(back_in))?;
        }
        self.flag(key::FAREWELL_SEEN, it.farewell_seen)?;
        self.number(key::HEARS, it.hears.0)?;
        self.number(key::CONFIG_HASH, it.config_hash)?;
        if let Some(instance) = &it.instance {
            self.out.u64(key::INSTANCE)?.str(instance)?;
        }
        if !it.interfaces.is_empty() {
            self.out.u64(key::INTERFACES)?.array(it.interfaces.len() as u64)?;
            for interface in &it.interfaces {
                self.out.str(interface)?;
            }
        }
        if !it.groups.is_empty() {
            self.out.u64(key::GROUPS)?.array(it.groups.len() as u64)?;
            for report in &it.groups {
                self.group(report, roster)?;
            }
        }
        self.out.end()?;
        Ok(())
    }

    fn group(&mut self, it: &GroupReport, roster: &Roster<'_>) -> Written {
        self.out.begin_map()?;
        self.out.u64(key::group::NAME)?.str(&roster.groups[usize::from(it.group.0)])?;
        match it.role {
            Role::Standby => {}
            Role::Active => self.number(key::group::ROLE, key::role::ACTIVE)?,
        }
        self.number(key::group::TERM, it.term)?;
        self.flag(key::group::ELIGIBLE, it.eligible)?;
        self.flag(key::group::BARRED, !it.fit)?;
        if let Some(why) = it.why_not {
            self.number(key::group::WHY_NOT, why as u8)?;
        }
        if let Some(owner) = it.owner {
            let kind = match owner {
                Owner::Mine => key::owner::MINE,
                Owner::Theirs(holder) => {
                    self.number(key::group::HOLDER, holder.0)?;
                    key::owner::THEIRS
                }
                Owner::Nobody => key::owner::NOBODY,
                Owner::Orphaned => key::owner::ORPHANED,
                Owner::Stranger => key::owner::STRANGER,
            };
            self.number(key::group::OWNER, kind)?;
        }
        if it.fail_count != 0 {
            self.number(key::group::FAIL_COUNT, it.fail_count)?;
        }
        if it.maintenance != Maintenance::default() {
            self.out.u64(key::group::MAINTENANCE)?.begin_map()?;
            self.number(key::maintenance::VERSION, it.maintenance.version)?;
            self.flag(key::maintenance::ON, it.maintenance.on)?;
            self.out.end()?;
        }
        if let Some(offer) = it.offer {
            self.offer(offer)?;
        }
        if let Some(ready) = it.ready {
            self.number(key::group::READY, ready)?;
        }
        if let Some(calls) = it.tally.calls {
            self.number(key::group::CALLS, calls)?;
        }
        if let Some(unregistered) = it.tally.unregistered {
            self.number(key::group::UNREGISTERED, unregistered)?;
        }
        self.out.end()?;
        Ok(())
    }

    fn offer(&mut self, it: Offer) -> Written {
        self.out.u64(key::group::OFFER)?.begin_map()?;
        self.number(key::offer::ID, it.id)?;
        self.number(key::offer::TERM, it.term)?;
        if let Some(to) = it.to {
            self.number(key::offer::TO, to.0)?;
        }
        self.number(key::offer::TTL, millis(it.ttl))?;
        self.flag(key::offer::STOPPED, it.stopped)?;
        self.out.end()?;
        Ok(())
    }

    fn number(&mut self, key: u64, value: impl Into<u64>) -> Written {
        self.out.u64(key)?.u64(value.into())?;
        Ok(())
    }

    /// `false` is what an absent field means.
    fn flag(&mut self, key: u64, value: bool) -> Written {
        if value {
            self.out.u64(key)?.bool(true)?;
        }
        Ok(())
    }
}

/// Whole milliseconds, rounded down.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
