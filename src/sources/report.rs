//! Problems found in a source, with the place where the operator finds them, and the set of those that stand.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use api::{ObjectKey, Severity};
use serde::{Serialize, Serializer};

use crate::event::Batch;

/// Where in a source something is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    /// The file, with the folder's path in front as the operator gave it; of a cluster, `cluster NAME`.
    #[serde(serialize_with = "lossy")]
    pub file: Arc<Path>,
    /// The document in the file, from 1; none for the file as a whole.
    pub document: Option<u32>,
    /// The line in the file, from 1, if known.
    pub line: Option<u32>,
    /// The character in the line, from 1, if known.
    pub column: Option<u32>,
}

impl Place {
    /// The file as a whole.
    pub fn file(file: &Arc<Path>) -> Self {
        Self { file: file.clone(), document: None, line: None, column: None }
    }

    /// A cluster.
    pub(crate) fn cluster(name: &str) -> Self {
        Self::file(&Arc::from(Path::new(&format!("cluster {name}"))))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        let parts = [("document", self.document), ("line", self.line), ("column", self.column)];
        let mut separator = ": ";
        for (name, number) in parts {
            if let Some(number) = number {
                write!(f, "{separator}{name} {number}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

/// Something wrong in a source, for the operator to read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Report {
    /// Where it is.
    pub place: Place,
    /// How bad it is: an error takes something out of effect, a warning does not.
    pub severity: Severity,
    /// The object at fault, if it can be told.
    pub object: Option<ObjectKey>,
    /// The field at fault, such as `spec.http[0].route`; empty for the object or document as a whole.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
    /// Objects that are still served in the last good form that this file gave them, because of this problem.
    pub last_good: Vec<ObjectKey>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: ", self.severity, self.place)?;
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)?;
        if !self.hint.is_empty() {
            write!(f, " ({})", self.hint)?;
        }
        self.write_last_good(f)
    }
}

/// How many objects a report's text names before it only counts.
const NAMED: usize = 3;

impl Report {
    fn write_last_good(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "; still served as last read: ";
        for key in self.last_good.iter().take(NAMED) {
            write!(f, "{separator}{key}")?;
            separator = ", ";
        }
        match self.last_good.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// The problems that stand, kept up to date by the batches of a source.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reports(BTreeSet<Arc<Report>>);

impl Reports {
    /// Takes in what a batch says of problems.
    pub fn apply(&mut self, batch: &Batch) {
        for report in &batch.cleared {
            self.0.remove(report);
        }
        self.0.extend(batch.appeared.iter().cloned());
    }

    /// The problems, in order of their places.
    pub fn iter(&self) -> impl Iterator<Item = &Report> {
        self.0.iter().map(|report| &**report)
    }

    /// The same, shared.
    pub(crate) fn shared(&self) -> impl Iterator<Item = Arc<Report>> {
        self.0.iter().cloned()
    }

    /// How many problems stand.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether all is well.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A path as text: what is not UTF-8 in it is shown by a replacement character.
fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}
