//! The command line: istiod's flags under istiod's names, and the commands that only this binary has.
//!
//! Source: `shared/spec/kubernetes.md` 1.9, `shared/spec/operations.md` 0.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand};
use controllers::status::Level;

use crate::serving::tls::{Version, cipher};

/// A control plane for service meshes of stock Envoys.
#[derive(Debug, Parser)]
#[command(name = "pilothouse", version = crate::commands::version::VERSION)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve Envoys their configuration.
    Discovery(Box<Discovery>),
    /// Print what a proxy would get, with the objects that each resource comes from.
    Translate(Preview),
    /// Print the bootstrap of a stock Envoy that gets its configuration here.
    Bootstrap(Box<Bootstrap>),
    /// Say what is wrong with objects in files, as far as that can be told without a cluster.
    Validate(Validate),
    /// Print a token by which a workload of a mesh without a cluster says who it is.
    Token(Token),
    /// Look at the mesh's self-signed root, or replace it by one of a new key.
    Root(Root),
    /// Print the version.
    Version,
}

/// Flags of `discovery`.
#[derive(Debug, Args)]
pub struct Discovery {
    /// Folder of YAML; changes are followed. It holds everything, or with --kubeconfig the objects of Istio's kinds.
    #[arg(long = "configDir")]
    pub config_dir: Option<PathBuf>,
    /// Credentials of the cluster whose objects are read. Without this and a folder: the file that KUBECONFIG names if it is
    /// there, else the service account of the pod. Empty counts as not given.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<OsString>,
    /// Address of xDS without TLS.
    #[arg(long = "grpcAddr", default_value = ":15010")]
    pub grpc_addr: String,
    /// Address of xDS with TLS and of the certificate service; empty for none.
    #[arg(long = "secureGRPCAddr", default_value = ":15012")]
    pub secure_grpc_addr: String,
    /// Address of /ready and /debug.
    #[arg(long = "httpAddr", default_value = ":8080")]
    pub http_addr: String,
    /// Address of the webhooks over TLS; empty puts them, without TLS, on the HTTP address.
    #[arg(long = "httpsAddr", default_value = ":15017")]
    pub https_addr: String,
    /// Certificate chain of the TLS ports, PEM; without it one is signed by the mesh's root. It is read again when it changes.
    #[arg(long = "tlsCertFile", value_name = "FILE")]
    pub tls_cert_file: Option<OsString>,
    /// Key of that certificate, PEM.
    #[arg(long = "tlsKeyFile", value_name = "FILE")]
    pub tls_key_file: Option<OsString>,
    /// What clients check that certificate against, PEM.
    #[arg(long = "caCertFile", value_name = "FILE")]
    pub ca_cert_file: Option<OsString>,
    /// Least version of TLS: 1.2 or 1.3.
    #[arg(long = "tls-min-version", default_value = "1.2")]
    pub(crate) tls_min_version: Version,
    /// Ciphers of TLS 1.2, by their registered names; without it all that are safe.
    #[arg(long = "tls-cipher-suites", value_delimiter = ',', value_parser = cipher)]
    pub(crate) tls_cipher_suites: Vec<String>,
    /// Address of /metrics, /version and /debug; empty puts them on the HTTP address.
    #[arg(long = "monitoringAddr", default_value = ":15014")]
    pub monitoring_addr: String,
    /// Namespace of the control plane.
    #[arg(long, short = 'n', env = "POD_NAMESPACE", default_value = "istio-system")]
    pub namespace: String,
    /// DNS domain of the cluster.
    #[arg(long, default_value = "cluster.local")]
    pub domain: String,
    /// Name of this cluster.
    #[arg(long = "clusterID", env = "CLUSTER_ID", default_value = "Kubernetes")]
    pub cluster_id: String,
    /// Further names of clusters, as ALIAS:CLUSTER, by which clients may say whose tokens they show.
    #[arg(long = "clusterAliases", value_delimiter = ',', value_parser = alias)]
    pub(crate) cluster_aliases: Vec<(String, String)>,
    /// Namespace of the Secrets that give access to other clusters; that of the control plane if not given.
    #[arg(long = "clusterRegistriesNamespace")]
    pub cluster_registries_namespace: Option<String>,
    /// Revision of this control plane. One that has none reads the objects of all revisions.
    #[arg(long, env = "REVISION", default_value = "", hide = true)]
    pub revision: String,
    /// How long connections may take to drain after SIGTERM.
    #[arg(long = "shutdownDuration", default_value = "10s", value_parser = duration)]
    pub shutdown_duration: std::time::Duration,
    /// Time without any frame after which a connection is pinged.
    #[arg(long = "keepaliveInterval", default_value = "30s", value_parser = duration)]
    pub keepalive_interval: std::time::Duration,
    /// Time for the answer to that ping.
    #[arg(long = "keepaliveTimeout", default_value = "10s", value_parser = duration)]
    pub keepalive_timeout: std::time::Duration,
    /// Age at which a connection is told to go away.
    #[arg(long = "keepaliveMaxServerConnectionAge", value_parser = duration)]
    pub max_connection_age: Option<std::time::Duration>,
    /// Folder of the mesh's root, which the agents of a development mesh share; made if missing. Without it the root is in
    /// the Secret istio-ca-secret of the control plane's namespace, and without a cluster in memory.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// What is written into the status of Istio's objects: whether each is accepted and what is wrong with it, or how many
    /// proxies have it as well.
    #[arg(long, env = "PILOTHOUSE_STATUS", value_enum, default_value_t)]
    pub status: Status,
    /// Writes to the API server a second, in the long run.
    #[arg(long = "kubernetesApiQPS", default_value_t = 80.0, value_parser = positive)]
    pub api_qps: f64,
    /// Writes to the API server at once, after a pause.
    #[arg(long = "kubernetesApiBurst", default_value_t = 160, value_parser = clap::value_parser!(u32).range(1..))]
    pub api_burst: u32,
    /// How to log.
    #[command(flatten)]
    pub log: Log,
}

