//! The app: serves the newest files, and asks again.

use crate::edit::{Author, Change, Unfit};
use crate::error::{Error, Flaw};
use crate::id::Id;
use crate::pack::Limits;
use crate::place::{Failure, Place, Wanted};
use crate::protocol::is_name;
use crate::remote::{newest, push, tip};
use crate::snapshot::Snapshot;
use crate::write::{Answer, Files, Job, Writer};
use alloc::format;
use alloc::rc::{Rc, Weak};
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::convert::Infallible;
use core::time::Duration;
use embedded_io_async::Write;
use xenith::Exit;
use xenith::args::Size;
use xenith::fs::{self, Tree};
use xenith::http::files::{Options, StaticFiles};
use xenith::http::{self, Exchange, Handler, Method, Server, Status, client, with};
use xenith::ip::{self, Resolve, Tcp};
use xenith::println;
use xenith::task::{Either, select};
use xenith::text::Escaped;
use xenith::time::{Instant, sleep, timeout, wall_clock};

/// How often it is looked whether a client has all of its answer.
const LOOK: Duration = Duration::from_millis(100);

/// How long after a push of which it is not known what became the repository is read again, and then
/// after twice as long each time.
const MOMENT: Duration = Duration::from_secs(5);

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
    /// How long it may take to read all, or to write.
    pub time: Duration,
    /// Whether files are taken, too.
    pub write: bool,
    /// What a client has to know for that.
    pub token: Option<&'static str>,
    /// Whether it need not know anything.
    pub open: bool,
    /// Who makes commits: `Name <mail>`.
    pub author: &'static str,
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
        late if late.is_late() => Exit(6),
        Failure::Connect(_) => Exit(3),
        Failure::Git(error) => answer(error),
        Failure::Http(error) => answer(error),
        Failure::Fetch(failure) => match failure.error {
            client::Error::Url(_) | client::Error::Request(_) => Exit::USAGE,
            client::Error::Name(_) | client::Error::Connect(_) => Exit(3),
            _ => Exit(5),
        },
        Failure::Status(_) | Failure::Moved | Failure::Refused(_) => Exit(4),
        Failure::NotGit | Failure::TimedOut(_) | Failure::Unknown(_) => Exit(5),
    }
}

/// What is served now.
struct Site {
    files: RefCell<Rc<Files>>,
    /// Who takes changes, if any are taken.
    writer: Option<Writer>,
}

impl Site {
    /// Serves this from now on. Returns what was served, as long as it is still being sent.
    fn replace(&self, files: Files) -> Weak<Files> {
        Rc::downgrade(&self.files.replace(Rc::new(files)))
    }

    fn files(&self) -> Rc<Files> {
        Rc::clone(&self.files.borrow())
    }

