//! Rooms that do no I/O list no crate that does.

use super::manifest::{self, Dependency, Kind};
use super::{Problem, Tree};

/// Rooms whose product code takes time, flags and the outside as values.
const PURE: [&str; 5] = ["api", "model", "store", "gateway_api", "translate"];
/// Crates that wait, listen or connect, with those named after them (`tokio-util`, `hyper-util`).
const REFUSED: [&str; 6] = ["tokio", "hyper", "tonic", "kube", "axum", "reqwest"];

/// Crates that do I/O among what pure rooms depend on; what tests and build scripts use is their own affair.
pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for room in manifest::members(tree).iter().filter(|room| PURE.contains(&room.name.as_str())) {
        for used in room.dependencies.iter().filter(|used| used.kind == Kind::Normal && is_refused(used)) {
            let what = format!("{} does no I/O and may not use {}", room.name, used.package);
            let cure = "do the I/O in sources, xds or the binary and pass in what came of it";
            problems.push(Problem::new(&room.manifest, what, cure));
        }
    }
    problems
}

fn is_refused(used: &Dependency) -> bool {
    REFUSED.iter().any(|name| {
        used.package.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    })
}

#[test]
fn io_in_a_pure_room_is_named() {
    let pure = "[package]\nname = 'model'\n[dependencies]\ntokio-util = '0.7'\ntokiometry = '1'\n[dev-dependencies]\ntokio = '1'";
    let rim = "[package]\nname = 'xds'\n[dependencies]\ntokio = '1'";
    let tree = Tree::of(&[
        ("Cargo.toml", "[workspace]\nmembers = ['m', 'x']"),
        ("m/Cargo.toml", pure),
        ("x/Cargo.toml", rim),
    ]);
    let wanted = "m/Cargo.toml: model does no I/O and may not use tokio-util; do the I/O in sources, xds or the binary and pass in what came of it";
    assert_eq!(super::shown(check(&tree)), [wanted]);
}
