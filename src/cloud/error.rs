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
    /// Not possible in the present state of the instance (IncorrectInstanceState), and maybe in the next one.
    WrongState,
    /// The request is against a rule of the service (an address outside the subnet, a limit): not retried.
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
            ErrorKind::NotFound => "names what does not exist",
            ErrorKind::Conflict => "came second",
            ErrorKind::WrongState => "came at the wrong moment",
            ErrorKind::Invalid => "was refused",
            ErrorKind::Unreachable => "was not sent",
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
            write!(f, " (allow {}:{} in this node's IAM role)", service(self.action), self.action)?;
        }
        Ok(())
    }
}

/// The prefix of an action in IAM.
fn service(action: &str) -> &'static str {
    match action {
        "GetItem" | "PutItem" => "dynamodb",
        _ => "ec2",
    }
}

impl std::error::Error for CloudError {}
