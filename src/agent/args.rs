//! The flags of `pilothouse-agent`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use agent::bootstrap::Address;
use agent::redirect::{Dns, Mode, Options, Ports, Ranges};
use agent::{Config, Grace, Issuer, parse_duration};
use anyhow::{Context as _, bail};
use ca::SpiffeId;
use clap::builder::FalseyValueParser;
use clap::{ArgAction, Parser, Subcommand};
use ipnet::IpNet;

/// The process beside one stock Envoy.
#[derive(Debug, Parser)]
#[command(name = "pilothouse-agent", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: Serve,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the netfilter rules of a sidecar, for `iptables-restore --noflush`.
    RedirectRules(RedirectRules),
}

/// Serving secrets to one Envoy.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Serve certificates over SDS and nothing else: Envoy talks to the control plane itself.
    #[arg(long)]
    sds_only: bool,
    /// Let the system keep the memory of an agent that dies, with the private key in it.
    #[arg(long, env = "PILOTHOUSE_CORE_DUMPS", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue)]
    pub(crate) core_dumps: bool,
    /// Who issues the certificate.
    #[command(flatten)]
    issuer: IssuerFlags,
    /// Unix socket for Envoy's cluster sds-grpc.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Trust domain of the mesh.
    #[arg(long, env = "TRUST_DOMAIN", default_value = "cluster.local")]
    trust_domain: String,
    /// Namespace of the workload.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NS")]
    namespace: Option<String>,
    /// Service account of the workload.
    #[arg(long, env = "SERVICE_ACCOUNT", value_name = "SA")]
    service_account: Option<String>,
    /// Lifetime of a certificate that is asked for.
    #[arg(long, env = "SECRET_TTL", default_value = "24h", value_parser = parse_duration)]
    lifetime: Duration,
    /// The share of a certificate's life that is left when it is renewed, from 0 to 1.
    #[arg(long, env = "SECRET_GRACE_PERIOD_RATIO", default_value_t = 0.5, value_parser = share)]
    grace_ratio: f64,
    /// By how much of its life, up or down, that differs from one certificate to the next.
    #[arg(long, env = "SECRET_GRACE_PERIOD_RATIO_JITTER", default_value_t = 0.01, value_parser = share)]
    grace_jitter: f64,
}

/// Who issues certificates. The names and meanings of variables are those of the reference's agent.
#[derive(Debug, clap::Args)]
struct IssuerFlags {
    /// Port of the control plane with TLS, as HOST:PORT.
    #[arg(long, env = "CA_ADDR", value_name = "HOST:PORT", default_value = "istiod.istio-system.svc:15012")]
    ca_address: String,
    /// Name that the control plane's certificate must be for; the host of its address if not given.
    #[arg(long, env = "CA_SNI", value_name = "NAME")]
    ca_server_name: Option<String>,
    /// Roots that the control plane's certificate is checked against, PEM.
    #[arg(
        long,
        env = "CA_ROOT_CA",
        value_name = "FILE",
        default_value = "./var/run/secrets/istio/root-cert.pem"
    )]
    ca_roots: PathBuf,
    /// Token of the workload's service account; it is read for each request.
    #[arg(long, value_name = "FILE", default_value = "/var/run/secrets/tokens/istio-token")]
    token: PathBuf,
    /// Cluster whose service account it is; empty for that of the control plane.
    #[arg(long, env = "ISTIO_META_CLUSTER_ID", default_value = "")]
    cluster_id: String,
    /// Signer of Kubernetes that is to sign, where the control plane leaves the choice to workloads (CERT_SIGNER_DOMAIN).
    #[arg(long, env = "ISTIO_META_CERT_SIGNER", value_name = "NAME", default_value = "")]
    cert_signer: String,
}

impl IssuerFlags {
    fn issuer(self) -> anyhow::Result<Issuer> {
        let address: Address = self.ca_address.parse().context("--ca-address")?;
        let host = match &address {
            Address::Ip(ip, _) => ip.to_string(),
            Address::Name(name, _) => name.clone(),
            Address::Unix(_) => bail!("--ca-address: certificates are asked for over TCP; write HOST:PORT"),
        };
        let server_name = self.ca_server_name.filter(|name| !name.is_empty()).unwrap_or(host);
        let (roots, token, cluster, signer) = (self.ca_roots, self.token, self.cluster_id, self.cert_signer);
        Ok(Issuer { address, server_name, roots, token, cluster, signer })
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("{text:?} is no share; write a number from 0 to 1"))
}

