//! Instances: RebootInstances, StartInstances, StopInstances, TerminateInstances, and what then happens by itself.

use std::time::Duration;

use super::Vpc;
use super::error::ApiError;
use super::market::{Market, RootDevice};
use super::request::Instances;
use super::response::{Response, StateChange};
use super::state::{Attachment, Instance, InstanceState};

impl Vpc {
    pub(super) fn start_instances(&mut self, ids: &[String]) -> Result<Response, ApiError> {
        let after = self.settings.start_time;
        self.change_states(ids, |state| match state {
            InstanceState::Stopped => Ok(Some((InstanceState::Pending, after, InstanceState::Running))),
            InstanceState::Pending | InstanceState::Running => Ok(None),
            InstanceState::ShuttingDown | InstanceState::Terminated | InstanceState::Stopping => {
                Err("started")
            }
        })
    }

    /// RebootInstances: "it only queues a request to reboot the specified instances", so that the answer names no
    /// state, and none changes; "requests to reboot terminated instances are ignored". One that does not run cannot
    /// be rebooted (User Guide, "Reboot your Amazon EC2 instance"; the code is the one of the other calls).
    pub(super) fn reboot_instances(&mut self, ids: &[String]) -> Result<Response, ApiError> {
        for id in ids {
            match self.state.instance(id)?.state {
                InstanceState::Running | InstanceState::Terminated => {}
                InstanceState::Pending
                | InstanceState::Stopping
                | InstanceState::Stopped
                | InstanceState::ShuttingDown => {
                    let message =
                        format!("This instance '{id}' is not in a state from which it can be rebooted.");
                    return Err(ApiError::new("IncorrectInstanceState", message));
                }
            }
        }
        for id in ids {
            if let Some(it) = self.state_mut().instances.get_mut(id) {
                it.reboots += u32::from(it.state == InstanceState::Running);
            }
        }
        Ok(Response::Done)
    }

    pub(super) fn stop_instances(&mut self, it: &Instances) -> Result<Response, ApiError> {
        for id in &it.ids {
            let instance = self.state.instance(id)?;
            // User Guide, "Enable stop protection for your EC2 instances". Force does not change it; nor does
            // DisableApiTermination, which is about TerminateInstances only.
            if instance.stop_protection {
                return Err(protected(id, "stopped", "disableApiStop"));
            }
            unstoppable(instance)?;
        }
        // StopInstances: Force tries a graceful shutdown first, SkipOsShutdown does not.
        let after = if it.skip_os_shutdown { self.settings.hard_stop_time } else { self.settings.stop_time };
        let refuse_pending = self.settings.quirks.refuse_stop_while_pending;
        self.change_states(&it.ids, |state| match state {
            // Open: the error-codes page names no state in which a start cannot be undone.
            InstanceState::Pending if refuse_pending => Err("stopped"),
            InstanceState::Running | InstanceState::Pending => {
                Ok(Some((InstanceState::Stopping, after, InstanceState::Stopped)))
            }
            // A second, harder stop shortens the first.
            InstanceState::Stopping if it.force || it.skip_os_shutdown => {
                Ok(Some((InstanceState::Stopping, after, InstanceState::Stopped)))
            }
            InstanceState::Stopping | InstanceState::Stopped => Ok(None),
            InstanceState::ShuttingDown | InstanceState::Terminated => Err("stopped"),
        })
    }

    pub(super) fn terminate_instances(&mut self, it: &Instances) -> Result<Response, ApiError> {
        for id in &it.ids {
            let instance = self.state.instance(id)?;
            // "Stop protection also protects your instance from accidental termination" (User Guide, "Enable
            // stop protection for your EC2 instances").
            if instance.stop_protection {
                return Err(protected(id, "terminated", "disableApiStop"));
            }
            // User Guide, "Change instance termination protection".
            if instance.termination_protection {
                return Err(protected(id, "terminated", "disableApiTermination"));
            }
        }
        let after = if it.skip_os_shutdown { self.settings.hard_stop_time } else { self.settings.stop_time };
        // TerminateInstances: idempotent, whatever the state.
        self.change_states(&it.ids, |state| match state {
            InstanceState::ShuttingDown | InstanceState::Terminated => Ok(None),
            InstanceState::Pending
            | InstanceState::Running
            | InstanceState::Stopping
            | InstanceState::Stopped => {
                Ok(Some((InstanceState::ShuttingDown, after, InstanceState::Terminated)))
            }
        })
    }

