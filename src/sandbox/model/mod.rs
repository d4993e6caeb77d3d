//! EC2's rules over a VPC in memory: pure, no clock, no sockets, and the same for the same seed.
//!
//! Time is the time since the start, given with each call. [`Vpc::call`] answers as EC2 would;
//! [`Vpc::state`] is the truth, for checkers that must not be fooled by stale reads.
//!
//! ```
//! use std::time::Duration;
//! use standin::sandbox::model::{Describe, Request, Response, Spec, Vpc};
//!
//! let mut vpc = Vpc::new(&Spec::pair(), 1)?;
//! let answer = vpc.call("ivr-a", &Request::DescribeAddresses(Describe::default()), Duration::ZERO);
//! assert!(matches!(answer, Ok(Response::Addresses(list)) if list.len() == 3));
//! # Ok::<(), standin::sandbox::model::SpecError>(())
//! ```

mod address;
mod attribute;
mod build;
mod changes;
mod describe;
mod error;
mod fault;
mod instance;
mod interface;
mod market;
mod random;
mod request;
mod response;
mod route;
mod settings;
mod spec;
mod state;
mod tag;
mod throttle;
mod validate;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

pub use changes::{Change, Subject};
pub(crate) use describe::{route_state, status_of};
pub use error::ApiError;
pub use fault::{Fault, FaultKind, FaultSpec, Faults, Service, Verdict};
pub use market::{Market, RootDevice};
pub use random::Random;
pub use request::{
    AssociateAddress, Describe, Filter, Instances, Protection, Request, RouteChange, RouteTarget,
};
pub use response::{AddressView, InstanceView, InterfaceView, Response, RouteTableView, StateChange};
pub use settings::{Quirks, Settings, TakenCode};
pub use spec::{
    ElasticIpSpec, InstanceSpec, InterfaceSpec, PrefixListSpec, PrivateIpSpec, RouteSpec, RouteTableSpec,
    Spec, SpecError, SubnetSpec, VpcSpec,
};
pub use state::{
    Association, Attachment, Destination, ElasticIp, Holder, Instance, InstanceState, Interface, Network,
    Route, RouteTable, State, Subnet, Tags, Target,
};

/// How long former states are kept for stale reads.
const KEPT: Duration = Duration::from_secs(120);

/// A VPC (or several) of one account in one region.
#[derive(Clone, Debug)]
pub struct Vpc {
    settings: Settings,
    region: String,
    account: String,
    random: Random,
    now: Duration,
    state: Arc<State>,
    /// Former states, each with the instant at which the next one replaced it.
    former: VecDeque<(Duration, Arc<State>)>,
    log: changes::Log,
    buckets: throttle::Buckets,
    past_associations: BTreeSet<String>,
}

impl Vpc {
    /// Builds what `spec` describes; `seed` decides ids that are not given, and which reads are stale.
    ///
    /// # Errors
    /// What is contradictory in `spec`.
    pub fn new(spec: &Spec, seed: u64) -> Result<Self, SpecError> {
        let mut random = Random::new(seed);
        let state = Arc::new(build::build(spec, &mut random)?);
        Ok(Self {
            settings: spec.settings.clone(),
            region: spec.region.clone(),
            account: spec.account.clone(),
            random,
            now: Duration::ZERO,
            state,
            former: VecDeque::new(),
            log: changes::Log::default(),
            buckets: throttle::Buckets::new(spec.settings.throttling),
            past_associations: BTreeSet::new(),
        })
    }

    /// Answers one call of `caller` (a name for the log) at `now`, which never goes back.
    ///
    /// # Errors
    /// The refusal, in EC2's codes; nothing has changed then.
    pub fn call(&mut self, caller: &str, request: &Request, now: Duration) -> Result<Response, ApiError> {
        self.call_with_lag(caller, request, now, self.settings.lag)
    }

    /// As [`Self::call`], with a bound of its own on how stale a read may be (at most two minutes).
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn call_with_lag(
        &mut self,
        caller: &str,
        request: &Request,
        now: Duration,
        lag: Duration,
    ) -> Result<Response, ApiError> {
        self.advance(now);
        self.buckets.take(request, self.now)?;
        validate::validate(request)?;
        if request.dry_run() {
            // API Reference, "Common query parameters", DryRun: the error is DryRunOperation if allowed.
            let message = "Request would have succeeded, but DryRun flag is set.";
            return Err(ApiError::new("DryRunOperation", message));
        }
        if request.reads() {
            let lag = u64::try_from(lag.as_micros()).unwrap_or(u64::MAX);
            let back = if lag == 0 { 0 } else { self.random.below(lag.saturating_add(1)) };
            let at = self.now.saturating_sub(Duration::from_micros(back));
            return describe::describe(self.state_at(at), request);
        }
        self.change(caller, request.action(), |vpc| vpc.carry_out(request))
    }

    /// Carries out an order of whoever runs the sandbox: a changing call without token bucket, protection
    /// or DryRun.
    ///
    /// # Errors
    /// As [`Self::call`], where the order makes no sense.
    pub fn order(&mut self, by: &str, request: &Request, now: Duration) -> Result<Response, ApiError> {
        self.advance(now);
        validate::validate(request)?;
        self.change(by, request.action(), |vpc| {
            if let Request::StopInstances(it) | Request::TerminateInstances(it) = request {
                for id in &it.ids {
                    if let Some(instance) = vpc.state_mut().instances.get_mut(id) {
                        (instance.stop_protection, instance.termination_protection) = (false, false);
                    }
                }
            }
            vpc.carry_out(request)
        })
    }

