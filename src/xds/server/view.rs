//! All connected proxies as [`spread`](crate::spread) looks at them: what the engine has for each, and where it stands.

use std::collections::{BTreeMap, HashMap};

use api::{ObjectKey, ObjectRef};

use super::clients::{Client, Clients};
use super::engine::EngineHandle;
use crate::engine::{ProxyId, ProxySets};
use crate::generate::Generate;
use crate::kind::ResourceType;
use crate::spread::{Connected, Spread, spread};

/// How far the objects that `counts` wants to know of have come with the proxies of this process. `None` if there is no
/// snapshot yet, or the engine is gone.
pub async fn spread_now<G: Generate>(
    engine: &EngineHandle<G>,
    clients: &Clients,
    counts: impl Fn(&ObjectRef) -> bool + Send + 'static,
) -> Option<BTreeMap<ObjectKey, Spread>> {
    let sets: HashMap<ProxyId, ProxySets> =
        engine.inspect(|engine| engine.proxies().map(|(id, _, sets)| (id, sets.clone())).collect()).await?;
    let proxies: Vec<Connected> = clients
        .list()
        .iter()
        .filter_map(|client| Some(connected(client, sets.get(&client.proxy())?.clone())))
        .collect();
    // What this costs grows with the mesh: streams must not wait for it.
    tokio::task::spawn_blocking(move || spread(&proxies, counts)).await.ok()
}

fn connected(client: &Client, sets: ProxySets) -> Connected {
    let told = client.sets();
    let standings = ResourceType::ALL.into_iter().filter_map(|kind| {
        let mut standing = client.standing(kind)?;
        // What the engine has made and the stream has not heard of yet.
        let (now, then) = (sets.get(kind), told.get(kind));
        if !now.is_same(then) {
            let news = now.diff(then);
            standing.behind.extend(news.changed.iter().map(|resource| resource.name().clone()));
        }
        Some((kind, standing))
    });
    Connected { name: client.proxy_name().to_owned(), standings: standings.collect(), sets }
}
