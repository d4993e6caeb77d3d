//! [`Cloud`] over the AWS SDK: AWS itself, a VPC endpoint, or the sandbox. Only this folder and `imds.rs`
//! name the SDK.
//!
//! The SDK retries nothing here. A Describe that was throttled is repeated within the bound of the call;
//! everything that changes something is sent exactly once, and who asked decides what happens next.

mod answers;
mod errors;
mod warm;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
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
use aws_sdk_ec2::types::{Filter, Tag};
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use futures_util::future::join_all;
use ipnet::IpNet;

use self::warm::WarmCredentials;
use super::{
    Address, Answer, Cloud, CloudError, Destination, ErrorKind, Instance, Interface, InterfaceFilter,
    RouteTable,
};
use crate::config::Aws;

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
    /// Reads region, profile, endpoint and the source of credentials as the AWS tools do; what `aws` says
    /// goes before environment and files. Makes no call to EC2, but may ask IMDS for the region.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if no region can be found.
    pub async fn connect(aws: &Aws) -> Result<Self, CloudError> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http_client());
        if let Some(region) = &aws.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(profile) = &aws.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(url) = &aws.endpoint_url {
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
        let call_timeout = if aws.call_timeout.is_zero() { CALL_TIMEOUT } else { aws.call_timeout };
        let config = aws_sdk_ec2::config::Builder::from(&shared)
            .credentials_provider(credentials.clone())
            .identity_cache(IdentityCache::no_cache())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts(call_timeout))
            .build();
        let line = RwLock::new(Line { client: Client::from_conf(config), generation: 0 });
        Ok(Self { line, credentials, region, call_timeout })
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
        if self.credentials.remaining().is_none_or(|it| it < REFRESH_BEFORE)
            && let Err(error) = self.credentials.refresh().await
        {
            tracing::warn!(error = %aws_smithy_types::error::display::DisplayErrorContext(&error), "no new credentials");
        }
        let nothing = InterfaceFilter::Ids(vec!["eni-00000000000000000".to_owned()]);
        let calls = (0..connections).map(|_| self.interfaces(&nothing));
        for error in join_all(calls).await.into_iter().filter_map(Result::err).take(1) {
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
        let error = match result {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => errors::from_sdk(action, sent.is_set(), error),
            Err(_elapsed) => errors::timed_out(action, sent.is_set(), self.call_timeout),
        };
        match error.kind {
            // Silence without a status: the other connections of this line are likely to be as dead.
            ErrorKind::NoAnswer if error.code.is_none() && error.request_id.is_none() => {
                self.replace_line(line.generation);
            }
            ErrorKind::Credentials => self.credentials.forget(),
            ErrorKind::NoAnswer
            | ErrorKind::Throttled
            | ErrorKind::Denied
            | ErrorKind::NotFound
            | ErrorKind::Conflict
            | ErrorKind::Invalid
            | ErrorKind::Unreachable => {}
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

impl Cloud for Ec2 {
    fn address<'a>(&'a self, allocation: &'a str) -> Answer<'a, Option<Address>> {
        Box::pin(async move {
            let call = |client: Client, sent| {
                let filtered = client.describe_addresses().filters(filter("allocation-id", [allocation]));
                filtered.customize().interceptor(sent).send()
            };
            let answer = self.describe("DescribeAddresses", call).await?;
            let mut addresses = answer.addresses.unwrap_or_default().into_iter().map(answers::address);
            Ok(addresses.find(|it| it.allocation == allocation))
        })
    }

    fn interfaces<'a>(&'a self, wanted: &'a InterfaceFilter) -> Answer<'a, Vec<Interface>> {
        Box::pin(async move {
            let call = |client: Client, sent| {
                let filtered =
                    client.describe_network_interfaces().set_filters(Some(interface_filters(wanted)));
                filtered.customize().interceptor(sent).send()
            };
            let answer = self.describe("DescribeNetworkInterfaces", call).await?;
            Ok(answer.network_interfaces.unwrap_or_default().into_iter().map(answers::interface).collect())
        })
    }

    fn route_tables<'a>(&'a self, tables: &'a [String]) -> Answer<'a, Vec<RouteTable>> {
        Box::pin(async move {
            let call = |client: Client, sent| {
                let filtered = client
                    .describe_route_tables()
                    .filters(filter("route-table-id", tables.iter().map(String::as_str)));
                filtered.customize().interceptor(sent).send()
            };
            let answer = self.describe("DescribeRouteTables", call).await?;
            Ok(answer.route_tables.unwrap_or_default().into_iter().map(answers::route_table).collect())
        })
    }

    fn instance<'a>(&'a self, instance: &'a str) -> Answer<'a, Option<Instance>> {
        Box::pin(async move {
            let call = |client: Client, sent| {
                let filtered = client.describe_instances().filters(filter("instance-id", [instance]));
                filtered.customize().interceptor(sent).send()
            };
            let answer = self.describe("DescribeInstances", call).await?;
            let mut instances = answer
                .reservations
                .unwrap_or_default()
                .into_iter()
                .flat_map(|it| it.instances.unwrap_or_default())
                .filter_map(answers::instance);
            Ok(instances.find(|it| it.id == instance))
        })
    }

    fn associate_address<'a>(
        &'a self,
        allocation: &'a str,
        interface: &'a str,
        private_ip: Ipv4Addr,
        reassociate: bool,
    ) -> Answer<'a, String> {
        Box::pin(async move {
            let call = |client: Client, sent| {
                client
                    .associate_address()
                    .allocation_id(allocation)
                    .network_interface_id(interface)
                    .private_ip_address(private_ip.to_string())
                    .allow_reassociation(reassociate)
                    .customize()
                    .interceptor(sent)
                    .send()
            };
            let answer = self.once("AssociateAddress", call).await?;
            Ok(answer.association_id.unwrap_or_default())
        })
    }

    fn assign_private_ip<'a>(
        &'a self,
        interface: &'a str,
        address: Ipv4Addr,
        reassign: bool,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let call = |client: Client, sent| {
                client
                    .assign_private_ip_addresses()
                    .network_interface_id(interface)
                    .private_ip_addresses(address.to_string())
                    .allow_reassignment(reassign)
                    .customize()
                    .interceptor(sent)
                    .send()
            };
            self.once("AssignPrivateIpAddresses", call).await.map(drop)
        })
    }

    fn replace_route<'a>(
        &'a self,
        table: &'a str,
        destination: &'a Destination,
        interface: &'a str,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let call = |client: Client, sent| {
                let request = client.replace_route().route_table_id(table).network_interface_id(interface);
                let request = match destination {
                    Destination::Cidr(IpNet::V4(net)) => request.destination_cidr_block(net.to_string()),
                    Destination::Cidr(IpNet::V6(net)) => request.destination_ipv6_cidr_block(net.to_string()),
                    Destination::PrefixList(id) => request.destination_prefix_list_id(id),
                };
                request.customize().interceptor(sent).send()
            };
            self.once("ReplaceRoute", call).await.map(drop)
        })
    }

    fn create_route<'a>(
        &'a self,
        table: &'a str,
        destination: &'a Destination,
        interface: &'a str,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let call = |client: Client, sent| {
                let request = client.create_route().route_table_id(table).network_interface_id(interface);
                let request = match destination {
                    Destination::Cidr(IpNet::V4(net)) => request.destination_cidr_block(net.to_string()),
                    Destination::Cidr(IpNet::V6(net)) => request.destination_ipv6_cidr_block(net.to_string()),
                    Destination::PrefixList(id) => request.destination_prefix_list_id(id),
                };
                request.customize().interceptor(sent).send()
            };
            self.once("CreateRoute", call).await.map(drop)
        })
    }

    fn write_tag<'a>(&'a self, resource: &'a str, key: &'a str, value: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let call = |client: Client, sent| {
                let tag = Tag::builder().key(key).value(value).build();
                client.create_tags().resources(resource).tags(tag).customize().interceptor(sent).send()
            };
            self.once("CreateTags", call).await.map(drop)
        })
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
    TimeoutConfig::builder()
        // Below the bound of the call, so that a connect that hangs is known as one.
        .connect_timeout(CONNECT_TIMEOUT.min(call / 2))
        .read_timeout(call)
        .operation_attempt_timeout(call)
        .operation_timeout(call)
        .build()
}

fn filter<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> Filter {
    let values = values.into_iter().map(str::to_owned).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

fn interface_filters(wanted: &InterfaceFilter) -> Vec<Filter> {
    match wanted {
        InterfaceFilter::Ids(ids) => {
            vec![filter("network-interface-id", ids.iter().map(String::as_str))]
        }
        InterfaceFilter::Instance(id) => vec![filter("attachment.instance-id", [id.as_str()])],
        InterfaceFilter::Addresses { addresses, vpc } => {
            let name = if addresses.iter().any(IpAddr::is_ipv6) {
                "ipv6-addresses.ipv6-address"
            } else {
                "addresses.private-ip-address"
            };
            let values: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            vec![filter(name, values.iter().map(String::as_str)), filter("vpc-id", [vpc.as_str()])]
        }
    }
}

#[cfg(test)]
mod tests;