    /// Lets what happens by itself happen, up to `now`.
    pub fn advance(&mut self, now: Duration) {
        while let Some(at) = self.next_deadline().filter(|at| *at <= now) {
            self.now = self.now.max(at);
            // Infallible: the closure only answers Ok.
            let _ = self.change("", "by itself", |vpc| {
                vpc.step_instances();
                Ok(Response::Done)
            });
        }
        self.now = self.now.max(now);
        while self.former.front().is_some_and(|(until, _)| *until + KEPT < self.now) {
            self.former.pop_front();
        }
    }

    /// When something happens by itself next.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.state.instances.values().filter_map(|it| it.next.map(|(at, _)| at)).min()
    }

    /// The truth, as of the last call or advance.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What was true at an instant (of the last two minutes).
    pub fn state_at(&self, at: Duration) -> &State {
        let index = self.former.partition_point(|(until, _)| *until <= at);
        self.former.get(index).map_or(&self.state, |(_, state)| state)
    }

    /// What instance metadata shows at `now`: moved addresses appear with a delay.
    pub fn metadata_state(&mut self, now: Duration) -> &State {
        self.advance(now);
        self.state_at(self.now.saturating_sub(self.settings.remap_time))
    }

    /// The changes after that with the number `seq`, oldest first.
    pub fn changes(&self, seq: u64) -> impl Iterator<Item = &Change> {
        self.log.after(seq)
    }

    /// The number of the last change.
    pub fn last_change(&self) -> u64 {
        self.log.last()
    }

    /// Who holds an Elastic IP, in truth. `None`: nobody.
    pub fn elastic_ip_holder(&self, allocation: &str) -> Option<Holder> {
        self.state.elastic_ip_holder(allocation)
    }

    /// Who holds a private IPv4 address, in truth. `None`: nobody.
    pub fn private_ip_holder(&self, address: Ipv4Addr) -> Option<Holder> {
        self.state.private_ip_holder(address)
    }

    /// Where a route leads, in truth. `None`: there is none, or not to an interface.
    pub fn route_holder(&self, table: &str, destination: &Destination) -> Option<Holder> {
        self.state.route_holder(table, destination)
    }

    /// How it behaves.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How it behaves, to be changed.
    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The account's number.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Makes an instance's status checks fail, or succeed again. Answers whether there is such an instance.
    pub fn set_impaired(&mut self, instance: &str, impaired: bool) -> bool {
        let Some(it) = Arc::make_mut(&mut self.state).instances.get_mut(instance) else { return false };
        it.impaired = impaired;
        true
    }

    /// Runs a change, keeps the state before it, and writes down what it did. A refused change leaves
    /// everything as it was.
    fn change(
        &mut self,
        by: &str,
        action: &str,
        change: impl FnOnce(&mut Self) -> Result<Response, ApiError>,
    ) -> Result<Response, ApiError> {
        let before = Arc::clone(&self.state);
        match change(self) {
            Ok(response) => {
                if *before != *self.state {
                    self.log.compare(&before, &self.state, self.now, by, action);
                    self.former.push_back((self.now, before));
                }
                Ok(response)
            }
            Err(error) => {
                self.state = before;
                Err(error)
            }
        }
    }

    fn carry_out(&mut self, request: &Request) -> Result<Response, ApiError> {
        match request {
            Request::AssociateAddress(it) => self.associate_address(it),
            Request::DisassociateAddress { association, public_ip, .. } => {
                self.disassociate_address(association.as_deref(), *public_ip)
            }
            Request::AssignPrivateIpAddresses { interface, addresses, count, reassign } => {
                self.assign_private_ips(interface, addresses, *count, *reassign)
            }
            Request::UnassignPrivateIpAddresses { interface, addresses } => {
                self.unassign_private_ips(interface, addresses)
            }
            Request::CreateRoute(it) => self.create_route(it),
            Request::ReplaceRoute(it) => self.replace_route(it),
            Request::DeleteRoute { table, destination, .. } => self.delete_route(table, destination),
            Request::RebootInstances(it) => self.reboot_instances(&it.ids),
            Request::StartInstances(it) => self.start_instances(&it.ids),
            Request::StopInstances(it) => self.stop_instances(it),
            Request::TerminateInstances(it) => self.terminate_instances(it),
            Request::SetProtection { instance, attribute, on, .. } => {
                self.set_protection(instance, *attribute, *on)
            }
            Request::CreateTags { resources, tags, .. } => self.create_tags(resources, tags),
            Request::DeleteTags { resources, tags, .. } => self.delete_tags(resources, tags),
            Request::SetSourceDestCheck { interface, check, .. } => {
                self.set_source_dest_check(interface, *check)
            }
            Request::DescribeAddresses(_)
            | Request::DescribeNetworkInterfaces(_)
            | Request::DescribeRouteTables(_)
            | Request::DescribeInstances(_)
            | Request::DescribeInstanceStatus(..)
            | Request::DescribeSubnets(_)
            | Request::DescribeVpcs(_)
            | Request::DescribeInstanceAttribute { .. } => describe::describe(&self.state, request),
        }
    }

    fn state_mut(&mut self) -> &mut State {
        Arc::make_mut(&mut self.state)
    }
}
