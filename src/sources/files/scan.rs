//! Which entries of the folder count, told by their names.

use std::ffi::OsStr;
use std::path::Path;

/// Whether an entry is left out whatever it is: names with a dot in front are editors' and version control's, and the
/// `..data` and `..2024_…` of a mounted ConfigMap or Secret, whose files are seen through the links beside them.
pub(crate) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Whether a file of this name holds objects.
pub(crate) fn is_manifest(name: &OsStr) -> bool {
    let known = |extension: &OsStr| {
        ["yaml", "yml", "json"].into_iter().any(|known| extension.eq_ignore_ascii_case(known))
    };
    !is_hidden(name) && Path::new(name).extension().is_some_and(known)
}

/// Whether a file's name says that it is JSON.
pub(crate) fn is_json(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_told_by_extension_and_no_leading_dot() {
        for name in ["a.yaml", "a.yml", "a.json", "A.YAML", "a.b.yaml"] {
            assert!(is_manifest(OsStr::new(name)), "{name}");
        }
        for name in [
            ".a.yaml",
            "..data",
            "..2024_01_01",
            "a.yaml~",
            "a.yaml.swp",
            "a.txt",
            "yaml",
            ".yaml",
            "a.yaml.tmp",
        ] {
            assert!(!is_manifest(OsStr::new(name)), "{name}");
        }
    }
}