fn alias(text: &str) -> Result<(String, String), String> {
    let parts =
        text.split_once([':', '=']).filter(|(alias, cluster)| !alias.is_empty() && !cluster.is_empty());
    parts
        .map(|(alias, cluster)| (alias.to_owned(), cluster.to_owned()))
        .ok_or_else(|| "write ALIAS:CLUSTER".to_owned())
}

/// How much is written into the status of Istio's objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Status {
    /// Nothing.
    Off,
    /// Whether it is accepted, what is wrong with it, and refusals of proxies.
    #[default]
    Problems,
    /// How many proxies have it, too.
    Progress,
}

impl From<Status> for Level {
    fn from(status: Status) -> Self {
        match status {
            Status::Off => Self::Off,
            Status::Problems => Self::Problems,
            Status::Progress => Self::Progress,
        }
    }
}

/// Flags of logging.
#[derive(Clone, Debug, Args)]
pub struct Log {
    /// Level, as `default:info` or `default:info,ads:debug`.
    #[arg(long = "log_output_level", default_value = "default:info")]
    pub level: String,
    /// Log as JSON.
    #[arg(long = "log_as_json", num_args = 0..=1, default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    pub json: bool,
}

/// Flags of `translate`.
#[derive(Debug, Args)]
pub struct Preview {
    /// Folder of YAML that holds everything.
    #[arg(long = "configDir")]
    pub config_dir: PathBuf,
    /// The proxy, as NAMESPACE/POD.
    #[arg(long)]
    pub proxy: String,
    /// `sidecar` or `router`; a pod with the label `istio` or `gateway.networking.k8s.io/gateway-name` is a router if not said.
    #[arg(long = "type")]
    pub kind: Option<String>,
    /// Only these types: cds, eds, lds, rds.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// DNS domain of the cluster.
    #[arg(long, default_value = "cluster.local")]
    pub domain: String,
}

/// Flags of `validate`.
#[derive(Debug, Args)]
pub struct Validate {
    /// Files, or folders of files, of YAML or JSON.
    #[arg(required = true, value_name = "FILE|DIR")]
    pub paths: Vec<PathBuf>,
}

/// Flags of `token`.
#[derive(Debug, Args)]
pub struct Token {
    /// Folder of the mesh's root, as the control plane was given it; the key of tokens is made there if it is missing.
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// Namespace of the workload.
    #[arg(long, short = 'n')]
    pub namespace: String,
    /// Service account of the workload.
    #[arg(long = "service-account", value_name = "NAME")]
    pub service_account: String,
    /// For whom the token is: one of the control plane's TOKEN_AUDIENCES.
    #[arg(long, default_value = "istio-ca")]
    pub audience: String,
    /// How long it is good.
    #[arg(long, default_value = "12h", value_parser = duration)]
    pub lifetime: std::time::Duration,
}

/// Flags of `root`.
#[derive(Debug, Args)]
pub struct Root {
    /// What to do.
    #[arg(value_enum)]
    pub step: RootStep,
    /// Folder of the mesh's root, as the control plane was given it. Without it the root is in the cluster.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Credentials of the cluster. Without this: the file that KUBECONFIG names if it is there, else the service account of the
    /// pod.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<OsString>,
    /// Namespace of the control plane.
    #[arg(long, short = 'n', env = "POD_NAMESPACE", default_value = "istio-system")]
    pub namespace: String,
}

