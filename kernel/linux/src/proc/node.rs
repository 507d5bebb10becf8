//! The inodes of `/proc` and `/sys`.

use super::descriptor::OpenNode;
use crate::errno::Errno;
use crate::file::text::TextFile;
use crate::file::texts::{Take, Texts};
use crate::file::{
    Above, Caller, Change, File, Handle, Inode, Listing, New, Place, Stat, Statfs, Type, Walk,
};
use crate::memory::Text;
use crate::process::Process;
use crate::stop::Stop;
use crate::system::System;
use alloc::boxed::Box;
use alloc::format;
use alloc::rc::{Rc, Weak};
use alloc::string::ToString;
use alloc::vec::Vec;
use core::any::Any;
use core::fmt::Write;
use linux_raw_sys::general::{O_ACCMODE, O_CLOEXEC, O_PATH, O_RDONLY, O_WRONLY};

/// One of the two file systems.
pub(super) struct FileSystem {
    pub(super) device: u64,
    pub(super) magic: u64,
    pub(super) registry: Rc<Texts>,
    pub(super) system: Weak<System>,
    /// Its root has a folder for each process.
    pub(super) processes: bool,
    pub(super) made: u64,
}

/// What an inode is.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// A file or folder of the machine, by its path.
    Machine(Box<str>),
    /// `self`
    Own,
    /// `thread-self`
    OwnThread,
    /// The folder of a process, or of a thread of it.
    Process(i32, Option<i32>),
    /// A file in that.
    Text(i32, Option<i32>, Box<str>),
    /// `cwd`
    Cwd(i32),
    /// `root`
    Root(i32),
    /// `exe`
    Exe(i32),
    /// `fd`
    Open(i32),
    /// A link in that.
    Descriptor(i32, u64),
    /// `fdinfo`
    Infos(i32),
    /// A file in that.
    Info(i32, u64),
    /// `task`
    Threads(i32),
}

/// The files of a process that nobody else may read, whatever their modes are (proc(5)).
const PRIVATE: [&str; 7] =
    ["auxv", "environ", "io", "maps", "personality", "smaps", "smaps_rollup"];

pub(super) struct Node {
    system: Rc<FileSystem>,
    what: What,
}

impl Node {
    pub(super) fn new(system: &Rc<FileSystem>, what: What) -> Rc<Self> {
        Rc::new(Self { system: Rc::clone(system), what })
    }

    fn with(&self, what: What) -> Rc<dyn Inode> {
        Self::new(&self.system, what)
    }

    fn process(&self, id: i32) -> Result<Rc<Process>, Errno> {
        let system = self.system.system.upgrade().ok_or(Errno::ESRCH)?;
        super::process::find(&system, id).ok_or(Errno::ENOENT)
    }

    fn may_look(&self, caller: &dyn Caller, id: i32) -> Result<bool, Errno> {
        let process = self.process(id)?;
        Ok(process.may_look(caller, &caller.credentials()))
    }

