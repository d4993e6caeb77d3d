//! One group of node 0, with whatever its peers and EC2 are to have said: for tests.

use std::time::Duration;

use super::knowledge::Watch;
use super::lease::Purpose;
use super::*;
use crate::cluster::anchor::{AnchorRead, Owner};
use crate::cluster::node::NodeSet;
use crate::cluster::settings::LeaseSettings;

pub(super) fn at(ms: u64) -> Time {
    Time::from_nanos((100_000 + ms) * 1_000_000)
}

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Node 0 of some, which started at 0 and can serve.
pub(super) struct Side {
    pub(super) settings: Settings,
    pub(super) peers: Vec<Peer>,
    pub(super) group: Group,
    pub(super) out: Outbox,
    /// EC2's word on its own instance.
    pub(super) own_running: Option<(Time, Running)>,
}

impl Side {
    pub(super) fn with(nodes: u8, change: impl FnOnce(&mut GroupSettings)) -> Self {
        let mut settings = crate::cluster::tests::settings(nodes);
        change(&mut settings.groups[0]);
        let mut random = Random::new(1);
        let peers = (1..nodes).map(|node| Peer::new(NodeId(node), 1, &mut random, at(0))).collect();
        let mut group = Group::new(GroupId(0), &settings.groups[0], &settings, &mut random, at(0));
        group.able = Ok(());
        let out = Outbox { commands: VecDeque::new(), random, calls: 0, urgent: false };
        Self { settings, peers, group, out, own_running: None }
    }

    pub(super) fn of(nodes: u8) -> Self {
        Self::with(nodes, |_| {})
    }

    pub(super) fn leased() -> Self {
        let lease = LeaseSettings { length: ms(10_000), stop_bound: ms(2000), grace: ms(20_000) };
        Self::with(2, |group| group.lease = Some(lease))
    }

    pub(super) fn run<T>(
        &mut self,
        now: u64,
        run: impl FnOnce(&mut Group, &Context<'_>, &mut Outbox) -> T,
    ) -> T {
        let cx = Context {
            settings: &self.settings,
            peers: &self.peers,
            now: at(now),
            started: at(0),
            stalled_at: None,
            own_running: self.own_running,
        };
        run(&mut self.group, &cx, &mut self.out)
    }

    /// EC2 is asked and answers at this moment.
    pub(super) fn reads(&mut self, owner: Owner, now: u64) {
        let call = self.out.call();
        self.group.knowledge.ask_now();
        assert!(self.group.knowledge.read_due(Watch::Standby, call, at(now)));
        let answer = Ok(AnchorRead { owner, counter: None });
        self.run(now, |group, cx, out| group.anchor_read(call, answer, cx, out));
    }

    pub(super) fn says(&mut self, node: u8, now: u64, report: GroupReport) -> &mut Peer {
        let peer = self.peers.iter_mut().find(|peer| peer.id == NodeId(node)).unwrap();
        peer.reports = vec![report];
        peer.session = Some(Session(1));
        (peer.heard_at, peer.said_at) = (Some(at(now)), Some(at(now)));
        peer
    }

    pub(super) fn told(&self, id: &str) -> usize {
        let told = |it: &&Command| matches!(it, Command::Tell(notice) if notice.id == id);
        self.out.commands.iter().filter(told).count()
    }
}

pub(super) fn hears(nodes: &[u8]) -> NodeSet {
    let mut set = NodeSet::default();
    nodes.iter().for_each(|node| set.insert(NodeId(*node)));
    set
}

pub(super) fn standby() -> GroupReport {
    GroupReport { eligible: true, fit: true, ..GroupReport::default() }
}

pub(super) fn active(term: u64) -> GroupReport {
    GroupReport { role: Role::Active, term, owner: Some(Owner::Mine), ..standby() }
}

/// Holds the lease since 0, has renewed it then, and is active.
pub(super) fn holder() -> Side {
    let mut side = Side::leased();
    side.group.role = Role::Active;
    side.group.desired = Some(Desired::Serve { repair: true });
    let random = &mut Random::new(1);
    let lease = side.group.lease.as_mut().unwrap();
    lease.begin(Purpose::Take(Row::Free), 1, at(0));
    lease.attempt_due(90, at(0)).unwrap();
    lease.written(90, Ok(()), random, at(0)).unwrap();
    side
}
