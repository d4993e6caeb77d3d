//! Any facts, in any order and at any time, told to the core: it must never panic, never ask to be woken in
//! the past, never flood the shell, and never say what cannot be sent.
//!
//! The input is a tape of choices. Most of them lead along what a shell and a network can do (answers to calls
//! that were made, echoes of nonces that were sent), because pure noise never gets past the handshake; each
//! value can be any as well.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use standin::cluster::heartbeat::{Echo, Reply, Tally};
use standin::cluster::{
    AnchorRead, Cluster, Command, Counter, Event, Failure, Fencing, GroupId, GroupReport, GroupSettings,
    Heartbeat, Lease, LeaseSettings, LinkId, Maintenance, Memory, NodeId, NodeSet, Offer, Owner,
    RecoverySettings, Role, Running, ServiceFailure, Session, Settings, Shutdown, Time, WhenLost, WhenSilent,
    Wish,
};
use standin::wire::{Keyring, Roster, decode, encode};

/// Calls without an answer that are remembered; older ones are never answered.
const OPEN: usize = 64;
/// Longer tapes find nothing that shorter ones do not.
const STEPS: usize = 200;
/// Of so many heartbeats one is written and read: the signatures would take nearly all the time.
const WRITTEN: u64 = 32;
/// So many wake-ups in which nothing happens must take an interval at least, or a second.
const IDLE: usize = 100;

static KEYS: LazyLock<Keyring> =
    LazyLock::new(|| Keyring::new(1, &BTreeMap::from([(1, [0x42; 32])])).expect("key 1 is there"));

/// Plays the tape.
pub fn any(tape: &[u8]) {
    let mut tape = Unstructured::new(tape);
    // A tape that ends in the middle of a choice has been played.
    let _played = play(&mut tape);
}

fn play(tape: &mut Unstructured<'_>) -> Result<()> {
    let mut world = World::new(settings(tape)?, Time::from_nanos(tape.arbitrary::<u32>()?.into()));
    for _ in 0..STEPS {
        if tape.is_empty() {
            break;
        }
        world.let_time_pass(tape)?;
        let event = world.event(tape)?;
        let shown = matches!(event, Event::Asked(_));
        world.tell(event);
        if shown {
            world.show();
        }
    }
    world.idle();
    world.show();
    Ok(())
}

/// What the configuration's rules let through.
fn settings(tape: &mut Unstructured<'_>) -> Result<Settings> {
    let nodes = tape.int_in_range(2..=5)?;
    let interval = Duration::from_millis(*tape.choose(&[250, 1, 50, 1000, 3_600_000])?);
    let warn_after = interval + interval * tape.int_in_range(1..=4)?;
    let dead_after = warn_after + interval * tape.int_in_range(1..=20)?;
    let mut groups = Vec::new();
    for _ in 0..tape.int_in_range(1..=3)? {
        groups.push(group(tape, nodes)?);
    }
    let seed: u64 = tape.arbitrary()?;
    // Drawn from what was drawn already, so that kept inputs go on meaning what they meant.
    let recovery = RecoverySettings {
        when_lost: if seed & 2 == 0 { WhenLost::Reboot } else { WhenLost::Restart },
        boot_time: Duration::from_secs(60 + seed % 300),
        attempts: 1 + (seed >> 2) as u32 % 3,
    };
    Ok(Settings {
        me: NodeId(tape.int_in_range(0..=nodes - 1)?),
        nodes,
        links: tape.int_in_range(1..=2)?,
        interval,
        warn_after,
        dead_after,
        first_dead_after: dead_after + interval * tape.int_in_range(0..=100)?,
        call_timeout: Duration::from_secs(tape.int_in_range(1..=60)?),
        config_hash: 1,
        seed,
        recovery: (seed & 1 == 0).then_some(recovery),
        groups,
    })
}

