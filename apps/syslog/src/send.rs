//! Sends lines of the log for as long as the app runs.

use crate::message::{Header, LAST, message};
use crate::server::{Server, Transport};
use alloc::string::String;
use core::future::poll_fn;
use core::net::SocketAddr;
use core::task::Poll;
use core::time::Duration;
use embedded_io_async::Write;
use xenith::args::{self, Args, Argument, Value};
use xenith::ip::{Error, Resolve, Service, Socket, Stream, Tcp, Udp, any};
use xenith::log::{Line, Lines};
use xenith::shutdown::{self, Hold};
use xenith::task::{Either, select, spawn};
use xenith::time::{Instant, sleep, timeout, wall_clock};

/// Bytes of lines that wait for the server.
const QUEUE: usize = 32 << 10;

/// How long to wait before the server is tried again: twice as long each time, from the first to
/// the second (rule T5).
const WAIT: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// How long a server may take to be connected to, and to take a message.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the end of the machine may take for lines that wait.
const FAREWELL: Duration = Duration::from_secs(3);

/// How long the last datagram may take to leave: the server's address may have to be asked for.
const LINGER: Duration = Duration::from_millis(200);

/// Is the service that sends the log to the server of the argument `syslog=`.
#[derive(Clone, Copy, Debug)]
pub struct Syslog;

/// Says what messages are to say, and where they go.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The server; without one nothing is sent.
    pub server: Option<Server>,
    /// The machine's name in messages.
    pub host: &'static str,
}

impl<I: Tcp + Udp + Resolve + Clone + 'static> Service<I> for Syslog {
    const ARGUMENTS: &'static [Argument] = &[
        Argument {
            name: "syslog",
            kind: <Option<Server> as Value>::KIND,
            default: <Option<Server> as Value>::ABSENT,
            help: &["Where the log goes besides the console (RFC 5424)."],
        },
        Argument {
            name: "syslog.host",
            kind: <&str as Value>::KIND,
            default: Some("-"),
            help: &["The machine's name in what is sent there."],
        },
    ];

    type Settings = Settings;

    fn configure(args: &mut Args) -> Result<Settings, args::Error> {
        let host = args.take("syslog.host", Some("-"))?;
        Ok(Settings { server: args.take("syslog", None)?, host })
    }

    fn start(ip: &I, settings: Settings) {
        let Settings { server: Some(server), host } = settings else { return };
        let Some(lines) = Lines::new(QUEUE) else { return };
        let sender = Sender { ip: ip.clone(), server, link: None, wait: WAIT[0] };
        let hold = Hold::new();
        spawn(async move {
            // The end is not late because the server is away.
            let late = async {
                over().await;
                sleep(FAREWELL).await;
            };
            select(forward(sender, lines, host), late).await;
            drop(hold);
        })
        .detach();
    }
}

/// Waits until the app has returned.
async fn over() {
    poll_fn(|context| {
        if shutdown::is_over() {
            return Poll::Ready(());
        }
        shutdown::wake_when_over(context.waker());
        Poll::Pending
    })
    .await;
}

/// Sends lines until the app has returned and none is left.
async fn forward<I: Tcp + Udp + Resolve>(mut sender: Sender<I>, mut lines: Lines, host: &str) {
    let app = xenith::manifest::this().lines().find_map(|line| line.strip_prefix("name\t"));
    let mut number = 0;
    loop {
        let line = match lines.try_next() {
            Some(line) => line,
            None if shutdown::is_over() => break,
            None => match select(lines.next(), over()).await {
                Either::First(line) => line,
                Either::Second(()) => continue,
            },
        };
        let lost = lines.take_lost();
        let note = (lost > 0).then(|| {
            let text = alloc::format!("{lost} lines were lost, as the server did not take them");
            Line::new(log::Level::Warn, "syslog", text)
        });
        for line in [Some(line), note].into_iter().flatten() {
            number = number % LAST + 1;
            let time = wall_clock().saturating_sub(line.at.elapsed());
            let header = Header { time, host, app: app.unwrap_or_default(), number };
            sender.send(&message(&header, &line)).await;
        }
    }
    match sender.link {
        // Nobody is left to be told of an error.
        Some(Link::Stream(mut stream)) => drop(stream.close().await),
        Some(Link::Datagrams(..)) => sleep(LINGER).await,
        None => {}
    }
}

/// A way to the server.
enum Link<I: Tcp + Udp> {
    Datagrams(I::Socket, SocketAddr),
    Stream(I::Stream),
}

struct Sender<I: Tcp + Udp> {
    ip: I,
    server: Server,
    link: Option<Link<I>>,
    /// How long to wait after the next failure.
    wait: Duration,
}

impl<I: Tcp + Udp + Resolve> Sender<I> {
    /// Sends a message, however often that has to be tried.
    async fn send(&mut self, message: &str) {
        let begun = Instant::now();
        while let Err(error) = self.attempt(message).await {
            self.link = None;
            // On the console alone: the line would wait for this one.
            if self.wait == WAIT[0] {
                let Server { host, port, .. } = self.server;
                xenith::println!("syslog: {host}:{port}: {error}; trying again");
            }
            sleep(self.wait).await;
            self.wait = (self.wait * 2).min(WAIT[1]);
        }
        if self.wait > WAIT[0] {
            let late = begun.elapsed().as_secs();
            xenith::println!("syslog: the server takes messages again, after {late} s");
            self.wait = WAIT[0];
        }
    }

    async fn attempt(&mut self, message: &str) -> Result<(), Error> {
        if let Some(Link::Stream(stream)) = &self.link
            && has_ended(stream)
        {
            self.link = None;
        }
        let link = match &mut self.link {
            Some(link) => link,
            none => none.insert(connect(&self.ip, &self.server).await?),
        };
        let sent = async {
            match link {
                Link::Datagrams(socket, to) => socket.send_to(message.as_bytes(), *to).await,
                Link::Stream(stream) => {
                    let framed: String = alloc::format!("{} {message}", message.len());
                    stream.write_all(framed.as_bytes()).await
                }
            }
        };
        timeout(PATIENCE, sent).await.unwrap_or(Err(Error::TimedOut))
    }
}

/// Whether the server has closed the connection. What it says is read and not heeded.
fn has_ended(stream: &impl Stream) -> bool {
    let mut said = [0; 64];
    loop {
        match stream.try_read(&mut said) {
            Ok(None) => return false,
            Ok(Some(0)) | Err(_) => return true,
            Ok(Some(_)) => {}
        }
    }
}

/// Finds a way to the server by one of its addresses.
async fn connect<I: Tcp + Udp + Resolve>(ip: &I, server: &Server) -> Result<Link<I>, Error> {
    let mut last = Error::NoSuchName;
    for addr in ip.resolve(server.host).await? {
        let to = SocketAddr::new(addr, server.port);
        let link = match server.transport {
            Transport::Udp => Udp::bind(ip, any(0)).await.map(|it| Link::Datagrams(it, to)),
            Transport::Tcp => {
                let connected = timeout(PATIENCE, Tcp::connect(ip, to)).await;
                connected.unwrap_or(Err(Error::TimedOut)).map(Link::Stream)
            }
        };
        match link {
            Ok(link) => return Ok(link),
            Err(error) => last = error,
        }
    }
    Err(last)
}
