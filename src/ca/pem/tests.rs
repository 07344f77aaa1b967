//! Pairs and trust anchors that are taken and refused.

use std::time::{Duration, SystemTime};

use super::{check_key_pair, check_roots};
use crate::{PrivateKey, Request, Root, SpiffeId};

fn pair() -> (Root, String, PrivateKey) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let root = Root::generate("cluster.local", now).unwrap();
    let key = PrivateKey::generate().unwrap();
    let public_key = key.public_key().unwrap();
    let identity = SpiffeId::new("cluster.local", "shop", "web").unwrap();
    let signed =
        root.sign(&Request { public_key, identity, lifetime: Duration::from_secs(60) }, now).unwrap();
    (root, signed.chain_pem, key)
}

#[test]
fn a_pair_that_fits() {
    let (root, chain, key) = pair();
    check_key_pair(chain.as_bytes(), key.expose_pem().as_bytes()).unwrap();
    check_roots(root.cert_pem().as_bytes()).unwrap();
}

#[test]
fn a_foreign_key_is_refused() {
    let (_, chain, _) = pair();
    let other = PrivateKey::generate().unwrap().expose_pem();
    let error = check_key_pair(chain.as_bytes(), other.as_bytes()).unwrap_err().to_string();
    assert_eq!(error, "private key: is not the key of the first certificate of the chain");
}

#[test]
fn empty_and_cut_files_are_refused() {
    let (_, chain, key) = pair();
    let key = key.expose_pem();
    for (chain, key, field) in [
        ("", key.as_str(), "certificate chain"),
        (chain.as_str(), "", "private key"),
        (&chain[..chain.len() / 2], key.as_str(), "certificate chain"),
    ] {
        let error = check_key_pair(chain.as_bytes(), key.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(field), "{error}");
    }
    assert!(check_roots(b"").is_err());
    assert!(check_roots(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").is_err());
}
