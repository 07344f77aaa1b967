//! A case that is translated again and again, each time with something else in one place.

use anyhow::{Context, Result};
use api::AnyObject;
use api::decode::decode;
use envoy::istio::networking::nds::v1::NameTable;
use model::{Mesh, Proxy};
use prost::Message;
use serde_json::Value;
use store::Tables;
use translate::{Key, clusters, endpoints, listeners, names, routes, secrets, slots, trust};

use super::place::{Altered, Place};
use crate::conformance::Case;
use crate::mesh::{self, Planned};

/// A case as it is, ready to be altered.
pub(super) struct Ground<'c> {
    case: &'c Case,
    tables: Tables,
    proxies: Vec<Proxy>,
    before: Vec<Picture>,
}

/// What one proxy gets.
struct Picture {
    planned: Planned,
    names: NameTable,
    values: Vec<String>,
}

impl<'c> Ground<'c> {
    pub(super) fn new(case: &'c Case, base: &str) -> Result<Self> {
        let mut tables = mesh::tables(case.options(), &[base, case.input()])?;
        let mesh = tables.next_mesh().mesh;
        let proxies: Vec<Proxy> =
            case.proxies().iter().map(|proxy| case.proxy(proxy)).collect::<Result<_>>()?;
        let before = proxies.iter().map(|proxy| Picture::of(&mesh, proxy)).collect();
        Ok(Self { case, tables, proxies, before })
    }

    /// Whether any proxy gets anything else with this content in a place. Content that cannot be read makes no difference.
    pub(super) fn differs(&mut self, place: &Place, content: Value) -> Result<bool> {
        match place.with(self.case, content).context("a place that is not in its case")? {
            Altered::Proxy(number, proxy) => {
                let Ok(proxy) = self.case.proxy(&proxy) else { return Ok(false) };
                let mesh = self.tables.next_mesh().mesh;
                Ok(self.before.get(number).is_some_and(|before| before.differs(&mesh, &proxy)))
            }
            Altered::Document(document) => {
                let Ok(altered) = decode(document) else { return Ok(false) };
                let original = place.document(self.case).context("a place without a document")?;
                let original = decode(original.clone())?.object;
                self.apply(&altered.object);
                let mesh = self.tables.next_mesh().mesh;
                let mut pairs = self.before.iter().zip(&self.proxies);
                let differs = pairs.any(|(before, proxy)| before.differs(&mesh, proxy));
                self.apply(&original);
                // What cannot be taken leaves the last good form in force: that has to be the original.
                self.tables.next_mesh();
                Ok(differs)
            }
        }
    }

    fn apply(&mut self, object: &AnyObject) {
        self.tables.apply(&object.key(), Some(object));
    }
}

impl Picture {
    fn of(mesh: &Mesh, proxy: &Proxy) -> Self {
        Self {
            planned: mesh::planned(mesh, proxy),
            names: mesh::name_table(mesh, proxy),
            values: slots::values(mesh, proxy),
        }
    }

    fn differs(&self, mesh: &Mesh, proxy: &Proxy) -> bool {
        let now = Self::of(mesh, proxy);
        let same = |(was, is): (&Key, &Key)| was == is || bytes(was) == bytes(is);
        !now.planned.keys().eq(self.planned.keys())
            || now.names != self.names
            || now.values != self.values
            || !self.planned.values().zip(now.planned.values()).all(same)
    }
}

/// What is sent of a key, on one route configuration's virtual hosts one after the other.
fn bytes(key: &Key) -> Vec<u8> {
    match key {
        Key::Cluster(key) => clusters::build(key).message.encode_to_vec(),
        Key::Endpoints(key) => endpoints::build(key).message.encode_to_vec(),
        Key::Listener(key) => listeners::build(key).message.encode_to_vec(),
        Key::Route(key) => {
            let mut bytes = routes::build_head(key).message.encode_to_vec();
            for host in key.virtual_hosts.iter() {
                bytes.extend(routes::build_virtual_host(host).message.encode_length_delimited_to_vec());
            }
            bytes
        }
        Key::Secret(key) => secrets::build(key).message.encode_to_vec(),
        Key::Trust(key) => trust::build(key).message.encode_to_vec(),
        Key::Names(key) => {
            key.parts.iter().flat_map(|part| names::build(part).message.encode_to_vec()).collect()
        }
    }
}
