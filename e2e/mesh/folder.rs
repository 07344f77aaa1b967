//! The control plane's folder of YAML: one file an object, replaced as a whole.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::world::World;

/// The folder that the control plane follows.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Outside the followed folder but on the same file system: files are written here and renamed.
    drafts: PathBuf,
    /// Where the control plane keeps its root; proxies may read the certificate.
    state: PathBuf,
}

impl Folder {
    pub(crate) fn create(world: &World) -> Result<Self> {
        let (path, drafts) = (world.dir().join("config"), world.dir().join("drafts"));
        let folder = Self { path, drafts, state: world.state_folder()? };
        for path in [&folder.path, &folder.drafts] {
            fs::create_dir_all(path).with_context(|| format!("create {}", path.display()))?;
        }
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// Writes an object; JSON is YAML. An unchanged file is left alone.
    pub(crate) fn write(&self, kind: &str, namespace: &str, name: &str, object: &Value) -> Result<()> {
        self.write_text(kind, namespace, name, &serde_json::to_string_pretty(object)?)
    }

    /// Writes an object unless it is there.
    pub(crate) fn write_once(&self, kind: &str, namespace: &str, name: &str, object: &Value) -> Result<()> {
        if self.path.join(file(kind, namespace, name)).exists() {
            return Ok(());
        }
        self.write(kind, namespace, name, object)
    }

    pub(crate) fn write_text(&self, kind: &str, namespace: &str, name: &str, text: &str) -> Result<()> {
        self.put(&file(kind, namespace, name), text)
    }

    /// Puts a text into the folder under this name.
    pub(crate) fn put(&self, file: &str, text: &str) -> Result<()> {
        let path = self.path.join(file);
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            return Ok(());
        }
        let draft = self.drafts.join(file);
        fs::write(&draft, text).with_context(|| format!("write {}", draft.display()))?;
        fs::rename(&draft, &path).with_context(|| format!("put {} in place", path.display()))
    }

    pub(crate) fn remove(&self, kind: &str, namespace: &str, name: &str) -> Result<()> {
        self.take(&file(kind, namespace, name))
    }

    /// Removes the file of this name.
    pub(crate) fn take(&self, file: &str) -> Result<()> {
        let path = self.path.join(file);
        fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))
    }
}

fn file(kind: &str, namespace: &str, name: &str) -> String {
    format!("{}.{namespace}.{name}.yaml", kind.to_lowercase())
}

/// The documents of a YAML text that are not empty.
pub(crate) fn documents(yaml: &str) -> impl Iterator<Item = &str> {
    yaml.split("\n---").filter(|document| {
        document.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with(['#', '-']))
    })
}

/// Kind, namespace (empty for cluster-wide kinds) and name.
pub(crate) fn identity(object: &Value) -> Result<(String, String, String)> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let kind = text("/kind").context("the object has no kind")?;
    let name = text("/metadata/name").with_context(|| format!("the {kind} has no name"))?;
    Ok((kind, text("/metadata/namespace").unwrap_or_default(), name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{documents, identity};

    #[test]
    fn documents_are_parted_and_empty_ones_left_out() {
        let yaml = "---\nkind: A\n---\n# nothing\n---\nkind: B\n";
        let parts: Vec<&str> = documents(yaml).map(str::trim).collect();
        assert_eq!(parts, ["---\nkind: A", "kind: B"]);
    }

    #[test]
    fn an_object_without_a_name_is_refused() {
        let named = json!({"kind": "Gateway", "metadata": {"name": "edge"}});
        assert_eq!(identity(&named).unwrap(), ("Gateway".to_owned(), String::new(), "edge".to_owned()));
        assert!(identity(&json!({"kind": "Gateway"})).is_err());
    }
}
