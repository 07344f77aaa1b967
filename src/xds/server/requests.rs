//! All that a client says on a stream, taken apart at once as a stream takes it apart piece by piece: what is fuzzed.

use api::envoy::config::core::v3::Node;
use bytes::Bytes;

use super::codec::Decoder;
use super::request;
use super::status::Status;
use crate::protocol::Variant;

/// A request as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadRequest {
    /// The type that it is about.
    pub type_url: String,
    /// The names that it asks for.
    pub names: Vec<String>,
    /// Who says that it asks.
    pub node: Option<Node>,
    /// Whether it answers a response.
    pub is_reply: bool,
}

/// The requests of a body, none of them longer than `limit`.
///
/// # Errors
/// The status with which a stream ends that gets such a body.
pub fn read_requests(variant: Variant, body: Bytes, limit: usize) -> Result<Vec<ReadRequest>, Status> {
    let mut decoder = Decoder::new(limit);
    decoder.push(&body);
    let mut requests = Vec::new();
    while let Some(message) = decoder.next()? {
        let request = request::decode(variant, message)?;
        requests.push(ReadRequest {
            names: request.body.names().to_vec(),
            is_reply: request.body.is_reply(),
            type_url: request.type_url,
            node: request.node,
        });
    }
    if decoder.is_partial() { Err(Status::cut()) } else { Ok(requests) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The names of the files say what becomes of them: `taken-delta-*`, `taken-sotw-*`, or `refused-*` by both.
    #[test]
    fn the_corpus_of_the_fuzz_target_is_taken_and_refused_as_its_names_say() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/discovery");
        let mut count = 0;
        for entry in fs::read_dir(folder).expect("a corpus") {
            let path = entry.expect("a file").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let body = Bytes::from(fs::read(&path).expect("bytes"));
            let read = |variant| read_requests(variant, body.clone(), 4 << 20);
            let taken = |variant| read(variant).is_ok_and(|requests| !requests.is_empty());
            match name.split('-').next() {
                Some("refused") => {
                    assert!(!taken(Variant::Delta) && !taken(Variant::Sotw), "{name}");
                }
                _ if name.starts_with("taken-delta-") => assert!(taken(Variant::Delta), "{name}"),
                _ if name.starts_with("taken-sotw-") => assert!(taken(Variant::Sotw), "{name}"),
                _ => panic!("{name} does not say what becomes of it"),
            }
            count += 1;
        }
        assert!(count >= 18, "{count} files");
    }
}
