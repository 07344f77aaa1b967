//! When the certificates end that Gateways show from Secrets: a metric for each, and warnings before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Result, anyhow};
use arc_swap::ArcSwap;
use model::mesh::Seen;
use model::{Mesh, analyze};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Opts, Registry};
use tokio::task::JoinSet;
use tokio::time::interval;
use x509_parser::pem::Pem;

/// Time between two warnings.
const AGAIN: Duration = Duration::from_secs(3600);
/// Warnings begin when less than one part of these many of a certificate's life is left.
const LAST_PART: u32 = 5;

/// Begin and end of a certificate, in seconds since 1970.
type Validity = (u64, u64);

/// The metric.
struct Expiry {
    mesh: Arc<ArcSwap<Mesh>>,
    at: GaugeVec,
}

/// Registers the metric and starts warning.
///
/// # Errors
/// The name of the metric is taken.
pub(crate) fn start(
    tasks: &mut JoinSet<Result<()>>,
    mesh: Arc<ArcSwap<Mesh>>,
    registry: &Registry,
) -> Result<()> {
    registry.register(Box::new(Expiry::new(Arc::clone(&mesh))?))?;
    tasks.spawn(async move {
        warn(&mesh).await;
        Err(anyhow!("the ends of gateways' certificates are no longer looked at"))
    });
    Ok(())
}

impl Expiry {
    fn new(mesh: Arc<ArcSwap<Mesh>>) -> prometheus::Result<Self> {
        let about = Opts::new(
            "pilothouse_gateway_certificate_expiry_timestamp",
            "When the certificate of a Secret ends that Gateways show, in seconds since 1970.",
        );
        Ok(Self { mesh, at: GaugeVec::new(about, &["namespace", "secret"])? })
    }
}

impl Collector for Expiry {
    fn desc(&self) -> Vec<&Desc> {
        self.at.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.at.reset();
        for ((namespace, name), (_, end)) in shown(&self.mesh.load()) {
            #[allow(clippy::cast_precision_loss, reason = "seconds of some thousand years")]
            self.at.with_label_values(&[&namespace, &name]).set(end as f64);
        }
        self.at.collect()
    }
}

/// The certificates that can be read, by namespace and name of their Secret.
fn shown(mesh: &Mesh) -> BTreeMap<(String, String), Validity> {
    let of = |(namespace, name): (String, String)| {
        let pair = Seen::at_home(&mesh.credentials, &namespace).pair(&name).ok()?;
        Some((validity(&pair.chain)?, (namespace, name)))
    };
    analyze::shown(mesh).into_iter().filter_map(of).map(|(validity, name)| (name, validity)).collect()
}

/// That of the first certificate of a chain, which is the server's own.
fn validity(chain: &[u8]) -> Option<Validity> {
    let first = Pem::iter_from_buffer(chain).next()?.ok()?;
    let validity = first.parse_x509().ok()?.validity().clone();
    let seconds = |at: i64| u64::try_from(at).unwrap_or_default();
    Some((seconds(validity.not_before.timestamp()), seconds(validity.not_after.timestamp())))
}

#[allow(clippy::disallowed_methods, reason = "the rim: what follows takes time as a value")]
async fn warn(mesh: &ArcSwap<Mesh>) {
    let mut pace = interval(AGAIN);
    loop {
        pace.tick().await;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        for ((namespace, name), validity) in shown(&mesh.load()) {
            if let Some(problem) = ending(validity, now) {
                tracing::warn!(namespace, secret = name, "the certificate that Gateways show {problem}");
            }
        }
    }
}

/// What is to be told of a certificate, if its end is near or past.
fn ending((begin, end): Validity, now: u64) -> Option<String> {
    let Some(left) = end.checked_sub(now).filter(|left| *left > 0) else {
        return Some("has expired: clients refuse it; replace it".to_owned());
    };
    let life = end.saturating_sub(begin);
    (left < life / u64::from(LAST_PART)).then(|| {
        let hours = left / 3600;
        format!("expires in {} d {} h; replace it in time", hours / 24, hours % 24)
    })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn ends_are_told_before_and_after() {
        let day = 24 * 3600;
        assert_eq!(ending((0, 100 * day), 79 * day), None);
        let near = ending((0, 100 * day), 98 * day - 7200);
        assert_eq!(near.as_deref(), Some("expires in 2 d 2 h; replace it in time"));
        assert!(ending((0, 100), 100).is_some_and(|told| told.starts_with("has expired")));
    }

    #[test]
    fn what_gateways_show_is_measured_and_nothing_else() -> Result<()> {
        let root = ca::Root::generate("cluster.local", SystemTime::now())?;
        let secret = |name: &str| {
            let chain: String = root.cert_pem().lines().map(|line| format!("    {line}\n")).collect();
            format!(
                "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: edge}}\nstringData:\n  tls.key: key\n  tls.crt: |\n{chain}"
            )
        };
        let gateway = "
apiVersion: v1
kind: Pod
metadata: {name: edge, namespace: edge, labels: {istio: edge}}
status: {phase: Running, podIP: 10.0.0.1}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: edge}
spec:
  selector: {istio: edge}
  servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: [a.example], tls: {mode: SIMPLE, credentialName: shown}}]
";
        let mesh = testkit::mesh::mesh(&[&secret("shown"), &secret("other"), gateway])?;
        let expiry = Expiry::new(Arc::new(ArcSwap::new(mesh)))?;
        let families = expiry.collect();
        let measured: Vec<_> = families.iter().flat_map(MetricFamily::get_metric).collect();
        assert_eq!(measured.len(), 1, "{measured:?}");
        assert!(measured.iter().all(|metric| metric.get_gauge().get_value() > 1.0e9), "{measured:?}");
        Ok(())
    }
}
