//! What the plans of one class look at together: the mesh, the class, its scope.

use std::sync::Arc;

use model::endpoint::ServiceEndpoints;
use model::mesh::{Client, MergedRule, Settings};
use model::service::Service;
use model::{Mesh, Ref};

use crate::class::SharedView;
use crate::scope::Scope;

/// The inputs of the plans of a class.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The mesh.
    pub mesh: &'a Mesh,
    /// The class.
    pub view: &'a Ref<SharedView>,
    /// What the class sees of the mesh.
    pub scope: &'a Scope,
}

impl<'a> Context<'a> {
    /// Settings of the mesh.
    pub fn settings(&self) -> &'a Settings {
        &self.mesh.settings
    }

    /// The DestinationRule that applies to requests of this class to a service.
    pub fn rule(&self, service: &Service) -> Option<&'a Ref<MergedRule>> {
        let client = Client { namespace: &self.view.namespace, labels: &self.view.labels };
        let root = &self.mesh.settings.mesh.root_namespace;
        self.mesh.destination_rules.lookup(client, &service.host, &service.namespace, root)
    }

    /// The endpoints of a service.
    pub fn endpoints(&self, service: &Service) -> Option<&'a Arc<ServiceEndpoints>> {
        self.mesh.endpoints.of(service)
    }
}
