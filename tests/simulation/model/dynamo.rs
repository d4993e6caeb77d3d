//! DynamoDB, as far as a lease needs it: one item per group; reads are consistent, writes are conditional and
//! linear.

use std::time::Duration;

use standin::cluster::{Failure, GroupId, Lease, NodeId, Random, Time};

use super::ec2::History;
use super::illness::{Fate, Illnesses};
use crate::chance::{Chance, ms};

pub(crate) struct Dynamo {
    items: Vec<Option<Lease>>,
    /// Who owned each lease, over time.
    pub(crate) owners: Vec<History<Option<NodeId>>>,
    pub(crate) ill: Illnesses,
    latency: Duration,
    random: Random,
}

impl Dynamo {
    pub(crate) fn new(groups: u8, mut random: Random) -> Self {
        Self {
            items: vec![None; usize::from(groups)],
            owners: (0..groups).map(|_| History::new(None)).collect(),
            ill: Illnesses::default(),
            latency: random.pick(&[ms(4), ms(20), ms(100)]),
            random,
        }
    }

    pub(crate) fn fate(&mut self, node: NodeId, write: bool) -> Fate {
        self.ill.fate(node, write, self.latency, &mut self.random)
    }

    pub(crate) fn read(&self, group: GroupId) -> Option<Lease> {
        self.items[usize::from(group.0)]
    }

    /// Writes if this nonce stands there (`None`: if nothing does). The owner before.
    pub(crate) fn write(
        &mut self,
        group: GroupId,
        expect: Option<u64>,
        lease: Lease,
        now: Time,
    ) -> Result<Option<NodeId>, Failure> {
        let at = usize::from(group.0);
        let item = &mut self.items[at];
        if item.map(|item| item.nonce) != expect {
            return Err(Failure::Conflict);
        }
        let before = item.and_then(|item| item.owner);
        *item = Some(lease);
        self.owners[at].set(lease.owner, now);
        Ok(before)
    }
}
