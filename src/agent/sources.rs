//! Who sends to our port, and with what success: a table as large as the configuration, however many
//! addresses send however much.

use std::net::IpAddr;

use crate::cluster::{LinkId, NodeId, Time};
use crate::wire::DecodeError;

/// What came from each configured address, and from all others together.
#[derive(Clone, Debug)]
pub struct Sources {
    peers: Vec<Source>,
    others: Counts,
}

#[derive(Clone, Debug)]
struct Source {
    node: NodeId,
    link: LinkId,
    address: IpAddr,
    counts: Counts,
}

/// What came from one source.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Heartbeats that could be read.
    pub accepted: u64,
    /// Datagrams without a valid signature: noise, or a node with other keys or another major version.
    pub unauthenticated: u64,
    /// Datagrams with a valid signature that were refused all the same.
    pub refused: u64,
    /// When the last heartbeat was accepted.
    pub last_accepted: Option<Time>,
    /// When a datagram was last not accepted, and why.
    pub last_error: Option<(Time, DecodeError)>,
}

impl Counts {
    /// Whether the last datagram was not signed as it should be. For the address of a peer that is not heard
    /// this is "sends, but does not authenticate", which is something else than dead. (Of one that is heard
    /// it says nothing: anyone can send garbage under its address.)
    pub fn sends_unauthenticated(&self) -> bool {
        self.last_error.as_ref().is_some_and(|(at, error)| {
            !error.is_authenticated() && self.last_accepted.is_none_or(|accepted| accepted < *at)
        })
    }
}

impl Sources {
    /// A table for these addresses of peers.
    pub fn new(peers: impl IntoIterator<Item = (NodeId, LinkId, IpAddr)>) -> Self {
        let source = |(node, link, address)| Source { node, link, address, counts: Counts::default() };
        Self { peers: peers.into_iter().map(source).collect(), others: Counts::default() }
    }

    /// Notes what became of a datagram. Returns whose address the sender's is, if it is a peer's: a claim,
    /// unless the outcome is good.
    pub fn note(
        &mut self,
        from: IpAddr,
        outcome: Result<(), DecodeError>,
        now: Time,
    ) -> Option<(NodeId, LinkId)> {
        let peer = self.peers.iter_mut().find(|peer| peer.address == from);
        let whose = peer.as_ref().map(|peer| (peer.node, peer.link));
        let counts = peer.map_or(&mut self.others, |peer| &mut peer.counts);
        match outcome {
            Ok(()) => {
                counts.accepted += 1;
                counts.last_accepted = Some(now);
            }
            Err(error) => {
                if error.is_authenticated() {
                    counts.refused += 1;
                } else {
                    counts.unauthenticated += 1;
                }
                counts.last_error = Some((now, error));
            }
        }
        whose
    }

    /// What came from a peer's address on a link; `None` if it is not in the table.
    pub fn peer(&self, node: NodeId, link: LinkId) -> Option<&Counts> {
        self.peers.iter().find(|peer| (peer.node, peer.link) == (node, link)).map(|peer| &peer.counts)
    }

    /// What came from all addresses that are no peer's.
    pub fn others(&self) -> &Counts {
        &self.others
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    fn address(n: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(n))
    }

    #[test]
    fn garbage_from_everywhere_fills_one_bucket() {
        let mut sources = Sources::new([(NodeId(1), LinkId(0), address(1))]);
        for n in 0..100_000 {
            sources.note(address(n), Err(DecodeError::BadTag), Time::ZERO);
        }
        assert_eq!(sources.peers.len(), 1);
        assert_eq!(sources.others().unauthenticated, 99_999);
        assert_eq!(sources.peer(NodeId(1), LinkId(0)).unwrap().unauthenticated, 1);
        assert_eq!(sources.peer(NodeId(1), LinkId(1)), None);
    }

    #[test]
    fn peer_that_does_not_authenticate_is_told_apart() {
        let mut sources = Sources::new([(NodeId(1), LinkId(0), address(1))]);
        let (peer, link) = (NodeId(1), LinkId(0));
        let mut now = Time::ZERO;
        let mut after = |outcome| {
            now += Duration::from_secs(1);
            assert_eq!(sources.note(address(1), outcome, now), Some((peer, link)));
            sources.peer(peer, link).unwrap().sends_unauthenticated()
        };
        assert!(after(Err(DecodeError::BadTag)));
        assert!(!after(Ok(())));
        assert!(after(Err(DecodeError::UnknownKey(3))));
        assert!(!after(Err(DecodeError::Cluster("other".to_owned()))));
        let counts = sources.peer(peer, link).unwrap();
        assert_eq!((counts.accepted, counts.unauthenticated, counts.refused), (1, 2, 1));
        assert_eq!(counts.last_accepted, Some(Time::from_nanos(2_000_000_000)));
    }
}
