//! Starts a machine for programs: its tree of files, its devices, its first process.

use crate::errno::Errno;
use crate::exec::{self, First, Programs, Source};
use crate::file::store::{OnDisk, Store};
use crate::file::uses::Use;
use crate::file::{At, Caller, Context, Open, Place, Type, Walk};
use crate::memory::{Mapped, Memory, Source as Bytes};
use crate::signal::{Info, Signal};
use crate::socket::inet::Device;
use crate::stop::{Load, Stop, loaded};
use crate::system::System;
use crate::thread::{Thread, Tracer};
use crate::trace::Trace;
use crate::tty::{Size, Whom, Wire};
use crate::{dev, proc, run};
use alloc::boxed::Box;
use alloc::format;
use alloc::rc::{Rc, Weak};
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt;
use core::task::Waker;
use devices::block::Block;
use kernel::user::PAGE;
use kernel::{Exit, memory, println};
use linux_raw_sys::general::{O_CREAT, O_RDONLY, O_TRUNC, O_WRONLY};
use storage::fs::inodes::AnyInodes;

/// What programs find in their environment unless they are given something else.
const ENVIRONMENT: [&str; 3] = [
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "TERM=vt100",
];

/// Exit statuses of a shell for a program that cannot be executed, or is not there.
const NOT_EXECUTABLE: Exit = Exit(126);
const NOT_FOUND: Exit = Exit(127);

/// The largest file of users or groups that is read.
const LARGEST: usize = 1 << 20;

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The command line, split as a shell does.
    pub run: &'a str,
    /// Variables of its environment, split as a shell does.
    pub env: &'a str,
    /// The folder to begin in.
    pub cwd: &'a str,
    /// As whom: `USER` or `USER:GROUP`, by number or by name.
    pub user: &'a str,
    /// Where to print what programs ask for, as strace(1) does: `1` for the console, or the
    /// absolute path of a file. Nowhere if it is empty.
    pub strace: &'a str,
    /// Rows and columns of the terminal that the console is, such as `24x80`. Unknown if it is
    /// empty, which programs see as 0 and 0.
    pub terminal: &'a str,
}

/// Why no program was started.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The disk has no tree of files.
    Disk(storage::fs::Error),
    /// The tree could not be made.
    Tree(Errno),
    /// The argument of that name cannot be split.
    Quotes(&'static str),
    /// There is no program in the command line.
    Empty,
    /// A variable has no `=`.
    Variable(String),
    /// There is no such user or group.
    User(String),
    /// There is no such folder.
    Folder(String, Errno),
    /// Calls cannot be printed there.
    Trace(String, Errno),
    /// That is no size of a terminal.
    Size(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => error.fmt(f),
            Self::Tree(errno) => write!(f, "cannot make the tree of files: {errno:?}"),
            Self::Quotes(name) => write!(f, "{name}= has a quote that is not closed"),
            Self::Empty => f.write_str("run= names no program"),
            Self::Variable(text) => write!(f, "env= takes NAME=VALUE, not {text:?}"),
            Self::User(name) => write!(f, "there is no user or group {name:?} in /etc"),
            Self::Folder(path, errno) => write!(f, "cannot begin in {path}: {errno:?}"),
            Self::Trace(to, errno) => {
                write!(f, "strace= takes 1 or the path of a file, not {to}: {errno:?}")
            }
            Self::Size(text) => {
                write!(f, "terminal= takes rows and columns such as 24x80, not {text:?}")
            }
        }
    }
}

impl core::error::Error for Error {}

