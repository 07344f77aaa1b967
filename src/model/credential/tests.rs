//! Tests of the layouts of Secrets and ConfigMaps.

use std::sync::Arc;

use api::AnyObject;
use serde_json::json;

use super::*;

fn secret(text: &[(&str, &str)]) -> Arc<Object<Secret>> {
    let data: serde_json::Map<_, _> = text.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
    let document = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls", "namespace": "edge"}, "stringData": data});
    match api::decode(document).expect("a Secret").object {
        AnyObject::Secret(object) => object,
        other => panic!("{:?}", other.kind()),
    }
}

fn of(text: &[(&str, &str)]) -> Credential {
    Credential::of(&secret(text))
}

fn pair(text: &[(&str, &str)]) -> (String, String, Option<String>) {
    let pair = of(text).pair.expect("a pair");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (text(&pair.chain), text(pair.key.expose()), pair.staple.as_deref().map(text))
}

fn roots(text: &[(&str, &str)]) -> (String, Option<String>) {
    let roots = of(text).roots.expect("roots");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (text(&roots.certificates), roots.crl.as_deref().map(text))
}

fn flaws(text: &[(&str, &str)]) -> (String, String) {
    let of = of(text);
    (of.pair.expect_err("no pair").to_string(), of.roots.expect_err("no roots").to_string())
}

#[test]
fn each_layout_of_a_pair_is_read_and_the_generic_one_comes_first() {
    let generic = [("cert", "c"), ("key", "k"), ("tls.ocsp-staple", "not of this layout")];
    let tls = [("tls.crt", "tc"), ("tls.key", "tk"), ("tls.ocsp-staple", "s")];
    assert_eq!(pair(&generic), ("c".into(), "k".into(), None));
    assert_eq!(pair(&tls), ("tc".into(), "tk".into(), Some("s".into())));
    assert_eq!(pair(&[&generic[..], &tls[..]].concat()), ("c".into(), "k".into(), None));
    let half = [("cert", "c"), ("key", ""), ("tls.crt", "tc"), ("tls.key", "tk")];
    assert_eq!(pair(&half), ("tc".into(), "tk".into(), None), "a layout without content does not count");
}

#[test]
fn each_layout_of_roots_is_read_with_its_own_revocation_list() {
    assert_eq!(roots(&[("cacert", "a"), ("crl", "r"), ("ca.crl", "x")]), ("a".into(), Some("r".into())));
    assert_eq!(roots(&[("ca.crt", "b"), ("ca.crl", "r"), ("crl", "x")]), ("b".into(), Some("r".into())));
    assert_eq!(roots(&[("ca.crt", "b"), ("cacert", "a")]), ("a".into(), None));
    assert_eq!(roots(&[("cacert", ""), ("ca.crt", "b")]), ("b".into(), None));
}

#[test]
fn each_way_in_which_a_secret_is_of_no_use_has_words_of_its_own() {
    assert_eq!(
        flaws(&[]),
        (
            "has neither cert and key nor tls.crt and tls.key: it is empty".into(),
            "has neither cacert nor ca.crt: it is empty".into()
        )
    );
    assert_eq!(
        flaws(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("tls.crt", "5")]),
        (
            "has neither cert and key nor tls.crt and tls.key, but a, b, c and 2 more".into(),
            "has neither cacert nor ca.crt, but a, b, c and 2 more".into()
        )
    );
    let empty = flaws(&[("cert", ""), ("key", "k"), ("cacert", "")]);
    assert_eq!(empty, ("has cert and key, but empty".into(), "has cacert, but empty".into()));
    let empty = flaws(&[("tls.crt", "c"), ("tls.key", ""), ("ca.crt", "")]);
    assert_eq!(empty, ("has tls.crt and tls.key, but empty".into(), "has ca.crt, but empty".into()));
}

#[test]
fn nothing_is_served_of_the_meshs_own_authority() {
    let of = Credential::of_mesh_ca();
    assert_eq!((of.pair, of.roots), (Err(Flaw::MeshCa), Err(Flaw::MeshCa)));
}

#[test]
fn a_config_map_gives_roots_and_never_a_key() {
    let of = |data: serde_json::Value| {
        let document = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ca", "namespace": "edge"}, "data": data});
        match api::decode(document).expect("a ConfigMap").object {
            AnyObject::ConfigMap(object) => roots_of_config_map(&object),
            other => panic!("{:?}", other.kind()),
        }
    };
    let found = of(json!({"ca.crt": "r", "cert": "c", "key": "k"})).expect("roots");
    assert_eq!((found.certificates.as_slice(), &found.crl), (b"r".as_slice(), &None));
    assert!(of(json!({"root-cert.pem": "r"})).is_err());
}

#[test]
fn a_key_is_in_no_text() {
    let of = of(&[("tls.crt", "c"), ("tls.key", "VERY-PRIVATE"), ("ca.crt", "r")]);
    assert!(!format!("{of:?} {of:#?}").contains("VERY-PRIVATE"));
}

#[test]
fn the_corpus_of_the_fuzz_target_is_taken_and_refused_as_its_names_say() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/secret");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("a corpus") {
        let path = entry.expect("a file").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let document = serde_json::from_slice(&std::fs::read(&path).expect("bytes"));
        let decoded = document.map_err(|error| error.to_string());
        let decoded =
            decoded.and_then(|d: serde_json::Value| api::decode(d).map_err(|error| error.to_string()));
        let kind = match decoded.map(|decoded| decoded.object) {
            Ok(AnyObject::Secret(secret)) => {
                if Credential::of(&secret).pair.is_ok() {
                    "taken"
                } else {
                    "useless"
                }
            }
            Ok(_) | Err(_) => "refused",
        };
        assert!(name.starts_with(kind), "{name} is {kind}");
        count += 1;
    }
    assert!(count >= 24, "{count} files");
}