    fn look(&self, caller: &dyn Caller, id: i32) -> Result<(), Errno> {
        if self.may_look(caller, id)? { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// The number: unique for what there is of a process, and nearly so for names.
    fn number(&self) -> u64 {
        let of = |id: i32, code: u64, more: u64| (id as u64) << 36 | code << 28 | more;
        match &self.what {
            What::Machine(path) if path.is_empty() => 1,
            What::Machine(path) => {
                let step =
                    |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
                path.bytes().fold(0xcbf2_9ce4_8422_2325, step) >> 2 | 1 << 62
            }
            What::Own => 2,
            What::OwnThread => 3,
            What::Process(id, None) => of(*id, 1, 0),
            What::Process(id, Some(thread)) => of(*thread, 2, *id as u64 & 0xfff),
            What::Text(id, thread, name) => {
                let at = self.system.registry.of_process(name).map_or(0, |it| it.0 as u64);
                of(thread.unwrap_or(*id), if thread.is_some() { 4 } else { 3 }, at)
            }
            What::Cwd(id) => of(*id, 5, 0),
            What::Root(id) => of(*id, 6, 0),
            What::Exe(id) => of(*id, 7, 0),
            What::Open(id) => of(*id, 8, 0),
            What::Descriptor(id, fd) => of(*id, 9, *fd),
            What::Infos(id) => of(*id, 10, 0),
            What::Info(id, fd) => of(*id, 11, *fd),
            What::Threads(id) => of(*id, 12, 0),
        }
    }

    /// Calls `add` with each entry of the folder, by name.
    fn entries(&self, add: &mut dyn FnMut(&str, What) -> Result<(), Errno>) -> Result<(), Errno> {
        match &self.what {
            What::Machine(path) => {
                for (name, _) in self.system.registry.below(path) {
                    let full = if path.is_empty() { name.into() } else { format!("{path}/{name}") };
                    add(name, What::Machine(full.into()))?;
                }
                if path.is_empty() && self.system.processes {
                    add("self", What::Own)?;
                    add("thread-self", What::OwnThread)?;
                    if let Some(system) = self.system.system.upgrade() {
                        for id in system.processes().map(|it| it.id) {
                            add(&id.to_string(), What::Process(id, None))?;
                        }
                    }
                }
            }
            &What::Process(id, thread) => {
                self.process(id)?;
                for name in self.system.registry.names_of_process() {
                    add(name, What::Text(id, thread, name.into()))?;
                }
                add("cwd", What::Cwd(id))?;
                add("exe", What::Exe(id))?;
                add("root", What::Root(id))?;
                add("fd", What::Open(id))?;
                add("fdinfo", What::Infos(id))?;
                if thread.is_none() {
                    add("task", What::Threads(id))?;
                }
            }
            &What::Open(id) => {
                let files = self.process(id)?.files();
                for fd in files.numbers() {
                    add(&fd.to_string(), What::Descriptor(id, fd as u64))?;
                }
            }
            &What::Infos(id) => {
                let files = self.process(id)?.files();
                for fd in files.numbers() {
                    add(&fd.to_string(), What::Info(id, fd as u64))?;
                }
            }
            &What::Threads(id) => {
                let process = self.process(id)?;
                for thread in process.signals.receivers().borrow().iter().map(|it| it.id()) {
                    add(&thread.to_string(), What::Process(id, Some(thread)))?;
                }
            }
            _ => return Err(Errno::ENOTDIR),
        }
        Ok(())
    }

    /// Finds an entry without listing all.
    fn entry(&self, name: &str) -> Result<What, Errno> {
        // Numbers are written in one way alone.
        let number = name.parse::<u32>().ok().filter(|it| it.to_string() == name);
        let what = match &self.what {
            What::Machine(path) if path.is_empty() && self.system.processes => match name {
                "self" => Some(What::Own),
                "thread-self" => Some(What::OwnThread),
                _ => number
                    .and_then(|it| i32::try_from(it).ok())
                    .filter(|&it| self.process(it).is_ok())
                    .map(|it| What::Process(it, None)),
            },
            &What::Process(id, thread) => match name {
                "cwd" => Some(What::Cwd(id)),
                "exe" => Some(What::Exe(id)),
                "root" => Some(What::Root(id)),
                "fd" => Some(What::Open(id)),
                "fdinfo" => Some(What::Infos(id)),
                "task" if thread.is_none() => Some(What::Threads(id)),
                _ => {
                    let file = self.system.registry.of_process(name);
                    file.map(|_| What::Text(id, thread, name.into()))
                }
            },
            &What::Open(id) | &What::Infos(id) => {
                let fd = u64::from(number.ok_or(Errno::ENOENT)?);
                self.process(id)?.files().get(fd).map_err(|_| Errno::ENOENT)?;
                let links = matches!(self.what, What::Open(_));
                Some(if links { What::Descriptor(id, fd) } else { What::Info(id, fd) })
            }
            &What::Threads(id) => {
                let process = self.process(id)?;
                let number = number.and_then(|it| i32::try_from(it).ok());
                let thread = number.filter(|&it| process.thread(it).is_some());
                thread.map(|it| What::Process(id, Some(it)))
            }
            What::Machine(_) => None,
            _ => return Err(Errno::ENOTDIR),
        };
        if let Some(what) = what {
            return Ok(what);
        }
        let What::Machine(path) = &self.what else { return Err(Errno::ENOENT) };
        let full = if path.is_empty() { name.into() } else { format!("{path}/{name}") };
        let registry = &self.system.registry;
        let there = registry.get(&full).is_some() || registry.is_folder(&full);
        if there { Ok(What::Machine(full.into())) } else { Err(Errno::ENOENT) }
    }

    fn opened(&self, id: i32, fd: u64) -> Result<Place, Stop> {
        let open = self.process(id)?.files().get(fd).map_err(|_| Errno::ENOENT)?;
        OpenNode::place(&open)
    }
}

impl Inode for Node {
    fn id(&self) -> (u64, u64) {
        (self.system.device, self.number())
    }

    fn kind(&self) -> Type {
        match &self.what {
            What::Machine(path) if self.system.registry.get(path).is_none() => Type::Folder,
            What::Machine(_) | What::Text(..) | What::Info(..) => Type::Regular,
            What::Own
            | What::OwnThread
            | What::Cwd(_)
            | What::Root(_)
            | What::Exe(_)
            | What::Descriptor(..) => Type::Link,
            What::Process(..) | What::Open(_) | What::Infos(_) | What::Threads(_) => Type::Folder,
        }
    }

    fn stat(&self) -> Stat {
        let kind = self.kind();
        let mode = match &self.what {
            What::Machine(path) => match self.system.registry.get(path) {
                Some(entry) if entry.take.is_some() => 0o644,
                Some(_) => 0o444,
                None => 0o555,
            },
            What::Text(_, _, name) => {
                self.system.registry.of_process(name).map_or(0o444, |it| it.1)
            }
            What::Open(_) => 0o500,
            What::Infos(_) => 0o555,
            What::Info(..) => 0o444,
            // As it is open: to be read, to be written, or neither.
            &What::Descriptor(id, fd) => {
                let open = self.process(id).and_then(|it| it.files().get(fd));
                let flags = open.map_or(O_PATH, |it| it.flags());
                match flags & O_ACCMODE {
                    _ if flags & O_PATH != 0 => 0,
                    O_RDONLY => 0o500,
                    O_WRONLY => 0o300,
                    _ => 0o700,
                }
            }
            _ if kind == Type::Link => 0o777,
            _ => 0o555,
        };
        let (uid, gid) = match self.what {
            What::Machine(_) | What::Own | What::OwnThread => (0, 0),
            What::Process(id, _)
            | What::Text(id, _, _)
            | What::Cwd(id)
            | What::Root(id)
            | What::Exe(id)
            | What::Open(id)
            | What::Descriptor(id, _)
            | What::Infos(id)
            | What::Info(id, _)
            | What::Threads(id) => self.process(id).map_or((0, 0), |it| super::process::owner(&it)),
        };
        let time = self.system.made;
        Stat {
            device: self.system.device,
            inode: self.number(),
            kind,
            mode,
            links: match self.what {
                What::Threads(id) => self.process(id).map_or(2, |it| 2 + it.thread_count() as u64),
                _ if kind == Type::Folder => 2,
                _ => 1,
            },
            uid,
            gid,
            special: 0,
            size: 0,
            block: 1024,
            blocks: 0,
            accessed: time,
            modified: time,
            changed: time,
            born: 0,
        }
    }

    fn lookup(&self, _: &dyn Caller, name: &[u8]) -> Result<Rc<dyn Inode>, Stop> {
        let name = core::str::from_utf8(name).map_err(|_| Errno::ENOENT)?;
        Ok(self.with(self.entry(name)?))
    }

    fn create(&self, _: &dyn Caller, _: &[u8], _: New<'_>, _: u32) -> Result<Rc<dyn Inode>, Stop> {
        // Of names that are not there nothing can be made.
        Err(if self.system.processes { Errno::ENOENT } else { Errno::EPERM }.into())
    }

    fn rename(
        &self,
        _: &dyn Caller,
        _: &[u8],
        _: &Rc<dyn Inode>,
        _: &[u8],
        _: bool,
    ) -> Result<(), Stop> {
        Err(if self.system.processes { Errno::ENOENT } else { Errno::EPERM }.into())
    }

    fn up(&self) -> Option<Above> {
        let (above, name) = match &self.what {
            What::Machine(path) if path.is_empty() => return None,
            What::Machine(path) => {
                let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
                (What::Machine(folder.into()), name.to_string())
            }
            What::Process(id, None) => (What::Machine("".into()), id.to_string()),
            What::Process(id, Some(thread)) => (What::Threads(*id), thread.to_string()),
            What::Open(id) => (What::Process(*id, None), "fd".to_string()),
            What::Infos(id) => (What::Process(*id, None), "fdinfo".to_string()),
            What::Threads(id) => (What::Process(*id, None), "task".to_string()),
            _ => return None,
        };
        Some((self.with(above), name.into_bytes().into()))
    }

    fn list(&self, caller: &dyn Caller) -> Result<Listing, Stop> {
        caller.memory().ram().check_under_way()?;
        let mut all = Listing::default();
        self.entries(&mut |name, what| {
            let node = Self { system: Rc::clone(&self.system), what };
            all.push(name.as_bytes(), node.number(), Some(node.kind()))
        })?;
        Ok(all)
    }

    fn read_link(&self, caller: &dyn Caller) -> Result<Vec<u8>, Stop> {
        let [id, ..] = caller.process();
        match self.what {
            What::Own => Ok(id.to_string().into_bytes()),
            What::OwnThread => Ok(format!("{id}/task/{}", caller.thread()).into_bytes()),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    fn follow(&self, caller: &dyn Caller) -> Result<Option<Place>, Stop> {
        let system = self.system.system.upgrade().ok_or(Errno::ENOENT)?;
        if let What::Cwd(id) | What::Root(id) | What::Exe(id) | What::Descriptor(id, _) = self.what
        {
            self.look(caller, id)?;
            // One that has ended is nowhere.
            if self.process(id)?.status().is_some() {
                return Err(Errno::ENOENT.into());
            }
        }
        let place = match self.what {
            What::Cwd(id) => system.tree.cwd(&self.process(id)?.fs.borrow()),
            What::Root(id) => {
                let root = self.process(id)?.fs.borrow().root.borrow().clone();
                root.unwrap_or_else(|| Place::root(system.tree.root()))
            }
            What::Exe(id) => {
                let process = self.process(id)?;
                let place = process.program.borrow().place.clone();
                match place {
                    Some(place) => place,
                    None => {
                        let path = super::process::exe(&process);
                        system.tree.find(caller, None, &path, Walk::FOLLOW)?
                    }
                }
            }
            What::Descriptor(id, fd) => self.opened(id, fd)?,
            _ => return Ok(None),
        };
        Ok(Some(place))
    }

    fn open(self: Rc<Self>, caller: &dyn Caller, flags: u32) -> Result<Rc<dyn File>, Stop> {
        match self.what.clone() {
            What::Machine(path) => {
                let Some(entry) = self.system.registry.get(&path) else {
                    return Ok(Handle::new(self, Errno::EISDIR));
                };
                if entry.take.is_none() && flags & O_ACCMODE != O_RDONLY {
                    return Err(Errno::EACCES.into());
                }
                let make = move || Ok((entry.text)());
                Ok(TextFile::new(self, Box::new(make), entry.take))
            }
            What::Text(id, thread, name) => {
                let taker = self.system.registry.taker_of(&name);
                if flags & O_ACCMODE != O_RDONLY && taker.is_none() {
                    return Err(Errno::EACCES.into());
                }
                let [writer, ..] = caller.process();
                let take = taker.map(|taker| -> Take {
                    Rc::new(move |bytes: &[u8]| taker(writer, (id, thread), bytes))
                });
                let may = self.may_look(caller, id)?;
                if !may && PRIVATE.contains(&&*name) {
                    return Err(Errno::EACCES.into());
                }
                let (_, _, text) = self.system.registry.of_process(&name).ok_or(Errno::ENOENT)?;
                let hides = !may && &*name == "stat";
                let make = move || {
                    let text = text(id, thread).ok_or(Errno::ESRCH)?;
                    Ok(if hides { super::status::without_addresses(&text) } else { text })
                };
                Ok(TextFile::new(self, Box::new(make), take))
            }
            What::Info(id, fd) => {
                self.look(caller, id)?;
                let process = self.process(id)?;
                let make = move || {
                    let open = process.files().get(fd).map_err(|_| Errno::ENOENT)?;
                    let closes = process.files().closes_on_exec(fd).unwrap_or(false);
                    let flags = open.flags() | if closes { O_CLOEXEC } else { 0 };
                    let position = open.position.get();
                    let inode = open.file.stat().map_or(0, |it| it.inode);
                    let mut text = Text::default();
                    writeln!(
                        text,
                        "pos:\t{position}\nflags:\t0{flags:o}\nmnt_id:\t1\nino:\t{inode}"
                    )
                    .and_then(|()| open.file.tell(&mut text))
                    .map_err(|_| Errno::ENOMEM)?;
                    Ok(text.0)
                };
                Ok(TextFile::new(self, Box::new(make), None))
            }
            _ => Ok(Handle::new(self, Errno::EISDIR)),
        }
    }

    fn set(&self, _: &Change) -> Result<(), Stop> {
        Err(Errno::EPERM.into())
    }

    fn resize(&self, _: u64) -> Result<(), Stop> {
        // What is opened with O_TRUNC to be written.
        Ok(())
    }

    fn system(&self) -> Statfs {
        let (magic, device) = (self.system.magic, self.system.device);
        Statfs { magic, size: 0, free: 0, files: 0, free_files: 0, device }
    }

    fn any(&self) -> &dyn Any {
        self
    }
}
