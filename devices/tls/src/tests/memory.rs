//! A machine that has little memory left.

use super::*;
use core::future::poll_fn;
use core::time::Duration;
use kernel::testing::{simulate_memory, simulate_memory_use};
use kernel::time::{sleep, timeout};

const ALL: usize = 64 << 20;

/// Bytes in use while memory is low, and while it is nearly gone.
const LOW: usize = ALL - ALL / 20;
const GONE: usize = ALL - ALL / 40;

/// Others give memory back.
async fn memory_after(time: Duration) {
    sleep(time).await;
    simulate_memory_use(0);
}

#[test]
fn what_is_open_goes_on_while_memory_is_low_and_waits_while_it_is_nearly_gone_s8() {
    simulate_memory(ALL);
    on_a_cable(async |near, far| {
        let listener = Server::new(far, server()).bind(port()).await.unwrap();
        let stream = near.connect(port()).await.unwrap();
        let mut tls = Tls::connect(stream, WWW, &client()).unwrap();
        let served = spawn(echo(listener.accept().await.unwrap().0));
        tls.handshake().await.unwrap();
        let late = near.connect(port()).await.unwrap();
        let late = Tls::connect(late, WWW, &client()).unwrap();
        let _late = listener.accept().await.unwrap();

        simulate_memory_use(LOW);
        let mut back = [0; 4];
        tls.write_all(b"some").await.unwrap();
        tls.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"some");
        assert_eq!(late.handshake().await, Err(Error::Memory));

        simulate_memory_use(GONE);
        let moment = Duration::from_secs(1);
        assert_eq!(tls.try_write(b"more"), Ok(None));
        assert!(timeout(moment, tls.write(b"more")).await.is_err());
        assert!(timeout(moment, tls.read(&mut back)).await.is_err());
        let more = async {
            tls.write_all(b"more").await.unwrap();
            tls.read_exact(&mut back).await.unwrap();
        };
        timeout(moment * 2, join(more, memory_after(moment))).await.unwrap();
        assert_eq!(&back, b"more");

        // What is held back is not lost meanwhile.
        let written = poll_fn(|context| tls.poll_write_more(context, b"held")).await;
        assert_eq!(written, Ok(4));
        simulate_memory_use(GONE);
        let flush = poll_fn(|context| tls.poll_flush(context));
        assert!(timeout(moment, flush).await.is_err());
        let close = async {
            tls.shutdown().await.unwrap();
            tls.read_exact(&mut back).await.unwrap();
            assert_eq!(tls.read(&mut [0]).await, Ok(0));
        };
        timeout(moment * 2, join(close, memory_after(moment))).await.unwrap();
        assert_eq!(&back, b"held");
        served.await.unwrap();
    });
    simulate_memory(0);
}

#[test]
fn a_stream_is_no_larger_for_being_encrypted_as_futures_hold_several_of_one() {
    let below = size_of::<ip::TcpStream>();
    assert_eq!(size_of::<Tls<ip::TcpStream>>(), below + size_of::<usize>());
}
