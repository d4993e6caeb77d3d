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
/// [`StartError::NoDynamoDb`]: a lease is configured, and this binary was built without the feature `dynamodb`.
#[cfg(feature = "ec2")]
pub fn aws(config: &Config) -> Result<Reach, StartError> {
    with_sdk::aws(config)
}

#[cfg(feature = "ec2")]
mod with_sdk {
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::OnceCell;

    use super::{Reach, StartError};
    use crate::cloud::aws::Access;
    use crate::cloud::ec2::Ec2;
    use crate::cloud::imds::who_am_i;
    use crate::cloud::{
        Address, Answer, Cloud, CloudError, Destination, Instance, InstanceState, Interface, InterfaceFilter,
        LeaseItem, LeaseTable, Obstacle, RouteTable, Settings,
    };
    use crate::config::{Config, Resource};

    /// Connections that stand idle for longer may be closed on the way.
    const WARM_EVERY: Duration = Duration::from_secs(20);
    /// More connections than this are opened when they are needed.
    const MOST_WARM: usize = 16;
    /// Without a region, say: it is tried again after this.
    const RETRY: Duration = Duration::from_secs(5);

    pub(super) fn aws(config: &Config) -> Result<Reach, StartError> {
        let settings = Settings {
            region: config.aws.region.clone(),
            profile: config.aws.profile.clone(),
            endpoint_url: config.aws.endpoint_url.clone(),
            call_timeout: config.aws.call_timeout,
        };
        let late = Arc::new(Late { settings, access: OnceCell::new(), line: OnceCell::new() });
        let leases = leases::of(config, &late)?;
        let (changed, warm) = (Arc::clone(&late), Arc::clone(&late));
        let (leases_changed, leases_warm) = (leases.clone(), leases.clone());
        let connections = (at_once(config) + 1).min(MOST_WARM);
        Ok(Reach {
            cloud: late,
            leases: leases.map(|it| it as Arc<dyn LeaseTable>),
            who_am_i: Arc::new(|| Box::pin(async { who_am_i().await.map_err(|error| error.to_string()) })),
            way_changed: Box::new(move || {
                if let Some(line) = changed.line.get() {
                    line.reconnect();
                }
                leases_changed.iter().for_each(|it| it.reconnect());
            }),
            background: Box::pin(async move {
                let ec2 = async {
                    loop {
                        match warm.line().await {
                            Ok(line) => line.keep_warm(connections, WARM_EVERY).await,
                            // Whoever needs it says so.
                            Err(_) => tokio::time::sleep(RETRY).await,
                        }
                    }
                };
                let leases = async {
                    if let Some(leases) = &leases_warm {
                        leases.keep_warm().await;
                    }
                };
                futures_util::future::join(ec2, leases).await;
            }),
        })
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
        access: OnceCell<Access>,
        line: OnceCell<Ec2>,
    }

    impl Late {
        async fn line(&self) -> Result<&Ec2, CloudError> {
            let connect = async || Ok(Ec2::on(self.access().await?, &self.settings));
            self.line.get_or_try_init(connect).await
        }

        async fn access(&self) -> Result<&Access, CloudError> {
            self.access.get_or_try_init(|| Access::open(&self.settings)).await
        }
    }

    #[cfg(not(feature = "dynamodb"))]
    mod leases {
        use super::*;

        /// There are none.
        pub(super) enum Leases {}

        impl Leases {
            pub(super) fn reconnect(&self) {
                match *self {}
            }

            pub(super) fn keep_warm(&self) -> std::future::Ready<()> {
                match *self {}
            }
        }

        impl LeaseTable for Leases {
            fn read<'a>(&'a self, _: &'a str) -> Answer<'a, Option<LeaseItem>> {
                match *self {}
            }

            fn write<'a>(&'a self, _: &'a str, _: Option<u64>, _: &'a LeaseItem) -> Answer<'a, ()> {
                match *self {}
            }
        }

        pub(super) fn of(config: &Config, _: &Arc<Late>) -> Result<Option<Arc<Leases>>, StartError> {
            config.lease.as_ref().map_or(Ok(None), |_| Err(StartError::NoDynamoDb))
        }
    }

    #[cfg(feature = "dynamodb")]
    mod leases {
        use super::*;
        use crate::agent::effects::lease_call_timeout;
        use crate::cloud::dynamodb::{DynamoDb, Table};

        /// DynamoDB, connected to when it is first needed, with the region and the credentials of EC2.
        pub(super) struct Leases {
            ec2: Arc<Late>,
            table: Table,
            line: OnceCell<DynamoDb>,
        }

        pub(super) fn of(config: &Config, ec2: &Arc<Late>) -> Result<Option<Arc<Leases>>, StartError> {
            let leases = |lease: &crate::config::Lease| {
                let table = Table {
                    name: lease.table.clone(),
                    endpoint_url: lease.endpoint_url.clone(),
                    call_timeout: lease_call_timeout(lease, config.aws.call_timeout),
                };
                Arc::new(Leases { ec2: Arc::clone(ec2), table, line: OnceCell::new() })
            };
            Ok(config.lease.as_ref().map(leases))
        }

        impl Leases {
            async fn line(&self) -> Result<&DynamoDb, CloudError> {
                let connect = async || Ok(DynamoDb::on(self.ec2.access().await?, &self.table));
                self.line.get_or_try_init(connect).await
            }

            pub(super) fn reconnect(&self) {
                if let Some(line) = self.line.get() {
                    line.reconnect();
                }
            }

            pub(super) async fn keep_warm(&self) {
                loop {
                    match self.line().await {
                        Ok(line) => line.keep_warm(WARM_EVERY).await,
                        Err(_) => tokio::time::sleep(RETRY).await,
                    }
                }
            }
        }

        impl LeaseTable for Leases {
            fn read<'a>(&'a self, group: &'a str) -> Answer<'a, Option<LeaseItem>> {
                Box::pin(async move { self.line().await?.read(group).await })
            }

            fn write<'a>(
                &'a self,
                group: &'a str,
                expect: Option<u64>,
                item: &'a LeaseItem,
            ) -> Answer<'a, ()> {
                Box::pin(async move { self.line().await?.write(group, expect, item).await })
            }
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

        fn start_instance<'a>(&'a self, instance: &'a str) -> Answer<'a, InstanceState> {
            Box::pin(async move { self.line().await?.start_instance(instance).await })
        }

        fn reboot_instance<'a>(&'a self, instance: &'a str) -> Answer<'a, ()> {
            Box::pin(async move { self.line().await?.reboot_instance(instance).await })
        }

        fn fence_obstacles<'a>(&'a self, instance: &'a str) -> Answer<'a, Vec<Obstacle>> {
            Box::pin(async move { self.line().await?.fence_obstacles(instance).await })
        }

        fn write_tag<'a>(&'a self, resource: &'a str, key: &'a str, value: &'a str) -> Answer<'a, ()> {
            Box::pin(async move { self.line().await?.write_tag(resource, key, value).await })
        }
    }
}
