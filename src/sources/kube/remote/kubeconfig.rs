//! What a kubeconfig of a Secret may say: whoever may write the Secret must not thereby run programs or read files of the
//! control plane.
//!
//! Source: Istio `pkg/kube/util.go`; `shared/spec/kubernetes.md` 2.9, trap 48.

use std::collections::BTreeSet;

use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use super::secrets::Hidden;
use crate::kube::client;
use crate::kube::reach::chain;

/// The one authentication provider that neither reads files nor runs programs.
const OIDC: &str = "oidc";

/// Why a kubeconfig is not used. Nothing of what it holds is in it but names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The field in the kubeconfig; empty for the whole.
    pub(super) field: String,
    /// What is wrong.
    pub(super) message: String,
    /// What to do.
    pub(super) hint: String,
}

impl Refusal {
    fn of_whole(message: impl Into<String>) -> Self {
        let hint = "make it by istioctl create-remote-secret".to_owned();
        Self { field: String::new(), message: message.into(), hint }
    }
}

/// A client by a kubeconfig, in its current context. Nothing is asked of the server yet.
///
/// # Errors
/// It cannot be used, or says what it may not; `allowed` are the options that it may use nevertheless
/// (`PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS`).
pub(super) async fn connect(kubeconfig: &Hidden, allowed: &BTreeSet<String>) -> Result<Client, Refusal> {
    let kubeconfig = read(kubeconfig.reveal(), allowed)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let config = config.map_err(|error| Refusal::of_whole(told(&error)))?;
    // Programs that give credentials, if they are allowed, are run here.
    let client = tokio::task::spawn_blocking(move || client::client(config)).await;
    let client = client.map_err(|error| Refusal::of_whole(error.to_string()))?;
    client.map_err(|error| Refusal::of_whole(format!("its credentials cannot be used: {}", chain(&error))))
}

/// A kubeconfig without what nobody needs.
fn read(bytes: &[u8], allowed: &BTreeSet<String>) -> Result<Kubeconfig, Refusal> {
    let text = std::str::from_utf8(bytes).map_err(|_| Refusal::of_whole("this is not text"))?;
    let mut kubeconfig = Kubeconfig::from_yaml(text).map_err(|error| Refusal::of_whole(told(&error)))?;
    for user in &mut kubeconfig.auth_infos {
        let Some(info) = user.auth_info.take() else { continue };
        if let Some((field, option)) = unsafe_option(&info).into_iter().find(|(_, o)| !allowed.contains(*o)) {
            return Err(Refusal {
                field: format!("users[{}].user.{field}", user.name),
                message: format!(
                    "{option} is not allowed in the kubeconfig of a Secret; the cluster is left out"
                ),
                hint: "use token, client-certificate-data and client-key-data, or list it in \
                       PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS"
                    .to_owned(),
            });
        }
        user.auth_info = Some(known(info));
    }
    for cluster in &kubeconfig.clusters {
        let proxy = cluster.cluster.as_ref().and_then(|c| c.proxy_url.as_deref());
        if proxy.is_some_and(|url| !url.is_empty()) {
            return Err(Refusal {
                field: format!("clusters[{}].cluster.proxy-url", cluster.name),
                message: "the API server cannot be reached through a proxy; the cluster is left out"
                    .to_owned(),
                hint: "name the API server's own address".to_owned(),
            });
        }
    }
    Ok(kubeconfig)
}

/// What of a user reads files or runs programs: the field, and the name by which it can be allowed.
fn unsafe_option(info: &AuthInfo) -> Vec<(&str, &str)> {
    let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let provider = info.auth_provider.as_ref().map(|provider| provider.name.as_str());
    let provider = provider.filter(|name| *name != OIDC).map(|name| ("auth-provider.name", name));
    let others = [
        ("client-key", "clientKey", given(&info.client_key)),
        ("client-certificate", "clientCertificate", given(&info.client_certificate)),
        ("tokenFile", "tokenFile", given(&info.token_file)),
        ("exec", "exec", info.exec.is_some()),
    ];
    let others = others.into_iter().filter(|(.., given)| *given).map(|(field, option, _)| (field, option));
    provider.into_iter().chain(others).collect()
}

