//! The heart: the thread that hears and says heartbeats, and in which the core decides. It waits for
//! nothing but datagrams, messages and its own next deadline; whatever may take time is an effect.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::clock;
use super::links::Links;
use super::names::Names;
use super::poller::{Poller, Waker};
use super::recorder::Recorder;
use super::sources::Sources;
use crate::cluster::{Cluster, Command, Event, Heartbeat, LinkId, NodeId, Snapshot, Time};
use crate::wire::{self, Keyring};

/// So many datagrams in one turn: a flood does not keep the heart from its deadlines.
const DATAGRAMS: usize = 64;
/// The core hears of refused datagrams at most so often per link; all of them are counted.
const REFUSED_EVERY: Duration = Duration::from_millis(100);
/// So many messages in one turn.
const MESSAGES: usize = 64;

/// What the heart is told by other threads.
#[derive(Debug)]
pub(super) enum Message {
    /// A fact for the core.
    Event(Event),
    /// What do you see?
    Look(oneshot::Sender<Look>),
}

/// What the heart sees at one moment.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) now: Time,
    pub(super) snapshot: Snapshot,
    pub(super) sources: Sources,
}

/// What the heart tells the effects. The channel has no bound, so that the heart never waits; the core
/// bounds what is in it: a few calls under way per group, one wish per change, one notice per change.
#[derive(Debug)]
pub(super) enum Word {
    /// The core wants this.
    Do(Time, Command),
    /// A peer says what it is in EC2.
    Peer {
        /// Which.
        node: NodeId,
        /// Its instance.
        instance: Option<String>,
        /// Its interfaces.
        interfaces: Vec<String>,
    },
    /// Something that the core does not know about went wrong.
    Trouble {
        /// In which step ("heartbeat").
        call: &'static str,
        /// What.
        text: String,
    },
}

/// A line to the heart, for any thread.
#[derive(Clone, Debug)]
pub(super) struct ToHeart {
    messages: Sender<Message>,
    waker: Waker,
    pulse: Arc<Pulse>,
}

/// Whether the heart beats; and the way to stop it without a word.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    turn_at: AtomicU64,
    stop: AtomicBool,
}

/// The heart, before it beats.
#[derive(Debug)]
pub(super) struct Heart {
    pub(super) cluster: Cluster,
    pub(super) links: Links,
    pub(super) poller: Poller,
    pub(super) names: Arc<Names>,
    pub(super) keys: Keyring,
    /// Where each peer is, on each link.
    pub(super) addresses: Vec<(NodeId, LinkId, SocketAddr)>,
    pub(super) messages: Receiver<Message>,
    pub(super) effects: UnboundedSender<Word>,
    pub(super) recorder: Recorder,
    pub(super) pulse: Arc<Pulse>,
}

/// What changes while it beats, besides the core.
#[derive(Debug)]
struct Hearing {
    sources: Sources,
    /// What each peer last said that it is in EC2.
    identities: Vec<Identity>,
    heard: VecDeque<(Event, Option<Identity>)>,
    /// When the core was last told of refused datagrams from a peer's address.
    refused: Vec<(NodeId, LinkId, Time)>,
}

impl ToHeart {
    pub(super) fn new(messages: Sender<Message>, waker: Waker, pulse: Arc<Pulse>) -> Self {
        Self { messages, waker, pulse }
    }

    /// Tells the core a fact. After the heart's end it is lost.
    pub(super) fn event(&self, event: Event) {
        self.send(Message::Event(event));
    }

    /// Asks the heart what it sees; `None`: it has ended.
    pub(super) async fn look(&self) -> Option<Look> {
        let (answer, look) = oneshot::channel();
        self.send(Message::Look(answer));
        look.await.ok()
    }

    /// Whether the heart has turned within this time. If not, this process was frozen, say, and what the core
    /// wanted last may be long overtaken: it has first to look around.
    pub(super) fn has_turned_within(&self, time: Duration) -> bool {
        clock::now().since(self.pulse.turn_at()) < time
    }

