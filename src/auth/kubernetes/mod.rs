//! Tokens of Kubernetes' service accounts: verified here with the keys that the API server publishes, or by asking it.
//!
//! Here a token is taken only if all of it is proven: signature, claims, and that the pod and the service account that it is
//! bound to are there. What is false is refused here, too. Of everything else the API server has the last word: a pod may be
//! newer than what was followed, a key older than what is published.
//!
//! Source: `shared/spec/security.md` 2.3; Kubernetes, "Managing Service Accounts" and TokenReview.

mod api_server;
mod others;
mod review;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use tokio::time::timeout;

pub use api_server::{ApiServer, follow_accounts};
pub use others::{Aliases, OtherClusters, Reached};

use crate::fair::{Source, Turns};
use crate::token::{Bound, Claims, FetchKeys, Hash, Keys, LONGEST, Unverified, Verified};
use crate::{BoundPod, Caller, Credentials, Domains, Means, Presence, Refused, Settings};

/// Questions to an API server at once.
const QUESTIONS: usize = 64;
/// How long its answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the API server says of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reviewed {
    /// What was wrong with asking; empty if nothing.
    pub error: String,
    /// Whether the token is good.
    pub authenticated: bool,
    /// The audiences that it is for, of those that were asked for.
    pub audiences: Vec<String>,
    /// Whose it is.
    pub user: String,
    /// The groups that its owner is in.
    pub groups: Vec<String>,
    /// The pod that it is bound to.
    pub pod: Option<BoundPod>,
}

/// Asks the API server about tokens.
pub trait Review: Send + Sync {
    /// What it says of a token for one of these audiences; or what went wrong, in words for the log.
    fn review(&self, token: String, audiences: Vec<String>) -> BoxFuture<'static, Result<Reviewed, String>>;
}

/// When the API server is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ask {
    /// About tokens that cannot be verified here.
    #[default]
    Unproven,
    /// About every token.
    Always,
}

/// How tokens are judged.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// A token must be for one of these.
    pub audiences: Vec<String>,
    /// The cluster whose tokens they are, and further names of it.
    pub clusters: Vec<String>,
    /// Names that stand for other names.
    pub aliases: Aliases,
    /// When the API server is asked.
    pub ask: Ask,
}

/// Verifies tokens of one cluster's service accounts.
pub struct KubernetesTokens {
    rules: Rules,
    keys: Keys,
    presence: Arc<Presence>,
    review: Option<Box<dyn Review>>,
    verified: Verified<Arc<Subject>>,
    settings: Settings,
    /// Whether tokens of this issuer are bound to nothing that could go.
    unbound: bool,
    others: Option<OtherClusters>,
    /// Questions to the API server at once: tokens that are none must not become a flood of them, nor keep others from asking.
    questions: Turns,
}

/// Whose a token is.
struct Subject {
    namespace: String,
    account: String,
    bound: Option<Bound>,
}

impl KubernetesTokens {
    /// Of a cluster whose API server publishes `keys` and is asked by `review`; `presence` has its pods and accounts.
    pub fn new(
        rules: Rules,
        keys: impl FetchKeys + 'static,
        presence: Arc<Presence>,
        review: impl Review + 'static,
        settings: Settings,
    ) -> Self {
        let review: Option<Box<dyn Review>> = Some(Box::new(review));
        Self::with(rules, Box::new(keys), presence, review, settings)
    }

    /// Judges tokens of other clusters, too.
    #[must_use]
    pub fn beside(self, others: OtherClusters) -> Self {
        Self { others: Some(others), ..self }
    }

    /// Of a mesh without a cluster: the tokens are ours, and bound to nothing.
    pub fn of_our_own(rules: Rules, keys: impl FetchKeys + 'static, settings: Settings) -> Self {
        Self { unbound: true, ..Self::with(rules, Box::new(keys), Arc::default(), None, settings) }
    }

    fn with(
        rules: Rules,
        keys: Box<dyn FetchKeys>,
        presence: Arc<Presence>,
        review: Option<Box<dyn Review>>,
        settings: Settings,
    ) -> Self {
        let (keys, verified, questions) = (Keys::new(keys), Verified::new(), Turns::leaving_some(QUESTIONS));
        Self { rules, keys, presence, review, verified, settings, unbound: false, others: None, questions }
    }

