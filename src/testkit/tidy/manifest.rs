//! What the checks need of the `Cargo.toml` files: packages, what they depend on, and the files at which their crates begin.

use super::Tree;
use toml::{Table, Value};

/// Which code of a package sees a dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Dev,
    Build,
}

/// One dependency of a package.
pub(super) struct Dependency {
    pub(super) kind: Kind,
    /// The package's own name, also where the manifest renames it.
    pub(super) package: String,
    /// Whether version and source stand in the workspace's list.
    pub(super) inherited: bool,
}

/// One package of the repository.
pub(super) struct Package {
    /// Path of its `Cargo.toml`.
    pub(super) manifest: String,
    pub(super) name: String,
    pub(super) dependencies: Vec<Dependency>,
    /// Files at which its crates begin, as far as they exist.
    pub(super) roots: Vec<String>,
}

/// The root `Cargo.toml`.
pub(super) const ROOT: &str = "Cargo.toml";

/// A manifest's table; an empty one where there is none.
///
/// # Panics
/// When the file is no TOML: cargo would not have started the tests.
pub(super) fn table(tree: &Tree, manifest: &str) -> Table {
    tree.get(manifest).unwrap_or_default().parse().unwrap_or_else(|e| panic!("{manifest} is no TOML: {e}"))
}

/// The workspace's members, in the order in which the root lists them.
pub(super) fn members(tree: &Tree) -> Vec<Package> {
    let root = table(tree, ROOT);
    let listed = at(&root, &["workspace", "members"]).and_then(Value::as_array).cloned().unwrap_or_default();
    let manifests = listed.iter().filter_map(Value::as_str).map(|folder| format!("{folder}/Cargo.toml"));
    manifests.map(|manifest| package(tree, &root, manifest)).collect()
}

/// Every package in the tree, members of the workspace or not.
pub(super) fn packages(tree: &Tree) -> Vec<Package> {
    let root = table(tree, ROOT);
    let manifests = tree.files().map(|(path, _)| path).filter(|path| path.ends_with("/Cargo.toml"));
    manifests.map(|manifest| package(tree, &root, manifest.to_owned())).collect()
}

/// The value at a path of keys.
pub(super) fn at<'a>(table: &'a Table, keys: &[&str]) -> Option<&'a Value> {
    let (first, rest) = keys.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, key| value.get(*key))
}

fn package(tree: &Tree, root: &Table, manifest: String) -> Package {
    let own = table(tree, &manifest);
    let name = at(&own, &["package", "name"]).and_then(Value::as_str).unwrap_or_default().to_owned();
    let dependencies = dependencies(root, &own);
    let roots = roots(tree, &own, manifest.trim_end_matches("Cargo.toml"));
    Package { manifest, name, dependencies, roots }
}

fn dependencies(root: &Table, own: &Table) -> Vec<Dependency> {
    let targets = own.get("target").and_then(Value::as_table);
    let per_target = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    let mut out = Vec::new();
    for table in std::iter::once(own).chain(per_target) {
        for (section, kind) in [
            ("dependencies", Kind::Normal),
            ("dev-dependencies", Kind::Dev),
            ("build-dependencies", Kind::Build),
        ] {
            let listed = table.get(section).and_then(Value::as_table);
            out.extend(listed.into_iter().flatten().map(|(key, value)| dependency(root, kind, key, value)));
        }
    }
    out
}

fn dependency(root: &Table, kind: Kind, key: &str, value: &Value) -> Dependency {
    let inherited = value.get("workspace").and_then(Value::as_bool).unwrap_or(false);
    let shared = at(root, &["workspace", "dependencies", key]).filter(|_| inherited);
    let package = shared.unwrap_or(value).get("package").and_then(Value::as_str).unwrap_or(key);
    Dependency { kind, package: package.to_owned(), inherited }
}

