//! Certificates that others sign: a signer of the cluster, which the test plays, and files that somebody mounts.

use std::fs;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::{Cluster, cluster, wait_until};
use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use super::NAMESPACES;
use super::manifests::{started, uses_its_rights};

const RIGHTS: &str = include_str!("../../../manifests/optional/signers.yaml");

const SIGNER: &str = "clusterissuers.cert-manager.io/istio-system";

const ACCOUNT: &str = "apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop}
";

/// A root, and whoever signs with it.
struct Signer {
    root: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Signer {
    fn new() -> Result<Self> {
        let (key, mut params) = (KeyPair::generate()?, CertificateParams::default());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key)?.pem();
        Ok(Self { root, issuer: Issuer::new(params, key) })
    }

    /// Signs what was approved for it, as a controller in the cluster does. Out: the names that were asked for.
    fn sign(&self, cluster: &Cluster<'_>) -> Result<()> {
        let list = cluster.get("certificatesigningrequests", "", "")?;
        for object in list.get("items").and_then(Value::as_array).into_iter().flatten() {
            let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
            let approved = text("/status/conditions/0/type") == "Approved";
            if !approved || text("/spec/signerName") != SIGNER || !text("/status/certificate").is_empty() {
                continue;
            }
            let csr = String::from_utf8(STANDARD.decode(text("/spec/request"))?)?;
            let request = CertificateSigningRequestParams::from_pem(&csr)?;
            let certificate = request.signed_by(&self.issuer)?.pem();
            let status = json!({"certificate": STANDARD.encode(certificate)});
            let signed = json!({"kind": "CertificateSigningRequest", "metadata": object["metadata"]});
            cluster.set_status(&signed, &status)?;
        }
        Ok(())
    }

    /// The mesh's settings, which name its root.
    fn mesh(&self) -> String {
        let mesh = json!({"caCertificates": [{"pem": self.root, "certSigners": [SIGNER]}]});
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "istio", "namespace": "istio-system"},
            "data": {"mesh": mesh.to_string()},
        })
        .to_string()
    }
}

fn told(cluster: &Cluster<'_>) -> Result<String> {
    let map = cluster.get("configmap", "shop", "istio-ca-root-cert")?;
    Ok(map.pointer("/data/root-cert.pem").and_then(Value::as_str).unwrap_or_default().to_owned())
}

#[test]
fn an_agent_gets_what_a_signer_of_the_cluster_signs() {
    cluster(|cluster| {
        let signer = Signer::new()?;
        cluster.apply(NAMESPACES)?;
        cluster.apply(&signer.mesh())?;
        cluster.apply(RIGHTS)?;
        let plane = started(cluster, &[("EXTERNAL_CA", "ISTIOD_RA_KUBERNETES_API"), ("K8S_SIGNER", SIGNER)])?;
        // The manifests have settings of their own.
        cluster.apply(&signer.mesh())?;
        cluster.apply(ACCOUNT)?;
        wait_until("both roots in the namespace", || {
            let told = told(cluster)?;
            Ok(told.matches("BEGIN CERTIFICATE").count() == 2 && told.contains(signer.root.trim()))
        })?;
        let agent = cluster.agent(&plane, "shop", "web")?;
        wait_until("the agent to have a certificate", || {
            signer.sign(cluster)?;
            Ok(agent.log()?.contains("has issued a certificate"))
        })?;
        wait_until("the request to be taken away", || {
            let list = cluster.get("certificatesigningrequests", "", "")?;
            Ok(list.pointer("/items/0").is_none())
        })?;
        one_watch_stands(cluster)?;
        uses_its_rights(cluster, "istiod", RIGHTS)
    });
}

/// Requests are watched, not looked at again and again: a watch is written down when it begins and when it ends.
fn one_watch_stands(cluster: &Cluster<'_>) -> Result<()> {
    let asked = cluster.requests()?;
    let watches =
        asked.iter().filter(|asked| asked.resource == "certificatesigningrequests" && asked.verb == "watch");
    let count = watches.count();
    ensure!((1..4).contains(&count), "{count} notes of watches");
    Ok(())
}

/// A certificate of the control plane in files, with its CA.
fn files(signer: &Signer, folder: &std::path::Path) -> Result<[String; 3]> {
    let key = KeyPair::generate()?;
    let names = ["istiod.istio-system.svc".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names)?.signed_by(&key, &signer.issuer)?;
    fs::create_dir_all(folder)?;
    let put = |flag: &str, name: &str, text: &str| -> Result<String> {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(format!("--{flag}={}", path.display()))
    };
    Ok([
        put("tlsCertFile", "tls.crt", &certificate.pem())?,
        put("tlsKeyFile", "tls.key", &key.serialize_pem())?,
        put("caCertFile", "root-cert.pem", &signer.root)?,
    ])
}

#[test]
fn without_an_authority_nothing_is_made_and_the_ca_file_is_what_webhooks_are_known_by() {
    cluster(|cluster| {
        let signer = Signer::new()?;
        cluster.apply(NAMESPACES)?;
        cluster.apply_folder("-f", "crds")?;
        cluster.apply_folder("-k", "manifests")?;
        let files = files(&signer, &cluster.world().dir().join("istiod-tls"))?;
        let flags: Vec<&str> = files.iter().map(String::as_str).collect();
        let plane = cluster.replica_with(0, &flags, &[("ENABLE_CA_SERVER", "false")])?;
        wait_until("the webhooks to be trusted", || {
            let webhook =
                cluster.get("validatingwebhookconfiguration", "", "istio-validator-istio-system")?;
            let bundle = webhook.pointer("/webhooks/0/clientConfig/caBundle").and_then(Value::as_str);
            Ok(STANDARD.decode(bundle.unwrap_or_default())? == signer.root.as_bytes())
        })?;
        ensure!(cluster.get("secret", "istio-system", "istio-ca-secret").is_err(), "a root was made");
        ensure!(told(cluster).is_err(), "namespaces are told what to trust");
        let asked = cluster.requests()?;
        let secret =
            |name: &str| asked.iter().find(|request| request.resource == "secrets" && request.name == name);
        ensure!(secret("istio-ca-secret").is_none() && secret("cacerts").is_none(), "a root was looked for");
        let log = plane.log()?;
        ensure!(log.contains("the control plane's certificate is in files"), "{log}");
        Ok(())
    });
}
