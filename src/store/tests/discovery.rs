//! `discoverySelectors` and `serviceEntryVisibility`: which namespaces count, and who sees their ServiceEntries.

use std::error::Error;

use model::Mesh;
use testkit::mesh::mesh;

type Outcome = Result<(), Box<dyn Error>>;

const NAMESPACES: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {mesh: part, team: shop}}
---
apiVersion: v1
kind: Namespace
metadata: {name: infra, labels: {team: infra}}
---
apiVersion: v1
kind: Namespace
metadata: {name: offside, labels: {team: other}}
";

/// A ServiceEntry and a PeerAuthentication in each namespace.
fn objects() -> String {
    let of = |namespace: &str| {
        format!(
            "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: out, namespace: {namespace}}}
spec: {{hosts: [{namespace}.example], ports: [{{number: 80, name: http, protocol: HTTP}}], resolution: DNS}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: all, namespace: {namespace}}}
spec: {{mtls: {{mode: STRICT}}}}
---"
        )
    };
    ["shop", "infra", "offside"].map(of).concat()
}

fn config(mesh: &str) -> String {
    let indented = mesh.replace('\n', "\n    ");
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\n\
         data:\n  mesh: |\n    {indented}\n"
    )
}

/// The hosts that clients of a namespace see.
fn seen(mesh: &Mesh, namespace: &str) -> Vec<String> {
    let visible = mesh.services.all().iter().filter(|s| s.export_to.visible_to(namespace));
    visible.map(|s| s.host.to_string()).collect()
}

#[test]
fn any_selector_lets_a_namespace_in() -> Outcome {
    let config = config(
        "discoverySelectors:\n\
         - matchLabels: {mesh: part}\n\
         - matchExpressions: [{key: team, operator: In, values: [infra]}]",
    );
    let mesh = mesh(&[NAMESPACES, &objects(), &config])?;
    assert_eq!(seen(&mesh, "any"), ["infra.example", "shop.example"]);
    let policies: Vec<&str> = mesh.peer_authentications.iter().map(|p| &**p.namespace()).collect();
    assert_eq!(policies, ["infra", "shop"]);
    Ok(())
}

#[test]
fn an_operator_that_is_none_selects_nothing_and_is_told() -> Outcome {
    let config =
        config("discoverySelectors: [{matchExpressions: [{key: team, operator: Is, values: [infra]}]}]");
    let mut tables = testkit::mesh::tables(store::Options::default(), &[NAMESPACES, &objects(), &config])?;
    assert!(seen(&tables.next_mesh().mesh, "any").is_empty());
    let told: Vec<_> = tables.problems().values().flatten().map(|p| p.field.as_str()).collect();
    assert_eq!(told, ["data.mesh.discoverySelectors[0].matchExpressions[0].operator"]);
    Ok(())
}

#[test]
fn visibility_narrows_what_service_entries_say() -> Outcome {
    let rules = |bound: bool| {
        config(&format!(
            "serviceEntryVisibility:\n\
             \x20 defaultVisibility: NAMESPACE\n\
             \x20 applyToSidecars: {bound}\n\
             \x20 policies:\n\
             \x20 - {{visibility: PUBLIC, matchingRules: [{{namespaceSelector: {{matchLabels: {{team: infra}}}}}}]}}\n\
             \x20 - {{visibility: NONE, matchingRules: [{{namespaceSelector: {{matchLabels: {{team: other}}}}}}]}}"
        ))
    };
    let bound = mesh(&[NAMESPACES, &objects(), &rules(true)])?;
    assert_eq!(seen(&bound, "shop"), ["infra.example", "shop.example"]);
    assert_eq!(seen(&bound, "offside"), ["infra.example"]);
    let free = mesh(&[NAMESPACES, &objects(), &rules(false)])?;
    assert_eq!(seen(&free, "shop").len(), 3, "sidecars are not bound by it");
    Ok(())
}
