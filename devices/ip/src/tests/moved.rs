//! Connections that go on in another stack on the same interface, as in an update.

use super::hostile::{frames, segment, send};
use super::*;
use crate::tcp::segment::{ACK, SYN};
use devices::net::Meta;
use embedded_io_async::{Read, Write};
use kernel::task::{join, spawn, yield_now};
use kernel::time::{sleep, timeout};

/// What a stack hands over, which says nothing from then on.
fn saved(old: &Stack<End>) -> Vec<u8> {
    old.shared.frozen.set(true);
    old.shared.engine().save(usize::MAX).unwrap()
}

/// The stack that goes on with it, if it is of use.
fn restored(bytes: &[u8], net: &End) -> Option<Stack<End>> {
    let new = stack(net.clone(), 2);
    new.shared.frozen.set(true);
    let taken = new.shared.engine().restore(bytes);
    new.shared.thaw();
    taken.map(|()| new)
}

/// A client, the stack of a server, and the interface of that.
fn served<F: Future>(run: impl FnOnce(Stack<End>, Stack<End>, End) -> F) -> F::Output {
    kernel::testing::simulate_time();
    block_on(async {
        let (a, b) = cable(Options::default());
        run(stack(a, 1), stack(b.clone(), 2), b).await
    })
}

/// Opens a connection.
async fn opened(a: &Stack<End>, b: &Stack<End>) -> (TcpStream, TcpStream, TcpListener) {
    let listener = Tcp::bind(b, any(80)).await.unwrap();
    let (one, other) = join(a.connect(SocketAddr::new(B, 80)), listener.accept()).await;
    (one.unwrap(), other.unwrap().0, listener)
}

#[test]
fn bytes_each_way_arrive_whole_though_the_server_is_replaced_again_and_again() {
    served(async |a, b, net| {
        let (mut client, mut server, _listener) = opened(&a, &b).await;
        let length = 400_000;
        let task = spawn(async move {
            let (mut reader, mut writer) = client.split();
            let read = async {
                let mut got = std::vec![0; length];
                reader.read_exact(&mut got).await.unwrap();
                got
            };
            let whole = pattern(length);
            let (got, written) = join(read, writer.write_all(&whole)).await;
            written.unwrap();
            (got, client)
        });
        let mut stacks = std::vec![b];
        let (mut got, mut sent) = (Vec::new(), 0);
        for round in 0..30 {
            let mut piece = std::vec![0; 3000 + 700 * round];
            let count = server.read(&mut piece).await.unwrap();
            // Some of it is read again.
            let kept = count - count / 3;
            got.extend_from_slice(&piece[..kept]);
            sent += server.write(&pattern(length)[sent..]).await.unwrap();
            if round % 4 == 1 {
                sleep(Duration::from_millis(3)).await;
            }
            server.leave(&piece[kept..count]);
            let bytes = saved(stacks.last().unwrap());
            let new = restored(&bytes, &net).unwrap();
            let listener = Tcp::bind(&new, any(80)).await.unwrap();
            server = timeout(SECOND, listener.accept()).await.unwrap().unwrap().0;
            stacks.push(new);
        }
        let (mut reader, mut writer) = server.split();
        let read = async {
            let mut rest = std::vec![0; length - got.len()];
            reader.read_exact(&mut rest).await.unwrap();
            got.extend_from_slice(&rest);
        };
        let whole = pattern(length);
        join(read, writer.write_all(&whole[sent..])).await.1.unwrap();
        let (answer, mut client) = task.await;
        assert!(got == whole && answer == whole);
        let (one, other) = join(client.close(), server.close()).await;
        one.unwrap();
        other.unwrap();
        assert!(stacks.iter().all(|it| it.stats().refused == 0));
    });
}

