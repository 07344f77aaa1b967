//! Requests for certificates, whatever they hold: read, or refused, without a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = ca::Csr::from_pem(text);
});
