//! Destinations that get copies of requests.

use api::istio::{Destination, HttpRoute, Percent};
use envoy::config::route::v3::route_action::RequestMirrorPolicy;
use envoy::r#type::v3::FractionalPercent;

use super::action::cluster;
use super::{Target, percent};

/// The mirrors of a rule, those without a share left out. Their targets follow those of the routes; `suffix` marks
/// copies by their host.
pub(super) fn build(http: &HttpRoute, targets: &[Target], suffix: bool) -> Vec<RequestMirrorPolicy> {
    let targets = targets.get(http.route.len()..).unwrap_or_default();
    let old = http.mirror.iter().map(|to| (to, old_share(http)));
    let new = http.mirrors.iter().map(|m| (&m.destination, share(m.percentage.as_ref())));
    let policy = |((to, share), target): ((&Destination, Option<FractionalPercent>), &Target)| {
        Some(RequestMirrorPolicy {
            cluster: cluster(to, Some(target)),
            runtime_fraction: Some(percent::fixed(share?)),
            trace_sampled: Some(false.into()),
            disable_shadow_host_suffix_append: !suffix,
            ..RequestMirrorPolicy::default()
        })
    };
    old.chain(new).zip(targets).filter_map(policy).collect()
}

/// The share of copies for the single mirror, which has two fields for it.
fn old_share(http: &HttpRoute) -> Option<FractionalPercent> {
    match (&http.mirror_percentage, http.mirror_percent) {
        (None, Some(0)) => None,
        (None, Some(whole)) => Some(percent::whole(whole)),
        (share_of_all, _) => share(share_of_all.as_ref()),
    }
}

/// None means no copies; everything is copied where no share is given.
fn share(wanted: Option<&Percent>) -> Option<FractionalPercent> {
    match wanted {
        None => Some(percent::whole(100)),
        Some(wanted) => (wanted.value.get() > 0.0).then(|| percent::fraction(wanted)),
    }
}
