//! Durations as operators of a mesh write them: Go's notation, `24h`, `1h30m`, `500ms`.

use std::time::Duration;

const UNITS: [(&str, u64); 4] = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];

/// Reads a positive duration of whole numbers with the units h, m, s and ms.
///
/// # Errors
/// A sentence for the operator that quotes the text.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration; write for example 24h, 1h30m or 90s");
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let (unit, factor) = UNITS.into_iter().find(|(unit, _)| tail.starts_with(unit)).ok_or_else(wrong)?;
        let part = number.checked_mul(factor).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = tail.strip_prefix(unit).unwrap_or_default();
    }
    if total == 0 { Err(wrong()) } else { Ok(Duration::from_millis(total)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_writes() {
        for (text, seconds) in [("24h", 86400), ("1h30m", 5400), ("90s", 90), ("1h0m0s", 3600)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)));
        }
        assert_eq!(parse_duration("1m500ms"), Ok(Duration::from_millis(60_500)));
    }

    #[test]
    fn refuses_the_rest_and_quotes_it() {
        for text in ["", "24", "h", "1d", "-1h", "0s", "1.5h", "99999999999999999999h", "9999999999999999h"] {
            assert!(parse_duration(text).unwrap_err().contains(&format!("{text:?}")));
        }
    }
}
