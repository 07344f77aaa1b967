//! Flags that come as environment variables, under the reference's names.

pub(crate) mod certificates;
pub(crate) mod security;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use controllers::registration::{Rules, Terms};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use model::mesh::{Compliance, Features, JwksMode};
use sources::jwks::{self, Internal, Proxies};
use store::Limits;

use crate::authority::root::Plugging;
use crate::open_files;

/// 240.240.0.0/16, reserved addresses that nobody routes.
const DEFAULT_V4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(240, 240, 0, 0), 16);

/// 2001:2::/48, set aside for benchmarks.
const DEFAULT_V6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48);

/// Root certificates for fetching keys, where the reference mounts them.
const EXTRA_ROOTS: &str = "/cacerts/extra.pem";

/// Keys are not fetched more often.
const LEAST_REFRESH: Duration = Duration::from_secs(1);

/// Reads a variable; the default if it is not set. A value that cannot be read is told and ignored.
struct Environment<F>(F);

impl<F: Fn(&str) -> Option<String>> Environment<F> {
    fn read<T>(&self, name: &str, default: T, parse: impl Fn(&str) -> Option<T>) -> T {
        let Some(text) = (self.0)(name).filter(|t| !t.is_empty()) else { return default };
        parse(&text).unwrap_or_else(|| {
            tracing::warn!(name, value = text, "environment variable cannot be read, its default is used");
            default
        })
    }

    fn flag(&self, name: &str, default: bool) -> bool {
        self.read(name, default, |t| match t {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
            _ => None,
        })
    }

    fn number<T: std::str::FromStr>(&self, name: &str, default: T) -> T {
        self.read(name, default, |t| t.parse().ok())
    }

    fn duration(&self, name: &str, default: Duration) -> Duration {
        self.read(name, default, |t| {
            t.parse::<api::Duration>().ok().map(|d| Duration::from_nanos(d.as_nanos()))
        })
    }
}

/// The process's environment.
#[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn process(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What `KUBECONFIG` names.
pub(crate) fn kubeconfig() -> Option<PathBuf> {
    process("KUBECONFIG").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The name of the ConfigMap that lies beneath the revision's own; empty for none.
pub(crate) fn shared_mesh_config() -> String {
    process("SHARED_MESH_CONFIG").unwrap_or_default()
}

/// The namespace of the gateways that serve Ingresses, which need not be that of the control plane.
pub(crate) fn ingress_namespace() -> String {
    process("K8S_INGRESS_NS").filter(|name| !name.is_empty()).unwrap_or_else(|| "istio-system".to_owned())
}

/// The name of this pod: who this replica is in elections. Outside of a pod, as the reference has it.
pub(crate) fn identity() -> String {
    process("POD_NAME").filter(|name| !name.is_empty()).unwrap_or_else(|| {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        format!("unknown-{}", host.trim())
    })
}

/// Which certificate authority operators plug in, and how it is treated.
pub(crate) fn plugging() -> Plugging {
    let environment = Environment(process);
    let folder = process("ROOT_CA_DIR").filter(|path| !path.is_empty());
    Plugging {
        folder: folder.unwrap_or_else(|| "./etc/cacerts".to_owned()).into(),
        with_crl: environment.flag("PILOT_ENABLE_CA_CRL", true),
        multiroot: environment.flag("ISTIO_MULTIROOT_MESH", false),
        self_signed: self_signed_in_cacerts(),
        remote: None,
    }
}

/// When the self-signed root is renewed.
pub(crate) fn renewal() -> ca::Renewal {
    let (e, default) = (Environment(process), ca::Renewal::default());
    ca::Renewal {
        interval: e.duration("CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL", default.interval),
        grace_percent: e
            .number("CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE", default.grace_percent),
        jitter: e.flag("CITADEL_ENABLE_JITTER_FOR_ROOT_CERT_ROTATOR", default.jitter),
        fresh: ca::Fresh {
            lifetime: e.duration("CITADEL_SELF_SIGNED_CA_CERT_TTL", default.fresh.lifetime),
            rsa_bits: e.read("CITADEL_SELF_SIGNED_CA_RSA_KEY_SIZE", None, |bits| bits.parse().ok().map(Some)),
        },
    }
}

/// How long the stages of a root's replacement last.
pub(crate) fn replacement_pace() -> ca::Pace {
    let environment = Environment(process);
    ca::Pace {
        distribute: environment.duration("PILOTHOUSE_ROOT_DISTRIBUTION", Duration::from_secs(300)),
        longest_life: environment.duration("PILOTHOUSE_ROOT_KEEPING", certificate_lifetimes().max_ttl),
    }
}

/// Whether a self-signed root that is made goes into `cacerts`.
pub(crate) fn self_signed_in_cacerts() -> bool {
    Environment(process).flag("USE_CACERTS_FOR_SELF_SIGNED_CA", false)
}

/// Whether the files of a plugged-in authority are read from the cluster where they are not mounted.
pub(crate) fn remote_cacerts() -> bool {
    Environment(process).flag("USE_REMOTE_CERTS", false)
}

/// Whether this process runs in a pod that it knows the name of.
pub(crate) fn in_pod() -> bool {
    process("POD_NAME").is_some_and(|name| !name.is_empty())
}

/// How long certificates of workloads live.
pub(crate) fn certificate_lifetimes() -> ca::Limits {
    let (environment, default) = (Environment(process), ca::Limits::default());
    ca::Limits {
        default_ttl: environment.duration("DEFAULT_WORKLOAD_CERT_TTL", default.default_ttl),
        max_ttl: environment.duration("MAX_WORKLOAD_CERT_TTL", default.max_ttl),
    }
}

/// The name of the ConfigMap by which namespaces learn the root.
pub(crate) fn root_certificate_config_map() -> String {
    process("PILOT_CA_CERT_CONFIGMAP")
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "istio-ca-root-cert".to_owned())
}