/// Runs a program with the tree of files on `root` and the network `ip`, and returns as which
/// status it ended: 128 and its number for a signal, 126 or 127 where it could not be started.
///
/// # Errors
/// See [`Error`].
pub async fn start<I: Device, B: Block + 'static>(
    ip: I,
    root: B,
    options: Options<'_>,
) -> Result<Exit, Error> {
    let arguments = shlex::split(options.run).ok_or(Error::Quotes("run"))?;
    let environment = environment(options.env)?;
    let name = arguments.first().ok_or(Error::Empty)?;
    let size = size(options.terminal)?;
    let system = machine(ip, root).await?;
    let looker = Looker::new(&system).map_err(Error::Tree)?;
    let ids = looker.ids(options.user).await?;
    let path = looker.program(name, &environment).await;
    let bytes = |all: &[String]| all.iter().map(|it| it.clone().into_bytes()).collect::<Vec<_>>();
    let (arguments, variables) = (bytes(&arguments), bytes(&environment));
    let first = First {
        path: &path,
        arguments: &arguments.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        environment: &variables.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        ids,
    };
    let missing = Cell::new(None);
    let prepare = async |thread: &Rc<Thread>| {
        dev::mount(thread, size).await?;
        proc::mount(thread).await?;
        dev::provide(thread).await?;
        // Not before: it may be in what is mounted now, such as /tmp.
        match looker.folder(options.cwd).await {
            Ok(cwd) => thread.process.fs.borrow().cwd.replace(Some(cwd)),
            Err(error) => {
                missing.set(Some(error));
                return Err(Errno::ENOENT);
            }
        };
        Ok(())
    };
    let started = exec::first(&system, first, run::body, prepare).await;
    if let Some(error) = missing.take() {
        return Err(error);
    }
    if let Ok(thread) = &started {
        trace(thread, options.strace).await?;
    }
    if let Err(errno) = started.and_then(Thread::start) {
        let applets = looker.program("busybox", &environment).await;
        let why = looker.why(name, &path, errno, applets.starts_with(b"/")).await;
        println!("error: cannot run {name}: {errno:?}, {why}");
        let missing = matches!(errno, Errno::ENOENT | Errno::ENOTDIR);
        return Ok(if missing { NOT_FOUND } else { NOT_EXECUTABLE });
    }
    Ok(Exit(run::to_end(&system).await as u8))
}

/// Reads the size of a terminal.
fn size(text: &str) -> Result<Size, Error> {
    if text.is_empty() {
        return Ok(Size::default());
    }
    let numbers = text.split_once('x').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    let (rows, columns) = numbers.ok_or_else(|| Error::Size(text.into()))?;
    Ok(Size::new(rows, columns))
}

/// Has calls printed where `to` says.
async fn trace(thread: &Thread, to: &str) -> Result<(), Error> {
    let failed = |errno| Error::Trace(to.into(), errno);
    let to: Box<dyn Wire> = match to {
        "" => return Ok(()),
        "1" => Box::new(dev::Console),
        _ if to.starts_with('/') => {
            let flags = O_WRONLY | O_CREAT | O_TRUNC;
            let tree = &thread.system.tree;
            let open = loaded(|| tree.open(thread, None, to.as_bytes(), flags, 0o644)).await;
            Box::new(Log(open.map_err(failed)?))
        }
        _ => return Err(failed(Errno::EINVAL)),
    };
    let tracer: Rc<dyn Tracer> = Rc::new(Trace::new(to));
    thread.trace(&tracer);
    Ok(())
}

/// A file that lines are appended to. When there is no more room, the end is missing.
struct Log(Rc<Open>);

impl Wire for Log {
    fn write(&self, bytes: &[u8]) -> usize {
        let _ = self.0.file.write(&self.0, At::Position, &mut Bytes::kernel(bytes));
        bytes.len()
    }

    fn room(&self) -> Option<usize> {
        None
    }

    fn wait(&self, _: &Waker) {}
}

