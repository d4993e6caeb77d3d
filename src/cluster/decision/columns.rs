//! The columns of the table, and the words of an action: `docs/decision-table.md` is printed from them.

use std::fmt;

use super::{Action, Row, TakeFrom};

/// What a row says of itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Columns {
    /// What EC2 says of the anchor.
    pub anchor: &'static str,
    /// What is known of peers or holder.
    pub known: &'static str,
    /// This node's role.
    pub i_am: &'static str,
    /// What follows.
    pub action: &'static str,
}

impl Row {
    /// Its columns in the table.
    pub const fn columns(self) -> Columns {
        let (anchor, known, i_am, action) = match self {
            Self::Maintenance => ("any", "the group is in maintenance", "any", "report, change nothing"),
            Self::NotSettled => (
                "not settled",
                "any",
                "any",
                "keep what runs; in EC2 only the takes of rows 6, 11, 13 and 15 to 17; offers of rows 4 and 10",
            ),
            Self::Serve => ("mine", "any; service fit", "active", "serve, repair the rest"),
            Self::Barred => ("mine or unknown", "any; service barred", "active", "offer"),
            Self::Yield => (
                "another's; or unknown",
                "any; if unknown: a peer is active with a higher term, and has the anchor from EC2",
                "active",
                "yield, disarmed",
            ),
            Self::Retake => ("nobody's, orphaned", "any", "active", "take at once"),
            Self::ServeBlind => ("unknown", "a peer heard", "active", "serve, change nothing in EC2"),
            Self::Isolated => (
                "unknown for 30 s; or any but theirs",
                "none heard; or my lease has lapsed",
                "active",
                "`when-isolated`: keep or release; lapsed: release",
            ),
            Self::OwnAnchor => ("mine", "any; fit", "standby", "become active"),
            Self::OwnUnfit => (
                "mine",
                "any; not fit",
                "standby",
                "after first-dead-after: offer; nobody heard could take it: become active",
            ),
            Self::Offered => ("theirs", "holder offers to me, active or not", "standby", "GATE, take"),
            Self::Watch => ("theirs", "holder heard, active", "standby", "arm; watch"),
            Self::HolderIdle => (
                "theirs",
                "holder heard, not active",
                "standby",
                "wait for it or its offer; after first-dead-after: GATE, take",
            ),
            Self::BackSoon => ("theirs", "holder said \"back in 10 s\", not over", "standby", "wait"),
            Self::Proof => ("theirs", "proof", "standby", "GATE, take"),
            Self::Silent => (
                "theirs",
                "silent and armed; with three and more nodes also: a majority heard, and nobody hears the holder",
                "standby",
                "`when-silent`: GATE and take (default), probe, or hold; with a lease wait",
            ),
            Self::CounterAtRest => (
                "theirs",
                "not heard, and row 16 does not match",
                "standby",
                "counter at rest, and a tag write of my own answered: as 16; else wait",
            ),
            Self::Free => ("nobody's, orphaned; an expired lease", "any", "standby", "GATE, take"),
            Self::Stranger => ("a stranger's", "any", "standby", "alarm; an operator may force the takeover"),
            Self::Unknown => ("unknown", "any", "standby", "read again"),
        };
        Columns { anchor, known, i_am, action }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "change nothing",
            Self::Serve { repair: true } => "serve, repair the rest",
            Self::Serve { repair: false } => "serve, change nothing in EC2",
            Self::Yield => "yield",
            Self::Become => "become active",
            Self::Take(TakeFrom::Nobody) => "take, in a call that fails if somebody was faster",
            Self::Take(TakeFrom::Anyone) => "take",
            Self::Offer => "offer the group",
            Self::Wait => "wait",
            Self::Alarm => "wait, raise an alarm",
            Self::Release => "stop serving",
        })
    }
}
