//! The answer to `status`: what the heart sees and the effects know, in the words of the protocol.

mod checks;
mod nodes;
mod problems;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::clock;
use super::heart::Look;
use super::shell::{Seen, Shell};
use crate::cluster::snapshot::{Fencing, GroupView, LeaseView};
use crate::cluster::{Desired, NodeId, Owner, Role, Time, WhyNot};
use crate::config;
use crate::control::protocol::{
    Agent, Anchor, CallError, Fence, Group, Hook, Lease, Resource, Status, Takeable, VERSION,
};

/// What is on disk, besides the log.
#[derive(Debug)]
pub(super) struct Recording {
    /// The folder, if anything is recorded.
    pub(super) folder: Option<String>,
    pub(super) dropped: std::sync::Arc<AtomicU64>,
}

/// Everything that this node knows at this moment.
pub(super) fn of(shell: &Shell, look: &Look, recording: &Recording) -> Status {
    let groups = look.snapshot.groups.iter().map(|view| group(shell, view, look.now)).collect();
    let ids = (0..).map(NodeId).zip(&shell.config.nodes);
    let nodes = ids.map(|(id, settings)| nodes::node(shell, look, id, settings)).collect();
    let errors = shell.errors.all().into_iter().map(|(call, error)| CallError {
        call: call.to_owned(),
        text: error.text,
        age_ms: ms(look.now.since(error.at)),
        count: error.count,
        over: error.over,
    });
    let mut status = Status {
        version: VERSION,
        at: clock::wall_text(),
        cluster: shell.names.cluster.clone(),
        node: shell.names.node(shell.me).to_owned(),
        well: false,
        problems: Vec::new(),
        groups,
        nodes,
        errors: errors.collect(),
        takeovers: shell.timeline.all(),
        agent: agent(shell, look, recording),
    };
    status.problems = problems::of(&status, shell.here.borrow().is_some());
    status.well = status.problems.is_empty();
    status
}

fn agent(shell: &Shell, look: &Look, recording: &Recording) -> Agent {
    let beat = &shell.config.heartbeat;
    let others = look.sources.others();
    Agent {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        session: format!("{:016x}", look.snapshot.session.0),
        up_ms: ms(look.snapshot.up),
        stalls: look.snapshot.stalls,
        config_hash: format!("{:016x}", shell.config.hash()),
        interval_ms: ms(beat.interval),
        warn_after_ms: ms(beat.warn_after),
        dead_after_ms: ms(beat.dead_after),
        first_dead_after_ms: ms(beat.first_dead_after),
        foreign_datagrams: others.accepted + others.unauthenticated + others.refused,
        recording_dropped: recording.dropped.load(Ordering::Relaxed),
        recording: recording.folder.clone(),
    }
}

fn group(shell: &Shell, view: &GroupView, now: Time) -> Group {
    let Some((settings, world)) = shell.group(view.group) else { return absent(shell, view) };
    let seen = world.seen().clone();
    let name = |node: &NodeId| shell.names.node(*node).to_owned();
    let mut active: Vec<String> = view.active_peers.iter().map(name).collect();
    if view.role == Role::Active {
        active.insert(0, name(&shell.me));
    }
    let (registrations, draining) = world.asterisk.show();
    Group {
        member: view.member,
        members: settings.nodes.iter().map(name).collect(),
        active,
        role: view.role.word().to_owned(),
        since_ms: ms(view.since),
        row: view.reason.0.number(),
        reason: reason(shell, view),
        row_now: view.row.number(),
        situation: view.row.situation().to_owned(),
        row_now_ms: ms(view.row_since),
        term: view.term,
        anchor: anchor(shell, settings, view),
        resources: resources(shell, settings, view, &seen, now),
        takeover: takeable(shell, view),
        armed: view.armed.as_ref().map(name),
        maintenance: view.maintenance,
        standby: view.standby,
        fit: view.fit,
        fail_count: view.fail_count,
        barred: view.barred,
        fence: view.fence.map(|(node, how)| Fence { node: name(&node), state: fencing(how).to_owned() }),
        lease: view.lease.map(|it| lease(shell, it)),
        fencing: settings.fencing.word().to_owned(),
        desired: view.desired.map(|(desired, _)| wish(desired).to_owned()),
        reached: view.desired.is_some_and(|(_, reached)| reached),
        failing: failing(settings, view, &seen, now),
        hooks: hooks(&seen, now),
        registrations,
        draining,
        checks: checks::of(settings, world, now),
        ..absent(shell, view)
    }
}

/// What does not do what it should, one sentence each.
fn failing(settings: &config::Group, view: &GroupView, seen: &Seen, now: Time) -> Vec<String> {
    let mut failing: Vec<String> = seen.failing.iter().map(|(what, why)| format!("{what}: {why}")).collect();
    let service = seen.ailing.as_ref().map(|it| it.text(view, settings.migration_threshold, now));
    failing.extend(service.map(|text| format!("service: {text}")));
    failing
}

/// Why the role is what it is. A take is confirmed by EC2; what called for it is the row's situation.
fn reason(shell: &Shell, view: &GroupView) -> String {
    let (row, text) = &view.reason;
    let text = shell.names.text(text);
    if row.is_take() { format!("{}; {text}", row.situation()) } else { text }
}

