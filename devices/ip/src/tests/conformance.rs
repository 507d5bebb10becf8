//! What every [`Tcp`], [`Udp`], [`Ping`] and [`Resolve`] does, whoever gives them: here
//! our stack on a cable, in simulated time, and Linux's own sockets.

mod readiness;

use super::*;
use crate::sockets::Sockets;
use core::pin::pin;
use embedded_io_async::{Read, Write};
use kernel::task::{join, spawn};
use kernel::time::{Instant, sleep, timeout};

/// Two machines, or one twice, and an address of the second one.
struct Site<I> {
    here: I,
    there: I,
    address: IpAddr,
}

impl<I: Tcp + Udp + Ping + Resolve + Clone + 'static> Site<I> {
    fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, port)
    }

    /// Both ends of a connection.
    async fn connected(&self) -> (I::Stream, I::Stream) {
        let listener = Tcp::bind(&self.there, any(0)).await.unwrap();
        let to = self.at(listener.local_addr().port());
        let (one, other) = join(self.here.connect(to), listener.accept()).await;
        (one.unwrap(), other.unwrap().0)
    }

    async fn both_ends_know_each_other(self) {
        let listener = Tcp::bind(&self.there, any(0)).await.unwrap();
        assert_ne!(listener.local_addr().port(), 0);
        let to = self.at(listener.local_addr().port());
        let (one, other) = join(self.here.connect(to), listener.accept()).await;
        let (one, (other, peer)) = (one.unwrap(), other.unwrap());
        assert_eq!(peer, one.local_addr());
        assert_eq!((one.peer_addr(), other.local_addr()), (to, to));
        assert_eq!(
            (one.local_addr(), other.local_addr().port()),
            (other.peer_addr(), listener.local_addr().port())
        );
    }

    async fn what_is_bound_to_one_address_is_for_that_alone(self) {
        let own = self.at(0);
        let listener = Tcp::bind(&self.there, own).await.unwrap();
        let at = listener.local_addr();
        assert_eq!((at.ip(), at.port() == 0), (self.address, false));
        for taken in [at, any(at.port()), SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), at.port())]
        {
            assert_eq!(
                Tcp::bind(&self.there, taken).await.err(),
                Some(Error::InUse(at.port())),
                "{taken}"
            );
        }
        let (one, other) = join(self.here.connect(at), listener.accept()).await;
        let (one, (other, peer)) = (one.unwrap(), other.unwrap());
        assert_eq!((peer, other.local_addr()), (one.local_addr(), at));
        let socket = Udp::bind(&self.there, own).await.unwrap();
        let to = socket.local_addr();
        assert_eq!(to.ip(), self.address);
        assert_eq!(
            Udp::bind(&self.there, any(to.port())).await.err(),
            Some(Error::InUse(to.port()))
        );
        let other = Udp::bind(&self.here, any(0)).await.unwrap();
        other.send_to(b"question", to).await.unwrap();
        let (length, from) = socket.recv_from(&mut [0; 9]).await.unwrap();
        assert_eq!((length, from.port()), (8, other.local_addr().port()));
        socket.send_to(b"answer", from).await.unwrap();
        assert_eq!(other.recv_from(&mut [0; 9]).await, Ok((6, to)));
        // No address of the other version of IP can be sent to from it.
        let away = match self.address {
            IpAddr::V4(_) => "[2001:db8::1]:9",
            IpAddr::V6(_) => "192.0.2.1:9",
        };
        assert_eq!(socket.send_to(b"x", away.parse().unwrap()).await, Err(Error::Unreachable));
    }

    async fn an_address_that_is_not_ours_cannot_be_bound_to(self) {
        for other in ["192.0.2.7:0", "[2001:db8::7]:0", "[::ffff:192.0.2.7]:0"] {
            let other = other.parse().unwrap();
            let not = Some(Error::AddrNotAvailable);
            assert_eq!(Tcp::bind(&self.there, other).await.err(), not, "{other}");
            assert_eq!(Udp::bind(&self.there, other).await.err(), not, "{other}");
        }
    }

    async fn a_port_is_taken_once_and_free_again(self) {
        let listener = Tcp::bind(&self.there, any(0)).await.unwrap();
        let port = listener.local_addr().port();
        assert_eq!(Tcp::bind(&self.there, any(port)).await.err(), Some(Error::InUse(port)));
        drop(listener);
        assert_eq!(Tcp::bind(&self.there, any(port)).await.unwrap().local_addr().port(), port);
        let socket = Udp::bind(&self.there, any(0)).await.unwrap();
        let port = socket.local_addr().port();
        assert_eq!(Udp::bind(&self.there, any(port)).await.err(), Some(Error::InUse(port)));
        drop(socket);
        assert_eq!(Udp::bind(&self.there, any(port)).await.unwrap().local_addr().port(), port);
    }

    async fn a_port_of_which_a_connection_ends_is_free(self) {
        let listener = Tcp::bind(&self.there, any(0)).await.unwrap();
        let port = listener.local_addr().port();
        let (one, other) = join(self.here.connect(self.at(port)), listener.accept()).await;
        let (mut one, mut other) = (one.unwrap(), other.unwrap().0);
        other.shutdown().await.unwrap();
        assert_eq!(one.read(&mut [0]).await, Ok(0));
        let (one, other) = join(one.close(), other.close()).await;
        assert_eq!((one, other), (Ok(()), Ok(())));
        drop(listener);
        Tcp::bind(&self.there, any(port)).await.unwrap();
    }

    async fn nobody_listening_is_a_refusal(self) {
        let listener = Tcp::bind(&self.there, any(0)).await.unwrap();
        let to = self.at(listener.local_addr().port());
        drop(listener);
        assert_eq!(self.here.connect(to).await.err(), Some(Error::Refused));
    }

    async fn dropping_a_listener_resets_who_was_not_accepted(self) {
        let listener = Tcp::bind(&self.there, any(0)).await.unwrap();
        let mut waiting = self.here.connect(self.at(listener.local_addr().port())).await.unwrap();
        drop(listener);
        assert_eq!(waiting.read(&mut [0]).await, Err(Error::Reset));
    }

    async fn what_is_written_comes_back(self) {
        let listener = Tcp::bind(&self.there, any(0)).await.unwrap();
        let to = self.at(listener.local_addr().port());
        let echo = spawn(async move {
            for _ in 0..3 {
                let mut stream = listener.accept().await.unwrap().0;
                let mut piece = [0; 1000];
                loop {
                    match stream.read(&mut piece).await.unwrap() {
                        0 => break stream.close().await.unwrap(),
                        count => stream.write_all(&piece[..count]).await.unwrap(),
                    }
                }
            }
        });
        for n in 0..3 {
            let mut stream = self.here.connect(to).await.unwrap();
            stream.write_all(&[n; 3000]).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut got = [0; 3000];
            stream.read_exact(&mut got).await.unwrap();
            assert_eq!((got, stream.read(&mut [0]).await), ([n; 3000], Ok(0)));
            stream.close().await.unwrap();
        }
        echo.await;
    }

    async fn reading_ends_where_the_peer_shut_down_and_writing_goes_on(self) {
        let (mut one, mut other) = self.connected().await;
        one.write_all(b"question").await.unwrap();
        one.shutdown().await.unwrap();
        assert_eq!(one.shutdown().await, Ok(()));
        assert_eq!(one.write(b"more").await, Err(Error::Closed));
        let mut question = [0; 8];
        other.read_exact(&mut question).await.unwrap();
        assert_eq!((&question, other.read(&mut [0]).await), (b"question", Ok(0)));
        other.write_all(b"answer").await.unwrap();
        let (closed, answer) = join(other.close(), async {
            let mut answer = [0; 6];
            one.read_exact(&mut answer).await.unwrap();
            assert_eq!(one.read(&mut [0]).await, Ok(0));
            answer
        })
        .await;
        assert_eq!((closed, &answer), (Ok(()), b"answer"));
        assert_eq!(one.close().await, Ok(()));
        assert_eq!(one.close().await, Err(Error::Closed));
        assert_eq!(one.read(&mut [0]).await, Err(Error::Closed));
        assert_eq!(one.write(b"x").await, Err(Error::Closed));
        assert_eq!(one.shutdown().await, Err(Error::Closed));
    }

    async fn closing_waits_for_the_peer_and_for_a_bounded_time_only(self) {
        let (mut one, mut other) = self.connected().await;
        one.write_all(b"all of it").await.unwrap();
        let begun = Instant::now();
        let late = async {
            sleep(SECOND / 5).await;
            let mut got = [0; 9];
            other.read_exact(&mut got).await.unwrap();
            other.close().await.unwrap();
        };
        let (closed, ()) = join(one.close(), late).await;
        assert_eq!(closed, Ok(()));
        assert!((SECOND / 5..SECOND * 5).contains(&begun.elapsed()));
    }

    async fn aborting_resets_and_stays_so(self) {
        let (mut one, mut other) = self.connected().await;
        other.abort();
        assert_eq!(other.read(&mut [0]).await, Err(Error::Closed));
        for _ in 0..2 {
            assert_eq!(one.read(&mut [0]).await, Err(Error::Reset));
            assert_eq!(one.write(b"x").await, Err(Error::Reset));
        }
    }

    async fn what_was_written_arrives_when_a_stream_is_dropped(self) {
        for shut in [false, true] {
            let (mut one, mut other) = self.connected().await;
            // As much as goes into the buffers at once, most of which is not sent yet.
            let bytes = pattern(1 << 20);
            let mut count = 0;
            while count < bytes.len() {
                match timeout(SECOND / 20, one.write(&bytes[count..])).await {
                    Ok(more) => count += more.unwrap(),
                    Err(_) => break,
                }
            }
            if shut {
                one.shutdown().await.unwrap();
            }
            drop(one);
            let mut got = std::vec![0; count];
            other.read_exact(&mut got).await.unwrap();
            assert!(got == bytes[..count] && count > 1000);
            assert_eq!(other.read(&mut [0]).await, Ok(0));
            assert_eq!(other.close().await, Ok(()));
        }
    }

    async fn what_was_not_read_is_a_reset_when_a_stream_is_dropped(self) {
        let (one, mut other) = self.connected().await;
        other.write_all(b"question").await.unwrap();
        other.flush().await.unwrap();
        drop(one);
        assert_eq!(other.read(&mut [0]).await, Err(Error::Reset));
        // Nor does anybody read what comes afterwards.
        let (one, mut other) = self.connected().await;
        drop(one);
        assert_eq!(other.read(&mut [0]).await, Ok(0));
        other.write_all(b"question").await.unwrap();
        let reset = async {
            while other.write(b"more").await.is_ok() {
                sleep(SECOND / 50).await;
            }
        };
        timeout(SECOND * 5, reset).await.unwrap();
    }

    async fn flushing_waits_until_the_peer_has_all(self) {
        let (mut one, mut other) = self.connected().await;
        assert_eq!(one.flush().await, Ok(()));
        one.write_all(b"some").await.unwrap();
        assert_eq!(timeout(SECOND * 5, one.flush()).await, Ok(Ok(())));
        // More than both sides have room for arrives only when it is read.
        let bytes = pattern(64 << 10);
        let mut count = 4;
        while let Ok(more) = timeout(SECOND / 4, one.write(&bytes)).await {
            count += more.unwrap();
        }
        assert!(timeout(SECOND / 4, one.flush()).await.is_err());
        let mut got = std::vec![0; count];
        let read = other.read_exact(&mut got);
        let (flushed, read) = join(timeout(SECOND * 20, one.flush()), read).await;
        assert_eq!((flushed, read.is_ok()), (Ok(Ok(())), true));
        // What does not arrive is no success.
        while let Ok(Ok(_)) = timeout(SECOND / 4, one.write(&bytes)).await {}
        other.abort();
        assert_eq!(timeout(SECOND * 5, one.flush()).await, Ok(Err(Error::Reset)));
        let (mut one, _other) = self.connected().await;
        one.shutdown().await.unwrap();
        assert_eq!(timeout(SECOND * 5, one.flush()).await, Ok(Ok(())));
        one.abort();
        assert_eq!(one.flush().await, Err(Error::Closed));
    }

    async fn each_half_ends_by_itself(self) {
        let (mut one, mut other) = self.connected().await;
        for _ in 0..2 {
            one.shutdown().await.unwrap();
            assert_eq!(other.read(&mut [0]).await, Ok(0));
            assert_eq!(other.read(&mut [0]).await, Ok(0));
            for n in 0..3 {
                other.write_all(&[n; 100]).await.unwrap();
                let mut got = [9; 100];
                one.read_exact(&mut got).await.unwrap();
                assert_eq!(got, [n; 100]);
            }
            other.shutdown().await.unwrap();
            assert_eq!(one.read(&mut [0]).await, Ok(0));
            assert_eq!(
                (one.write(b"x").await, other.write(b"x").await),
                (Err(Error::Closed), Err(Error::Closed))
            );
            // The same from the other side.
            let (next, last) = self.connected().await;
            (one, other) = (last, next);
        }
    }

    async fn what_did_not_arrive_is_no_success(self) {
        let (mut one, other) = self.connected().await;
        // More than both sides have room for.
        let bytes = pattern(64 << 10);
        while timeout(SECOND / 4, one.write_all(&bytes)).await.is_ok() {}
        let (closed, ()) = join(one.close(), async {
            sleep(SECOND / 10).await;
            other.abort();
        })
        .await;
        assert_eq!(closed, Err(Error::Reset));
    }

    async fn a_writer_waits_for_a_reader_and_nothing_is_lost(self) {
        const LENGTH: usize = 16 << 20;
        let (mut one, mut other) = self.connected().await;
        let bytes = pattern(LENGTH);
        let begun = Instant::now();
        let mut written = 0;
        while let Ok(count) = timeout(SECOND / 4, one.write(&bytes[written..])).await {
            written += count.unwrap();
        }
        assert!(written < LENGTH, "{written} bytes went nowhere");
        assert!(begun.elapsed() >= SECOND / 4);
        let mut got = std::vec![0; LENGTH];
        let (read, rest) = join(other.read_exact(&mut got), one.write_all(&bytes[written..])).await;
        assert!(read.is_ok() && rest.is_ok() && got == bytes);
        let (one, other) = join(one.close(), other.close()).await;
        assert_eq!((one, other), (Ok(()), Ok(())));
    }

    async fn both_halves_work_side_by_side(self) {
        const LENGTH: usize = 1 << 20;
        async fn half(stream: &mut impl Stream) {
            let bytes = pattern(LENGTH);
            let (mut reader, mut writer) = stream.split();
            let mut got = std::vec![0; LENGTH];
            let (read, written) = join(reader.read_exact(&mut got), writer.write_all(&bytes)).await;
            assert!(read.is_ok() && written.is_ok() && got == bytes);
        }
        let (mut one, mut other) = self.connected().await;
        join(half(&mut one), half(&mut other)).await;
    }

    async fn a_hundred_connections_are_open_at_once(self) {
        // As many as a small machine of 4 MiB has buffers for, and their ends.
        let most = 100;
        let listener = Tcp::bind(&self.there, any(0)).await.unwrap();
        let mut open = Vec::new();
        for _ in 0..most {
            let to = self.at(listener.local_addr().port());
            let (one, other) = join(self.here.connect(to), listener.accept()).await;
            open.push((one.unwrap(), other.unwrap().0));
        }
        for (n, (one, _)) in open.iter_mut().enumerate() {
            one.write_all(&[n as u8]).await.unwrap();
        }
        for (n, (_, other)) in open.iter_mut().enumerate() {
            let mut got = [0];
            other.read_exact(&mut got).await.unwrap();
            assert_eq!(got, [n as u8]);
        }
    }

    async fn datagrams_keep_their_limits_and_senders(self) {
        let (one, other) = (
            Udp::bind(&self.here, any(0)).await.unwrap(),
            Udp::bind(&self.there, any(0)).await.unwrap(),
        );
        let to = self.at(other.local_addr().port());
        one.send_to(b"question", to).await.unwrap();
        one.send_to(b"", to).await.unwrap();
        one.send_to(b"long", to).await.unwrap();
        let mut datagram = [0; 64];
        let (length, peer) = other.recv_from(&mut datagram).await.unwrap();
        assert_eq!((&datagram[..length], peer.port()), (&b"question"[..], one.local_addr().port()));
        assert_eq!(other.recv_from(&mut datagram).await, Ok((0, peer)));
        assert_eq!(other.recv_from(&mut datagram[..2]).await.unwrap().0, 2);
        other.send_to(b"answer", peer).await.unwrap();
        assert_eq!(one.recv_from(&mut datagram).await, Ok((6, to)));
        assert_eq!(one.send_to(&[0; 70_000], to).await, Err(Error::TooLong));
        let mut waiting = pin!(one.recv_from(&mut datagram));
        assert!(timeout(SECOND / 20, &mut waiting).await.is_err());
        other.send_to(b"late", peer).await.unwrap();
        assert_eq!(waiting.await, Ok((4, to)));
    }

    async fn an_address_is_its_own_name(self) {
        for name in ["192.0.2.7", "2001:db8::7"] {
            let found = self.here.resolve(name).await.unwrap();
            assert_eq!(&found[..], [name.parse::<IpAddr>().unwrap()]);
        }
        for name in ["", "a..b", "a b", &"x".repeat(64)] {
            assert_eq!(self.here.resolve(name).await, Err(Error::BadName), "{name:?}");
        }
    }

    async fn pings_are_answered(self) {
        match self.here.ping(self.address, 56, SECOND * 5).await {
            // Linux's sockets need a permission, which few systems give by default.
            Err(Error::Denied) => std::eprintln!("left out: net.ipv4.ping_group_range"),
            time => assert!(time.unwrap() < SECOND * 5),
        }
    }
}

