//! Service accounts whose proxies ask for secrets: who they are, whether they may have private keys, for how long that holds.
//!
//! The mesh knows an account from its first question on, so that nothing is planned for proxies that never ask. What it
//! may have comes later, as an event like any other: nobody waits for the API server. Without an API server an account
//! may have what is in its own namespace: whoever writes the folder decides who runs there.
//!
//! Source: Istio `pilot/pkg/credentials/kube/secrets.go`, `pilot/pkg/xds/sds.go`; `shared/spec/security.md` 4.3.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use anyhow::Result;
use model::credential::{Holder, Name};
use model::mesh::{Access, Account};
use prometheus::{IntCounter, Registry};
use sources::due::until;
use sources::event::Batch;
use sources::kube::Reviewer;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long it holds that an account may list Secrets.
const GRANTED: Duration = Duration::from_secs(300);
/// How long it holds that it may not, or that nobody knows.
const DENIED: Duration = Duration::from_secs(60);
/// Names that are remembered of an account before its first answer: no more than are worth a warning.
const REMEMBERED: usize = 64;
/// Names in one warning.
const NAMED: usize = 3;
/// Accounts that are known before those that are gone are looked for.
const SWEEP: usize = 256;

/// The accounts of the proxies that are connected. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Accounts(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    known: Mutex<BTreeMap<Account, Known>>,
    asks: mpsc::UnboundedSender<Account>,
    errors: IntCounter,
}

/// An account of which a proxy is connected, or was lately.
#[derive(Debug, Default)]
struct Known {
    /// Held by the proxies.
    proxies: Weak<Account>,
    asked: bool,
    /// What it may have, once that has been judged.
    access: Option<Access>,
    /// What was asked for before that.
    names: BTreeSet<String>,
}

/// The questions of proxies.
pub(crate) type Asked = mpsc::UnboundedReceiver<Account>;

impl Accounts {
    /// No accounts; their questions come out at the other end.
    ///
    /// # Errors
    /// The name of the metric is taken.
    pub(crate) fn register(registry: &Registry) -> Result<(Self, Asked)> {
        let errors = IntCounter::new(
            "pilot_sds_certificate_errors_total",
            "Total number of failures to fetch SDS key and certificate.",
        )?;
        registry.register(Box::new(errors.clone()))?;
        let (asks, asked) = mpsc::unbounded_channel();
        Ok((Self(Arc::new(Shared { known: Mutex::default(), asks, errors })), asked))
    }

    /// The account, shared by all proxies that run as it: as long as one of them is there, it is looked after.
    pub(crate) fn of(&self, account: Account) -> Arc<Account> {
        let mut known = self.lock();
        if known.len() >= SWEEP && known.len().is_power_of_two() {
            known.retain(|_, known| known.asked || known.proxies.strong_count() > 0);
        }
        let entry = known.entry(account.clone()).or_default();
        entry.proxies.upgrade().unwrap_or_else(|| {
            let shared = Arc::new(account);
            entry.proxies = Arc::downgrade(&shared);
            shared
        })
    }

    /// A proxy of the account asks for a name that it is not sent.
    pub(crate) fn ask(&self, account: &Account, name: &str) {
        let mut known = self.lock();
        let Some(entry) = known.get_mut(account) else { return };
        if let Some(access) = entry.access {
            drop(known);
            self.0.errors.inc();
            tracing::debug!(%account, name, "is asked for and not sent");
            return complain(account, &[(name, access)]);
        }
        if entry.names.len() < REMEMBERED {
            entry.names.insert(name.to_owned());
        }
        if !std::mem::replace(&mut entry.asked, true) {
            // At the end of the process nobody listens.
            let _ = self.0.asks.send(account.clone());
        }
    }

