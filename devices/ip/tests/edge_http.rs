//! The HTTP client and server of the crate `edge-http` with each other, on two stacks on a
//! cable and on Linux's sockets: nothing of ours stands between them and `edge-nal`.

use core::fmt::{Debug, Display};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::pin::pin;
use devices::net::cable::{End, Options, cable};
use edge_http::io::Error;
use edge_http::io::client::Connection as Client;
use edge_http::io::server::{Connection, Handler, Server};
use edge_http::{DEFAULT_MAX_HEADERS_COUNT, Method};
use edge_nal::{AddrType, Dns, TcpBind, TcpConnect, TcpSplit};
use embedded_io_async::{Read, Write};
use ip::config::Ipv4;
use ip::sockets::Sockets;
use ip::{Settings, Stack};
use kernel::task::{Either, block_on, select};
use xenith_ip as ip;

struct Hello;

impl Handler for Hello {
    type Error<E>
        = Error<E>
    where
        E: Debug;

    async fn handle<T, const N: usize>(
        &self,
        _: impl Display + Copy,
        connection: &mut Connection<'_, T, N>,
    ) -> Result<(), Error<T::Error>>
    where
        T: Read + Write + TcpSplit,
    {
        let found = connection.headers()?.path == "/hello";
        let (status, text) = if found { (200, "Hello!") } else { (404, "Nothing here.") };
        connection.initiate_response(status, None, &[("Content-Type", "text/plain")]).await?;
        connection.write_all(text.as_bytes()).await
    }
}

/// Gets pages from a server of `there` by a client of `here`, on one connection.
async fn pages<I: TcpConnect + Dns, J: TcpBind>(here: &I, there: &J, at: SocketAddr) {
    let acceptor = there.bind(at).await.unwrap();
    let mut server = Server::<2, 2048, DEFAULT_MAX_HEADERS_COUNT>::new();
    let serving = pin!(server.run(None, acceptor, Hello));
    let getting = pin!(async {
        let name = at.ip().to_string();
        let found = here.get_host_by_name(&name, AddrType::IPv4).await.unwrap();
        assert_eq!(found, at.ip());
        let mut memory = [0; 2048];
        let mut client = Client::<_, DEFAULT_MAX_HEADERS_COUNT>::new(&mut memory, here, at);
        for (path, status, text) in [("/hello", 200, "Hello!"), ("/", 404, "Nothing here.")] {
            client.initiate_request(true, Method::Get, path, &[("Host", &name)]).await.unwrap();
            client.initiate_response().await.unwrap();
            assert_eq!(client.headers().unwrap().code, status);
            let (mut page, mut piece) = (Vec::new(), [0; 5]);
            loop {
                match client.read(&mut piece).await.unwrap() {
                    0 => break,
                    count => page.extend_from_slice(&piece[..count]),
                }
            }
            assert_eq!(core::str::from_utf8(&page), Ok(text));
            client.complete().await.unwrap();
        }
        client.close().await.unwrap();
    });
    assert!(matches!(select(serving, getting).await, Either::Second(())), "the server ended");
}

fn stack(end: End, last: u8) -> Stack<End> {
    let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
    Stack::start(end, Settings { ipv4, ..Settings::default() }).unwrap()
}

#[test]
fn edge_http_speaks_with_itself_over_our_stack() {
    kernel::testing::simulate_time();
    let (left, right) = cable(Options::default());
    block_on(async {
        let at = SocketAddr::new(IpAddr::from([10, 0, 0, 2]), 80);
        pages(&stack(left, 1), &stack(right, 2), at).await;
    });
}

#[test]
fn edge_http_speaks_with_itself_over_linux_s_sockets() {
    let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = free.local_addr().unwrap();
    drop(free);
    block_on(pages(&Sockets::new(), &Sockets::new(), at));
}
