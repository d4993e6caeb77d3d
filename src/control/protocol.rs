//! What an operator's tool and the agent say to each other: one JSON object per line, each way.
//!
//! ```text
//! -> {"version":1,"request":"status"}
//! <- {"answer":"status", …}
//! ```
//!
//! The version rule: within one [`VERSION`] fields are added and never change their meaning; a reader
//! skips what it does not know. All durations are in the unit that ends their name; ages count back from
//! the moment of the answer. Nodes and groups go by the names of the configuration file.

mod checks;
mod instances;
mod nodes;

use serde::{Deserialize, Serialize};

pub use checks::Check;
pub use instances::{Fence, Recovery};
pub use nodes::{Link, Node};

/// The version of requests, answers and of the JSON of `standin status --json`.
pub const VERSION: u32 = 1;

/// A request with its version, as one line.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Ask {
    /// [`VERSION`] of who asks.
    pub version: u32,
    /// What is asked.
    #[serde(flatten)]
    pub request: Request,
}

/// What can be asked of an agent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// Is anyone there?
    Ping,
    /// Everything that this node knows.
    Status,
    /// Hand the group over, to this node or to the best one.
    Switchover {
        /// Which group.
        group: String,
        /// To which node.
        #[serde(default)]
        to: Option<String>,
    },
    /// Maintenance of the group on every node, on or off.
    Maintenance {
        /// Which group.
        group: String,
        /// On or off.
        on: bool,
    },
    /// This node is not to be active for the group, or may be again.
    Standby {
        /// Which group.
        group: String,
        /// On or off.
        on: bool,
    },
    /// Forget the service's failures on this node: it is no longer barred.
    Cleanup {
        /// Which group.
        group: String,
    },
}

/// What an agent answers.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Response {
    /// Someone is there.
    Pong {
        /// [`VERSION`] of the agent.
        version: u32,
        /// Its node.
        node: String,
        /// Its process.
        pid: u32,
    },
    /// The answer to [`Request::Status`].
    Status(Box<Status>),
    /// The wish is passed on; its effect shows in `status`.
    Accepted,
    /// The request cannot be understood or carried out.
    Refused {
        /// Why, and what to do.
        why: String,
    },
}

/// Everything that one node knows.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Status {
    /// [`VERSION`].
    pub version: u32,
    /// The node's wall clock, RFC 3339, UTC. For people only.
    pub at: String,
    /// The cluster's name.
    pub cluster: String,
    /// This node's name.
    pub node: String,
    /// Whether nothing needs anyone's attention; else `problems` says what does.
    pub well: bool,
    /// What is not well, each in one sentence.
    pub problems: Vec<String>,
    /// The groups, in the order of the file.
    pub groups: Vec<Group>,
    /// The nodes, in the order of the file, this one among them.
    pub nodes: Vec<Node>,
    /// The last error of each call to EC2, IMDS and hooks, latest first.
    pub errors: Vec<CallError>,
    /// The last takeovers by this node, latest first.
    pub takeovers: Vec<Takeover>,
    /// The process.
    pub agent: Agent,
}

/// One group, as this node sees it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Whether this node is one of its nodes. If not, only `active` and `members` mean anything.
    pub member: bool,
    /// Its nodes, in order of preference.
    pub members: Vec<String>,
    /// The nodes that are active, as far as this node hears: itself, and each peer that says so. One is
    /// right; none or two is a moment, or a fault.
    pub active: Vec<String>,
    /// This node's part: "active" or "standby".
    pub role: String,
    /// For how long.
    pub since_ms: u64,
    /// The row of the decision table that made it so.
    pub row: u8,
    /// Why, in one sentence.
    pub reason: String,
    /// The row that is in force now.
    pub row_now: u8,
    /// That row's situation in one sentence.
    pub situation: String,
    /// For how long it is in force.
    pub row_now_ms: u64,
    /// This node's term.
    pub term: u64,
    /// What is known of the anchor.
    pub anchor: Anchor,
    /// Every resource, the anchor among them, in the order of the file.
    pub resources: Vec<Resource>,
    /// Whether a takeover would work now.
    pub takeover: Takeable,
    /// The node whose silence would count.
    pub armed: Option<String>,
    /// Maintenance.
    pub maintenance: bool,
    /// An operator has set this node to standby.
    pub standby: bool,
    /// Whether the service is fit here.
    pub fit: bool,
    /// How often the service has failed here, until cleanup or failure-timeout.
    #[serde(default)]
    pub fail_count: u32,
    /// Whether it has failed so often that it is barred from this node.
    #[serde(default)]
    pub barred: bool,
    /// How it is made sure that a lost node does not run: "none", "before", "alongside".
    pub fencing: String,
    /// The fencing that is under way, or has failed.
    #[serde(default)]
    pub fence: Option<Fence>,
    /// The lease that owns the group; `None`: the anchor's holder does.
    #[serde(default)]
    pub lease: Option<Lease>,
    /// What this node does about the group's world: "serve", "serve, change nothing in EC2", "standby";
    /// nothing yet after a start.
    pub desired: Option<String>,
    /// Whether that is reached.
    pub reached: bool,
    /// What keeps it from being reached, or went wrong on the way.
    pub failing: Vec<String>,
    /// The last hooks, latest first.
    pub hooks: Vec<Hook>,
    /// What is asked on this node again and again, in the order of the file.
    #[serde(default)]
    pub checks: Vec<Check>,
}

