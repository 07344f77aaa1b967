//! The tracing part of a connection manager: sampling and tags.
//!
//! The tags that tell the workload are slots (see [`crate::slots`]), so that managers are shared by workloads.
//! Source: Istio `pilot/pkg/networking/core/tracing.go`; `shared/spec/xds.md` 4.9.

use std::collections::BTreeMap;

use api::F64;
use api::mesh_config::{ProxyConfig, ProxyCustomTag};
use envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager as hcm;
use envoy::r#type::metadata::v3::{
    MetadataKey, MetadataKind,
    metadata_key::{PathSegment, path_segment::Segment},
    metadata_kind,
};
use envoy::r#type::tracing::v3::{CustomTag, custom_tag};
use envoy::r#type::v3::Percent;
use model::mesh::Features;

use crate::slots;

/// What is sampled and how spans are tagged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tracing {
    /// Percent of requests.
    sampling: F64,
    /// Longest path in a tag; 0 for Envoy's default.
    max_path_tag_length: u32,
    /// Tags that the configuration asks for.
    tags: BTreeMap<String, ProxyCustomTag>,
    /// Whether Istio's own tags are added.
    istio_tags: bool,
}

/// Tags of policies that are tried out: tag, key of the filter's dynamic metadata.
const DRY_RUN_TAGS: [(&str, &str); 4] = [
    ("istio.authorization.dry_run.allow_policy.name", "istio_dry_run_allow_shadow_effective_policy_id"),
    ("istio.authorization.dry_run.allow_policy.result", "istio_dry_run_allow_shadow_engine_result"),
    ("istio.authorization.dry_run.deny_policy.name", "istio_dry_run_deny_shadow_effective_policy_id"),
    ("istio.authorization.dry_run.deny_policy.result", "istio_dry_run_deny_shadow_engine_result"),
];

/// Tags that tell the workload: tag, slot.
const WORKLOAD_TAGS: [(&str, u16); 5] = [
    ("istio.canonical_revision", slots::CANONICAL_REVISION),
    ("istio.canonical_service", slots::CANONICAL_SERVICE),
    ("istio.cluster_id", slots::CLUSTER_ID),
    ("istio.mesh_id", slots::MESH_ID),
    ("istio.namespace", slots::NAMESPACE),
];

impl Tracing {
    /// Reads the proxy's configuration.
    pub(super) fn of(config: &ProxyConfig, features: &Features) -> Self {
        let asked = config.tracing.clone().unwrap_or_default();
        let sampling = match asked.sampling.get() {
            percent if percent > 100.0 => 1.0,
            percent if percent != 0.0 => percent,
            _ => f64::from(features.trace_sampling) / 100.0,
        };
        Self {
            sampling: F64::new(sampling),
            max_path_tag_length: asked.max_path_tag_length,
            tags: asked.custom_tags,
            istio_tags: asked.enable_istio_tags.unwrap_or(true),
        }
    }

    /// The manager's field.
    pub(super) fn build(&self) -> hcm::Tracing {
        let percent = |value| Some(Percent { value });
        hcm::Tracing {
            client_sampling: percent(100.0),
            random_sampling: percent(self.sampling.get()),
            overall_sampling: percent(100.0),
            max_path_tag_length: (self.max_path_tag_length > 0).then(|| self.max_path_tag_length.into()),
            custom_tags: self.custom_tags(),
            ..hcm::Tracing::default()
        }
    }

    fn custom_tags(&self) -> Vec<CustomTag> {
        let mut tags: Vec<CustomTag> = self.tags.iter().filter_map(|(name, tag)| asked(name, tag)).collect();
        if self.istio_tags {
            tags.extend(DRY_RUN_TAGS.map(|(name, key)| dry_run(name, key)));
            tags.extend(WORKLOAD_TAGS.map(|(name, slot)| literal(name, slots::placeholder(slot))));
        }
        tags.sort_by(|a, b| a.tag.cmp(&b.tag));
        tags
    }
}

fn asked(name: &str, tag: &ProxyCustomTag) -> Option<CustomTag> {
    if let Some(value) = &tag.literal {
        return Some(literal(name, value.value.clone()));
    }
    let kind = if let Some(variable) = &tag.environment {
        custom_tag::Type::Environment(custom_tag::Environment {
            name: variable.name.clone(),
            default_value: variable.default_value.clone(),
        })
    } else {
        let header = tag.header.as_ref()?;
        custom_tag::Type::RequestHeader(custom_tag::Header {
            name: header.name.clone(),
            default_value: header.default_value.clone(),
        })
    };
    Some(CustomTag { tag: name.to_owned(), r#type: Some(kind) })
}

fn literal(name: &str, value: String) -> CustomTag {
    CustomTag { tag: name.to_owned(), r#type: Some(custom_tag::Type::Literal(custom_tag::Literal { value })) }
}

fn dry_run(name: &str, key: &str) -> CustomTag {
    let request = metadata_kind::Kind::Request(metadata_kind::Request::default());
    let metadata = custom_tag::Metadata {
        kind: Some(MetadataKind { kind: Some(request) }),
        metadata_key: Some(MetadataKey {
            key: "envoy.filters.http.rbac".to_owned(),
            path: vec![PathSegment { segment: Some(Segment::Key(key.to_owned())) }],
        }),
        ..custom_tag::Metadata::default()
    };
    CustomTag { tag: name.to_owned(), r#type: Some(custom_tag::Type::Metadata(metadata)) }
}
