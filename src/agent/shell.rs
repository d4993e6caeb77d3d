//! What the effects share.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::asterisk::AsteriskSeen;
use super::checks::Checks;
use super::clock;
use super::effects::Ailing;
use super::errors::Errors;
use super::heart::ToHeart;
use super::names::Names;
use super::timeline::Timeline;
use super::trouble::Troubles;
use crate::cloud::{Cloud, CloudError, LeaseTable};
use crate::cluster::{Desired, Event, GroupId, NodeId, Session, Time};
use crate::config::{self, Config};
use crate::resource::{Here, Roster};
use crate::service::cgroup::Cgroup;

/// So many of a group's last hooks are kept for `status`.
const HOOKS_KEPT: usize = 8;

/// What the effects share. Nothing here is held while something is awaited.
pub(super) struct Shell {
    pub(super) config: Config,
    pub(super) me: NodeId,
    pub(super) session: Session,
    pub(super) names: Arc<Names>,
    pub(super) cloud: Arc<dyn Cloud>,
    /// The leases; `None`: no group has one.
    pub(super) leases: Option<Arc<dyn LeaseTable>>,
    pub(super) heart: ToHeart,
    pub(super) errors: Errors,
    pub(super) roster: Roster,
    /// What this node is in EC2, once that is known.
    pub(super) here: watch::Sender<Option<Arc<Here>>>,
    pub(super) timeline: Timeline,
    /// The way to EC2 may have changed: dead connections are to be replaced.
    pub(super) way_changed: Box<dyn Fn() + Send + Sync>,
    /// What the guard is to do has changed.
    pub(super) guard_asked: Notify,
    worlds: Vec<World>,
    interfaces: Mutex<BTreeMap<String, NodeId>>,
}

/// One group's world on this node.
pub(super) struct World {
    /// The latest wish.
    pub(super) wanted: watch::Sender<Wanted>,
    /// Where the processes of its service are, once systemd has said.
    pub(super) cgroup: watch::Sender<Option<Cgroup>>,
    /// What the core wants of the guard; `None`: nothing was wanted yet.
    pub(super) guard: watch::Sender<Option<Option<Time>>>,
    /// Until when the service may run, as the guard has confirmed.
    pub(super) guarded: watch::Sender<Option<Time>>,
    /// What the checks have against its service.
    pub(super) troubles: Troubles,
    /// Since when its service runs, as far as is known; `None`: it does not, or nobody can say.
    pub(super) runs_since: watch::Sender<Option<Time>>,
    /// Whether the group is in maintenance: then this node only looks.
    pub(super) maintenance: watch::Sender<bool>,
    /// What its checks have found.
    pub(super) checks: Checks,
    /// Whether its service has been told to end with its last call: then that is no failure.
    pub(super) draining: watch::Sender<bool>,
    /// What is known of its Asterisk.
    pub(super) asterisk: AsteriskSeen,
    seen: Mutex<Seen>,
    able: Mutex<Able>,
}

/// Whether this node could take a group, by what that needs.
#[derive(Debug, Default)]
struct Able {
    /// Nothing is told before EC2 has said what this node is.
    known: bool,
    not: BTreeMap<&'static str, String>,
}

/// What a group needs on this node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Need {
    /// Interfaces in EC2.
    Interfaces,
    /// Its service's unit.
    Service,
    /// The guard.
    Guard,
    /// Checks that are not down.
    Checks,
}

/// How the world of a group should be.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Wanted {
    /// Nothing was wanted yet.
    pub(super) desired: Option<Desired>,
    pub(super) change: u64,
}

/// What was seen of a group's world.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Who holds each resource.
    pub(super) holders: Vec<Option<Holder>>,
    /// When this node last took the anchor.
    pub(super) took_at: Option<Time>,
    /// What fails, by what it is about.
    pub(super) failing: BTreeMap<String, String>,
    pub(super) hooks: VecDeque<HookRun>,
    /// What is the matter with its service.
    pub(super) ailing: Option<Ailing>,
}

/// Who holds a resource, according to EC2.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    /// A node's name, "nobody", or an id.
    pub(super) who: String,
    pub(super) at: Time,
    pub(super) problem: Option<String>,
}

/// How a hook went.
#[derive(Clone, Debug)]
pub(super) struct HookRun {
    pub(super) event: &'static str,
    pub(super) program: String,
    pub(super) well: bool,
    pub(super) end: String,
    pub(super) took_us: u64,
    pub(super) at: Time,
}

impl Need {
    const fn word(self) -> &'static str {
        match self {
            Self::Interfaces => "interfaces",
            Self::Service => "service",
            Self::Guard => "guard",
            Self::Checks => "checks",
        }
    }
}

impl Wanted {
    /// Whether EC2 may be changed.
    pub(super) fn repairs(self) -> bool {
        self.desired == Some(Desired::Serve { repair: true })
    }

    /// Whether this node is to serve; `None`: nothing was wanted yet.
    pub(super) fn serves(self) -> Option<bool> {
        match self.desired? {
            Desired::Serve { .. } => Some(true),
            Desired::Standby => Some(false),
        }
    }
}

