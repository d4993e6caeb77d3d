//! Faults: what goes wrong for whom, how often and for how long. Pure, so that the simulator can use them
//! as the server does.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::ApiError;

/// A fault, as it is asked for.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "Written")]
pub struct FaultSpec {
    /// What goes wrong.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// EC2 or instance metadata.
    pub service: Service,
    /// The action ("AssociateAddress"), or the beginning of a path of instance metadata. A `*` at the end
    /// stands for anything; absent: every call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The instance's name or id; absent: every caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// It ends after this many calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// It ends after this many milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FaultKind {
    /// RequestLimitExceeded.
    Throttle,
    /// UnauthorizedOperation.
    Deny,
    /// Never an answer; nothing is done. With a caller and no action: the node is cut off.
    Hang,
    /// Done, but never an answer.
    HangAfter,
    /// The connection is closed, nothing is done.
    DropBefore,
    /// Done, and then the connection is closed without an answer.
    DropAfter,
    /// Half of it on the way there, half of it on the way back.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// Reads show a state that is at most so old.
    Stale {
        /// Milliseconds.
        ms: u64,
    },
    /// An HTTP error, nothing is done.
    Http {
        /// 500 (InternalError) or 503 (Unavailable); any status for instance metadata.
        status: u16,
    },
}

/// Which service.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// EC2.
    #[default]
    Ec2,
    /// Instance metadata.
    Imds,
}

/// A fault that is in force.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fault {
    /// Its number.
    pub id: u64,
    /// What was asked for.
    #[serde(flatten)]
    pub spec: FaultSpec,
    /// How many calls it has met.
    pub met: u64,
    #[serde(skip)]
    until: Option<Duration>,
}

/// The faults in force.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    last: u64,
    faults: Vec<Fault>,
}

/// What is to become of one call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// How much time the way there and back takes in all.
    pub delay: Duration,
    /// How stale a read may be, if not as usual.
    pub lag: Option<Duration>,
    /// What else goes wrong; `Delay` and `Stale` are never here.
    pub outcome: Option<FaultKind>,
}

impl Verdict {
    /// The refusal that this verdict is, if it is one.
    pub fn refusal(&self, action: &str, caller: &str) -> Option<ApiError> {
        match self.outcome.as_ref()? {
            FaultKind::Throttle => Some(ApiError::new("RequestLimitExceeded", "Request limit exceeded.")),
            FaultKind::Deny => {
                let message = format!(
                    "You are not authorized to perform this operation. {caller} is not authorized to perform: ec2:{action}"
                );
                Some(ApiError::new("UnauthorizedOperation", message))
            }
            FaultKind::Http { status: 503 } => {
                Some(ApiError::new("Unavailable", "The server is overloaded and can't handle the request."))
            }
            FaultKind::Http { .. } => Some(ApiError::new("InternalError", "An internal error has occurred.")),
            FaultKind::Hang
            | FaultKind::HangAfter
            | FaultKind::DropBefore
            | FaultKind::DropAfter
            | FaultKind::Delay { .. }
            | FaultKind::Stale { .. } => None,
        }
    }

    /// Whether the call is carried out.
    pub fn acts(&self) -> bool {
        matches!(self.outcome, None | Some(FaultKind::HangAfter | FaultKind::DropAfter))
    }
}

impl Faults {
    /// Puts a fault in force and answers its number.
    pub fn add(&mut self, spec: FaultSpec, now: Duration) -> u64 {
        self.last += 1;
        let until = spec.for_ms.map(|ms| now.saturating_add(Duration::from_millis(ms)));
        self.faults.push(Fault { id: self.last, spec, met: 0, until });
        self.last
    }

    /// Ends a fault. Answers whether it was in force.
    pub fn remove(&mut self, id: u64) -> bool {
        let before = self.faults.len();
        self.faults.retain(|it| it.id != id);
        before != self.faults.len()
    }

    /// Ends all.
    pub fn clear(&mut self) {
        self.faults.clear();
    }

    /// Those in force.
    pub fn list(&self) -> &[Fault] {
        &self.faults
    }

    /// What is to become of a call of `caller` (any of its names). Delays add up; of the others the oldest
    /// that matches counts.
    pub fn judge(&mut self, service: Service, caller: &[&str], action: &str, now: Duration) -> Verdict {
        self.faults.retain(|it| it.until.is_none_or(|until| now < until));
        let mut verdict = Verdict::default();
        for fault in &mut self.faults {
            if !fault.spec.meets(service, caller, action) {
                continue;
            }
            match &fault.spec.kind {
                FaultKind::Delay { ms } => {
                    verdict.delay = verdict.delay.saturating_add(Duration::from_millis(*ms));
                }
                FaultKind::Stale { ms } => verdict.lag = Some(Duration::from_millis(*ms)),
                FaultKind::Throttle
                | FaultKind::Deny
                | FaultKind::Hang
                | FaultKind::HangAfter
                | FaultKind::DropBefore
                | FaultKind::DropAfter
                | FaultKind::Http { .. } => {
                    if verdict.outcome.is_some() {
                        continue;
                    }
                    verdict.outcome = Some(fault.spec.kind.clone());
                }
            }
            fault.met += 1;
        }
        self.faults.retain(|it| it.spec.count.is_none_or(|count| it.met < count));
        verdict
    }
}

/// A fault as JSON has it: flat, and without keys that mean nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    kind: String,
    ms: Option<u64>,
    status: Option<u16>,
    #[serde(default)]
    service: Service,
    action: Option<String>,
    caller: Option<String>,
    count: Option<u64>,
    for_ms: Option<u64>,
}

impl TryFrom<Written> for FaultSpec {
    type Error = String;

    fn try_from(it: Written) -> Result<Self, String> {
        let ms = it.ms.ok_or_else(|| format!("kind \"{}\" needs \"ms\"", it.kind));
        let kind = match it.kind.as_str() {
            "throttle" => FaultKind::Throttle,
            "deny" => FaultKind::Deny,
            "hang" => FaultKind::Hang,
            "hang-after" => FaultKind::HangAfter,
            "drop-before" => FaultKind::DropBefore,
            "drop-after" => FaultKind::DropAfter,
            "delay" => FaultKind::Delay { ms: ms? },
            "stale" => FaultKind::Stale { ms: ms? },
            "http" => match it.status.unwrap_or(500) {
                status @ 400..=599 => FaultKind::Http { status },
                status => return Err(format!("status {status} is not one of an error")),
            },
            other => return Err(format!("there is no kind of fault \"{other}\"")),
        };
        let Written { service, action, caller, count, for_ms, .. } = it;
        Ok(Self { kind, service, action, caller, count, for_ms })
    }
}

impl FaultSpec {
    /// A fault of this kind for every call to EC2.
    pub fn new(kind: FaultKind) -> Self {
        Self { kind, service: Service::Ec2, action: None, caller: None, count: None, for_ms: None }
    }

    fn meets(&self, service: Service, caller: &[&str], action: &str) -> bool {
        let action_meets = match self.action.as_deref().map(|it| (it, it.strip_suffix('*'))) {
            None => true,
            Some((_, Some(beginning))) => action.starts_with(beginning),
            Some((whole, None)) => action == whole,
        };
        let caller_meets = self.caller.as_deref().is_none_or(|it| caller.contains(&it));
        self.service == service && action_meets && caller_meets
    }
}
