//! Secrets by name: from the agent beside the proxy, from files through it, from the control plane over ADS.
//!
//! Source: Istio `pilot/pkg/security/model/authentication.go`; `shared/spec/xds.md` 2.7 (SDS config).

use envoy::config::core::v3::api_config_source::ApiType;
use envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use envoy::config::core::v3::grpc_service::{EnvoyGrpc, TargetSpecifier};
use envoy::config::core::v3::{
    AggregatedConfigSource, ApiConfigSource, ApiVersion, ConfigSource, GrpcService,
};
use envoy::extensions::transport_sockets::tls::v3::SdsSecretConfig;
use envoy::google::protobuf::Duration;
use model::proxy::{FileCertificates, SecretServers};

/// The workload's own certificate.
pub const WORKLOAD: &str = "default";
/// The mesh's roots of trust.
pub const ROOT: &str = "ROOTCA";
/// The bootstrap's cluster of the agent's secret service.
const AGENT_CLUSTER: &str = "sds-grpc";
/// The cluster of a server of secrets beside the proxy.
pub const EXTERNAL_CLUSTER: &str = "sds-external";
/// Where that server listens, from where the proxy runs.
pub const EXTERNAL_SOCKET: &str = "./var/run/secrets/credential-uds/socket";
/// Begins names that such a server is asked for; without one, those of Secrets.
const EXTERNAL: &str = "sds://";
/// The bootstrap's cluster of a server of files beside the proxy.
const FILES_CLUSTER: &str = "sds-files-grpc";
const KUBERNETES: &str = "kubernetes://";
const CONFIG_MAP: &str = "configmap://";
/// Stands for what the mesh itself gives to a workload.
const BUILTIN: &str = "builtin://";
const CA_SUFFIX: &str = "-cacert";

/// The workload's own certificate, from the agent; the proxy waits for it without limit.
pub fn workload() -> SdsSecretConfig {
    awaited(WORKLOAD)
}

/// The mesh's roots of trust, from the agent; the proxy waits for them without limit.
pub fn root() -> SdsSecretConfig {
    awaited(ROOT)
}

/// The certificate that the workload shows as a server of the mesh: its own, unless the proxy names files.
pub fn shown(files: &FileCertificates, servers: SecretServers) -> SdsSecretConfig {
    let named = !files.chain.is_empty() && !files.key.is_empty();
    if named { certificate_files(&files.chain, &files.key, servers) } else { workload() }
}

/// The roots by which the workload as a server of the mesh knows its clients: the mesh's, unless the proxy names a file.
pub fn trusted(files: &FileCertificates, servers: SecretServers) -> SdsSecretConfig {
    if files.root.is_empty() { root() } else { root_file(&files.root, servers) }
}

/// A certificate and its key in files that the agent watches, or a server for files beside the proxy.
pub fn certificate_files(chain: &str, key: &str, servers: SecretServers) -> SdsSecretConfig {
    file(format!("file-cert:{chain}~{key}"), servers)
}

/// Roots of trust in a file that is watched as those of [`certificate_files`] are; `system` stands for those of the
/// operating system.
pub fn root_file(path: &str, servers: SecretServers) -> SdsSecretConfig {
    file(format!("file-root:{path}"), servers)
}

fn file(name: String, servers: SecretServers) -> SdsSecretConfig {
    served(name, if servers.files { FILES_CLUSTER } else { AGENT_CLUSTER }, None)
}

/// A certificate and its key in a Secret, over ADS; `builtin://` is the workload's own. A name that begins with `sds://`
/// is asked of a server for credentials beside the proxy, if there is one.
pub fn credential(name: &str, servers: SecretServers) -> SdsSecretConfig {
    if name == BUILTIN { workload() } else { named(name.to_owned(), servers) }
}

/// The roots of trust of a Secret, from where [`credential`] has it: always those beside it, whatever it is called.
pub fn credential_roots(name: &str, servers: SecretServers) -> SdsSecretConfig {
    if name == BUILTIN { root() } else { named(format!("{name}{CA_SUFFIX}"), servers) }
}

/// Whether a credential names a ConfigMap, which holds nothing secret.
pub fn is_config_map(name: &str) -> bool {
    name.starts_with(CONFIG_MAP)
}

fn named(name: String, servers: SecretServers) -> SdsSecretConfig {
    match name.strip_prefix(EXTERNAL) {
        // The servers that exist are asked by the whole name.
        Some(_) if servers.credentials => served(name, EXTERNAL_CLUSTER, None),
        Some(rest) => over_ads(resource_name(rest)),
        None => over_ads(resource_name(&name)),
    }
}

