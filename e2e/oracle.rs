//! Holds what calls come to against what the call simulator says of them.
//!
//! Every call of a pod's client is asked of the simulator too, with what each Envoy on its way works with at that moment
//! (its own `/config_dump`), from the client's sidecar to the app. What comes back must be one of the things that may
//! happen. A configuration that changes while a call is under way makes it undecided, which is counted.

mod compare;
mod snapshot;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use testkit::simulator::Call;

pub(crate) use compare::Came;
pub(crate) use snapshot::Snapshot;

use crate::envoy::ADMIN;
use crate::pod::{Inner as PodInner, Pod};
use crate::services::Services;
use walk::{End, Walk};

/// All pods by their addresses, and how many calls were as foretold.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pods: Mutex<BTreeMap<Ipv4Addr, Weak<PodInner>>>,
    tally: Mutex<Tally>,
}

/// How many calls were judged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// They came to what the simulator says.
    pub(crate) agreed: u64,
    /// The configuration changed meanwhile, or they went to what is not of this world.
    pub(crate) undecided: u64,
}

/// A call that is under way, and what was foretold of it.
#[derive(Debug)]
pub(crate) struct Foretold {
    oracle: Arc<Oracle>,
    services: Arc<Services>,
    from: Ipv4Addr,
    call: Call,
    before: Result<Walk>,
    began: SystemTime,
}

impl Oracle {
    /// Makes a pod known.
    pub(crate) fn register(&self, ip: Ipv4Addr, pod: Weak<PodInner>) {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner).insert(ip, pod);
    }

    /// How many calls were judged so far.
    pub(crate) fn tally(&self) -> Tally {
        *self.lock()
    }

    /// The pod at an address, unless it was stopped.
    fn pod(&self, ip: IpAddr) -> Option<Pod> {
        let IpAddr::V4(ip) = ip else { return None };
        let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        pods.get(&ip)?.upgrade().map(Pod::of).filter(|pod| !pod.is_stopped())
    }

    /// Asks the simulator before a call of the pod at `from`; none for what no proxy sees.
    pub(crate) fn foretell(
        self: &Arc<Self>,
        services: &Arc<Services>,
        from: Ipv4Addr,
        call: Call,
    ) -> Option<Foretold> {
        let pod = self.pod(from.into());
        if pod.as_ref().is_some_and(Pod::redirects_otherwise) {
            return None;
        }
        // On loopback there may be listeners of an Envoy to which nothing is redirected. What asks the Envoy itself is
        // no call of the app's.
        if call.wanted.ip().is_loopback() && (call.wanted == ADMIN || !pod.is_some_and(|pod| pod.bound())) {
            return None;
        }
        let began = SystemTime::now();
        let before = walk::walk(self, services, from, &call);
        let (oracle, services) = (Arc::clone(self), Arc::clone(services));
        Some(Foretold { oracle, services, from, call, before, began })
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Foretold {
    /// Fails unless what came is one of the things that were foretold, before or after the call.
    pub(crate) fn judge(self, came: &Came) -> Result<()> {
        let foretold = match &self.before {
            Ok(walk) => walk.ends.clone(),
            Err(_) => Vec::new(),
        };
        if agrees(&foretold, came) {
            return self.decided(&foretold);
        }
        let after = walk::walk(&self.oracle, &self.services, self.from, &self.call);
        if let Ok(after) = &after
            && agrees(&after.ends, came)
        {
            return self.decided(&after.ends);
        }
        if self.unsettled(&after) {
            self.oracle.lock().undecided += 1;
            return Ok(());
        }
        let said = after.context("the simulator cannot say where the call goes")?;
        let said: Vec<String> = said.ends.iter().map(|end| compare::differs(end, came)).collect();
        bail!(
            "the simulator foretold of {:?}:\n{}\nbut what came is {}",
            self.call,
            said.join("\n"),
            came.told()
        );
    }

    fn decided(&self, ends: &[End]) -> Result<()> {
        let mut tally = self.oracle.lock();
        if ends.iter().any(|end| matches!(end, End::Elsewhere(_))) {
            tally.undecided += 1;
        } else {
            tally.agreed += 1;
        }
        Ok(())
    }

    /// Whether some Envoy's configuration changed during the call or just before it: its threads follow a moment later.
    fn unsettled(&self, after: &Result<Walk>) -> bool {
        match (&self.before, after) {
            (Ok(before), Ok(after)) => {
                before.used != after.used || after.used.iter().any(|used| used.changed_after(self.began))
            }
            // A pod that is coming or going.
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => true,
            (Err(_), Err(_)) => false,
        }
    }
}

fn agrees(ends: &[End], came: &Came) -> bool {
    ends.iter().any(|end| compare::disagreement(end, came).is_none())
}

/// An address as text, such as the simulator gives; none for names and paths.
fn address(text: &str) -> Option<SocketAddr> {
    text.parse().ok()
}

/// The arc of a pod, as it is registered.
pub(crate) fn weak(pod: &Arc<PodInner>) -> Weak<PodInner> {
    Arc::downgrade(pod)
}
