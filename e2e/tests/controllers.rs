//! A real API server as what is written to: root certificates, addresses, and which of several replicas writes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::{Cluster, ControlPlane, cluster, wait_until, within};
use serde_json::Value;

const ROOT: &str = "istio-ca-root-cert";
const LOCK: &str = "istio-namespace-controller-election";

/// How long the reference's leases are.
const LEASE: Duration = Duration::from_secs(30);

fn namespace(name: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n")
}

fn start(cluster: &Cluster<'_>) -> Result<ControlPlane> {
    cluster.apply(&namespace("istio-system"))?;
    cluster.control_plane(&[])
}

/// A text in an object.
fn text(object: &Value, pointer: &str) -> Result<String> {
    let text = object.pointer(pointer).and_then(Value::as_str);
    Ok(text.with_context(|| format!("no {pointer} in {object}"))?.to_owned())
}

/// The root that a namespace is told.
fn root(cluster: &Cluster<'_>, namespace: &str) -> Result<String> {
    text(&cluster.get("configmap", namespace, ROOT)?, "/data/root-cert.pem")
}

fn until_root(cluster: &Cluster<'_>, namespace: &str, wanted: &str) -> Result<()> {
    wait_until(&format!("the root in {namespace}"), || Ok(root(cluster, namespace)? == wanted))
}

fn secret(cluster: &Cluster<'_>, key: &str) -> Result<String> {
    text(&cluster.get("secret", "istio-system", "istio-ca-secret")?, &format!("/data/{key}"))
}

/// Who holds the lock of the root certificates.
fn holder(cluster: &Cluster<'_>) -> Result<String> {
    let lock = cluster.get("configmap", "istio-system", LOCK)?;
    let record = text(&lock, "/metadata/annotations/control-plane.alpha.kubernetes.io~1leader")?;
    text(&serde_json::from_str(&record)?, "/holderIdentity")
}

fn until_leads(cluster: &Cluster<'_>, number: u16, limit: Duration) -> Result<()> {
    let pod = ControlPlane::pod(number);
    within(limit, &format!("{pod} to lead"), || Ok((holder(cluster)? == pod).then_some(())))
}

#[test]
fn every_namespace_learns_the_root_and_keeps_it() {
    cluster(|cluster| {
        cluster.apply(&namespace("old"))?;
        let plane = start(cluster)?;
        wait_until("the root", || Ok(!root(cluster, "old")?.is_empty()))?;
        let pem = root(cluster, "old")?;
        ensure!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
        for name in ["istio-system", "kube-system", "default"] {
            until_root(cluster, name, &pem)?;
        }
        for name in ["kube-public", "kube-node-lease"] {
            ensure!(root(cluster, name).is_err(), "{name} has no workloads");
        }
        cluster.apply(&namespace("new"))?;
        until_root(cluster, "new", &pem)?;
        let label = text(&cluster.get("configmap", "new", ROOT)?, "/metadata/labels/istio.io~1config")?;
        ensure!(label == "true", "{label}");

        cluster.delete("configmap", "new", ROOT)?;
        until_root(cluster, "new", &pem)?;
        let metadata = format!("metadata: {{name: {ROOT}, namespace: new}}");
        cluster.apply(&format!(
            "apiVersion: v1\nkind: ConfigMap\n{metadata}\ndata: {{root-cert.pem: evil}}\n"
        ))?;
        until_root(cluster, "new", &pem)?;

        // The same root after a restart: it is kept in the Secret.
        let certificate = secret(cluster, "ca-cert.pem")?;
        plane.terminate()?;
        cluster.delete("configmap", "old", ROOT)?;
        let _plane = cluster.control_plane(&[])?;
        until_root(cluster, "old", &pem)?;
        ensure!(secret(cluster, "ca-cert.pem")? == certificate, "the Secret was replaced");
        Ok(())
    });
}

#[test]
fn a_replica_takes_over_at_once_from_one_that_ends_and_after_a_lease_from_one_that_dies() {
    cluster(|cluster| {
        let first = start(cluster)?;
        until_leads(cluster, 0, LEASE)?;
        let second = cluster.replica(1, &[])?;
        second.wait_for("the leader to be known", "/debug/leaders", |page| {
            page.contains(&format!("{LOCK}: {}\n", ControlPlane::pod(0)))
        })?;
        first.terminate()?;
        let ended = Instant::now();
        until_leads(cluster, 1, LEASE)?;
        ensure!(ended.elapsed() < LEASE / 3, "{:?} to take over what was given back", ended.elapsed());

        let third = cluster.replica(2, &[])?;
        third.wait_for("the leader to be known", "/debug/leaders", |page| {
            page.contains(&format!("{LOCK}: {}\n", ControlPlane::pod(1)))
        })?;
        second.kill();
        cluster.apply(&namespace("later"))?;
        until_leads(cluster, 2, LEASE * 2)?;
        // The new leader does the work that came while nobody led.
        wait_until("the root", || Ok(!root(cluster, "later")?.is_empty()))
    });
}

fn entry(hosts: &str, addresses: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: outside, namespace: shop}}
spec: {{hosts: [{hosts}], addresses: [{addresses}], resolution: DNS, ports: [{{number: 443, name: tls, protocol: TLS}}]}}
"
    )
}

/// Lines `host=address` of the ServiceEntry's status.
fn addresses(cluster: &Cluster<'_>) -> Result<Vec<String>> {
    let entry = cluster.get("serviceentry", "shop", "outside")?;
    let list = entry.pointer("/status/addresses").and_then(Value::as_array).cloned().unwrap_or_default();
    let line = |entry: &Value| Ok(format!("{}={}", text(entry, "/host")?, text(entry, "/value")?));
    list.iter().map(line).collect()
}

fn until_addresses(cluster: &Cluster<'_>, wanted: &[&str]) -> Result<()> {
    wait_until(&format!("the addresses {wanted:?}"), || {
        let found = addresses(cluster)?;
        ensure!(found == wanted, "there are {found:?}");
        Ok(true)
    })
}

#[test]
fn a_service_entry_without_addresses_gets_them_and_keeps_them() {
    cluster(|cluster| {
        cluster.apply(&namespace("shop"))?;
        cluster.apply(&entry("a.example", ""))?;
        let plane = start(cluster)?;
        let first = ["a.example=240.240.0.1", "a.example=2001:2::1"];
        until_addresses(cluster, &first)?;
        // What is written comes back as what is served.
        plane.wait_for("the address", "/debug/registryz", |page| page.contains("240.240.0.1"))?;
        plane.terminate()?;
        let plane = cluster.control_plane(&[])?;
        cluster.apply(&entry("a.example, b.example", ""))?;
        let both = [first[0], first[1], "b.example=240.240.0.2", "b.example=2001:2::2"];
        until_addresses(cluster, &both)?;
        cluster.apply(&entry("b.example", ""))?;
        until_addresses(cluster, &both[2..])?;
        cluster.apply(&entry("b.example", "10.0.0.1"))?;
        until_addresses(cluster, &[])?;
        ensure!(plane.text("/debug/problems")?.is_empty(), "{}", plane.text("/debug/problems")?);
        Ok(())
    });
}