/// Sockets of one machine.
fn sockets<F: Future>(address: IpAddr, run: impl FnOnce(Site<Sockets>) -> F) {
    block_on(async {
        let here = Sockets::new();
        // A machine may have IPv4 alone.
        if Udp::bind(&here, any(0))
            .await
            .unwrap()
            .send_to(b"", SocketAddr::new(address, 9))
            .await
            .is_err()
        {
            std::eprintln!("left out: no way to {address}");
            return;
        }
        let site = Site { here: here.clone(), there: here.clone(), address };
        run(site).await;
        assert_eq!(here.stats().open, 0);
    });
}

macro_rules! conform {
    ($($name:ident),* $(,)?) => {
        mod stack_ {
            $(#[test]
            fn $name() {
                for address in [super::B, super::B6] {
                    super::pair(|here, there| super::Site { here, there, address }.$name());
                }
            })*
        }

        mod sockets_ {
            $(#[test]
            fn $name() {
                let (four, six) = (super::Ipv4Addr::LOCALHOST, super::Ipv6Addr::LOCALHOST);
                super::sockets(four.into(), |site| site.$name());
                super::sockets(six.into(), |site| site.$name());
            })*
        }

        /// Through the choice between both, as a process has it.
        mod either_ {
            $(#[test]
            fn $name() {
                let [here, there] = [(); 2].map(|()| crate::Ip::Second(super::Sockets::new()));
                let address = super::Ipv4Addr::LOCALHOST.into();
                super::block_on(super::Site { here, there, address }.$name());
            })*
        }
    };
}

