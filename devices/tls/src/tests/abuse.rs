//! Peers that break the rules, or take their time.

use super::*;
use alloc::collections::VecDeque;
use core::cell::Cell;
use core::future::poll_fn;
use core::time::Duration;
use kernel::time::{Instant, sleep};

/// What the server makes of a client that sends `bytes` as they are, and what it answers.
fn answer(bytes: &[u8]) -> (Result<(), Error>, Vec<u8>) {
    on_a_cable(async |near, far| {
        let listener = Server::new(far, server()).bind(port()).await.unwrap();
        let mut raw = near.connect(port()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let served = spawn(async move {
            let mut accepted = accepted;
            let result = accepted.handshake().await;
            let _ = accepted.close().await;
            result
        });
        raw.write_all(bytes).await.unwrap();
        raw.shutdown().await.unwrap();
        let (mut said, mut buffer) = (Vec::new(), [0; 1000]);
        while let Ok(count @ 1..) = raw.read(&mut buffer).await {
            said.extend_from_slice(&buffer[..count]);
        }
        (served.await, said)
    })
}

#[test]
fn what_is_not_tls_is_refused_with_an_alert() {
    let long = [&[22, 3, 1, 0x40, 1][..], &[0; 16_385]].concat();
    let huge = [&[22, 3, 1, 0x41, 1][..], &[0; 16_641]].concat();
    let hello = [&[22, 3, 1, 0, 8, 1, 0xff, 0xff, 0xff][..], &[0; 4]].concat();
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 100],
        &[21, 3, 3, 0, 2, 2, 40],
        &huge,
        &long,
        &hello,
    ] {
        let (result, said) = answer(bytes);
        assert!(
            matches!(result, Err(Error::Protocol(_) | Error::Alert(_) | Error::TooLong)),
            "{:?}: {result:?}",
            &bytes[..bytes.len().min(9)]
        );
        // An alert, or nothing: never more than that.
        assert!(said.is_empty() || said[0] == 21 && said.len() == 7, "{said:?}");
    }
    assert_eq!(answer(&[]).0, Err(Error::Truncated));
    assert_eq!(answer(&[22, 3, 1, 0, 200, 1]).0, Err(Error::Truncated));
}

#[test]
fn a_byte_a_second_does_not_hold_a_handshake() {
    on_a_cable(async |near, far| {
        let listener = Server::new(far, server()).bind(port()).await.unwrap();
        let mut raw = near.connect(port()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let drips = spawn(async move {
            for byte in [22, 3, 1, 1, 0].into_iter().chain([1; 100]) {
                if raw.write_all(&[byte]).await.is_err() {
                    break;
                }
                sleep(Duration::from_secs(1)).await;
            }
        });
        let begun = Instant::now();
        assert_eq!(accepted.handshake().await, Err(Error::TimedOut));
        assert_eq!(begun.elapsed().as_secs(), 10);
        drop(accepted);
        drips.await;
    });
}

#[test]
fn a_handshake_too_many_takes_the_place_of_the_oldest() {
    on_a_cable(async |near, far| {
        let listener = Server::new(far, server()).handshakes(8).bind(port()).await.unwrap();
        let mut held = VecDeque::new();
        for _ in 0..12 {
            let raw = near.connect(port()).await.unwrap();
            let (accepted, _) = listener.accept().await.unwrap();
            let waits = spawn(async move { (accepted.handshake().await, Instant::now()) });
            held.push_back((raw, waits));
            sleep(Duration::from_millis(1)).await;
        }
        // Who finishes a handshake needs no place any more.
        for _ in 0..2 {
            let stream = near.connect(port()).await.unwrap();
            let tls = Tls::connect(stream, WWW, &client()).unwrap();
            let (accepted, _) = listener.accept().await.unwrap();
            let served = spawn(echo(accepted));
            assert_eq!(exchange(tls, b"served").await.unwrap(), b"served");
            assert_eq!(served.await, Ok(()));
        }
        // Twelve and one are five too many; those ended at once, the others have their time.
        let begun = Instant::now();
        for number in 0..12 {
            let (raw, waits) = held.pop_front().unwrap();
            let (result, ended) = waits.await;
            let crowded = number < 5;
            let error = if crowded { Error::Crowded } else { Error::TimedOut };
            assert_eq!(result, Err(error), "{number}");
            assert_eq!(ended <= begun, crowded, "{number}");
            drop(raw);
        }
    });
}

#[test]
fn who_writes_and_waits_for_something_else_has_its_last_record_sent() {
    on_a_cable(async |near, far| {
        let listener = Server::new(far, server()).bind(port()).await.unwrap();
        let tls = Tls::connect(near.connect(port()).await.unwrap(), WWW, &client()).unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let filled = Rc::new(Cell::new(0));
        let count = Rc::clone(&filled);
        let served = spawn(async move {
            let mut accepted = accepted;
            accepted.handshake().await.unwrap();
            // Until a record is in the way that the connection below has no room for.
            while let Some(more) = accepted.try_write(&[7; 5000]).unwrap() {
                count.set(count.get() + more);
            }
            poll_fn(|context| accepted.poll_flush(context)).await.unwrap();
            sleep(Duration::from_secs(1000)).await;
        });
        tls.handshake().await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let (mut tls, mut buffer, mut come) = (tls, [0; 1000], 0);
        let begun = Instant::now();
        assert!(filled.get() > 0);
        while come < filled.get() {
            come += tls.read(&mut buffer).await.unwrap();
        }
        assert!(begun.elapsed() < Duration::from_secs(100), "{:?}", begun.elapsed());
        drop(served);
    });
}

#[test]
fn an_end_without_close_notify_is_no_end() {
    on_a_cable(async |near, far| {
        let listener = far.bind(port()).await.unwrap();
        let tls = Tls::connect(near.connect(port()).await.unwrap(), WWW, &client()).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let cut = spawn(async move {
            let mut tls = Tls::accept(stream, &server()).unwrap();
            tls.write_all(b"half of i").await.unwrap();
            tls.below().shutdown().await
        });
        let mut tls = tls;
        let mut buffer = [0; 100];
        assert_eq!(tls.read(&mut buffer).await, Ok(9));
        assert_eq!(tls.read(&mut buffer).await, Err(ip::Error::Reset));
        assert_eq!(tls.failure(), Some(Error::Truncated));
        drop(tls);
        let _ = cut.await;
    });
}

#[test]
fn an_idle_connection_has_no_buffers() {
    on_a_cable(async |near, far| {
        let listener = Server::new(far, server()).bind(port()).await.unwrap();
        let tls = Tls::connect(near.connect(port()).await.unwrap(), WWW, &client()).unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let (one, other) = join(tls.handshake(), accepted.handshake()).await;
        assert_eq!((one, other), (Ok(()), Ok(())));
        let wait = poll_fn(|context| accepted.poll_readable(context));
        let waited = kernel::time::timeout(Duration::from_secs(1), wait).await;
        assert!(waited.is_err());
        assert_eq!(accepted.buffered(), 0);
    });
}
