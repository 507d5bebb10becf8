//! TCP.

use super::*;
use embedded_io_async::{Read, Write};
use kernel::task::{join, spawn, yield_now};
use kernel::time::{Instant, sleep, timeout};

/// A connection from `a` to port 80 of `b` at `to`, both ends.
async fn connected<N: Net + 'static, M: Net + 'static>(
    a: &Stack<N>,
    b: &Stack<M>,
    to: IpAddr,
) -> (TcpStream, TcpStream) {
    let listener = Tcp::bind(b, any(80)).await.unwrap();
    let (one, other) = join(a.connect(SocketAddr::new(to, 80)), listener.accept()).await;
    (one.unwrap(), other.unwrap().0)
}

/// Sends `length` bytes each way at once, checks them, and closes both ends.
async fn exchange(mut one: TcpStream, mut other: TcpStream, length: usize) {
    async fn half(stream: &mut TcpStream, length: usize) {
        let bytes = pattern(length);
        let (mut reader, mut writer) = stream.split();
        let read = async {
            let mut got = std::vec![0; length];
            reader.read_exact(&mut got).await.unwrap();
            assert!(got == pattern(length));
        };
        let (_, written) = join(read, writer.write_all(&bytes)).await;
        written.unwrap();
    }
    join(half(&mut one, length), half(&mut other, length)).await;
    let (a, b) = join(one.close(), other.close()).await;
    a.unwrap();
    b.unwrap();
}

#[test]
fn a_mebibyte_goes_each_way() {
    pair(|a, b| async move {
        for to in [B, B6] {
            let (one, other) = connected(&a, &b, to).await;
            assert_eq!(one.local_addr(), other.peer_addr());
            assert_eq!(one.peer_addr(), SocketAddr::new(to, 80));
            exchange(one, other, 1 << 20).await;
        }
        sleep(SECOND * 20).await;
        assert_eq!((a.stats().open, b.stats().open), (0, 0));
        assert_eq!((a.stats().connected, b.stats().accepted), (2, 2));
        assert_eq!((a.stats().corrupt, b.stats().corrupt), (0, 0));
    });
}

#[test]
fn nobody_listening_is_a_refusal() {
    pair(|a, b| async move {
        let begun = Instant::now();
        for to in [B, B6] {
            let error = a.connect(SocketAddr::new(to, 81)).await.err();
            assert_eq!(error, Some(Error::Refused));
        }
        assert!(begun.elapsed() < SECOND);
        assert_eq!(b.stats().refused, 2);
        assert_eq!((a.stats().open, b.stats().open), (0, 0));
    });
}

