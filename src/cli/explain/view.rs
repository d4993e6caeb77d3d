//! What is explained, as the JSON document that `--json` prints. Within a version fields are only added.

use serde::Serialize;

/// The document.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Explained {
    /// 1.
    pub(super) version: u32,
    pub(super) cluster: String,
    /// Whose recording it is.
    pub(super) node: String,
    /// What was passed over when the recording was read.
    pub(super) notes: Vec<String>,
    /// One, if a time was asked for; else one per group.
    pub(super) moments: Vec<Moment>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Moment {
    /// UTC.
    pub(super) at: String,
    /// Nanoseconds since boot.
    pub(super) boot_ns: u64,
    /// What has to be said of this moment.
    pub(super) notes: Vec<String>,
    pub(super) groups: Vec<Group>,
    pub(super) nodes: Vec<Node>,
    /// The minute before.
    pub(super) events: Vec<Event>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Group {
    pub(super) name: String,
    /// Those that say they are active, this node among them.
    pub(super) active: Vec<String>,
    pub(super) role: &'static str,
    pub(super) role_since: String,
    pub(super) role_ms: u64,
    pub(super) because_row: u8,
    pub(super) because: String,
    pub(super) row: u8,
    pub(super) situation: String,
    pub(super) row_since: String,
    pub(super) row_ms: u64,
    pub(super) term: u64,
    pub(super) anchor: Anchor,
    /// The node whose silence would count.
    pub(super) armed: Option<String>,
    /// The holder's counter stands still.
    pub(super) counter_at_rest: bool,
    pub(super) gate: Option<String>,
    pub(super) gate_ms: Option<u64>,
    pub(super) ineligible: Option<String>,
    pub(super) takers: Vec<String>,
    pub(super) maintenance: bool,
    pub(super) standby: bool,
    pub(super) fit: bool,
    /// What the world of this node was to be.
    pub(super) wanted: Option<&'static str>,
    pub(super) reached: bool,
    /// What it waited for.
    pub(super) next: String,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Anchor {
    pub(super) resource: String,
    /// What counts.
    pub(super) owner: Option<String>,
    pub(super) settled: bool,
    /// What EC2 last said.
    pub(super) read: Option<String>,
    pub(super) read_age_ms: Option<u64>,
    pub(super) failed_reads: u32,
    pub(super) counter: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) silent_ms: u64,
    pub(super) heard_ms: Option<u64>,
    pub(super) hears_us: Option<bool>,
    pub(super) instance: Option<String>,
    /// What EC2 said of its instance.
    pub(super) ec2: Option<&'static str>,
    pub(super) ec2_age_ms: Option<u64>,
    /// What it last said.
    pub(super) said: Vec<Said>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Said {
    pub(super) group: String,
    pub(super) role: &'static str,
    pub(super) term: u64,
    pub(super) eligible: bool,
    pub(super) fit: bool,
    pub(super) owner: Option<String>,
    pub(super) fail_count: u32,
    pub(super) offers: bool,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Event {
    /// UTC.
    pub(super) at: String,
    pub(super) group: Option<String>,
    pub(super) text: String,
}
