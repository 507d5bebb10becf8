//! Asks for and changes what is known of a file: stat(2) and what belongs to it.

use super::super::{Caller, Change, Credentials, Place, Stat, Statfs, Type, Walk, notify, now};
use super::CWD;
use crate::call::{Answer, Args, Group, Outcome, calls};
use crate::errno::Errno;
use crate::memory::Memory;
use crate::stop::Stop;
use crate::thread::Thread;
use alloc::rc::Rc;
use linux_raw_sys::general::{
    AT_EACCESS, AT_EMPTY_PATH, AT_FDCWD, AT_NO_AUTOMOUNT, AT_SYMLINK_NOFOLLOW, IN_ACCESS,
    IN_ATTRIB, IN_MODIFY, O_PATH,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The calls about attributes.
pub(crate) const CALLS: Group = calls! {
    stat(Text, Stat) = stat;
    lstat(Text, Stat) = lstat;
    fstat(Fd, Stat) = fstat;
    newfstatat(Fd, Text, Stat, AT) = newfstatat;
    statx(Fd, Text, AT, Hex, Hex) = statx;
    access(Text, ACCESS) = access;
    faccessat(Fd, Text, ACCESS) = faccessat;
    faccessat2(Fd, Text, ACCESS, AT) = faccessat2;
    chmod(Text, Mode) = chmod;
    fchmod(Fd, Mode) = fchmod;
    fchmodat(Fd, Text, Mode) = fchmodat;
    fchmodat2(Fd, Text, Mode, AT) = fchmodat2;
    chown(Text, Int, Int) = chown;
    lchown(Text, Int, Int) = lchown;
    fchown(Fd, Int, Int) = fchown;
    fchownat(Fd, Text, Int, Int, AT) = fchownat;
    utime(Text, Hex) = utime;
    utimes(Text, Hex) = utimes;
    futimesat(Fd, Text, Hex) = futimesat;
    utimensat(Fd, Text, Hex, AT) = utimensat;
    statfs(Text, Hex) = statfs;
    fstatfs(Fd, Hex) = fstatfs;
    getxattr(Text, Text, Hex, Size) = no_attributes;
    lgetxattr(Text, Text, Hex, Size) = no_attributes_of_link;
    fgetxattr(Fd, Text, Hex, Size) = no_attributes_of_open;
    setxattr(Text, Text, Hex, Size, Hex) = no_attributes;
    lsetxattr(Text, Text, Hex, Size, Hex) = no_attributes_of_link;
    fsetxattr(Fd, Text, Hex, Size, Hex) = no_attributes_of_open;
    listxattr(Text, Hex, Size) = no_attributes;
    llistxattr(Text, Hex, Size) = no_attributes_of_link;
    flistxattr(Fd, Hex, Size) = no_attributes_of_open;
    removexattr(Text, Text) = no_attributes;
    lremovexattr(Text, Text) = no_attributes_of_link;
    fremovexattr(Fd, Text) = no_attributes_of_open;
};

const NS: u64 = 1_000_000_000;

/// `struct stat` of x86-64
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct RawStat {
    device: u64,
    inode: u64,
    links: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    pad: u32,
    special: u64,
    size: u64,
    block: u64,
    blocks: u64,
    times: [u64; 6],
    unused: [u64; 3],
}

fn put_stat(memory: &Memory, at: u64, stat: &Stat) -> Answer {
    let of = |time: u64| [time / NS, time % NS];
    let [[a, b], [c, d], [e, f]] = [of(stat.accessed), of(stat.modified), of(stat.changed)];
    let raw = RawStat {
        device: stat.device,
        inode: stat.inode,
        links: stat.links,
        mode: stat.kind.bits() | stat.mode & 0o7777,
        uid: stat.uid,
        gid: stat.gid,
        pad: 0,
        special: stat.special,
        size: stat.size,
        block: stat.block,
        blocks: stat.blocks,
        times: [a, b, c, d, e, f],
        unused: [0; 3],
    };
    memory.put(at, &raw)?;
    Ok(Outcome::Value(0))
}

fn stat(thread: &Rc<Thread>, [path, to, ..]: Args) -> Answer {
    newfstatat(thread, [CWD, path, to, 0, 0, 0])
}

fn lstat(thread: &Rc<Thread>, [path, to, ..]: Args) -> Answer {
    newfstatat(thread, [CWD, path, to, AT_SYMLINK_NOFOLLOW.into(), 0, 0])
}

fn fstat(thread: &Rc<Thread>, [fd, to, ..]: Args) -> Answer {
    let open = thread.process.files().get(fd)?;
    // A pipe with a name is described by its inode.
    let named = open.place.as_ref().filter(|it| it.node.kind() == Type::Pipe);
    let stat = named.map_or_else(|| open.file.stat(), |it| Ok(it.node.stat()))?;
    put_stat(&thread.memory(), to, &stat)
}

/// Looks at a descriptor and a path. What is open and has no place in the tree is known by its
/// descriptor alone.
fn look(thread: &Rc<Thread>, fd: u64, at: u64, flags: u64) -> Result<Stat, Stop> {
    let flags = flags as u32;
    if flags & AT_EMPTY_PATH != 0 && fd as u32 != AT_FDCWD as u32 {
        let is_empty = at == 0 || thread.memory().get::<u8>(at)? == 0;
        if is_empty {
            return thread.process.files().get(fd)?.file.stat();
        }
    }
    let nofollow = flags & AT_SYMLINK_NOFOLLOW != 0;
    let walk = if nofollow { Walk::empty() } else { Walk::FOLLOW };
    Ok(super::find(thread, fd, at, flags, walk)?.node.stat())
}

fn newfstatat(thread: &Rc<Thread>, [fd, path, to, flags, ..]: Args) -> Answer {
    let known = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
    if flags & !u64::from(known) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let stat = look(thread, fd, path, flags)?;
    put_stat(&thread.memory(), to, &stat)
}

/// `struct statx_timestamp`
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Moment {
    seconds: i64,
    ns: u32,
    pad: u32,
}

impl Moment {
    const fn new(time: u64) -> Self {
        Self { seconds: (time / NS).cast_signed(), ns: (time % NS) as u32, pad: 0 }
    }
}

/// `struct statx`
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Statx {
    mask: u32,
    block: u32,
    attributes: u64,
    links: u32,
    uid: u32,
    gid: u32,
    mode: u16,
    pad: u16,
    inode: u64,
    size: u64,
    blocks: u64,
    known_attributes: u64,
    accessed: Moment,
    born: Moment,
    changed: Moment,
    modified: Moment,
    special: [u32; 2],
    device: [u32; 2],
    mount: u64,
    unused: [u64; 13],
}

/// Returns the two parts of the number of a device.
const fn parts(device: u64) -> [u32; 2] {
    let major = (device >> 8 & 0xfff) | (device >> 32 & !0xfff);
    let minor = (device & 0xff) | (device >> 12 & !0xff);
    [major as u32, minor as u32]
}

fn statx(thread: &Rc<Thread>, [fd, path, flags, mask, to, _]: Args) -> Answer {
    const BASIC: u32 = 0x7ff;
    const BORN: u32 = 0x800;
    const MOUNT: u32 = 0x1000;
    const SYNC: u64 = 0x6000;
    let known = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
    if flags & !(u64::from(known) | SYNC) != 0 || flags & SYNC == SYNC || mask >> 31 & 1 != 0 {
        return Err(Errno::EINVAL.into());
    }
    let it = look(thread, fd, path, flags)?;
    let born = if it.born == 0 { 0 } else { mask as u32 & BORN };
    let raw = Statx {
        mask: BASIC | MOUNT | born,
        block: it.block as u32,
        attributes: 0,
        links: it.links as u32,
        uid: it.uid,
        gid: it.gid,
        mode: (it.kind.bits() | it.mode & 0o7777) as u16,
        pad: 0,
        inode: it.inode,
        size: it.size,
        blocks: it.blocks,
        known_attributes: 0,
        accessed: Moment::new(it.accessed),
        born: Moment::new(it.born),
        changed: Moment::new(it.changed),
        modified: Moment::new(it.modified),
        special: parts(it.special),
        device: parts(it.device),
        mount: it.device,
        unused: [0; 13],
    };
    thread.memory().put(to, &raw)?;
    Ok(Outcome::Value(0))
}

fn access(thread: &Rc<Thread>, [path, mode, ..]: Args) -> Answer {
    faccessat2(thread, [CWD, path, mode, 0, 0, 0])
}

fn faccessat(thread: &Rc<Thread>, [fd, path, mode, ..]: Args) -> Answer {
    faccessat2(thread, [fd, path, mode, 0, 0, 0])
}

fn faccessat2(thread: &Rc<Thread>, [fd, path, mode, flags, ..]: Args) -> Answer {
    let known = AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
    if mode & !7 != 0 || flags & !u64::from(known) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let stat = look(thread, fd, path, flags)?;
    let caller: &dyn Caller = &**thread;
    let effective = flags & u64::from(AT_EACCESS) != 0;
    let who = if effective { caller.credentials() } else { caller.real_credentials() };
    who.may(&stat, mode as u32)?;
    Ok(Outcome::Value(0))
}

/// What is changed, if it is open. `None` for a pipe, a socket or the like, which belongs to who
/// made it: it is as it is, whatever is set.
fn of_descriptor(thread: &Thread, fd: u64) -> Result<Option<Place>, Stop> {
    let open = thread.process.files().get(fd)?;
    if open.flags() & O_PATH != 0 {
        return Err(Errno::EBADF.into());
    }
    match &open.place {
        Some(place) => Ok(Some(place.clone())),
        // There is one inode for all of these, and it is root's.
        None if open.file.stat()?.kind == Type::Anonymous && !thread.credentials().root => {
            Err(Errno::EPERM.into())
        }
        None => Ok(None),
    }
}

fn of_path(thread: &Rc<Thread>, fd: u64, at: u64, flags: u64) -> Result<Place, Stop> {
    let nofollow = flags & u64::from(AT_SYMLINK_NOFOLLOW) != 0;
    let walk = if nofollow { Walk::empty() } else { Walk::FOLLOW };
    super::find(thread, fd, at, flags as u32, walk)
}

fn set_mode(thread: &Thread, place: &Place, mode: u64) -> Answer {
    let (who, stat) = (thread.credentials(), place.node.stat());
    if stat.kind == Type::Link {
        return Err(Errno::EOPNOTSUPP.into());
    }
    if !who.owns(&stat) {
        return Err(Errno::EPERM.into());
    }
    let mut mode = mode as u32 & 0o7777;
    if !who.root && !who.is_in(stat.gid) {
        mode &= !0o2000;
    }
    place.node.set(&Change { mode: Some(mode), ..Change::default() })?;
    notify::happened(place, IN_ATTRIB);
    Ok(Outcome::Value(0))
}

fn chmod(thread: &Rc<Thread>, [path, mode, ..]: Args) -> Answer {
    set_mode(thread, &of_path(thread, CWD, path, 0)?, mode)
}

fn fchmod(thread: &Rc<Thread>, [fd, mode, ..]: Args) -> Answer {
    match of_descriptor(thread, fd)? {
        Some(place) => set_mode(thread, &place, mode),
        None => Ok(Outcome::Value(0)),
    }
}

fn fchmodat(thread: &Rc<Thread>, [fd, path, mode, ..]: Args) -> Answer {
    set_mode(thread, &of_path(thread, fd, path, 0)?, mode)
}

fn fchmodat2(thread: &Rc<Thread>, [fd, path, mode, flags, ..]: Args) -> Answer {
    if flags & !u64::from(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL.into());
    }
    set_mode(thread, &of_path(thread, fd, path, flags)?, mode)
}