#[test]
fn it_goes_on_in_each_state() {
    for (client_ends, server_ends) in [(false, false), (true, false), (false, true), (true, true)] {
        for settled in [false, true] {
            served(async |a, b, net| {
                let (mut client, mut server, _listener) = opened(&a, &b).await;
                server.write_all(b"answer").await.unwrap();
                if client_ends {
                    client.write_all(b"question").await.unwrap();
                    client.shutdown().await.unwrap();
                }
                if server_ends {
                    server.shutdown().await.unwrap();
                }
                if settled {
                    sleep(SECOND).await;
                }
                let stays_behind = client_ends && server_ends && settled;
                server.leave(b"");
                let new = restored(&saved(&b), &net).unwrap();
                let listener = Tcp::bind(&new, any(80)).await.unwrap();
                let mut answer = [0; 6];
                client.read_exact(&mut answer).await.unwrap();
                assert_eq!(&answer, b"answer");
                if server_ends {
                    // Nobody holds it: it closes in order, or it is in TIME-WAIT and stays behind.
                    let end = timeout(SECOND * 2, client.read(&mut answer)).await.unwrap();
                    assert!(end == Ok(0), "{client_ends} {settled}: {end:?}");
                    assert!(listener.try_accept().unwrap().is_none());
                } else {
                    let mut server = listener.accept().await.unwrap().0;
                    if client_ends {
                        let mut question = [0; 9];
                        assert_eq!(server.read(&mut question).await, Ok(8));
                        assert_eq!(server.read(&mut question).await, Ok(0));
                    }
                    server.write_all(b"more").await.unwrap();
                    client.read_exact(&mut answer[..4]).await.unwrap();
                    assert_eq!(&answer[..4], b"more");
                }
                let closed = timeout(SECOND * 2, client.close()).await;
                assert!(stays_behind || !server_ends || closed == Ok(Ok(())), "{closed:?}");
            });
        }
    }
}

#[test]
fn without_a_successor_all_goes_on() {
    served(async |a, b, _net| {
        let (mut client, mut server, listener) = opened(&a, &b).await;
        client.write_all(b"one two").await.unwrap();
        let mut word = [0; 3];
        server.read_exact(&mut word).await.unwrap();
        server.leave(&word);
        drop(server);
        saved(&b);
        client.write_all(b" three").await.unwrap();
        sleep(SECOND).await;
        b.shared.engine().resume();
        b.shared.thaw();
        let mut server = timeout(SECOND, listener.accept()).await.unwrap().unwrap().0;
        let mut all = [0; 13];
        server.read_exact(&mut all).await.unwrap();
        assert_eq!(&all, b"one two three");
        server.write_all(b"yes").await.unwrap();
        client.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"yes");
    });
}

#[test]
fn what_holds_more_than_there_is_room_for_stays_behind_alone() {
    served(async |a, b, net| {
        let listener = Tcp::bind(&b, any(80)).await.unwrap();
        let mut clients = Vec::new();
        for length in [10, 30_000, 200] {
            let mut client = a.connect(SocketAddr::new(B, 80)).await.unwrap();
            client.write_all(&pattern(length)).await.unwrap();
            clients.push((client, length));
        }
        // Nobody reads, or accepts two of the three.
        let (mut held, _) = listener.accept().await.unwrap();
        sleep(SECOND).await;
        held.leave(b"");
        b.shared.frozen.set(true);
        let bytes = b.shared.engine().save(20_000).unwrap();
        assert!((210..20_000).contains(&bytes.len()), "{}", bytes.len());
        let new = restored(&bytes, &net).unwrap();
        let listener = Tcp::bind(&new, any(80)).await.unwrap();
        for _ in 0..2 {
            let (mut stream, _) = timeout(SECOND, listener.accept()).await.unwrap().unwrap();
            let mut all = [0; 300];
            let count = stream.read(&mut all).await.unwrap();
            assert_eq!(all[..count], pattern(count));
            stream.write_all(&all[..count]).await.unwrap();
        }
        for (mut client, length) in clients {
            let mut piece = [0; 300];
            let _ = client.write(b"more").await;
            let read = timeout(SECOND * 5, client.read(&mut piece)).await.unwrap();
            match length {
                30_000 => assert_eq!(read, Err(Error::Reset)),
                _ => assert_eq!(read, Ok(length)),
            }
        }
    });
}

