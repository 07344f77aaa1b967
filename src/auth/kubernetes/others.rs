//! Tokens of other clusters' service accounts: their own API servers are asked about each that could be good.
//!
//! Source: `shared/spec/security.md` 2.3, trap 15.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use sources::kube::Connection;

use super::{ApiServer, KubernetesTokens, Review, Reviewed, Rules};
use crate::token::{FetchKeys, Published};
use crate::{Presence, Settings};

/// How a cluster is reached now; none if it is not followed.
pub type Reached = Arc<dyn Fn(&str) -> Option<Connection> + Send + Sync>;

/// Names of clusters beside their own, each with the name that is meant (`--clusterAliases`).
pub type Aliases = BTreeMap<String, String>;

/// The other clusters of the mesh.
pub struct OtherClusters {
    reached: Reached,
    rules: Rules,
    settings: Settings,
    made: Mutex<HashMap<String, Arc<KubernetesTokens>>>,
}

impl OtherClusters {
    /// Those that are `reached`; their tokens are judged by `rules`, whose clusters do not matter.
    pub fn new(reached: Reached, rules: Rules, settings: Settings) -> Self {
        Self { reached, rules, settings, made: Mutex::default() }
    }

    /// Who judges the tokens of a cluster; none if it is not followed, which is asked each time.
    pub(super) fn of(&self, cluster: &str) -> Option<Arc<KubernetesTokens>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if (self.reached)(cluster).is_none() {
            made.remove(cluster);
            return None;
        }
        if let Some(tokens) = made.get(cluster) {
            return Some(Arc::clone(tokens));
        }
        let server = Elsewhere { cluster: cluster.to_owned(), reached: Arc::clone(&self.reached) };
        let rules =
            Rules { clusters: vec![cluster.to_owned()], aliases: Aliases::new(), ..self.rules.clone() };
        // Its service accounts are not followed: what could be good is asked about.
        let presence = Arc::<Presence>::default();
        let tokens = KubernetesTokens::new(rules, server.clone(), presence, server, self.settings.clone());
        let tokens = Arc::new(tokens);
        made.insert(cluster.to_owned(), Arc::clone(&tokens));
        Some(tokens)
    }
}

/// The API server of another cluster, under the credentials that came last.
#[derive(Clone)]
struct Elsewhere {
    cluster: String,
    reached: Reached,
}

impl Elsewhere {
    fn server(&self) -> Result<ApiServer, String> {
        let connection = (self.reached)(&self.cluster);
        let connection =
            connection.ok_or_else(|| format!("the cluster {:?} is followed no more", self.cluster))?;
        Ok(ApiServer::new(&connection))
    }
}

impl FetchKeys for Elsewhere {
    fn fetch(&self) -> BoxFuture<'static, Result<Published, String>> {
        match self.server() {
            Ok(server) => server.fetch(),
            Err(error) => std::future::ready(Err(error)).boxed(),
        }
    }
}

impl Review for Elsewhere {
    fn review(&self, token: String, audiences: Vec<String>) -> BoxFuture<'static, Result<Reviewed, String>> {
        match self.server() {
            Ok(server) => server.review(token, audiences),
            Err(error) => std::future::ready(Err(error)).boxed(),
        }
    }
}
