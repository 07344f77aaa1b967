//! Which connections of a listener already have a chain: Envoy refuses a listener of which two chains match alike.

use std::collections::BTreeMap;

use api::{ObjectKey, Problem, Severity};

/// What asks for connections, and where it says so.
#[derive(Clone, Debug)]
pub(super) struct Claimant {
    pub(super) object: ObjectKey,
    pub(super) field: String,
}

/// The names that the chains of a listener take, with whose chains they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    names: BTreeMap<String, ObjectKey>,
    /// Whose chain takes all other names.
    all: Option<ObjectKey>,
}

impl Taken {
    /// Whose chain takes a name.
    pub(super) fn by(&self, name: &str) -> Option<&ObjectKey> {
        self.names.get(&name.to_lowercase())
    }

    /// The names that are still free, for one more chain, in lower case as Envoy compares them; `None` if there are
    /// none.
    pub(super) fn claim(
        &mut self,
        claimant: &Claimant,
        problems: &mut Vec<Problem>,
        names: &[String],
    ) -> Option<Vec<String>> {
        if names.is_empty() {
            if let Some(by) = &self.all {
                let message = format!("{by} takes all connections of the port already; it is left out");
                problems.push(claimant.problem(message, "name hosts in place of *"));
                return None;
            }
            self.all = Some(claimant.object.clone());
            return Some(Vec::new());
        }
        let (usable, unusable): (Vec<_>, Vec<_>) = names.iter().partition(|name| is_server_name(name));
        if !unusable.is_empty() {
            let message = format!("{unusable:?} cannot be told by TLS and are left out");
            problems.push(claimant.problem(message, "begin wildcards with *. and no other label"));
        }
        let mut free = Vec::new();
        for name in usable {
            let name = name.to_lowercase();
            match self.names.get(&name) {
                // One that names a host twice loses nothing.
                Some(_) if free.contains(&name) => {}
                Some(by) => {
                    let message =
                        format!("SNI host {name:?} is that of {by} on this port already; it is left out");
                    problems.push(claimant.problem(message, "name each host of a port once"));
                }
                None => {
                    self.names.insert(name.clone(), claimant.object.clone());
                    free.push(name);
                }
            }
        }
        (!free.is_empty()).then_some(free)
    }
}

impl Claimant {
    /// Something that it does not get.
    pub(super) fn problem(&self, message: String, hint: &str) -> Problem {
        Problem {
            severity: Severity::Error,
            object: self.object.clone(),
            field: self.field.clone(),
            message,
            hint: hint.to_owned(),
        }
    }
}

/// Whether Envoy takes a name for a chain: it refuses listeners with wildcards for a part of a label.
fn is_server_name(name: &str) -> bool {
    !name.contains('*') || name.starts_with("*.")
}