fn group(tape: &mut Unstructured<'_>, nodes: u8) -> Result<GroupSettings> {
    let mut members: Vec<NodeId> = (0..nodes).map(NodeId).collect();
    // Two at least, in any order.
    members.rotate_left(usize::from(tape.int_in_range(0..=nodes - 1)?));
    members.truncate(tape.int_in_range(2..=members.len())?);
    let of = GroupSettings::of(members);
    if !tape.arbitrary()? {
        return Ok(of);
    }
    Ok(GroupSettings {
        when_silent: *tape.choose(&[WhenSilent::Take, WhenSilent::Probe, WhenSilent::Hold])?,
        release_when_isolated: tape.arbitrary()?,
        fencing: *tape.choose(&[Fencing::None, Fencing::Before, Fencing::Alongside])?,
        take_when_fencing_fails: tape.arbitrary()?,
        lease: lease_settings(tape)?,
        failback: seconds(tape)?,
        migration_threshold: tape.int_in_range(0..=3)?,
        failure_timeout: seconds(tape)?,
        cold: tape.arbitrary()?,
        memory: Memory {
            term: tape.arbitrary()?,
            maintenance: Maintenance { version: tape.arbitrary()?, on: tape.arbitrary()? },
            standby: tape.arbitrary()?,
            silent_takeovers: tape.arbitrary::<[u32; 2]>()?.map(|at| Time::from_nanos(at.into())).into(),
            fail_count: tape.arbitrary()?,
            failed_at: tape.arbitrary::<Option<u32>>()?.map(|at| Time::from_nanos(at.into())),
            restarting: Vec::new(),
        },
        ..of
    })
}

fn lease_settings(tape: &mut Unstructured<'_>) -> Result<Option<LeaseSettings>> {
    if !tape.arbitrary()? {
        return Ok(None);
    }
    let length = Duration::from_secs(tape.int_in_range(2..=60)?);
    let grace = Duration::from_secs(tape.int_in_range(0..=60)?);
    Ok(Some(LeaseSettings { length, stop_bound: length / 4, grace }))
}

fn seconds(tape: &mut Unstructured<'_>) -> Result<Option<Duration>> {
    Ok(tape.arbitrary::<Option<u16>>()?.map(|it| Duration::from_secs(it.into())))
}

/// The core, and what is left open between it and its shell.
struct World {
    settings: Settings,
    cluster: Cluster,
    now: Time,
    nodes: Vec<String>,
    groups: Vec<String>,
    /// The nonce that each node was sent last.
    nonces: Vec<u64>,
    sequence: u64,
    open: Vec<Command>,
    numbers: BTreeSet<u64>,
    sent: u64,
    exits: u32,
}

impl World {
    fn new(settings: Settings, now: Time) -> Self {
        let names = |letter, many: usize| (0..many).map(|it| format!("{letter}{it}")).collect();
        Self {
            cluster: Cluster::new(settings.clone(), now),
            now,
            nodes: names('n', settings.nodes.into()),
            groups: names('g', settings.groups.len()),
            nonces: vec![0; settings.nodes.into()],
            sequence: 0,
            open: Vec::new(),
            numbers: BTreeSet::new(),
            sent: 0,
            exits: 0,
            settings,
        }
    }

    fn let_time_pass(&mut self, tape: &mut Unstructured<'_>) -> Result<()> {
        self.now = match tape.int_in_range(0..=9u8)? {
            0..=4 => self.now.max(self.cluster.next_deadline()),
            5 => self.now,
            6 => self.now + Duration::from_nanos(tape.arbitrary::<u16>()?.into()),
            7 => self.now + Duration::from_millis(tape.arbitrary::<u8>()?.into()),
            8 => self.now + Duration::from_millis(tape.arbitrary::<u16>()?.into()),
            _ => self.now + Duration::from_secs(tape.arbitrary::<u16>()?.into()),
        };
        Ok(())
    }