/// Makes a machine without processes: its tree of files is that on `root`, its network `ip`.
///
/// # Errors
/// [`Error::Disk`], [`Error::Tree`]
pub async fn machine<I: Device, B: Block + 'static>(ip: I, root: B) -> Result<Rc<System>, Error> {
    let system = System::new();
    let disk = AnyInodes::open(root).await.map_err(Error::Disk)?;
    let below = OnDisk::root(disk).await.map_err(Error::Tree)?;
    system.tree.set_root(Store::over(&system.budget, &system.ram, below), "overlay");
    system.network.replace(ip.network(&system.ram));
    system.programs.replace(Some(Rc::new(Tree(Rc::downgrade(&system)))));
    connect_terminals(&system);
    Ok(system)
}

/// Has terminals send signals to those who are in the foreground or lead their session, and go free when their session
/// ends.
fn connect_terminals(system: &Rc<System>) {
    let weak = Rc::downgrade(system);
    system.terminals.set_signals(Box::new(move |whom, number| {
        let (Some(system), Some(signal)) = (weak.upgrade(), Signal::new(number.into())) else {
            return;
        };
        let info = Info::kernel(signal);
        match whom {
            Whom::Group(group) => drop(system.group_signal(group, info)),
            Whom::Leader(session) => {
                if let Some(leader) = system.process(session) {
                    let _ = leader.send(info);
                }
            }
        }
    }));
    system.session_end.replace(Some(Box::new(|system, session| {
        system.terminals.end_session(session);
    })));
}

/// Finds programs in the tree of files.
struct Tree(Weak<System>);

impl Programs for Tree {
    fn open(
        &self,
        caller: &dyn Caller,
        at: Option<&Open>,
        path: &[u8],
        follow: bool,
    ) -> Result<Source, Stop> {
        let system = self.0.upgrade().ok_or(Errno::ENOENT)?;
        let walk = if follow { Walk::FOLLOW } else { Walk::empty() };
        let open = system.tree.open_exec(caller, at, path, walk | Walk::EMPTY)?;
        let stat = open.file.stat()?;
        let place = open.place.as_ref().ok_or(Errno::EACCES)?;
        let path = system.tree.path(&caller.fs(), place)?;
        let runs = Use::run(&place.node)?.map(Rc::new);
        let pages = open.file.pages()?;
        let file = Mapped::new(pages, &path, stat.device, stat.inode, false)?;
        let place = Some(place.clone());
        Ok(Source { file, path, owner: [stat.mode, stat.uid, stat.gid], place, runs })
    }
}

/// Looks around in the tree before there is a process.
struct Looker<'a> {
    system: &'a System,
    memory: Rc<Memory>,
    context: Rc<Context>,
}

impl Caller for Looker<'_> {
    fn memory(&self) -> Rc<Memory> {
        Rc::clone(&self.memory)
    }

    fn fs(&self) -> Rc<Context> {
        Rc::clone(&self.context)
    }

    fn process(&self) -> [i32; 3] {
        [1; 3]
    }
}

impl<'a> Looker<'a> {
    fn new(system: &'a System) -> Result<Self, Errno> {
        let memory = Rc::new(Memory::new(&system.ram)?);
        Ok(Self { system, memory, context: Context::new() })
    }

    async fn find(&self, path: &[u8]) -> Result<Place, Errno> {
        loaded(|| self.system.tree.find(self, None, path, Walk::FOLLOW)).await
    }

    async fn folder(&self, path: &str) -> Result<Place, Error> {
        let found = self.find(path.as_bytes()).await;
        let kind = |it: Place| match it.node.kind() {
            Type::Folder => Ok(it),
            _ => Err(Errno::ENOTDIR),
        };
        found.and_then(kind).map_err(|errno| Error::Folder(path.into(), errno))
    }

    /// Returns the path of the program `name`: looks through `PATH` for what has no slash.
    async fn program(&self, name: &str, environment: &[String]) -> Vec<u8> {
        let folders = environment.iter().rev().find_map(|it| it.strip_prefix("PATH="));
        if !name.contains('/') {
            for folder in folders.unwrap_or_default().split(':') {
                let path = format!("{folder}/{name}").into_bytes();
                if self.find(&path).await.is_ok_and(|it| it.node.kind() == Type::Regular) {
                    return path;
                }
            }
        }
        name.as_bytes().to_vec()
    }

