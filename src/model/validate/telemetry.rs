//! Rules of Telemetry.

use api::istio::{AccessLogging, CustomTag, Metrics, ProviderRef, TagOperation, Telemetry, Tracing};

use super::check::Check;
use super::selector;
use super::text::{condition, percent, time};

pub(super) fn telemetry(check: &mut Check, telemetry: &Telemetry) {
    selector::match_labels(check, telemetry.selector.as_ref());
    selector::targets(
        check,
        telemetry.selector.is_some(),
        telemetry.target_ref.as_ref(),
        &telemetry.target_refs,
    );
    if telemetry.tracing.len() > 1 {
        check.warning("tracing", "only the first entry is looked at", "write one entry");
    }
    check.each("tracing", &telemetry.tracing, tracing);
    check.each("metrics", &telemetry.metrics, metrics);
    check.each("accessLogging", &telemetry.access_logging, |check, logging: &AccessLogging| {
        providers(check, &logging.providers);
        check.some("filter", logging.filter.as_ref(), |check, filter| {
            condition(check, "expression", &filter.expression);
        });
    });
}

fn providers(check: &mut Check, providers: &[ProviderRef]) {
    check.each("providers", providers, |check, provider| {
        if provider.name.is_empty() {
            check.error("name", "the provider has no name", "name one of the mesh's extensionProviders");
        }
    });
}

fn tracing(check: &mut Check, tracing: &Tracing) {
    providers(check, &tracing.providers);
    if tracing.providers.len() > 1 {
        check.warning("providers", "only the first provider is used", "name one provider");
    }
    percent(check, "randomSamplingPercentage", tracing.random_sampling_percentage);
    for (name, tag) in &tracing.custom_tags {
        check.at(format_args!("customTags[{name}]"), |check| {
            if name.is_empty() {
                check.warning("", "the tag has no name", "name the tag");
            }
            custom_tag(check, tag);
        });
    }
}

fn custom_tag(check: &mut Check, tag: &CustomTag) {
    let values = [
        ("literal.value", tag.literal.as_ref().map(|tag| &tag.value)),
        ("environment.name", tag.environment.as_ref().map(|tag| &tag.name)),
        ("header.name", tag.header.as_ref().map(|tag| &tag.name)),
        ("formatter.value", tag.formatter.as_ref().map(|tag| &tag.value)),
    ];
    let given = || values.iter().filter_map(|(field, value)| Some((field, (*value)?)));
    match given().count() {
        0 => {
            check.error("", "the tag has no value", "write one of literal, environment, header and formatter")
        }
        1 => {}
        _ => check.error(
            "",
            "the tag has more than one value",
            "keep one of literal, environment, header and formatter",
        ),
    }
    for (field, _) in given().filter(|(_, value)| value.is_empty()) {
        check.error(field, "the value is empty", "write where the tag's value comes from");
    }
}

fn metrics(check: &mut Check, metrics: &Metrics) {
    providers(check, &metrics.providers);
    time(check, "reportingInterval", metrics.reporting_interval);
    check.each("overrides", &metrics.overrides, |check, change| {
        check.some("match", change.r#match.as_ref(), |check, selected| {
            if selected.metric.is_some() && selected.custom_metric.is_some() {
                check.error("customMetric", "the metric is named in two ways", "keep metric or customMetric");
            }
            if selected.custom_metric.as_deref() == Some("") {
                check.error("customMetric", "the metric has no name", "name the metric");
            }
        });
        for (name, tag) in &change.tag_overrides {
            check.at(format_args!("tagOverrides[{name}]"), |check| {
                if name.is_empty() {
                    check.warning("", "the tag has no name", "name the tag");
                }
                match (tag.operation, tag.value.is_empty()) {
                    (TagOperation::Upsert, true) => {
                        check.error(
                            "value",
                            "UPSERT needs a value",
                            "write an expression, such as request.host",
                        );
                    }
                    (TagOperation::Remove, false) => {
                        check.error("value", "REMOVE has no value", "leave the value out");
                    }
                    (TagOperation::Upsert, false) => {
                        if let Err(why) = crate::cel::check(&tag.value) {
                            let message = format!("{:?} is no CEL expression: {why}", tag.value);
                            check.warning("value", message, "write an expression, such as request.host");
                        }
                    }
                    (TagOperation::Remove, true) => {}
                }
            });
        }
    });
}