#[test]
fn what_was_asked_for_is_confirmed_to_the_successor() {
    kernel::testing::simulate_time();
    block_on(async {
        let (left, right) = cable(Options::default());
        let old = stack(right.clone(), 2);
        let _listener = Tcp::bind(&old, any(80)).await.unwrap();
        left.set_link(true);
        send(&left, &segment([10, 0, 0, 1], 1000, SYN, 7, 0), Meta::default());
        sleep(SECOND / 10).await;
        let answer = frames(&left).into_iter().find(|it| it[12] == 8 && it[47] == SYN | ACK);
        let answer = answer.expect("there is an answer");
        let iss = u32::from_be_bytes(answer[38..42].try_into().unwrap());
        let new = restored(&saved(&old), &right).unwrap();
        // Before it listens: what confirms is kept as well.
        send(&left, &segment([10, 0, 0, 1], 1000, ACK, 8, iss + 1), Meta::default());
        sleep(SECOND / 10).await;
        let listener = Tcp::bind(&new, any(80)).await.unwrap();
        let accepted = timeout(SECOND, listener.accept()).await.unwrap().unwrap();
        assert_eq!(accepted.1.port(), 1000);
    });
}

#[test]
fn whatever_is_handed_over_is_taken_or_refused() {
    served(async |a, b, net| {
        let (mut client, mut server, _listener) = opened(&a, &b).await;
        client.write_all(b"question").await.unwrap();
        server.write_all(b"answer").await.unwrap();
        yield_now().await;
        server.leave(b"and");
        let bytes = saved(&b);
        // It may be cut before the connection alone.
        let whole = (0..bytes.len()).filter(|&at| restored(&bytes[..at], &net).is_some()).count();
        assert!(whole <= 1, "{whole}");
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            let Some(stack) = restored(&other, &net) else { continue };
            let listener = Tcp::bind(&stack, any(80)).await.unwrap();
            if let Ok(Some((mut stream, _))) = listener.try_accept() {
                let mut piece = [0; 100];
                let _ = stream.try_read(&mut piece);
                let _ = stream.try_write(&piece);
                // However that ends.
                let _ = timeout(SECOND * 3, stream.close()).await;
            }
            // It does not run any more.
            stack.shared.frozen.set(true);
        }
    });
}

#[test]
fn who_asks_before_the_new_image_listens_is_answered_when_it_does() {
    served(async |a, b, net| {
        let (_client, server, _listener) = opened(&a, &b).await;
        drop(server);
        let new = restored(&saved(&b), &net).unwrap();
        let begun = Instant::now();
        let server = async {
            sleep(Duration::from_millis(300)).await;
            // Another port is of no use to it.
            let _other = Tcp::bind(&new, any(81)).await.unwrap();
            sleep(Duration::from_millis(100)).await;
            let listener = Tcp::bind(&new, any(80)).await.unwrap();
            (listener.accept().await.unwrap(), listener)
        };
        let (client, (_server, listener)) = join(a.connect(SocketAddr::new(B, 80)), server).await;
        client.unwrap();
        assert_eq!(begun.elapsed().as_millis(), 400);
        assert_eq!((new.stats().refused, new.stats().accepted), (0, 1));
        // On a port on which nobody listens in the end, he is refused, later.
        drop(listener);
        sleep(SECOND).await;
        let begun = Instant::now();
        let refused = a.connect(SocketAddr::new(B, 80)).await;
        assert_eq!(refused.err(), Some(Error::Refused));
        assert!((3..8).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
        let refused = timeout(SECOND, a.connect(SocketAddr::new(B, 80))).await;
        assert_eq!(refused.unwrap().err(), Some(Error::Refused));
    });
}

#[test]
fn what_is_kept_for_listeners_is_bounded() {
    kernel::testing::simulate_time();
    block_on(async {
        let (left, right) = cable(Options { capacity: 2000, ..Options::default() });
        let old = stack(right.clone(), 2);
        yield_now().await;
        left.set_link(true);
        let new = restored(&saved(&old), &right).unwrap();
        for port in 1..2000 {
            send(&left, &segment([10, 0, 0, 1], port, SYN, 7, 0), Meta::default());
            yield_now().await;
        }
        let refused = new.stats().refused;
        assert!((1600..1999).contains(&refused), "{refused}");
    });
}