fn resource_name(name: &str) -> String {
    if name.contains("://") { name.to_owned() } else { format!("{KUBERNETES}{name}") }
}

fn awaited(name: &str) -> SdsSecretConfig {
    served(name.to_owned(), AGENT_CLUSTER, Some(Duration::from_secs(0)))
}

/// From the secret service behind a cluster of the bootstrap.
fn served(name: String, cluster: &str, initial_fetch_timeout: Option<Duration>) -> SdsSecretConfig {
    let grpc = EnvoyGrpc { cluster_name: cluster.to_owned(), ..EnvoyGrpc::default() };
    let service =
        GrpcService { target_specifier: Some(TargetSpecifier::EnvoyGrpc(grpc)), ..GrpcService::default() };
    let api = ApiConfigSource {
        api_type: ApiType::Grpc.into(),
        transport_api_version: ApiVersion::V3.into(),
        grpc_services: vec![service],
        set_node_on_first_message_only: true,
        ..ApiConfigSource::default()
    };
    config(name, initial_fetch_timeout, ConfigSourceSpecifier::ApiConfigSource(api))
}

fn over_ads(name: String) -> SdsSecretConfig {
    config(name, None, ConfigSourceSpecifier::Ads(AggregatedConfigSource {}))
}

fn config(
    name: String,
    initial_fetch_timeout: Option<Duration>,
    specifier: ConfigSourceSpecifier,
) -> SdsSecretConfig {
    let source = ConfigSource {
        initial_fetch_timeout,
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(specifier),
        ..ConfigSource::default()
    };
    SdsSecretConfig { name, sds_config: Some(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: SecretServers = SecretServers { credentials: false, files: false };
    const BESIDE: SecretServers = SecretServers { credentials: true, files: false };

    #[test]
    fn files_are_asked_of_the_agent_unless_a_server_for_them_stands_beside_it() {
        let files = SecretServers { files: true, ..NONE };
        let cluster = |secret: SdsSecretConfig, name: &str| format!("{:?}", secret.sds_config).contains(name);
        for (servers, name) in
            [(NONE, "\"sds-grpc\""), (BESIDE, "\"sds-grpc\""), (files, "\"sds-files-grpc\"")]
        {
            assert!(cluster(certificate_files("a", "b", servers), name));
            assert!(cluster(root_file("system", servers), name));
        }
        assert!(!cluster(credential("sds://x", files), "sds-external"));
    }

    #[test]
    fn only_the_meshs_own_secrets_are_awaited_without_limit() {
        let limit = |s: SdsSecretConfig| s.sds_config.and_then(|c| c.initial_fetch_timeout);
        assert_eq!(limit(workload()), Some(Duration::from_secs(0)));
        assert_eq!(limit(root()), Some(Duration::from_secs(0)));
        assert_eq!(limit(root_file("system", NONE)), None);
        assert_eq!(limit(credential("x", NONE)), None);
    }

    #[test]
    fn credentials_are_named_by_their_kind() {
        let credential = |name: &str| credential(name, BESIDE).name;
        let roots = |name: &str| credential_roots(name, BESIDE).name;
        assert_eq!(credential("x"), "kubernetes://x");
        assert_eq!(roots("x"), "kubernetes://x-cacert");
        assert_eq!(roots("x-cacert"), "kubernetes://x-cacert-cacert");
        assert_eq!((credential("builtin://"), roots("builtin://")), ("default".into(), "ROOTCA".into()));
        assert_eq!(roots("configmap://x"), "configmap://x-cacert");
        assert_eq!(certificate_files("a", "b", NONE).name, "file-cert:a~b");
    }

    #[test]
    fn names_for_a_server_beside_the_proxy_are_those_of_secrets_where_there_is_none() {
        let clusters = |secret: &SdsSecretConfig| format!("{:?}", secret.sds_config).contains("sds-external");
        let beside = [credential("sds://x", BESIDE), credential_roots("sds://x", BESIDE)];
        assert_eq!(
            beside.each_ref().map(|s| (s.name.as_str(), clusters(s))),
            [("sds://x", true), ("sds://x-cacert", true)]
        );
        let without = [credential("sds://x", NONE), credential_roots("sds://x", NONE)];
        assert_eq!(
            without.each_ref().map(|s| (s.name.as_str(), clusters(s))),
            [("kubernetes://x", false), ("kubernetes://x-cacert", false)]
        );
        assert!(!clusters(&credential("x", BESIDE)));
    }
}
