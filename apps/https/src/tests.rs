//! Where clients of HTTP are sent, and what clients hear that break TLS.

use super::*;
use core::net::{Ipv4Addr, SocketAddr};
use embedded_io_async::{Read as _, Write as _};
use std::vec::Vec;
use xenith::ip::config::Ipv4;
use xenith::ip::{Settings, Stack, Stream as _};
use xenith::net::cable::{Options as Ends, cable};
use xenith::task::block_on;
use xenith::tls::{Identity, ServerConfig, ServerOptions};

#[test]
fn a_redirect_leaves_the_port() {
    for (authority, host) in
        [("a.b", "a.b"), ("a.b:8080", "a.b"), ("[::1]", "[::1]"), ("[::1]:80", "[::1]"), ("", "")]
    {
        assert_eq!(without_port(authority), host, "{authority}");
    }
}

fn config() -> ServerConfig {
    let identity = Identity::from_pem(
        include_bytes!("../../../tests/tls/server.pem"),
        include_bytes!("../../../tests/tls/server.key"),
    );
    ServerOptions::new(identity.unwrap()).build().unwrap()
}

/// What a client hears that sends `bytes`, and how that ends.
fn answered(bytes: &[u8]) -> (Vec<u8>, Result<(), ip::Error>) {
    xenith::testing::simulate_time();
    let stack = |end, last| {
        let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
        Stack::start(end, Settings { ipv4, ..Settings::default() }).unwrap()
    };
    block_on(async {
        let (near, far) = cable(Ends::default());
        let (near, secure) = (stack(near, 1), tls::Server::new(stack(far, 2), config()));
        let server = Server::new(Redirect { port: 443 }).http2().bind(&secure, ip::any(443)).await;
        let server = server.unwrap();
        let ask = async {
            let to = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 2), 443));
            let mut stream = near.connect(to).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            stream.shutdown().await.unwrap();
            let (mut heard, mut buffer) = (Vec::new(), [0; 100]);
            loop {
                match stream.read(&mut buffer).await {
                    Ok(0) => return (heard, Ok(())),
                    Ok(count) => heard.extend_from_slice(&buffer[..count]),
                    Err(error) => return (heard, Err(error)),
                }
            }
        };
        match select(core::pin::pin!(ask), core::pin::pin!(server.serve())).await {
            Either::First(answer) => answer,
            Either::Second(_) => panic!("the server ended"),
        }
    })
}

#[test]
fn who_breaks_tls_hears_an_alert_and_an_orderly_end() {
    /// A fatal alert in plain text, but for which one it is.
    const ALERT: [u8; 6] = [21, 3, 3, 0, 2, 2];
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: www.lab\r\n\r\n"[..],
        // A record that is too long, data before a handshake, a hello that is none.
        &[22, 3, 1, 0x48, 1, 1],
        &[23, 3, 3, 0, 1, b'x'],
        &[22, 3, 1, 0, 4, 1, 0, 0, 0],
    ] {
        let (heard, end) = answered(bytes);
        assert!(heard.len() == 7 && heard.starts_with(&ALERT), "{bytes:?}: {heard:?}");
        assert_eq!(end, Ok(()), "{bytes:?}");
    }
}
