//! The Secret in which the self-signed root is kept: read, or made once for all replicas.
//!
//! Source: `shared/spec/security.md` 1.2, `shared/spec/kubernetes.md` 1.4; Istio `security/pkg/pki/ca/ca.go`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PostParams};
use sources::kube::{Connection, jittered};
use tokio::time::sleep;

use crate::write::{Write, WriteError, Writer};

/// Its name.
pub const NAME: &str = "istio-ca-secret";

/// The Secret of a certificate authority that is plugged in. A mesh that has one must not get another root, least of all
/// from a process outside of the pods into which it is mounted.
const PLUGGED: &str = "cacerts";

/// Its type.
const TYPE: &str = "istio.io/ca-root";

/// The certificate that signs, and its key.
const CERTIFICATE: &str = "ca-cert.pem";
const KEY: &str = "ca-key.pem";

/// What peers trust: the same certificate. The reference leaves it as it is when the root is renewed, so nobody reads it.
const ROOT: &str = "root-cert.pem";

/// Keys that other kinds of Secret have; they are there and empty.
const EMPTY: [&str; 2] = ["cert-chain.pem", "key.pem"];

/// Time between two looks at a Secret that cannot be used or read.
const AGAIN: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(10) };

/// A root certificate and its key, both PEM. `Debug` prints nothing of the key.
#[derive(Clone, PartialEq, Eq)]
pub struct CaPair {
    /// The certificate.
    pub cert_pem: String,
    /// The key. This is the secret: do not log it.
    pub key_pem: String,
}

impl fmt::Debug for CaPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaPair").field("cert_pem", &self.cert_pem).finish_non_exhaustive()
    }
}

impl CaPair {
    fn of(secret: &Secret) -> Result<Self, String> {
        let text = |key: &str| {
            let bytes =
                secret.data.as_ref().and_then(|data| data.get(key)).filter(|bytes| !bytes.0.is_empty());
            let bytes = bytes.ok_or_else(|| format!("data[{key}] is missing or empty"))?;
            String::from_utf8(bytes.0.clone()).map_err(|_| format!("data[{key}] is not PEM text"))
        };
        Ok(Self { cert_pem: text(CERTIFICATE)?, key_pem: text(KEY)? })
    }

    fn secret(&self, namespace: &str) -> Secret {
        let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
        let mut data = BTreeMap::from([
            (CERTIFICATE.to_owned(), bytes(&self.cert_pem)),
            (KEY.to_owned(), bytes(&self.key_pem)),
            (ROOT.to_owned(), bytes(&self.cert_pem)),
        ]);
        data.extend(EMPTY.map(|key| (key.to_owned(), bytes(""))));
        Secret {
            metadata: ObjectMeta {
                namespace: Some(namespace.to_owned()),
                name: Some(NAME.to_owned()),
                ..ObjectMeta::default()
            },
            type_: Some(TYPE.to_owned()),
            data: Some(data),
            ..Secret::default()
        }
    }
}

/// The root of the Secret in `namespace`, as `read` makes it from the pair there. If there is no such Secret, it is made
/// of what `make` gives. Replicas that do this at once get the same root: only one of them makes the Secret.
///
/// If a certificate authority is plugged in instead, there is no root, as long as its Secret is there.
///
/// Waits for as long as it takes. What `read` or `make` finds wrong, and that the Secret may not be read or made, is told
/// to the operator and tried again; a Secret that is there is never replaced.
pub async fn load_or_create<T, F>(
    connection: &Connection,
    writer: &Writer,
    namespace: &str,
    read: impl Fn(&CaPair) -> Result<T, String>,
    make: impl Fn() -> F,
) -> T
where
    F: Future<Output = Result<CaPair, String>>,
{
    let api = Api::namespaced(connection.client().clone(), namespace);
    let secrets = Secrets { api, writer, namespace };
    loop {
        match secrets.look(&read).await {
            Ok(Some(root)) => return root,
            Ok(None) => match make().await {
                Ok(pair) if secrets.create(&pair).await => continue,
                Ok(_) => {}
                Err(problem) => secrets.unusable(NAME, problem),
            },
            Err(Told) => {}
        }
        sleep(jittered(AGAIN)).await;
    }
}

/// The operator has been told why there is nothing.
struct Told;

/// The Secrets of the control plane's namespace.
struct Secrets<'a> {
    api: Api<Secret>,
    writer: &'a Writer,
    namespace: &'a str,
}

