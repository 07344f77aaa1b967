//! The status of Istio's objects: what became of each, as conditions and Events.
//!
//! ```text
//!   conditions   what an object's conditions should be: pure
//!   events       which Events a change of them is worth: pure
//!   keeper       writes both, on the leader
//! ```
//!
//! Nothing is read back but the conditions of others, which stay, and nothing is served by them.
//!
//! Source: `shared/spec/kubernetes.md` 7; the Gateway API's conditions for the words.

mod conditions;
mod events;
mod keeper;

use std::collections::BTreeMap;
use std::sync::Arc;

use api::{Condition, ObjectKey, Problem};

use crate::election::Lock;
pub use keeper::Keeper;

/// The lock of whoever writes status: the reference's for conditions of Services, ServiceEntries and policies.
pub fn lock() -> Lock {
    Lock::lease("istio-status-leader")
}

/// How much is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Nothing.
    Off,
    /// Whether each object is accepted, and what is wrong with it.
    #[default]
    Problems,
    /// How far it has come with the connected proxies, too.
    Progress,
}

/// What became of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The generation that this is about.
    pub generation: i64,
    /// The object's identity.
    pub uid: String,
    /// What its status says now.
    pub conditions: Box<[Condition]>,
    /// What it must not say.
    pub invalid: Vec<Problem>,
    /// What cannot be served of it.
    pub unserved: Vec<Problem>,
    /// What is in effect, but perhaps not as meant.
    pub warnings: Vec<Problem>,
    /// How far it has come; none if no connected proxy needs it.
    pub progress: Option<Progress>,
}

/// How far an object has come with the connected proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The generation that is served.
    pub generation: i64,
    /// Proxies that need it.
    pub needed: usize,
    /// Those of them that have accepted it.
    pub accepted: usize,
    /// Those of them that have refused it.
    pub refused: usize,
    /// Who refused it, and in which words.
    pub refusal: Option<String>,
}

/// What became of all objects that have a status.
pub type Outcomes = Arc<BTreeMap<ObjectKey, Outcome>>;