/// Whether the cluster learns the root in a ClusterTrustBundle, and namespaces in no ConfigMap.
pub(crate) fn cluster_trust_bundle() -> bool {
    Environment(process).flag("ENABLE_CLUSTER_TRUST_BUNDLE_API", false)
}

/// The name of the ConfigMap by which namespaces learn revocation lists; none if they do not.
pub(crate) fn revocation_config_map() -> Option<String> {
    let name = process("PILOT_CRL_CONFIGMAP").filter(|name| !name.is_empty());
    Environment(process)
        .flag("PILOT_ENABLE_CA_CRL", true)
        .then(|| name.unwrap_or_else(|| "istio-ca-crl".to_owned()))
}

/// The prefixes from which hosts of ServiceEntries get addresses, of IPv4 and of IPv6; none if they get none.
pub(crate) fn ip_allocation() -> Option<(IpNet, IpNet)> {
    ip_allocation_from(process)
}

fn ip_allocation_from(source: impl Fn(&str) -> Option<String>) -> Option<(IpNet, IpNet)> {
    let e = Environment(source);
    let v4 = e.read("PILOT_IP_AUTOALLOCATE_IPV4_PREFIX", DEFAULT_V4, |text| text.parse().ok());
    let v6 = e.read("PILOT_IP_AUTOALLOCATE_IPV6_PREFIX", DEFAULT_V6, |text| text.parse().ok());
    e.flag("PILOT_ENABLE_IP_AUTOALLOCATE", true).then_some((IpNet::V4(v4), IpNet::V6(v6)))
}

/// How long another cluster is waited for; zero for ever.
pub(crate) fn remote_cluster_timeout() -> Duration {
    Environment(process).duration("PILOT_REMOTE_CLUSTER_TIMEOUT", Duration::from_secs(30))
}