#[test]
fn nobody_there_is_no_answer_and_no_way_is_said_at_once() {
    pair(|a, _| async move {
        let to = SocketAddr::new(Ipv4Addr::new(10, 0, 0, 99).into(), 80);
        assert_eq!(a.connect(to).await.err(), Some(Error::TimedOut));
        let begun = Instant::now();
        for to in ["192.168.0.1:80", "[fd01::1]:80", "127.0.0.1:80", "10.0.0.1:80", "0.0.0.0:1"] {
            let error = a.connect(to.parse().unwrap()).await.err();
            assert_eq!(error, Some(Error::Unreachable), "{to}");
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        sleep(SECOND * 13).await;
        assert_eq!(a.stats().open, 0);
    });
}

#[test]
fn reading_ends_where_the_peer_shut_down_and_writing_goes_on() {
    pair(|a, b| async move {
        let (mut one, mut other) = connected(&a, &b, B).await;
        one.write_all(b"question").await.unwrap();
        one.shutdown().await.unwrap();
        assert_eq!(one.write(b"more").await, Err(Error::Closed));
        let mut question = [0; 9];
        assert_eq!(other.read(&mut question).await, Ok(8));
        assert_eq!(other.read(&mut question).await, Ok(0));
        other.write_all(b"answer").await.unwrap();
        let (closed, answer) = join(other.close(), async {
            let mut answer = [0; 6];
            one.read_exact(&mut answer).await.unwrap();
            assert_eq!(one.read(&mut [0]).await, Ok(0));
            answer
        })
        .await;
        closed.unwrap();
        assert_eq!(&answer, b"answer");
        one.close().await.unwrap();
        assert_eq!(one.close().await, Err(Error::Closed));
        assert_eq!(one.read(&mut [0]).await, Err(Error::Closed));
    });
}

#[test]
fn dropping_closes_in_order_for_a_bounded_time_and_frees_the_socket() {
    kernel::testing::simulate_time();
    block_on(async {
        let (left, right) = cable(Options::default());
        let (a, b) = (stack(left.clone(), 1), stack(right, 2));
        // Both end: the first one's socket goes through TIME-WAIT.
        let (one, mut other) = connected(&a, &b, B).await;
        drop(one);
        assert_eq!(other.read(&mut [0]).await, Ok(0));
        drop(other);
        sleep(SECOND / 10).await;
        assert_eq!((a.stats().open, b.sockets()), (0, 0));
        sleep(SECOND * 13).await;
        assert_eq!(a.sockets(), 0);
        // The peer has all and does not end.
        let (mut one, mut other) = connected(&a, &b, B).await;
        one.write_all(b"all").await.unwrap();
        drop(one);
        sleep(SECOND * 29).await;
        assert_eq!(a.sockets(), 1);
        sleep(SECOND * 2).await;
        assert_eq!(a.sockets(), 0);
        assert_eq!(other.read(&mut [0; 9]).await, Ok(3));
        assert_eq!(other.read(&mut [0; 9]).await, Ok(0));
        // The peer is gone: what was written is lost.
        let (mut one, other) = connected(&a, &b, B6).await;
        left.set_link(false);
        one.write_all(b"lost").await.unwrap();
        drop(one);
        sleep(SECOND * 45).await;
        assert_eq!((a.sockets(), a.stats().open), (0, 0));
        drop(other);
    });
}

#[test]
fn those_that_were_dropped_and_take_long_leave_room_for_others() {
    pair(|a, b| async move {
        let most = settings(1).limits.connections;
        let listener = Tcp::bind(&b, any(80)).await.unwrap();
        let mut open = Vec::new();
        for _ in 0..most / 2 {
            // A port that is chosen again meets the connection that the peer did not end.
            let Ok(one) = a.connect(SocketAddr::new(B, 80)).await else { continue };
            open.push(listener.accept().await.unwrap().0);
            drop(one);
        }
        sleep(SECOND).await;
        assert_eq!(a.stats().open, 0);
        assert!(a.sockets() <= most / 4 + 17, "{}", a.sockets());
        // The peer had all: it is told of no reset.
        let mut ended = 0;
        for other in &mut open {
            ended += usize::from(other.read(&mut [0]).await == Ok(0));
        }
        assert!(ended + 8 >= most / 2, "{ended} of {most}");
    });
}

#[test]
fn aborting_resets() {
    pair(|a, b| async move {
        let (mut one, other) = connected(&a, &b, B6).await;
        other.abort();
        assert_eq!(one.read(&mut [0]).await, Err(Error::Reset));
        assert_eq!(one.close().await.err(), None);
        drop((one, other));
        yield_now().await;
        assert_eq!((a.stats().open, b.stats().open), (0, 0));
    });
}

#[test]
fn closing_takes_a_bounded_time_when_the_peer_does_not_close() {
    pair(|a, b| async move {
        let (mut one, other) = connected(&a, &b, B).await;
        one.write_all(b"all of it").await.unwrap();
        let begun = Instant::now();
        one.close().await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), 30);
        drop((one, other));
    });
}

#[test]
fn closing_fails_when_what_was_written_does_not_arrive() {
    kernel::testing::simulate_time();
    block_on(async {
        let (left, right) = cable(Options::default());
        let (a, b) = (stack(left.clone(), 1), stack(right, 2));
        let (mut one, other) = connected(&a, &b, B).await;
        left.set_link(false);
        one.write_all(b"lost").await.unwrap();
        assert_eq!(one.close().await, Err(Error::TimedOut));
        drop((one, other));
    });
}

