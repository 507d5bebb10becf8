//! What becomes of connections when the program returns.

use super::*;
use embedded_io_async::{Read, Write};
use kernel::shutdown::finished;
use kernel::task::{Task, spawn};
use kernel::time::{Instant, sleep, timeout};

/// What a client reads until the end, or why it does not get there.
type Got = Result<Vec<u8>, Error>;

/// How a program comes to its end that has written to a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// It drops the connection by returning.
    Returns,
    /// A task of its own keeps it.
    Keeps,
    /// It dropped the connection a second before.
    Drops,
}

/// Runs a program that writes as much as the stack takes at once, and returns. What the
/// client got, of how many bytes, and how long the end took.
fn ended(how: How, reads: bool) -> (Option<Got>, usize, Duration) {
    // A machine of its own: it ends once.
    std::thread::spawn(move || run(how, reads)).join().unwrap()
}

fn run(how: How, reads: bool) -> (Option<Got>, usize, Duration) {
    kernel::testing::simulate_time();
    let (client, count) = block_on(async {
        let (a, b) = cable(Options::default());
        let (server, client) = (stack(a, 1), stack(b, 2));
        let listener = Tcp::bind(&server, any(7)).await.unwrap();
        let client: Task<Got> = spawn(async move {
            let mut stream = client.connect(SocketAddr::new(A, 7)).await?;
            let (mut got, mut piece) = (Vec::new(), [0; 1000]);
            if !reads {
                sleep(SECOND * 3600).await;
            }
            loop {
                match stream.read(&mut piece).await? {
                    0 => return Ok(got),
                    count => got.extend_from_slice(&piece[..count]),
                }
            }
        });
        let mut stream = listener.accept().await.unwrap().0;
        let mut count = 0;
        // More than both buffers, where it does not read.
        let bytes = pattern(if reads { 100_000 } else { 4_000_000 });
        while let Ok(more) = timeout(SECOND, stream.write(&bytes[count..])).await {
            count += more.unwrap();
            if reads {
                break;
            }
        }
        match how {
            How::Returns => drop(stream),
            How::Keeps => spawn(async move {
                sleep(SECOND * 3600).await;
                drop(stream);
            })
            .detach(),
            How::Drops => {
                drop(stream);
                sleep(SECOND).await;
            }
        }
        (client, count)
    });
    let begun = Instant::now();
    block_on(finished());
    let took = begun.elapsed();
    let got = block_on(async { timeout(SECOND, client).await.ok() });
    (got, count, took)
}

#[test]
fn what_was_written_arrives_when_the_program_returns() {
    for how in [How::Returns, How::Keeps, How::Drops] {
        let (got, count, took) = ended(how, true);
        let got = got.map(|got| got.map(|got| got == pattern(count)));
        assert_eq!((got, count > 8000), (Some(Ok(true)), true));
        assert!(took < SECOND, "{took:?}");
    }
}

#[test]
fn a_peer_that_does_not_read_holds_the_end_up_for_a_bounded_time() {
    for how in [How::Returns, How::Keeps] {
        let (got, _, took) = ended(how, false);
        assert_eq!((got, took), (None, kernel::shutdown::GRACE));
    }
}
