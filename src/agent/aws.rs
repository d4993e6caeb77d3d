//! EC2 itself behind the agent: connected to in the background, because nothing may wait for it at a start.

use crate::config::Config;

use super::{Reach, StartError};

/// EC2 as the configuration says.
///
/// # Errors
/// [`StartError::NoEc2`]: this binary was built without the feature `ec2`.
#[cfg(not(feature = "ec2"))]
pub fn aws(_: &Config) -> Result<Reach, StartError> {
    Err(StartError::NoEc2)
}

/// EC2 as the configuration says.
///
/// # Errors
/// None in this build.
#[cfg(feature = "ec2")]
pub fn aws(config: &Config) -> Result<Reach, StartError> {
    Ok(with_sdk::aws(config))
}

#[cfg(feature = "ec2")]
mod with_sdk {
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::OnceCell;

    use super::Reach;
    use crate::cloud::ec2::Ec2;
    use crate::cloud::imds::who_am_i;
    use crate::cloud::{
        Address, Answer, Cloud, CloudError, Destination, Instance, InstanceState, Interface, InterfaceFilter,
        Obstacle, RouteTable, Settings,
    };
    use crate::config::{Config, Resource};

    /// Connections that stand idle for longer may be closed on the way.
    const WARM_EVERY: Duration = Duration::from_secs(20);
    /// More connections than this are opened when they are needed.
    const MOST_WARM: usize = 16;
    /// Without a region, say: it is tried again after this.
    const RETRY: Duration = Duration::from_secs(5);

    pub(super) fn aws(config: &Config) -> Reach {
        let settings = Settings {
            region: config.aws.region.clone(),
            profile: config.aws.profile.clone(),
            endpoint_url: config.aws.endpoint_url.clone(),
            call_timeout: config.aws.call_timeout,
        };
        let late = Arc::new(Late { settings, line: OnceCell::new() });
        let (changed, warm) = (Arc::clone(&late), Arc::clone(&late));
        let connections = (at_once(config) + 1).min(MOST_WARM);
        Reach {
            cloud: late,
            who_am_i: Arc::new(|| Box::pin(async { who_am_i().await.map_err(|error| error.to_string()) })),
            way_changed: Box::new(move || {
                if let Some(line) = changed.line.get() {
                    line.reconnect();
                }
            }),
            background: Box::pin(async move {
                loop {
                    match warm.line().await {
                        Ok(line) => line.keep_warm(connections, WARM_EVERY).await,
                        // Whoever needs it says so.
                        Err(_) => tokio::time::sleep(RETRY).await,
                    }
                }
            }),
        }
    }

    /// How many calls a takeover of all groups makes at the same time.
    fn at_once(config: &Config) -> usize {
        let calls = |resource: &Resource| match resource {
            Resource::ElasticIp(_) => 1,
            Resource::PrivateIp(it) => 1 + usize::from(it.elastic_ip.is_some()),
            Resource::Route(it) => it.tables.len() * it.destinations.len(),
        };
        config.groups.iter().flat_map(|group| &group.resources).map(calls).sum()
    }

    /// EC2, connected to when it is first needed: the region may have to come from IMDS.
    struct Late {
        settings: Settings,
        line: OnceCell<Ec2>,
    }

    impl Late {
        async fn line(&self) -> Result<&Ec2, CloudError> {
            self.line.get_or_try_init(|| Ec2::connect(&self.settings)).await
        }
    }

    impl Cloud for Late {
        fn address<'a>(&'a self, allocation: &'a str) -> Answer<'a, Option<Address>> {
            Box::pin(async move { self.line().await?.address(allocation).await })
        }

        fn interfaces<'a>(&'a self, filter: &'a InterfaceFilter) -> Answer<'a, Vec<Interface>> {
            Box::pin(async move { self.line().await?.interfaces(filter).await })
        }

        fn route_tables<'a>(&'a self, tables: &'a [String]) -> Answer<'a, Vec<RouteTable>> {
            Box::pin(async move { self.line().await?.route_tables(tables).await })
        }

        fn instance<'a>(&'a self, instance: &'a str) -> Answer<'a, Option<Instance>> {
            Box::pin(async move { self.line().await?.instance(instance).await })
        }

        fn associate_address<'a>(
            &'a self,
            allocation: &'a str,
            interface: &'a str,
            private_ip: Ipv4Addr,
            reassociate: bool,
        ) -> Answer<'a, String> {
            Box::pin(async move {
                self.line().await?.associate_address(allocation, interface, private_ip, reassociate).await
            })
        }

        fn assign_private_ip<'a>(
            &'a self,
            interface: &'a str,
            address: Ipv4Addr,
            reassign: bool,
        ) -> Answer<'a, ()> {
            Box::pin(async move { self.line().await?.assign_private_ip(interface, address, reassign).await })
        }

        fn replace_route<'a>(
            &'a self,
            table: &'a str,
            destination: &'a Destination,
            interface: &'a str,
        ) -> Answer<'a, ()> {
            Box::pin(async move { self.line().await?.replace_route(table, destination, interface).await })
        }

        fn create_route<'a>(
            &'a self,
            table: &'a str,
            destination: &'a Destination,
            interface: &'a str,
        ) -> Answer<'a, ()> {
            Box::pin(async move { self.line().await?.create_route(table, destination, interface).await })
        }

        fn stop_instance<'a>(&'a self, instance: &'a str) -> Answer<'a, InstanceState> {
            Box::pin(async move { self.line().await?.stop_instance(instance).await })
        }

        fn fence_obstacles<'a>(&'a self, instance: &'a str) -> Answer<'a, Vec<Obstacle>> {
            Box::pin(async move { self.line().await?.fence_obstacles(instance).await })
        }

        fn write_tag<'a>(&'a self, resource: &'a str, key: &'a str, value: &'a str) -> Answer<'a, ()> {
            Box::pin(async move { self.line().await?.write_tag(resource, key, value).await })
        }
    }
}
