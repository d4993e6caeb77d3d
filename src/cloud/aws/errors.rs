//! The SDK's failures, in our words. The codes are those of "Error codes for the Amazon EC2 API" and of "Error
//! handling with DynamoDB"; where EC2 is known to answer something else than that page says, the place is named.

use std::error::Error;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::cloud::{CloudError, ErrorKind};

/// The failure of a call. `sent`: whether the request had been handed to the connection.
pub(super) fn from_sdk<E>(action: &'static str, sent: bool, error: SdkError<E, HttpResponse>) -> CloudError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let request_id = error
        .request_id()
        .map(str::to_owned)
        .or_else(|| request_id_in(error.raw_response()?.body().bytes().unwrap_or_default()));
    let status = error.raw_response().map(|it| it.status().as_u16());
    let code = error.code().map(str::to_owned);
    let message = error.message().map(str::to_owned);
    if let Some(code) = code {
        let message = message.unwrap_or_default();
        let kind = kind_of_code(action, &code, &message, status);
        return CloudError { kind, action, code: Some(code), request_id, message };
    }
    let kind = match status {
        Some(429) => ErrorKind::Throttled,
        Some(401 | 403) => ErrorKind::Denied,
        Some(400..=499) => ErrorKind::Invalid,
        // Also an answer of 200 that ends early or cannot be read: the request was carried out.
        Some(_) => ErrorKind::NoAnswer,
        None => kind_without_answer(sent, &error),
    };
    let mut message = chain(&error);
    if let Some(status) = status {
        message = format!("HTTP status {status}: {message}");
    }
    if kind == ErrorKind::Credentials {
        message.push_str(
            "; give the instance an IAM role, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        );
    }
    CloudError { kind, action, code: None, request_id, message }
}

/// Our own bound was over before the SDK had said anything. `keys`: whether there were credentials to sign
/// a request with.
pub(super) fn timed_out(action: &'static str, sent: bool, keys: bool, bound: Duration) -> CloudError {
    let bound = humantime::format_duration(bound);
    let (kind, message) = match (sent, keys) {
        (true, _) => (ErrorKind::NoAnswer, format!("nothing within {bound}")),
        (false, true) => (ErrorKind::Unreachable, format!("no connection within {bound}")),
        (false, false) => {
            let message = format!("their source (instance metadata, say) gave none within {bound}");
            (ErrorKind::Credentials, message)
        }
    };
    CloudError::new(kind, action, message)
}

fn kind_without_answer<E>(sent: bool, error: &SdkError<E, HttpResponse>) -> ErrorKind
where
    E: Error + Send + Sync + 'static,
{
    if find::<CredentialsError>(error).is_some() {
        return ErrorKind::Credentials;
    }
    let connecting = find::<hyper_util::client::legacy::Error>(error).is_some_and(|it| it.is_connect());
    if connecting || !sent { ErrorKind::Unreachable } else { ErrorKind::NoAnswer }
}

fn kind_of_code(action: &str, code: &str, message: &str, status: Option<u16>) -> ErrorKind {
    let code = code.strip_prefix("Client.").or_else(|| code.strip_prefix("Server.")).unwrap_or(code);
    match code {
        "RequestLimitExceeded"
        | "EC2ThrottledException"
        | "TooManyRequestsException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "ThrottledException"
        | "BandwidthLimitExceeded"
        | "PriorRequestNotComplete"
        | "ProvisionedThroughputExceededException"
        | "SlowDown" => ErrorKind::Throttled,
        // "There is an ongoing transaction" and "being modified by a request in another Region" (PutItem): not
        // carried out, to be repeated.
        "TransactionConflictException" | "ReplicatedWriteConflictException" => ErrorKind::Throttled,
        _ if code.starts_with("Throttling") => ErrorKind::Throttled,
        "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "InvalidAccessKeyId"
        | "MissingAuthenticationToken"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature" => ErrorKind::Credentials,
        // One code for two things: keys that are wrong, and an address that is not yours.
        "AuthFailure" if message.contains("credentials") => ErrorKind::Credentials,
        "UnauthorizedOperation"
        | "AuthFailure"
        | "AccessDenied"
        | "AccessDeniedException"
        | "Blocked"
        | "OptInRequired"
        | "PendingVerification" => ErrorKind::Denied,
        "Resource.AlreadyAssociated"
        | "Resource.AlreadyAssigned"
        | "RouteAlreadyExists"
        | "ConditionalCheckFailedException"
        | "InvalidIPAddress.InUse" => ErrorKind::Conflict,
        // AssignPrivateIpAddresses without AllowReassignment on a taken address: EC2 answers
        // InvalidParameterValue, "[10.0.0.9] assigned, but move is not allowed."
        "InvalidParameterValue" if message.contains("move is not allowed") => ErrorKind::Conflict,
        "InvalidParameterValue" if message.contains("already assigned") => ErrorKind::Conflict,
        // ReplaceRoute of a route that is not there: EC2 answers InvalidParameterValue, "There is no route
        // defined for …", not the InvalidRoute.NotFound of the page of codes.
        "InvalidParameterValue" if action == "ReplaceRoute" && message.contains("no route") => {
            ErrorKind::NotFound
        }
        // StopInstances while it starts, or after it was terminated: a read of its state tells which.
        "IncorrectInstanceState" | "IncorrectState" => ErrorKind::WrongState,
        "ResourceNotFoundException" => ErrorKind::NotFound,
        _ if code.ends_with("NotFound") => ErrorKind::NotFound,
        _ if status.is_some_and(|it| it >= 500) => ErrorKind::NoAnswer,
        _ => ErrorKind::Invalid,
    }
}

/// The SDK reads the request id from a header only; EC2 writes it into the body too.
fn request_id_in(body: &[u8]) -> Option<String> {
    let body = std::str::from_utf8(body).ok()?;
    let (_, rest) = body.split_once("<RequestID>")?;
    rest.split_once("</RequestID>").map(|(id, _)| id.to_owned())
}

/// The first error of this type in the chain.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    causes(error).find_map(|it| it.downcast_ref())
}

