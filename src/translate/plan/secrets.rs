//! The plan of secrets: what those of one account may have, beside everything else.

use std::sync::Arc;

use model::{Mesh, Ref};

use super::{Plan, keep};
use crate::key::Entries;
use crate::scope::Scope;
use crate::secrets::{self, SecretsView};

/// Plans a class of secrets.
pub(super) fn plan(mesh: &Mesh, view: &SecretsView, previous: Option<&Arc<Plan>>) -> Arc<Plan> {
    if let Some(old) = previous.filter(|old| secrets::is_same(mesh, &old.mesh, view)) {
        return Arc::clone(old);
    }
    let planned = secrets::plan(mesh, view);
    Arc::new(Plan {
        clusters: Entries::default(),
        endpoints: Entries::default(),
        listeners: Entries::default(),
        routes: Entries::default(),
        names: Entries::default(),
        trusted: Entries::default(),
        secrets: keep(planned, previous.map(|old| &old.secrets)),
        hidden_clusters: Arc::default(),
        hidden_endpoints: Arc::default(),
        hidden_listeners: Arc::default(),
        holding: false,
        problems: Arc::default(),
        common: None,
        mesh: secrets::looked_at(mesh),
        scope: Ref::new(Scope::default()),
    })
}
