//! What a run takes from other terminals: a socket in its folder, by which `cargo mk save`,
//! `migrate` and `update` ask for their guest. A request is a line, and so is each answer.

use crate::boot;
use crate::project::Project;
use crate::ui::Ui;
use anyhow::{Context, Result, anyhow, bail, ensure};
use lab::{GuestSpec, Host, Move};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The socket's name in the folder of a run, which is its user's alone.
const SOCKET: &str = "control";

/// How often the run looks whether it is over.
const POLL: Duration = Duration::from_millis(100);

/// How long a run may take to say which guests it has, and may wait for a request.
const GREETING: Duration = Duration::from_secs(5);

/// How long another terminal may read nothing of what it is told: it may be stopped.
const PATIENCE: Duration = Duration::from_secs(1);

/// What another terminal asks for.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    Save { guest: String, file: PathBuf, copy: bool },
    Migrate { guest: String, by_file: bool },
    Update { guest: String, config: PathBuf, overrides: Vec<String> },
}

/// What a run says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Answer {
    /// Which guests it has, at first.
    Guests(Vec<String>),
    /// How far it is.
    Bytes(u64, u64),
    Done,
    Failed(String),
}

impl Request {
    fn guest(&self) -> &str {
        match self {
            Self::Save { guest, .. } | Self::Migrate { guest, .. } | Self::Update { guest, .. } => {
                guest
            }
        }
    }
}

/// The requests of other terminals to a run.
pub(super) struct Control {
    listener: UnixListener,
    over: AtomicBool,
}

impl Control {
    /// Begins to take requests in a run's folder.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let (folder, path) = socket(folder)?;
        let listener = UnixListener::bind(path).context("cannot listen to other terminals")?;
        drop(folder);
        listener.set_nonblocking(true)?;
        Ok(Self { listener, over: AtomicBool::new(false) })
    }

    /// Carries out one request after the other until [`Control::close`]. What goes wrong, the
    /// other terminal is told. Who asks while another one is served hears at once which guests there
    /// are, and waits.
    pub(super) fn serve(&self, host: &Host, guests: &[String]) {
        let turn = Mutex::new(());
        thread::scope(|scope| {
            while !self.over.load(Ordering::Relaxed) {
                match self.listener.accept() {
                    Ok((stream, _)) => {
                        let turn = &turn;
                        let carry_out =
                            move |request: &Request, progress: &mut dyn FnMut(u64, u64)| {
                                let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
                                carry_out(request, host, progress)
                            };
                        // Who goes away meanwhile need not be told.
                        scope.spawn(move || drop(answer(&stream, guests, carry_out)));
                    }
                    Err(_) => thread::sleep(POLL),
                }
            }
        });
    }

    /// Takes no more requests.
    pub(super) fn close(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// A path to the socket in a run's folder that is short, as it must be, wherever the folder; and
/// what keeps it valid.
fn socket(folder: &Path) -> Result<(File, PathBuf)> {
    let folder = File::open(folder).with_context(|| folder.display().to_string())?;
    let path = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()).into();
    Ok((folder, path))
}

fn say(mut to: impl Write, answer: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    Ok(to.write_all(&line)?)
}

/// Takes one request and has it carried out.
fn answer(
    stream: &UnixStream,
    guests: &[String],
    carry_out: impl FnOnce(&Request, &mut dyn FnMut(u64, u64)) -> Result<()>,
) -> Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(GREETING))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    say(stream, &Answer::Guests(guests.to_vec()))?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    if line.is_empty() {
        // It looks for another run.
        return Ok(());
    }
    let request: Request = serde_json::from_str(&line)?;
    let mut client = Client { stream: Some(stream) };
    let mut progress = |done, total| client.tell(&Answer::Bytes(done, total));
    let done = carry_out(&request, &mut progress);
    let said = match done {
        Ok(()) => Answer::Done,
        Err(error) => Answer::Failed(format!("{error:#}")),
    };
    client.tell(&said);
    Ok(())
}

/// Does what was asked for.
fn carry_out(request: &Request, host: &Host, progress: &mut dyn FnMut(u64, u64)) -> Result<()> {
    match request {
        Request::Save { guest, file, copy } => host.save(guest, file, *copy, progress),
        Request::Migrate { guest, by_file: true } => host.move_guest(guest, Move::ByFile),
        Request::Migrate { guest, by_file: false } => host.move_guest(guest, Move::Live),
        Request::Update { guest, config, overrides } => {
            let overrides = overrides.clone();
            host.replace_guest(guest, &GuestSpec { overrides, ..GuestSpec::new(config) })
        }
    }
}

/// Who asked, while that one listens: what was asked for goes on where nobody looks any more.
struct Client<'a> {
    stream: Option<&'a UnixStream>,
}

impl Client<'_> {
    /// Says it, unless something before could not be said: the line may be cut off, and waiting
    /// again would hold up a guest that is suspended.
    fn tell(&mut self, answer: &Answer) {
        self.stream = self.stream.filter(|stream| say(*stream, answer).is_ok());
    }
}