/// What there is to say of a group without its configuration.
fn absent(shell: &Shell, view: &GroupView) -> Group {
    Group {
        name: shell.names.group(view.group).to_owned(),
        member: false,
        members: Vec::new(),
        active: Vec::new(),
        role: view.role.word().to_owned(),
        since_ms: 0,
        row: 0,
        reason: String::new(),
        row_now: 0,
        situation: String::new(),
        row_now_ms: 0,
        term: 0,
        anchor: Anchor {
            resource: String::new(),
            owner: "unknown".to_owned(),
            settled: false,
            read: None,
            read_age_ms: None,
            failed_reads: 0,
        },
        resources: Vec::new(),
        takeover: Takeable { works: false, because: String::new(), by: Vec::new() },
        armed: None,
        maintenance: false,
        standby: false,
        fit: true,
        fail_count: 0,
        barred: false,
        fence: None,
        lease: None,
        fencing: "none".to_owned(),
        desired: None,
        reached: false,
        failing: Vec::new(),
        hooks: Vec::new(),
        registrations: Vec::new(),
        draining: None,
        checks: Vec::new(),
    }
}

fn anchor(shell: &Shell, settings: &config::Group, view: &GroupView) -> Anchor {
    let resource = settings.resources.get(settings.anchor).map_or("", config::Resource::name);
    Anchor {
        resource: resource.to_owned(),
        owner: view.anchor.map_or_else(|| "unknown".to_owned(), |it| owner(shell, it)),
        settled: view.settled,
        read: view.last_read.map(|(it, _, _)| owner(shell, it)),
        read_age_ms: view.last_read.map(|(_, _, age)| ms(age)),
        failed_reads: view.failed_reads,
    }
}

fn resources(
    shell: &Shell,
    settings: &config::Group,
    view: &GroupView,
    seen: &Seen,
    now: Time,
) -> Vec<Resource> {
    let places = settings.resources.iter().zip(&seen.holders).enumerate();
    let resource = |(place, (resource, holder)): (usize, (&config::Resource, &Option<_>))| {
        let holder: Option<&super::shell::Holder> = holder.as_ref();
        let is_anchor = place == settings.anchor;
        // The core reads the anchor far more often than the rest is read.
        let read = view.last_read.filter(|_| is_anchor);
        let problem = seen.failing.get(resource.name()).cloned();
        Resource {
            name: resource.name().to_owned(),
            kind: kind(resource).to_owned(),
            anchor: is_anchor,
            holder: read.map(|(it, _, _)| owner(shell, it)).or_else(|| holder.map(|it| it.who.clone())),
            age_ms: read.map(|(_, _, age)| ms(age)).or_else(|| holder.map(|it| ms(now.since(it.at)))),
            problem: problem.or_else(|| holder.and_then(|it| it.problem.clone())),
        }
    };
    places.map(resource).collect()
}

fn takeable(shell: &Shell, view: &GroupView) -> Takeable {
    let by: Vec<String> = view.takers.iter().map(|node| shell.names.node(*node).to_owned()).collect();
    let (works, because) = match (view.role, &view.ineligible) {
        (Role::Standby, _) if !view.member => (false, "this node is not in the group".to_owned()),
        (Role::Standby, None) => match &view.gate {
            None => (true, "this node has what it needs, and has read the anchor within 30 s".to_owned()),
            Some(gate) => (false, shell.names.text(gate)),
        },
        (Role::Standby, Some(why)) => (false, shell.names.text(why)),
        (Role::Active, _) if by.is_empty() => (false, nobody_could(shell, view)),
        (Role::Active, _) => (true, format!("{} could take it", by.join(", "))),
    };
    Takeable { works, because, by }
}

fn nobody_could(shell: &Shell, view: &GroupView) -> String {
    let why = |(node, why): &(NodeId, Option<WhyNot>)| {
        let why = why.map_or("it does not say why", WhyNot::words);
        format!("{} could not: {why}", shell.names.node(*node))
    };
    match view.not_takers.iter().map(why).collect::<Vec<_>>() {
        none if none.is_empty() => "no other node of the group is heard".to_owned(),
        all => all.join("; "),
    }
}

fn lease(shell: &Shell, view: LeaseView) -> Lease {
    let owner = match (view.owner, view.age) {
        (Some(node), _) if shell.config.nodes.get(usize::from(node.0)).is_none() => "a stranger",
        (Some(node), _) => shell.names.node(node),
        (None, Some(_)) => "nobody",
        (None, None) => "unknown",
    };
    Lease {
        owner: owner.to_owned(),
        valid_for_ms: view.valid_for.map(ms),
        expires_in_ms: view.expires_in.map(ms),
        read_age_ms: view.age.map(ms),
        failed_calls: view.failures,
    }
}

fn fencing(how: Fencing) -> &'static str {
    match how {
        Fencing::Asked => "asked",
        Fencing::Accepted => "accepted",
        Fencing::Failed => "failed",
    }
}

fn hooks(seen: &Seen, now: Time) -> Vec<Hook> {
    let hook = |run: &super::shell::HookRun| Hook {
        event: run.event.to_owned(),
        program: run.program.clone(),
        ok: run.well,
        end: run.end.clone(),
        took_us: run.took_us,
        age_ms: ms(now.since(run.at)),
    };
    seen.hooks.iter().map(hook).collect()
}

fn owner(shell: &Shell, owner: Owner) -> String {
    match owner {
        Owner::Mine => shell.names.node(shell.me).to_owned(),
        Owner::Theirs(node) => shell.names.node(node).to_owned(),
        Owner::Nobody => "nobody".to_owned(),
        Owner::Orphaned => "an orphan".to_owned(),
        Owner::Stranger => "a stranger".to_owned(),
    }
}

fn wish(desired: Desired) -> &'static str {
    match desired {
        Desired::Serve { repair: true } => "serve",
        Desired::Serve { repair: false } => "serve, change nothing in EC2",
        Desired::Standby => "standby",
    }
}

fn kind(resource: &config::Resource) -> &'static str {
    match resource {
        config::Resource::ElasticIp(_) => "elastic-ip",
        config::Resource::PrivateIp(_) => "private-ip",
        config::Resource::Route(_) => "route",
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
