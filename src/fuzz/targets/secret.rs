//! Secrets, whatever they hold: read, or refused, without a panic and without a word of their content.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = serde_json::from_slice(bytes) else { return };
    match api::decode(document) {
        Ok(api::decode::Decoded { object: api::AnyObject::Secret(secret), .. }) => {
            let _ = model::credential::Credential::of(&secret);
        }
        Ok(_) => {}
        Err(error) => drop(error.to_string()),
    }
});
