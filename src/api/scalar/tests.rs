//! What the scalars read, write and refuse.

use super::*;

fn nanos(text: &str) -> Result<u64, DurationError> {
    text.parse::<Duration>().map(Duration::as_nanos)
}

#[test]
fn durations_are_read_as_go_reads_them() {
    for (text, expected) in [
        ("0", 0),
        ("0s", 0),
        ("-0s", 0),
        ("1s", 1_000_000_000),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("100ms", 100_000_000),
        ("1h30m", 5_400_000_000_000),
        ("0.000000001s", 1),
        ("2us", 2_000),
        ("+3ns", 3),
    ] {
        assert_eq!(nanos(text), Ok(expected), "{text}");
    }
}

#[test]
fn durations_that_are_none_are_refused() {
    for text in ["", "1", "s", "1 s", "1d", ".s", "1.2.3s", "-"] {
        assert_eq!(nanos(text), Err(DurationError::Malformed(text.to_owned())));
    }
    assert_eq!(nanos("-1s"), Err(DurationError::Negative("-1s".to_owned())));
    assert_eq!(nanos("9999999h"), Err(DurationError::TooLong("9999999h".to_owned())));
    assert_eq!(
        nanos("99999999999999999999s"),
        Err(DurationError::TooLong("99999999999999999999s".to_owned()))
    );
}

#[test]
fn durations_are_written_in_seconds() {
    assert_eq!(Duration::from_millis(1_500).to_string(), "1.5s");
    assert_eq!(Duration::from_secs(60).to_string(), "60s");
    assert_eq!(Duration::from_nanos(1).to_string(), "0.000000001s");
}

#[test]
fn doubles_have_one_zero_and_one_nan() {
    assert_eq!(F64::new(-0.0), F64::new(0.0));
    assert_eq!(F64::new(f64::NAN), F64::new(-f64::NAN));
    assert_ne!(F64::new(1.0), F64::new(1.5));
}

#[test]
fn bytes_are_read_in_both_alphabets_with_and_without_padding() {
    for text in ["+/8=", "-_8=", "+/8", "-_8", "+/\n8="] {
        assert_eq!(from_base64(text), Ok(vec![0xfb, 0xff]), "{text}");
    }
    assert!(from_base64("a").is_err());
}

#[test]
fn a_key_that_was_not_encoded_is_no_content_of_a_secret() {
    let read =
        |text: &str| serde_json::from_value::<SecretBytes>(text.into()).map(|bytes| bytes.expose().to_vec());
    assert_eq!(read("+/8=").ok(), Some(vec![0xfb, 0xff]));
    assert_eq!(read("+/8\n=\n").ok(), Some(vec![0xfb, 0xff]));
    // All of it is of the URL alphabet, and of a length that fits.
    let pem = "-----BEGIN PRIVATE KEY-----\nMIGHAgEA\n-----END PRIVATE KEY-----\n";
    assert!(from_base64(pem).is_ok(), "or it shows nothing");
    assert!(read(pem).is_err());
}

#[test]
fn secrets_do_not_print_themselves() {
    let secret = SecretBytes::from(b"private".to_vec());
    assert_eq!(format!("{secret:?}"), "<7 bytes>");
    assert_eq!(serde_json::to_string(&secret).unwrap(), "\"<7 bytes>\"");
    assert_eq!(secret.expose(), b"private");
}