impl Secrets<'_> {
    /// The root that is kept; none if there is none and one may be made.
    async fn look<T>(&self, read: impl Fn(&CaPair) -> Result<T, String>) -> Result<Option<T>, Told> {
        if self.get(PLUGGED).await?.is_some() {
            let problem = "plugged-in certificate authorities are not served by this version; root certificates stay as \
                           they are";
            self.unusable(PLUGGED, problem.to_owned());
            return Err(Told);
        }
        let Some(secret) = self.get(NAME).await? else { return Ok(None) };
        match CaPair::of(&secret).and_then(|pair| read(&pair)) {
            Ok(root) => {
                self.writer.well(&self.about("use", NAME));
                Ok(Some(root))
            }
            Err(problem) => {
                let cure = "mend it, or delete it to get a new root, which every workload has to learn";
                self.unusable(NAME, format!("{problem}; {cure}"));
                Err(Told)
            }
        }
    }

    /// Makes the Secret; whether there is one now, by whomever.
    async fn create(&self, pair: &CaPair) -> bool {
        let (secret, post, what) =
            (pair.secret(self.namespace), PostParams::default(), self.about("create", NAME));
        match self.writer.write(&what, || self.api.create(&post, &secret)).await {
            Ok(_) => tracing::info!(namespace = self.namespace, secret = NAME, "made a self-signed root"),
            Err(WriteError::Exists | WriteError::Conflict) => {}
            Err(error) => {
                self.writer.tell(&what, &error);
                return false;
            }
        }
        true
    }

    async fn get(&self, name: &str) -> Result<Option<Secret>, Told> {
        self.writer.write(&self.about("get", name), || self.api.get_opt(name)).await.map_err(|_| Told)
    }

    fn unusable(&self, name: &str, problem: String) {
        self.writer.tell(&self.about("use", name), &WriteError::Refused(problem));
    }

    fn about(&self, verb: &'static str, name: &str) -> Write {
        Write::new(verb, "secrets", self.namespace, name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testkit::kubernetes::FakeServer;

    use super::*;
    use crate::testing::{SYSTEM, cluster};

    const SECRETS: &str = "/api/v1/secrets";

    fn pair(name: &str) -> CaPair {
        CaPair { cert_pem: format!("{name} cert"), key_pem: format!("{name} key") }
    }

    async fn load(server: &FakeServer, name: &str) -> CaPair {
        let cluster = cluster(server);
        let (read, make) = (|pair: &CaPair| Ok(pair.clone()), || async { Ok(pair(name)) });
        load_or_create(&cluster.connection, &cluster.writers.of("ca"), SYSTEM, read, make).await
    }

    #[tokio::test]
    async fn replicas_that_start_at_once_have_the_same_root() {
        let server = FakeServer::start(&[SECRETS]).await;
        let (a, b) = tokio::join!(load(&server, "a"), load(&server, "b"));
        assert_eq!(a, b);
        assert_eq!(load(&server, "c").await, a);
        let secret = server.get(SECRETS, SYSTEM, NAME).expect("a Secret");
        assert_eq!(secret["type"], "istio.io/ca-root");
        let keys: Vec<&String> = secret["data"].as_object().expect("data").keys().collect();
        assert_eq!(keys, ["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "key.pem", "root-cert.pem"]);
        assert_eq!(secret["data"]["root-cert.pem"], secret["data"]["ca-cert.pem"]);
        assert_eq!(secret["data"]["key.pem"], "");
    }

    #[tokio::test]
    async fn a_mesh_with_a_plugged_in_authority_gets_no_other_root() {
        let server = FakeServer::start(&[SECRETS]).await;
        server.put(SECRETS, json!({"metadata": {"name": "cacerts", "namespace": SYSTEM}}));
        let cluster = cluster(&server);
        let (read, make) = (|pair: &CaPair| Ok(pair.clone()), || async { panic!("there is one") });
        let writer = cluster.writers.of("ca");
        let told = async {
            while cluster.writers.lines().is_empty() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            root = load_or_create(&cluster.connection, &writer, SYSTEM, read, make) => panic!("{root:?}"),
            () = told => {}
        }
        assert!(cluster.writers.lines()[0].contains("use secrets istio-system/cacerts: plugged-in"));
        assert_eq!(server.writes(), [""; 0]);
    }

    #[tokio::test]
    async fn a_secret_that_cannot_be_used_is_told_and_not_replaced() {
        let server = FakeServer::start(&[SECRETS]).await;
        server.put(
            SECRETS,
            json!({"metadata": {"name": NAME, "namespace": SYSTEM}, "data": {"ca-cert.pem": "YQ=="}}),
        );
        let cluster = cluster(&server);
        let (read, make) = (|pair: &CaPair| Ok(pair.clone()), || async { panic!("there is one") });
        let writer = cluster.writers.of("ca");
        let mended = async {
            while cluster.writers.lines().is_empty() {
                sleep(Duration::from_millis(50)).await;
            }
            let lines = cluster.writers.lines();
            assert!(
                lines[0].contains("use secrets istio-system/istio-ca-secret: data[ca-key.pem] is missing"),
                "{lines:?}"
            );
            server.put(
                SECRETS,
                json!({"metadata": {"name": NAME, "namespace": SYSTEM},
                "data": {"ca-cert.pem": "YQ==", "ca-key.pem": "Yg=="}}),
            );
        };
        let (root, ()) =
            tokio::join!(load_or_create(&cluster.connection, &writer, SYSTEM, read, make), mended);
        assert_eq!(root, CaPair { cert_pem: "a".to_owned(), key_pem: "b".to_owned() });
        assert_eq!(cluster.writers.lines(), [""; 0]);
    }
}
