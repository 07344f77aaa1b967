//! For this room's tests: issuers with keys, tokens good and forged, pods, an API server of a few words.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::decode::AnyObject;
use api::mesh_config::{CaCertificate, MeshConfig};
use api::{Kind, ObjectKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use model::Ref;
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use sources::event::Event;
use tokio::sync::watch;

use crate::Settings;
use crate::token::{FetchKeys, LONGEST, Published};

pub(crate) const ISSUER: &str = "https://kubernetes.default.svc";

pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

pub(crate) fn settings() -> Settings {
    let partner =
        CaCertificate { trust_domains: vec!["partner.example".to_owned()], ..CaCertificate::default() };
    let mesh = MeshConfig {
        trust_domain_aliases: vec!["old.example".to_owned()],
        ca_certificates: vec![partner],
        ..MeshConfig::default()
    };
    watch::channel(Some(Ref::new(mesh))).1
}

fn event(kind: Kind, namespace: &str, name: &str, object: Option<AnyObject>) -> Event {
    let key = ObjectKey { kind, namespace: namespace.into(), name: name.into() };
    Event { key, object: object.map(Arc::new) }
}

pub(crate) fn pod_event(namespace: &str, name: &str, uid: &str, account: &str, node: &str) -> Event {
    let document = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "uid": uid},
        "spec": {"serviceAccountName": account, "nodeName": node},
    });
    let decoded = api::decode::decode(document).expect("a pod");
    event(Kind::Pod, namespace, name, Some(decoded.object))
}

pub(crate) fn pod_gone(namespace: &str, name: &str) -> Event {
    event(Kind::Pod, namespace, name, None)
}

/// Signs tokens.
pub(crate) struct Issuer {
    pub(crate) kid: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Issuer {
    pub(crate) fn new(kid: &'static str) -> Self {
        let pair = KeyPair::generate().expect("a key");
        Self { kid, algorithm: Algorithm::ES256, key: EncodingKey::from_ec_der(&pair.serialize_der()) }
    }

    /// One whose key is RSA's.
    pub(crate) fn rsa(kid: &'static str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
        let (_, pem) = x509_parser::pem::parse_x509_pem(pair.serialize_pem().as_bytes()).expect("PEM");
        // PKCS#8 has 26 bytes before the key in the form of PKCS#1.
        let pkcs1 = pem.contents.get(26..).expect("a key");
        Self { kid, algorithm: Algorithm::RS256, key: EncodingKey::from_rsa_der(pkcs1) }
    }

    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).expect("a key");
        jwk.common.key_id = Some(self.kid.to_owned());
        serde_json::to_value(jwk).expect("JSON")
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.to_owned()), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.key).expect("a token")
    }

    /// Signs claims as they are written, which may be none.
    pub(crate) fn sign_text(&self, claims: &str) -> String {
        let head = json!({"alg": self.algorithm, "kid": self.kid}).to_string();
        let [head, claims] = [&head, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
        let said = format!("{head}.{claims}");
        let signature = jsonwebtoken::crypto::sign(said.as_bytes(), &self.key, self.algorithm);
        format!("{said}.{}", signature.expect("a signature"))
    }
}

/// Claims as the API server makes them for the pod `web-1` of the service account `web`, whose UIDs are these names.
pub(crate) fn claims(namespace: &str, account: &str, now: SystemTime) -> Value {
    let now = now.duration_since(UNIX_EPOCH).expect("later").as_secs();
    json!({
        "iss": ISSUER, "aud": ["istio-ca"], "iat": now, "nbf": now, "exp": now + 3600,
        "sub": format!("system:serviceaccount:{namespace}:{account}"),
        "kubernetes.io": {
            "namespace": namespace,
            "serviceaccount": {"name": account, "uid": account},
            "pod": {"name": format!("{account}-1"), "uid": format!("{account}-1")},
            "node": {"name": "n1", "uid": "n1"},
        },
    })
}

pub(crate) fn token_for(issuer: &Issuer, namespace: &str, account: &str, now: SystemTime) -> String {
    issuer.sign(&claims(namespace, account, now))
}

/// Tokens that are not this issuer's, made from one that is.
pub(crate) fn forged(issuer: &Issuer, good: &str) -> Vec<(&'static str, String)> {
    let parts: Vec<&str> = good.split('.').collect();
    let [head, body, signature] = parts[..] else { panic!("{good}") };
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let said = |alg: &str| encoded(&json!({"alg": alg, "typ": "JWT", "kid": issuer.kid}));
    let admin = claims("istio-system", "admin", now());
    let public = serde_json::to_vec(&issuer.jwk()).expect("JSON");
    let hmac = Header { kid: Some(issuer.kid.to_owned()), ..Header::new(Algorithm::HS256) };
    let stranger = Issuer::new(issuer.kid);
    let other = if issuer.algorithm == Algorithm::RS256 { "ES256" } else { "RS256" };
    let mut flipped = signature.to_owned();
    flipped.replace_range(..1, if signature.starts_with('A') { "B" } else { "A" });
    vec![
        ("no signature", format!("{}.{body}.", said("none"))),
        ("no signature, another case", format!("{}.{body}.", said("nOnE"))),
        ("none with the signature", format!("{}.{body}.{signature}", said("none"))),
        ("the public key as a secret", {
            jsonwebtoken::encode(&hmac, &admin, &EncodingKey::from_secret(&public)).expect("a token")
        }),
        ("another algorithm", format!("{}.{body}.{signature}", said(other))),
        ("another hash", format!("{}.{body}.{signature}", said("ES384"))),
        ("other claims", format!("{head}.{}.{signature}", encoded(&admin))),
        ("another signature", format!("{head}.{body}.{flipped}")),
        ("an empty signature", format!("{head}.{body}.")),
        ("two parts", format!("{head}.{body}")),
        ("four parts", format!("{good}.{signature}")),
        ("another's signature", stranger.sign(&admin)),
        ("nothing", String::new()),
        ("dots", "..".to_owned()),
        ("noise", "\u{1F511}.\0.%".to_owned()),
        ("much", "a".repeat(LONGEST + 1)),
        ("much in a part", format!("{head}.{}.{signature}", "a".repeat(LONGEST))),
    ]
}

/// Publishes keys.
pub(crate) struct Scripted {
    pub(crate) published: Arc<Mutex<Vec<Value>>>,
    pub(crate) asked: Arc<AtomicUsize>,
}

impl Scripted {
    pub(crate) fn of(issuers: &[&Issuer]) -> Self {
        let keys = issuers.iter().map(|issuer| issuer.jwk()).collect();
        Self { published: Arc::new(Mutex::new(keys)), asked: Arc::default() }
    }
}

impl FetchKeys for Scripted {
    fn fetch(&self) -> BoxFuture<'static, Result<Published, String>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let keys = json!({"keys": *self.published.lock().expect("keys")}).to_string();
        async move { Ok(Published { issuer: ISSUER.to_owned(), keys }) }.boxed()
    }
}
