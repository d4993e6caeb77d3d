//! [`Cloud`] over the AWS SDK: AWS itself, a VPC endpoint, or the sandbox.

mod answers;
mod fence;
mod requests;

use std::time::Duration;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::{IdentityCache, SharedHttpClient};
use futures_util::future::join_all;

use super::aws::line::{self, Line};
use super::aws::{Access, renew};
use super::{Cloud, CloudError, InterfaceFilter, Settings};

/// The bound on a call where the configuration names none.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// EC2, as this node reaches it.
#[derive(Debug)]
pub struct Ec2 {
    line: Line<Client>,
    region: String,
}

impl Ec2 {
    /// Finds out where and as whom to call, as the AWS tools do, and speaks to EC2 there. Makes no call to EC2,
    /// but may ask IMDS for the region.
    ///
    /// # Errors
    /// Those of [`Access::open`].
    pub async fn connect(settings: &Settings) -> Result<Self, CloudError> {
        Ok(Self::on(&Access::open(settings).await?, settings))
    }

    /// EC2 there.
    pub fn on(access: &Access, settings: &Settings) -> Self {
        let call_timeout = match settings.call_timeout {
            Duration::ZERO => CALL_TIMEOUT,
            some => some,
        };
        let mut config = aws_sdk_ec2::config::Builder::from(&access.config)
            .credentials_provider(access.credentials.clone())
            .identity_cache(IdentityCache::no_cache())
            .retry_config(RetryConfig::disabled())
            .timeout_config(line::timeouts(call_timeout));
        if let Some(url) = &settings.endpoint_url {
            config.set_endpoint_url(Some(url.clone()));
        }
        let place = (access.place("EC2", settings.endpoint_url.as_deref()), "aws.endpoint-url");
        let client = Client::from_conf(config.build());
        let line = Line::new(client, access.credentials.clone(), place, call_timeout);
        Self { line, region: access.region().to_owned() }
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
        let renew = renew(&self.line.credentials);
        let ((), answers) = futures_util::future::join(renew, join_all(calls)).await;
        if let Some(error) = answers.into_iter().find_map(Result::err) {
            tracing::debug!(%error, "keeping the connections warm");
        }
    }

    /// Leaves all connections behind, and opens new ones as they are needed. For the moment after the anchor
    /// has moved, when the address that this node reaches EC2 from may have changed. Calls under way go on.
    pub fn reconnect(&self) {
        self.line.reconnect();
    }
}

impl line::Client for Client {
    fn over(&self, connections: SharedHttpClient) -> Self {
        Self::from_conf(self.config().to_builder().http_client(connections).build())
    }
}

#[cfg(test)]
mod tests;
