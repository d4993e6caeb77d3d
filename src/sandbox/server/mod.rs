//! The model behind EC2's own wire protocol, and an instance metadata service per instance.
//!
//! One listener speaks EC2 (and, under `/_sandbox/`, takes orders: see [`admin`]), one more per instance
//! speaks IMDSv2. All of them are on 127.0.0.1; nothing here is meant for a network.

pub mod admin;
mod auth;
mod ec2;
mod imds;
mod query;
mod things;
pub mod xml;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::model::{Faults, InstanceState, Random, Spec, Vpc};
use auth::AccessKey;

pub use query::{action, parse};
pub use things::{Credentials, Named, RunningElasticIp, RunningInstance, RunningInterface};

/// Where the time comes from: nothing in the sandbox reads a clock itself.
#[derive(Clone)]
pub struct Clock {
    /// Time since any fixed instant; never goes back.
    pub monotonic: Arc<dyn Fn() -> Duration + Send + Sync>,
    /// Time since 1970.
    pub wall: Arc<dyn Fn() -> Duration + Send + Sync>,
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// How to serve.
#[derive(Clone, Debug)]
pub struct Options {
    /// EC2's port on 127.0.0.1; 0: any.
    pub port: u16,
    /// The clock.
    pub clock: Clock,
}

/// A sandbox that runs, until it is dropped or shut down: its addresses, keys and ids.
#[derive(Debug, Serialize)]
pub struct Running {
    /// EC2's endpoint ("http://127.0.0.1:PORT").
    pub ec2_url: String,
    /// The region.
    pub region: String,
    /// Keys that are no instance's, for the operator and for tests.
    pub operator: Credentials,
    /// The instances.
    pub instances: Vec<RunningInstance>,
    /// The Elastic IPs: name, allocation id, public address.
    pub elastic_ips: Vec<RunningElasticIp>,
    /// The route tables: name and id.
    pub route_tables: Vec<Named>,
    /// The subnets: name and id.
    pub subnets: Vec<Named>,
    /// The VPCs: name and id.
    pub vpcs: Vec<Named>,
    /// The prefix lists: name and id.
    pub prefix_lists: Vec<Named>,
    #[serde(skip)]
    world: Arc<World>,
    #[serde(skip)]
    tasks: Vec<JoinHandle<Infallible>>,
}

impl Running {
    /// Ends all listeners and connections.
    pub async fn shutdown(mut self) {
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            // It ends by being aborted, which is what was asked for.
            let _ = task.await;
        }
    }

    /// Looks at the model, or changes it, as it is now.
    pub fn with_vpc<T>(&self, act: impl FnOnce(&mut Vpc) -> T) -> T {
        let now = self.world.now();
        let mut inner = self.world.lock();
        inner.vpc.advance(now);
        act(&mut inner.vpc)
    }

    /// Changes the faults; the time is [`Self::now`].
    pub fn with_faults<T>(&self, act: impl FnOnce(&mut Faults) -> T) -> T {
        act(&mut self.world.lock().faults)
    }

    /// The time since the start, as in the log of changes.
    pub fn now(&self) -> Duration {
        self.world.now()
    }