/// What kubeconfigs of other clusters may use although it reads files or runs programs.
pub(crate) fn insecure_kubeconfig_options() -> BTreeSet<String> {
    let text = process("PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS").unwrap_or_default();
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Whether WorkloadEntries of other clusters are read.
pub(crate) fn cross_cluster_workload_entries() -> bool {
    Environment(process).flag("PILOT_ENABLE_CROSS_CLUSTER_WORKLOAD_ENTRY", true)
}

/// How workloads outside of Kubernetes are registered. `max_age`: the greatest age of a connection.
pub(crate) fn registration(max_age: Option<Duration>) -> Terms {
    let environment = Environment(process);
    Terms {
        rules: Rules {
            auto: environment.flag("PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION", true),
            health: environment.flag("PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS", true),
            verify: environment.flag("ISTIO_WORKLOAD_ENTRY_VALIDATE_IDENTITY", true),
        },
        grace: environment.duration("PILOT_WORKLOAD_ENTRY_GRACE_PERIOD", Duration::from_secs(10)),
        max_age,
    }
}

/// Whether replicas elect one of them for each controller.
pub(crate) fn leader_election() -> bool {
    Environment(process).flag("ENABLE_LEADER_ELECTION", true)
}

/// Further names of this control plane, with commas between them.
pub(crate) fn custom_hosts() -> String {
    process("ISTIOD_CUSTOM_HOST").unwrap_or_default()
}

/// Whether the entries of the validating webhook are kept: the reference's variable names an object, but is a switch.
pub(crate) fn validation() -> bool {
    process("VALIDATION_WEBHOOK_CONFIG_NAME").is_none_or(|name| !name.is_empty())
}

/// Whether Secrets of other clusters are read.
pub fn remote_credentials() -> bool {
    Environment(process).flag("PILOT_ENABLE_REMOTE_CREDENTIALS_CONTROLLER", true)
}

/// The flags that shape what is sent.
pub fn features() -> Features {
    features_from(process)
}

/// How long a burst of configuration is collected: what the reference's variables say, if they are set.
pub fn limits() -> Limits {
    let environment = Environment(process);
    let default = Limits::default();
    Limits {
        quiet: environment.duration("PILOT_DEBOUNCE_AFTER", default.quiet),
        longest: environment.duration("PILOT_DEBOUNCE_MAX", default.longest),
        endpoints: if environment.flag("PILOT_ENABLE_EDS_DEBOUNCE", true) {
            default.endpoints
        } else {
            Duration::ZERO
        },
    }
}

/// New streams per second, if a limit is set.
pub fn streams_per_second() -> Option<f64> {
    Some(Environment(process).number("PILOT_MAX_REQUESTS_PER_SECOND", 0.0)).filter(|n| *n > 0.0)
}

/// Concurrent streams per connection, and the longest request in bytes.
pub fn stream_limits(max_streams: u32, max_request: usize) -> (u32, usize) {
    let environment = Environment(process);
    (
        environment.number("ISTIO_GPRC_MAXSTREAMS", max_streams),
        environment.number("ISTIO_GPRC_MAXRECVMSGSIZE", max_request),
    )
}

/// Whether a process that dies may leave its memory, with the keys in it (`PILOTHOUSE_CORE_DUMPS`): for those who debug it.
pub fn core_dumps() -> bool {
    Environment(process).flag("PILOTHOUSE_CORE_DUMPS", false)
}

/// Connections of proxies and agents at once: what is said, else nine tenths of the files that this process may open, so that
/// there is always one for the API server.
pub fn max_connections(default: usize) -> usize {
    let usual = open_files::limit().map_or(default, |files| files / 10 * 9);
    Environment(process).number("PILOTHOUSE_MAX_CONNECTIONS", usual)
}

fn features_from(source: impl Fn(&str) -> Option<String>) -> Features {
    let e = Environment(source);
    let d = Features::default();
    let millis = |name: &str, default: u64| {
        u64::try_from(e.duration(name, Duration::from_millis(default)).as_millis()).unwrap_or(default)
    };
    Features {
        telemetry_label: e.flag("PILOT_ENABLE_TELEMETRY_LABEL", d.telemetry_label),
        endpoint_telemetry_label: e.flag("PILOT_ENDPOINT_TELEMETRY_LABEL", d.endpoint_telemetry_label),
        mongo_filter: e.flag("PILOT_ENABLE_MONGO_FILTER", d.mongo_filter),
        redis_filter: e.flag("PILOT_ENABLE_REDIS_FILTER", d.redis_filter),
        http10: e.flag("PILOT_HTTP10", d.http10),
        eds_for_headless: e.flag("PILOT_ENABLE_EDS_FOR_HEADLESS_SERVICES", d.eds_for_headless),
        headless_filter_chains: e
            .flag("PILOT_ENABLE_HEADLESS_FILTER_CHAIN_LISTENER", d.headless_filter_chains),
        multicluster_headless: e.flag("ENABLE_MULTICLUSTER_HEADLESS", d.multicluster_headless),
        send_unhealthy: e.flag("PILOT_SEND_UNHEALTHY_ENDPOINTS", d.send_unhealthy),
        auto_send_unhealthy: e.flag("PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS", d.auto_send_unhealthy),
        persistent_session_filter: e
            .flag("PILOT_ENABLE_PERSISTENT_SESSION_FILTER", d.persistent_session_filter),
        locality_weighted_lb: e.flag("ENABLE_LOCALITY_WEIGHTED_LB_CONFIG", d.locality_weighted_lb),
        absolute_fqdn_domain: e.flag("PILOT_ENABLE_ABSOLUTE_FQDN_VHOST_DOMAIN", d.absolute_fqdn_domain),
        merge_sidecar_ingress: e
            .flag("PILOT_ALLOW_SIDECAR_SERVICE_INBOUND_LISTENER_MERGE", d.merge_sidecar_ingress),
        dual_stack: e.flag("ISTIO_DUAL_STACK", d.dual_stack),
        scope_gateway_to_namespace: e.flag("PILOT_SCOPE_GATEWAY_TO_NAMESPACE", d.scope_gateway_to_namespace),
        resolve_hostname_gateways: e.flag("RESOLVE_HOSTNAME_GATEWAYS", d.resolve_hostname_gateways),
        quic_listeners: e.flag("PILOT_ENABLE_QUIC_LISTENERS", d.quic_listeners),
        answer_misdirected: e.flag("PILOTHOUSE_ANSWER_MISDIRECTED", d.answer_misdirected),
        announce_http: e.flag("PILOTHOUSE_ANNOUNCE_HTTP", d.announce_http),
        filter_gateway_clusters: e.flag("PILOT_FILTER_GATEWAY_CLUSTER_CONFIG", d.filter_gateway_clusters),
        sidecar_use_remote_address: e.flag("PILOT_SIDECAR_USE_REMOTE_ADDRESS", d.sidecar_use_remote_address),
        xds_identity_check: e.flag("PILOT_ENABLE_XDS_IDENTITY_CHECK", d.xds_identity_check),
        skip_validate_trust_domain: e.flag("PILOT_SKIP_VALIDATE_TRUST_DOMAIN", d.skip_validate_trust_domain),
        proxy_100_continue: e.flag("ENABLE_100_CONTINUE_HEADERS", d.proxy_100_continue),
        trace_sampling: e.read("PILOT_TRACE_SAMPLING", d.trace_sampling, hundredths),
        max_connections_per_event: e
            .number("MAX_CONNECTIONS_PER_SOCKET_EVENT_LOOP", d.max_connections_per_event),
        transport_socket_connect_timeout_ms: millis(
            "PILOT_GATEWAY_TRANSPORT_SOCKET_CONNECT_TIMEOUT",
            d.transport_socket_connect_timeout_ms,
        ),
        dns_udp_max_queries: e.number("PILOT_DNS_CARES_UDP_MAX_QUERIES", d.dns_udp_max_queries),
        dns_jitter_ms: millis("PILOT_DNS_JITTER_DURATION", d.dns_jitter_ms),
        dynamic_dns_max_hosts: e.number("PILOT_ALLOW_ANY_DYNAMIC_DNS_MAX_HOSTS", d.dynamic_dns_max_hosts),
        disable_shadow_host_suffix: e.flag("DISABLE_SHADOW_HOST_SUFFIX", d.disable_shadow_host_suffix),
        disable_track_remaining: e.flag("DISABLE_TRACK_REMAINING_CB_METRICS", d.disable_track_remaining),
        route_collapse: e.flag("PILOT_ENABLE_ROUTE_COLLAPSE_OPTIMIZATION", d.route_collapse),
        internal_networks: e.flag("ENABLE_HCM_INTERNAL_NETWORKS", d.internal_networks),
        jwks_mode: e.read("PILOT_JWT_ENABLE_REMOTE_JWKS", d.jwks_mode, jwks_mode),
        compliance: e.read("COMPLIANCE_POLICY", d.compliance, standard),
        tls_on_sidecar_ingress: e.flag("ENABLE_TLS_ON_SIDECAR_INGRESS", d.tls_on_sidecar_ingress),
        selector_gateway_policy: e
            .flag("ENABLE_SELECTOR_BASED_K8S_GATEWAY_POLICY", d.selector_gateway_policy),
        several_authorizers: e.flag("PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS", d.several_authorizers),
    }
}

/// How keys of those who issue tokens are fetched, and how often.
pub(crate) fn jwks() -> (jwks::Options, Duration) {
    jwks_from(process)
}

fn jwks_from(source: impl Fn(&str) -> Option<String>) -> (jwks::Options, Duration) {
    let e = Environment(source);
    let refresh = e.duration("PILOT_JWT_PUB_KEY_REFRESH_INTERVAL", Duration::from_secs(20 * 60));
    let options = jwks::Options {
        internal: e.read("PILOTHOUSE_JWKS_INTERNAL_ADDRESSES", Internal::default(), |text| match text {
            "never" => Some(Internal::Never),
            "named" => Some(Internal::Named),
            "any" => Some(Internal::Any),
            _ => None,
        }),
        blocked: e.read("BLOCKED_CIDRS_IN_JWKS_URIS", Vec::new(), |text| {
            text.split(',').map(|range| range.trim().parse().ok()).collect()
        }),
        extra_roots: PathBuf::from(
            e.read("PILOTHOUSE_JWKS_EXTRA_ROOTS", EXTRA_ROOTS.to_owned(), |t| Some(t.to_owned())),
        ),
        insecure: e.flag("JWKS_RESOLVER_INSECURE_SKIP_VERIFY", false),
        proxies: proxies(&e),
    };
    (options, refresh.max(LEAST_REFRESH))
}

/// The proxies to the outside, by names in capital letters or, which comes first, in small ones. As in curl and Go nobody is asked
/// by `HTTP_PROXY` in a process that answers by CGI, which this one never does.
fn proxies<F: Fn(&str) -> Option<String>>(e: &Environment<F>) -> Proxies {
    let of = |name: &str| {
        let said = |name: &str| (e.0)(name).filter(|value| !value.is_empty());
        said(&name.to_ascii_lowercase()).or_else(|| said(name)).unwrap_or_default()
    };
    Proxies { http: of("HTTP_PROXY"), https: of("HTTPS_PROXY"), without: of("NO_PROXY") }
}

/// Who fetches keys, by the names that the reference has for it.
fn jwks_mode(text: &str) -> Option<JwksMode> {
    match text.to_ascii_lowercase().as_str() {
        "false" | "istiod" => Some(JwksMode::ControlPlane),
        "true" | "hybrid" => Some(JwksMode::Hybrid),
        "envoy" => Some(JwksMode::Proxy),
        _ => None,
    }
}

/// The standard that TLS of our own is held to, at its ports and where it is the client.
pub(crate) fn compliance() -> Compliance {
    Environment(process).read("COMPLIANCE_POLICY", Compliance::None, standard)
}

/// The standard that TLS is held to.
fn standard(text: &str) -> Option<Compliance> {
    match text {
        "fips-140-2" => Some(Compliance::Fips1402),
        "fips-140-3" => Some(Compliance::Fips1403),
        "pqc" => Some(Compliance::Pqc),
        _ => None,
    }
}

/// A percentage in hundredths; none outside of 0 to 100.
fn hundredths(text: &str) -> Option<u32> {
    let percent: f64 = text.parse().ok()?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded above")]
    (0.0..=100.0).contains(&percent).then_some((percent * 100.0).round() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_from_prefixes_that_can_be_set_or_from_nowhere() {
        let read = |name: &'static str, value: &'static str| {
            let prefixes = ip_allocation_from(|asked| (asked == name).then(|| value.to_owned()));
            prefixes.map(|(v4, v6)| format!("{v4} {v6}"))
        };
        let usual = Some("240.240.0.0/16 2001:2::/48".to_owned());
        assert_eq!(read("", ""), usual);
        assert_eq!(
            read("PILOT_IP_AUTOALLOCATE_IPV4_PREFIX", "10.0.0.0/8").as_deref(),
            Some("10.0.0.0/8 2001:2::/48")
        );
        assert_eq!(read("PILOT_IP_AUTOALLOCATE_IPV6_PREFIX", "10.0.0.0/8"), usual);
        assert_eq!(read("PILOT_ENABLE_IP_AUTOALLOCATE", "false"), None);
    }

    #[test]
    fn variables_override_defaults_and_nonsense_does_not() {
        let features = features_from(|name| match name {
            "PILOT_HTTP10" => Some("true".into()),
            "ISTIO_DUAL_STACK" => Some("perhaps".into()),
            "PILOT_TRACE_SAMPLING" => Some("0.5".into()),
            "PILOT_DNS_JITTER_DURATION" => Some("1s".into()),
            _ => None,
        });
        let expected =
            Features { http10: true, trace_sampling: 50, dns_jitter_ms: 1000, ..Features::default() };
        assert_eq!(features, expected);
    }
}
