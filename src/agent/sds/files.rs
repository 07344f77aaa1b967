//! Secrets that live in files: `file-cert:<chain>~<key>` and `file-root:<roots>` (spec security.md 4.1).

use std::path::{Path, PathBuf};

use super::store::Entry;

/// Where the parts of a file secret are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum FileSecret {
    Certificate { chain: PathBuf, key: PathBuf },
    Root { roots: PathBuf },
}

impl FileSecret {
    /// Reads a secret's name. Out: nothing for a name that is not of a file secret.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub(super) fn parse(name: &str) -> Result<Option<Self>, String> {
        if let Some(rest) = name.strip_prefix("file-cert:") {
            return match rest.split_once('~') {
                Some((chain, key)) if !chain.is_empty() && !key.is_empty() && !key.contains('~') => {
                    Ok(Some(Self::Certificate { chain: chain.into(), key: key.into() }))
                }
                _ => Err("must be file-cert:<certificate chain file>~<key file>".to_owned()),
            };
        }
        match name.strip_prefix("file-root:") {
            None => Ok(None),
            Some("") => Err("must be file-root:<file>".to_owned()),
            Some("system") => {
                Err("the operating system's trust anchors are not served; name a file".to_owned())
            }
            Some(roots) => Ok(Some(Self::Root { roots: roots.into() })),
        }
    }

    /// Reads the files. A key that does not fit its certificate is refused: between the two writes of a renewal
    /// that is the rule, and Envoy would keep the refused value for its next listener.
    ///
    /// # Errors
    /// Which file is wrong and how; nothing of a key is in the text.
    pub(super) fn load(&self, name: &str) -> Result<Entry, String> {
        match self {
            Self::Certificate { chain, key } => {
                let (chain_pem, key_pem) = (read(chain)?, read(key)?);
                ca::check_key_pair(&chain_pem, &key_pem)
                    .map_err(|error| format!("{} with {}: {error}", chain.display(), key.display()))?;
                Ok(Entry::certificate(name, chain_pem, key_pem))
            }
            Self::Root { roots } => {
                let pem = read(roots)?;
                ca::check_roots(&pem).map_err(|error| format!("{}: {error}", roots.display()))?;
                Ok(Entry::trusted_ca(name, pem))
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::FileSecret;

    #[test]
    fn names() {
        let certificate = FileSecret::Certificate { chain: "/c.pem".into(), key: "/k.pem".into() };
        assert_eq!(FileSecret::parse("file-cert:/c.pem~/k.pem"), Ok(Some(certificate)));
        assert_eq!(
            FileSecret::parse("file-root:r.pem"),
            Ok(Some(FileSecret::Root { roots: "r.pem".into() }))
        );
        assert_eq!(FileSecret::parse("default"), Ok(None));
        for wrong in
            ["file-cert:/c.pem", "file-cert:~/k", "file-cert:a~b~c", "file-root:", "file-root:system"]
        {
            FileSecret::parse(wrong).unwrap_err();
        }
    }
}
