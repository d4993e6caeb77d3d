//! [`Cloud`] over the AWS SDK: AWS itself, a VPC endpoint, or the sandbox. Only this folder and `imds.rs`
//! name the SDK.
//!
//! The SDK retries nothing here. A Describe that was throttled is repeated within the bound of the call;
//! everything that changes something is sent exactly once, and who asked decides what happens next.

mod answers;
mod errors;
mod requests;
mod warm;

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::timeout::TimeoutConfig;
use aws_sdk_ec2::config::{ConfigBag, IdentityCache, Intercept, RuntimeComponents, SharedHttpClient};
use aws_sdk_ec2::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use futures_util::future::join_all;

pub(super) use self::errors::chain;
use self::warm::WarmCredentials;
use super::{Cloud, CloudError, ErrorKind, InterfaceFilter, Settings};

/// TCP and TLS together. A node in the region answers within milliseconds; what takes longer is lost.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The bound on a call where the configuration names none.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);
/// Longer than any pause between two of our calls: whoever closes first, it is not us.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// An instance role's new credentials are there at least five minutes before the old ones expire ("Retrieve
/// security credentials from instance metadata"); from here on they are asked for with each round.
const REFRESH_BEFORE: Duration = Duration::from_secs(15 * 60);
/// First pause after a throttled Describe; it doubles.
const THROTTLE_PAUSE: Duration = Duration::from_millis(100);

/// EC2, as this node reaches it.
#[derive(Debug)]
pub struct Ec2 {
    line: RwLock<Line>,
    credentials: WarmCredentials,
    region: String,
    /// Where EC2 is looked for, for messages.
    place: String,
    call_timeout: Duration,
}

/// The client with its connections.
#[derive(Clone, Debug)]
struct Line {
    client: Client,
    // So that of ten calls that fail on one dead line only the first one replaces it.
    generation: u64,
}

impl Ec2 {
    /// Reads region, profile, endpoint and the source of credentials as the AWS tools do; what `settings`
    /// say goes before environment and files. Makes no call to EC2, but may ask IMDS for the region.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if no region can be found.
    pub async fn connect(settings: &Settings) -> Result<Self, CloudError> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http_client());
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(profile) = &settings.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(url) = &settings.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let shared = loader.load().await;
        let Some(region) = shared.region().map(ToString::to_string) else {
            return Err(CloudError::new(
                ErrorKind::Invalid,
                "region",
                "no region: not in the configuration, AWS_REGION, the profile, or instance metadata; \
                 set `region` under [aws] or AWS_REGION",
            ));
        };
        let Some(source) = shared.credentials_provider() else {
            return Err(CloudError::new(ErrorKind::Credentials, "credentials", "no source of credentials"));
        };
        let clock = shared.time_source().unwrap_or_default();
        let credentials = WarmCredentials::new(source, clock);
        let call_timeout = match settings.call_timeout {
            Duration::ZERO => CALL_TIMEOUT,
            some => some,
        };
        let config = aws_sdk_ec2::config::Builder::from(&shared)
            .credentials_provider(credentials.clone())
            .identity_cache(IdentityCache::no_cache())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts(call_timeout))
            .build();
        let line = RwLock::new(Line { client: Client::from_conf(config), generation: 0 });
        let place = match shared.endpoint_url() {
            Some(url) => format!("the endpoint {url}"),
            None => format!("EC2's endpoint in {region}"),
        };
        Ok(Self { line, credentials, region, place, call_timeout })
    }

    /// The region that is spoken to.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Keeps credentials and connections ready, for as long as it is polled: new credentials well before
    /// the old ones expire, and `connections` calls at the same time every `every`, so that so many
    /// connections are open when a takeover needs them.
    ///
    /// The call is a DescribeNetworkInterfaces that finds nothing: its permission is needed anyway.
    pub async fn keep_warm(&self, connections: usize, every: Duration) {
        loop {
            self.warm_up(connections).await;
            tokio::time::sleep(every).await;
        }
    }

    /// One round of [`Self::keep_warm`].
    pub async fn warm_up(&self, connections: usize) {
        let nothing = InterfaceFilter::Ids(vec!["eni-00000000000000000".to_owned()]);
        let calls = (0..connections).map(|_| self.interfaces(&nothing));
        let renew = async {
            if self.credentials.remaining().is_none_or(|it| it < REFRESH_BEFORE)
                && let Err(error) = self.credentials.refresh().await
            {
                tracing::warn!(error = chain(&error), "no new credentials");
            }
        };
        let ((), answers) = futures_util::future::join(renew, join_all(calls)).await;
        if let Some(error) = answers.into_iter().find_map(Result::err) {
            tracing::debug!(%error, "keeping the connections warm");
        }
    }

    /// Leaves all connections behind, and opens new ones as they are needed. For the moment after the anchor
    /// has moved, when the address that this node reaches EC2 from may have changed. Calls under way go on.
    pub fn reconnect(&self) {
        let generation = self.line().generation;
        self.replace_line(generation);
    }

    fn line(&self) -> Line {
        self.line.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace_line(&self, generation: u64) {
        let mut line = self.line.write().unwrap_or_else(PoisonError::into_inner);
        if line.generation == generation {
            let config = line.client.config().to_builder().http_client(http_client()).build();
            *line = Line { client: Client::from_conf(config), generation: generation + 1 };
        }
    }

    /// One call, sent once.
    async fn once<T, E, F>(
        &self,
        action: &'static str,
        call: impl FnOnce(Client, Sent) -> F,
    ) -> Result<T, CloudError>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let line = self.line();
        let sent = Sent::default();
        let result = tokio::time::timeout(self.call_timeout, call(line.client, sent.clone())).await;
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
                self.replace_line(line.generation);
            }
            ErrorKind::Credentials => self.credentials.forget(),
            ErrorKind::Unreachable => {
                let place = &self.place;
                error.message.push_str(&format!(
                    "; {place} must be reachable from this node: check route, security group, DNS and \
                     aws.endpoint-url"
                ));
            }
            ErrorKind::NoAnswer
            | ErrorKind::Throttled
            | ErrorKind::Denied
            | ErrorKind::NotFound
            | ErrorKind::Conflict
            | ErrorKind::Invalid => {}
        }
        Err(error)
    }

    /// A call that changes nothing: repeated while it is throttled, within the bound of one call.
    async fn describe<T, E, F>(
        &self,
        action: &'static str,
        call: impl Fn(Client, Sent) -> F,
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
                    tokio::time::sleep(super::jitter(pause)).await;
                    spent += pause;
                    pause *= 2;
                }
                settled => return settled,
            }
        }
    }
}

/// Set as soon as a request is about to be handed to the connection: from then on EC2 may act on it.
#[derive(Clone, Debug, Default)]
struct Sent(Arc<AtomicBool>);

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
pub(super) fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https()
}

fn timeouts(call: Duration) -> TimeoutConfig {
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

#[cfg(test)]
mod tests;
