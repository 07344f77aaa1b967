//! What most stories begin with: a client with a sidecar, and two versions of `reviews` behind one Service.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use e2e::{Answer, Echo, LoadReport, Mesh, Pod, Seen, World, wait_until, within};
use http::StatusCode;

/// The address of the Service of [`Shop`].
pub(crate) const REVIEWS: &str = "http://reviews:8080/";

/// The answer header in which a VirtualService of a test says which text of it is in force.
const RULES: &str = "x-rules";

/// A mesh with `reviews` in two versions, `v1` and `v2`, and a client `web`.
pub(crate) struct Shop<'w> {
    pub(crate) mesh: Mesh<'w>,
    pub(crate) client: Pod,
    pub(crate) v1: Pod,
    pub(crate) v2: Pod,
}

impl<'w> Shop<'w> {
    /// Starts it with servers that have no sidecar: the client's alone decides where requests go.
    pub(crate) fn start(world: &'w World) -> Result<Self> {
        Self::start_with(world, false)
    }

    /// Starts it with sidecars on both sides, or the client's alone.
    pub(crate) fn start_with(world: &'w World, sidecars: bool) -> Result<Self> {
        let mesh = Mesh::start(world)?;
        mesh.service("shop", "reviews").port("http", 8080).create()?;
        let server = |version: &str| {
            let pod = mesh.pod("shop", &format!("reviews-{version}")).sidecar(sidecars);
            pod.labels(&[("app", "reviews"), ("version", version)]).app(Echo::http(8080)).start()
        };
        let (v1, v2) = (server("v1")?, server("v2")?);
        let client = mesh.pod("shop", "web").start()?;
        let shop = Self { mesh, client, v1, v2 };
        for pod in ["reviews-v1", "reviews-v2"] {
            wait_until(&format!("an answer of {pod}"), || Ok(seen(&shop.client, REVIEWS)?.pod == pod))?;
        }
        Ok(shop)
    }

    /// The DestinationRule with the subsets `v1` and `v2`.
    pub(crate) fn subsets(&self) -> Result<()> {
        self.mesh.apply(SUBSETS)
    }

    /// Puts the VirtualService of `reviews` in place and waits until it is in force.
    ///
    /// `http` is a YAML list of rules; the last must match [`REVIEWS`] and [say](says) `called`.
    pub(crate) fn rules(&self, called: &str, http: &str) -> Result<()> {
        self.mesh.apply(&virtual_service(http))?;
        wait_until(&format!("the rules {called}"), || {
            Ok(self.client.get(REVIEWS).send()?.header(RULES) == Some(called))
        })
    }
}

/// Subsets by the label `version`.
pub(crate) const SUBSETS: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec:
  host: reviews
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
";

/// The VirtualService `reviews` with these rules.
pub(crate) fn virtual_service(http: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\n\
         metadata: {{name: reviews, namespace: shop}}\n\
         spec:\n  hosts: [reviews]\n  http:\n{http}\n"
    )
}

/// A field of a rule that marks its answers.
pub(crate) fn says(called: &str) -> String {
    format!("headers: {{response: {{set: {{{RULES}: {called}}}}}}}")
}

/// A DestinationRule of the namespace `shop`, named after its host.
pub(crate) fn policy(host: &str, policy: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n\
         metadata: {{name: {host}, namespace: shop}}\nspec:\n  host: {host}\n  trafficPolicy: {policy}\n"
    )
}

/// The page with an Envoy's clusters.
pub(crate) const CLUSTERS: &str = "/config_dump?resource=dynamic_active_clusters";

/// Waits until a page of a pod's Envoy tells that a rule is in force.
pub(crate) fn in_force(pod: &Pod, page: &str, sign: &str) -> Result<()> {
    wait_until(&format!("{sign} on {page}"), || Ok(pod.envoy()?.admin(page)?.contains(sign)))
}

/// The app's report of a GET; an error unless the app answered 200.
pub(crate) fn seen(client: &Pod, url: &str) -> Result<Seen> {
    client.get(url).send()?.expect(StatusCode::OK)?.seen()
}

/// Waits until an app answers 200.
pub(crate) fn answered(client: &Pod, url: &str) -> Result<Seen> {
    within(Duration::from_secs(20), &format!("an answer from {url}"), || seen(client, url).map(Some))
}

/// Waits until a GET is answered with `status`.
pub(crate) fn answered_with(client: &Pod, url: &str, status: u16) -> Result<Answer> {
    within(Duration::from_secs(20), &format!("{status} from {url}"), || {
        let answer = client.get(url).send()?;
        if answer.status != status {
            bail!("{answer:?}");
        }
        Ok(Some(answer))
    })
}

/// Fails unless `pod` gave the share `expected` (0 to 1) of all answers.
///
/// Seven standard deviations are allowed: a correct system fails less than once in 10^9 runs.
pub(crate) fn share(report: &LoadReport, pod: &str, expected: f64) -> Result<()> {
    report.only_successes()?;
    let total = as_float(report.total())?;
    let given = as_float(report.by_pod.get(pod).copied().unwrap_or(0))?;
    let allowed = 7.0 * (total * expected * (1.0 - expected)).sqrt();
    if (given - total * expected).abs() > allowed {
        bail!("{pod} gave {given} of {total} answers, not {expected} of them give or take {allowed}");
    }
    Ok(())
}

fn as_float(count: u64) -> Result<f64> {
    u32::try_from(count).map(f64::from).context("more requests than a test can send")
}