    /// Who has these tokens; none if there is no token.
    pub(crate) async fn authenticate(
        &self,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Option<Result<Caller, Refused>> {
        let named = &credentials.cluster;
        let cluster = self.rules.aliases.get(named).unwrap_or(named);
        if cluster.is_empty() || self.rules.clusters.contains(cluster) {
            return self.first_of(credentials, now).await;
        }
        // Never the home cluster in place of one that is not known (trap 15).
        match self.others.as_ref().and_then(|others| others.of(cluster)) {
            Some(other) => other.first_of(credentials, now).await,
            None if credentials.tokens.is_empty() => None,
            None => Some(Err(Refused::new(format!("tokens of the cluster {cluster:?} are not known here")))),
        }
    }

    async fn first_of(&self, credentials: &Credentials, now: SystemTime) -> Option<Result<Caller, Refused>> {
        // Several are for several kinds of doors; the first one that opens this one counts.
        let mut refused = None;
        let source = credentials.address.map(|address| address.ip());
        for token in &credentials.tokens {
            match self.caller(token, source, now).await {
                Ok(caller) => return Some(Ok(caller)),
                Err(reason) => refused = Some(reason),
            }
        }
        refused.map(Err)
    }

    async fn caller(&self, token: &str, source: Source, now: SystemTime) -> Result<Caller, Refused> {
        if token.len() > LONGEST {
            return Err(Refused::new(format!("token: it is longer than {LONGEST} bytes")));
        }
        match self.here(token, now).await {
            Ok(subject) => {
                let pod = subject.bound.as_ref().and_then(|bound| bound.pod.clone());
                self.found(&subject.namespace, &subject.account, pod)
            }
            Err(Unverified::False(reason)) => Err(Refused::new(format!("token: {reason}"))),
            Err(Unverified::Unknown(reason)) => self.ask(token, source, &reason).await,
        }
    }

    /// Verifies a token without the API server.
    async fn here(&self, token: &str, now: SystemTime) -> Result<Arc<Subject>, Unverified> {
        if self.rules.ask == Ask::Always && self.review.is_some() {
            return Err(Unverified::Unknown("the API server is to be asked always".to_owned()));
        }
        let hash = Hash::of(token);
        if let Some(subject) = self.verified.get(hash, now)
            && self.holds(&subject).is_ok()
        {
            return Ok(subject);
        }
        let (claims, issuer) = self.keys.verify(token).await?;
        claims.check(&issuer, &self.rules.audiences, now).map_err(Unverified::False)?;
        let subject = Arc::new(Subject::of(&claims).map_err(Unverified::False)?);
        self.holds(&subject).map_err(Unverified::Unknown)?;
        self.verified.put(hash, Arc::clone(&subject), claims.expiry(), now);
        Ok(subject)
    }

    fn holds(&self, subject: &Subject) -> Result<(), String> {
        match &subject.bound {
            _ if self.unbound => Ok(()),
            Some(bound) => self.presence.holds(&subject.namespace, &subject.account, bound),
            None => Err("it is bound to nothing".to_owned()),
        }
    }

    /// Has the API server verify a token, which could not be verified here for a reason.
    async fn ask(&self, token: &str, source: Source, reason: &str) -> Result<Caller, Refused> {
        let Some(review) = &self.review else { return Err(Refused::new(format!("token: {reason}"))) };
        let _question = self.questions.take(source).await;
        let answer = timeout(PATIENCE, review.review(token.to_owned(), self.rules.audiences.clone())).await;
        let answer = answer.unwrap_or_else(|_| Err("the API server does not answer".to_owned()));
        let answer = answer.map_err(|error| Refused::new(format!("token: {reason}, and {error}")))?;
        let (namespace, account, pod) = review::judge(answer, &self.rules.audiences)
            .map_err(|no| Refused::new(format!("token: {no}")))?;
        self.found(&namespace, &account, pod)
    }

    fn found(&self, namespace: &str, account: &str, pod: Option<BoundPod>) -> Result<Caller, Refused> {
        let domains = Domains::now(&self.settings)?;
        let identity = ca::SpiffeId::new(&domains.own, namespace, account);
        let identity = identity.map_err(|error| Refused::new(error.to_string()))?;
        Ok(Caller { identity, means: Means::Token, pod })
    }
}

impl Subject {
    fn of(claims: &Claims) -> Result<Self, String> {
        let (namespace, account) = claims.account()?;
        Ok(Self { namespace: namespace.to_owned(), account: account.to_owned(), bound: claims.bound() })
    }
}

#[cfg(test)]
mod tests;
