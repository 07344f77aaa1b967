//! What the tests of this room write into folders, and how they read what comes out.

use std::fmt::Write as _;
use std::path::Path;

use crate::event::{Batch, Event};
use crate::report::Report;

/// A VirtualService as YAML; `mark` is found again in [`said`].
pub(crate) fn virtual_service(name: &str, mark: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: {name}\n  namespace: shop\nspec:\n  hosts: [\"{mark}.example\"]\n  http:\n    - route:\n        - destination: {{host: {name}}}\n"
    )
}

/// What a batch's events say: `+name=mark` or `-name`, in order.
pub(crate) fn said(batch: &Batch) -> String {
    let mut text = String::new();
    for Event { key, object } in &batch.events {
        let separator = if text.is_empty() { "" } else { " " };
        match object {
            Some(object) => {
                let debug = format!("{object:?}");
                let mark = debug
                    .split_once(".example")
                    .map(|(before, _)| before.rsplit('"').next().unwrap().to_owned());
                write!(text, "{separator}+{}={}", key.name, mark.unwrap_or_default()).unwrap();
            }
            None => write!(text, "{separator}-{}", key.name).unwrap(),
        }
    }
    text
}

/// A report's text with the folder's path taken out.
pub(crate) fn shown(report: &Report, dir: &Path) -> String {
    report.to_string().replace(&format!("{}/", dir.display()), "")
}

/// The new problems of a batch.
pub(crate) fn appeared(batch: &Batch, dir: &Path) -> Vec<String> {
    batch.appeared.iter().map(|report| shown(report, dir)).collect()
}

/// The problems that a batch says are gone.
pub(crate) fn cleared(batch: &Batch, dir: &Path) -> Vec<String> {
    batch.cleared.iter().map(|report| shown(report, dir)).collect()
}