    /// Ends its present wait.
    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    fn send(&self, message: Message) {
        if self.messages.send(message).is_ok() {
            self.waker.wake();
        }
    }
}

impl Pulse {
    /// When the turn began that the heart last ended, with everything said that it had to say.
    pub(super) fn turn_at(&self) -> Time {
        Time::from_nanos(self.turn_at.load(Ordering::Relaxed))
    }

    /// The heart ends with its present turn; wake it.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Heart {
    /// Beats until the core says that it is over, or somebody stops it.
    pub(super) fn run(mut self) {
        hurry();
        let addresses = self.addresses.iter().map(|(node, link, address)| (*node, *link, address.ip()));
        let mut hearing = Hearing {
            sources: Sources::new(addresses),
            identities: Vec::new(),
            heard: VecDeque::with_capacity(DATAGRAMS),
            refused: Vec::new(),
        };
        let mut datagram = Vec::with_capacity(wire::MAX_DATAGRAM);
        let mut more = false;
        loop {
            let wait = if more { Duration::ZERO } else { self.cluster.next_deadline().since(clock::now()) };
            if self.poller.wait(&self.links, Some(wait)).is_err() {
                // The kernel is out of memory. Time goes on, and so must the heart.
                std::thread::sleep(Duration::from_millis(1));
            }
            let now = clock::now();
            if self.pulse.stop.load(Ordering::Relaxed) {
                return;
            }
            self.hear(&mut hearing, now);
            more = self.listen(&hearing.sources, now);
            if now >= self.cluster.next_deadline() {
                self.tell(Event::Ticked, now);
            }
            if self.carry_out(&mut datagram, now) {
                return;
            }
            self.recorder.turned(&self.cluster, now);
            self.pulse.turn_at.store(now.as_nanos(), Ordering::Relaxed);
        }
    }

    /// Takes what has arrived, up to a bound. The rest keeps for the next turn, which then does not wait.
    fn hear(&mut self, hearing: &mut Hearing, now: Time) {
        let Hearing { sources, identities, heard, refused } = hearing;
        let (roster, keys) = (self.names.roster(), &self.keys);
        self.links.recv_batch(DATAGRAMS, |received| match wire::decode(received.bytes, &roster, keys) {
            Ok(beat) => {
                sources.note(received.from.ip(), Ok(()), now);
                let identity = new_identity(identities, &beat);
                heard.push_back((Event::HeartbeatReceived(Box::new(beat)), identity));
            }
            Err(error) => {
                let authenticated = error.is_authenticated();
                let whose = sources.note(received.from.ip(), Err(error), now);
                if let Some((peer, link)) = whose.filter(|_| !authenticated)
                    && is_due(refused, peer, link, now)
                {
                    heard.push_back((Event::DatagramRefused { peer, link }, None));
                }
            }
        });
        while let Some((event, identity)) = heard.pop_front() {
            self.tell(event, now);
            if let Some(identity) = identity {
                self.learn(identities, identity, now);
            }
        }
    }

    /// Passes an identity on, once the core believes who said it: a replay is not to change the roster.
    fn learn(&self, known: &mut Vec<Identity>, identity: Identity, now: Time) {
        let (node, instance, interfaces) = identity;
        let believed = self
            .cluster
            .snapshot(now)
            .peers
            .iter()
            .any(|peer| peer.node == node && peer.instance.is_some() && peer.instance == instance);
        if !believed {
            return;
        }
        known.retain(|(it, _, _)| *it != node);
        known.push((node, instance.clone(), interfaces.clone()));
        self.say(Word::Peer { node, instance, interfaces });
    }

