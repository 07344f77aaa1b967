//! The folder `crds/` holds what the types give.

use std::collections::BTreeMap;
use std::path::Path;

use crate::crd::definition;
use crate::kind::Kind;

const HEAD: &str = "# Written by `make crds` from the types in src/api/istio.\n";

/// The files of the folder, by name.
fn files() -> BTreeMap<String, String> {
    let file = |kind: &Kind| {
        let text = serde_saphyr::to_string(&definition(*kind)?).unwrap();
        Some((format!("{}_{}.yaml", kind.group(), kind.plural()), format!("{HEAD}{text}")))
    };
    Kind::ALL.iter().filter_map(file).collect()
}

fn written(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(Result::unwrap);
    entries
        .map(|entry| {
            (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap())
        })
        .collect()
}

fn write(folder: &Path, files: &BTreeMap<String, String>) {
    if folder.exists() {
        std::fs::remove_dir_all(folder).unwrap();
    }
    std::fs::create_dir(folder).unwrap();
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

/// `make crds` runs this test with `UPDATE_GOLDEN=1`, which writes the files anew.
#[test]
fn golden_crds_are_what_the_types_give() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds");
    let files = files();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        write(&folder, &files);
    }
    let written = written(&folder);
    let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&written), names(&files), "run `make crds`");
    for (name, text) in &files {
        assert!(written.get(name) == Some(text), "crds/{name} is not what the types give: run `make crds`");
    }
}

#[test]
fn what_is_written_is_read_back_as_it_was() {
    for kind in Kind::ALL {
        let Some(definition) = definition(*kind) else { continue };
        let text = serde_saphyr::to_string(&definition).unwrap();
        assert_eq!(serde_saphyr::from_str::<serde_json::Value>(&text).unwrap(), definition, "{kind}");
    }
}
