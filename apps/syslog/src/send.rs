//! Sends lines of the log for as long as the app runs.

use crate::message::{Header, LAST, message};
use crate::server::Server;
use crate::way::{Clear, PATIENCE, Way, returned};
use core::time::Duration;
use xenith::args::{self, Args, Argument, Value};
use xenith::ip::{Error, Resolve, Service, Tcp, Udp};
use xenith::log::{Line, Lines};
use xenith::shutdown::Hold;
use xenith::task::{Either, Task, select, spawn};
use xenith::time::{Instant, sleep, timeout, wall_clock};

/// Bytes of lines that wait for the server.
const QUEUE: usize = 32 << 10;

/// How long to wait before the server is tried again: twice as long each time, from the first to
/// the second (rule T5); the first once the app has returned.
const WAIT: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// How long the end of the machine may take for lines that wait.
pub const FAREWELL: Duration = Duration::from_secs(3);

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
        match send(Clear { ip: ip.clone(), server }, host) {
            Some(task) => task.detach(),
            None => xenith::println!("syslog: somebody else reads the log: nothing is sent"),
        }
    }
}

/// Sends what is logged from now on by `way`, with `host` as the machine's name, until the app has
/// returned. `None` if the log is sent already.
pub fn send<W: Way + 'static>(way: W, host: &'static str) -> Option<Task<()>> {
    let lines = Lines::new(QUEUE)?;
    let sender = Sender { way, link: None, wait: WAIT[0] };
    let hold = Hold::new();
    Some(spawn(async move {
        // The end is not late because the server is away.
        let late = async {
            returned().await;
            sleep(FAREWELL).await;
        };
        select(forward(sender, lines, host), late).await;
        drop(hold);
    }))
}

/// Sends lines until the app has returned and none is left.
async fn forward<W: Way>(mut sender: Sender<W>, mut lines: Lines, host: &str) {
    let app = xenith::manifest::this().lines().find_map(|line| line.strip_prefix("name\t"));
    let mut number = 0;
    loop {
        let line = match lines.try_next() {
            Some(line) => line,
            None if sender.way.is_over() => break,
            None => match select(lines.next(), sender.way.over()).await {
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
    if let Some(link) = sender.link {
        W::close(link).await;
    }
}

struct Sender<W: Way> {
    way: W,
    link: Option<W::Link>,
    /// How long to wait after the next failure.
    wait: Duration,
}

impl<W: Way> Sender<W> {
    /// Sends a message, however often that has to be tried.
    async fn send(&mut self, message: &str) {
        let begun = Instant::now();
        while let Err(error) = self.attempt(message).await {
            self.link = None;
            self.way.tell(&error, self.wait == WAIT[0]);
            if self.way.is_over() {
                // There are some seconds to do it in.
                sleep(WAIT[0]).await;
            } else {
                // The server may be there again by the end, after which nobody would wait so long.
                select(sleep(self.wait), self.way.over()).await;
            }
            self.wait = (self.wait * 2).min(WAIT[1]);
        }
        if self.wait > WAIT[0] {
            let late = begun.elapsed().as_secs();
            xenith::println!("syslog: the server takes messages again, after {late} s");
            self.wait = WAIT[0];
        }
    }

    async fn attempt(&mut self, message: &str) -> Result<(), W::Error> {
        if let Some(link) = &self.link
            && self.way.has_ended(link)
        {
            self.link = None;
        }
        let link = match &mut self.link {
            Some(link) => link,
            none => none.insert(self.way.connect().await?),
        };
        let sent = W::send(link, message);
        timeout(PATIENCE, sent).await.unwrap_or(Err(Error::TimedOut.into()))
    }
}
