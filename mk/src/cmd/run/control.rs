//! What a run takes from other terminals: a socket in its folder, by which `cargo mk save`,
//! `migrate` and `update` ask for their guest. A request is a line, and so is each answer.

use crate::boot;
use crate::project::Project;
use crate::symbols::Latest;
use crate::ui::Ui;
use anyhow::{Context, Result, anyhow, bail, ensure};
use lab::{GuestSpec, Host, Move, Saving};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
    Save {
        guest: String,
        file: PathBuf,
        copy: bool,
        replace: bool,
    },
    Migrate {
        guest: String,
        by_file: bool,
    },
    /// `debug` is the file with the symbols of the new image.
    Update {
        guest: String,
        config: PathBuf,
        debug: PathBuf,
        overrides: Vec<String>,
    },
}

/// What a run says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Answer {
    /// Which guests it has, at first.
    Guests(Vec<Known>),
    /// How far it is.
    Bytes(u64, u64),
    Done,
    Failed(String),
}

/// A guest that a run has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    pub(crate) name: String,
    pub(crate) app: String,
    /// What of this machine leads to it.
    pub(crate) at: Vec<String>,
}

/// What stands between a guest's name and the process of its run.
const OF: char = '@';

impl Known {
    /// The name by which other terminals know it of two of one name, and what tells them apart.
    fn shown(&self, process: &str) -> String {
        let mut text = format!("{}{OF}{process}", self.name);
        if self.name != self.app {
            text += &format!(", which is {}", self.app);
        }
        for at in &self.at {
            text += &format!(", {at}");
        }
        text
    }
}

impl Request {
    #[cfg(test)]
    fn guest(&self) -> &str {
        match self {
            Self::Save { guest, .. } | Self::Migrate { guest, .. } | Self::Update { guest, .. } => {
                guest
            }
        }
    }
}

