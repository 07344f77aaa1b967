//! What the translation of an Ingress looks at beside it.

use std::sync::Arc;

use api::Object;
use api::kubernetes::{Ingress, IngressClass, Service};
use model::ingress::{CLASS, is_served};
use model::mesh::Settings;

use crate::namespaces::Said;
use crate::tables::{Id, Table, Tables};

/// All that is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    ingresses: &'a Table<Ingress>,
    classes: &'a Table<IngressClass>,
    services: &'a Table<Service>,
    said: &'a Said,
    /// The settings of the mesh.
    pub(super) settings: &'a Settings,
    /// The namespace of the gateways that serve Ingresses.
    pub(super) namespace: &'a Arc<str>,
}

impl<'a> View<'a> {
    /// As it is now.
    pub(super) fn of(tables: &'a Tables) -> Self {
        Self {
            ingresses: &tables.ingresses,
            classes: &tables.ingress_classes,
            services: &tables.home.services,
            said: &tables.home.said,
            settings: &tables.settings,
            namespace: &tables.options.ingress_namespace,
        }
    }

    /// An Ingress whose namespace counts, be it served or not.
    pub(super) fn ingress(&self, id: &Id) -> Option<&'a Object<Ingress>> {
        self.ingresses.get(id).filter(|_| self.said.discovers(&id.0)).map(|object| &**object)
    }

    /// An Ingress that is served.
    pub(super) fn served(&self, id: &Id) -> Option<&'a Object<Ingress>> {
        let serves = |object: &&Object<Ingress>| {
            let annotation = object.meta.annotations.get(CLASS).map(String::as_str);
            is_served(&self.settings.mesh, annotation, self.class(object))
        };
        self.ingress(id).filter(serves)
    }

    /// The class that an Ingress names by its field, if it is there.
    pub(super) fn class(&self, object: &Object<Ingress>) -> Option<&'a IngressClass> {
        let name = object.spec.ingress_class_name.as_str();
        self.classes.get(&(Arc::from(""), Arc::from(name))).map(|class| &class.spec)
    }

    /// A Service.
    pub(super) fn service(&self, id: &Id) -> Option<&'a Service> {
        self.services.get(id).map(|object| &object.spec)
    }
}
