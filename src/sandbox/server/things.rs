//! What a sandbox that runs says about what is in it.

use std::net::Ipv4Addr;

use serde::Serialize;

use super::auth::AccessKey;
use crate::sandbox::model::Vpc;

/// A name and an id.
#[derive(Clone, Debug, Serialize)]
pub struct Named {
    /// The name in the description.
    pub name: String,
    /// The id.
    pub id: String,
}

/// An Elastic IP.
#[derive(Clone, Debug, Serialize)]
pub struct RunningElasticIp {
    /// The name in the description.
    pub name: String,
    /// The allocation id.
    pub allocation_id: String,
    /// The public address.
    pub public_ip: Ipv4Addr,
}

/// An instance.
#[derive(Clone, Debug, Serialize)]
pub struct RunningInstance {
    /// Its name.
    pub name: String,
    /// Its id.
    pub instance_id: String,
    /// Its metadata service ("http://127.0.0.1:PORT").
    pub imds_url: String,
    /// The keys that its metadata service hands out.
    pub credentials: Credentials,
    /// Its interfaces, by device index.
    pub interfaces: Vec<RunningInterface>,
}

/// An interface of an instance.
#[derive(Clone, Debug, Serialize)]
pub struct RunningInterface {
    /// Its id.
    pub id: String,
    /// Its subnet.
    pub subnet_id: String,
    /// Its primary private address.
    pub address: Ipv4Addr,
    /// Its secondary private addresses, at the start.
    pub secondary: Vec<Ipv4Addr>,
}

/// Keys.
#[derive(Clone, Debug, Serialize)]
pub struct Credentials {
    /// AWS_ACCESS_KEY_ID.
    pub access_key_id: String,
    /// AWS_SECRET_ACCESS_KEY.
    pub secret_access_key: String,
    /// AWS_SESSION_TOKEN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_token: Option<String>,
}

impl Credentials {
    pub(super) fn of(key: &AccessKey) -> Self {
        Self {
            access_key_id: key.id.clone(),
            secret_access_key: key.secret.clone(),
            session_token: key.token.clone(),
        }
    }
}

/// The interfaces of an instance.
pub(super) fn interfaces(vpc: &Vpc, instance: &str) -> Vec<RunningInterface> {
    let found = vpc.state().interfaces_of(instance).into_iter().map(|it| RunningInterface {
        id: it.id.clone(),
        subnet_id: it.subnet.clone(),
        address: it.primary,
        secondary: it.secondary.clone(),
    });
    found.collect()
}