    /// Says why the program `name` at `path` cannot be executed, for a user who asks for it; with `applets`
    /// there is busybox, which is many programs.
    async fn why(&self, name: &str, path: &[u8], errno: Errno, applets: bool) -> &'static str {
        match (self.find(path).await, errno) {
            (Ok(_), Errno::ENOENT) => "for its interpreter is not on the disk",
            (Ok(_), Errno::ENOEXEC) => "for it is no program of Linux for x86-64",
            (Ok(_), _) => "as the file is now",
            (Err(_), _) if name.contains('/') => "there is no such file on the disk",
            (Err(_), _) if applets => {
                "there is no such file in the folders of PATH; busybox is there and may have it: put its \
                 name before"
            }
            (Err(_), _) => "there is no such file in the folders of PATH",
        }
    }

    /// Returns the numbers of a user and a group.
    async fn ids(&self, user: &str) -> Result<(u32, u32), Error> {
        let (user, group) = user.split_once(':').map_or((user, None), |it| (it.0, Some(it.1)));
        let entry = self.entry("/etc/passwd", user).await;
        let field = |entry: &Option<Vec<String>>, at: usize| {
            entry.as_ref().and_then(|it| it.get(at)?.parse().ok())
        };
        let unknown = |name: &str| Error::User(name.into());
        let uid = user.parse().ok().or(field(&entry, 2)).ok_or_else(|| unknown(user))?;
        let gid = match group {
            None => field(&entry, 3).unwrap_or(0),
            Some(group) => {
                let entry = self.entry("/etc/group", group).await;
                group.parse().ok().or(field(&entry, 2)).ok_or_else(|| unknown(group))?
            }
        };
        Ok((uid, gid))
    }

    /// Returns the fields of the line of a file of users or groups whose name or number is `key`.
    async fn entry(&self, path: &str, key: &str) -> Option<Vec<String>> {
        let text = self.text(path.as_bytes()).await.ok()?;
        let text = String::from_utf8_lossy(&text);
        let fields = |line: &str| line.split(':').map(String::from).collect::<Vec<_>>();
        let is = |it: &Vec<String>| [it.first(), it.get(2)].contains(&Some(&key.into()));
        text.lines().map(fields).find(is)
    }

    /// Reads a file.
    async fn text(&self, path: &[u8]) -> Result<Vec<u8>, Errno> {
        let open = loaded(|| self.system.tree.open(self, None, path, O_RDONLY, 0)).await?;
        let pages = open.file.pages()?;
        let size = usize::try_from(pages.size()).unwrap_or(LARGEST).min(LARGEST);
        let mut text = memory::zeroed(size).ok_or(Errno::ENOMEM)?;
        for (index, piece) in (0..).zip(text.chunks_mut(PAGE)) {
            let frame = loaded(|| {
                let load = || Load { pages: Rc::clone(&pages), index };
                pages.frame(index).ok_or_else(|| Stop::Load(load()))
            });
            frame.await?.read(0, piece);
        }
        Ok(text)
    }
}

/// Adds to the usual environment what was given.
fn environment(given: &str) -> Result<Vec<String>, Error> {
    let given = shlex::split(given).ok_or(Error::Quotes("env"))?;
    let name = |it: &str| it.split_once('=').map(|(name, _)| String::from(name));
    let names = given.iter().map(|it| name(it).ok_or_else(|| Error::Variable(it.clone())));
    let names: Vec<String> = names.collect::<Result<_, _>>()?;
    let usual = ENVIRONMENT.iter().filter(|it| !names.contains(&name(it).unwrap_or_default()));
    Ok(usual.map(|it| String::from(*it)).chain(given).collect())
}
