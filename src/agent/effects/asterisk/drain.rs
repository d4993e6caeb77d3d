//! A planned switchover that waits for the calls: Asterisk takes no new ones (it answers 503) and the group is handed
//! over when the last one has ended, or the time is up.
//!
//! The means is `core stop gracefully`. What Asterisk 16 does with it, as seen: from then on AMI refuses every action
//! and every login, and says only events to who is logged in already; so the calls are counted by their Hangup. With
//! the last one it ends by itself; `core abort shutdown` works before that, from its own command line only.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{interval, sleep, timeout};

use crate::agent::asterisk::Drain;
use crate::agent::clock;
use crate::agent::shell::{Shell, World};
use crate::cluster::{Event, GroupId, NodeId, Role, Time, Wish};
use crate::config::{Asterisk, Group};
use crate::service::ami::{Client, Message};
use crate::service::hooks::{About, run_program};

/// Asterisk answers within this.
const PATIENCE: Duration = Duration::from_secs(2);
/// A program that speaks with Asterisk's command line is killed after this: an Asterisk that is frozen, say.
const COMMAND: Duration = Duration::from_secs(10);
/// The hand-over itself takes a second or two; an offer that nobody takes is over by then.
const HAND_OVER: Duration = Duration::from_secs(30);
/// Asterisk is asked again after this.
const AGAIN: Duration = Duration::from_millis(250);
/// Progress is logged so often, in seconds.
const LOG_EVERY: u32 = 10;
/// The note of `status`.
const WHAT: &str = "drain";

/// Begins, or says why it cannot.
///
/// # Errors
/// Why not, and what to do.
pub(in crate::agent) async fn begin(
    shell: &Arc<Shell>,
    group: GroupId,
    to: Option<NodeId>,
    limit: Duration,
) -> Result<(), String> {
    let (settings, world) = shell.group(group).ok_or("there is no such group")?;
    let name = &settings.name;
    let Some(asterisk) = &settings.asterisk else {
        return Err(format!(
            "only Asterisk can be drained, and {name} has no [group.asterisk]: leave --drain out"
        ));
    };
    let look = shell.heart.look().await.ok_or("the agent is ending")?;
    let view = look.snapshot.groups.iter().find(|it| it.group == group).ok_or("there is no such group")?;
    if view.role != Role::Active {
        let active: Vec<&str> = view.active_peers.iter().map(|node| shell.names.node(*node)).collect();
        let active = if active.is_empty() { "no node".to_owned() } else { active.join(", ") };
        return Err(format!("this node is not active for {name}; {active} is: ask there"));
    }
    if view.maintenance {
        return Err(format!("{name} is in maintenance: end that first"));
    }
    match to {
        _ if view.takers.is_empty() => {
            return Err(format!(
                "no other node of {name} says that it could take it: see `standin status` there"
            ));
        }
        Some(to) if !view.takers.contains(&to) => {
            let to = shell.names.node(to);
            return Err(format!("{to} does not say that it could take {name}: see `standin status` there"));
        }
        Some(_) | None => {}
    }
    let cancel = Arc::new(Notify::new());
    let now = clock::now();
    let drain = Drain {
        calls: 0,
        until: now + limit,
        to: to.map(|node| shell.names.node(node).to_owned()),
        cancel: Arc::clone(&cancel),
    };
    if !world.asterisk.begin(drain) {
        return Err(format!(
            "{name} is being drained already: `standin switchover {name} --cancel` ends that"
        ));
    }
    let listener = match Listener::new(asterisk).await {
        Ok(listener) => listener,
        Err(why) => {
            world.asterisk.drained();
            return Err(why);
        }
    };
    let (own, asterisk) = (Arc::clone(shell), asterisk.clone());
    tokio::spawn(async move { run(own, group, to, asterisk, listener, (now + limit, cancel)).await });
    Ok(())
}

