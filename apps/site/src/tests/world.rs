//! A site on an archive in memory, and a client beside it on a cable.

use super::table::{Answer, Outcome, answers};
use crate::{Error, start};
use alloc::format;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use embedded_io_async::{Read, Write};
use xenith::block::memory::Memory;
use xenith::http::files::Options;
use xenith::ip::config::{Ipv4, Limits, Settings};
use xenith::ip::{Stack, Stream, Tcp};
use xenith::net::cable::{End, Options as Wire, cable};
use xenith::time::timeout;

/// How long a connection says nothing after all that there is.
const QUIET: Duration = Duration::from_millis(500);

/// Runs `f` beside a site that serves `archive`, in simulated time.
pub(super) fn beside<T>(
    archive: Vec<u8>,
    options: Options,
    f: impl AsyncFnOnce(Client) -> T,
) -> Result<T, Error> {
    xenith::testing::simulate_time();
    let settings = |last| Settings {
        ipv4: Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24),
        limits: Limits::for_memory(16 << 20),
        ..Settings::default()
    };
    xenith::task::block_on(async {
        let (a, b) = cable(Wire::default());
        let stack = Stack::start(a, settings(1)).unwrap();
        let client = Client { stack, stream: RefCell::default() };
        let server = Stack::start(b, settings(2)).unwrap();
        let disk = Memory::from_bytes(512, archive);
        let Options { cache, max_age, hidden } = options;
        let mut serving = core::pin::pin!(start(server, disk, 80, cache / 1024, max_age, hidden));
        // It ends only when it fails.
        let ready = timeout(Duration::from_secs(1), serving.as_mut()).await;
        if let Ok(ended) = ready {
            return Err(ended.unwrap_err());
        }
        match xenith::task::select(f(client), serving).await {
            xenith::task::Either::First(result) => Ok(result),
            xenith::task::Either::Second(ended) => Err(ended.unwrap_err()),
        }
    })
}

/// Who asks, on one connection as long as the site keeps it.
pub(super) struct Client {
    stack: Stack<End>,
    stream: RefCell<Option<<Stack<End> as Tcp>::Stream>>,
}

impl Client {
    /// What comes back when these parts are sent.
    pub(super) async fn send(&self, parts: &[Vec<u8>]) -> Outcome {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let at = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 80);
                self.stack.connect(at).await.unwrap()
            }
        };
        let (mut outcome, mut piece) = (Outcome::default(), [0; 4096]);
        for part in parts {
            stream.write_all(part).await.unwrap();
            while let Ok(count) = timeout(QUIET, stream.read(&mut piece)).await {
                match count.unwrap() {
                    0 => {
                        outcome.closed = true;
                        stream.close().await.unwrap();
                        return outcome;
                    }
                    count => outcome.bytes.extend_from_slice(&piece[..count]),
                }
            }
        }
        self.stream.replace(Some(stream));
        outcome
    }

    /// The answer to a request, `GET /path`, with these fields and their line ends.
    pub(super) async fn ask(&self, request: &str, fields: &str) -> Answer {
        let text = format!("{request} HTTP/1.1\r\nHost: x\r\n{fields}\r\n").into_bytes();
        let outcome = self.send(core::slice::from_ref(&text)).await;
        let mut answers = answers(&outcome, &text).unwrap();
        assert_eq!(answers.len(), 1, "{request}");
        answers.remove(0)
    }
}
