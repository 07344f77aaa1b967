//! Numbers as Go prints them: floats without a fraction are written as integers, singles by their shortest form.

use serde_json::{Number, Value};

/// Up to here every integral double is an exact integer and Go prints no exponent.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A double; those that JSON has no number for become the strings of the proto JSON page.
pub(super) fn double(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[allow(clippy::cast_possible_truncation, reason = "integral and within an i64")]
        return Value::from(number as i64);
    }
    Number::from_f64(number).map_or_else(|| Value::from(not_finite(number)), Value::Number)
}

/// A single: 0.1 stays 0.1 although the double nearest to it is 0.10000000149011612.
pub(super) fn single(number: f32) -> Value {
    double(number.to_string().parse().unwrap_or_else(|_| f64::from(number)))
}

fn not_finite(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}
