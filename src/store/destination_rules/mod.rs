//! DestinationRules merged per namespace and host, and indexed by who sees them.
//!
//! Source: Istio `pilot/pkg/model/push_context.go` (`setDestinationRules`); `shared/spec/xds.md` 2.6.

use api::Problem;
use api::istio::DestinationRule;
use model::mesh::{DestinationRules, Settings};
use model::{Config, Ref};

/// A section and what was found wrong with its objects.
#[derive(Debug, Default)]
pub struct Built {
    /// The section.
    pub section: DestinationRules,
    /// The problems.
    pub problems: Vec<Problem>,
}

/// Builds the section from all DestinationRules.
pub fn build<'a>(
    _objects: impl Iterator<Item = &'a Ref<Config<DestinationRule>>>,
    _settings: &Settings,
) -> Built {
    Built::default()
}
