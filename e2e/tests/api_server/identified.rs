//! Clients of the port where a control plane asks who they are.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use e2e::{Cluster, ControlPlane, wait_until};
use envoy::service::discovery::v3::DeltaDiscoveryRequest;
use serde_json::{Value, json};
use testkit::ads::{Connection, Request, Response, Variant};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The name by which the control plane is known to its clients.
const NAME: &str = "istiod.istio-system.svc";

/// For whom tokens are.
pub(super) const AUDIENCE: &str = "istio-ca";

const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

/// A connection that shows a token, and trusts what the namespace of the shop is told to trust.
pub(super) fn over_tls(
    cluster: &Cluster<'_>,
    plane: &ControlPlane,
    token: &str,
) -> Result<impl Future<Output = Result<Connection>> + use<>> {
    let root = || -> Result<CertificateDer<'static>> {
        let map = cluster.get("configmap", "shop", "istio-ca-root-cert")?;
        let root = map.pointer("/data/root-cert.pem").and_then(Value::as_str);
        let root = root.context("a ConfigMap without a root")?;
        Ok(CertificateDer::from_pem_slice(root.as_bytes())?)
    };
    wait_until("the root of the namespace", || Ok(root().is_ok()))?;
    let mut roots = RootCertStore::empty();
    roots.add(root()?)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let (address, connector) = (plane.secure_discovery(), TlsConnector::from(Arc::new(config)));
    let bearer = format!("Bearer {token}");
    Ok(async move {
        let socket = TcpStream::connect(address).await?;
        let stream = connector.connect(ServerName::try_from(NAME)?, socket).await?;
        Connection::open_over(stream, Variant::Delta, &[("authorization", &bearer)]).await
    })
}

/// A namespace, and the account of a gateway there that may have its secrets.
const GATEWAY: &str = "apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: gateway, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: gateway, namespace: shop}
rules: [{apiGroups: [''], resources: [secrets], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: gateway, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: gateway}
subjects: [{kind: ServiceAccount, name: gateway, namespace: shop}]
";

/// The name by which a gateway asks for the certificate.
const CREDENTIAL: &str = "kubernetes://shop-example";

/// Gives a gateway that runs in `of` (no id: in the control plane's own cluster) a certificate, and waits until it is sent it.
pub(super) fn gateway_has_its_certificate(
    cluster: &Cluster<'_>,
    plane: &ControlPlane,
    of: &str,
) -> Result<()> {
    cluster.apply(GATEWAY)?;
    let made = rcgen::generate_simple_self_signed(["shop.example".to_owned()])?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": "shop-example", "namespace": "shop"},
        "stringData": {"tls.crt": made.cert.pem(), "tls.key": made.signing_key.serialize_pem()},
    });
    cluster.apply(&secret.to_string())?;
    let token = cluster.token_for("shop", "gateway", AUDIENCE)?;
    wait_until("the gateway to have its certificate", || {
        let opened = over_tls(cluster, plane, &token)?;
        let names =
            Builder::new_current_thread().enable_all().build()?.block_on(first_secrets(opened, of))?;
        Ok(names == [CREDENTIAL])
    })
}

/// The names of the secrets that a gateway is sent first.
async fn first_secrets(opened: impl Future<Output = Result<Connection>>, of: &str) -> Result<Vec<String>> {
    let metadata = json!({"NAMESPACE": "shop", "SERVICE_ACCOUNT": "gateway", "CLUSTER_ID": of});
    let node = json!({"id": "router~10.9.9.8~gateway.shop~shop.svc.cluster.local", "metadata": metadata});
    let mut connection = opened.await?;
    connection.send(&Request::Delta(DeltaDiscoveryRequest {
        node: Some(api::json::from_json_as(&node, false)?),
        type_url: SECRET.to_owned(),
        resource_names_subscribe: vec![CREDENTIAL.to_owned()],
        ..Default::default()
    }));
    match connection.receive().await? {
        Some(Response::Delta(response)) => Ok(response.resources.into_iter().map(|r| r.name).collect()),
        other => bail!("no secrets, {other:?}: {:?}", connection.status()),
    }
}