/// How the waiting has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// No call is left.
    Empty,
    /// The time is up.
    Limit,
    /// Nobody wants it any more.
    Cancelled,
    /// This node is not active any more: somebody, or something, was faster.
    Overtaken,
    /// Asterisk did not stop taking calls.
    NotBegun,
}

async fn run(
    shell: Arc<Shell>,
    group: GroupId,
    to: Option<NodeId>,
    asterisk: Asterisk,
    mut listener: Listener,
    (until, cancel): (Time, Arc<Notify>),
) {
    let Some((settings, world)) = shell.group(group) else { return };
    let name = &settings.name;
    world.seen().note(WHAT, None);
    world.asterisk.drains(listener.calls());
    world.draining.send_replace(true);
    let left = listener.calls();
    tracing::info!(
        id = "drain-begins",
        group = name,
        calls = left,
        "no new calls from now on; {left} channels are up"
    );
    // It answers when Asterisk has ended, or does not end.
    let stopping = {
        let (shell, asterisk) = (Arc::clone(&shell), asterisk.clone());
        let bound = until.since(clock::now()) + HAND_OVER + COMMAND;
        tokio::spawn(async move { command(&shell, group, &asterisk, "core stop gracefully", bound).await })
    };
    let end = match begun(&asterisk, &stopping).await {
        true => wait(settings, world, &mut listener, until, &cancel).await,
        false => End::NotBegun,
    };
    let calls = listener.calls();
    tracing::info!(id = "drain-ends", group = name, calls, "{}", words(end, calls));
    let taken = match end {
        End::Empty | End::Limit => {
            shell.heart.event(Event::Asked(Wish::Switchover(group, to)));
            let mut wanted = world.wanted.subscribe();
            let yielded = wanted.wait_for(|wish| wish.serves() == Some(false));
            timeout(HAND_OVER, yielded).await.is_ok()
        }
        End::Cancelled | End::Overtaken => true,
        End::NotBegun => false,
    };
    if !taken {
        let why = match end {
            End::NotBegun => words(end, calls),
            End::Empty | End::Limit | End::Cancelled | End::Overtaken => {
                "nobody has taken the group: it is served here again, and takes calls".to_owned()
            }
        };
        tracing::error!(id = "drain-failed", group = name, "{why}");
        world.seen().note(WHAT, Some(why));
    }
    // An Asterisk that has ended by now is started again by who supervises it.
    match command(&shell, group, &asterisk, "core abort shutdown", COMMAND).await {
        // Asterisk looks at that once a second; until then it goes on refusing.
        Ok(()) => drop(timeout(COMMAND, lets_in(&asterisk)).await),
        Err(why) => tracing::debug!(group = name, "Asterisk's end was not called off: {why}"),
    }
    stopping.abort();
    world.asterisk.drained();
    world.draining.send_replace(false);
}

/// Whether Asterisk takes no new calls any more: then it refuses logins too. What comes before that, to call it off,
/// would come too early.
async fn begun(asterisk: &Asterisk, stopping: &JoinHandle<Result<(), String>>) -> bool {
    let refuses = async {
        while Client::login(asterisk, PATIENCE).await.is_ok() {
            if stopping.is_finished() {
                return false;
            }
            sleep(AGAIN).await;
        }
        true
    };
    timeout(COMMAND, refuses).await.unwrap_or(false)
}

/// Until AMI takes logins again.
async fn lets_in(asterisk: &Asterisk) {
    while Client::login(asterisk, PATIENCE).await.is_err() {
        sleep(AGAIN).await;
    }
}

fn words(end: End, calls: u32) -> String {
    match end {
        End::Empty => "no call is left: the group is handed over".to_owned(),
        End::Limit => format!("the time is up: the group is handed over with {calls} channels up"),
        End::Cancelled => "cancelled: new calls are taken again".to_owned(),
        End::Overtaken => "this node is not active any more".to_owned(),
        End::NotBegun => {
            "Asterisk goes on taking calls: `asterisk -rx \"core stop gracefully\"` has to work for the agent"
                .to_owned()
        }
    }
}