    /// Looks after the accounts that ask, until nobody takes the batches. Without a reviewer each may have what is in its
    /// namespace.
    pub(crate) async fn run(self, mut asked: Asked, reviewer: Option<Reviewer>, sender: mpsc::Sender<Batch>) {
        let mut reviews = JoinSet::new();
        let mut due: BTreeMap<Account, Instant> = BTreeMap::new();
        loop {
            let next = due.values().min().copied();
            let batch = tokio::select! {
                asked = asked.recv() => {
                    let Some(account) = asked else { return };
                    reviews.spawn(review(reviewer.clone(), account.clone()));
                    // What needs no leave is sent meanwhile.
                    Some((account, Some(Access::Denied)))
                }
                Some(Ok((account, access))) = reviews.join_next() => {
                    let holds = if access == Access::Granted { GRANTED } else { DENIED };
                    due.insert(account.clone(), Instant::now() + holds);
                    self.judged(&account, access).then_some((account, Some(access)))
                }
                () = until(next) => {
                    let now = Instant::now();
                    let Some(account) = due.iter().find(|(_, at)| **at <= now).map(|(a, _)| a.clone()) else { continue };
                    due.remove(&account);
                    if self.forget(&account) {
                        Some((account, None))
                    } else {
                        reviews.spawn(review(reviewer.clone(), account));
                        None
                    }
                }
            };
            let Some(said) = batch else { continue };
            if sender.send(Batch { accounts: vec![said], ..Batch::default() }).await.is_err() {
                return;
            }
        }
    }

    /// Takes note of what an account may have; whether that is news.
    fn judged(&self, account: &Account, access: Access) -> bool {
        let mut known = self.lock();
        let Some(entry) = known.get_mut(account) else { return false };
        let news = entry.access.replace(access) != Some(access);
        let names = std::mem::take(&mut entry.names);
        drop(known);
        let names: Vec<_> = names.iter().map(|name| (name.as_str(), access)).collect();
        complain(account, &names);
        news
    }

    /// Forgets an account of which no proxy is connected; whether it is so.
    fn forget(&self, account: &Account) -> bool {
        let mut known = self.lock();
        let gone = known.get(account).is_some_and(|known| known.proxies.strong_count() == 0);
        if gone {
            known.remove(account);
        }
        gone
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Account, Known>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks whether an account may list Secrets. What nobody can say counts as a no.
async fn review(reviewer: Option<Reviewer>, account: Account) -> (Account, Access) {
    let Some(reviewer) = reviewer else { return (account, Access::Granted) };
    let access = match reviewer.may_list_secrets(&account).await {
        Ok((true, _)) => Access::Granted,
        Ok((false, reason)) => {
            tracing::info!(%account, reason, "may not list the Secrets of its namespace");
            Access::Denied
        }
        Err(error) => {
            tracing::warn!(%account, %error, "nobody can say whether it may list Secrets: it gets no keys for now");
            Access::Denied
        }
    };
    (account, access)
}

/// Tells of names that proxies may not have, all in one warning.
fn complain(account: &Account, names: &[(&str, Access)]) {
    let refused: Vec<_> =
        names.iter().filter_map(|(name, access)| Some((*name, refusal(account, name, *access)?))).collect();
    let Some((_, why)) = refused.first() else { return };
    let more = refused.len().saturating_sub(NAMED);
    let named: Vec<&str> = refused.iter().take(NAMED).map(|(name, _)| *name).collect();
    tracing::warn!(%account, names = named.join(", "), more, "proxies ask for secrets that they may not have: {why}");
}

/// Why an account may not have a secret of this name, as far as the name tells.
fn refusal(account: &Account, text: &str, access: Access) -> Option<&'static str> {
    if text.starts_with("invalid://") {
        return None;
    }
    let Some(name) = Name::parse(text) else { return Some("this is no name of a secret") };
    if name.holder != Holder::Secret {
        return None;
    }
    if name.namespace.is_some_and(|namespace| *namespace != *account.namespace) {
        return Some(
            "it is of another namespace than they are; keep it in theirs, or name it kubernetes-gateway://NAMESPACE/NAME in a \
             Gateway of theirs and allow that by a ReferenceGrant of the Secret's namespace",
        );
    }
    let unread = !name.is_roots() && access == Access::Denied;
    unread
        .then_some("grant their service account `list` on secrets of its namespace, by name and not by group")
}

#[cfg(test)]
mod tests;
