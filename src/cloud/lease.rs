//! The lease: a time-bound right to be active, one item per group in a table that both nodes can write to on a
//! condition. What follows from it is `cluster::lease`'s matter; here it is read and written.

use super::Answer;

/// The attribute that is the table's partition key, a string.
pub const KEY: &str = "group";

/// The table, as this node reaches it. Every call ends within its own bound, and none is retried inside: when an
/// attempt began decides what a lease is worth.
pub trait LeaseTable: Send + Sync {
    /// What stands there for a group, at least as new as every write that was answered before this call. `None`:
    /// nothing ever has.
    fn read<'a>(&'a self, group: &'a str) -> Answer<'a, Option<LeaseItem>>;
    /// Writes the group's item if it has this nonce (`None`: if there is none). Else it fails with
    /// [`ErrorKind::Conflict`](super::ErrorKind::Conflict) and says who was faster, unless what stands there is
    /// `item` itself: then an attempt before this one has landed, and that is success.
    fn write<'a>(&'a self, group: &'a str, expect: Option<u64>, item: &'a LeaseItem) -> Answer<'a, ()>;
}

/// One group's item. `group` is "CLUSTER/GROUP".
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LeaseItem {
    /// `owner` (string): the name of the node that holds the lease; absent: it was given back.
    pub owner: Option<String>,
    /// `nonce` (string, 16 hexadecimal digits): new with each write that is not the repetition of one.
    pub nonce: u64,
    /// `term` (number): the owner's.
    pub term: u64,
    /// `length` (number): how long it lasts, in milliseconds.
    pub length_ms: u64,
    /// `written-at` (string): the writer's wall clock, for people only. Nothing is concluded from it.
    pub written_at: String,
}

/// The command that makes the table.
pub fn creation(table: &str, region: &str) -> String {
    format!(
        "aws dynamodb create-table --region {region} --table-name {table} --billing-mode PAY_PER_REQUEST \
         --attribute-definitions AttributeName={KEY},AttributeType=S \
         --key-schema AttributeName={KEY},KeyType=HASH"
    )
}
