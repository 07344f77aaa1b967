//! Canonical service name and revision of a workload.
//!
//! Source: Istio `pilot/pkg/model` (`IstioCanonicalServiceLabelName`); `shared/spec/xds.md` 3.2, 4.9.

use crate::config::Labels;

const NAME_LABELS: [&str; 3] = ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"];
const REVISION_LABELS: [&str; 3] =
    ["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"];

/// The canonical service that `labels` name; `fallback` (usually the workload's name) if they name none.
pub fn service<'a>(labels: &'a Labels, fallback: &'a str) -> &'a str {
    first(labels, &NAME_LABELS).unwrap_or(fallback)
}

/// The canonical revision that `labels` name, or `latest`.
pub fn revision(labels: &Labels) -> &str {
    first(labels, &REVISION_LABELS).unwrap_or("latest")
}

fn first<'a>(labels: &'a Labels, keys: &[&str]) -> Option<&'a str> {
    keys.iter().find_map(|k| labels.get(*k)).map(String::as_str).filter(|v| !v.is_empty())
}
