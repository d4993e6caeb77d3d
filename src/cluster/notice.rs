//! What the core tells the operator: short sentences with a stable name each.

use serde::{Deserialize, Serialize};

use super::decision::Row;
use super::node::GroupId;
use super::time::Time;

/// One sentence.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notice {
    /// When.
    pub at: Time,
    /// How loud.
    pub level: Level,
    /// A stable name, for filters ("role-changed").
    pub id: &'static str,
    /// About which group, if about one.
    pub group: Option<GroupId>,
    /// The row of the decision table that was in force.
    pub row: Option<Row>,
    /// The sentence; `{node N}` stands for the name of node N.
    pub text: String,
}

/// How loud a notice is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Level {
    /// A change that matters.
    Info,
    /// Somebody should look.
    Warn,
    /// Somebody has to act.
    Alarm,
}
