//! A site on an archive in memory, and a client beside it on a cable.

use crate::{Error, Options, start};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use devices::block::memory::Memory;
use devices::ip;
use devices::ip::config::{Ipv4, Limits, Settings};
use devices::ip::{Stack, Stream, Tcp};
use devices::net::cable::{End, Options as Wire, cable};
use embedded_io_async::{Read, Write};

/// `Sun, 06 Nov 1994 08:49:37 GMT`, when most files of these archives were changed.
pub(super) const DATE: u64 = 784_111_777;

/// An entry of an archive: its name, and what it is.
pub(super) enum Entry<'a> {
    File(&'a str, u64, &'a [u8]),
    Symbolic(&'a str, &'a str),
    Hard(&'a str, &'a str),
}

/// An archive as POSIX.1-1988 has it.
pub(super) fn archive<'a>(entries: impl IntoIterator<Item = Entry<'a>>) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in entries {
        let (name, date, sort, target, content) = match entry {
            Entry::File(name, date, content) => (name, date, b'0', "", content),
            Entry::Symbolic(name, target) => (name, DATE, b'2', target, &b""[..]),
            Entry::Hard(name, target) => (name, DATE, b'1', target, &b""[..]),
        };
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..108].copy_from_slice(b"0000644\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        header[136..148].copy_from_slice(format!("{date:011o}\0").as_bytes());
        header[148..156].fill(b' ');
        header[156] = sort;
        header[157..157 + target.len()].copy_from_slice(target.as_bytes());
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().copied().map(u32::from).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        all.extend_from_slice(&header);
        all.extend_from_slice(content);
        all.resize(all.len().next_multiple_of(512), 0);
    }
    all.resize(all.len() + 1024, 0);
    all
}

/// Runs `f` beside a site that serves `archive`, in simulated time.
pub(super) fn beside<T>(
    archive: Vec<u8>,
    options: Options,
    f: impl AsyncFnOnce(Client) -> T,
) -> Result<T, Error> {
    kernel::machine::simulate_time();
    let settings = |last| Settings {
        ipv4: Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24),
        limits: Limits::for_memory(16 << 20),
        ..Settings::default()
    };
    kernel::task::block_on(async {
        let (a, b) = cable(Wire::default());
        let stack = Stack::start(a, settings(1)).unwrap();
        let client = Client { stack, stream: RefCell::default() };
        let server = Stack::start(b, settings(2)).unwrap();
        let disk = Memory::from_bytes(512, archive);
        let Options { cache, max_age, hidden } = options;
        let mut serving = core::pin::pin!(start(server, disk, 80, cache / 1024, max_age, hidden));
        // It ends only when it fails.
        let ready = kernel::time::timeout(Duration::from_secs(1), serving.as_mut()).await;
        if let Ok(ended) = ready {
            return Err(ended.unwrap_err());
        }
        match kernel::task::select(f(client), serving).await {
            kernel::task::Either::First(result) => Ok(result),
            kernel::task::Either::Second(ended) => Err(ended.unwrap_err()),
        }
    })
}

/// Who asks, on one connection as long as the site keeps it.
pub(super) struct Client {
    stack: Stack<End>,
    stream: RefCell<Option<<Stack<End> as Tcp>::Stream>>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub head: String,
    pub content: Vec<u8>,
}

/// What came and was not looked at.
struct Rest<'a, S> {
    stream: &'a mut S,
    bytes: Vec<u8>,
}

impl<S: Read<Error = ip::Error>> Rest<'_, S> {
    async fn more(&mut self) {
        let mut piece = [0; 4096];
        let count = self.stream.read(&mut piece).await.unwrap();
        assert!(count > 0, "cut off after {:?}", String::from_utf8_lossy(&self.bytes));
        self.bytes.extend_from_slice(&piece[..count]);
    }

    /// The bytes up to `end` and with it.
    async fn until(&mut self, end: &[u8]) -> String {
        loop {
            if let Some(at) = self.bytes.windows(end.len()).position(|it| it == end) {
                let rest = self.bytes.split_off(at + end.len());
                return String::from_utf8(core::mem::replace(&mut self.bytes, rest)).unwrap();
            }
            self.more().await;
        }
    }

    async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.bytes.len() < length {
            self.more().await;
        }
        let rest = self.bytes.split_off(length);
        core::mem::replace(&mut self.bytes, rest)
    }
}

impl Client {
    /// The answer to a request: `GET /path`, and fields, a line each.
    pub(super) async fn ask(&self, request: &str, fields: &str) -> Answer {
        let fields: String = fields.lines().map(|line| format!("{line}\r\n")).collect();
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let at = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 80);
                self.stack.connect(at).await.unwrap()
            }
        };
        let text = format!("{request} HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut rest = Rest { stream: &mut stream, bytes: Vec::new() };
        let head = rest.until(b"\r\n\r\n").await;
        let mut answer = Answer { status: head[9..12].parse().unwrap(), head, content: Vec::new() };
        if request.starts_with("HEAD") || matches!(answer.status, 204 | 304) {
        } else if answer.field("Transfer-Encoding") == Some("chunked") {
            loop {
                let size = rest.until(b"\r\n").await;
                let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
                answer.content.extend(rest.exactly(size).await);
                assert_eq!(rest.exactly(2).await, b"\r\n");
                if size == 0 {
                    break;
                }
            }
        } else {
            let length = answer.field("Content-Length").expect("a length").parse().unwrap();
            answer.content = rest.exactly(length).await;
        }
        assert_eq!(rest.bytes, b"", "behind the answer");
        if answer.field("Connection") == Some("close") {
            stream.close().await.unwrap();
        } else {
            self.stream.replace(Some(stream));
        }
        answer
    }
}

impl Answer {
    /// The value of a field that stands there once.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let value = fields.find(|(other, _)| other.eq_ignore_ascii_case(name))?.1;
        assert!(fields.all(|(other, _)| !other.eq_ignore_ascii_case(name)), "{}", self.head);
        Some(value)
    }
}
