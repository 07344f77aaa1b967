//! Outlier detection: when endpoints are set aside.
//!
//! Source: Istio `pilot/pkg/networking/core/cluster_traffic_policy.go`; `shared/spec/xds.md` 2.8.

use api::istio::OutlierDetection;
use envoy::config::cluster::v3::OutlierDetection as Wire;
use envoy::config::common::matcher::v3::match_predicate::{MatchSet, Rule};
use envoy::config::common::matcher::v3::{HttpHeadersMatch, MatchPredicate};
use envoy::config::route::v3::HeaderMatcher;
use envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy::extensions::upstreams::http::v3::http_protocol_options::OutlierDetection as HttpOutlier;
use envoy::r#type::matcher::v3::StringMatcher;
use envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy::r#type::v3::Percent;

use super::draft::{Draft, wire};
use super::pool::positive;

/// Sets detection as a rule asks for it. Any block turns Envoy's panic off, whatever its threshold.
pub(crate) fn apply(draft: &mut Draft, outlier: Option<&OutlierDetection>) {
    let Some(outlier) = outlier else { return };
    draft.cluster.outlier_detection = Some(wire_form(outlier));
    if outlier.min_health_percent >= 0 {
        let value = f64::from(outlier.min_health_percent);
        draft.common_lb().healthy_panic_threshold = Some(Percent { value });
    }
    if !outlier.outlier_detection_http_error_codes.is_empty() {
        let matcher = error_matcher(&outlier.outlier_detection_http_error_codes);
        draft.http().outlier_detection = Some(HttpOutlier { error_matcher: Some(matcher) });
    }
}

fn wire_form(outlier: &OutlierDetection) -> Wire {
    let mut wire_form = Wire {
        interval: outlier.interval.map(wire),
        base_ejection_time: outlier.base_ejection_time.map(wire),
        max_ejection_percent: positive(outlier.max_ejection_percent).map(Into::into),
        enforcing_success_rate: Some(0.into()),
        ..Wire::default()
    };
    let enforcing = |count: u32| if count > 0 { 100 } else { 0 };
    if let Some(count) = outlier.consecutive_5xx_errors {
        wire_form.consecutive_5xx = Some(count.into());
        wire_form.enforcing_consecutive_5xx = Some(enforcing(count).into());
    }
    if let Some(count) = outlier.consecutive_gateway_errors {
        wire_form.consecutive_gateway_failure = Some(count.into());
        wire_form.enforcing_consecutive_gateway_failure = Some(enforcing(count).into());
    }
    if outlier.split_external_local_origin_errors {
        wire_form.split_external_local_origin_errors = true;
        wire_form.enforcing_local_origin_success_rate = Some(0.into());
        if let Some(count) = outlier.consecutive_local_origin_failures.filter(|c| *c > 0) {
            wire_form.consecutive_local_origin_failure = Some(count.into());
            wire_form.enforcing_consecutive_local_origin_failure = Some(100.into());
        }
    }
    wire_form
}

/// Answers with one of the codes are errors.
fn error_matcher(codes: &[u32]) -> MatchPredicate {
    let mut rules: Vec<MatchPredicate> = codes.iter().map(|code| status_is(*code)).collect();
    match rules.len() {
        1 => rules.pop().unwrap_or_default(),
        _ => MatchPredicate { rule: Some(Rule::OrMatch(MatchSet { rules })) },
    }
}

fn status_is(code: u32) -> MatchPredicate {
    let exact = StringMatcher {
        match_pattern: Some(MatchPattern::Exact(code.to_string())),
        ..StringMatcher::default()
    };
    let header = HeaderMatcher {
        name: ":status".to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(exact)),
        ..HeaderMatcher::default()
    };
    let headers = HttpHeadersMatch { headers: vec![header] };
    MatchPredicate { rule: Some(Rule::HttpResponseHeadersMatch(headers)) }
}
