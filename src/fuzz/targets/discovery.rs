//! What clients send on a stream of xDS, whatever that is: requests, or the end of the stream, without a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use model::endpoint::Locality;
use model::proxy::Proxy;
use xds::protocol::Variant;
use xds::server::read_requests;

/// Requests are no longer.
const LIMIT: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    // As it is, and as the one message of a stream: lengths that fit are rarely found.
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let framed = [&[0], len.to_be_bytes().as_slice(), bytes].concat();
    for body in [bytes.to_vec(), framed] {
        for variant in [Variant::Delta, Variant::Sotw] {
            let Ok(requests) = read_requests(variant, body.clone().into(), LIMIT) else { continue };
            for node in requests.into_iter().filter_map(|request| request.node) {
                let metadata = node.metadata.as_ref().map(api::json::struct_json).unwrap_or_default();
                let _ = Proxy::parse(&node.id, &metadata, Locality::default());
            }
        }
    }
});
