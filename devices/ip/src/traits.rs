//! Declares what a program may ask of a network, one file a protocol.

mod ping;
mod resolve;
mod tcp;
mod udp;

pub use ping::Ping;
pub use resolve::{Addresses, Resolve};
pub use tcp::{Listener, Progress, Stream, Tcp, TcpOptions};
pub use udp::{Socket, Udp};