async fn wait(settings: &Group, world: &World, listener: &mut Listener, until: Time, cancel: &Notify) -> End {
    let mut wanted = world.wanted.subscribe();
    let mut maintenance = world.maintenance.subscribe();
    let mut seconds = interval(Duration::from_secs(1));
    let mut turns = 0;
    loop {
        if listener.calls() == 0 {
            return End::Empty;
        }
        let left = until.since(clock::now());
        if left.is_zero() {
            return End::Limit;
        }
        tokio::select! {
            () = listener.hear() => world.asterisk.drains(listener.calls()),
            () = cancel.notified() => return End::Cancelled,
            // In maintenance nobody would start what ends with its last call.
            _maintenance = maintenance.wait_for(|on| *on) => return End::Cancelled,
            _yielded = wanted.wait_for(|wish| wish.serves() == Some(false)) => return End::Overtaken,
            _second = seconds.tick() => {
                if turns % LOG_EVERY == LOG_EVERY - 1 {
                    let (group, calls, left) = (&settings.name, listener.calls(), left.as_secs());
                    tracing::info!(id = "draining", group, calls, "{calls} channels are still up; {left} s are left");
                }
                turns += 1;
            }
        }
    }
}

/// Says a line on Asterisk's own command line.
async fn command(
    shell: &Shell,
    group: GroupId,
    asterisk: &Asterisk,
    line: &str,
    bound: Duration,
) -> Result<(), String> {
    let about = About {
        cluster: shell.names.cluster.clone(),
        group: shell.names.group(group).to_owned(),
        node: shell.names.node(shell.me).to_owned(),
    };
    let file = asterisk.config.join("asterisk.conf").display().to_string();
    let words = ["asterisk", "-C", &file, "-rx", line].map(str::to_owned);
    let ended = run_program(&words, &about, "drain", bound).await;
    if ended.is_well() { Ok(()) } else { Err(format!("`asterisk -rx \"{line}\"` {ended}")) }
}

/// Counts channels by what is said of them.
struct Listener {
    /// `None`: Asterisk has ended.
    client: Option<Client>,
    channels: BTreeSet<String>,
}

impl Listener {
    async fn new(asterisk: &Asterisk) -> Result<Self, String> {
        let mut client =
            Client::login_for(asterisk, "system,call", PATIENCE).await.map_err(|it| it.to_string())?;
        let channels = client.channels().await.map_err(|it| it.to_string())?;
        Ok(Self { client: Some(client), channels: channels.into_iter().collect() })
    }

    fn calls(&self) -> u32 {
        u32::try_from(self.channels.len()).unwrap_or(u32::MAX)
    }

    /// The next event; the end of Asterisk is the end of its calls. It may be dropped at any time.
    async fn hear(&mut self) {
        let Some(client) = &mut self.client else { return std::future::pending().await };
        match client.event().await {
            Ok(event) => count(&mut self.channels, &event),
            Err(_) => {
                self.client = None;
                self.channels.clear();
            }
        }
    }
}

/// What an event says of channels.
fn count(channels: &mut BTreeSet<String>, event: &Message) {
    let Some(id) = event.get("Uniqueid") else { return };
    if event.is("Event", "Newchannel") {
        channels.insert(id.to_owned());
    } else if event.is("Event", "Hangup") {
        channels.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::ami::Reader;

    #[test]
    fn channels_are_counted_by_their_hangup() {
        let mut reader = Reader::default();
        for (event, id) in
            [("Newchannel", "1"), ("Newchannel", "2"), ("Hangup", "1"), ("Newstate", "3"), ("Hangup", "9")]
        {
            reader.push(format!("Event: {event}\r\nUniqueid: {id}\r\n\r\n").as_bytes());
        }
        let mut channels = BTreeSet::new();
        while let Some(event) = reader.message().unwrap() {
            count(&mut channels, &event);
        }
        assert_eq!(channels.into_iter().collect::<Vec<_>>(), ["2"]);
    }
}