/// Asks the run that has the guest for something, and waits until it is done. It is told of how far
/// that is.
///
/// # Errors
/// When no run or several have such a guest, or with what went wrong there.
pub(crate) fn ask(project: &Project, request: &Request, ui: &Ui) -> Result<()> {
    let guest = request.guest();
    let mut runs = Vec::new();
    let (mut others, mut silent) = (Vec::new(), 0);
    for entry in fs::read_dir(boot::runs(project)).into_iter().flatten().flatten() {
        // Most of them take no requests, or are over.
        let Ok(stream) = connected(&entry.path()) else { continue };
        let Ok((guests, run)) = greeted(stream) else {
            silent += 1;
            continue;
        };
        match guests.iter().any(|it| it == guest) {
            true => runs.push(run),
            false => others.extend(guests),
        }
    }
    ensure!(runs.len() < 2, "{} runs have a guest {guest}: end all but one", runs.len());
    let Some(mut run) = runs.pop() else {
        ensure!(
            silent == 0,
            "{silent} runs do not say which guests they have, so that {guest} may be one of theirs: \
             they are busy or stopped; try it again"
        );
        let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
        bail!(
            "no run of `cargo mk run` on Xen has a guest {guest}; running: {others}. Start it in \
             another terminal: `cargo mk run {guest}`"
        );
    };
    say(run.get_ref(), request)?;
    run.get_ref().set_read_timeout(None)?;
    loop {
        match next(&mut run)? {
            Answer::Bytes(done, total) => ui.bytes(done, total.max(done)),
            Answer::Guests(_) => {}
            Answer::Done => return Ok(()),
            Answer::Failed(why) => return Err(explained(guest, &why)),
        }
    }
}

/// Connects to a run, if it is one that takes requests.
fn connected(folder: &Path) -> Result<UnixStream> {
    let (_folder, path) = socket(folder)?;
    Ok(UnixStream::connect(path)?)
}

/// Waits for a run to say which guests it has.
fn greeted(stream: UnixStream) -> Result<(Vec<String>, BufReader<UnixStream>)> {
    stream.set_read_timeout(Some(GREETING))?;
    let mut run = BufReader::new(stream);
    match next(&mut run)? {
        Answer::Guests(guests) => Ok((guests, run)),
        _ => bail!("the run does not say which guests it has"),
    }
}

fn next(run: &mut impl BufRead) -> Result<Answer> {
    let mut line = String::new();
    run.read_line(&mut line).context("the run does not answer")?;
    ensure!(
        line.ends_with('\n'),
        "the run has ended meanwhile, or tells this command nothing more because it was stopped"
    );
    Ok(serde_json::from_str(&line)?)
}

/// What is wrong, where what `xl` says of it tells nobody; else that.
fn explained(guest: &str, why: &str) -> anyhow::Error {
    if why.contains("Failed to enable logdirty") {
        return anyhow!(
            "this Xen is built without shadow page tables (CONFIG_SHADOW_PAGING), as Debian's \
             4.17.7 is, and moves no PV guest while it runs; {guest} goes on. `cargo mk migrate \
             {guest} --by-file` stops it for the move, which its connections live through as well"
        );
    }
    if why.contains("p2m frame list list") {
        return anyhow!(
            "{guest} cannot be suspended, and goes on: it has no device of xenstore's, such as a \
             network interface or a disk, and so it does not hear what is asked of it"
        );
    }
    anyhow!("{why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers_are_lines() {
        let file = PathBuf::from("/tmp/a\nb");
        let request = Request::Save { guest: "httpd".into(), file, copy: true };
        let mut line = Vec::new();
        say(&mut line, &request).unwrap();
        assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
        assert_eq!(serde_json::from_slice::<Request>(&line).unwrap(), request);
        assert_eq!(request.guest(), "httpd");
        let (guest, config, overrides) = ("web".to_owned(), "/a/web.xl".into(), vec!["x=1".into()]);
        let request = Request::Update { guest, config, overrides };
        let line = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
        assert_eq!(request.guest(), "web");
        let mut answers = &b"{\"Bytes\":[1,2]}\n\"Done\"\n"[..];
        assert_eq!(next(&mut answers).unwrap(), Answer::Bytes(1, 2));
        assert_eq!(next(&mut answers).unwrap(), Answer::Done);
        assert!(next(&mut answers).unwrap_err().to_string().contains("has ended"));
    }

    #[test]
    fn who_does_not_listen_is_waited_for_once() {
        let (run, other) = UnixStream::pair().unwrap();
        run.set_write_timeout(Some(Duration::from_millis(10))).unwrap();
        let mut client = Client { stream: Some(&run) };
        let mut told = 0;
        while client.stream.is_some() {
            client.tell(&Answer::Bytes(told, 0));
            told += 1;
        }
        client.tell(&Answer::Done);
        drop(run);
        let mut other = BufReader::new(other);
        for done in 0..told - 1 {
            assert_eq!(next(&mut other).unwrap(), Answer::Bytes(done, 0));
        }
        assert!(next(&mut other).is_err());
    }

    #[test]
    fn a_request_is_carried_out_and_answered() {
        let (run, other) = UnixStream::pair().unwrap();
        let other = thread::spawn(move || {
            let (guests, mut run) = greeted(other).unwrap();
            assert_eq!(guests, ["web"]);
            say(run.get_ref(), &Request::Migrate { guest: "web".into(), by_file: true }).unwrap();
            (next(&mut run).unwrap(), next(&mut run).unwrap())
        });
        let carry_out = |request: &Request, progress: &mut dyn FnMut(u64, u64)| {
            assert_eq!(request.guest(), "web");
            progress(1, 2);
            bail!("no room")
        };
        answer(&run, &["web".into()], carry_out).unwrap();
        let failed = Answer::Failed("no room".into());
        assert_eq!(other.join().unwrap(), (Answer::Bytes(1, 2), failed));
    }

    #[test]
    fn an_answer_that_is_cut_off_is_none() {
        let error = next(&mut &b"{\"Bytes\":[1"[..]).unwrap_err().to_string();
        assert!(error.contains("was stopped"), "{error}");
    }

    #[test]
    fn what_xl_says_is_explained() {
        let text = |why: &str| format!("{:#}", explained("web", why));
        assert!(text("xc: Failed to enable logdirty: 95").contains("migrate web --by-file"));
        assert!(text("Bad mfn 0 for p2m frame list list").contains("cannot be suspended"));
        assert_eq!(text("no room"), "no room");
    }
}
