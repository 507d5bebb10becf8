//! What is left of connections that both ends have ended.

use super::*;
use core::future::poll_fn;
use kernel::task::join;
use kernel::time::sleep;

/// Opens and ends a connection from a port, which `first` closes before the other side does.
async fn come_and_go(
    a: &Stack<End>,
    b: &Stack<End>,
    listener: &TcpListener,
    port: u16,
    first: bool,
) -> Result<(), Error> {
    let one = a.open(any(port), SocketAddr::new(B, listener.local_addr().port()))?;
    let (opened, accepted) =
        join(poll_fn(|context| one.poll_writable(context)), listener.accept()).await;
    opened?;
    let other = accepted?.0;
    let (mut before, mut after) = if first { (one, other) } else { (other, one) };
    before.shutdown().await?;
    assert_eq!(after.read(&mut [0]).await, Ok(0));
    after.close().await?;
    before.close().await?;
    drop((before, after));
    sleep(SECOND / 10).await;
    // What waits is no connection any more, at either side.
    assert_eq!((a.sockets(), b.sockets()), (0, 0));
    Ok(())
}

#[test]
fn whoever_ended_first_a_port_is_used_again() {
    pair(|a, b| async move {
        let listener = Tcp::bind(&b, any(80)).await.unwrap();
        for _ in 0..20 {
            // It is over there that it waits: a later SYN takes its place (RFC 6191).
            assert_eq!(come_and_go(&a, &b, &listener, 5000, false).await, Ok(()));
        }
        sleep(SECOND).await;
        assert_eq!(come_and_go(&a, &b, &listener, 5000, true).await, Ok(()));
        // It is here: not within a second, for which timestamps may be alike.
        let again = come_and_go(&a, &b, &listener, 5000, true).await;
        assert_eq!(again, Err(Error::InUse(5000)));
        sleep(SECOND).await;
        assert_eq!(come_and_go(&a, &b, &listener, 5000, true).await, Ok(()));
        sleep(SECOND * 62).await;
        assert_eq!(come_and_go(&a, &b, &listener, 5000, true).await, Ok(()));
    });
}