/// What is known of the anchor.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Anchor {
    /// The resource's name.
    pub resource: String,
    /// Who holds it, as the decision sees it: a node's name, "nobody", "an orphan", "a stranger", "unknown".
    pub owner: String,
    /// Whether EC2's word is settled against the last change.
    pub settled: bool,
    /// Who held it in the last good read, in the same words.
    pub read: Option<String>,
    /// How long ago the request of that read was sent.
    pub read_age_ms: Option<u64>,
    /// How many reads in a row have failed.
    pub failed_reads: u32,
}

/// A group's lease, in DynamoDB.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Lease {
    /// Whose it is, as far as the table was read: a node's name, "nobody", "a stranger", "unknown".
    pub owner: String,
    /// It is this node's: for how long it may still serve if DynamoDB does not renew it.
    pub valid_for_ms: Option<u64>,
    /// It is another node's: when this node may take it if it is not renewed; 0: it has run out.
    pub expires_in_ms: Option<u64>,
    /// How long ago the table was last read, or written by this node.
    pub read_age_ms: Option<u64>,
    /// How many calls in a row DynamoDB did not answer, or refused.
    pub failed_calls: u32,
}

/// One resource, according to EC2.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Resource {
    /// Its name.
    pub name: String,
    /// "elastic-ip", "private-ip" or "route".
    pub kind: String,
    /// Whether it is the anchor.
    pub anchor: bool,
    /// Who holds it: a node's name, "nobody", or an id that is no node's; `None`: not read yet.
    pub holder: Option<String>,
    /// How long ago that was read, or taken by this node.
    pub age_ms: Option<u64>,
    /// What is not as it should be.
    pub problem: Option<String>,
}

/// Whether a takeover would work now: by this node if it is standby, by a peer if it is active.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Takeable {
    /// Yes or no.
    pub works: bool,
    /// Because.
    pub because: String,
    /// The nodes that could take the group now, as they say.
    pub by: Vec<String>,
}

/// How a hook went.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Hook {
    /// "promote" or "demote".
    pub event: String,
    /// The program.
    pub program: String,
    /// Whether it ended with 0.
    pub ok: bool,
    /// How it ended, in words.
    pub end: String,
    /// How long it took.
    pub took_us: u64,
    /// How long ago it ended.
    pub age_ms: u64,
}

/// The last error of one kind of call.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct CallError {
    /// The call: EC2's action, "IMDS", "hook", "guest address".
    pub call: String,
    /// The whole text: what happened, AWS's code and request id, the remedy where one is known.
    pub text: String,
    /// How long ago it was seen last.
    pub age_ms: u64,
    /// How often since the agent started.
    pub count: u64,
    /// Whether the same call has worked since.
    pub over: bool,
}

/// What a takeover took, each counted from the moment at which the need was seen.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Takeover {
    /// Which group.
    pub group: String,
    /// The wall clock when it became active.
    pub at: String,
    /// "silence of ivr-a" or "decision": what the clock starts with.
    pub from: String,
    /// The taking call was handed to the client.
    pub take_sent_us: u64,
    /// EC2 confirmed it.
    pub take_answered_us: u64,
    /// Every other resource was EC2's word (or had failed).
    pub rest_done_us: Option<u64>,
    /// The guest's addresses were set up.
    pub guest_done_us: Option<u64>,
    /// The promote hooks had ended.
    pub hooks_done_us: Option<u64>,
}

/// The process.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Agent {
    /// The program's version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Its session, in hexadecimal.
    pub session: String,
    /// How long it runs.
    pub up_ms: u64,
    /// How often it did not run for an interval or more.
    pub stalls: u64,
    /// Hash of the effective configuration, in hexadecimal.
    pub config_hash: String,
    /// The interval of heartbeats.
    pub interval_ms: u64,
    /// Silence after which a peer is late.
    pub warn_after_ms: u64,
    /// Silence after which a peer is lost.
    pub dead_after_ms: u64,
    /// The first dead-after.
    pub first_dead_after_ms: u64,
    /// Datagrams from addresses that are no node's.
    pub foreign_datagrams: u64,
    /// Lines of the recording that were left out because the disk was too slow.
    pub recording_dropped: u64,
    /// Where it records, if it does.
    pub recording: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_the_lines_that_are_documented() {
        let ask = |request| serde_json::to_string(&Ask { version: 1, request }).unwrap();
        assert_eq!(ask(Request::Status), r#"{"version":1,"request":"status"}"#);
        assert_eq!(
            ask(Request::Maintenance { group: "ivr".into(), on: true }),
            r#"{"version":1,"request":"maintenance","group":"ivr","on":true}"#
        );
        assert_eq!(
            ask(Request::Cleanup { group: "ivr".into() }),
            r#"{"version":1,"request":"cleanup","group":"ivr"}"#
        );
    }

    #[test]
    fn what_a_later_version_adds_is_skipped() {
        let line = r#"{"version":1,"request":"switchover","group":"ivr","why":"new field"}"#;
        let ask: Ask = serde_json::from_str(line).unwrap();
        assert_eq!(ask.request, Request::Switchover { group: "ivr".into(), to: None });
    }
}