/// The symbols of the guests of a run, by their names.
pub(super) type ByName = HashMap<String, Arc<Latest>>;

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
    pub(super) fn serve(&self, host: &Host, guests: &[Known], symbols: &ByName) {
        let turn = Mutex::new(());
        thread::scope(|scope| {
            while !self.over.load(Ordering::Relaxed) {
                match self.listener.accept() {
                    Ok((stream, _)) => {
                        let turn = &turn;
                        let carry_out =
                            move |request: &Request, progress: &mut dyn FnMut(u64, u64)| {
                                let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
                                carry_out(request, host, symbols, progress)
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
    guests: &[Known],
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
fn carry_out(
    request: &Request,
    host: &Host,
    symbols: &ByName,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<()> {
    match request {
        &Request::Save { ref guest, ref file, copy, replace } => {
            host.save(guest, file, Saving { copy, replace }, progress)
        }
        Request::Migrate { guest, by_file: true } => host.move_guest(guest, Move::ByFile),
        Request::Migrate { guest, by_file: false } => host.move_guest(guest, Move::Live),
        Request::Update { guest, config, debug, overrides } => {
            let overrides = overrides.clone();
            let spec = GuestSpec { overrides, ..GuestSpec::new(config) };
            let symbols = symbols.get(guest).context("the run has no such guest")?;
            symbols.follow(debug, || host.replace_guest(guest, &spec))
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

/// A guest of a run, which waits for a request.
pub(crate) struct Found {
    pub(crate) guest: Known,
    process: String,
    run: BufReader<UnixStream>,
}

/// Finds the run that has a guest: NAME, or NAME@PROCESS where several have one of that name.
///
/// # Errors
/// When no run or several have such a guest.
pub(crate) fn find(project: &Project, wanted: &str) -> Result<Found> {
    let (mut found, mut silent) = (Vec::new(), 0);
    for entry in fs::read_dir(boot::runs(project)).into_iter().flatten().flatten() {
        // Most of them take no requests, or are over.
        let Ok(stream) = connected(&entry.path()) else { continue };
        let process = entry.file_name().to_string_lossy().into_owned();
        match greeted(stream) {
            Ok((guests, run)) => found.push((process, guests, run)),
            Err(_) => silent += 1,
        }
    }
    let guests = found.iter().flat_map(|(process, guests, _)| {
        guests.iter().map(|guest| (process.clone(), guest.clone()))
    });
    let (process, guest) = chosen(wanted, &guests.collect::<Vec<_>>(), silent)?;
    let run = found.into_iter().find(|it| it.0 == process).context("no run")?.2;
    Ok(Found { guest, process, run })
}

/// The one of `running` that is `wanted`, where `silent` runs do not say what they have.
fn chosen(wanted: &str, running: &[(String, Known)], silent: usize) -> Result<(String, Known)> {
    let (name, process) = match wanted.rsplit_once(OF) {
        Some((name, process)) => (name, Some(process)),
        None => (wanted, None),
    };
    let is_wanted = |(of, guest): &&(String, Known)| {
        guest.name == name && process.is_none_or(|process| of == process)
    };
    let list = |guests: &[&(String, Known)]| {
        guests.iter().map(|(of, it)| format!("\n  {}", it.shown(of))).collect::<String>()
    };
    let found: Vec<_> = running.iter().filter(is_wanted).collect();
    match found[..] {
        [one] => Ok(one.clone()),
        [] if silent > 0 => bail!(
            "{silent} runs do not say which guests they have, so that {name} may be one of theirs: \
             they are busy or stopped; try it again"
        ),
        [] => {
            let start = "`cargo mk run`, in another terminal, starts one";
            let all: Vec<_> = running.iter().collect();
            match all.is_empty() {
                true => bail!("no run on Xen has a guest {wanted}; none is running. {start}"),
                false => {
                    bail!("no run on Xen has a guest {wanted}. {start}; running are:{}", list(&all))
                }
            }
        }
        _ => bail!(
            "several runs have a guest {wanted}: name one as it stands here, or start it with a name of \
             its own by --name{}",
            list(&found)
        ),
    }
}

impl Found {
    /// The name by which this one is found again, whatever else runs.
    pub(crate) fn exactly(&self) -> String {
        format!("{}{OF}{}", self.guest.name, self.process)
    }

    /// Asks the run for something, and waits until it is done. `request` is made of the guest's name;
    /// the user is told how far it is.
    ///
    /// # Errors
    /// With what went wrong there.
    pub(crate) fn ask(mut self, request: impl FnOnce(String) -> Request, ui: &Ui) -> Result<()> {
        let name = self.guest.name;
        say(self.run.get_ref(), &request(name.clone()))?;
        self.run.get_ref().set_read_timeout(None)?;
        loop {
            match next(&mut self.run)? {
                Answer::Bytes(done, total) => ui.bytes(done, total.max(done)),
                Answer::Guests(_) => {}
                Answer::Done => return Ok(()),
                Answer::Failed(why) => return Err(explained(&name, &why)),
            }
        }
    }
}

/// Connects to a run, if it is one that takes requests.
fn connected(folder: &Path) -> Result<UnixStream> {
    let (_folder, path) = socket(folder)?;
    Ok(UnixStream::connect(path)?)
}

/// Waits for a run to say which guests it has.
fn greeted(stream: UnixStream) -> Result<(Vec<Known>, BufReader<UnixStream>)> {
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
        let request = Request::Save { guest: "httpd".into(), file, copy: true, replace: false };
        let mut line = Vec::new();
        say(&mut line, &request).unwrap();
        assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
        assert_eq!(serde_json::from_slice::<Request>(&line).unwrap(), request);
        assert_eq!(request.guest(), "httpd");
        let (guest, overrides) = ("web".to_owned(), vec!["x=1".into()]);
        let (config, debug) = ("/a/web.xl".into(), "/a/web.debug".into());
        let request = Request::Update { guest, config, debug, overrides };
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
            assert_eq!(guests, [known("web")]);
            say(run.get_ref(), &Request::Migrate { guest: "web".into(), by_file: true }).unwrap();
            (next(&mut run).unwrap(), next(&mut run).unwrap())
        });
        let carry_out = |request: &Request, progress: &mut dyn FnMut(u64, u64)| {
            assert_eq!(request.guest(), "web");
            progress(1, 2);
            bail!("no room")
        };
        answer(&run, &[known("web")], carry_out).unwrap();
        let failed = Answer::Failed("no room".into());
        assert_eq!(other.join().unwrap(), (Answer::Bytes(1, 2), failed));
    }

    fn known(name: &str) -> Known {
        Known { name: name.into(), app: "httpd".into(), at: vec!["http://127.0.0.1:8080/".into()] }
    }

    #[test]
    fn of_two_guests_of_one_name_the_one_is_taken_that_is_named_with_its_run() {
        let running = [("12", "web"), ("34", "web"), ("34", "db")]
            .map(|(process, name)| (process.to_owned(), known(name)));
        let chosen = |wanted| chosen(wanted, &running, 0);
        assert_eq!(chosen("db").unwrap(), running[2]);
        assert_eq!(chosen("web@34").unwrap(), running[1]);
        let error = chosen("web").unwrap_err().to_string();
        for part in ["--name", "web@12, which is httpd, http://127.0.0.1:8080/", "web@34"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(!error.contains("db"), "{error}");
        for wanted in ["http", "web@5", "db@12"] {
            let error = chosen(wanted).unwrap_err().to_string();
            assert!(error.contains("no run") && error.contains("db@34"), "{error}");
        }
        assert!(super::chosen("x", &[], 0).unwrap_err().to_string().contains("none is running"));
        assert!(super::chosen("x", &[], 1).unwrap_err().to_string().contains("busy or stopped"));
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
