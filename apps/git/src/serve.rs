//! The app: serves the newest files, and asks again.

use crate::error::Error;
use crate::pack::Limits;
use crate::protocol::is_name;
use crate::remote::{Failure, Place, Wanted, newest};
use crate::snapshot::Snapshot;
use alloc::format;
use alloc::rc::{Rc, Weak};
use alloc::string::String;
use core::cell::RefCell;
use core::time::Duration;
use embedded_io_async::Write;
use xenith::Exit;
use xenith::args::Size;
use xenith::http::files::{Options, StaticFiles};
use xenith::http::{self, Exchange, Handler, Server, client, with};
use xenith::ip::{self, Resolve, Tcp};
use xenith::println;
use xenith::task::{Either, select};
use xenith::text::Escaped;
use xenith::time::sleep;

/// What the user says.
#[derive(Clone, Debug)]
pub struct Args {
    /// Where the repository is.
    pub url: &'static str,
    /// The branch or tag.
    pub branch: &'static str,
    /// Seconds until the server is asked again, 0 for never.
    pub every: u32,
    /// Whether files are listed, and nothing served.
    pub list: bool,
    /// The TCP port to listen on.
    pub port: u16,
    /// Seconds for which browsers use what they have.
    pub max_age: u32,
    /// Whether names are served that begin with a dot.
    pub hidden: bool,
    /// The most bytes of all files.
    pub limit: Size,
    /// The most objects, and the most entries of folders.
    pub objects: u32,
    /// How long the server may be silent, and each of its addresses.
    pub patience: Duration,
    /// How long it may take to read all.
    pub time: Duration,
}

/// The exit status for what the user should do next.
fn exit(failure: &Failure) -> Exit {
    fn answer<E>(error: &Error<E>) -> Exit {
        match error {
            Error::Server(_) | Error::NoSuchRef => Exit(4),
            _ => Exit(5),
        }
    }
    match failure {
        Failure::Connect(_) => Exit(3),
        Failure::Git(Error::Stream(ip::Error::TimedOut)) | Failure::TimedOut(_) => Exit(6),
        Failure::Git(error) => answer(error),
        Failure::Http(Error::Stream(client::Error::TimedOut(..))) => Exit(6),
        Failure::Http(error) => answer(error),
        Failure::Fetch(failure) => match failure.error {
            client::Error::Url(_) | client::Error::Request(_) => Exit::USAGE,
            client::Error::Name(_) | client::Error::Connect(_) => Exit(3),
            client::Error::TimedOut(..) => Exit(6),
            _ => Exit(5),
        },
        Failure::Status(_) => Exit(4),
        Failure::NotGit => Exit(5),
    }
}

/// The files of a commit.
type Files = StaticFiles<Snapshot>;

/// What is served now.
struct Site(RefCell<Rc<Files>>);

impl Site {
    /// Serves this from now on. Returns what was served, as long as it is still being sent.
    fn replace(&self, files: Files) -> Weak<Files> {
        Rc::downgrade(&self.0.replace(Rc::new(files)))
    }

    async fn answer(&self, exchange: &mut Exchange<'_>) -> Result<(), http::Error> {
        // Answers that have begun go on with what was there then.
        let files = Rc::clone(&self.0.borrow());
        files.handle(exchange).await
    }
}

/// Serves the newest files until the network is down or the toolstack asks for the end.
pub async fn start<C: Write, I: Tcp + Resolve>(mut console: C, ip: I, args: Args) -> Exit {
    match run(&mut console, &ip, args).await {
        Ok(exit) => exit,
        Err((exit, text)) => {
            // A console that cannot be used is nothing to tell of.
            let _ = console.write_all(format!("error: {text}\n").as_bytes()).await;
            exit
        }
    }
}

