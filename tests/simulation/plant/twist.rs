//! What a planted bug does to what the core is told.

use standin::cluster::heartbeat::Echo;
use standin::cluster::{
    AnchorRead, Command, Event, Failure, GroupId, Heartbeat, NodeId, NodeSet, Owner, Running, Settings,
    TakeFrom, Time, Wish,
};

use super::{Core, Plant};

impl Plant {
    pub(super) fn twist_settings(self, settings: &mut Settings) {
        for group in &mut settings.groups {
            if self == Self::DampingReset {
                group.memory.silent_takeovers.clear();
            }
            if self == Self::FailCountReset {
                group.memory.fail_count = 0;
            }
        }
        if let Some(recovery) = &mut settings.recovery {
            if self == Self::BootTimeIgnored {
                recovery.boot_time /= 3;
            }
            if self == Self::AttemptsIgnored {
                recovery.attempts = u32::MAX;
            }
        }
        if self == Self::Hasty {
            settings.warn_after = settings.interval;
            settings.dead_after = settings.interval * 2;
        }
    }
}

impl Core {
    /// The event that the core is told instead.
    pub(super) fn twist(&mut self, plant: Plant, mut event: Event, now: Time) -> Event {
        match (plant, &mut event) {
            (_, Event::AnchorRead { group, answer, .. }) => {
                *answer = self.twist_read(plant, *group, *answer, now);
            }
            (Plant::HopeIsSuccess, Event::TakeAnswered { answer, .. })
                if *answer == Err(Failure::NoAnswer) =>
            {
                *answer = Ok(());
            }
            (_, Event::HeartbeatReceived(beat)) => self.twist_beat(plant, beat),
            (Plant::StoppingIsStopped, Event::InstanceRead { answer, .. })
                if *answer == Ok(Some(Running::Ending)) =>
            {
                *answer = Ok(Some(Running::No));
            }
            (Plant::FencesUnwell, Event::AbilityChanged { able, .. }) => *able = Ok(()),
            // Only the first answer of a process is heard: without it, silence would not count at all.
            (Plant::ProbeDeaf, Event::Probed { answered, .. }) => {
                *answered &= !std::mem::replace(&mut self.probed, true);
            }
            (Plant::FailuresIgnored, Event::ServiceFailed { .. }) => event = Event::Ticked,
            (Plant::MaintenanceDeaf, Event::Asked(Wish::Maintenance(..))) => event = Event::Ticked,
            (Plant::HalfLease, Event::LeaseRead { answer: Ok(Some(lease)), .. }) => lease.length /= 2,
            (Plant::LeaseHope, Event::LeaseWritten { answer, .. }) if *answer == Err(Failure::NoAnswer) => {
                *answer = Ok(());
            }
            (Plant::LeaseFromAnswer, Event::LeaseWritten { group, call, answer }) => {
                let sent = self.written.iter().position(|(number, _)| number == call);
                let lease = sent.map(|at| self.written.swap_remove(at).1);
                if let (Some(lease), Ok(())) = (lease, &*answer) {
                    // It is told to try again, and its next attempt is answered at once: it counts from there.
                    self.landed[usize::from(group.0)] = Some(lease.nonce);
                    *answer = Err(Failure::Passing);
                }
            }
            _ => {}
        }
        event
    }

    fn twist_beat(&mut self, plant: Plant, beat: &mut Heartbeat) {
        let from = usize::from(beat.from.0);
        if plant == Plant::NoNonce {
            let (session, nonce) = (self.cluster.session(), self.nonces[from]);
            beat.echo = Some(Echo { session, nonce });
        }
        if plant == Plant::ReplayAccepted {
            let sequence = &mut self.sequences[from * 2 + usize::from(beat.link.0)];
            *sequence += 1;
            beat.sequence = *sequence;
        }
        if plant == Plant::Rearms {
            self.heard[from] = Some(beat.clone());
        }
        if plant == Plant::OneEar {
            beat.hears = NodeSet::default();
        }
        beat.goodbye &= plant != Plant::GoodbyeIgnored;
        beat.back_in = beat.back_in.filter(|_| plant != Plant::BackSoonIgnored);
        if plant == Plant::ColdEager {
            for offer in beat.groups.iter_mut().filter_map(|report| report.offer.as_mut()) {
                offer.stopped = true;
            }
        }
    }

    fn twist_read(
        &mut self,
        plant: Plant,
        group: GroupId,
        answer: Result<AnchorRead, Failure>,
        now: Time,
    ) -> Result<AnchorRead, Failure> {
        let at = usize::from(group.0);
        match (plant, answer) {
            (Plant::UnknownIsTheirs, Err(_)) => {
                let next = NodeId((self.me.0 + 1) % 2);
                Ok(AnchorRead { owner: Owner::Theirs(next), counter: None })
            }
            (Plant::FailedReadIsOrphaned, Err(_)) => Ok(AnchorRead { owner: Owner::Orphaned, counter: None }),
            (Plant::CachedReads, Ok(read)) => {
                self.cache[at] = Some((now, read));
                answer
            }
            (Plant::NeverYields, Ok(AnchorRead { owner: Owner::Theirs(_), counter })) if self.serving[at] => {
                Ok(AnchorRead { owner: Owner::Mine, counter })
            }
            (Plant::Fights, Ok(AnchorRead { owner: Owner::Theirs(_), .. })) if self.serving[at] => {
                self.foul_calls += 1;
                let call = self.foul_calls;
                self.out.push_back(Command::TakeAnchor { group, call, from: TakeFrom::Anyone });
                answer
            }
            (_, answer) => answer,
        }
    }
}