    fn event(&mut self, tape: &mut Unstructured<'_>) -> Result<Event> {
        let group = self.group(tape)?;
        Ok(match tape.int_in_range(0..=15u8)? {
            0..=1 => Event::Ticked,
            2..=6 => Event::HeartbeatReceived(Box::new(self.heartbeat(tape)?)),
            7..=10 => match self.answer(tape)? {
                Some(answer) => answer,
                None => Event::Ticked,
            },
            11 => Event::DatagramRefused { peer: self.node(tape)?, link: LinkId(tape.arbitrary()?) },
            12 => Event::AbilityChanged {
                group,
                able: if tape.arbitrary()? { Ok(()) } else { Err("it is not".to_owned()) },
            },
            13 => match tape.int_in_range(0..=3u8)? {
                0 => Event::ServiceChanged { group, fit: tape.arbitrary()? },
                1 => Event::ServiceFailed {
                    group,
                    how: *tape.choose(&[ServiceFailure::Running, ServiceFailure::Start])?,
                },
                2 => Event::Converged { group, change: tape.arbitrary()? },
                _ => Event::IdentityLearned { instance: "i-0".into(), interfaces: vec!["eni-0".into()] },
            },
            14 => Event::Asked(match tape.int_in_range(0..=4u8)? {
                0 => Wish::Switchover(group, if tape.arbitrary()? { Some(self.node(tape)?) } else { None }),
                1 => Wish::Maintenance(group, tape.arbitrary()?),
                2 => Wish::Standby(group, tape.arbitrary()?),
                3 => Wish::Cleanup(group),
                _ => Wish::TakeOver(group),
            }),
            _ if tape.ratio(1, 8)? => {
                Event::ShutdownAsked(*tape.choose(&[Shutdown::Stop, Shutdown::Restart])?)
            }
            _ => Event::Ticked,
        })
    }

    fn node(&self, tape: &mut Unstructured<'_>) -> Result<NodeId> {
        Ok(NodeId(tape.int_in_range(0..=self.settings.nodes - 1)?))
    }

    fn group(&self, tape: &mut Unstructured<'_>) -> Result<GroupId> {
        Ok(GroupId(tape.choose_index(self.groups.len())? as u8))
    }

    /// From a peer that has heard us, by default; anything is possible.
    fn heartbeat(&mut self, tape: &mut Unstructured<'_>) -> Result<Heartbeat> {
        let from = self.node(tape)?;
        let odd = tape.ratio(1, 16)?;
        self.sequence += 1;
        let echo = Echo { session: self.cluster.session(), nonce: self.nonces[usize::from(from.0)] };
        let mut beat = Heartbeat {
            from,
            to: self.settings.me,
            link: LinkId(tape.int_in_range(0..=self.settings.links)?),
            session: Session(u64::from(from.0) << 8 | u64::from(tape.ratio(1, 16)?)),
            sequence: self.sequence,
            nonce: 5,
            echo: Some(echo),
            sent_us: self.sequence * 1000,
            reply: None,
            ask: tape.ratio(1, 8)?,
            goodbye: tape.ratio(1, 32)?,
            back_in: None,
            farewell_seen: tape.ratio(1, 8)?,
            hears: if tape.ratio(1, 8)? { NodeSet(tape.arbitrary()?) } else { NodeSet(u32::MAX) },
            config_hash: 1,
            instance: None,
            interfaces: Vec::new(),
            groups: Vec::new(),
        };
        if odd {
            beat.to = self.node(tape)?;
            beat.sequence = tape.arbitrary()?;
            beat.sent_us = tape.arbitrary()?;
            beat.nonce = tape.arbitrary()?;
            beat.echo = tape.arbitrary::<bool>()?.then_some(Echo { session: Session(1), nonce: beat.nonce });
            beat.reply = Some(Reply { sent_us: tape.arbitrary()?, held_us: tape.arbitrary()? });
            beat.back_in = tape.arbitrary::<Option<u64>>()?.map(Duration::from_millis);
            beat.config_hash = tape.arbitrary()?;
            beat.instance = Some("i-1".to_owned());
            beat.interfaces = vec!["eni-1".to_owned()];
        }
        for at in 0..tape.int_in_range(0..=self.groups.len() as u8)? {
            beat.groups.push(self.report(GroupId(at), tape)?);
        }
        Ok(beat)
    }

    fn report(&self, group: GroupId, tape: &mut Unstructured<'_>) -> Result<GroupReport> {
        let odd = tape.ratio(1, 8)?;
        Ok(GroupReport {
            group,
            role: if tape.arbitrary()? { Role::Active } else { Role::Standby },
            term: if odd { tape.arbitrary()? } else { tape.arbitrary::<u8>()?.into() },
            eligible: tape.arbitrary()?,
            why_not: None,
            fit: !tape.ratio(1, 8)?,
            owner: if tape.arbitrary()? { Some(self.owner(tape)?) } else { None },
            fail_count: if odd { tape.arbitrary()? } else { 0 },
            maintenance: Maintenance {
                version: if odd { tape.arbitrary()? } else { 0 },
                on: tape.ratio(1, 16)?,
            },
            offer: if tape.ratio(1, 4)? { Some(self.offer(odd, tape)?) } else { None },
            ready: if tape.ratio(1, 4)? { Some(tape.int_in_range(0..=20)?) } else { None },
            // It decides nothing, and the kept inputs stay what they are.
            tally: Tally::default(),
        })
    }