async fn run<C: Write, I: Tcp + Resolve>(
    console: &mut C,
    ip: &I,
    args: Args,
) -> Result<Exit, (Exit, String)> {
    let Some(place) = Place::parse(args.url) else {
        let text = Escaped(args.url.as_bytes());
        let text = format!("url={text} is neither git://HOST/PATH nor a URL of HTTP");
        return Err((Exit::USAGE, text));
    };
    if !is_name(args.branch) {
        let text = Escaped(args.branch.as_bytes());
        return Err((Exit::USAGE, format!("branch={text} is no name of a branch or tag")));
    }
    let limits = Limits { bytes: args.limit.0, objects: args.objects, ..Limits::default() };
    let Args { patience, time, .. } = args;
    let wanted = Wanted { name: args.branch.into(), limits, patience, time };
    let mut known = None;
    let first = newest(ip, &place, &wanted, &mut known).await;
    let first = first.map_err(|failure| (exit(&failure), format!("{place}: {failure}")))?;
    let Some(first) = first else { return Ok(Exit::FAILURE) };
    if args.list {
        return list(console, &first, args.objects).await;
    }
    tell(&first, args.branch);
    // What is held in memory is not held twice.
    let options = Options { cache: 0, max_age: args.max_age, hidden: args.hidden };
    let site = Rc::new(Site(RefCell::new(Rc::new(StaticFiles::new(first, options)))));
    let listener = Server::new(with(&site, Site::answer)).http2();
    let down = |error: ip::Error| (Exit::FAILURE, format!("{error}"));
    let listener = listener.bind(ip, ip::any(args.port)).await.map_err(down)?;
    println!("git: listening on port {}", listener.local_addr().port());
    let again = async {
        let (mut replaced, mut told, mut failures) = (Weak::new(), false, 0);
        loop {
            match args.every {
                0 => core::future::pending().await,
                seconds => sleep(pause(seconds, failures)).await,
            }
            // Of those that are held in memory, the newest is beside one other at most.
            if replaced.strong_count() > 0 {
                if !core::mem::replace(&mut told, true) {
                    log::warn!("{place}: not asked while a client is sent the commit before");
                }
                continue;
            }
            told = false;
            let before = known;
            match newest(ip, &place, &wanted, &mut known).await {
                Ok(Some(newer)) => {
                    tell(&newer, args.branch);
                    replaced = site.replace(StaticFiles::new(newer, options));
                    failures = 0;
                }
                Ok(None) => failures = 0,
                // What there is is served on.
                Err(failure) => {
                    log::warn!("{place}: {failure}");
                    failures += 1;
                    // A commit that cannot be used is not read again as long as it is the newest.
                    if !failure.lasts() {
                        known = before;
                    }
                }
            }
        }
    };
    match select(listener.serve(), again).await {
        Either::First(ended) => ended.map(|()| Exit::SUCCESS).map_err(down),
        Either::Second(never) => never,
    }
}

/// The time until the server is asked again: twice as long for each failure in a row, up to 16
/// times.
fn pause(seconds: u32, failures: u32) -> Duration {
    Duration::from_secs(u64::from(seconds) << failures.min(4))
}

/// Says what is served from now on.
fn tell(snapshot: &Snapshot, branch: &str) {
    let commit = snapshot.commit();
    let (files, bytes) = snapshot.size();
    println!(
        "git: {branch} is {}, \"{}\": {files} files of {bytes} bytes",
        commit.id,
        Escaped(commit.subject.as_bytes())
    );
}

/// Prints what there is.
async fn list<C: Write>(
    console: &mut C,
    snapshot: &Snapshot,
    most: u32,
) -> Result<Exit, (Exit, String)> {
    let mut lines = snapshot.lines(most);
    while let Some(line) = lines.next().await {
        let line = line.map_err(|flaw| (Exit(5), format!("not all can be listed: {flaw}")))?;
        if console.write_all(format!("{line}\n").as_bytes()).await.is_err() {
            return Ok(Exit::FAILURE);
        }
    }
    Ok(Exit::SUCCESS)
}
