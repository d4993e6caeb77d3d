//! The instance metadata service (IMDSv2): what am I?

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use aws_config::imds;
use aws_config::imds::client::error::ImdsError;
use aws_config::provider_config::ProviderConfig;
use futures_util::future::join_all;

use super::identity::{ASSET_TAG, Identity, OwnInterface, instance_from_dmi};

/// Why this node cannot say what it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NoIdentity {
    /// The item that was asked for ("meta-data/instance-id").
    pub asked: String,
    /// What went wrong.
    pub message: String,
    /// The instance id that the board says, if it says one: this is EC2, and IMDS is closed.
    pub dmi: Option<String>,
}

impl fmt::Display for NoIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "instance metadata (IMDSv2) gave no {}: {}. ", self.asked, self.message)?;
        match &self.dmi {
            Some(id) => write!(
                f,
                "This is instance {id}, so IMDS is switched off, or not reachable from here (a container \
                 needs a hop limit of 2): aws ec2 modify-instance-metadata-options --instance-id {id} \
                 --http-endpoint enabled --http-put-response-hop-limit 2"
            ),
            None => f.write_str(
                "standin learns its instance and network interfaces there. On EC2: enable IMDS \
                 (HttpEndpoint), and give it a hop limit of 2 in a container. Elsewhere: point \
                 AWS_EC2_METADATA_SERVICE_ENDPOINT at a sandbox",
            ),
        }
    }
}

impl std::error::Error for NoIdentity {}

/// Asks IMDS (AWS_EC2_METADATA_SERVICE_ENDPOINT, or the link-local address) for instance, region and
/// interfaces. Ends within about five seconds.
///
/// # Errors
/// [`NoIdentity`], with what to do about it.
pub async fn who_am_i() -> Result<Identity, NoIdentity> {
    let provider = ProviderConfig::without_region().with_http_client(super::aws::line::http_client());
    let client = imds::Client::builder()
        .configure(&provider)
        .connect_timeout(Duration::from_millis(500))
        .read_timeout(Duration::from_secs(1))
        .max_attempts(3)
        .operation_timeout(Duration::from_secs(4))
        .build();
    ask(&client).await.map_err(|(asked, message)| {
        // With an endpoint of the operator's choice, the board is another machine's.
        let sandboxed = std::env::var_os("AWS_EC2_METADATA_SERVICE_ENDPOINT").is_some();
        let dmi = if sandboxed { None } else { instance_from_dmi(Path::new(ASSET_TAG)) };
        NoIdentity { asked, message, dmi }
    })
}

type Failure = (String, String);

async fn ask(client: &imds::Client) -> Result<Identity, Failure> {
    // One after the other: if there is no IMDS, this is known after the first.
    let instance = item(client, "instance-id").await?;
    let region = item(client, "placement/region").await?;
    let macs = item(client, "network/interfaces/macs/").await?;
    let macs: Vec<&str> = macs.split_whitespace().map(|it| it.trim_end_matches('/')).collect();
    let mut interfaces = Vec::new();
    for interface in join_all(macs.iter().map(|mac| interface(client, mac))).await {
        interfaces.push(interface?);
    }
    interfaces.sort_by_key(|it| it.device_number);
    Ok(Identity { instance, region, interfaces })
}

async fn interface(client: &imds::Client, mac: &str) -> Result<OwnInterface, Failure> {
    let path = |name: &str| format!("network/interfaces/macs/{mac}/{name}");
    let (id, vpc, number, addresses, cidr, ipv6s) = (
        item(client, &path("interface-id")).await?,
        item(client, &path("vpc-id")).await?,
        item(client, &path("device-number")).await?,
        item(client, &path("local-ipv4s")).await?,
        optional(client, &path("subnet-ipv4-cidr-block")).await?,
        optional(client, &path("ipv6s")).await?,
    );
    let parse = |name: &str, text: &str| (path(name), format!("{text:?} is not what it should be"));
    Ok(OwnInterface {
        id,
        mac: mac.to_ascii_lowercase(),
        subnet_cidr: cidr.as_deref().and_then(|it| it.parse().ok()),
        vpc,
        local_ipv4s: list(&addresses).ok_or_else(|| parse("local-ipv4s", &addresses))?,
        ipv6s: list(ipv6s.as_deref().unwrap_or_default()).unwrap_or_default(),
        device_number: number.parse().map_err(|_| parse("device-number", &number))?,
    })
}

fn list<T: FromStr>(text: &str) -> Option<Vec<T>> {
    text.split_whitespace().map(|it| it.parse().ok()).collect()
}

async fn item(client: &imds::Client, name: &str) -> Result<String, Failure> {
    match optional(client, name).await? {
        Some(text) => Ok(text),
        None => Err((name.to_owned(), "it has no such item".to_owned())),
    }
}

/// `None`: IMDS answers 404, the instance has none of this.
async fn optional(client: &imds::Client, name: &str) -> Result<Option<String>, Failure> {
    match client.get(format!("/latest/meta-data/{name}")).await {
        Ok(text) => Ok(Some(text.as_ref().trim().to_owned())),
        Err(ImdsError::ErrorResponse(it)) if it.response().status().as_u16() == 404 => Ok(None),
        Err(error) => Err((name.to_owned(), super::aws::chain(&error).trim_end_matches('.').to_owned())),
    }
}
