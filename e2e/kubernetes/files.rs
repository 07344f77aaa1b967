//! What the API server is started with, and what its clients need: keys, certificates, a token, a kubeconfig.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::KeyPair;

use crate::tls::Authority;

/// The token of a member of system:masters.
const TOKEN: &str = "test-token";

/// A folder of these files.
#[derive(Debug)]
pub(super) struct Files(PathBuf);

impl Files {
    /// Writes all of them into a new folder.
    pub(super) fn write(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        let put = |name: &str, text: &str| {
            fs::write(folder.join(name), text)
                .with_context(|| format!("write {name} into {}", folder.display()))
        };
        let authority = Authority::new()?;
        let server = authority.issue(&["127.0.0.1", "kubernetes.default.svc"])?;
        let accounts = KeyPair::generate()?;
        put("ca.crt", &authority.pem())?;
        put("server.crt", &server.certificate)?;
        put("server.key", &server.key)?;
        put("accounts.key", &accounts.serialize_pem())?;
        put("accounts.pub", &accounts.public_key_pem())?;
        put("tokens.csv", &format!("{TOKEN},admin,admin,system:masters\n"))?;
        let files = Self(folder.to_owned());
        put("kubeconfig", &files.kubeconfig_text())?;
        Ok(files)
    }

    fn kubeconfig_text(&self) -> String {
        format!(
            "apiVersion: v1
kind: Config
current-context: test
contexts: [{{name: test, context: {{cluster: test, user: admin}}}}]
clusters: [{{name: test, cluster: {{server: 'https://127.0.0.1:6443', certificate-authority: {}}}}}]
users: [{{name: admin, user: {{token: {TOKEN}}}}}]
",
            self.0.join("ca.crt").display()
        )
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    /// The kubeconfig of an administrator.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.0.join("kubeconfig")
    }

    /// The API server's flags that name files.
    pub(super) fn flags(&self) -> Vec<String> {
        let files = [
            ("tls-cert-file", "server.crt"),
            ("tls-private-key-file", "server.key"),
            ("service-account-key-file", "accounts.pub"),
            ("service-account-signing-key-file", "accounts.key"),
            ("token-auth-file", "tokens.csv"),
            ("cert-dir", "."),
        ];
        files.iter().map(|(flag, name)| format!("--{flag}={}", self.0.join(name).display())).collect()
    }
}
