//! Code without I/O reads no clock, environment or file either, which no manifest can show.

use super::{Problem, Tree, code, tree};

/// Where code is pure, by beginning of the path.
const PURE: [&str; 6] =
    ["src/api/", "src/model/", "src/store/", "src/gateway_api/", "src/translate/", "src/xds/protocol"];
/// Where the rim of a room begins whose protocol part is pure.
const PROTOCOL: &str = "src/xds/protocol";

const CLOCKS: [&str; 5] =
    ["SystemTime::now", "Instant::now", "Timestamp::now", "Zoned::now", "OffsetDateTime::now_utc"];
const ENVIRONMENT: [&str; 4] = ["env::var", "env::var_os", "env::vars", "env::args"];
const FILES: [&str; 3] = ["std::fs", "std::process", "thread::sleep"];
const WIRE: [&str; 3] = ["tokio", "hyper", "tonic"];

/// Uses of clock, environment, files and, in the protocol part, of the wire, tests aside.
pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let pure = tree.rust().filter(|(path, _)| PURE.iter().any(|room| path.starts_with(room)));
    pure.filter(|(path, _)| !tree::is_test(path) && !path.ends_with("/build.rs"))
        .flat_map(|(path, text)| uses(path, &code::product(&code::blank(text))))
        .collect()
}

fn uses(path: &str, product: &str) -> Vec<Problem> {
    let wire: &[&str] = if path.starts_with(PROTOCOL) { &WIRE } else { &[] };
    let refused = [
        (&CLOCKS[..], "the clock", "take the time as a value"),
        (&ENVIRONMENT[..], "the environment", "take the setting as a value"),
        (&FILES[..], "the machine", "let sources or the binary do it and take the result as a value"),
        (wire, "the wire", "keep the protocol a pure value; the wire is the room's rim"),
    ];
    let mut problems = Vec::new();
    for (names, thing, cure) in refused {
        for name in names {
            problems.extend(code::words(product, name).map(|at| {
                let what = format!("pure code touches {thing}: {name}");
                Problem::new(path, what, cure).at(code::line_of(product, at))
            }));
        }
    }
    problems
}

#[test]
fn impure_code_is_named_and_tests_are_not() {
    let clock = "//! Instant::now\nfn f() {\n    std::time::Instant::now();\n}\n#[cfg(test)]\nmod tests {\n    fn g() { Instant::now(); }\n}\n";
    let tree = Tree::of(&[
        ("src/model/a.rs", clock),
        ("src/model/a/tests.rs", clock),
        ("src/sources/a.rs", clock),
        ("src/api/envoy/build.rs", "std::env::var(x)"),
        ("src/xds/protocol/a.rs", "use tokio::x;\nuse model::y; // tonic"),
        ("src/xds/serve.rs", "use tokio::x;"),
        ("src/store/a.rs", "let x = std::env::var_os(y);"),
    ]);
    let wanted = [
        "src/model/a.rs:3: pure code touches the clock: Instant::now; take the time as a value",
        "src/store/a.rs:1: pure code touches the environment: env::var_os; take the setting as a value",
        "src/xds/protocol/a.rs:1: pure code touches the wire: tokio; keep the protocol a pure value; the wire is the room's rim",
    ];
    assert_eq!(super::shown(check(&tree)), wanted);
}
