//! Takes all that comes by TCP on port 9, and sends as much as the peer takes on
//! port 19: what bulk costs.
//!
//! test: client "head -c 3000000 /dev/zero | nc.openbsd -N -w 5 $IP 9"
//! test: client "nc.openbsd -d -w 5 $IP 19 | head -c 3000000 | wc -c | grep 3000000"
//! test: no-verdict
//! test: not-in-check

#![no_std]
#![no_main]

use embedded_io_async::{Read, Write};
use kernel::task::{Either, select};
use xenith::Ip;
use xenith::ip::{Error, Listener, Tcp, any};

kernel::unikernel! {
    /// Takes and sends what measures bulk.
    name: "bench_net",
    memory: 4 MiB,
    devices: { ip: Ip("0") },
    main: start,
}

/// Bytes that are read or written at a time.
const PIECE: usize = 16 << 10;

/// What is sent.
static SENT: [u8; PIECE] = [b'x'; PIECE];

async fn discard(listener: impl Listener) -> Error {
    let mut piece = [0; PIECE];
    loop {
        match listener.accept().await {
            Ok((mut stream, _)) => {
                while !matches!(stream.read(&mut piece).await, Ok(0) | Err(_)) {}
            }
            Err(Error::Exhausted) => {}
            Err(error) => return error,
        }
    }
}

async fn generate(listener: impl Listener) -> Error {
    loop {
        match listener.accept().await {
            Ok((mut stream, _)) => while stream.write_all(&SENT).await.is_ok() {},
            Err(Error::Exhausted) => {}
            Err(error) => return error,
        }
    }
}

async fn start(ip: impl Tcp) -> Result<(), Error> {
    let (taking, giving) = (ip.bind(any(9)).await?, ip.bind(any(19)).await?);
    kernel::println!("bench_net: listening on ports 9 and 19");
    match select(discard(taking), generate(giving)).await {
        Either::First(error) | Either::Second(error) => Err(error),
    }
}