#[test]
fn a_writer_waits_for_a_reader_that_does_not_read() {
    pair(|a, b| async move {
        let (mut one, mut other) = connected(&a, &b, B).await;
        let bytes = pattern(1_000_000);
        let mut written = 0;
        while let Ok(count) = timeout(SECOND * 5, one.write(&bytes[written..])).await {
            written += count.unwrap();
        }
        // The window that a peer opens which reads nothing, and what waits behind it.
        let buffer = settings(1).limits.buffer;
        assert!((0xffff..=0xffff + buffer).contains(&written), "{written}");
        // For longer than a silent peer would be waited for: it is not silent.
        sleep(SECOND * 300).await;
        let mut got = std::vec![0; bytes.len()];
        let (read, rest) = join(other.read_exact(&mut got), one.write_all(&bytes[written..])).await;
        read.unwrap();
        rest.unwrap();
        assert!(got == bytes);
    });
}

#[test]
fn an_idle_connection_lives_and_one_whose_peer_is_gone_ends() {
    kernel::testing::simulate_time();
    block_on(async {
        let (left, right) = cable(Options::default());
        let (a, b) = (stack(left.clone(), 1), stack(right, 2));
        let (mut one, mut other) = connected(&a, &b, B).await;
        sleep(SECOND * 3600).await;
        one.write_all(b"x").await.unwrap();
        assert_eq!(other.read(&mut [0]).await, Ok(1));
        let keep_alive = Some(SECOND * 60);
        other.set_options(TcpOptions { keep_alive, ..TcpOptions::default() }).unwrap();
        sleep(SECOND * 3600).await;
        left.set_link(false);
        let begun = Instant::now();
        assert_eq!(other.read(&mut [0]).await, Err(Error::TimedOut));
        // Nine questions, 75 s apart, were not answered.
        assert!((675..=750).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    });
}

#[test]
fn a_broken_interface_ends_every_wait_at_once() {
    kernel::testing::simulate_time();
    block_on(async {
        let (left, right) = cable(Options::default());
        let (a, b) = (stack(left.clone(), 1), stack(right, 2));
        let (mut one, mut other) = connected(&a, &b, B).await;
        let listener = Tcp::bind(&a, any(7)).await.unwrap();
        let udp = Udp::bind(&a, any(7)).await.unwrap();
        let begun = Instant::now();
        let waits = [
            spawn(async move { one.read(&mut [0]).await.err() }),
            spawn(async move { other.read(&mut [0]).await.err() }),
            spawn(async move { listener.accept().await.err() }),
            spawn(async move { udp.recv_from(&mut [0]).await.err() }),
            spawn({
                let a = a.clone();
                async move { a.ping(Ipv4Addr::new(10, 0, 0, 77).into(), 8, SECOND * 9).await.err() }
            }),
            spawn({
                let a = a.clone();
                async move { a.connect("10.0.0.78:1".parse().unwrap()).await.err() }
            }),
        ];
        sleep(SECOND / 100).await;
        left.sever();
        for wait in waits {
            assert_eq!(wait.await, Some(Error::Down));
        }
        assert!(begun.elapsed() < SECOND / 10);
        assert_eq!(Tcp::bind(&a, any(9)).await.err(), Some(Error::Down));
        assert_eq!(Udp::bind(&a, any(9)).await.err(), Some(Error::Down));
        assert_eq!(a.configured().await.err(), Some(Error::Down));
        assert_eq!(a.connect(SocketAddr::new(B, 80)).await.err(), Some(Error::Down));
        assert_eq!(b.stats().open, 0);
    });
}

#[test]
fn a_thousand_connections_leave_nothing_behind() {
    pair(|a, b| async move {
        let listener = Tcp::bind(&b, any(80)).await.unwrap();
        let server = spawn(async move {
            loop {
                let mut stream = listener.accept().await.unwrap().0;
                let mut byte = [0];
                stream.read_exact(&mut byte).await.unwrap();
                stream.write_all(&byte).await.unwrap();
                stream.close().await.unwrap();
            }
        });
        for n in 0..1000 {
            let mut stream = a.connect(SocketAddr::new(B, 80)).await.unwrap();
            let byte = [n as u8];
            stream.write_all(&byte).await.unwrap();
            let mut got = [0];
            stream.read_exact(&mut got).await.unwrap();
            assert_eq!(got, byte);
            assert_eq!(stream.read(&mut got).await, Ok(0));
            stream.close().await.unwrap();
            let (a, b) = (a.sockets(), b.sockets());
            assert!(a <= 2 + 17 && b <= 2 + 17, "{a} and {b} sockets at {n}");
        }
        sleep(SECOND * 15).await;
        assert_eq!((a.sockets(), b.sockets()), (0, 0));
        assert_eq!(b.stats().accepted, 1000);
        drop(server);
    });
}

#[test]
fn many_connections_are_open_at_once_and_more_wait_for_one_to_end() {
    pair(|a, b| async move {
        let most = settings(1).limits.connections;
        let listener = Tcp::bind(&b, any(80)).await.unwrap();
        let mut open = Vec::new();
        for _ in 0..most {
            let (one, other) = join(a.connect(SocketAddr::new(B, 80)), listener.accept()).await;
            open.push((one.unwrap(), other.unwrap().0));
        }
        assert_eq!(a.connect(SocketAddr::new(B, 80)).await.err(), Some(Error::Exhausted));
        assert_eq!(b.stats().open, most);
        for (at, (one, other)) in open.iter_mut().enumerate() {
            one.write_all(&[at as u8]).await.unwrap();
            let mut byte = [0];
            other.read_exact(&mut byte).await.unwrap();
            assert_eq!(byte, [at as u8]);
        }
        open.pop();
        yield_now().await;
        sleep(SECOND / 100).await;
        let (one, other) = join(a.connect(SocketAddr::new(B, 80)), listener.accept()).await;
        assert!(one.is_ok() && other.is_ok());
    });
}

#[test]
fn who_speaks_first_is_heard_though_the_confirmation_was_lost() {
    kernel::testing::simulate_time();
    block_on(async {
        let (left, right) = cable(Options::default());
        let (a, b) = (stack(left.clone(), 1), stack(right.clone(), 2));
        let listener = Tcp::bind(&b, any(80)).await.unwrap();
        // Both learn the other's Ethernet address.
        a.ping(B, 8, SECOND).await.unwrap();
        let connect = spawn({
            let a = a.clone();
            async move { a.connect(SocketAddr::new(B, 80)).await }
        });
        while b.stats().half_open == 0 {
            yield_now().await;
        }
        left.set_link(false);
        let mut stream = loop {
            if connect.is_finished() {
                break connect.await.unwrap();
            }
            yield_now().await;
        };
        assert_eq!(b.stats().half_open, 1);
        left.set_link(true);
        let mut accepted = listener.accept().await.unwrap().0;
        accepted.write_all(b"220 ready").await.unwrap();
        let mut greeting = [0; 9];
        stream.read_exact(&mut greeting).await.unwrap();
        assert_eq!(&greeting, b"220 ready");
    });
}

#[test]
fn large_frames_carry_what_small_ones_do_in_less() {
    kernel::testing::simulate_time();
    for large in [0, 16 << 10, 65535] {
        let options = Options { transmit_blank: true, transmit_large: large, ..Options::default() };
        let (left, right) = cable(options);
        block_on(async {
            let settings = |last| Settings { limits: Limits::default(), ..settings(last) };
            let a = Stack::start(left, settings(1)).unwrap();
            let b = Stack::start(right, settings(2)).unwrap();
            for to in [B, B6] {
                let before = a.stats().sent;
                let listener = Tcp::bind(&b, any(80)).await.unwrap();
                let (one, other) =
                    join(a.connect(SocketAddr::new(to, 80)), listener.accept()).await;
                let (mut one, mut other) = (one.unwrap(), other.unwrap().0);
                let bytes = pattern(2 << 20);
                let mut got = std::vec![0; bytes.len()];
                let (sent, read) = join(one.write_all(&bytes), other.read_exact(&mut got)).await;
                sent.unwrap();
                read.unwrap();
                assert!(got == bytes);
                let sent = a.stats().sent - before;
                assert_eq!(sent < 500, large > 0, "{sent} frames to {to} with {large}");
            }
        });
    }
}
