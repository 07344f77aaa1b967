//! Golden bootstraps, and options that cannot work.

use std::path::{Path, PathBuf};

use super::{Address, Admin, Node, NodeKind, Options, StatusBackend, render};

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/bootstrap");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).collect();
    cases.sort();
    cases
}

/// `UPDATE_GOLDEN=1 cargo test -p agent` writes the answers anew.
#[test]
fn golden() {
    let mut wrong = Vec::new();
    for case in cases() {
        let options: Options = serde_json::from_slice(&std::fs::read(case.join("in.json")).unwrap()).unwrap();
        options.check().unwrap();
        let found = serde_json::to_string_pretty(&render(&options)).unwrap() + "\n";
        let answer = case.join("out.json");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&answer, &found).unwrap();
        } else if std::fs::read_to_string(&answer).ok().as_ref() != Some(&found) {
            wrong.push(case);
        }
    }
    assert!(wrong.is_empty(), "differ, look at them with UPDATE_GOLDEN=1: {wrong:?}");
    assert!(cases().len() >= 4);
}

fn options() -> Options {
    let node = Node::new(NodeKind::Sidecar, "10.0.0.7".parse().unwrap(), "web-0", "shop");
    Options::new(node, "127.0.0.1:15010".parse().unwrap(), "/run/sds".into())
}

#[test]
fn addresses() {
    for text in ["10.0.0.1:15010", "[::1]:15010", "istiod.istio-system.svc:15010", "unix:/run/xds"] {
        text.parse::<Address>().unwrap();
    }
    for text in ["", "10.0.0.1", "10.0.0.1:0", "10.0.0.1:x", "::1:15010", "[nope]:1", ":1", "unix:"] {
        assert!(text.parse::<Address>().unwrap_err().to_string().contains(&format!("{text:?}")));
    }
}

#[test]
fn what_cannot_work_is_named() {
    options().check().unwrap();
    let field = |change: fn(&mut Options)| {
        let mut options = options();
        change(&mut options);
        options.check().unwrap_err().field
    };
    assert_eq!(field(|o| o.node.pod = String::new()), "node.pod");
    assert_eq!(field(|o| o.node.namespace = "a~b".to_owned()), "node.namespace");
    let ephemeral = Admin::Ephemeral { address: "127.0.0.1".parse().unwrap() };
    let mut with = options();
    with.admin = ephemeral;
    with.check().unwrap();
    with.prometheus_listener = true;
    assert_eq!(with.check().unwrap_err().field, "prometheusListener");
    with.prometheus_listener = false;
    with.status_listener = Some(StatusBackend::Envoy);
    assert_eq!(with.check().unwrap_err().field, "statusListener");
    with.status_listener = Some(StatusBackend::Agent(15020));
    with.check().unwrap();
}

#[test]
fn runtime_values_set_and_remove() {
    let mut options = options();
    options.runtime_values = [("re2.max_program_size.error_level", ""), ("a", "true"), ("b", "12")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
    let layer = render(&options)["layered_runtime"]["layers"][0]["static_layer"].clone();
    assert!(layer.get("re2.max_program_size.error_level").is_none());
    assert_eq!((&layer["a"], &layer["b"]), (&serde_json::json!(true), &serde_json::json!("12")));
}