    async fn answer(&self, exchange: &mut Exchange<'_>) -> Result<(), http::Error> {
        match (&self.writer, exchange.request().method()) {
            // Answers that have begun go on with what was there then.
            (None, _) | (_, Method::Get | Method::Head) => self.files().handle(exchange).await,
            (Some(writer), _) => writer.answer(&self.files, exchange).await,
        }
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
    let mut wanted = Wanted { name: args.branch.into(), limits, patience, time };
    let (mut writer, mut author) = (None, None);
    if args.write && !args.list {
        let (name, who, token) = may_write(&args).map_err(|text| (Exit::USAGE, text))?;
        (wanted.name, author) = (name, Some(who));
        let most = usize::try_from(limits.bytes).unwrap_or(usize::MAX);
        writer = Some(Writer::new(token, args.hidden, most, patience));
    }
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
    let files = RefCell::new(Rc::new(StaticFiles::new(first, options)));
    let site = Rc::new(Site { files, writer });
    let listener = Server::new(with(&site, Site::answer)).http2();
    let down = |error: ip::Error| (Exit::FAILURE, format!("{error}"));
    let listener = listener.bind(ip, ip::any(args.port)).await.map_err(down)?;
    println!("git: listening on port {}", listener.local_addr().port());
    if args.open && site.writer.is_some() {
        log::warn!("git: whoever reaches the port may write to {place} (open=on)");
    }
    let (branch, every) = (args.branch, args.every);
    let replaced = Vec::new();
    let keeper = Keeper {
        ip,
        place,
        wanted,
        branch,
        options,
        author,
        site,
        known,
        replaced,
        failures: 0,
        every,
        due: None,
        doubt: None,
    };
    match select(listener.serve(), keeper.keep()).await {
        Either::First(ended) => ended.map(|()| Exit::SUCCESS).map_err(down),
        Either::Second(never) => match never {},
    }
}

/// What is needed for writing: the branch by its whole name, who makes commits, and what a client has
/// to know.
fn may_write(args: &Args) -> Result<(String, Author, Option<&'static str>), String> {
    let name = match args.branch.strip_prefix("refs/") {
        None if args.branch != "HEAD" => format!("refs/heads/{}", args.branch),
        Some(rest) if rest.starts_with("heads/") => args.branch.into(),
        _ => return Err("write=on needs a branch by its name, such as branch=main".into()),
    };
    let author = Author::parse(args.author).ok_or_else(|| {
        let text = Escaped(args.author.as_bytes());
        format!("author={text} is not of the form \"Name <mail>\"")
    })?;
    match (args.token, args.open) {
        (Some(""), _) => {
            Err("token= is empty: whoever reaches the port may write with open=on".into())
        }
        (None, false) => {
            Err("write=on needs token=SECRET, which clients have to know, or open=on for \
                              whoever reaches the port"
                .into())
        }
        (Some(_), true) => Err("open=on is for whoever comes, and token= is not".into()),
        (token, _) => Ok((name, author, token)),
    }
}

/// Keeps what is served as the repository has it, and that as clients want it.
struct Keeper<'a, I> {
    ip: &'a I,
    place: Place,
    wanted: Wanted,
    branch: &'static str,
    options: Options,
    author: Option<Author>,
    site: Rc<Site>,
    /// What the branch stood for when it was read.
    known: Option<Id>,
    /// What was served before, as long as it is still being sent.
    replaced: Vec<Weak<Files>>,
    /// How often in a row it could not be read.
    failures: u32,
    /// Seconds until the server is asked again, 0 for never.
    every: u32,
    /// When that is next.
    due: Option<Instant>,
    /// When the repository is read for a push of which it is not known what became, and the time from then
    /// to the next reading.
    doubt: Option<(Instant, Duration)>,
}

/// When so much time has passed, if that is ever.
async fn until(moment: Option<Instant>) {
    match moment {
        None => core::future::pending().await,
        Some(moment) => sleep(moment.saturating_duration_since(Instant::now())).await,
    }
}

