//! Both ends, over the IP stack and a cable, in simulated time.

mod abuse;
mod certificates;
mod ends;
mod memory;
mod records;
mod unfinished;
mod vain;

use crate::*;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddr};
use devices::net::cable::{End, Options, cable};
use embedded_io_async::{Read, Write};
use ip::config::{Ipv4, Settings};
use ip::{Listener as _, Stack, Stream as _, Tcp};
use kernel::task::{block_on, join, spawn};

macro_rules! pem {
    ($name:literal) => {
        include_bytes!(concat!("../../../../tests/tls/", $name))
    };
}
pub(super) use pem;

const WWW: &str = "www.lab";

fn at(last: u8) -> Settings {
    let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
    Settings { ipv4, ..Settings::default() }
}

fn port() -> SocketAddr {
    "10.0.0.2:443".parse().unwrap()
}

fn identity() -> Identity {
    Identity::from_pem(pem!("server.pem"), pem!("server.key")).unwrap()
}

fn trusting(ca: &[u8]) -> ClientOptions {
    ClientOptions::new(Trust::pem(ca).unwrap())
}

fn server() -> ServerConfig {
    ServerOptions::new(identity()).build().unwrap()
}

fn client() -> ClientConfig {
    trusting(pem!("ca.pem")).build().unwrap()
}

/// Runs `work` with a client's and a server's stack.
fn on_a_cable<F: Future>(work: impl FnOnce(Stack<End>, Stack<End>) -> F) -> F::Output {
    kernel::testing::simulate_time();
    block_on(async {
        let (left, right) = cable(Options::default());
        work(Stack::start(left, at(1)).unwrap(), Stack::start(right, at(2)).unwrap()).await
    })
}

/// What both ends of a connection say after their handshakes.
fn shaken(server: ServerConfig, client: ClientConfig, name: &str) -> [Result<(), Error>; 2] {
    on_a_cable(async |near, far| {
        let listener = Server::new(far, server).bind(port()).await.unwrap();
        let connected = Tls::connect(near.connect(port()).await.unwrap(), name, &client).unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let client = async {
            connected.handshake().await?;
            // The server's opinion of a client's certificate comes later.
            let mut byte = [0];
            let mut connected = connected;
            let read = connected.read(&mut byte).await;
            read.map(drop).map_err(|error| connected.failure().unwrap_or(error.into()))
        };
        let server = async {
            let mut accepted = accepted;
            let result = accepted.handshake().await;
            let _ = accepted.close().await;
            result
        };
        let (client, server) = join(client, server).await;
        [client, server]
    })
}

/// Sends back what one client sends, until its end.
async fn echo<S: ip::Stream>(mut stream: S) -> Result<(), ip::Error> {
    let mut buffer = [0; 5000];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return stream.close().await,
            length => stream.write_all(&buffer[..length]).await?,
        }
    }
}

/// Sends `data` and reads it back.
async fn exchange<S: ip::Stream>(mut stream: S, data: &[u8]) -> Result<Vec<u8>, ip::Error> {
    let mut back = Vec::new();
    {
        let (mut reader, mut writer) = stream.split();
        let read = async {
            let mut buffer = [0; 3000];
            while back.len() < data.len() {
                match reader.read(&mut buffer).await? {
                    0 => break,
                    length => back.extend_from_slice(&buffer[..length]),
                }
            }
            Ok::<_, ip::Error>(())
        };
        let (written, read) = join(writer.write_all(data), read).await;
        written.and(read)?;
    }
    stream.close().await?;
    Ok(back)
}

