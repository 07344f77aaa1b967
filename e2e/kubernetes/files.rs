//! What the API server is started with, and what its clients need: keys, certificates, a token, a kubeconfig.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::KeyPair;

use crate::tls::Authority;

/// The token of a member of system:masters.
const TOKEN: &str = "test-token";

/// What service accounts have asked is written down there.
pub(super) const AUDIT_LOG: &str = "audit.log";

/// A folder of these files.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    port: u16,
}

impl Files {
    /// Writes all of them into a new folder, for a server that listens on `port`.
    pub(super) fn write(folder: &Path, port: u16) -> Result<Self> {
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
        put("audit-policy.yaml", super::audit::POLICY)?;
        put(AUDIT_LOG, "")?;
        let files = Self { folder: folder.to_owned(), port };
        put("kubeconfig", &files.kubeconfig_text())?;
        Ok(files)
    }

    fn kubeconfig_text(&self) -> String {
        format!(
            "apiVersion: v1
kind: Config
current-context: test
contexts: [{{name: test, context: {{cluster: test, user: admin}}}}]
clusters: [{{name: test, cluster: {{server: 'https://127.0.0.1:{}', certificate-authority: {}}}}}]
users: [{{name: admin, user: {{token: {TOKEN}}}}}]
",
            self.port,
            self.folder.join("ca.crt").display()
        )
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The kubeconfig of an administrator.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// The certificate of the authority that the API server's certificate comes from.
    pub(super) fn authority(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// Host and port of the API server.
    pub(super) fn address(&self) -> (&'static str, String) {
        ("127.0.0.1", self.port.to_string())
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
            ("audit-policy-file", "audit-policy.yaml"),
            ("audit-log-path", AUDIT_LOG),
        ];
        files.iter().map(|(flag, name)| format!("--{flag}={}", self.folder.join(name).display())).collect()
    }
}
