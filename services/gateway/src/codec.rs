//! Messages as pgwire reads and writes them, with a bound on their size.

use std::io;

use bytes::{Buf, BytesMut};
use pgwire::error::PgWireError;
use pgwire::messages::{DecodeContext, PgWireBackendMessage, PgWireFrontendMessage, ProtocolVersion};
use tokio_util::codec::{Decoder, Encoder};

/// Before somebody has said who they are.
const LONGEST_BEFORE_SIGN_IN: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Codec {
    context: DecodeContext,
    longest: usize,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum CodecError {
    #[error("a message of {length} bytes: at most {longest} are taken")]
    TooLong { length: usize, longest: usize },
    #[error(transparent)]
    Message(#[from] PgWireError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Codec {
    pub(crate) fn new() -> Self {
        let mut context = DecodeContext::default();
        context.awaiting_frontend_ssl = false;
        Self {
            context,
            longest: LONGEST_BEFORE_SIGN_IN,
        }
    }

    /// What comes now is no longer the first message.
    pub(crate) fn started(&mut self, version: ProtocolVersion) {
        self.context.awaiting_frontend_startup = false;
        self.context.protocol_version = version;
    }

    pub(crate) fn signed_in(&mut self, longest: usize) {
        self.longest = longest;
    }
}

impl Decoder for Codec {
    type Item = PgWireFrontendMessage;
    type Error = CodecError;

    fn decode(&mut self, source: &mut BytesMut) -> Result<Option<Self::Item>, CodecError> {
        // The first message has no byte that says what it is.
        let start = usize::from(!self.context.awaiting_frontend_startup);
        if let Some(mut length) = source.get(start..start + 4) {
            let length = usize::try_from(length.get_i32()).unwrap_or(usize::MAX);
            if length > self.longest {
                return Err(CodecError::TooLong {
                    length,
                    longest: self.longest,
                });
            }
        }
        Ok(PgWireFrontendMessage::decode(source, &self.context)?)
    }
}

impl Encoder<PgWireBackendMessage> for Codec {
    type Error = CodecError;

    fn encode(&mut self, message: PgWireBackendMessage, into: &mut BytesMut) -> Result<(), CodecError> {
        Ok(message.encode(into)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut;

    #[test]
    fn a_message_too_long_is_refused_before_it_is_read() {
        let mut codec = Codec::new();
        codec.started(ProtocolVersion::PROTOCOL3_0);
        let mut source = BytesMut::new();
        source.put_u8(b'Q');
        source.put_i32(1 << 20);
        assert!(matches!(codec.decode(&mut source), Err(CodecError::TooLong { .. })));
        codec.signed_in(2 << 20);
        assert!(
            matches!(codec.decode(&mut source), Ok(None)),
            "now the rest is waited for"
        );
    }
}
