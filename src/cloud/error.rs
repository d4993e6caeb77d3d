//! How a call to EC2 fails, in the words that the decision and the operator need.

use std::fmt;

/// What kind of failure it was: this decides what happens next.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorKind {
    /// RequestLimitExceeded and its like: to be retried with back-off and jitter.
    Throttled,
    /// UnauthorizedOperation, AuthFailure and their like: not retried; names the missing action.
    Denied,
    /// There are no credentials, or they have expired.
    Credentials,
    /// The id is not known, or there is no such route.
    NotFound,
    /// Somebody else was faster: Resource.AlreadyAssociated, RouteAlreadyExists and their like.
    Conflict,
    /// The request is against a rule of EC2 (an address outside the subnet, a limit): not retried.
    Invalid,
    /// The endpoint could not be reached: the request was certainly not carried out.
    Unreachable,
    /// No (complete) answer within the bound, or a 5xx: the request may have been carried out.
    NoAnswer,
}

/// A failed call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CloudError {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// The action, in EC2's word ("AssociateAddress").
    pub action: &'static str,
    /// AWS's error code, if there was one.
    pub code: Option<String>,
    /// AWS's request id, if there was one.
    pub request_id: Option<String>,
    /// AWS's own message, or the transport's.
    pub message: String,
}

impl CloudError {
    /// A failure without AWS's words.
    pub fn new(kind: ErrorKind, action: &'static str, message: impl Into<String>) -> Self {
        Self { kind, action, code: None, request_id: None, message: message.into() }
    }

    /// Whether EC2 may have carried the request out in spite of this error.
    pub fn may_have_acted(&self) -> bool {
        self.kind == ErrorKind::NoAnswer
    }
}

impl fmt::Display for CloudError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            ErrorKind::Throttled => "was throttled",
            ErrorKind::Denied => "was denied",
            ErrorKind::Credentials => "has no valid credentials",
            ErrorKind::NotFound => "names what EC2 does not know",
            ErrorKind::Conflict => "came second",
            ErrorKind::Invalid => "was refused",
            ErrorKind::Unreachable => "did not reach EC2",
            ErrorKind::NoAnswer => "got no answer",
        };
        write!(f, "{} {what}: {}", self.action, self.message)?;
        if let Some(code) = &self.code {
            write!(f, " [{code}]")?;
        }
        if let Some(id) = &self.request_id {
            write!(f, " (request {id})")?;
        }
        if self.kind == ErrorKind::Denied {
            write!(f, " (allow ec2:{} in this node's IAM role)", self.action)?;
        }
        Ok(())
    }
}

impl std::error::Error for CloudError {}