fn set_owner(thread: &Thread, place: &Place, uid: u64, gid: u64) -> Answer {
    let some = |id: u64| Some(id as u32).filter(|&it| it != u32::MAX);
    let (uid, gid) = (some(uid), some(gid));
    let (who, stat): (Credentials, _) = (thread.credentials(), place.node.stat());
    if !who.root {
        let own = who.uid == stat.uid;
        let keeps = uid.is_none_or(|it| own && it == stat.uid);
        let joins = gid.is_none_or(|it| own && (it == stat.gid || who.is_in(it)));
        if !keeps || !joins {
            return Err(Errno::EPERM.into());
        }
    }
    // A new owner of a program does not run it as the old one meant it.
    let is_folder = stat.kind == Type::Folder;
    let mode = Some(who.mode_of_other(&stat)).filter(|&it| !is_folder && it != stat.mode);
    if mode.is_some() && !who.owns(&stat) {
        return Err(Errno::EPERM.into());
    }
    place.node.set(&Change { uid, gid, mode, ..Change::default() })?;
    if uid.is_some() || gid.is_some() || mode.is_some() {
        notify::happened(place, IN_ATTRIB);
    }
    Ok(Outcome::Value(0))
}

fn chown(thread: &Rc<Thread>, [path, uid, gid, ..]: Args) -> Answer {
    set_owner(thread, &of_path(thread, CWD, path, 0)?, uid, gid)
}

