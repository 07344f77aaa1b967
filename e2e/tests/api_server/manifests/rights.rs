//! What a file's Roles and ClusterRoles allow, one verb on one resource at a time.

use anyhow::{Context, Result, ensure};
use e2e::Request;
use serde_json::Value;

/// One verb on one resource, everywhere or in a namespace, of all objects or a single one.
#[derive(Debug)]
pub(super) struct Right {
    group: String,
    resource: String,
    verb: String,
    namespace: Option<String>,
    name: Option<String>,
}

impl Right {
    /// Whether a request needs this right.
    pub(super) fn covers(&self, request: &Request) -> bool {
        (&self.group, &self.resource, &self.verb) == (&request.group, &request.resource, &request.verb)
            && self.namespace.as_ref().is_none_or(|namespace| *namespace == request.namespace)
            && self.name.as_ref().is_none_or(|name| *name == request.name)
    }
}

/// The rights that a YAML text gives, but for those that are looked at when something else is asked for.
pub(super) fn granted(file: &str) -> Result<Vec<Right>> {
    let mut rights = Vec::new();
    for document in file.split("\n---") {
        let object: Value = serde_saphyr::from_str(document)?;
        let kind = object.get("kind").and_then(Value::as_str).context("a kind")?;
        if !matches!(kind, "Role" | "ClusterRole") {
            continue;
        }
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).map(str::to_owned);
        ensure!((kind == "Role") == namespace.is_some(), "{kind} with the namespace {namespace:?}");
        for rule in object.get("rules").and_then(Value::as_array).context("rules")? {
            rights.extend(of_rule(rule, namespace.as_ref())?);
        }
    }
    Ok(rights)
}

fn of_rule(rule: &Value, namespace: Option<&String>) -> Result<Vec<Right>> {
    let texts = |field: &str| -> Result<Vec<String>> {
        let all = rule.get(field).and_then(Value::as_array).with_context(|| format!("{field} of {rule}"))?;
        let texts: Vec<String> = all.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        ensure!(!texts.iter().any(|text| text.contains('*')), "{rule} allows more than it says");
        Ok(texts)
    };
    let names = match rule.get("resourceNames") {
        Some(_) => texts("resourceNames")?.into_iter().map(Some).collect(),
        None => vec![None],
    };
    let (groups, mut resources, verbs) = (texts("apiGroups")?, texts("resources")?, texts("verbs")?);
    // Approving for a signer is an update of an approval.
    resources.retain(|resource| resource != "signers");
    let mut rights = Vec::new();
    for group in &groups {
        for resource in &resources {
            for verb in &verbs {
                rights.extend(names.iter().map(|name| Right {
                    group: group.clone(),
                    resource: resource.clone(),
                    verb: verb.clone(),
                    namespace: namespace.cloned(),
                    name: name.clone(),
                }));
            }
        }
    }
    Ok(rights)
}
