//! Shares of requests.

use api::istio::Percent;
use envoy::config::core::v3::RuntimeFractionalPercent;
use envoy::r#type::v3::FractionalPercent;
use envoy::r#type::v3::fractional_percent::DenominatorType;

/// Parts per million of one percent.
const MILLIONTHS: f64 = 10_000.0;

/// A share with fractions, as parts of a million, rounded down as the reference does.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a double saturates, and rounding down is wanted"
)]
pub(super) fn fraction(percent: &Percent) -> FractionalPercent {
    let numerator = (percent.value.get() * MILLIONTHS) as u32;
    FractionalPercent { numerator, denominator: DenominatorType::Million.into() }
}

/// A share in whole percent.
pub(super) fn whole(percent: u32) -> FractionalPercent {
    FractionalPercent { numerator: percent, denominator: DenominatorType::Hundred.into() }
}

/// A share that no runtime key overrides.
pub(super) fn fixed(share: FractionalPercent) -> RuntimeFractionalPercent {
    RuntimeFractionalPercent { default_value: Some(share), runtime_key: String::new() }
}
