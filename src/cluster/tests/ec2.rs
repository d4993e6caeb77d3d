//! EC2 as it is between these cores: who holds what, calls that land late, answers that are lost, and the
//! interfaces that instances leave behind.

use super::*;

/// Who holds an anchor in truth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) enum Held {
    By(u8),
    Nobody,
    Orphaned,
    Stranger,
}

/// A call that took, or tried to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) struct TakeCall {
    pub(in super::super) sent: Time,
    pub(in super::super) node: u8,
    pub(in super::super) group: GroupId,
    pub(in super::super) from: TakeFrom,
    /// What EC2 made of it; `None`: it has not arrived there yet.
    pub(in super::super) did: Option<Result<(), Failure>>,
}

/// What becomes of a node's calls on their way.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Delay {
    pub(in super::super) node: u8,
    /// They arrive in EC2 so long after they were sent, and are carried out then.
    pub(in super::super) lands: Duration,
    /// The answer comes back, if it is in time.
    pub(in super::super) answered: bool,
}

impl World {
    /// A take is sent: it lands now or late, and is answered or not.
    pub(super) fn take_sent(&mut self, node: u8, group: GroupId, call: u64, from: TakeFrom) {
        self.takes.push((self.now, node, from));
        self.calls.push(TakeCall { sent: self.now, node, group, from, did: None });
        let number = self.calls.len() - 1;
        let timeout = self.settings.call_timeout;
        let Some(delay) = self.delays.iter().find(|it| it.node == node).copied() else {
            let answer = self.land(number);
            return self.later(10, node, Event::TakeAnswered { group, call, answer });
        };
        self.landing.push((self.now + delay.lands, number, call));
        if !delay.answered || delay.lands >= timeout {
            let at = self.now + timeout;
            let answer = Err(Failure::NoAnswer);
            self.queue.push((at, node, Event::TakeAnswered { group, call, answer }));
        }
    }

    /// When the next call lands.
    pub(super) fn next_landing(&self) -> Option<Time> {
        self.landing.iter().map(|(at, ..)| *at).min()
    }

    /// Whatever has arrived in EC2 by now is carried out, whether its sender lives or not.
    pub(super) fn land_due(&mut self) {
        self.landing.sort_unstable_by_key(|(at, ..)| *at);
        while let Some((at, number, call)) = self.landing.first().copied().filter(|(at, ..)| *at <= self.now)
        {
            self.landing.remove(0);
            let answer = self.land(number);
            let TakeCall { sent, node, group, .. } = self.calls[number];
            let in_time = at.since(sent) < self.settings.call_timeout;
            let delay = self.delays.iter().find(|it| it.node == node);
            if in_time && delay.is_none_or(|it| it.answered) {
                self.later(1, node, Event::TakeAnswered { group, call, answer });
            }
        }
    }

    fn land(&mut self, number: usize) -> Result<(), Failure> {
        let TakeCall { node, group, from, .. } = self.calls[number];
        let dark = self.cloudless.contains(&node);
        let did = if dark { Err(Failure::Passing) } else { self.take(node, group, from) };
        self.calls[number].did = Some(did);
        did
    }

    pub(super) fn read(&self, node: u8, group: GroupId) -> AnchorRead {
        let owner = match self.read_lag.unwrap_or(self.holder[usize::from(group.0)]) {
            Held::By(holder) if holder == node => Owner::Mine,
            Held::By(holder) => Owner::Theirs(NodeId(holder)),
            Held::Nobody => Owner::Nobody,
            Held::Orphaned => Owner::Orphaned,
            Held::Stranger => Owner::Stranger,
        };
        AnchorRead { owner, counter: self.counter }
    }

    fn take(&mut self, node: u8, group: GroupId, from: TakeFrom) -> Result<(), Failure> {
        if let Some(failure) = self.take_answer {
            return Err(failure);
        }
        if self.refused.contains(&node) {
            return Err(Failure::Refused);
        }
        let held = &mut self.holder[usize::from(group.0)];
        if from == TakeFrom::Nobody && (*held != Held::Nobody || self.in_the_way) {
            return Err(Failure::Conflict);
        }
        *held = Held::By(node);
        Ok(())
    }

    /// The node's instance is terminated, with the agent on it. What it held stays on the interface that it
    /// leaves behind, or is with nobody.
    pub(super) fn terminate(&mut self, node: u8, leaves_interface: bool) {
        self.kill(node);
        self.instances[usize::from(node)] = Some(Running::No);
        let left = if leaves_interface { Held::Orphaned } else { Held::Nobody };
        for held in &mut self.holder {
            if *held == Held::By(node) {
                *held = left;
            }
        }
    }

    /// A new instance takes the node's place: same link, nothing on its disk.
    pub(super) fn replace(&mut self, node: u8) {
        self.instances[usize::from(node)] = Some(Running::Yes);
        self.forget();
        self.start(node);
        self.born += 1;
        let (instance, interfaces) = (format!("i-{}", self.born), vec![format!("eni-{}", self.born)]);
        self.tell(node, Event::IdentityLearned { instance, interfaces });
    }
    /// Who starts from now on has nothing on its disk.
    pub(super) fn forget(&mut self) {
        for group in &mut self.settings.groups {
            group.memory = Memory::default();
        }
    }
}
