//! Golden rules of both families.

use std::path::{Path, PathBuf};

use super::{Options, rules};

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/redirect");
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
        let found = rules(&options);
        for (name, text) in [("v4.rules", &found.v4), ("v6.rules", &found.v6), ("routes", &found.routes)] {
            let answer = case.join(name);
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                std::fs::write(&answer, text).unwrap();
            } else if std::fs::read_to_string(&answer).ok().as_ref() != Some(text) {
                wrong.push(answer);
            }
        }
    }
    assert!(wrong.is_empty(), "differ, look at them with UPDATE_GOLDEN=1: {wrong:?}");
    assert!(cases().len() >= 6);
}