    fn offer(&self, odd: bool, tape: &mut Unstructured<'_>) -> Result<Offer> {
        Ok(Offer {
            id: tape.int_in_range(0..=20)?,
            term: if odd { tape.arbitrary()? } else { tape.arbitrary::<u8>()?.into() },
            to: if tape.arbitrary()? { Some(self.node(tape)?) } else { None },
            ttl: if odd { Duration::from_millis(tape.arbitrary()?) } else { Duration::from_secs(10) },
            stopped: tape.arbitrary()?,
        })
    }

    fn owner(&self, tape: &mut Unstructured<'_>) -> Result<Owner> {
        Ok(match tape.int_in_range(0..=7u8)? {
            0..=1 => Owner::Mine,
            2..=4 => Owner::Theirs(self.node(tape)?),
            5 => Owner::Nobody,
            6 => Owner::Orphaned,
            _ => Owner::Stranger,
        })
    }
}

/// Answers to what the core asked for, right or wrong, late or twice.
impl World {
    fn answer(&mut self, tape: &mut Unstructured<'_>) -> Result<Option<Event>> {
        if self.open.is_empty() {
            return Ok(None);
        }
        // The latest is the likeliest; now and then one is answered twice.
        let back = usize::from(tape.arbitrary::<u8>()?) % self.open.len().min(8);
        let at = self.open.len() - 1 - back;
        let asked = if tape.ratio(1, 16)? { self.open[at].clone() } else { self.open.remove(at) };
        self.answer_to(asked, tape)
    }

    fn answer_to(&self, asked: Command, tape: &mut Unstructured<'_>) -> Result<Option<Event>> {
        Ok(Some(match asked {
            Command::ReadAnchor { group, call } => {
                let owner = self.owner(tape)?;
                let counter = if tape.ratio(1, 4)? {
                    Some(Counter {
                        node: self.node(tape)?,
                        session: Session(tape.arbitrary::<u8>()?.into()),
                        n: tape.arbitrary()?,
                    })
                } else {
                    None
                };
                let answer = ended(tape)?.map(|()| AnchorRead { owner, counter });
                Event::AnchorRead { group, call, answer }
            }
            Command::ReadInstance { node, call } => {
                let running =
                    *tape.choose(&[Some(Running::Yes), Some(Running::Ending), Some(Running::No), None])?;
                Event::InstanceRead { node, call, answer: ended(tape)?.map(|()| running) }
            }
            Command::TakeAnchor { group, call, .. } => {
                Event::TakeAnswered { group, call, answer: ended(tape)? }
            }
            Command::WriteCounter { group, .. } => Event::CounterWritten { group, ok: tape.arbitrary()? },
            Command::WriteOwnTag { group } => Event::OwnTagWritten { group, ok: !tape.ratio(1, 4)? },
            Command::Fence { group, node, call } => Event::Fenced { group, node, call, answer: ended(tape)? },
            Command::Recover { node, call, .. } => Event::Recovered { node, call, answer: ended(tape)? },
            Command::Probe { group, call } => Event::Probed { group, call, answered: tape.arbitrary()? },
            Command::ReadLease { group, call } => {
                let lease = if tape.arbitrary()? { Some(self.lease(tape)?) } else { None };
                Event::LeaseRead { group, call, answer: ended(tape)?.map(|()| lease) }
            }
            Command::WriteLease { group, call, .. } => {
                Event::LeaseWritten { group, call, answer: ended(tape)? }
            }
            Command::Converge { group, change, .. } => Event::Converged { group, change },
            Command::Send(_)
            | Command::Guard { .. }
            | Command::Store { .. }
            | Command::Tell(_)
            | Command::Exit => return Ok(None),
        }))
    }

