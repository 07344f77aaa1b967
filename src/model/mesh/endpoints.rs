//! The endpoints section: the endpoints of each service.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ServiceKey;
use crate::endpoint::ServiceEndpoints;
use crate::service::Service;

/// Endpoints by service. A service without an entry has none.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    /// The entries.
    pub by_service: BTreeMap<ServiceKey, Arc<ServiceEndpoints>>,
}

impl Endpoints {
    /// The endpoints of a service.
    pub fn of(&self, service: &Service) -> Option<&Arc<ServiceEndpoints>> {
        self.by_service.get(&(Arc::clone(&service.host), Arc::clone(&service.namespace)))
    }
}
