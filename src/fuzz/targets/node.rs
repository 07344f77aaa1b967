//! What proxies say of themselves, whatever that is: read as it comes over the wire, or refused, without a panic and in few words.

#![no_main]

use api::envoy::Message as _;
use api::envoy::config::core::v3::Node;
use libfuzzer_sys::fuzz_target;
use model::endpoint::Locality;
use model::proxy::{Proxy, identity};

fuzz_target!(|bytes: &[u8]| {
    // JSON is what a fuzzer writes well; the wire has it as a message.
    let Ok(document) = serde_json::from_slice(bytes) else { return };
    let Ok(said) = api::json::from_json_as::<Node>(&document, true) else { return };
    let Ok(node) = Node::decode(said.encode_to_vec().as_slice()) else { return };
    let metadata = node.metadata.as_ref().map(api::json::struct_json).unwrap_or_default();
    match Proxy::parse(&node.id, &metadata, Locality::default()) {
        Ok(proxy) => {
            assert!(!proxy.addresses.is_empty());
            let _ = proxy.families();
            let of = [format!("spiffe://cluster.local/ns/{}/sa/web", proxy.namespace)];
            let _ = identity::service_account(&of, &proxy.namespace, &proxy.metadata.service_account);
        }
        Err(error) => assert!(error.to_string().len() < 8192, "{error}"),
    }
});
