//! When the certificates of the authority end: metrics by the reference's names, and warnings long before.
//!
//! Source: `shared/spec/security.md` 2.2; Istio `security/pkg/server/ca/monitoring.go`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Result, anyhow};
use ca::Standing;
use controllers::expiring::Warnings;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Registry};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::interval;

use super::Roots;

/// Time between two warnings.
const AGAIN: Duration = Duration::from_secs(3600);
/// Warnings begin when less than one part of these many of a certificate's life is left, as rotation of roots does.
const LAST_PART: u32 = 5;

/// The metrics.
pub(crate) struct Expiry {
    roots: Roots,
    root: [Gauge; 2],
    chain: [Gauge; 2],
}

impl Expiry {
    /// Registers the metrics and starts warning; what is warned of is told to those who follow, too.
    ///
    /// # Errors
    /// The name of a metric is taken.
    pub(crate) fn start(
        tasks: &mut JoinSet<Result<()>>,
        roots: Roots,
        registry: &Registry,
    ) -> Result<watch::Receiver<Warnings>> {
        registry.register(Box::new(Self::new(roots.clone())?))?;
        let (sender, warnings) = watch::channel(Warnings::default());
        tasks.spawn(async move {
            warn(roots, &sender).await;
            Err(anyhow!("the ends of certificates are no longer looked at"))
        });
        Ok(warnings)
    }

    fn new(roots: Roots) -> Result<Self> {
        let gauges = |name: &str, what: &str| -> Result<[Gauge; 2]> {
            Ok([
                Gauge::new(
                    format!("citadel_server_{name}_expiry_timestamp"),
                    format!("When {what} ends, in seconds since 1970."),
                )?,
                Gauge::new(
                    format!("citadel_server_{name}_expiry_seconds"),
                    format!("Seconds until {what} ends, negative after that."),
                )?,
            ])
        };
        Ok(Self {
            roots,
            root: gauges("root_cert", "the first root certificate")?,
            chain: gauges("cert_chain", "the first certificate of the signing chain")?,
        })
    }
}

impl Collector for Expiry {
    fn desc(&self) -> Vec<&Desc> {
        self.root.iter().chain(&self.chain).flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(authority) = self.roots.borrow().clone() else { return Vec::new() };
        let (now, standings) = (SystemTime::now(), authority.standings());
        let families = [(&self.root, true), (&self.chain, false)].map(|(gauges, is_root)| {
            let first = standings.iter().find(|standing| standing.is_root == is_root);
            first.map(|standing| shown(gauges, standing.not_after, now)).unwrap_or_default()
        });
        families.into_iter().flatten().collect()
    }
}

fn shown([at, left]: &[Gauge; 2], end: SystemTime, now: SystemTime) -> Vec<MetricFamily> {
    at.set(end.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64());
    left.set(match end.duration_since(now) {
        Ok(ahead) => ahead.as_secs_f64(),
        Err(past) => -past.duration().as_secs_f64(),
    });
    [at, left].into_iter().flat_map(Collector::collect).collect()
}

async fn warn(mut roots: Roots, told: &watch::Sender<Warnings>) {
    let mut pace = interval(AGAIN);
    loop {
        tokio::select! {
            _ = pace.tick() => {}
            Ok(()) = roots.changed() => {}
        }
        let Some(authority) = roots.borrow_and_update().clone() else { continue };
        let now = SystemTime::now();
        let problem = |standing: &Standing| Some((standing.name.clone(), ending(standing, now)?));
        let problems: BTreeMap<String, String> = authority.standings().iter().filter_map(problem).collect();
        for (certificate, problem) in &problems {
            tracing::warn!(certificate, "{problem}");
        }
        told.send_replace(Arc::new(problems));
    }
}

/// What is to be told of a certificate, if its end is near or past.
fn ending(standing: &Standing, now: SystemTime) -> Option<String> {
    let kind = if standing.is_root { "root" } else { "signing" };
    let Ok(left) = standing.not_after.duration_since(now) else {
        return Some(format!(
            "a {kind} certificate has expired: what depends on it is refused by peers; replace it"
        ));
    };
    let life = standing.not_after.duration_since(standing.not_before).unwrap_or_default();
    (left < life / LAST_PART).then(|| {
        let hours = left.as_secs() / 3600;
        format!("a {kind} certificate expires in {} d {} h; replace it in time", hours / 24, hours % 24)
    })
}

#[cfg(test)]
mod tests {
    use ca::{Authority, Root};

    use super::*;

    #[test]
    fn the_root_is_told_by_the_reference_s_names() -> Result<()> {
        let (sender, roots) = watch::channel(None);
        let registry = Registry::new();
        registry.register(Box::new(Expiry::new(roots)?))?;
        assert!(registry.gather().is_empty(), "nothing is known yet");
        let now = SystemTime::now();
        sender.send_replace(Some(Arc::new(Authority::self_signed(Root::generate("t", now)?, None)?)));
        let families = registry.gather();
        let names: Vec<&str> = families.iter().map(MetricFamily::name).collect();
        assert_eq!(
            names,
            ["citadel_server_root_cert_expiry_seconds", "citadel_server_root_cert_expiry_timestamp"]
        );
        let left = families[0].get_metric()[0].get_gauge().get_value();
        let at = families[1].get_metric()[0].get_gauge().get_value();
        let ten_years = 3650.0 * 86_400.0;
        assert!((ten_years - 600.0..=ten_years).contains(&left), "{left}");
        let until = at - now.duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64();
        assert!((until - ten_years).abs() < 2.0, "{until}");
        Ok(())
    }

    #[test]
    fn warnings_begin_with_the_last_fifth() {
        let at = |days: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400);
        let standing =
            Standing { name: "CN=x".to_owned(), is_root: false, not_before: at(0), not_after: at(100) };
        assert_eq!(ending(&standing, at(80)), None);
        let soon = ending(&standing, at(81)).expect("a warning");
        assert_eq!(soon, "a signing certificate expires in 19 d 0 h; replace it in time");
        assert!(ending(&standing, at(101)).expect("an end").contains("has expired"));
    }
}
