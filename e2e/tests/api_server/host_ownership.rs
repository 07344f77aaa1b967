//! Hosts belong to the namespaces of their services where the optional policy is applied.

use anyhow::ensure;
use e2e::{Cluster, cluster, wait_until};

const POLICY: &str = include_str!("../../../manifests/optional/host-ownership.yaml");

const CATALOG: &str = "catalog.shop.svc.cluster.local";

fn namespace(name: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n")
}

fn rule(namespace: &str, host: &str, more: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: rule, namespace: {namespace}}}
spec: {{hosts: ['{host}'], {more}http: [{{route: [{{destination: {{host: sink.{namespace}.svc.cluster.local}}}}]}}]}}
"
    )
}

fn entry(namespace: &str, host: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: entry, namespace: {namespace}}}
spec: {{hosts: ['{host}'], ports: [{{number: 80, name: http, protocol: HTTP}}], resolution: STATIC, endpoints: [{{address: 10.0.0.1}}]}}
"
    )
}

/// What the API server says of an object that it does not take.
fn refusal(cluster: &Cluster<'_>, yaml: &str) -> Option<String> {
    cluster.apply(yaml).err().map(|error| format!("{error:#}"))
}

#[test]
fn nobody_rules_over_services_of_others() {
    cluster(|cluster| {
        cluster.apply_folder("-f", "crds")?;
        for name in ["istio-system", "shop", "evil"] {
            cluster.apply(&namespace(name))?;
        }
        cluster.apply(&rule("evil", CATALOG, ""))?;
        cluster.delete("virtualservice", "evil", "rule")?;

        cluster.apply(POLICY)?;
        // The API server reads policies now and then.
        wait_until("the policy", || {
            let refused = refusal(cluster, &rule("evil", CATALOG, "")).is_some();
            if !refused {
                cluster.delete("virtualservice", "evil", "rule")?;
            }
            Ok(refused)
        })?;
        let words = refusal(cluster, &rule("evil", CATALOG, "")).unwrap_or_default();
        let wanted = format!("spec.hosts: {CATALOG}: of other namespaces than evil: write it into");
        ensure!(words.contains(&wanted), "{words}");
        for host in [
            "*",
            "*.cluster.local",
            "*.svc.cluster.local",
            "*.shop.svc.cluster.local",
            "Catalog.Shop.svc.cluster.local",
            "catalog.shop.svc",
            "catalog.shop",
            "x.evil.svc.shop.svc.cluster.local",
        ] {
            for object in [rule("evil", host, ""), rule("evil", host, "gateways: [mesh, edge/edge], ")] {
                ensure!(refusal(cluster, &object).is_some(), "{object}");
            }
        }
        ensure!(refusal(cluster, &entry("evil", CATALOG)).is_some(), "by a ServiceEntry");

        for allowed in [
            rule("shop", CATALOG, ""),
            rule("evil", "sink", ""),
            rule("evil", "*.example.com", ""),
            rule("evil", "example.com", ""),
            rule("evil", "sink.evil", ""),
            rule("evil", CATALOG, "exportTo: ['.'], "),
            rule("evil", CATALOG, "gateways: [evil/edge], "),
            rule("istio-system", CATALOG, ""),
            entry("evil", "api.example.com"),
        ] {
            cluster.apply(&allowed)?;
        }
        Ok(())
    });
}
