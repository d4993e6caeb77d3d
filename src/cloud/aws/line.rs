//! One service's client with its connections: bounded calls, and a new line where the old one is dead.
//!
//! The SDK retries nothing here. What only reads may be repeated while it is throttled, within the bound of one
//! call; everything that changes something is sent exactly once, and who asked decides what happens next.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_sdk_ec2::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_ec2::config::timeout::TimeoutConfig;
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents, SharedHttpClient};
use aws_sdk_ec2::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::{WarmCredentials, errors};
use crate::cloud::{CloudError, ErrorKind, jitter};

/// TCP and TLS together. A node in the region answers within milliseconds; what takes longer is lost.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Longer than any pause between two of our calls: whoever closes first, it is not us.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// First pause after a throttled read; it doubles.
const THROTTLE_PAUSE: Duration = Duration::from_millis(100);

/// A client of the SDK.
pub(in crate::cloud) trait Client: Clone {
    /// The same client over other connections.
    fn over(&self, connections: SharedHttpClient) -> Self;
}

/// A service, as this node reaches it.
#[derive(Debug)]
pub(in crate::cloud) struct Line<C> {
    open: RwLock<Open<C>>,
    pub(in crate::cloud) credentials: WarmCredentials,
    /// Where the service is looked for, and the key that says so, for messages.
    place: (String, &'static str),
    call_timeout: Duration,
}

/// The client with its connections.
#[derive(Clone, Debug)]
struct Open<C> {
    client: C,
    // So that of ten calls that fail on one dead line only the first one replaces it.
    generation: u64,
}

impl<C: Client> Line<C> {
    pub(in crate::cloud) fn new(
        client: C,
        credentials: WarmCredentials,
        place: (String, &'static str),
        call_timeout: Duration,
    ) -> Self {
        Self { open: RwLock::new(Open { client, generation: 0 }), credentials, place, call_timeout }
    }

    /// Leaves all connections behind, and opens new ones as they are needed. Calls under way go on.
    pub(in crate::cloud) fn reconnect(&self) {
        let generation = self.open().generation;
        self.replace(generation);
    }

    /// The client as it is now.
    #[cfg(test)]
    pub(in crate::cloud) fn client(&self) -> C {
        self.open().client
    }

    fn open(&self) -> Open<C> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, generation: u64) {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if open.generation == generation {
            *open = Open { client: open.client.over(http_client()), generation: generation + 1 };
        }
    }

    /// One call, sent once.
    pub(in crate::cloud) async fn once<T, E, F>(
        &self,
        action: &'static str,
        call: impl FnOnce(C, Sent) -> F,
    ) -> Result<T, CloudError>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let open = self.open();
        let sent = Sent::default();
        let result = tokio::time::timeout(self.call_timeout, call(open.client, sent.clone())).await;
        let mut error = match result {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => errors::from_sdk(action, sent.is_set(), error),
            Err(_elapsed) => {
                let keys = self.credentials.remaining().is_some();
                errors::timed_out(action, sent.is_set(), keys, self.call_timeout)
            }
        };
        match error.kind {
            // Silence without a status: the other connections of this line are likely to be as dead.
            ErrorKind::NoAnswer if error.code.is_none() && error.request_id.is_none() => {
                self.replace(open.generation);
            }
            ErrorKind::Credentials => self.credentials.forget(),
            ErrorKind::Unreachable => {
                let (place, key) = &self.place;
                error.message.push_str(&format!(
                    "; {place} must be reachable from this node: check route, security group, DNS and {key}"
                ));
            }
            ErrorKind::NoAnswer
            | ErrorKind::Throttled
            | ErrorKind::Denied
            | ErrorKind::NotFound
            | ErrorKind::Conflict
            | ErrorKind::WrongState
            | ErrorKind::Invalid => {}
        }
        Err(error)
    }

    /// A call that changes nothing: repeated while it is throttled, within the bound of one call.
    pub(in crate::cloud) async fn describe<T, E, F>(
        &self,
        action: &'static str,
        call: impl Fn(C, Sent) -> F,
    ) -> Result<T, CloudError>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let mut pause = THROTTLE_PAUSE;
        let mut spent = Duration::ZERO;
        loop {
            match self.once(action, &call).await {
                Err(error) if error.kind == ErrorKind::Throttled && spent + pause < self.call_timeout => {
                    tokio::time::sleep(jitter(pause)).await;
                    spent += pause;
                    pause *= 2;
                }
                settled => return settled,
            }
        }
    }
}

/// Set as soon as a request is about to be handed to the connection: from then on the service may act on it.
#[derive(Clone, Debug, Default)]
pub(in crate::cloud) struct Sent(Arc<AtomicBool>);

impl Sent {
    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Intercept for Sent {
    fn name(&self) -> &'static str {
        "Sent"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// rustls with ring, over connections that stay.
pub(in crate::cloud) fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https()
}

pub(in crate::cloud) fn timeouts(call: Duration) -> TimeoutConfig {
    // The bound on the whole is ours; the SDK's own are there in case that it goes on by itself.
    let backstop = call + Duration::from_millis(100);
    TimeoutConfig::builder()
        // Below the bound of the call, so that a connect that hangs is known as one.
        .connect_timeout(CONNECT_TIMEOUT.min(call / 2))
        .read_timeout(backstop)
        .operation_attempt_timeout(backstop)
        .operation_timeout(backstop)
        .build()
}
