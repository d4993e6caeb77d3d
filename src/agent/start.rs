//! An agent, from its start to its end.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::answers::answer;
use super::effects;
use super::effects::WhoAmI;
use super::heart::{Heart, Pulse, ToHeart};
use super::links::{BindError, Links};
use super::names::Names;
use super::poller::Poller;
use super::recorder::{Recorder, Written};
use super::settings::settings;
use super::shell::Shell;
use super::shutdown::Signals;
use super::status::Recording;
use super::store::{State, Store};
use super::{clock, memory};
use crate::cloud::{Cloud, LeaseTable};
use crate::cluster::{Cluster, Event, LinkId, Memory, NodeId, Shutdown, Time};
use crate::config::{Config, Keys, Resource};
use crate::control::server::{ListenError, Listener};
use crate::record;
use crate::wire::{self, Keyring, NoSuchKey};

/// How long the last writes may take after the last heartbeat.
const LAST_WRITES: Duration = Duration::from_secs(2);
/// How long tasks may take to notice that it is over.
const LAST_TASKS: Duration = Duration::from_millis(500);
/// So many of a node's interfaces are in its heartbeats; how long these can become is known beforehand.
pub(super) const INTERFACES: usize = 4;

/// What an agent is made of.
pub struct Parts {
    /// The configuration.
    pub config: Config,
    /// Which of its nodes this is.
    pub me: NodeId,
    /// The keys.
    pub keys: Keys,
    /// EC2, or what stands for it.
    pub reach: Reach,
}

/// How an agent reaches EC2.
pub struct Reach {
    /// The calls.
    pub cloud: Arc<dyn Cloud>,
    /// The leases; `None`: no group's arbiter is DynamoDB.
    pub leases: Option<Arc<dyn LeaseTable>>,
    /// What this node is in EC2; asked again and again until it is known.
    pub who_am_i: WhoAmI,
    /// Called when the way to EC2 may have changed under open connections.
    pub way_changed: Box<dyn Fn() + Send + Sync>,
    /// Runs beside the agent: keeps connections warm.
    pub background: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    runtime: Runtime,
    heart: thread::JoinHandle<()>,
    effects: JoinHandle<()>,
    to_heart: ToHeart,
    pulse: Arc<Pulse>,
    written: Option<Written>,
    at_once: Arc<AtomicBool>,
}

/// How an agent ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// Everything is said and written.
    Done,
    /// A second signal: nothing more was said.
    AtOnce,
    /// It broke: a bug.
    Broken,
}

/// Why an agent could not start. Nothing of it runs then.
#[derive(Debug)]
pub enum StartError {
    /// The operator's socket.
    Socket(ListenError),
    /// A link.
    Link(BindError),
    /// The keys.
    Keys(NoSuchKey),
    /// The names of nodes and groups do not fit into a heartbeat.
    TooLong {
        /// The longest heartbeat, in bytes.
        length: usize,
    },
    /// This binary was built without EC2.
    NoEc2,
    /// This binary was built without DynamoDB, and a group's arbiter is `dynamodb`.
    NoDynamoDb,
    /// The system has no thread, no file descriptor, no random number.
    System(io::Error),
}

impl Agent {
    /// Starts an agent: it is heard at once, and does everything else in the background.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(parts: Parts) -> Result<Self, StartError> {
        let Parts { config, me, keys, reach } = parts;
        let keys = Keyring::new(keys.signing, &keys.keys).map_err(StartError::Keys)?;
        let names = Arc::new(Names::of(&config));
        if let Some(length) = too_long(&names) {
            return Err(StartError::TooLong { length });
        }
        let listener = Listener::bind(&config.socket).map_err(StartError::Socket)?;
        let own = config.nodes.get(usize::from(me.0)).map(|node| node.links.clone()).unwrap_or_default();
        let links = Links::bind(&own, config.heartbeat.port).map_err(StartError::Link)?;
        let poller = Poller::new().map_err(StartError::System)?;
        let runtime = runtime().map_err(StartError::System)?;
        let (store, state, remembered) = remembered(&config, &names);

        let (messages, inbox) = mpsc::channel();
        let pulse = Arc::new(Pulse::default());
        let to_heart = ToHeart::new(messages, poller.waker(), Arc::clone(&pulse));
        let (words, from_heart) = tokio::sync::mpsc::unbounded_channel();
        let seed =
            getrandom::u64().map_err(|error| StartError::System(io::Error::other(error.to_string())))?;
        let now = clock::now();
        let cluster = Cluster::new(settings(&config, me, remembered, seed), now);
        let (recorder, recording, written) = recorder(&config, &names, &cluster, now);
        let session = cluster.session();
        let heart = Heart {
            cluster,
            links,
            poller,
            addresses: addresses(&config, me),
            names: Arc::clone(&names),
            keys,
            messages: inbox,
            effects: words,
            recorder,
            pulse: Arc::clone(&pulse),
        };
        let beating = thread::Builder::new().name("heart".into()).spawn(move || heart.run());
        let heart = beating.map_err(StartError::System)?;