impl Serve {
    /// What the library needs.
    ///
    /// # Errors
    /// The flag that is missing or wrong.
    pub(crate) fn config(self) -> anyhow::Result<Config> {
        if !self.sds_only {
            bail!(
                "say what to do: --sds-only to serve certificates, or the command redirect-rules; see --help"
            );
        }
        let namespace = self.namespace.context("--namespace is missing: the workload's namespace")?;
        let account = self.service_account.context("--service-account is missing: the workload's account")?;
        Ok(Config {
            issuer: self.issuer.issuer()?,
            socket: self.socket.context("--socket is missing: the path for Envoy's cluster sds-grpc")?,
            identity: SpiffeId::new(&self.trust_domain, &namespace, &account)?,
            lifetime: self.lifetime,
            grace: Grace { ratio: self.grace_ratio, jitter: self.grace_jitter },
            file_poll: Duration::from_secs(1),
        })
    }
}

/// The names and meanings are those of the reference's `istio-iptables`.
#[derive(Debug, clap::Args)]
pub(crate) struct RedirectRules {
    /// Print the rules for ip6tables-restore.
    #[arg(long)]
    pub(crate) ipv6: bool,
    /// Print the routing that TPROXY needs, for `ip -batch -` and `ip -6 -batch -`, and not the rules.
    #[arg(long, requires = "tproxy", conflicts_with = "ipv6")]
    pub(crate) routes: bool,
    /// Use TPROXY for inbound connections.
    #[arg(long)]
    tproxy: bool,
    /// Port of the outbound listener.
    #[arg(long, default_value_t = 15001)]
    envoy_port: u16,
    /// Port of the inbound listener.
    #[arg(long, default_value_t = 15006)]
    inbound_capture_port: u16,
    /// Inbound ports, `*` for all, empty for none.
    #[arg(long, default_value = "*")]
    istio_inbound_ports: String,
    /// Inbound ports to leave alone.
    #[arg(long, default_value = "15090,15021,15020")]
    istio_local_exclude_ports: String,
    /// Destination ranges, `*` for all, empty for none.
    #[arg(long, default_value = "*")]
    istio_service_cidr: String,
    /// Destination ranges to leave alone.
    #[arg(long, default_value = "")]
    istio_service_exclude_cidr: String,
    /// Destination ports to redirect whatever the address.
    #[arg(long, default_value = "")]
    istio_outbound_ports: String,
    /// Destination ports to leave alone.
    #[arg(long, default_value = "")]
    istio_local_outbound_ports_exclude: String,
    /// Users of the proxy.
    #[arg(long, default_value = "1337")]
    proxy_uid: String,
    /// Groups of the proxy.
    #[arg(long, default_value = "1337")]
    proxy_gid: String,
    /// Interfaces to leave alone.
    #[arg(long, default_value = "")]
    istio_exclude_interfaces: String,
    /// Redirect DNS queries to these servers to port 15053.
    #[arg(long, value_name = "IP,...")]
    redirect_dns: Option<String>,
    /// Redirect DNS queries to any server.
    #[arg(long)]
    capture_all_dns: bool,
    /// Drop packets that connection tracking calls invalid.
    #[arg(long)]
    drop_invalid: bool,
}

impl RedirectRules {
    /// What the rule builder needs.
    ///
    /// # Errors
    /// The flag whose list cannot be read.
    pub(crate) fn options(&self) -> anyhow::Result<Options> {
        let servers: Vec<IpAddr> = list("--redirect-dns", self.redirect_dns.as_deref().unwrap_or(""))?;
        let dns = self.redirect_dns.is_some() || self.capture_all_dns;
        Ok(Options {
            mode: if self.tproxy { Mode::Tproxy } else { Mode::Redirect },
            outbound_port: self.envoy_port,
            inbound_port: self.inbound_capture_port,
            inbound_ports: match self.istio_inbound_ports.as_str() {
                "*" => Ports::All,
                ports => Ports::Only(list("--istio-inbound-ports", ports)?),
            },
            inbound_ports_exclude: list("--istio-local-exclude-ports", &self.istio_local_exclude_ports)?,
            outbound_ranges: match self.istio_service_cidr.as_str() {
                "*" => Ranges::All,
                ranges => Ranges::Only(list::<IpNet>("--istio-service-cidr", ranges)?),
            },
            outbound_ranges_exclude: list("--istio-service-exclude-cidr", &self.istio_service_exclude_cidr)?,
            outbound_ports: list("--istio-outbound-ports", &self.istio_outbound_ports)?,
            outbound_ports_exclude: list(
                "--istio-local-outbound-ports-exclude",
                &self.istio_local_outbound_ports_exclude,
            )?,
            proxy_uids: list("--proxy-uid", &self.proxy_uid)?,
            proxy_gids: list("--proxy-gid", &self.proxy_gid)?,
            exclude_interfaces: interfaces(&self.istio_exclude_interfaces)?,
            dns: dns.then_some(Dns { servers, all: self.capture_all_dns }),
            drop_invalid: self.drop_invalid,
            ..Options::default()
        })
    }
}

