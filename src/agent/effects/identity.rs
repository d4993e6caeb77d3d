//! What this node is in EC2: asked for in the background, again and again, never in anyone's way.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::agent::shell::{Need, Shell};
use crate::agent::start::INTERFACES;
use crate::cloud::Identity;
use crate::cluster::Event;
use crate::config::Group;
use crate::resource::{Here, Piece};

/// Asks what this node is: instance, region, interfaces; in vain, the text says what to do.
pub type WhoAmI =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Identity, String>> + Send>> + Send + Sync>;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// An interface may be attached or detached at any time.
const ASK_AGAIN: Duration = Duration::from_secs(300);
/// While something that a group needs is lacking, more often.
const ASK_SOON: Duration = Duration::from_secs(10);

/// Learns it, and keeps it up to date.
pub(super) async fn learn(shell: Arc<Shell>, who_am_i: WhoAmI) {
    let mut pause = FIRST_PAUSE;
    loop {
        let wait = match who_am_i().await {
            Ok(identity) => {
                shell.errors.worked("IMDS");
                pause = FIRST_PAUSE;
                let all_able = learned(&shell, identity);
                let looked_up = look_up_peers(&shell).await;
                if all_able && looked_up { ASK_AGAIN } else { ASK_SOON }
            }
            Err(text) => {
                shell.errors.failed("IMDS", "", &text);
                pause = (pause * 2).min(LONGEST_PAUSE);
                pause
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Answers whether nothing is lacking.
fn learned(shell: &Shell, identity: Identity) -> bool {
    let known = shell.here.borrow().clone();
    if known.as_ref().is_some_and(|here| here.identity == identity) {
        return shell.own_groups().all(|(_, group)| known.iter().all(|here| able(group, here).is_ok()));
    }
    let links = shell.config.nodes.get(usize::from(shell.me.0)).map(|it| it.links.clone());
    let interfaces: Vec<String> = identity.interfaces.iter().map(|it| it.id.clone()).collect();
    let instance = identity.instance.clone();
    // A secondary address that has moved changes what IMDS says, but not what this node is.
    let same = |here: &Arc<Here>| {
        here.identity.instance == instance && here.identity.interfaces.iter().map(|it| &it.id).eq(&interfaces)
    };
    if !known.as_ref().is_some_and(same) {
        let all = interfaces.join(", ");
        tracing::info!(id = "identity", "this node is {instance} in {}, with {all}", identity.region);
    }
    let here = Here { node: shell.me, links: links.unwrap_or_default(), identity };
    let said = said(&here);
    shell.roster.heard(shell.me, Some(&instance), &interfaces);
    shell.interfaces_of(shell.me, &interfaces);
    let mut all_able = true;
    for (id, group) in shell.own_groups() {
        let able = able(group, &here);
        all_able &= able.is_ok();
        shell.able(id, Need::Interfaces, able);
    }
    shell.here.send_replace(Some(Arc::new(here)));
    shell.heart.event(Event::IdentityLearned { instance, interfaces: said });
    all_able
}

/// The interfaces that heartbeats name: not more than there is room for, those of the links first.
fn said(here: &Here) -> Vec<String> {
    let mut interfaces: Vec<_> = here.identity.interfaces.iter().collect();
    interfaces.sort_by_key(|it| !here.links.iter().any(|link| it.carries(*link)));
    interfaces.iter().take(INTERFACES).map(|it| it.id.clone()).collect()
}

/// Whether this node has an interface for everything that the group needs.
fn able(group: &Group, here: &Here) -> Result<(), String> {
    let problems = group.resources.iter().filter_map(|it| Piece::of(it, here).err());
    let problems: Vec<String> = problems.map(|error| error.message).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}

/// The nodes that were never heard are known by their link addresses only: until they are, what they hold looks
/// like a stranger's. Answers whether EC2 has said.
async fn look_up_peers(shell: &Shell) -> bool {
    let Some(here) = shell.here.borrow().clone() else { return false };
    let Some(vpc) = here.identity.interfaces.first().map(|it| it.vpc.clone()) else { return false };
    match shell.roster.refresh(shell.cloud.as_ref(), &vpc).await {
        Ok(()) => {
            shell.errors.worked("DescribeNetworkInterfaces");
            true
        }
        Err(error) => {
            shell.failed(&error);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::cloud::OwnInterface;
    use crate::cluster::NodeId;

    #[test]
    fn heartbeats_name_the_interfaces_of_the_links_and_not_more_than_they_hold() {
        let address = |n: u8| Ipv4Addr::new(10, 0, n, 10);
        let interface = |n: u8| OwnInterface {
            id: format!("eni-{n}"),
            mac: String::new(),
            subnet_cidr: None,
            vpc: "vpc-1".into(),
            local_ipv4s: vec![address(n)],
            ipv6s: vec![],
            device_number: n.into(),
        };
        let identity = Identity {
            instance: "i-1".into(),
            region: "r".into(),
            interfaces: (0..9).map(interface).collect(),
        };
        let links = vec![IpAddr::V4(address(7)), IpAddr::V4(address(8))];
        let here = Here { node: NodeId(0), links, identity };
        assert_eq!(said(&here), ["eni-7", "eni-8", "eni-0", "eni-1"]);
    }
}
