//! A caught panic: what was being made, from which objects, and the words of the panic.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use api::{ObjectRef, Problem, Severity};

/// What was being made when a panic came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The classes and slot values of a proxy.
    Classify,
    /// The plan of a class.
    Plan,
    /// A resource.
    Build,
    /// A part of a resource.
    BuildPart,
}

impl Stage {
    /// Every stage.
    pub const ALL: [Self; 4] = [Self::Classify, Self::Plan, Self::Build, Self::BuildPart];

    /// A label for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Classify => "classify",
            Self::Plan => "plan",
            Self::Build => "build",
            Self::BuildPart => "build_part",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A panic that was caught. What it was to make keeps its last good form or gets a substitute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failure {
    /// What was being made.
    pub stage: Stage,
    /// The name of the resource or part; empty for a plan or a proxy.
    pub name: String,
    /// The objects that the key was made from.
    pub sources: Vec<ObjectRef>,
    /// The words of the panic.
    pub message: String,
}

impl Failure {
    /// A failure without a name or objects.
    pub(crate) fn unnamed(stage: Stage, message: String) -> Self {
        Self { stage, name: String::new(), sources: Vec::new(), message }
    }

    /// The failure as a problem of every object that was involved.
    pub fn problems(&self) -> impl Iterator<Item = Problem> {
        self.sources.iter().map(|source| Problem {
            severity: Severity::Error,
            object: source.key.clone(),
            field: String::new(),
            message: self.to_string(),
            hint: "the last good form stays in use; this is a fault of the control plane: report it with the object"
                .to_owned(),
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.stage {
            Stage::Classify => "the proxy",
            Stage::Plan => "the configuration of a class of proxies",
            Stage::Build | Stage::BuildPart => &self.name,
        };
        write!(f, "internal error while translating {what}: {}", self.message)
    }
}

impl std::error::Error for Failure {}

/// Runs `work`; a panic in it becomes its words.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    // The closures given here read immutable inputs and return a value, so nothing half-done is left behind.
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| words(&*payload))
}

fn words(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => "a panic without words".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::catch;

    #[test]
    fn a_panic_becomes_its_words() {
        assert_eq!(catch(|| 7), Ok(7));
        assert_eq!(catch(|| panic!("fixed")), Err::<(), _>("fixed".to_owned()));
        assert_eq!(catch(|| panic!("at {}", 3)), Err::<(), _>("at 3".to_owned()));
        assert_eq!(catch(|| std::panic::panic_any(5_u8)), Err::<(), _>("a panic without words".to_owned()));
    }
}