impl<I: Tcp + Resolve> Keeper<'_, I> {
    async fn keep(mut self) -> Infallible {
        let site = Rc::clone(&self.site);
        let mut told = false;
        self.rest();
        loop {
            let doubt = self.doubt.map(|(moment, _)| moment);
            // However many changes come, what is due has its turn.
            let due = until(self.due.into_iter().chain(doubt).min());
            let job = async {
                match &site.writer {
                    None => core::future::pending().await,
                    Some(writer) => writer.jobs.receive().await,
                }
            };
            match select(due, job).await {
                // Of those that are held in memory, the newest is beside one other at most.
                Either::First(()) if self.is_sent() => {
                    if !core::mem::replace(&mut told, true) {
                        let place = &self.place;
                        log::warn!("{place}: not asked while a client is sent the commit before");
                    }
                    self.rest();
                    self.doubt = self.doubt.map(|(_, pause)| (after(pause), pause));
                }
                Either::First(()) => {
                    told = false;
                    let before = self.known;
                    self.read().await;
                    self.rest();
                    // A server may be about a push for as long as it is waited for.
                    let doubt = self.doubt.filter(|(_, pause)| *pause < self.wanted.time);
                    let doubt = doubt.filter(|_| self.known == before);
                    self.doubt = doubt.map(|(_, pause)| (after(pause), pause.saturating_mul(2)));
                }
                Either::Second(job) => {
                    let answer = Rc::clone(&job.answer);
                    answer.signal(self.write(job).await);
                }
            }
        }
    }

    /// Has the server be left alone for a while.
    fn rest(&mut self) {
        self.due = (self.every > 0).then(|| after(pause(self.every, self.failures)));
    }

    /// Whether a client is still sent a commit that is not the newest.
    fn is_sent(&mut self) -> bool {
        self.replaced.retain(|files| files.strong_count() > 0);
        !self.replaced.is_empty()
    }

    /// Whether all that is in memory, together, is within the limit of one commit, so that there is
    /// memory for the next one.
    fn has_room(&mut self) -> bool {
        let files = self.site.files();
        let newest = files.tree();
        let older = self.replaced.iter().filter_map(Weak::upgrade);
        let bytes = older.map(|files| files.tree().bytes_beside(newest)).sum::<u64>();
        !self.is_sent() || bytes.saturating_add(newest.bytes()) <= self.wanted.limits.bytes
    }

    /// Serves this commit from now on.
    fn serve(&mut self, newer: Snapshot) {
        tell(&newer, self.branch);
        let older = self.site.replace(StaticFiles::new(newer, self.options));
        if self.is_sent() || older.strong_count() > 0 {
            self.replaced.push(older);
        }
    }

    /// Reads the newest commit, unless it is known.
    async fn read(&mut self) {
        let before = self.known;
        match newest(self.ip, &self.place, &self.wanted, &mut self.known).await {
            Ok(newer) => {
                if let Some(newer) = newer {
                    self.serve(newer);
                }
                self.failures = 0;
            }
            // What there is is served on.
            Err(failure) => {
                log::warn!("{}: {failure}", self.place);
                self.failures += 1;
                // A commit that cannot be used is not read again as long as it is the newest.
                if !failure.lasts() {
                    self.known = before;
                }
            }
        }
    }

    /// Answers by the files that were read, if they still are those of the branch.
    async fn answer(&mut self, old: Id, answer: Answer) -> Answer {
        match tip(self.ip, &self.place, &self.wanted.name, &self.wanted).await {
            Ok(tip) if tip == Some(old) => answer,
            Ok(_) => {
                log::warn!("{}: {}", self.place, Failure::Moved);
                self.read().await;
                Failure::Moved.into()
            }
            Err(failure) => {
                log::warn!("{}: {failure}", self.place);
                failure.into()
            }
        }
    }

    /// Has a change be the branch's newest commit, and serves that.
    async fn write(&mut self, job: Job) -> Answer {
        let Job { path, content, seen, .. } = job;
        let files = self.site.files();
        if seen.is_some_and(|seen| !seen.ptr_eq(&Rc::downgrade(&files))) {
            return Answer::No(Status(412), "another commit has come meanwhile".into());
        }
        let patience = self.wanted.patience;
        let free = async {
            while !self.has_room() {
                sleep(LOOK).await;
            }
        };
        if timeout(patience, free).await.is_err() {
            let why = "clients are still sent older commits, of which there are too many bytes";
            return Answer::No(Status::UNAVAILABLE, why.into());
        }
        let Some(author) = &self.author else {
            return Answer::No(Status::INTERNAL, "nobody makes commits".into());
        };
        let new = match files.tree().lookup(&path).await {
            Ok(_) => false,
            Err(fs::Error::NoMemory) => return Answer::no_path(&fs::Error::NoMemory),
            // Where nothing can be written, that is told below.
            Err(_) => true,
        };
        let verb = if content.is_some() { "Put" } else { "Delete" };
        let message = format!("{verb} {}", Escaped(&path));
        let change = [Change { path: &path, content: content.as_deref() }];
        let who = (author, wall_clock().as_secs());
        let old = files.tree().commit().id;
        let draft = match files.tree().edit(&change, who, &message, self.wanted.limits).await {
            Ok(Some(draft)) => draft,
            Ok(None) => return self.answer(old, Answer::Done(old, false)).await,
            Err(unfit @ (Unfit::Path | Unfit::Flaw(Flaw::Memory))) => return unfit.into(),
            // By what is there by now, it may fit.
            Err(unfit) => return self.answer(old, unfit.into()).await,
        };
        // They are part of the draft by now.
        drop((content, files));
        match push(self.ip, &self.place, &self.wanted.name, &self.wanted, draft).await {
            Ok(next) => {
                let id = next.commit().id;
                self.known = Some(id);
                self.serve(next);
                // It answers.
                if core::mem::take(&mut self.failures) > 0 {
                    self.rest();
                }
                self.doubt = None;
                Answer::Done(id, new)
            }
            Err(failure) => {
                log::warn!("{}: {failure}", self.place);
                match failure {
                    Failure::Moved => self.read().await,
                    Failure::Unknown(_) => self.doubt = Some((after(MOMENT), MOMENT * 2)),
                    _ => {}
                }
                failure.into()
            }
        }
    }
}

/// The moment after so much time.
fn after(time: Duration) -> Instant {
    Instant::now().saturating_add(time)
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