    fn lease(&self, tape: &mut Unstructured<'_>) -> Result<Lease> {
        Ok(Lease {
            owner: if tape.arbitrary()? { Some(self.node(tape)?) } else { None },
            nonce: tape.arbitrary()?,
            term: tape.arbitrary::<u8>()?.into(),
            length: Duration::from_secs(tape.int_in_range(0..=60)?),
        })
    }

    /// Tells the core, and looks at what it wants.
    fn tell(&mut self, event: Event) {
        self.cluster.handle(event, self.now);
        let deadline = self.cluster.next_deadline();
        assert!(deadline > self.now, "woken at {deadline:?}, and wants to be woken at {:?}", self.now);
        let pairs = usize::from(self.settings.nodes) * usize::from(self.settings.links);
        let bound = 32 + 8 * pairs + 16 * self.groups.len();
        let mut said = 0;
        while let Some(command) = self.cluster.next_command() {
            said += 1;
            assert!(said <= bound, "more than {bound} commands at once");
            self.look_at(command);
        }
    }

    /// What an operator may see at any time.
    fn show(&self) {
        let seen = self.cluster.snapshot(self.now);
        assert_eq!((seen.groups.len(), seen.peers.len()), (self.groups.len(), self.nodes.len() - 1));
    }

    fn look_at(&mut self, command: Command) {
        match &command {
            Command::Send(beat) => {
                if self.sent.is_multiple_of(WRITTEN) {
                    self.write_and_read(beat);
                }
                self.sent += 1;
                self.nonces[usize::from(beat.to.0)] = beat.nonce;
                return;
            }
            Command::ReadAnchor { group, call }
            | Command::Fence { group, call, .. }
            | Command::Probe { group, call }
            | Command::ReadLease { group, call }
            | Command::WriteLease { group, call, .. }
            | Command::TakeAnchor { group, call, .. } => {
                self.member(*group);
                assert!(self.numbers.insert(*call), "two calls have the number {call}");
            }
            Command::ReadInstance { node, call } | Command::Recover { node, call, .. } => {
                assert!(usize::from(node.0) < self.nodes.len());
                assert!(self.numbers.insert(*call), "two calls have the number {call}");
            }
            Command::WriteCounter { group, .. }
            | Command::WriteOwnTag { group }
            | Command::Guard { group, .. }
            | Command::Converge { group, .. }
            | Command::Store { group, .. } => assert!(usize::from(group.0) < self.groups.len()),
            Command::Tell(notice) => assert!(!notice.text.is_empty()),
            Command::Exit => {
                self.exits += 1;
                assert_eq!(self.exits, 1, "a process ends once");
            }
        }
        self.open.push(command);
        if self.open.len() > OPEN {
            self.open.remove(0);
        }
    }

    /// What is read is what was said, but for the fractions of milliseconds.
    fn write_and_read(&self, beat: &Heartbeat) {
        let roster = Roster { cluster: "c", nodes: &self.nodes, groups: &self.groups };
        let (mut datagram, mut again) = (Vec::new(), Vec::new());
        encode(beat, &roster, &KEYS, &mut datagram).expect("what is said can be sent");
        let read = decode(&datagram, &roster, &KEYS).expect("what was sent can be read");
        encode(&read, &roster, &KEYS, &mut again).expect("what was read can be sent");
        assert_eq!(again, datagram, "said: {beat:?}\nread: {read:?}");
    }

    /// A node that is not in a group has no business with its anchor.
    fn member(&self, group: GroupId) {
        let group = &self.settings.groups[usize::from(group.0)];
        assert!(group.nodes.contains(&self.settings.me));
    }

    /// Nothing happens any more: the core must not spin.
    fn idle(&mut self) {
        let from = self.now;
        for _ in 0..IDLE {
            self.now = self.cluster.next_deadline();
            self.tell(Event::Ticked);
        }
        let took = self.now.since(from);
        assert!(
            took >= self.settings.interval.min(Duration::from_secs(1)),
            "{IDLE} wake-ups within {took:?}"
        );
    }
}

fn ended(tape: &mut Unstructured<'_>) -> Result<std::result::Result<(), Failure>> {
    Ok(match tape.int_in_range(0..=7u8)? {
        0..=3 => Ok(()),
        4 => Err(Failure::Conflict),
        5 => Err(Failure::Refused),
        6 => Err(Failure::Passing),
        _ => Err(Failure::NoAnswer),
    })
}
