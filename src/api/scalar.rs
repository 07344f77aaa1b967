//! Values of proto-JSON that JSON has no exact type for: durations, doubles with equality, bytes, free-form values.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{self, Deserializer, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// A span of time that is never negative, in nanoseconds.
///
/// It is read from the strings that Go's `time.ParseDuration` reads (`1.5s`, `100ms`, `1h30m`), because that is what
/// the reference accepts for `google.protobuf.Duration`; it is written in seconds with the suffix `s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration {
    nanos: u64,
}

/// Why a text is not a [`Duration`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not a number with a unit.
    #[error("`{0}` is not a duration: write a number with a unit, such as 1.5s, 100ms or 1h30m")]
    Malformed(String),
    /// Below zero.
    #[error("`{0}` is negative: a duration here is zero or more")]
    Negative(String),
    /// Beyond what 64 bits of nanoseconds hold (584 years).
    #[error("`{0}` is too long for a duration")]
    TooLong(String),
}

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self { nanos: 0 };

    /// A span of whole nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self { nanos }
    }

    /// A span of whole milliseconds; saturates at the longest span.
    pub const fn from_millis(millis: u64) -> Self {
        Self { nanos: millis.saturating_mul(1_000_000) }
    }

    /// A span of whole seconds; saturates at the longest span.
    pub const fn from_secs(secs: u64) -> Self {
        Self { nanos: secs.saturating_mul(1_000_000_000) }
    }

    /// The whole span in nanoseconds.
    pub const fn as_nanos(self) -> u64 {
        self.nanos
    }

    /// The whole span in milliseconds, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.nanos / 1_000_000
    }

    /// The whole seconds.
    pub const fn secs(self) -> u64 {
        self.nanos / 1_000_000_000
    }

    /// The nanoseconds beyond the whole seconds, below 1,000,000,000.
    pub const fn subsec_nanos(self) -> u32 {
        (self.nanos % 1_000_000_000) as u32
    }

    /// Whether the span is zero.
    pub const fn is_zero(self) -> bool {
        self.nanos == 0
    }
}

impl From<Duration> for std::time::Duration {
    fn from(span: Duration) -> Self {
        Self::from_nanos(span.nanos)
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:09}", self.subsec_nanos());
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{}s", self.secs()),
            digits => write!(f, "{}.{digits}s", self.secs()),
        }
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let malformed = || DurationError::Malformed(text.to_owned());
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let mut rest = unsigned;
        let mut nanos: u64 = 0;
        if rest.is_empty() {
            return Err(malformed());
        }
        while !rest.is_empty() && unsigned != "0" {
            let (part, tail) = leading_part(rest).ok_or_else(malformed)?;
            nanos = part
                .and_then(|part| nanos.checked_add(part))
                .ok_or_else(|| DurationError::TooLong(text.to_owned()))?;
            rest = tail;
        }
        if negative && nanos > 0 {
            return Err(DurationError::Negative(text.to_owned()));
        }
        Ok(Self { nanos })
    }
}

/// The nanoseconds of the first `<number><unit>` of a text and what follows it. The inner `None` is an overflow.
fn leading_part(text: &str) -> Option<(Option<u64>, &str)> {
    let digits = |s: &str| s.len() - s.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (whole, mut rest) = text.split_at_checked(digits(text))?;
    let mut fraction = "";
    if let Some(tail) = rest.strip_prefix('.') {
        (fraction, rest) = tail.split_at_checked(digits(tail))?;
    }
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let unit_len = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, tail) = rest.split_at_checked(unit_len)?;
    let scale: u64 = match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let whole = if whole.is_empty() { Some(0) } else { whole.parse::<u64>().ok() };
    Some((
        whole.and_then(|whole| whole.checked_mul(scale)?.checked_add(scaled_fraction(fraction, scale))),
        tail,
    ))
}

/// `0.<digits>` of a unit of `scale` nanoseconds, rounded down.
fn scaled_fraction(digits: &str, scale: u64) -> u64 {
    let mut value: u128 = 0;
    let mut divisor: u128 = 1;
    for digit in digits.bytes().take(18) {
        value = value * 10 + u128::from(digit - b'0');
        divisor *= 10;
    }
    u64::try_from(value * u128::from(scale) / divisor).unwrap_or(0)
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(FromText("a duration such as 1.5s or 100ms", |text: &str| {
            text.parse::<Self>().map_err(|error| error.to_string())
        }))
    }
}

/// A double that can be compared, ordered in sets and hashed: by its bits, with one zero and one NaN.
#[derive(Clone, Copy, Debug, Default)]
pub struct F64(f64);

impl F64 {
    /// The double, with -0 made 0 and every NaN made the same NaN.
    pub fn new(value: f64) -> Self {
        if value.is_nan() {
            Self(f64::NAN)
        } else if value == 0.0 {
            Self(0.0)
        } else {
            Self(value)
        }
    }

    /// The plain double.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl From<f64> for F64 {
    fn from(value: f64) -> Self {
        Self::new(value)
    }
}

impl PartialEq for F64 {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for F64 {}

impl Hash for F64 {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl Serialize for F64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for F64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(Self::new)
    }
}

/// A free-form value (`google.protobuf.Struct`): what it means is decided by who uses it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(pub serde_json::Value);

impl Hash for Json {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_string().hash(state);
    }
}

/// Bytes that JSON carries as base64. Standard and URL alphabets are read, with or without padding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Base64(pub Vec<u8>);

const PADDING_AS_COMES: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PADDING_AS_COMES);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, PADDING_AS_COMES);

/// The bytes of a base64 text. Errors tell nothing of the content, which may be secret.
fn from_base64(text: &str) -> Result<Vec<u8>, String> {
    let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let engine = if compact.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    engine.decode(&compact).map_err(|_| "not base64".to_owned())
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(FromText("base64", from_base64)).map(Self)
    }
}

/// Bytes that must not be printed: `Debug` and `Serialize` tell their length only.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// The bytes themselves.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

impl Serialize for SecretBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("<{} bytes>", self.0.len()))
    }
}

impl<'de> Deserialize<'de> for SecretBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(FromText("base64", from_standard)).map(Self)
    }
}

/// As Kubernetes reads bytes. The dashes of a key in PEM are in the URL alphabet: by both alphabets, one key in a hundred that was
/// not encoded would be taken for base64.
fn from_standard(text: &str) -> Result<Vec<u8>, String> {
    if text.contains(['-', '_']) { Err("not base64".to_owned()) } else { from_base64(text) }
}

/// [`SecretBytes`] that a document gives as plain text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct SecretText(SecretBytes);

impl From<SecretText> for SecretBytes {
    fn from(text: SecretText) -> Self {
        text.0
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into_bytes().into()))
    }
}

/// Reads a string and turns it into a value; holds what is expected and how to turn it.
struct FromText<F>(&'static str, F);

impl<T, F: Fn(&str) -> Result<T, String>> Visitor<'_> for FromText<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.1)(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests;