fn list<T>(flag: &str, text: &str) -> anyhow::Result<Vec<T>>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items.map(|item| item.parse().with_context(|| format!("{flag}: {item:?} cannot be used"))).collect()
}

/// Names end up in the rules as they are, so they may hold nothing that ends a rule or begins another word.
fn interfaces(text: &str) -> anyhow::Result<Vec<String>> {
    let names: Vec<String> = list("--istio-exclude-interfaces", text)?;
    match names
        .iter()
        .find(|name| name.len() > 15 || name.contains(|c: char| c.is_whitespace() || c == '/' || c == '"'))
    {
        None => Ok(names),
        Some(name) => bail!("--istio-exclude-interfaces: {name:?} is no interface name"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(flags: &[&str]) -> anyhow::Result<Config> {
        Args::try_parse_from([&["pilothouse-agent"], flags].concat())?.serve.config()
    }

    fn options(flags: &[&str]) -> anyhow::Result<Options> {
        match Args::try_parse_from([&["pilothouse-agent", "redirect-rules"], flags].concat())?.command {
            Some(Command::RedirectRules(flags)) => flags.options(),
            None => bail!("no command"),
        }
    }

    #[test]
    fn serving_flags() {
        let flags = ["--sds-only", "--socket", "/s/sds", "--namespace", "shop"];
        let all = [&flags[..], &["--service-account", "web", "--lifetime", "1h"]].concat();
        let served = config(&all).unwrap();
        assert_eq!(served.identity.to_string(), "spiffe://cluster.local/ns/shop/sa/web");
        assert_eq!(served.lifetime, Duration::from_secs(3600));
        assert_eq!(served.issuer.server_name, "istiod.istio-system.svc");
        let at = |flags: &[&str]| config(&[&all[..], flags].concat()).map(|config| config.issuer.server_name);
        assert_eq!(at(&["--ca-address", "[::1]:15012"]).unwrap(), "::1");
        assert_eq!(at(&["--ca-address", "10.0.0.1:15012", "--ca-server-name", "istiod"]).unwrap(), "istiod");
        assert!(at(&["--ca-address", "unix:/s"]).is_err() && at(&["--ca-address", "istiod"]).is_err());
        assert!(config(&[&all[..], &["--grace-ratio", "1.5"]].concat()).is_err());
        let missing = config(&flags).unwrap_err().to_string();
        assert!(missing.starts_with("--service-account is missing"), "{missing}");
        let nothing = config(&[]).unwrap_err().to_string();
        assert!(nothing.contains("--sds-only"), "{nothing}");
        config(&["--lifetime", "1d"]).unwrap_err();
    }

    #[test]
    fn rule_flags() {
        assert_eq!(options(&[]).unwrap(), Options::default());
        let some =
            options(&["--istio-inbound-ports", "80, 81", "--istio-service-cidr", "", "--capture-all-dns"]);
        let some = some.unwrap();
        assert_eq!(some.inbound_ports, Ports::Only(vec![80, 81]));
        assert_eq!(some.outbound_ranges, Ranges::Only(Vec::new()));
        assert_eq!(some.dns, Some(Dns { servers: Vec::new(), all: true }));
        let wrong = options(&["--istio-service-cidr", "10.0.0.0"]).unwrap_err().to_string();
        assert_eq!(wrong, "--istio-service-cidr: \"10.0.0.0\" cannot be used");
        options(&["--istio-exclude-interfaces", "eth0 -j ACCEPT"]).unwrap_err();
    }
}