        let Reach { cloud, leases, who_am_i, way_changed, background } = reach;
        let shell = Shell::new(config, me, session, names, cloud, leases, to_heart.clone(), way_changed);
        let (shell, recording) = (Arc::new(shell), Arc::new(recording));
        let inside = runtime.enter();
        tokio::spawn(background);
        effects::start(&shell, who_am_i, &state);
        tokio::spawn(effects::keep_systemd_posted(Arc::clone(&shell), Arc::clone(&pulse)));
        let effects = tokio::spawn(effects::carry_out(Arc::clone(&shell), from_heart, store, state));
        tokio::spawn(
            listener.serve(move |request| answer(Arc::clone(&shell), Arc::clone(&recording), request)),
        );
        drop(inside);
        Ok(Self { runtime, heart, effects, to_heart, pulse, written, at_once: Arc::default() })
    }

    /// Listens to the process's signals from now on: see the module `shutdown`.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen_to_signals(&self) -> io::Result<()> {
        let _inside = self.runtime.enter();
        let signals = Signals::listen()?;
        let (heart, pulse) = (self.to_heart.clone(), Arc::clone(&self.pulse));
        self.runtime.spawn(signals.pass_on(heart, pulse, Arc::clone(&self.at_once)));
        Ok(())
    }

    /// Asks it to end, as SIGTERM does.
    pub fn stop(&self) {
        self.to_heart.event(Event::ShutdownAsked(Shutdown::Stop));
    }

    /// Asks it to end and leave everything running, as SIGUSR1 does.
    pub fn restart(&self) {
        self.to_heart.event(Event::ShutdownAsked(Shutdown::Restart));
    }

    /// Waits for its end.
    pub fn wait(self) -> Ended {
        let well = self.heart.join().is_ok();
        let at_once = self.at_once.load(Ordering::Relaxed);
        if let Some(written) = &self.written {
            written.wait(LAST_TASKS);
        }
        if !at_once {
            let _in_time =
                self.runtime.block_on(async { tokio::time::timeout(LAST_WRITES, self.effects).await });
        }
        self.runtime.shutdown_timeout(LAST_TASKS);
        match (well, at_once) {
            (false, _) => Ended::Broken,
            (true, true) => Ended::AtOnce,
            (true, false) => Ended::Done,
        }
    }

    /// Ends it without a word, as a crash would: for tests in which both nodes are in one process.
    pub fn kill(self) {
        self.pulse.stop();
        self.to_heart.wake();
        self.runtime.shutdown_background();
        let _ended = self.heart.join();
        if let Some(written) = &self.written {
            written.wait(LAST_TASKS);
        }
    }
}

/// Whether the names of this configuration make a heartbeat possible that is too long to be sent; a node with it
/// would fall silent when it has the most to say, so it does not start.
///
/// # Errors
/// [`StartError::TooLong`].
pub fn check_heartbeat(config: &Config) -> Result<(), StartError> {
    too_long(&Names::of(config)).map_or(Ok(()), |length| Err(StartError::TooLong { length }))
}

fn too_long(names: &Names) -> Option<usize> {
    Some(wire::longest(&names.roster(), INTERFACES)).filter(|length| *length > wire::MAX_DATAGRAM)
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("effects").enable_all().build()
}

/// The durable state, and what the core is to know of it. Trouble with it stops nobody.
fn remembered(config: &Config, names: &Names) -> (Store, State, Vec<Memory>) {
    let store = Store::new(&config.state_dir);
    let (mut state, troubles) = store.load();
    for trouble in troubles {
        tracing::warn!(id = "state", "{trouble}");
    }
    let boot = memory::boot();
    let remembered = memory::load(&state, names, &boot);
    state.boot = boot;
    (store, state, remembered)
}

fn recorder(
    config: &Config,
    names: &Names,
    core: &Cluster,
    now: Time,
) -> (Recorder, Recording, Option<Written>) {
    let names = record::Names {
        cluster: names.cluster.clone(),
        nodes: names.nodes.clone(),
        groups: names.groups.clone(),
        anchors: config
            .groups
            .iter()
            .map(|group| group.resources.get(group.anchor).map_or("?", Resource::name).to_owned())
            .collect(),
    };
    match Recorder::start(&config.state_dir, names, memory::boot(), core, now) {
        Ok((recorder, written)) => {
            let folder = Some(config.state_dir.display().to_string());
            let dropped = recorder.dropped();
            (recorder, Recording { folder, dropped }, Some(written))
        }
        Err(error) => {
            let folder = config.state_dir.display();
            tracing::warn!(id = "recorder", "nothing is recorded: {folder} cannot be written to ({error})");
            (Recorder::off(), Recording { folder: None, dropped: Arc::default() }, None)
        }
    }
}

fn addresses(config: &Config, me: NodeId) -> Vec<(NodeId, LinkId, SocketAddr)> {
    let nodes = (0..).map(NodeId).zip(&config.nodes).filter(|(node, _)| *node != me);
    let port = config.heartbeat.port;
    nodes
        .flat_map(|(node, settings)| {
            let links = (0..).map(LinkId).zip(&settings.links);
            links.map(move |(link, address)| (node, link, SocketAddr::new(*address, port)))
        })
        .collect()
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("config", &self.config).field("me", &self.me).finish_non_exhaustive()
    }
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reach").finish_non_exhaustive()
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(error) => write!(f, "{error}"),
            Self::Link(error) => write!(f, "{error}"),
            Self::Keys(error) => write!(f, "{error}: correct the key file"),
            Self::TooLong { length } => write!(
                f,
                "a heartbeat of this cluster can have {length} bytes, and at most {} are sent: shorten the names \
                 of nodes and groups, or divide the groups over two clusters",
                wire::MAX_DATAGRAM
            ),
            Self::NoEc2 => f.write_str(
                "this standin was built without EC2: build it with the feature `ec2`, which is on by default",
            ),
            Self::NoDynamoDb => f.write_str(
                "this standin was built without DynamoDB, and a group has `arbiter = \"dynamodb\"`: build it with the \
                 feature `dynamodb`, which is on by default",
            ),
            Self::System(error) => {
                write!(f, "the system refuses a thread, a file or a random number: {error}")
            }
        }
    }
}

impl std::error::Error for StartError {}
