//! What packets cost in allocations: nothing.

use core::net::{Ipv4Addr, SocketAddr};
use devices::net::cable::{End, Options, cable};
use embedded_io_async::{Read, Write};
use ip::config::Ipv4;
use ip::{Listener, Settings, Stack, Tcp};
use kernel::task::{block_on, spawn};
use xenith_ip as ip;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

fn stack(end: End, address: Ipv4Addr) -> Stack<End> {
    Stack::start(end, Settings { ipv4: Ipv4::Static(address, 24), ..Settings::default() }).unwrap()
}

/// Allocations, and packets that were sent, for `count` round trips of 1,000 bytes.
fn round_trips(count: usize) -> (u64, u64) {
    let mut packets = 0;
    let all = allocation_counter::measure(|| {
        kernel::testing::simulate_time();
        let (one, other) = cable(Options::default());
        block_on(async {
            let (server, client) = (stack(one, SERVER), stack(other, Ipv4Addr::new(10, 0, 0, 2)));
            let listener = Tcp::bind(&server, ip::any(7)).await.unwrap();
            let echo = spawn(async move {
                let mut stream = listener.accept().await.unwrap().0;
                let mut piece = [0; 2000];
                loop {
                    match stream.read(&mut piece).await.unwrap() {
                        0 => return,
                        read => stream.write_all(&piece[..read]).await.unwrap(),
                    }
                }
            });
            let mut stream = client.connect(SocketAddr::new(SERVER.into(), 7)).await.unwrap();
            for _ in 0..count {
                stream.write_all(&[1; 1000]).await.unwrap();
                stream.read_exact(&mut [0; 1000]).await.unwrap();
            }
            packets = server.stats().sent + client.stats().sent;
            drop(stream);
            drop(echo);
        });
    });
    (all.count_total, packets)
}

#[test]
fn no_packet_costs_an_allocation() {
    let ((few, fewer), (many, more)) = (round_trips(100), round_trips(5100));
    assert!(more - fewer >= 10_000, "{fewer} and {more} packets");
    // A queue may still grow a last time.
    assert!(many.abs_diff(few) < 10, "{few} allocations for {fewer} packets, {many} for {more}");
}
