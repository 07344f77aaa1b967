//! Hosts that several VirtualServices claim for sidecars, which apply one of them only.

use std::collections::HashMap;

use api::{Problem, Severity};
use model::Ref;
use model::mesh::{MESH, VirtualServiceEntry};

/// Tells the owners of VirtualServices that no sidecar ever applies to some host, because an older one has it for the
/// same clients. Those that are seen by others than the older one may be meant to take its place for these.
pub(super) fn of(entries: &[Ref<VirtualServiceEntry>]) -> Vec<Problem> {
    let mut claimed: HashMap<&str, Vec<&VirtualServiceEntry>> = HashMap::new();
    let mut problems = Vec::new();
    for entry in entries.iter().filter(|e| e.applies_to(MESH) && !e.config.spec.http.is_empty()) {
        for (index, host) in entry.config.spec.hosts.iter().enumerate() {
            let claims = claimed.entry(host).or_default();
            let own = entry.config.namespace();
            let same = |older: &&&VirtualServiceEntry| {
                older.export_to == entry.export_to
                    && older.config.namespace() == own
                    && older.config != entry.config
            };
            if let Some(older) = claims.iter().find(same) {
                problems.push(Problem {
                    severity: Severity::Warning,
                    object: entry.config.source.key.clone(),
                    field: format!("spec.hosts[{index}]"),
                    message: format!(
                        "sidecars apply the rules of the older VirtualService {}/{} to host {host}, and not these",
                        older.config.namespace(),
                        older.config.name()
                    ),
                    hint: "put the rules of a host into one VirtualService, with delegates if need be".to_owned(),
                });
            }
            claims.push(entry);
        }
    }
    problems
}
