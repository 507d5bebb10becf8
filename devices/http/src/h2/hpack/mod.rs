//! HPACK (RFC 7541): the fields of a message, in few bytes.
//!
//! The decoder does all of it, as peers choose. The encoder uses the static table alone: what it
//! says does not depend on what it said before, so that a head which is dropped with its stream
//! leaves nothing behind, and no memory is needed for each client.

mod decoder;
mod encoder;
mod huffman;
mod table;

pub(crate) use decoder::{Decoder, Refused};
pub(crate) use encoder::{Encoder, TABLE};

/// Bytes that the dynamic table of a peer's fields may count for (RFC 9113, section 6.5.2):
/// SETTINGS_HEADER_TABLE_SIZE as it is until somebody says otherwise.
const DYNAMIC: usize = 4096;