impl Shell {
    #[allow(clippy::too_many_arguments, reason = "called once, with what only the caller has")]
    pub(super) fn new(
        config: Config,
        me: NodeId,
        session: Session,
        names: Arc<Names>,
        cloud: Arc<dyn Cloud>,
        leases: Option<Arc<dyn LeaseTable>>,
        heart: ToHeart,
        way_changed: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        let world = |group: &config::Group| {
            let seen = Seen { holders: vec![None; group.resources.len()], ..Seen::default() };
            World {
                wanted: watch::Sender::new(Wanted::default()),
                cgroup: watch::Sender::new(None),
                guard: watch::Sender::new(None),
                guarded: watch::Sender::new(None),
                troubles: Troubles::default(),
                runs_since: watch::Sender::new(None),
                maintenance: watch::Sender::new(false),
                checks: Checks::new(&group.checks, clock::now()),
                draining: watch::Sender::new(false),
                asterisk: AsteriskSeen::default(),
                seen: Mutex::new(seen),
                able: Mutex::default(),
            }
        };
        Self {
            me,
            session,
            names,
            cloud,
            leases,
            heart,
            errors: Errors::default(),
            roster: Roster::new(config.nodes.clone()),
            here: watch::Sender::new(None),
            timeline: Timeline::new(config.groups.len()),
            way_changed,
            guard_asked: Notify::new(),
            worlds: config.groups.iter().map(world).collect(),
            interfaces: Mutex::default(),
            config,
        }
    }

    /// The group's part of the configuration, and its world. `None` is a number that the core never had.
    pub(super) fn group(&self, group: GroupId) -> Option<(&config::Group, &World)> {
        let place = usize::from(group.0);
        self.config.groups.get(place).zip(self.worlds.get(place))
    }

    /// The groups that this node is in.
    pub(super) fn own_groups(&self) -> impl Iterator<Item = (GroupId, &config::Group)> {
        let ids = (0..).map(GroupId);
        ids.zip(&self.config.groups).filter(|(_, group)| group.nodes.contains(&self.me))
    }

    /// What a group needs is there, or (`Err`) is not: the core hears of all that is lacking as one.
    pub(super) fn able(&self, group: GroupId, need: Need, able: Result<(), String>) {
        let Some((settings, world)) = self.group(group) else { return };
        let mut all = world.able.lock().unwrap_or_else(PoisonError::into_inner);
        all.known |= need == Need::Interfaces;
        let before = match &able {
            Ok(()) => all.not.remove(need.word()),
            Err(why) => all.not.insert(need.word(), why.clone()),
        };
        match &able {
            Err(why) if before.as_ref() != Some(why) => {
                tracing::warn!(
                    id = "not-able",
                    group = settings.name,
                    "this node cannot take the group: {why}"
                );
            }
            Ok(()) if before.is_some() => {
                tracing::info!(id = "able", group = settings.name, "{}: no longer in the way", need.word());
            }
            Ok(()) | Err(_) => {}
        }
        if all.known {
            let why: Vec<&str> = all.not.values().map(String::as_str).collect();
            let able = if why.is_empty() { Ok(()) } else { Err(why.join("; ")) };
            self.heart.event(Event::AbilityChanged { group, able });
        }
    }

    /// Whether what the core wanted last can be acted upon: after a freeze it cannot, until the core has seen how
    /// long that was.
    pub(super) fn is_awake(&self) -> bool {
        self.heart.has_turned_within(self.unnoticed())
    }

    /// A freeze that is shorter is not yet silence to a peer, which counts from our last heartbeat.
    pub(super) fn unnoticed(&self) -> Duration {
        let beat = &self.config.heartbeat;
        beat.dead_after.saturating_sub(beat.interval)
    }

    /// A call failed: for `status`, and (not every time) for the log.
    pub(super) fn failed(&self, error: &CloudError) {
        self.errors.failed(error.action, &format!("{:?} {:?}", error.kind, error.code), &error.to_string());
    }

    /// A node says that these are its interfaces.
    pub(super) fn interfaces_of(&self, node: NodeId, interfaces: &[String]) {
        let mut all = self.interfaces.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, of| *of != node);
        all.extend(interfaces.iter().map(|id| (id.clone(), node)));
    }

    /// Whose an interface is: the node's name, else the id itself.
    pub(super) fn holder_name(&self, interface: &str) -> String {
        let all = self.interfaces.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(interface).map_or(interface, |node| self.names.node(*node)).to_owned()
    }

    /// The interfaces of a node, as far as it has said.
    pub(super) fn known_interfaces(&self, node: NodeId) -> Vec<String> {
        let all = self.interfaces.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|(_, of)| **of == node).map(|(id, _)| id.clone()).collect()
    }
}

impl World {
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Notes that something fails, or (`None`) that it does not.
    pub(super) fn note(&mut self, what: &str, failing: Option<String>) {
        match failing {
            Some(text) => drop(self.failing.insert(what.to_owned(), text)),
            None => drop(self.failing.remove(what)),
        }
    }

    pub(super) fn hook_ran(&mut self, run: HookRun) {
        self.hooks.push_front(run);
        self.hooks.truncate(HOOKS_KEPT);
    }
}