fn lchown(thread: &Rc<Thread>, [path, uid, gid, ..]: Args) -> Answer {
    set_owner(thread, &of_path(thread, CWD, path, AT_SYMLINK_NOFOLLOW.into())?, uid, gid)
}

fn fchown(thread: &Rc<Thread>, [fd, uid, gid, ..]: Args) -> Answer {
    if let Some(place) = of_descriptor(thread, fd)? {
        return set_owner(thread, &place, uid, gid);
    }
    let who = thread.credentials();
    let keeps = [u32::MAX, who.uid].contains(&(uid as u32));
    let joins = [u32::MAX, who.gid].contains(&(gid as u32)) || who.is_in(gid as u32);
    if who.root || keeps && joins { Ok(Outcome::Value(0)) } else { Err(Errno::EPERM.into()) }
}

fn fchownat(thread: &Rc<Thread>, [fd, path, uid, gid, flags, _]: Args) -> Answer {
    if flags & !u64::from(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL.into());
    }
    set_owner(thread, &of_path(thread, fd, path, flags)?, uid, gid)
}

/// A time to set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Now,
    Keep,
    At(u64),
}

/// `struct timespec`, or `struct timeval` with µs in its second word.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Time {
    seconds: i64,
    part: i64,
}

impl Time {
    /// Reads two times; now without an address. `unit`: ns in one of the second word.
    fn pair(memory: &Memory, at: u64, unit: u64) -> Result<[When; 2], Stop> {
        const NOW: i64 = 0x3fff_ffff;
        const OMIT: i64 = 0x3fff_fffe;
        if at == 0 {
            return Ok([When::Now; 2]);
        }
        let pair: [Self; 2] = [memory.get(at)?, memory.get(at.wrapping_add(16))?];
        let mut whens = [When::Now; 2];
        for (when, it) in whens.iter_mut().zip(pair) {
            *when = match it.part {
                NOW if unit == 1 => When::Now,
                OMIT if unit == 1 => When::Keep,
                part => {
                    let part = u64::try_from(part).ok().filter(|&it| it < NS / unit);
                    let part = part.ok_or(Errno::EINVAL)? * unit;
                    // What was before 1970 is then.
                    let seconds = u64::try_from(it.seconds).unwrap_or(0);
                    When::At(seconds.saturating_mul(NS).saturating_add(part))
                }
            };
        }
        Ok(whens)
    }
}

