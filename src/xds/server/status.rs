//! gRPC status: how a stream ends (grpc/grpc: doc/PROTOCOL-HTTP2.md).

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::generate::Refusal;

/// The end of a stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("gRPC status {code}: {message}")]
pub struct Status {
    /// The gRPC status code.
    pub code: i32,
    /// The words for the client.
    pub message: String,
}

impl Status {
    /// The stream ended as it should.
    pub fn ok() -> Self {
        Self { code: 0, message: String::new() }
    }

    /// The request is malformed.
    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self { code: 3, message: message.into() }
    }

    /// It took too long.
    pub(crate) fn deadline_exceeded(message: impl Into<String>) -> Self {
        Self { code: 4, message: message.into() }
    }

    /// A limit is reached.
    pub fn resource_exhausted(message: impl Into<String>) -> Self {
        Self { code: 8, message: message.into() }
    }

    /// This is not built.
    pub fn unimplemented(message: impl Into<String>) -> Self {
        Self { code: 12, message: message.into() }
    }

    /// A fault of the control plane.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { code: 13, message: message.into() }
    }

    /// A client ended in the middle of what it said.
    pub(crate) fn cut() -> Self {
        Self::internal("the stream ended within a message")
    }

    /// Not now; a client tries again.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { code: 14, message: message.into() }
    }

    /// The two headers, for a response without a body or as the trailers of one.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from(self.code));
        if let Ok(message) = HeaderValue::try_from(percent_encoded(&self.message))
            && !message.is_empty()
        {
            headers.insert(HeaderName::from_static("grpc-message"), message);
        }
        headers
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        Self { code: refusal.code as i32, message: refusal.message }
    }
}

/// Bytes of words that a header has at most: some of them may be a client's own, and clients take no headers without end.
const LONGEST: usize = 2048;

/// A status message as a header has it: all but printable ASCII, and `%`, becomes `%XX`.
fn percent_encoded(message: &str) -> String {
    let mut encoded = String::with_capacity(message.len().min(LONGEST));
    for byte in message.bytes().take(LONGEST) {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, Status};

    #[test]
    fn words_fit_in_a_header() {
        let headers = Status::unavailable("100 % né\n").headers();
        assert_eq!(headers["grpc-status"], "14");
        assert_eq!(headers["grpc-message"], "100 %25 n%C3%A9%0A");
        assert!(!Status::ok().headers().contains_key("grpc-message"));
        assert_eq!(Status::internal("a".repeat(LONGEST + 1)).headers()["grpc-message"].len(), LONGEST);
    }
}
