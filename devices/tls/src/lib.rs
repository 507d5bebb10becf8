//! TLS for Xenith: ends of connections that are encrypted and prove who they are, over any TCP.
//!
//! [`Tls`] is a stream over a stream. [`Server`] and [`Client`] make a `Tcp` of a `Tcp`, so that
//! whatever takes one, such as a server of HTTP, does what it did, encrypted. The protocol is by
//! rustls, which is given the arithmetic of RustCrypto's crates; both are without a standard
//! library here. TLS 1.3 is spoken, and 1.2 where options ask for it.
//!
//! # Example
//! ```no_run
//! # mod xenith { pub use devices::*; pub use kernel::*; pub mod ip { pub use ::ip::*; } }
//! # mod http { pub struct Server; impl Server { pub async fn serve(&self, _: &impl ip::Tcp, _: core::net::SocketAddr) {} } }
//! use xenith_tls::{Error, Identity, Server, ServerOptions};
//!
//! /// Serves by TLS, with a certificate and a private key in PEM form.
//! async fn start(tcp: impl ip::Tcp, certificate: &[u8], key: &[u8]) -> Result<(), Error> {
//!     let identity = Identity::from_pem(certificate, key)?;
//!     let config = ServerOptions::new(identity).protocols(&["http/1.1"]).build()?;
//!     http::Server.serve(&Server::new(tcp, config), ip::any(443)).await;
//!     Ok(())
//! }
//! ```

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod binding;
mod config;
mod error;
mod handshakes;
mod provider;
mod session;
mod stream;
mod tcp;
mod trust;

#[cfg(test)]
mod tests;

pub(crate) use config::Peer;
pub use config::{ClientConfig, ClientOptions, Identity, ServerConfig, ServerOptions};
pub use error::{Error, When};
pub use stream::{Half, Tls};
pub use tcp::{Accepting, Client, Named, Plain, Server};
pub use trust::Trust;
