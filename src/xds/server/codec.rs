//! gRPC messages out of the data of an HTTP/2 body.

use bytes::{Buf as _, Bytes, BytesMut};

use super::status::Status;

/// The compression flag and the length.
const PREFIX: usize = 5;

/// Bytes for which there is room before they have come.
const AHEAD: usize = 16 * 1024;

/// Collects data until a message is complete.
pub(super) struct Decoder {
    buffer: BytesMut,
    /// The longest message that is taken, in bytes.
    limit: usize,
}

impl Decoder {
    pub(super) fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit }
    }

    /// Takes data.
    pub(super) fn push(&mut self, data: &Bytes) {
        self.buffer.extend_from_slice(data);
    }

    /// The next message, if it is complete.
    ///
    /// # Errors
    /// The message is compressed, or longer than the limit.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Status> {
        let Some(&[flag, a, b, c, d]) = self.buffer.first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        if flag != 0 {
            return Err(Status::unimplemented(
                "compressed gRPC requests are not supported: send identity encoding",
            ));
        }
        let len = u32::from_be_bytes([a, b, c, d]) as usize;
        if len > self.limit {
            return Err(Status::resource_exhausted(format!(
                "received message larger than max ({len} vs. {})",
                self.limit
            )));
        }
        if self.buffer.len() - PREFIX < len {
            // Five bytes that announce megabytes must not take them.
            self.buffer.reserve((PREFIX + len - self.buffer.len()).min(AHEAD));
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        let message = self.buffer.split_to(len).freeze();
        if self.buffer.is_empty() {
            // An idle stream keeps no buffer.
            self.buffer = BytesMut::new();
        }
        Ok(Some(message))
    }

    /// Whether a message has begun and is not complete.
    pub(super) fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::Decoder;

    #[test]
    fn messages_come_out_however_the_data_is_cut() {
        let wire: Vec<u8> = [&[0, 0, 0, 0, 3][..], b"abc", &[0, 0, 0, 0, 0], &[0, 0, 0, 0, 1], b"d"].concat();
        for cut in 1..=wire.len() {
            let mut decoder = Decoder::new(3);
            let mut messages = Vec::new();
            for data in wire.chunks(cut) {
                decoder.push(&Bytes::copy_from_slice(data));
                while let Some(message) = decoder.next().expect("within the limit") {
                    messages.push(message);
                }
            }
            assert_eq!(messages, ["abc", "", "d"], "cut at {cut}");
            assert!(!decoder.is_partial());
        }
    }

    #[test]
    fn room_is_made_for_what_comes_and_not_for_what_is_announced() {
        let mut decoder = Decoder::new(4 << 20);
        decoder.push(&Bytes::from_static(&[0, 0, 0x40, 0, 0]));
        assert_eq!(decoder.next().expect("within the limit"), None);
        assert!(decoder.buffer.capacity() < 2 * super::AHEAD);
    }

    #[test]
    fn what_is_too_long_or_compressed_is_refused_before_it_is_read() {
        let refused = |prefix: &'static [u8]| {
            let mut decoder = Decoder::new(3);
            decoder.push(&Bytes::from_static(prefix));
            decoder.next().expect_err("refused").code
        };
        assert_eq!(refused(&[0, 0, 0, 0, 4]), 8);
        assert_eq!(refused(&[1, 0, 0, 0, 1]), 12);
    }
}