/// What is done with the mesh's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RootStep {
    /// Say which root signs, and how far its replacement is.
    Show,
    /// Begin to replace it: both roots are trusted; the new one signs when every proxy has confirmed that.
    Replace,
    /// Go to the next stage now, whoever has not confirmed: the new root signs, or the old one is no longer trusted.
    Advance,
    /// Forget the new root, as long as it does not sign.
    Abandon,
}

/// Flags of `bootstrap`.
#[derive(Debug, Args)]
pub struct Bootstrap {
    /// Folder of YAML in which the pod is.
    #[arg(long = "configDir")]
    pub config_dir: PathBuf,
    /// The proxy, as NAMESPACE/POD.
    #[arg(long)]
    pub proxy: String,
    /// `sidecar` or `router`.
    #[arg(long = "type", default_value = "sidecar")]
    pub kind: String,
    /// Address of this control plane's xDS, as HOST:PORT.
    #[arg(long = "discoveryAddress", default_value = "127.0.0.1:15010")]
    pub discovery_address: String,
    /// Name that the control plane's certificate is for. With it xDS is asked for with TLS and the workload's certificate,
    /// as on port 15012; without it in plain text.
    #[arg(long = "discoveryServerName", value_name = "NAME")]
    pub discovery_server_name: Option<String>,
    /// Socket of the agent that serves the workload's certificate.
    #[arg(long = "sdsSocket", default_value = "/var/run/secrets/workload-spiffe-uds/socket")]
    pub sds_socket: PathBuf,
    /// Address of Envoy's administration, as HOST:PORT.
    #[arg(long = "adminAddress", default_value = "127.0.0.1:15000")]
    pub admin_address: String,
    /// DNS domain of the cluster.
    #[arg(long, default_value = "cluster.local")]
    pub domain: String,
    /// Name of this cluster.
    #[arg(long = "clusterID", env = "CLUSTER_ID", default_value = "Kubernetes")]
    pub cluster_id: String,
}

/// The path that a flag gives; empty counts as not given.
pub(crate) fn path(given: Option<&OsString>) -> Option<PathBuf> {
    given.filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// A Go duration, as istiod's flags take.
fn duration(text: &str) -> Result<std::time::Duration, String> {
    text.parse::<api::Duration>()
        .map(|d| std::time::Duration::from_nanos(d.as_nanos()))
        .map_err(|e| e.to_string())
}

/// A number above 0.
fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err("must be above 0".to_owned()) }
}

/// The arguments without the flags of `discovery` that are not known, and those flags: the reference tolerates them,
/// and charts pass them.
pub fn known(arguments: Vec<OsString>) -> (Vec<OsString>, Vec<String>) {
    if arguments.get(1).is_none_or(|c| c != "discovery") {
        return (arguments, Vec::new());
    }
    let command = Cli::command();
    let names: Vec<String> = command
        .find_subcommand("discovery")
        .into_iter()
        .flat_map(|c| c.get_arguments())
        .filter_map(|a| a.get_long().map(str::to_owned))
        .chain(["help".to_owned()])
        .collect();
    let (mut kept, mut ignored, mut dropping) = (Vec::new(), Vec::new(), false);
    for argument in arguments {
        let text = argument.to_string_lossy().into_owned();
        let name = text.strip_prefix("--").map(|t| t.split('=').next().unwrap_or(t).to_owned());
        match name {
            Some(name) if !name.is_empty() && !names.contains(&name) => {
                dropping = !text.contains('=');
                ignored.push(text);
            }
            None if dropping && !text.starts_with('-') => dropping = false,
            _ => {
                dropping = false;
                kept.push(argument);
            }
        }
    }
    (kept, ignored)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn unknown_flags_are_left_out_with_their_values() {
        let given = args(
            "pilothouse discovery --vklog 3 --registries=Kubernetes --configDir d --ctrlz_port 9876 -n x",
        );
        let (kept, ignored) = known(given);
        assert_eq!(kept, args("pilothouse discovery --configDir d -n x"));
        assert_eq!(ignored, ["--vklog", "--registries=Kubernetes", "--ctrlz_port"]);
        let Command::Discovery(flags) = Cli::parse_from(kept).command else { panic!("not discovery") };
        assert_eq!((flags.namespace.as_str(), flags.grpc_addr.as_str()), ("x", ":15010"));
    }

    #[test]
    fn other_commands_take_known_flags_only() {
        let given = args("pilothouse translate --nonsense 1");
        assert_eq!(known(given.clone()).0, given);
        assert!(Cli::try_parse_from(given).is_err());
    }
}
