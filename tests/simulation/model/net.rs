//! The network: per directed path loss, delay, duplication, reordering, cuts.

use std::time::Duration;

use standin::cluster::{Heartbeat, LinkId, NodeId, Random, Time};

use crate::chance::{Chance, ms};

/// Which paths a trouble befalls; `None`: all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scope {
    pub(crate) from: Option<NodeId>,
    pub(crate) to: Option<NodeId>,
    pub(crate) link: Option<LinkId>,
    /// Both directions: `from` and `to` swapped count, too.
    pub(crate) both_ways: bool,
}

impl Scope {
    fn covers(self, from: NodeId, to: NodeId, link: LinkId) -> bool {
        let one_way =
            |a: NodeId, b: NodeId| self.from.is_none_or(|it| it == a) && self.to.is_none_or(|it| it == b);
        self.link.is_none_or(|it| it == link) && (one_way(from, to) || (self.both_ways && one_way(to, from)))
    }
}

/// What happens on a path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    Cut,
    /// So many of a thousand are lost.
    Loses(u64),
    /// All are delayed by up to so much.
    Delays(Duration),
    /// So many of a thousand come twice, and as many out of order.
    Shuffles(u64),
}

/// What was received, as an observer at the receiver's network interface sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Time,
    pub(crate) sent: Time,
    /// Its number on its link: the order of what was sent in one moment.
    pub(crate) sequence: u64,
    /// The sender's process.
    pub(crate) life: u32,
    /// The sender has heard this process of the receiver.
    pub(crate) knows_me: bool,
    /// Per group (a bit each): says that it is active.
    pub(crate) active: u32,
    /// Per group: offers.
    pub(crate) offers: u32,
    /// It announces a restart, or says goodbye.
    pub(crate) back_in: bool,
    pub(crate) goodbye: bool,
}

pub(crate) struct Net {
    nodes: usize,
    loss: u64,
    delay: Duration,
    jitter: Duration,
    troubles: Vec<(usize, Scope, Trouble)>,
    arrivals: Vec<Option<Arrival>>,
    heard: Vec<Time>,
    recorded: Vec<Vec<Heartbeat>>,
    random: Random,
}

/// So many datagrams per path are recorded for replays.
const RECORDED: usize = 64;

impl Net {
    pub(crate) fn new(nodes: u8, mut random: Random) -> Self {
        let nodes = usize::from(nodes);
        Self {
            nodes,
            loss: random.pick(&[0, 0, 1, 10]),
            delay: random.pick(&[ms(0), ms(1), ms(5), ms(20)]),
            jitter: random.pick(&[ms(1), ms(1), ms(10)]),
            troubles: Vec::new(),
            arrivals: vec![None; nodes * nodes],
            heard: vec![Time::ZERO; nodes * nodes],
            recorded: vec![Vec::new(); nodes * nodes],
            random,
        }
    }

    pub(crate) fn trouble(&mut self, fault: usize, scope: Scope, how: Trouble) {
        self.troubles.push((fault, scope, how));
    }

    pub(crate) fn clear(&mut self, fault: usize) {
        self.troubles.retain(|(it, _, _)| *it != fault);
    }

    /// Whether chance decides on any path.
    pub(crate) fn noisy(&self) -> bool {
        self.troubles.iter().any(|(_, _, how)| match how {
            Trouble::Cut => false,
            Trouble::Loses(_) | Trouble::Delays(_) | Trouble::Shuffles(_) => true,
        })
    }

    pub(crate) fn clear_all(&mut self) {
        self.troubles.clear();
    }

    /// Sends: after how long it arrives, up to twice; nothing if it is lost.
    pub(crate) fn send(&mut self, beat: &Heartbeat) -> [Option<Duration>; 2] {
        let random = &mut self.random;
        let mut delay = self.delay + random.between(Duration::ZERO, self.jitter);
        let mut twice = false;
        if random.chance(self.loss) {
            return [None, None];
        }
        for (_, scope, how) in &self.troubles {
            if !scope.covers(beat.from, beat.to, beat.link) {
                continue;
            }
            match *how {
                Trouble::Cut => return [None, None],
                Trouble::Loses(part) if random.chance(part) => return [None, None],
                Trouble::Delays(by) => delay += random.between(Duration::ZERO, by),
                Trouble::Shuffles(part) => {
                    twice |= random.chance(part);
                    if random.chance(part) {
                        delay += random.between(ms(1), ms(800));
                    }
                }
                Trouble::Loses(_) => {}
            }
        }
        let again = twice.then(|| delay + random.between(Duration::ZERO, ms(900)));
        [Some(delay), again]
    }

    /// Somebody on the path records a part of what passes.
    pub(crate) fn record(&mut self, beat: &Heartbeat) {
        let random = &mut self.random;
        if !random.chance(20) {
            return;
        }
        let path = usize::from(beat.from.0) * self.nodes + usize::from(beat.to.0);
        let recorded = &mut self.recorded[path];
        if recorded.len() < RECORDED {
            recorded.push(beat.clone());
        } else {
            recorded[random.below(RECORDED as u64) as usize] = beat.clone();
        }
    }

    /// One of the recorded datagrams to this node.
    pub(crate) fn replay(&mut self, to: NodeId) -> Option<Heartbeat> {
        let random = &mut self.random;
        let from = random.below(self.nodes as u64) as usize;
        let recorded = &self.recorded[from * self.nodes + usize::from(to.0)];
        (!recorded.is_empty()).then(|| recorded[random.below(recorded.len() as u64) as usize].clone())
    }

    pub(crate) fn arrived(&mut self, from: NodeId, to: NodeId, arrival: Arrival) {
        let path = usize::from(from.0) * self.nodes + usize::from(to.0);
        self.heard[path] = arrival.at;
        let known = &mut self.arrivals[path];
        // Two can be sent in one moment: an answer, and then what an event of that moment has changed.
        if known.is_none_or(|known| (known.sent, known.sequence) < (arrival.sent, arrival.sequence)) {
            *known = Some(arrival);
        }
    }

    /// Whether a call of this node reaches that one, and its answer comes back (the probe's way).
    pub(crate) fn passes(&self, from: NodeId, to: NodeId) -> bool {
        let cut = |a: NodeId, b: NodeId| {
            let covers = |scope: &Scope| scope.link.is_none() && scope.covers(a, b, LinkId(0));
            self.troubles.iter().any(|(_, scope, how)| matches!(how, Trouble::Cut) && covers(scope))
        };
        from == to || !(cut(from, to) || cut(to, from))
    }

    /// The youngest datagram of `from` that has arrived at `to`.
    pub(crate) fn last(&self, from: NodeId, to: NodeId) -> Option<Arrival> {
        self.arrivals[usize::from(from.0) * self.nodes + usize::from(to.0)]
    }

    /// When anything of `from` has last arrived at `to`.
    pub(crate) fn heard(&self, from: NodeId, to: NodeId) -> Time {
        self.heard[usize::from(from.0) * self.nodes + usize::from(to.0)]
    }
}
