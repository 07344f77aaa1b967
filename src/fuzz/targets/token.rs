//! Tokens, whatever they are: those that the issuer signed are judged by what they claim, all others are refused, without a panic.

#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use auth::kubernetes::{KubernetesTokens, Review, Reviewed, Rules};
use auth::token::{FetchKeys, Published};
use auth::{Authenticators, Credentials, Forwarded, Presence};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey};
use libfuzzer_sys::fuzz_target;
use model::Ref;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

const ISSUER: &str = "https://kubernetes.default.svc";
const KEY: &str = "one";

/// Who judges, and what the issuer signs with.
struct Door {
    authenticators: Authenticators,
    key: EncodingKey,
    runtime: Runtime,
}

struct Keys(String);

impl FetchKeys for Keys {
    fn fetch(&self) -> BoxFuture<'static, Result<Published, String>> {
        let published = Published { issuer: ISSUER.to_owned(), keys: self.0.clone() };
        std::future::ready(Ok(published)).boxed()
    }
}

/// An API server that is away.
struct Away;

impl Review for Away {
    fn review(&self, _: String, _: Vec<String>) -> BoxFuture<'static, Result<Reviewed, String>> {
        std::future::ready(Err("it is away".to_owned())).boxed()
    }
}

static DOOR: LazyLock<Door> = LazyLock::new(|| {
    let pair = rcgen::KeyPair::generate().expect("a key");
    let key = EncodingKey::from_ec_der(&pair.serialize_der());
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).expect("a key");
    jwk.common.key_id = Some(KEY.to_owned());
    let keys = Keys(serde_json::to_string(&JwkSet { keys: vec![jwk] }).expect("JSON"));
    let presence = Arc::new(Presence::default());
    presence.account("shop", "web", Some("web".to_owned()));
    let rules = Rules { audiences: vec!["istio-ca".to_owned()], ..Rules::default() };
    let (_, settings) = watch::channel(Some(Ref::new(api::mesh_config::MeshConfig::default())));
    let tokens = KubernetesTokens::new(rules, keys, presence, Away, settings.clone());
    let authenticators = Authenticators::new(settings, Some(tokens), Forwarded::default());
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    Door { authenticators, key, runtime }
});

fuzz_target!(|text: &str| {
    let door = &*DOOR;
    // Claims are signed, so that what looks at them is reached; anything else is a token as it came.
    let signed = text.starts_with('{');
    let token = if signed { sign(&door.key, text) } else { text.to_owned() };
    let Ok(value) = HeaderValue::try_from(format!("Bearer {token}")) else { return };
    let headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, value)]);
    let credentials = Credentials::of(None, &[], &headers);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let answer = door.runtime.block_on(door.authenticators.authenticate(&credentials, now));
    if let Ok(caller) = answer {
        assert!(signed, "nobody signed it");
        assert_eq!(caller.identity.to_string(), "spiffe://cluster.local/ns/shop/sa/web");
    }
});

fn sign(key: &EncodingKey, claims: &str) -> String {
    let [head, claims] =
        [format!("{{\"alg\":\"ES256\",\"kid\":\"{KEY}\"}}"), claims.to_owned()].map(|part| URL_SAFE_NO_PAD.encode(part));
    let said = format!("{head}.{claims}");
    let signature = jsonwebtoken::crypto::sign(said.as_bytes(), key, Algorithm::ES256).expect("a signature");
    format!("{said}.{signature}")
}