    /// Takes messages, up to a bound. Answers whether there may be more.
    fn listen(&mut self, sources: &Sources, now: Time) -> bool {
        for _ in 0..MESSAGES {
            match self.messages.try_recv() {
                Ok(Message::Event(event)) => self.tell(event, now),
                Ok(Message::Look(answer)) => {
                    let snapshot = self.cluster.snapshot(now);
                    let look = Look { now, snapshot, sources: sources.clone() };
                    // Whoever asked has gone away.
                    let _unheard = answer.send(look);
                }
                Err(_) => return false,
            }
        }
        true
    }

    fn tell(&mut self, event: Event, now: Time) {
        self.recorder.input(&event, &self.cluster, now);
        self.cluster.handle(event, now);
        self.recorder.decided(&self.cluster, now);
    }

    /// Sends what is to be sent, and passes everything else on. Answers whether this was the end.
    fn carry_out(&mut self, datagram: &mut Vec<u8>, now: Time) -> bool {
        let mut over = false;
        while let Some(command) = self.cluster.next_command() {
            self.recorder.command(&command, now);
            match command {
                Command::Send(beat) => self.send(&beat, datagram),
                Command::Exit => over = true,
                Command::ReadAnchor { .. }
                | Command::ReadInstance { .. }
                | Command::TakeAnchor { .. }
                | Command::WriteCounter { .. }
                | Command::WriteOwnTag { .. }
                | Command::Fence { .. }
                | Command::Recover { .. }
                | Command::Probe { .. }
                | Command::ReadLease { .. }
                | Command::WriteLease { .. }
                | Command::Guard { .. }
                | Command::Converge { .. }
                | Command::Store { .. }
                | Command::Tell(_) => self.say(Word::Do(now, command)),
            }
        }
        over
    }

    fn send(&mut self, beat: &Heartbeat, datagram: &mut Vec<u8>) {
        let to = self.addresses.iter().find(|(node, link, _)| (*node, *link) == (beat.to, beat.link));
        let Some((_, _, address)) = to else { return };
        if let Err(error) = wire::encode(beat, &self.names.roster(), &self.keys, datagram) {
            self.say(Word::Trouble { call: "heartbeat", text: error.to_string() });
            return;
        }
        if let Err(error) = self.links.send(beat.link, *address, datagram) {
            let text = format!("no heartbeat can be sent to {}: {error}", address.ip());
            self.say(Word::Trouble { call: "heartbeat", text });
        }
    }

    fn say(&self, word: Word) {
        // Without effects there is nobody left to tell; the heart ends with the next stop.
        let _unheard = self.effects.send(word);
    }
}

/// A node, its instance, its interfaces.
type Identity = (NodeId, Option<String>, Vec<String>);

/// The identity in this heartbeat, if it is not the one that we have from this peer.
fn new_identity(known: &[Identity], beat: &Heartbeat) -> Option<Identity> {
    if beat.instance.is_none() && beat.interfaces.is_empty() {
        return None;
    }
    let same = known.iter().any(|(node, instance, interfaces)| {
        *node == beat.from && *instance == beat.instance && *interfaces == beat.interfaces
    });
    (!same).then(|| (beat.from, beat.instance.clone(), beat.interfaces.clone()))
}

/// Whether the core is to hear that a datagram from this address was refused; then it counts as told.
fn is_due(told: &mut Vec<(NodeId, LinkId, Time)>, peer: NodeId, link: LinkId, now: Time) -> bool {
    match told.iter_mut().find(|(node, place, _)| (*node, *place) == (peer, link)) {
        Some((_, _, at)) if now.since(*at) < REFUSED_EVERY => false,
        Some((_, _, at)) => {
            *at = now;
            true
        }
        None => {
            told.push((peer, link, now));
            true
        }
    }
}

/// Puts this thread before others: on a machine that is busy, heartbeats that are late are a takeover. On
/// Linux the call is about the calling thread (setpriority(2), "C library/kernel differences").
fn hurry() {
    if let Err(error) = rustix::process::setpriority_process(None, -15) {
        tracing::debug!("heartbeats run at the usual priority (it takes CAP_SYS_NICE): {error}");
    }
}
