//! UDP by the traits of `edge-nal`: the DHCP server of the crate `edge-dhcp` on our stack,
//! with nothing of ours in between, and what those traits promise, on a cable and on Linux.

use core::fmt::Debug;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::pin::pin;
use core::time::Duration;
use devices::net::cable::{End, Options, cable};
use edge_dhcp::io;
use edge_dhcp::server::{Server, ServerOptions};
use edge_nal::{
    MulticastV4, MulticastV6, Readable, UdpBind, UdpReceive, UdpSend, UdpSplit, UdpSplitMulticast,
};
use ip::config::Ipv4;
use ip::sockets::Sockets;
use ip::{Error, Settings, Stack, any};
use kernel::task::{Either, block_on, join, select};
use kernel::time::{Instant, timeout};
use xenith_ip as ip;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

fn stack(end: End, last: u8) -> Stack<End> {
    let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
    Stack::start(end, Settings { ipv4, ..Settings::default() }).unwrap()
}

/// Gives addresses of 10.0.0.0/24, and knows nothing of our stack.
async fn serve<U: UdpBind>(udp: U) -> io::Error<U::Error>
where
    U::Error: Debug,
{
    let mut socket = udp.bind(any(io::DEFAULT_SERVER_PORT)).await.unwrap();
    let mut gateway = [Ipv4Addr::UNSPECIFIED];
    let options = ServerOptions::new(SERVER, Some(&mut gateway));
    let begun = Instant::now();
    let mut server = Server::<_, 4>::new(|| begun.elapsed().as_secs(), SERVER);
    let mut buffer = [0; 1500];
    let Err(error) = io::server::run(&mut server, &options, &mut socket, &mut buffer).await else {
        unreachable!("it runs for ever")
    };
    error
}

#[test]
fn edge_dhcp_gives_our_stack_an_address_over_our_stack() {
    kernel::testing::simulate_time();
    let (left, right) = cable(Options::default());
    block_on(async {
        let serving = pin!(serve(stack(left, 1)));
        let client = async {
            let settings = Settings { ipv4: Ipv4::Dhcp, ..Settings::default() };
            let client = Stack::start(right, settings).unwrap();
            timeout(Duration::from_secs(10), client.configured()).await.unwrap().unwrap();
            client.addresses()
        };
        let Either::Second(addresses) = select(serving, pin!(client)).await else {
            panic!("the server ended")
        };
        let given = |&(it, bits): &(IpAddr, u8)| match it {
            IpAddr::V4(it) => it.octets()[..3] == [10, 0, 0] && it != SERVER && bits == 24,
            IpAddr::V6(_) => false,
        };
        assert!(addresses.iter().any(given), "{addresses:?}");
    });
}

/// Sends to and receives from `there`, at `at`, by halves, and waits for datagrams.
async fn halves<U, V>(here: &U, there: &V, at: SocketAddr)
where
    U: UdpBind<Error = Error>,
    V: UdpBind<Error = Error>,
{
    let mut server = there.bind(at).await.unwrap();
    let mut client = here.bind(any(0)).await.unwrap();
    {
        let group = Ipv4Addr::new(224, 0, 0, 251);
        let group6 = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
        assert_eq!(client.join_v4(group, Ipv4Addr::UNSPECIFIED).await, Err(Error::Unsupported));
        let (_, _, _, mut six) = client.split_multicast();
        assert_eq!(six.join_v6(group6, 0).await, Err(Error::Unsupported));
    }
    let (mut receiver, mut sender) = client.split();

    // Nothing is there, so it waits; then one is, and waiting for it takes nothing.
    let waited = timeout(Duration::from_millis(50), receiver.readable()).await;
    assert!(waited.is_err(), "there was nothing to receive");
    let mut buffer = [0; 8];
    let echo = async {
        server.readable().await.unwrap();
        server.readable().await.unwrap();
        let mut all = [0; 64];
        let (length, from) = server.receive(&mut all).await.unwrap();
        server.send(from, &all[..length]).await.unwrap();
    };
    // The receiving half waits while the other one sends.
    let ask = join(receiver.readable(), sender.send(at, b"what is longer than that"));
    let ((), (arrived, sent)) = join(pin!(echo), pin!(ask)).await;
    assert_eq!((arrived, sent), (Ok(()), Ok(())));
    assert_eq!(receiver.receive(&mut buffer).await, Ok((8, at)));
    assert_eq!(&buffer, b"what is ");
    let gone = timeout(Duration::from_millis(50), receiver.readable()).await;
    assert!(gone.is_err(), "the rest of a datagram is lost");
}

#[test]
fn halves_wait_and_send_side_by_side_on_our_stack() {
    kernel::testing::simulate_time();
    let (left, right) = cable(Options::default());
    block_on(async {
        let at = SocketAddr::new(IpAddr::from([10, 0, 0, 2]), 7);
        halves(&stack(left, 1), &stack(right, 2), at).await;
    });
}

#[test]
fn halves_wait_and_send_side_by_side_on_linux_s_sockets() {
    let free = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = free.local_addr().unwrap();
    drop(free);
    block_on(halves(&Sockets::new(), &Sockets::new(), at));
}
