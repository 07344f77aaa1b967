//! What an object makes together with others: names that lead nowhere, and objects of which an older one wins.
//!
//! The reference takes all of this without a word. It is told as warnings, each at the field that is to be changed, with
//! the other object named. What a rule of one object alone can tell is in [`crate::validate`]. Nothing here looks at a
//! connected proxy: an answer is the same before the first one comes.
//!
//! Source: Istio `pkg/config/analysis/analyzers/` (IST0101, IST0106 to IST0112, IST0132, IST0174).

mod authorization;
mod credentials;
mod destination;
mod destination_rule;
mod policies;
mod ports;
mod sidecar;
mod virtual_service;

use std::collections::BTreeMap;

use api::{AnyObject, Meta, ObjectKey, Problem};

pub use credentials::{config_maps, places, shown};

use crate::config::Creation;
use crate::mesh::Mesh;
use crate::validate::Check;

/// Who is looked at: an object as far as conflicts with others depend on it.
#[derive(Clone, Copy, Debug)]
struct Subject<'a> {
    key: &'a ObjectKey,
    creation: Creation,
}

impl Subject<'_> {
    /// Whether another object, which has the same to say, comes before this one. What has no age yet is the youngest.
    fn loses_to(&self, key: &ObjectKey, creation: Creation) -> bool {
        let age = |creation: Creation| creation.unwrap_or(i64::MAX);
        let own = (age(self.creation), &self.key.name, &self.key.namespace);
        key != self.key && (age(creation), &key.name, &key.namespace) < own
    }

    /// The namespace that short names are of.
    fn namespace(&self) -> &str {
        &self.key.namespace
    }
}

/// What one object, which need not be in the mesh yet, makes together with those that are.
pub fn analyze(object: &AnyObject, mesh: &Mesh) -> Vec<Problem> {
    let key = object.key();
    let Meta { creation, .. } = object.meta();
    let subject = Subject { key: &key, creation: *creation };
    let mut check = Check::new(key.clone());
    match object {
        AnyObject::VirtualService(o) => {
            virtual_service::virtual_service(&mut check, &o.spec, subject, mesh);
            virtual_service::older(&mut check, &o.spec, subject, mesh);
        }
        AnyObject::DestinationRule(o) => {
            destination_rule::destination_rule(&mut check, &o.spec, subject, mesh);
            credentials::destination_rule(&mut check, &o.spec, subject, mesh);
        }
        AnyObject::Gateway(o) => credentials::gateway(&mut check, &o.spec, subject, mesh),
        AnyObject::Sidecar(o) => sidecar::sidecar(&mut check, &o.spec, subject, mesh),
        AnyObject::PeerAuthentication(o) => policies::peer_authentication(&mut check, &o.spec, subject, mesh),
        AnyObject::AuthorizationPolicy(o) => {
            authorization::authorization_policy(&mut check, &o.spec, subject, mesh);
        }
        _ => {}
    }
    check.done()
}

/// What the objects of the mesh make together, by object; those without findings are left out. VirtualServices that
/// lose a host to an older one are told by whoever keeps them, since that is known there already.
pub fn all(mesh: &Mesh) -> BTreeMap<ObjectKey, Vec<Problem>> {
    let mut found: BTreeMap<ObjectKey, Vec<Problem>> = BTreeMap::new();
    let mut take = |problems: Vec<Problem>| {
        for problem in problems {
            found.entry(problem.object.clone()).or_default().push(problem);
        }
    };
    for entry in mesh.virtual_services.all() {
        virtual_service::entry(entry, mesh, &mut take);
    }
    for rule in mesh.destination_rules.all() {
        for source in &rule.from {
            let subject = Subject { key: &source.key, creation: rule.rule.creation };
            let mut check = Check::new(source.key.clone());
            destination_rule::destination_rule(&mut check, &rule.rule.spec, subject, mesh);
            credentials::destination_rule(&mut check, &rule.rule.spec, subject, mesh);
            take(check.done());
        }
    }
    for config in mesh.gateways.iter() {
        let subject = Subject { key: &config.source.key, creation: config.creation };
        let mut check = Check::new(config.source.key.clone());
        credentials::gateway(&mut check, &config.spec, subject, mesh);
        take(check.done());
    }
    for config in mesh.sidecars.iter() {
        let subject = Subject { key: &config.source.key, creation: config.creation };
        let mut check = Check::new(config.source.key.clone());
        sidecar::sidecar(&mut check, &config.spec, subject, mesh);
        take(check.done());
    }
    for config in mesh.peer_authentications.iter() {
        let subject = Subject { key: &config.source.key, creation: config.creation };
        let mut check = Check::new(config.source.key.clone());
        policies::peer_authentication(&mut check, &config.spec, subject, mesh);
        take(check.done());
    }
    for config in mesh.authorization_policies.iter() {
        let subject = Subject { key: &config.source.key, creation: config.creation };
        let mut check = Check::new(config.source.key.clone());
        authorization::authorization_policy(&mut check, &config.spec, subject, mesh);
        take(check.done());
    }
    // A rule that is seen by its namespace and by others stands in the mesh twice.
    for problems in found.values_mut() {
        problems.sort();
        problems.dedup();
    }
    found
}