    /// Carries out what has become due. At least one instance changes if one was due.
    pub(super) fn step_instances(&mut self) {
        let now = self.now;
        let mut terminated = Vec::new();
        for it in self.state_mut().instances.values_mut() {
            if let Some((_, next)) = it.next.take_if(|(at, _)| *at <= now) {
                it.state = next;
                if next == InstanceState::Terminated {
                    terminated.push(it.id.clone());
                }
            }
        }
        for id in terminated {
            self.detach_all(&id);
        }
    }

    /// User Guide, "Terminate an instance": interfaces with DeleteOnTermination go, others become
    /// available. An Elastic IP of an interface that goes stays allocated.
    fn detach_all(&mut self, instance: &str) {
        let interfaces: Vec<_> =
            self.state.interfaces_of(instance).into_iter().map(|it| it.id.clone()).collect();
        for id in interfaces {
            let interface = self.state_mut().interfaces.get_mut(&id);
            let attachment = interface.and_then(|it| it.attachment.take());
            if attachment
                .as_ref()
                .is_some_and(|Attachment { delete_on_termination, .. }| *delete_on_termination)
            {
                let on_it = self
                    .state
                    .elastic_ips
                    .values()
                    .filter(|it| it.association.as_ref().is_some_and(|at| at.interface == id));
                for allocation in on_it.map(|it| it.id.clone()).collect::<Vec<_>>() {
                    self.disassociate(&allocation);
                }
                self.state_mut().interfaces.remove(&id);
            }
        }
    }

    /// Changes the states of all these instances, or of none. `rule` says: the state at once, how long it
    /// lasts and what follows; nothing; or what the instance cannot be in its state.
    fn change_states(
        &mut self,
        ids: &[String],
        rule: impl Fn(InstanceState) -> Result<Option<(InstanceState, Duration, InstanceState)>, &'static str>,
    ) -> Result<Response, ApiError> {
        let now = self.now;
        let mut changes = Vec::new();
        for id in ids {
            self.state.instance(id)?;
            let Some(it) = self.state_mut().instances.get_mut(id) else { continue };
            let previous = it.state;
            let planned = rule(previous).map_err(|what| {
                let message = format!("This instance '{id}' is not in a state from which it can be {what}.");
                ApiError::new("IncorrectInstanceState", message)
            })?;
            if let Some((current, lasts, next)) = planned {
                it.state = current;
                let sooner = it.next.filter(|(at, to)| *to == next && *at < now + lasts);
                it.next = Some(sooner.unwrap_or((now + lasts, next)));
            }
            changes.push(StateChange { instance: id.clone(), previous, current: it.state });
        }
        Ok(Response::InstanceStates(changes))
    }
}

/// The text as EC2 has it; programs look for the attribute in it.
fn protected(id: &str, what: &str, attribute: &str) -> ApiError {
    let message = format!(
        "The instance '{id}' may not be {what}. Modify its '{attribute}' instance attribute and try again."
    );
    ApiError::new("OperationNotPermitted", message)
}

/// Instances that EC2 does not stop, whatever their state.
fn unstoppable(it: &Instance) -> Result<(), ApiError> {
    let id = &it.id;
    // StopInstances: "You can't stop or hibernate instance store-backed instances." The text is EC2's.
    if it.root_device == RootDevice::InstanceStore {
        let message =
            format!("The instance '{id}' does not have an 'ebs' root device type and cannot be stopped.");
        return Err(ApiError::new("UnsupportedOperation", message));
    }
    // User Guide, "Stop a Spot Instance": not one of a one-time request. Code and text are not documented.
    if it.market == Market::Spot {
        let message = format!(
            "You can't stop the Spot Instance '{id}' because it is associated with a one-time Spot Instance \
             request. You can only stop Spot Instances associated with persistent Spot Instance requests."
        );
        return Err(ApiError::new("UnsupportedOperation", message));
    }
    Ok(())
}
