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
        let (service, prefix) = service(self.action);
        write!(f, "{} ", self.action)?;
        match self.kind {
            ErrorKind::Throttled => f.write_str("was throttled")?,
            ErrorKind::Denied => f.write_str("was denied")?,
            ErrorKind::Credentials => f.write_str("has no valid credentials")?,
            ErrorKind::NotFound => write!(f, "names what {service} does not know")?,
            ErrorKind::Conflict => f.write_str("came second")?,
            ErrorKind::WrongState => f.write_str("came at the wrong moment")?,
            ErrorKind::Invalid => f.write_str("was refused")?,
            ErrorKind::Unreachable => write!(f, "did not reach {service}")?,
            ErrorKind::NoAnswer => f.write_str("got no answer")?,
        }
        write!(f, ": {}", self.message)?;
        if let Some(code) = &self.code {
            write!(f, " [{code}]")?;
        }
        if let Some(id) = &self.request_id {
            write!(f, " (request {id})")?;
        }
        if self.kind == ErrorKind::Denied {
            write!(f, " (allow {prefix}:{} in this node's IAM role)", self.action)?;
        }
        Ok(())
    }
}

/// Whose action it is, and its prefix in IAM.
fn service(action: &str) -> (&'static str, &'static str) {
    match action {
        "GetItem" | "PutItem" => ("DynamoDB", "dynamodb"),
        _ => ("EC2", "ec2"),
    }
}

impl std::error::Error for CloudError {}
