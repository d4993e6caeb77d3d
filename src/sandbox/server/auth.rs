//! Who calls: Signature Version 4 in the Authorization header (IAM User Guide, "Create a signed AWS API
//! request"). The signature is verified; the date in it is not compared with the clock.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use http_body_util::BodyExt;
use hyper::Request;
use sha2::{Digest, Sha256};

use crate::sandbox::model::{ApiError, Random};

/// An access key, and whose it is.
#[derive(Clone, Debug)]
pub(super) struct AccessKey {
    /// "ASIA…" for an instance's role, "AKIA…" for the operator.
    pub(super) id: String,
    /// The secret.
    pub(super) secret: String,
    /// The session token of a role's key.
    pub(super) token: Option<String>,
    /// The instance's id; `None` for the operator.
    pub(super) instance: Option<String>,
    /// The name that the log and the faults use.
    pub(super) name: String,
}

impl AccessKey {
    /// A key, made up from `random`: it opens nothing but this sandbox.
    pub(super) fn make(random: &mut Random, name: &str, instance: Option<&str>) -> Self {
        let prefix = if instance.is_some() { "ASIA" } else { "AKIA" };
        Self {
            id: format!("{prefix}{}", random.key(16)),
            secret: random.key(40),
            token: instance.map(|_| random.key(64)),
            instance: instance.map(str::to_owned),
            name: name.to_owned(),
        }
    }
}

/// Finds the key that signed a request.
pub(super) fn caller<'a>(
    keys: &'a BTreeMap<String, AccessKey>,
    head: &Request<()>,
    body: &[u8],
) -> Result<&'a AccessKey, ApiError> {
    let refused = |why: &str| {
        let message = format!("AWS was not able to validate the provided access credentials ({why})");
        ApiError::new("AuthFailure", message)
    };
    let header = |name: &str| head.headers().get(name).and_then(|it| it.to_str().ok());
    let authorization = header("authorization").ok_or_else(|| refused("no Authorization header"))?;
    let signed = Signed::parse(authorization).ok_or_else(|| refused("not a Signature Version 4"))?;
    let key = keys.get(signed.key).ok_or_else(|| refused("unknown access key"))?;
    if key.token.as_deref().is_some_and(|token| header("x-amz-security-token") != Some(token)) {
        return Err(refused("wrong session token"));
    }
    if signed.signature(&key.secret, head, body).as_deref() != Some(signed.signature) {
        return Err(refused("wrong signature"));
    }
    Ok(key)
}

/// The parts of an Authorization header.
struct Signed<'a> {
    key: &'a str,
    /// Date, region, service, "aws4_request".
    scope: &'a str,
    headers: &'a str,
    signature: &'a str,
}

impl<'a> Signed<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let parts: BTreeMap<_, _> = text
            .strip_prefix("AWS4-HMAC-SHA256 ")?
            .split(',')
            .filter_map(|it| it.trim().split_once('='))
            .collect();
        let (key, scope) = parts.get("Credential")?.split_once('/')?;
        Some(Self { key, scope, headers: parts.get("SignedHeaders")?, signature: parts.get("Signature")? })
    }

    /// The signature that this request would have with this secret.
    fn signature(&self, secret: &str, head: &Request<()>, body: &[u8]) -> Option<String> {
        let mut canonical = format!("{}\n{}\n{}\n", head.method(), head.uri().path(), canonical_query(head));
        for name in self.headers.split(';') {
            let values: Vec<_> =
                head.headers().get_all(name).iter().filter_map(|it| it.to_str().ok()).collect();
            let value = values.join(",");
            let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
            writeln!(canonical, "{name}:{value}").ok()?;
        }
        write!(canonical, "\n{}\n{}", self.headers, hex(&Sha256::digest(body))).ok()?;
        let date = head.headers().get("x-amz-date")?.to_str().ok()?;
        let digest = hex(&Sha256::digest(canonical.as_bytes()));
        let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{}\n{digest}", self.scope);
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in self.scope.split('/') {
            key = hmac(&key, part.as_bytes())?;
        }
        Some(hex(&hmac(&key, to_sign.as_bytes())?))
    }
}

fn canonical_query(head: &Request<()>) -> String {
    let query = head.uri().query().unwrap_or_default();
    let mut pairs: Vec<_> = form_urlencoded::parse(query.as_bytes())
        .map(|(key, value)| format!("{}={}", percent(&key), percent(&value)))
        .collect();
    pairs.sort_unstable();
    pairs.join("&")
}

fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut done, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            done.push(char::from(byte));
        } else {
            done.push_str(&format!("%{byte:02X}"));
        }
        done
    })
}

fn hmac(key: &[u8], data: &[u8]) -> Option<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(data);
    Some(mac.finalize().into_bytes().to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text.push_str(&format!("{byte:02x}"));
        text
    })
}

/// Reads a body of at most `limit` bytes. `None`: longer, or the connection broke.
pub(super) async fn read_body(body: hyper::body::Incoming, limit: usize) -> Option<Vec<u8>> {
    let body = http_body_util::Limited::new(body, limit).collect().await.ok()?;
    Some(body.to_bytes().to_vec())
}
