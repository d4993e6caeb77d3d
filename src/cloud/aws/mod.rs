//! What the clients of AWS here have in common: where and as whom they call ([`Access`]), over which
//! connections ([`Line`](line::Line)), and how that fails.

mod errors;
pub(super) mod line;
mod warm;

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};

pub(super) use self::errors::chain;
pub(super) use self::warm::WarmCredentials;
use super::{CloudError, ErrorKind, Settings};

/// An instance role's new credentials are there at least five minutes before the old ones expire ("Retrieve
/// security credentials from instance metadata"); from here on they are asked for with each round.
const REFRESH_BEFORE: Duration = Duration::from_secs(15 * 60);

/// Region and credentials, found as the AWS tools find them; all clients of one process share them.
#[derive(Clone, Debug)]
pub struct Access {
    pub(super) config: SdkConfig,
    pub(super) credentials: WarmCredentials,
    region: String,
}

impl Access {
    /// Reads region, profile and the source of credentials as the AWS tools do; what `settings` say goes before
    /// environment and files. Makes no call to a service, but may ask IMDS for the region.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if no region can be found.
    pub async fn open(settings: &Settings) -> Result<Self, CloudError> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(line::http_client());
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(profile) = &settings.profile {
            loader = loader.profile_name(profile);
        }
        let config = loader.load().await;
        let Some(region) = config.region().map(ToString::to_string) else {
            return Err(CloudError::new(
                ErrorKind::Invalid,
                "region",
                "no region: not in the configuration, AWS_REGION, the profile, or instance metadata; \
                 set `region` under [aws] or AWS_REGION",
            ));
        };
        let Some(source) = config.credentials_provider() else {
            return Err(CloudError::new(ErrorKind::Credentials, "credentials", "no source of credentials"));
        };
        let credentials = WarmCredentials::new(source, config.time_source().unwrap_or_default());
        Ok(Self { config, credentials, region })
    }

    /// The region that is spoken to.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Where a service is looked for, for messages.
    pub(super) fn place(&self, service: &str, endpoint: Option<&str>) -> String {
        match endpoint.or(self.config.endpoint_url()) {
            Some(url) => format!("the endpoint {url}"),
            None => format!("{service}'s endpoint in {}", self.region),
        }
    }
}

/// New credentials, well before the old ones expire.
pub(super) async fn renew(credentials: &WarmCredentials) {
    if credentials.remaining().is_none_or(|it| it < REFRESH_BEFORE)
        && let Err(error) = credentials.refresh().await
    {
        tracing::warn!(error = chain(&error), "no new credentials");
    }
}
