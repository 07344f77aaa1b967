//! Every Rust file is part of some crate: one that no `mod` names is compiled by nobody and rots.

use super::{Problem, Tree, code, manifest};
use std::collections::BTreeSet;

/// Rust files that no crate of the tree reaches.
pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut reached = BTreeSet::new();
    for root in manifest::packages(tree).into_iter().flat_map(|package| package.roots) {
        reach(tree, &root, true, &mut reached);
    }
    let orphans = tree.rust().filter(|(path, _)| !reached.contains(*path));
    orphans
        .map(|(path, _)| {
            Problem::new(path, "no crate has this file", "name it in its parent's `mod` list or remove it")
        })
        .collect()
}

/// Adds a file and all that it names. A crate's root, a `mod.rs` and a file with an explicit path have
/// their modules beside them, other files in a folder of their name.
fn reach(tree: &Tree, path: &str, beside: bool, reached: &mut BTreeSet<String>) {
    let Some(text) = tree.get(path) else { return };
    if !reached.insert(path.to_owned()) {
        return;
    }
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let own = if beside { folder } else { path.trim_end_matches(".rs") };
    for module in modules(text) {
        let inside = join(own, &module.inline.join("/"));
        let candidates = match &module.path {
            // Within an inline module an explicit path begins at that module's folder, else at the file's.
            Some(explicit) => {
                [join(if module.inline.is_empty() { folder } else { &inside }, explicit), String::new()]
            }
            None => [
                join(&inside, &format!("{}.rs", module.name)),
                join(&inside, &format!("{}/mod.rs", module.name)),
            ],
        };
        for file in candidates {
            reach(tree, &file, module.path.is_some() || file.ends_with("/mod.rs"), reached);
        }
    }
    for file in included(text) {
        reach(tree, &join(folder, &file), true, reached);
    }
}

/// A `mod name;` in a file.
struct Module {
    name: String,
    /// What a `#[path = "..."]` before it says.
    path: Option<String>,
    /// The inline modules around it, outermost first.
    inline: Vec<String>,
}

fn modules(text: &str) -> Vec<Module> {
    let blanked = code::blank(text);
    let mut found = Vec::new();
    for at in code::words(&blanked, "mod") {
        let Some((name, end)) = name_after(&blanked, at + "mod".len()) else { continue };
        if blanked.get(end..).is_some_and(|rest| rest.trim_start().starts_with(';')) {
            found.push(Module {
                name,
                path: explicit_path(text, &blanked, at),
                inline: around(&blanked, at),
            });
        }
    }
    found
}

/// The identifier at or after an offset and where it ends.
fn name_after(blanked: &str, from: usize) -> Option<(String, usize)> {
    let rest = blanked.get(from..)?;
    let start = from + (rest.len() - rest.trim_start().len());
    let name: String = blanked.get(start..)?.bytes().take_while(code::is_word).map(char::from).collect();
    (start > from && !name.is_empty()).then(|| (name.clone(), start + name.len()))
}

/// The inline modules whose braces are open at an offset.
fn around(blanked: &str, at: usize) -> Vec<String> {
    let mut open: Vec<Option<String>> = Vec::new();
    let before = blanked.get(..at).unwrap_or_default();
    for (offset, byte) in before.bytes().enumerate() {
        match byte {
            b'{' => open.push(inline_module(before.get(..offset).unwrap_or_default())),
            b'}' => drop(open.pop()),
            _ => {}
        }
    }
    open.into_iter().flatten().collect()
}

/// The name of the module whose brace comes next, if the text ends in `mod name`.
fn inline_module(before: &str) -> Option<String> {
    let mut words = before.split_whitespace().rev();
    let name = words.next()?;
    (words.next() == Some("mod")).then(|| name.to_owned())
}

/// What a `#[path = "..."]` among the attributes before a `mod` says.
fn explicit_path(text: &str, blanked: &str, at: usize) -> Option<String> {
    let begin = blanked.get(..at)?.rfind([';', '{', '}']).map_or(0, |end| end + 1);
    let attribute = code::words(blanked.get(begin..at)?, "path").last()?;
    let value = text.get(begin + attribute..at)?.strip_prefix("path")?.trim_start().strip_prefix('=')?;
    value.trim_start().strip_prefix('"')?.split('"').next().map(str::to_owned)
}

/// Files that an `include!("...")` takes in.
fn included(text: &str) -> Vec<String> {
    let blanked = code::blank(text);
    let calls = code::words(&blanked, "include").filter_map(|at| text.get(at..)?.strip_prefix("include!("));
    calls
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
        .map(str::to_owned)
        .collect()
}

/// Two paths, one after the other, without `.` and `..`.
fn join(folder: &str, rest: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(rest.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::super::shown;
    use super::*;

    const PACKAGE: (&str, &str) = ("a/Cargo.toml", "[package]\nname = 'a'\n[lib]\npath = 'lib.rs'");

    fn orphans(files: &[(&str, &str)]) -> Vec<String> {
        let all: Vec<(&str, &str)> = std::iter::once(PACKAGE).chain(files.iter().copied()).collect();
        check(&Tree::of(&all)).into_iter().map(|problem| problem.file).collect()
    }

    #[test]
    fn an_orphan_is_named() {
        let tree = Tree::of(&[PACKAGE, ("a/lib.rs", "// mod b;\nmod c { }"), ("a/b.rs", "")]);
        let wanted = "a/b.rs: no crate has this file; name it in its parent's `mod` list or remove it";
        assert_eq!(shown(check(&tree)), [wanted]);
    }

    #[test]
    fn modules_are_found_where_rust_finds_them() {
        let files = [
            ("a/lib.rs", "pub mod b;\nmod c;\nmod d {\n    mod e;\n}\nfn f() { include!(\"g.rs\"); }"),
            ("a/b.rs", "pub(crate) mod h;"),
            ("a/b/h.rs", ""),
            ("a/c/mod.rs", "mod i;"),
            ("a/c/i.rs", ""),
            ("a/d/e.rs", ""),
            ("a/g.rs", ""),
            ("a/h.rs", "nobody names this one"),
        ];
        assert_eq!(orphans(&files), ["a/h.rs"]);
    }

    #[test]
    fn an_explicit_path_begins_at_the_files_folder() {
        let files = [
            ("a/lib.rs", "mod b;"),
            ("a/b.rs", "#[cfg(test)]\n#[path = \"../x/y.rs\"]\nmod y;"),
            ("x/y.rs", ""),
            ("a/tests/t.rs", "#[path = \"../tidy/mod.rs\"]\nmod tidy;"),
            ("a/tidy/mod.rs", "mod z;"),
            ("a/tidy/z.rs", ""),
        ];
        assert_eq!(orphans(&files), [""; 0]);
    }
}
