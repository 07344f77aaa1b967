//! What stands in the Secret of a self-signed root.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use zeroize::Zeroizing;

/// The type of the Secret.
const TYPE: &str = "istio.io/ca-root";

/// The certificate that signs, and its key.
const CERTIFICATE: &str = "ca-cert.pem";
const KEY: &str = "ca-key.pem";

/// What peers trust: the same certificate. The reference leaves the old one there when it renews the root, so nobody reads it.
const ROOT: &str = "root-cert.pem";

/// The replacement that is under way; of our own.
const REPLACEMENT: &str = "root-replacement.json";

/// Says of a Secret by the name of plugged-in authorities that it is a self-signed root; its text is empty.
const GENERATED: &str = "istio-generated";

/// Keys that other kinds of Secret have; they are there and empty.
const EMPTY: [&str; 2] = ["cert-chain.pem", "key.pem"];

/// A root certificate and its key, both PEM. `Debug` prints nothing of keys.
#[derive(Clone, PartialEq, Eq)]
pub struct CaPair {
    /// The certificate.
    pub cert_pem: String,
    /// The key. This is the secret: do not log it.
    pub key_pem: Zeroizing<String>,
    /// The replacement that is under way, as text; it may hold another key.
    pub replacement: Option<Zeroizing<String>>,
}

impl fmt::Debug for CaPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaPair").field("cert_pem", &self.cert_pem).finish_non_exhaustive()
    }
}

impl CaPair {
    pub(super) fn of(secret: &Secret) -> Result<Self, String> {
        let text = |key: &str| {
            let bytes =
                secret.data.as_ref().and_then(|data| data.get(key)).filter(|bytes| !bytes.0.is_empty());
            let bytes = bytes.ok_or_else(|| format!("data[{key}] is missing or empty"))?;
            let text = std::str::from_utf8(&bytes.0).map_err(|_| format!("data[{key}] is not PEM text"))?;
            Ok::<_, String>(text.to_owned())
        };
        let replacement = text(REPLACEMENT).ok().map(Zeroizing::new);
        Ok(Self { cert_pem: text(CERTIFICATE)?, key_pem: Zeroizing::new(text(KEY)?), replacement })
    }

    /// Puts it into a Secret; other keys stay.
    pub(super) fn put(&self, secret: &mut Secret) {
        let data = secret.data.get_or_insert_default();
        for (key, text) in [(CERTIFICATE, &self.cert_pem), (KEY, &*self.key_pem), (ROOT, &self.cert_pem)] {
            data.insert(key.to_owned(), bytes(text));
        }
        match &self.replacement {
            Some(text) => data.insert(REPLACEMENT.to_owned(), bytes(text)),
            None => data.remove(REPLACEMENT),
        };
    }

    /// A Secret for it; `generated` if its name is that of plugged-in authorities.
    pub(super) fn secret(&self, namespace: &str, name: &str, generated: bool) -> Secret {
        let mut data = BTreeMap::from(EMPTY.map(|key| (key.to_owned(), bytes(""))));
        if generated {
            data.insert(GENERATED.to_owned(), bytes(""));
        }
        let mut secret = Secret {
            metadata: ObjectMeta {
                namespace: Some(namespace.to_owned()),
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            type_: Some(TYPE.to_owned()),
            data: Some(data),
            ..Secret::default()
        };
        self.put(&mut secret);
        secret
    }
}

/// Whether a Secret by the name of plugged-in authorities is a self-signed root.
pub(super) fn is_generated(secret: &Secret) -> bool {
    secret.data.as_ref().is_some_and(|data| data.contains_key(GENERATED))
}

/// What a Secret holds as text.
pub(super) fn texts(secret: Secret) -> BTreeMap<String, Zeroizing<String>> {
    let text = |ByteString(bytes): ByteString| String::from_utf8(bytes).ok().map(Zeroizing::new);
    let data = secret.data.unwrap_or_default();
    data.into_iter().filter_map(|(name, bytes)| Some((name, text(bytes)?))).collect()
}

fn bytes(text: &str) -> ByteString {
    ByteString(text.as_bytes().to_vec())
}
