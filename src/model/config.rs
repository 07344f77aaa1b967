//! A piece of typed configuration as the mesh keeps it: what identifies it, its age, and its content.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use api::ObjectRef;

/// When an object was created, in Unix seconds. Objects without a time are equally old.
pub type Creation = Option<i64>;

/// Labels of an object or a workload.
pub type Labels = BTreeMap<String, String>;

/// The label by which a proxy says of which gateway of the Gateway API it is.
pub const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// An object of one kind, without what changes when its meaning does not (status, resource version).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config<S> {
    /// Kind, namespace, name and generation of the object that its user wrote.
    pub source: ObjectRef,
    /// Namespace and name of what was made of an object of another kind; none if it is the object itself.
    pub made: Option<(Arc<str>, Arc<str>)>,
    /// Time of creation: older objects win conflicts.
    pub creation: Creation,
    /// The object's labels.
    pub labels: Labels,
    /// The object's annotations, without `kubectl`'s copy of the object.
    pub annotations: Labels,
    /// The object's content.
    pub spec: S,
}

impl<S> Config<S> {
    /// Its namespace.
    pub fn namespace(&self) -> &Arc<str> {
        self.made.as_ref().map_or(&self.source.key.namespace, |(namespace, _)| namespace)
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        self.made.as_ref().map_or(&self.source.key.name, |(_, name)| name)
    }

    /// Older first; ties by name, then namespace. The order in which the reference settles conflicts.
    pub fn by_age(&self, other: &Self) -> Ordering {
        by_age(self.creation, other.creation)
            .then_with(|| self.name().cmp(other.name()))
            .then_with(|| self.namespace().cmp(other.namespace()))
    }
}

/// Older first; unknown times are equal to each other and older than known ones.
pub fn by_age(a: Creation, b: Creation) -> Ordering {
    a.cmp(&b)
}

/// Whether every pair of `selector` is among `labels`. An empty selector matches everything.
pub fn selects<'s, I>(selector: I, labels: &Labels) -> bool
where
    I: IntoIterator<Item = (&'s String, &'s String)>,
{
    selector.into_iter().all(|(k, v)| labels.get(k) == Some(v))
}