/// The chain of causes, outermost first; the SDK's outer ones say little alone ("dispatch failure").
pub(in crate::cloud) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in causes(error).map(ToString::to_string) {
        if parts.last() != Some(&part) {
            parts.push(part);
        }
    }
    parts.join(": ")
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |it| {
        let it: &'a (dyn Error + 'static) = *it;
        it.source()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_kinds() {
        let cases = [
            ("AssociateAddress", "RequestLimitExceeded", "", 503, ErrorKind::Throttled),
            ("AssociateAddress", "Client.RequestLimitExceeded", "", 400, ErrorKind::Throttled),
            ("AssociateAddress", "ThrottlingException", "", 400, ErrorKind::Throttled),
            ("AssociateAddress", "EC2ThrottledException", "", 400, ErrorKind::Throttled),
            ("ReplaceRoute", "UnauthorizedOperation", "", 403, ErrorKind::Denied),
            ("ReplaceRoute", "AuthFailure", "The address does not belong to you.", 401, ErrorKind::Denied),
            ("ReplaceRoute", "AuthFailure", "the provided access credentials", 401, ErrorKind::Credentials),
            ("ReplaceRoute", "ExpiredToken", "", 400, ErrorKind::Credentials),
            ("ReplaceRoute", "RequestExpired", "", 400, ErrorKind::Credentials),
            ("AssociateAddress", "InvalidAllocationID.NotFound", "", 400, ErrorKind::NotFound),
            ("AssociateAddress", "Resource.AlreadyAssociated", "", 400, ErrorKind::Conflict),
            ("CreateRoute", "RouteAlreadyExists", "", 400, ErrorKind::Conflict),
            ("ReplaceRoute", "InvalidRoute.NotFound", "", 400, ErrorKind::NotFound),
            (
                "ReplaceRoute",
                "InvalidParameterValue",
                "There is no route defined for '10.9.0.0/16'",
                400,
                ErrorKind::NotFound,
            ),
            ("CreateRoute", "InvalidParameterValue", "There is no route defined", 400, ErrorKind::Invalid),
            (
                "AssignPrivateIpAddresses",
                "InvalidParameterValue",
                "[10.0.1.100] assigned, but move is not allowed.",
                400,
                ErrorKind::Conflict,
            ),
            ("AssignPrivateIpAddresses", "PrivateIpAddressLimitExceeded", "", 400, ErrorKind::Invalid),
            (
                "StopInstances",
                "OperationNotPermitted",
                "Modify its 'disableApiStop'",
                400,
                ErrorKind::Invalid,
            ),
            ("StopInstances", "UnsupportedOperation", "You can't stop the Spot", 400, ErrorKind::Invalid),
            ("StopInstances", "InvalidInstanceID.NotFound", "", 400, ErrorKind::NotFound),
            ("StopInstances", "IncorrectInstanceState", "", 400, ErrorKind::WrongState),
            ("PutItem", "ConditionalCheckFailedException", "", 400, ErrorKind::Conflict),
            ("PutItem", "ProvisionedThroughputExceededException", "", 400, ErrorKind::Throttled),
            ("PutItem", "ThrottlingException", "", 400, ErrorKind::Throttled),
            ("PutItem", "RequestLimitExceeded", "", 400, ErrorKind::Throttled),
            ("PutItem", "TransactionConflictException", "", 400, ErrorKind::Throttled),
            ("GetItem", "ResourceNotFoundException", "", 400, ErrorKind::NotFound),
            ("GetItem", "AccessDeniedException", "", 400, ErrorKind::Denied),
            ("GetItem", "UnrecognizedClientException", "", 400, ErrorKind::Credentials),
            ("GetItem", "ValidationException", "", 400, ErrorKind::Invalid),
            ("PutItem", "InternalServerError", "", 500, ErrorKind::NoAnswer),
            ("AssociateAddress", "InternalError", "", 500, ErrorKind::NoAnswer),
            ("AssociateAddress", "Unavailable", "", 503, ErrorKind::NoAnswer),
        ];
        for (action, code, message, status, expected) in cases {
            assert_eq!(kind_of_code(action, code, message, Some(status)), expected, "{action} {code}");
        }
    }
}