#[test]
fn bytes_go_both_ways_and_a_second_connection_resumes() {
    let edwards = Identity::from_pem(pem!("edwards.pem"), pem!("edwards.key")).unwrap();
    for identity in [identity(), edwards] {
        let config = ServerOptions::new(identity).protocols(&["h2", "http/1.1"]).build().unwrap();
        let client = trusting(pem!("ca.pem")).protocols(&["http/1.1"]).build().unwrap();
        on_a_cable(async |near, far| {
            let listener = Server::new(far, config).bind(port()).await.unwrap();
            let data: Vec<u8> = (0..100_000_u32).map(|it| (it * 7 / 3) as u8).collect();
            for number in 0..3 {
                let stream = near.connect(port()).await.unwrap();
                let tls = Tls::connect(stream, WWW, &client).unwrap();
                let (accepted, _) = listener.accept().await.unwrap();
                let served = spawn(echo(accepted));
                tls.handshake().await.unwrap();
                assert_eq!(tls.protocol().as_deref(), Some(&b"http/1.1"[..]));
                let agreed = ["http/1.1", "h2"].map(|it| tls.agreed_on(it.as_bytes()));
                assert_eq!(agreed, [Some(true), Some(false)]);
                assert_eq!(tls.is_resumed(), number > 0);
                assert!(exchange(tls, &data).await.unwrap() == data);
                assert_eq!(served.await, Ok(()));
            }
        });
    }
}

#[test]
fn tls_1_2_is_spoken_where_both_ask_for_it_and_else_not() {
    let old = |client: ClientOptions| {
        let mut config = client.tls12().build().unwrap();
        config.only_tls12();
        config
    };
    let [client, server] = shaken(server(), old(trusting(pem!("ca.pem"))), WWW);
    assert!(matches!(client, Err(Error::Alert(_))), "{client:?}");
    assert!(matches!(server, Err(Error::NothingInCommon(_))), "{server:?}");
    for (pem, key) in [
        (&pem!("server.pem")[..], &pem!("server.key")[..]),
        (&pem!("edwards.pem")[..], &pem!("edwards.key")[..]),
    ] {
        let server = ServerOptions::new(Identity::from_pem(pem, key).unwrap()).tls12();
        let results = shaken(server.build().unwrap(), old(trusting(pem!("ca.pem"))), WWW);
        assert_eq!(results, [Ok(()), Ok(())]);
    }
}

#[test]
fn a_server_has_certificates_for_several_names_and_new_ones_without_a_restart() {
    let second = Identity::from_pem(pem!("second.pem"), pem!("server.key")).unwrap();
    let both = ServerOptions::new(identity()).named("second.lab", second.clone());
    let both = both.build().unwrap();
    for name in [WWW, "second.lab", "SECOND.lab", "10.0.0.2"] {
        assert_eq!(shaken(both.clone(), client(), name), [Ok(()), Ok(())], "{name}");
    }
    on_a_cable(async |near, far| {
        let tcp = Server::new(far, server());
        let listener = Rc::new(tcp.bind(port()).await.unwrap());
        for (name, other) in [(WWW, "second.lab"), ("second.lab", WWW)] {
            for (name, good) in [(name, true), (other, false)] {
                let stream = near.connect(port()).await.unwrap();
                let tls = Tls::connect(stream, name, &client()).unwrap();
                let (accepted, _) = listener.accept().await.unwrap();
                spawn(async move { drop(accepted.handshake().await) }).detach();
                assert_eq!(tls.handshake().await.is_ok(), good, "{name}");
            }
            tcp.replace(ServerOptions::new(second.clone()).build().unwrap());
        }
    });
}

#[test]
fn a_client_speaks_both_and_checks_names() {
    on_a_cable(async |near, far| {
        let far = Rc::new(far);
        let listener = far.bind(port()).await.unwrap();
        let served = spawn(async move {
            let config = server();
            for _ in 0..2 {
                let (stream, _) = listener.accept().await.unwrap();
                let _ = echo(Tls::accept(stream, &config).unwrap()).await;
            }
            let (stream, _) = listener.accept().await.unwrap();
            let _ = echo(stream).await;
        });
        let net = Client::new(near, client());
        let good = net.connect_to(WWW, port(), true).await.unwrap();
        assert_eq!(exchange(good, b"secret").await.unwrap(), b"secret");
        let bad = net.connect_to("other.lab", port(), true).await;
        assert_eq!(bad.map(drop), Err(ip::Error::Untrusted));
        let plain = net.connect_to(WWW, port(), false).await.unwrap();
        assert_eq!(exchange(plain, b"known").await.unwrap(), b"known");
        served.await;
    });
}