fn set_times(thread: &Thread, place: &Place, times: [When; 2]) -> Answer {
    let (who, stat) = (thread.credentials(), place.node.stat());
    if !who.owns(&stat) {
        // Whoever may write may say that it was now.
        if times != [When::Now; 2] {
            return Err(Errno::EPERM.into());
        }
        who.may(&stat, 2)?;
    }
    let time = now();
    let [accessed, modified] = times.map(|it| match it {
        When::Now => Some(time),
        When::Keep => None,
        When::At(time) => Some(time),
    });
    place.node.set(&Change { accessed, modified, ..Change::default() })?;
    // One time alone looks like an access or a change, as on Linux.
    let told = match (accessed, modified) {
        (Some(_), None) => IN_ACCESS,
        (None, Some(_)) => IN_MODIFY,
        _ => IN_ATTRIB,
    };
    notify::happened(place, told);
    Ok(Outcome::Value(0))
}

fn set_times_of_open(thread: &Thread, fd: u64, times: [When; 2]) -> Answer {
    match of_descriptor(thread, fd)? {
        Some(place) => set_times(thread, &place, times),
        None => Ok(Outcome::Value(0)),
    }
}

fn utimensat(thread: &Rc<Thread>, [fd, path, times, flags, ..]: Args) -> Answer {
    let times = Time::pair(&thread.memory(), times, 1)?;
    // Nothing is to be done, wherever that is.
    if times == [When::Keep; 2] {
        return Ok(Outcome::Value(0));
    }
    if flags & !u64::from(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL.into());
    }
    // futimens(3) is this without a path.
    if path != 0 || fd as u32 == AT_FDCWD as u32 {
        return set_times(thread, &of_path(thread, fd, path, flags)?, times);
    }
    if flags != 0 {
        return Err(Errno::EINVAL.into());
    }
    set_times_of_open(thread, fd, times)
}