conform! {
    both_ends_know_each_other,
    what_is_bound_to_one_address_is_for_that_alone,
    an_address_that_is_not_ours_cannot_be_bound_to,
    a_port_is_taken_once_and_free_again,
    a_port_of_which_a_connection_ends_is_free,
    nobody_listening_is_a_refusal,
    dropping_a_listener_resets_who_was_not_accepted,
    what_is_written_comes_back,
    reading_ends_where_the_peer_shut_down_and_writing_goes_on,
    closing_waits_for_the_peer_and_for_a_bounded_time_only,
    aborting_resets_and_stays_so,
    what_was_written_arrives_when_a_stream_is_dropped,
    what_was_not_read_is_a_reset_when_a_stream_is_dropped,
    flushing_waits_until_the_peer_has_all,
    each_half_ends_by_itself,
    what_did_not_arrive_is_no_success,
    a_writer_waits_for_a_reader_and_nothing_is_lost,
    both_halves_work_side_by_side,
    giving_up_on_a_read_loses_nothing,
    all_who_wait_to_read_are_woken,
    all_who_wait_to_write_are_woken,
    all_who_wait_to_accept_are_woken_and_one_gets_it,
    a_connection_that_begins_is_open_when_it_can_be_written,
    a_connection_begins_from_the_port_that_is_said,
    options_are_what_they_were_set_to,
    a_hundred_connections_are_open_at_once,
    datagrams_keep_their_limits_and_senders,
    an_address_is_its_own_name,
    pings_are_answered,
}

#[test]
fn linux_s_resolver_is_asked() {
    block_on(async {
        let ip = Sockets::new();
        let found = ip.resolve("localhost").await.unwrap();
        assert!(found.iter().all(IpAddr::is_loopback) && !found.is_empty(), "{found:?}");
        let nowhere = ip.resolve("xenith.invalid").await;
        // What a machine without a name server says.
        assert!(matches!(nowhere, Err(Error::NoSuchName | Error::TimedOut)), "{nowhere:?}");
    });
}