/// Only the fields that were looked at: one that a later version of the library adds does not come in by itself.
fn known(info: AuthInfo) -> AuthInfo {
    AuthInfo {
        username: info.username,
        password: info.password,
        token: info.token,
        token_file: info.token_file,
        client_certificate: info.client_certificate,
        client_certificate_data: info.client_certificate_data,
        client_key: info.client_key,
        client_key_data: info.client_key_data,
        impersonate: info.impersonate,
        impersonate_groups: info.impersonate_groups,
        impersonate_user_extra: info.impersonate_user_extra,
        auth_provider: info.auth_provider,
        exec: info.exec,
        ..AuthInfo::default()
    }
}

/// An error in words that hold nothing of the kubeconfig: a parser's show the text around the mistake.
fn told(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(_) => "this is not a kubeconfig: it cannot be read as YAML".to_owned(),
        error => chain(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(user: &str) -> String {
        format!(
            "apiVersion: v1
kind: Config
current-context: east
contexts: [{{name: east, context: {{cluster: east, user: reader}}}}]
clusters: [{{name: east, cluster: {{server: 'https://192.0.2.1:6443'}}}}]
users: [{{name: reader, user: {user}}}]
"
        )
    }

    /// The field that is refused.
    fn refused(user: &str, allowed: &[&str]) -> Option<String> {
        let allowed = allowed.iter().map(|text| (*text).to_owned()).collect();
        read(kubeconfig(user).as_bytes(), &allowed).err().map(|refusal| refusal.field)
    }

    #[test]
    fn what_reads_files_or_runs_programs_is_refused_unless_it_is_allowed() {
        for safe in [
            "{token: abc}",
            "{username: a, password: b}",
            "{client-certificate-data: YQ==, client-key-data: YQ==}",
            "{auth-provider: {name: oidc, config: {id-token: abc}}}",
            "{tokenFile: '', client-key: ''}",
        ] {
            assert_eq!(refused(safe, &[]), None, "{safe}");
        }
        for (user, field, option) in [
            ("{tokenFile: /a}", "tokenFile", "tokenFile"),
            ("{client-key: /a}", "client-key", "clientKey"),
            ("{client-certificate: /a}", "client-certificate", "clientCertificate"),
            ("{exec: {command: sh, apiVersion: client.authentication.k8s.io/v1}}", "exec", "exec"),
            ("{auth-provider: {name: gcp, config: {}}}", "auth-provider.name", "gcp"),
        ] {
            assert_eq!(refused(user, &["other"]), Some(format!("users[reader].user.{field}")), "{user}");
            assert_eq!(refused(user, &[option]), None, "{user} with {option}");
        }
    }

    #[test]
    fn a_second_user_counts_too() {
        let text = kubeconfig("{token: abc}")
            .replace("users: [", "users: [{name: other, user: {exec: {command: sh}}}, ");
        let refusal = read(text.as_bytes(), &BTreeSet::new()).expect_err("a refusal");
        assert_eq!(refusal.field, "users[other].user.exec");
    }

    #[tokio::test]
    async fn refusals_hold_nothing_of_the_text() {
        for text in [
            "users: {token: hunter2",
            "hunter2",
            "users: [{name: a, user: {password: [hunter2]}}]",
            &kubeconfig("{client-certificate-data: hunter2, client-key-data: hunter2}"),
        ] {
            let refusal =
                connect(&Hidden::new(text.as_bytes()), &BTreeSet::new()).await.err().expect("a refusal");
            assert!(!format!("{refusal:?}").contains("hunter2"), "{refusal:?}");
        }
    }
}
