//! What makes answers leave from the addresses of one group: there while this node serves, gone when it does not.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::agent::shell::Shell;
use crate::cluster::GroupId;
use crate::config::Resource;
use crate::resource::Here;
use crate::resource::guest::source::{Source, table};
use crate::resource::guest::{self, Guest, GuestError, GuestEvent, Wanted};

/// Without netlink nothing can be done; it is tried again after this.
const RETRY: Duration = Duration::from_secs(30);

/// The group's side of it; `None` where no resource needs any.
pub(super) struct Sources {
    kept: watch::Sender<Wanted<Source>>,
}

impl Sources {
    /// Starts the task that puts back what another program removes.
    pub(super) fn start(shell: &Arc<Shell>, group: GroupId) -> Option<Self> {
        resources(shell).any(|(of, _, _)| of == group).then(|| {
            let (kept, keep) = watch::channel(Wanted::new());
            tokio::spawn(put_back(Arc::clone(shell), group, keep));
            Self { kept }
        })
    }

    /// Brings it about, and has it kept so.
    pub(super) async fn set(&self, shell: &Shell, group: GroupId, here: &Here, there: bool) {
        let sources = resources(shell).filter(|(of, _, _)| *of == group);
        let sources: Vec<Source> =
            sources.filter_map(|(_, table, resource)| source(resource, table, here)).collect();
        // Before anything is removed: what is being kept would be put back.
        self.kept.send_replace(sources.iter().map(|it| (it.clone(), there)).collect());
        for source in &sources {
            let done = bring_about(source, there).await;
            note(shell, group, source, done);
        }
    }
}

/// Removes what an earlier run of the agent left for addresses that are not the configuration's any more.
pub(super) async fn clear_others(shell: Arc<Shell>) {
    let own: Vec<GroupId> = shell.own_groups().map(|(id, _)| id).collect();
    let known = resources(&shell).filter(|(group, _, _)| own.contains(group));
    let known: Vec<u32> = known.map(|(_, table, _)| table).collect();
    loop {
        let cleared = async { Guest::open()?.clear_other_sources(&known).await };
        match cleared.await {
            Ok(()) => return shell.errors.worked("guest leftovers"),
            Err(error) => {
                let text = format!("what an earlier run may have left is not cleared away: {error}");
                shell.errors.failed("guest leftovers", &text, &text);
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// The resources that may need it, each with its group and its table.
fn resources(shell: &Shell) -> impl Iterator<Item = (GroupId, u32, &Resource)> {
    let groups = (0..).map(GroupId).zip(&shell.config.groups);
    let all = groups.flat_map(|(id, group)| group.resources.iter().map(move |it| (id, it)));
    let all = all.enumerate().map(|(place, (id, resource))| (id, table(place), resource));
    all.filter(|(_, _, resource)| match resource {
        Resource::PrivateIp(it) => it.guest || !it.source_ports.is_empty(),
        Resource::ElasticIp(it) => !it.source_ports.is_empty(),
        Resource::Route(_) => false,
    })
}

/// Where an interface is lacking, the group's ability says so already.
fn source(resource: &Resource, table: u32, here: &Here) -> Option<Source> {
    let (interface, address) = match resource {
        Resource::PrivateIp(it) => (here.for_private_ip(it).ok()?, it.address),
        Resource::ElasticIp(it) => here.for_elastic_ip(it).ok()?,
        Resource::Route(_) => return None,
    };
    Some(Source {
        mac: interface.mac.clone(),
        address,
        subnet: interface.subnet_cidr,
        ports: resource.source_ports().to_vec(),
        table,
        interfaces: here.identity.interfaces.iter().map(|it| it.mac.clone()).collect(),
    })
}

async fn put_back(shell: Arc<Shell>, group: GroupId, wanted: watch::Receiver<Wanted<Source>>) {
    while wanted.has_changed().is_ok() {
        let ended = guest::keep(wanted.clone(), |event| match event {
            GuestEvent::Added(source) | GuestEvent::Removed(source) => note(&shell, group, &source, Ok(())),
            GuestEvent::PutBack(source) => {
                tracing::warn!(
                    id = "source-put-back",
                    group = shell.names.group(group),
                    "another program changed the rules or routes of what leaves from {}; they are right again",
                    source.address
                );
                note(&shell, group, &source, Ok(()));
            }
            GuestEvent::Failed(source, error) => note(&shell, group, &source, Err(error)),
        });
        if let Err(error) = ended.await {
            shell.errors.failed("guest routes", "netlink", &error.to_string());
            tokio::time::sleep(RETRY).await;
        }
    }
}

async fn bring_about(source: &Source, there: bool) -> Result<(), GuestError> {
    Guest::open()?.source(source, there).await
}

fn note(shell: &Shell, group: GroupId, source: &Source, done: Result<(), GuestError>) {
    let Some((_, world)) = shell.group(group) else { return };
    let what = format!("answers from {}", source.address);
    if let Err(error) = &done {
        let text = format!("answers do not leave from {}: {error}", source.address);
        shell.errors.failed("guest routes", &text, &text);
    } else {
        shell.errors.worked("guest routes");
    }
    world.seen().note(&what, done.err().map(|error| error.to_string()));
}
