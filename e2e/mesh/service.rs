//! A Service in the making.

use std::collections::BTreeMap;

use anyhow::Result;

use super::Mesh;
use crate::objects;

/// A Service in the making; it selects `app: NAME` unless told otherwise.
#[derive(Debug)]
#[must_use = "a Service does nothing until it is created"]
pub struct ServiceBuilder<'a> {
    mesh: &'a Mesh<'a>,
    namespace: String,
    name: String,
    selector: BTreeMap<String, String>,
    ports: Vec<(String, u16, u16)>,
    headless: bool,
}

impl<'a> ServiceBuilder<'a> {
    pub(super) fn new(mesh: &'a Mesh<'a>, namespace: &str, name: &str) -> Self {
        Self {
            mesh,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            selector: BTreeMap::from([("app".to_owned(), name.to_owned())]),
            ports: Vec::new(),
            headless: false,
        }
    }

    /// Adds a port; its name's prefix says the protocol, as in Istio.
    pub fn port(self, name: &str, port: u16) -> Self {
        self.port_to(name, port, port)
    }

    /// Adds a port that leads to another port of the pods.
    pub fn port_to(mut self, name: &str, port: u16, target: u16) -> Self {
        self.ports.push((name.to_owned(), port, target));
        self
    }

    /// Selects pods by these labels instead.
    pub fn selector(mut self, labels: &[(&str, &str)]) -> Self {
        self.selector = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self
    }

    /// Gives it no virtual address.
    pub fn headless(mut self) -> Self {
        self.headless = true;
        self
    }

    /// Writes the Service and its EndpointSlice.
    pub fn create(self) -> Result<()> {
        let object =
            objects::service(&self.namespace, &self.name, &self.selector, &self.ports, self.headless);
        self.mesh.put_service((self.namespace, self.name), object)
    }
}
