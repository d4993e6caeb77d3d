//! What goes out: heartbeats, at their interval and at once when there is news.

use super::event::Shutdown;
use super::group::Group;
use super::heartbeat::{Echo, Heartbeat};
use super::node::{LinkId, NodeId, NodeSet};
use super::peer::Peer;
use super::settings::BACK_IN;
use super::time::Time;
use super::{Cluster, Command};

impl Cluster {
    pub(super) fn send_due(&mut self, now: Time) {
        let urgent = std::mem::take(&mut self.out.urgent);
        for at in 0..self.peers.len() {
            let peer = &mut self.peers[at];
            let asks = peer.wants_asking(now, &self.settings);
            let ask_due = asks && now.since(peer.asked_at) >= Peer::ask_interval(&self.settings);
            if ask_due {
                peer.asked_at = now;
            }
            if urgent || ask_due || now >= peer.next_send {
                self.send_to(at, None, now);
            }
        }
    }

    /// Sends a heartbeat to one peer, over every link.
    pub(super) fn send_to(&mut self, at: usize, echo: Option<Echo>, now: Time) {
        let base = self.heartbeat(self.peers[at].id, now);
        let peer = &mut self.peers[at];
        // A plain answer to an unknown session does not stand for the regular heartbeat.
        if now >= peer.next_send {
            let on_time = peer.next_send + self.settings.interval;
            peer.next_send = if on_time > now { on_time } else { now + self.settings.interval };
        }
        for link in (0..self.settings.links).map(LinkId) {
            let mut beat = base.clone();
            peer.address(&mut beat, link, echo, now);
            self.out.commands.push_back(Command::Send(Box::new(beat)));
        }
    }

    fn heartbeat(&self, to: NodeId, now: Time) -> Heartbeat {
        let cx = self.context(now);
        let mut hears = NodeSet::default();
        for peer in self.peers.iter().filter(|peer| peer.heard(now, &self.settings)) {
            hears.insert(peer.id);
        }
        let farewell = self.leaving.filter(|leaving| leaving.farewell.is_some()).map(|leaving| leaving.how);
        let asks = self
            .peers
            .iter()
            .any(|peer| peer.id == to && peer.late(now, &self.settings) && !peer.back_soon(now));
        let member = |group: &&Group| group.settings(&cx).nodes.contains(&self.settings.me);
        Heartbeat {
            from: self.settings.me,
            to,
            link: LinkId(0),
            session: self.session,
            sequence: 0,
            nonce: 0,
            echo: None,
            sent_us: now.as_nanos() / 1000,
            reply: None,
            ask: asks || farewell.is_some(),
            goodbye: farewell == Some(Shutdown::Stop),
            back_in: (farewell == Some(Shutdown::Restart)).then_some(BACK_IN),
            farewell_seen: false,
            hears,
            config_hash: self.settings.config_hash,
            instance: self.identity.as_ref().map(|(instance, _)| instance.clone()),
            interfaces: self.identity.as_ref().map(|(_, all)| all.clone()).unwrap_or_default(),
            groups: self.groups.iter().filter(member).map(|group| group.report(to, &cx)).collect(),
        }
    }
}
