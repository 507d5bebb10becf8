//! HTTP/2 (RFC 9113): many requests side by side on one connection.
//!
//! No kept library of it works without std, so it is here: [`frame`] and [`hpack`] are the formats,
//! [`state`] what a connection and its streams may send and take, [`output`] what is about to be
//! sent. [`connection`] reads frames, and [`frames`] says what each does. A request is made
//! into the head that HTTP/1.1 would have ([`request`]) and is judged and served by the same code
//! ([`stream`]): handlers see no difference but [`Version::Http2`](super::Version::Http2).
//!
//! What a client may hold is bounded: streams by [`state::STREAMS`], content by [`state::ALL`], a
//! head by [`Limits::head`](super::Limits::head), what is to be sent by a frame, and all of it by
//! [`Limits::memory`](super::Limits::memory). A client is only read from while there is room for
//! the answers. Priorities are ignored, as section 5.3.2 allows, and nothing is pushed.

mod connection;
mod frame;
mod frames;
mod hpack;
mod input;
mod output;
mod request;
mod state;
mod stream;
#[cfg(test)]
mod tests;

pub(super) use connection::{PREFACE, Serve, serve};
pub(super) use hpack::Encoder;
pub(super) use request::is_of_connections;
