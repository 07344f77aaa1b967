//! Matches of a delegate's rule within those of the root's.
//!
//! Source: Istio `pilot/pkg/model/virtualservice.go` (`mergeHTTPMatchRequests`, `hasConflict`); traps 80.

use std::collections::BTreeMap;

use api::istio::{HttpMatchRequest, StringMatch};

/// Both names with a dash between.
pub(super) fn joined(root: &str, delegate: &str) -> String {
    match (root, delegate) {
        (name, "") | ("", name) => name.to_owned(),
        (root, delegate) => format!("{root}-{delegate}"),
    }
}

/// Every match of the delegate with every match of the root that it agrees with; none if one of the delegate's agrees
/// with none.
pub(super) fn merge(
    root: &[HttpMatchRequest],
    delegate: &[HttpMatchRequest],
) -> Option<Vec<HttpMatchRequest>> {
    if root.is_empty() || delegate.is_empty() {
        return Some(if root.is_empty() { delegate } else { root }.to_vec());
    }
    let mut merged = Vec::new();
    for leaf in delegate {
        let before = merged.len();
        merged.extend(root.iter().filter(|r| agree(r, leaf)).map(|r| both(r, leaf)));
        if merged.len() == before {
            return None;
        }
    }
    Some(merged)
}

fn both(root: &HttpMatchRequest, leaf: &HttpMatchRequest) -> HttpMatchRequest {
    let own = leaf.clone();
    let maps = |root: &BTreeMap<String, StringMatch>, own: BTreeMap<String, StringMatch>| {
        let mut merged = root.clone();
        merged.extend(own);
        merged
    };
    let mut labels = root.source_labels.clone();
    labels.extend(own.source_labels);
    let text = |root: &String, own: String| if own.is_empty() { root.clone() } else { own };
    HttpMatchRequest {
        name: joined(&root.name, &leaf.name),
        uri: own.uri.or_else(|| root.uri.clone()),
        scheme: own.scheme.or_else(|| root.scheme.clone()),
        method: own.method.or_else(|| root.method.clone()),
        authority: own.authority.or_else(|| root.authority.clone()),
        headers: maps(&root.headers, own.headers),
        without_headers: maps(&root.without_headers, own.without_headers),
        query_params: maps(&root.query_params, own.query_params),
        port: if own.port == 0 { root.port } else { own.port },
        source_labels: labels,
        source_namespace: text(&root.source_namespace, own.source_namespace),
        gateways: if own.gateways.is_empty() { root.gateways.clone() } else { own.gateways },
        stat_prefix: text(&root.stat_prefix, own.stat_prefix),
        ignore_uri_case: own.ignore_uri_case,
    }
}

/// Whether the delegate's match is within the root's, or may be as far as it says.
fn agree(root: &HttpMatchRequest, leaf: &HttpMatchRequest) -> bool {
    let texts = [
        (&root.uri, &leaf.uri),
        (&root.scheme, &leaf.scheme),
        (&root.method, &leaf.method),
        (&root.authority, &leaf.authority),
    ];
    let maps = [
        (&root.headers, &leaf.headers),
        (&root.without_headers, &leaf.without_headers),
        (&root.query_params, &leaf.query_params),
    ];
    texts.iter().all(|(root, leaf)| within(root.as_ref(), leaf.as_ref()))
        && maps.iter().all(|(root, leaf)| leaf.iter().all(|(key, l)| within(root.get(key), Some(l))))
        && root.ignore_uri_case == leaf.ignore_uri_case
        && (root.port == 0 || leaf.port == 0 || root.port == leaf.port)
        && (root.source_namespace.is_empty() || root.source_namespace == leaf.source_namespace)
        && leaf.source_labels.iter().all(|(key, l)| root.source_labels.get(key).is_none_or(|r| r == l))
        && gateways_agree(&root.gateways, &leaf.gateways)
}

fn gateways_agree(root: &[String], leaf: &[String]) -> bool {
    root.is_empty() || leaf.len() <= root.len() && leaf.iter().all(|g| root.contains(g))
}

/// Whether what the delegate wants is within what the root wants. Expressions are not compared.
fn within(root: Option<&StringMatch>, leaf: Option<&StringMatch>) -> bool {
    let (Some(root), Some(leaf)) = (root, leaf) else { return true };
    let set = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
    if set(&root.regex).or_else(|| set(&leaf.regex)).is_some() {
        return false;
    }
    let (exact, prefix) = (set(&leaf.exact), set(&leaf.prefix));
    if let Some(wanted) = set(&root.exact) {
        return prefix.is_none() && exact == Some(wanted);
    }
    let wanted = set(&root.prefix);
    wanted.is_some_and(|wanted| prefix.or(exact).is_some_and(|own| own.starts_with(&wanted)))
}