    /// The clock's monotonic time at the start: a change happened at this plus its `at_us`.
    pub fn origin(&self) -> Duration {
        self.world.zero
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Serves what `spec` describes.
///
/// # Errors
/// A contradictory description (`InvalidInput`), or a port that cannot be had.
pub async fn serve(spec: Spec, options: Options) -> io::Result<Running> {
    let vpc = Vpc::new(&spec, spec.seed).map_err(|it| io::Error::new(io::ErrorKind::InvalidInput, it))?;
    // Other ids and keys than the model's: a sequence of its own.
    let mut random = Random::new(spec.seed ^ 0x5eed);
    let operator = AccessKey::make(&mut random, "operator", None);
    let mut instances = Vec::new();
    let mut listeners = Vec::new();
    let mut keys = BTreeMap::from([(operator.id.clone(), operator.clone())]);
    for described in &spec.instance {
        let Some(it) = vpc.state().instances.values().find(|it| it.name == described.name) else { continue };
        let key = AccessKey::make(&mut random, &it.name, Some(&it.id));
        let (listener, imds_url) = bind(0).await?;
        instances.push(RunningInstance {
            name: it.name.clone(),
            instance_id: it.id.clone(),
            imds_url,
            credentials: Credentials::of(&key),
            interfaces: things::interfaces(&vpc, &it.id),
        });
        listeners.push((listener, key.clone()));
        keys.insert(key.id.clone(), key);
    }
    let (ec2, ec2_url) = bind(options.port).await?;
    let world = Arc::new(World::new(vpc, keys, random, options.clock));
    let mut tasks = Vec::new();
    for (listener, key) in listeners {
        let (world, key) = (Arc::clone(&world), Arc::new(key));
        tasks.push(tokio::spawn(listen(listener, move |request| {
            imds::answer(Arc::clone(&world), Arc::clone(&key), request)
        })));
    }
    let shared = Arc::clone(&world);
    tasks.push(tokio::spawn(listen(ec2, move |request| ec2::answer(Arc::clone(&shared), request))));
    Ok(describe(ec2_url, &operator, instances, world, tasks))
}

/// What all listeners share.
#[derive(Debug)]
struct World {
    /// As it was at the start, for a reset.
    fresh: Vpc,
    inner: Mutex<Inner>,
    keys: BTreeMap<String, AccessKey>,
    clock: Clock,
    zero: Duration,
    /// The wall clock at `zero`, since 1970.
    started: Duration,
    /// The same, in RFC 3339.
    launched: String,
}

#[derive(Debug)]
struct Inner {
    vpc: Vpc,
    faults: Faults,
    random: Random,
    /// How often each caller made each call, and how it ended: "caller action code".
    calls: BTreeMap<String, u64>,
    /// The metadata service's tokens: whose, and until when they count.
    tokens: BTreeMap<String, (String, Duration)>,
}

impl World {
    fn new(vpc: Vpc, keys: BTreeMap<String, AccessKey>, random: Random, clock: Clock) -> Self {
        let started = (clock.wall)();
        Self {
            fresh: vpc.clone(),
            inner: Mutex::new(Inner {
                vpc,
                faults: Faults::default(),
                random,
                calls: BTreeMap::new(),
                tokens: BTreeMap::new(),
            }),
            keys,
            zero: (clock.monotonic)(),
            clock,
            started,
            launched: rfc3339(started),
        }
    }

    fn now(&self) -> Duration {
        (self.clock.monotonic)().saturating_sub(self.zero)
    }

    /// Whether an instance can send anything at all: one that has stopped is silent, whatever its processes
    /// on this machine do.
    fn runs(&self, instance: &str) -> bool {
        let now = self.now();
        let mut inner = self.lock();
        inner.vpc.advance(now);
        let state = inner.vpc.state().instances.get(instance).map(|it| it.state);
        state.is_some_and(|it| !matches!(it, InstanceState::Stopped | InstanceState::Terminated))
    }

    /// The lock is never held over an await, and nothing panics under it.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn describe(
    ec2_url: String,
    operator: &AccessKey,
    instances: Vec<RunningInstance>,
    world: Arc<World>,
    tasks: Vec<JoinHandle<Infallible>>,
) -> Running {
    let inner = world.lock();
    let state = inner.vpc.state();
    let named = |name: &String, id: &String| Named { name: name.clone(), id: id.clone() };
    let mut running = Running {
        ec2_url,
        region: inner.vpc.region().to_owned(),
        operator: Credentials::of(operator),
        instances,
        elastic_ips: Vec::new(),
        route_tables: state.route_tables.values().map(|it| named(&it.name, &it.id)).collect(),
        subnets: state.subnets.values().map(|it| named(&it.name, &it.id)).collect(),
        vpcs: state.vpcs.values().map(|it| named(&it.name, &it.id)).collect(),
        prefix_lists: state.prefix_lists.iter().map(|(id, name)| named(name, id)).collect(),
        world: Arc::clone(&world),
        tasks,
    };
    for it in state.elastic_ips.values() {
        let (name, allocation_id) = (it.name.clone(), it.id.clone());
        running.elastic_ips.push(RunningElasticIp { name, allocation_id, public_ip: it.public_ip });
    }
    for list in
        [&mut running.route_tables, &mut running.subnets, &mut running.vpcs, &mut running.prefix_lists]
    {
        list.sort_by(|one, other| one.name.cmp(&other.name));
    }
    running.elastic_ips.sort_by(|one, other| one.name.cmp(&other.name));
    drop(inner);
    running
}

/// What a service answers; an error closes the connection without an answer.
type Answer = io::Result<Response<Full<Bytes>>>;

async fn bind(port: u16) -> io::Result<(TcpListener, String)> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("port {port} of 127.0.0.1: {error}")))?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
}

async fn listen<F, A>(listener: TcpListener, answer: F) -> Infallible
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Answer> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // Answers are small and awaited: without this they wait for acknowledgements.
                    let _ = stream.set_nodelay(true);
                    let service = service_fn(answer.clone());
                    let mut http = hyper::server::conn::http1::Builder::new();
                    // An idle connection is kept: agents keep theirs warm.
                    http.timer(TokioTimer::new()).header_read_timeout(None);
                    connections.spawn(http.serve_connection(TokioIo::new(stream), service));
                }
                // Out of file descriptors, say: the next round may find some.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            // How a connection ended is the client's business.
            Some(_) = connections.join_next(), if !connections.is_empty() => (),
        }
    }
}

fn reply(status: u16, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    if let Ok(status) = hyper::StatusCode::from_u16(status) {
        *response.status_mut() = status;
    }
    let value = hyper::header::HeaderValue::from_static(content_type);
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, value);
    response
}

/// Waits for ever: until the client gives up or the sandbox ends.
async fn hang() -> Answer {
    std::future::pending().await
}

fn dropped() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "a fault closes this connection")
}

fn rfc3339(since_1970: Duration) -> String {
    let at = SystemTime::UNIX_EPOCH.checked_add(since_1970).unwrap_or(SystemTime::UNIX_EPOCH);
    humantime::format_rfc3339_seconds(at).to_string()
}