/// The crate roots that cargo would find or is told of.
fn roots(tree: &Tree, own: &Table, folder: &str) -> Vec<String> {
    let lib = own.get("lib").and_then(|lib| lib.get("path")).and_then(Value::as_str).unwrap_or("src/lib.rs");
    let build = at(own, &["package", "build"]).and_then(Value::as_str).unwrap_or("build.rs");
    let named = ["bin", "test", "bench", "example"]
        .into_iter()
        .filter_map(|kind| own.get(kind)?.as_array())
        .flatten();
    let told = named.filter_map(|target| target.get("path")?.as_str());
    let fixed = [lib, build, "src/main.rs"].into_iter().chain(told).map(|path| format!("{folder}{path}"));
    let kinds = [
        ("autobins", "src/bin/"),
        ("autotests", "tests/"),
        ("autobenches", "benches/"),
        ("autoexamples", "examples/"),
    ];
    let is_on = |switch| at(own, &["package", switch]).and_then(Value::as_bool).unwrap_or(true);
    let searched: Vec<String> = kinds
        .into_iter()
        .filter(|(switch, _)| is_on(switch))
        .map(|(_, kind)| format!("{folder}{kind}"))
        .collect();
    let found = tree.rust().map(|(path, _)| path).filter(|path| is_discovered(path, &searched));
    let mut roots: Vec<String> =
        fixed.chain(found.map(str::to_owned)).filter(|path| tree.get(path).is_some()).collect();
    roots.sort();
    roots.dedup();
    roots
}

/// Whether cargo finds a target here by itself: `x.rs` or `x/main.rs` in a folder that it searches.
fn is_discovered(path: &str, searched: &[String]) -> bool {
    let inside = searched.iter().find_map(|folder| path.strip_prefix(folder.as_str()));
    inside.is_some_and(|rest| rest.split_once('/').is_none_or(|(_, file)| file == "main.rs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_have_their_packages_names_and_kinds() {
        let tree = Tree::of(&[
            (
                "Cargo.toml",
                "[workspace]\nmembers = ['a']\n[workspace.dependencies]\nt = { package = 'tokio', version = '1' }",
            ),
            (
                "a/Cargo.toml",
                "[package]\nname = 'a'\n[dependencies]\nt.workspace = true\n[dev-dependencies]\nu = { package = 'v', version = '1' }\n[target.'cfg(unix)'.build-dependencies]\nw = '1'",
            ),
        ]);
        let found: Vec<_> = members(&tree)
            .remove(0)
            .dependencies
            .into_iter()
            .map(|d| (d.kind, d.package, d.inherited))
            .collect();
        let wanted = [(Kind::Normal, "tokio", true), (Kind::Dev, "v", false), (Kind::Build, "w", false)];
        assert_eq!(found, wanted.map(|(kind, package, inherited)| (kind, package.to_owned(), inherited)));
    }

    #[test]
    fn crates_begin_where_cargo_begins() {
        let tree = Tree::of(&[
            (
                "a/Cargo.toml",
                "[package]\nname = 'a'\n[lib]\npath = 'lib.rs'\n[[bin]]\nname = 'x'\npath = 'x.rs'",
            ),
            ("a/lib.rs", ""),
            ("a/x.rs", ""),
            ("a/build.rs", ""),
            ("a/y.rs", ""),
            ("a/tests/one.rs", ""),
            ("a/tests/two/main.rs", ""),
            ("a/tests/two/part.rs", ""),
        ]);
        let roots = packages(&tree).remove(0).roots;
        assert_eq!(roots, ["a/build.rs", "a/lib.rs", "a/tests/one.rs", "a/tests/two/main.rs", "a/x.rs"]);
    }

    #[test]
    fn what_cargo_is_told_not_to_find_is_no_root() {
        let tree = Tree::of(&[
            (
                "a/Cargo.toml",
                "[package]\nname = 'a'\nautotests = false\n[[test]]\nname = 't'\npath = 'tests/main.rs'",
            ),
            ("a/tests/main.rs", ""),
            ("a/tests/one.rs", ""),
        ]);
        assert_eq!(packages(&tree).remove(0).roots, ["a/tests/main.rs"]);
    }
}