fn utimes(thread: &Rc<Thread>, [path, times, ..]: Args) -> Answer {
    futimesat(thread, [CWD, path, times, 0, 0, 0])
}

fn futimesat(thread: &Rc<Thread>, [fd, path, times, ..]: Args) -> Answer {
    let times = Time::pair(&thread.memory(), times, 1000)?;
    if path == 0 {
        return set_times_of_open(thread, fd, times);
    }
    set_times(thread, &of_path(thread, fd, path, 0)?, times)
}

fn utime(thread: &Rc<Thread>, [path, times, ..]: Args) -> Answer {
    let memory = thread.memory();
    let times = if times == 0 {
        [When::Now; 2]
    } else {
        let pair: [i64; 2] = memory.get(times)?;
        pair.map(|it| When::At(u64::try_from(it).unwrap_or(0).saturating_mul(NS)))
    };
    set_times(thread, &of_path(thread, CWD, path, 0)?, times)
}

/// `struct statfs` of x86-64
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct RawStatfs {
    magic: u64,
    block: u64,
    blocks: u64,
    free: u64,
    available: u64,
    files: u64,
    free_files: u64,
    id: u64,
    longest_name: u64,
    fragment: u64,
    flags: u64,
    spare: [u64; 4],
}

fn put_statfs(thread: &Thread, at: u64, it: &Statfs) -> Answer {
    const VALID: u64 = 0x20;
    let raw = RawStatfs {
        magic: it.magic,
        block: 4096,
        blocks: it.size / 4096,
        free: it.free / 4096,
        available: it.free / 4096,
        files: it.files,
        free_files: it.free_files,
        id: it.device,
        longest_name: super::super::LONGEST_NAME as u64,
        fragment: 4096,
        flags: VALID,
        spare: [0; 4],
    };
    thread.memory().put(at, &raw)?;
    Ok(Outcome::Value(0))
}

fn statfs(thread: &Rc<Thread>, [path, to, ..]: Args) -> Answer {
    let node = of_path(thread, CWD, path, 0)?.node;
    put_statfs(thread, to, &node.system())
}

fn fstatfs(thread: &Rc<Thread>, [fd, to, ..]: Args) -> Answer {
    let open = thread.process.files().get(fd)?;
    let it = match &open.place {
        Some(place) => place.node.system(),
        // Pipes and the like.
        None => Statfs {
            magic: linux_raw_sys::general::PIPEFS_MAGIC.into(),
            size: 0,
            free: 0,
            files: 0,
            free_files: 0,
            device: open.file.stat()?.device,
        },
    };
    put_statfs(thread, to, &it)
}

/// There are no extended attributes, of whatever there is.
fn no_attributes(thread: &Rc<Thread>, [path, ..]: Args) -> Answer {
    super::find(thread, CWD, path, 0, Walk::FOLLOW)?;
    Err(Errno::EOPNOTSUPP.into())
}

fn no_attributes_of_link(thread: &Rc<Thread>, [path, ..]: Args) -> Answer {
    super::find(thread, CWD, path, 0, Walk::empty())?;
    Err(Errno::EOPNOTSUPP.into())
}

fn no_attributes_of_open(thread: &Rc<Thread>, [fd, ..]: Args) -> Answer {
    super::real(thread, fd)?;
    Err(Errno::EOPNOTSUPP.into())
}
