//! Outlier detection: when endpoints are set aside for a while.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::Duration;

/// When endpoints are set aside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OutlierDetection {
    /// Errors in a row. Deprecated for `consecutive5xxErrors`.
    pub consecutive_errors: i32,
    /// Count failures to connect apart from errors that the endpoint returns.
    pub split_external_local_origin_errors: bool,
    /// Failures to connect in a row; absent means 5. Needs the split.
    pub consecutive_local_origin_failures: Option<u32>,
    /// Answers 502, 503 and 504 in a row; absent or 0 turns this off.
    pub consecutive_gateway_errors: Option<u32>,
    /// Answers 5xx in a row; absent means 5, 0 turns this off.
    pub consecutive_5xx_errors: Option<u32>,
    /// Time between looks; absent means 10 s.
    pub interval: Option<Duration>,
    /// Shortest time aside, multiplied by how often it happened; absent means 30 s.
    pub base_ejection_time: Option<Duration>,
    /// Most endpoints aside, in percent; 0 means 10.
    pub max_ejection_percent: i32,
    /// Share of healthy endpoints below which health is not looked at, in percent; 0 turns this off.
    pub min_health_percent: i32,
    /// Status codes that count as errors; empty means 5xx.
    #[schemars(inner(range(min = 100, max = 599)))]
    pub outlier_detection_http_error_codes: Vec<u32>,
}
