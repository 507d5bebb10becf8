//! Connections that end while something is under way.

use super::*;
use core::time::Duration;
use kernel::time::sleep;

/// Both ends of a connection that has carried something each way.
async fn open(near: &Stack<End>, far: Stack<End>) -> [Tls<<Stack<End> as Tcp>::Stream>; 2] {
    let listener = Server::new(far, server()).bind(port()).await.unwrap();
    let stream = near.connect(port()).await.unwrap();
    let mut tls = Tls::connect(stream, WWW, &client()).unwrap();
    let (mut accepted, _) = listener.accept().await.unwrap();
    let one = async {
        tls.write_all(b"a").await.unwrap();
        tls.read_exact(&mut [0]).await.unwrap();
    };
    let other = async {
        accepted.read_exact(&mut [0]).await.unwrap();
        accepted.write_all(b"b").await.unwrap();
    };
    join(one, other).await;
    [tls, accepted]
}

/// What comes to the end, and how that is.
async fn rest<S: ip::Stream>(stream: &mut S) -> (Vec<u8>, Result<usize, ip::Error>) {
    let (mut all, mut buffer) = (Vec::new(), [0; 1000]);
    loop {
        match stream.read(&mut buffer).await {
            Ok(count @ 1..) => all.extend_from_slice(&buffer[..count]),
            end => return (all, end),
        }
    }
}

#[test]
fn what_is_dropped_ends_in_order_behind_what_was_written() {
    on_a_cable(async |near, far| {
        let [mut one, mut other] = open(&near, far).await;
        one.write_all(b"question").await.unwrap();
        drop(one);
        assert_eq!(rest(&mut other).await, (b"question".to_vec(), Ok(0)));
        assert_eq!(other.failure(), None);
    });
    // What is held back is no less written.
    on_a_cable(async |near, far| {
        let [mut one, mut other] = open(&near, far).await;
        let written = core::future::poll_fn(|context| other.poll_write_more(context, b"held"));
        assert_eq!(written.await, Ok(4));
        drop(other);
        assert_eq!(rest(&mut one).await, (b"held".to_vec(), Ok(0)));
    });
}

#[test]
fn what_is_dropped_with_bytes_that_nobody_takes_is_reset() {
    on_a_cable(async |near, far| {
        let [mut one, other] = open(&near, far).await;
        while other.try_write(&[7; 5000]).unwrap().is_some() {}
        drop(other);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(rest(&mut one).await.1, Err(ip::Error::Reset));
        assert_ne!(one.failure(), Some(Error::Truncated));
    });
    on_a_cable(async |near, far| {
        let [mut one, mut other] = open(&near, far).await;
        one.write_all(b"two parts").await.unwrap();
        other.read_exact(&mut [0]).await.unwrap();
        drop(other);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(rest(&mut one).await.1, Err(ip::Error::Reset));
    });
}

#[test]
fn what_the_peer_said_is_read_though_it_takes_nothing_any_more() {
    on_a_cable(async |near, far| {
        let [mut one, mut other] = open(&near, far).await;
        other.write_all(b"no more").await.unwrap();
        one.write_all(b"a body").await.unwrap();
        sleep(Duration::from_secs(1)).await;
        // With bytes that it has not read.
        other.below().abort();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(one.write(b"that goes on").await, Err(ip::Error::Reset));
        assert_eq!(one.write(b"and on").await, Err(ip::Error::Reset));
        assert_eq!(rest(&mut one).await, (b"no more".to_vec(), Err(ip::Error::Reset)));
    });
}
