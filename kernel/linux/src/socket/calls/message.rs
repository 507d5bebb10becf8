//! Sending and receiving: sendto(2), sendmsg(2), sendmmsg(2), recvfrom(2), recvmsg(2), recvmmsg(2).

use super::{given, load, load_address, path};
use crate::call::{Answer, Args, Group, Outcome, blocking_for, calls, wait};
use crate::errno::Errno;
use crate::file::{Caller, Open};
use crate::memory::{Memory, Part, Sink, Source};
use crate::socket::address::{Address, LONGEST, Name};
use crate::socket::message::{Credentials, Incoming, Outgoing, sender};
use crate::socket::{SocketFile, Style};
use crate::stop::Stop;
use crate::thread::Thread;
use crate::time::Timespec;
use crate::watch::Ready;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;
use kernel::time::Instant;
use linux_raw_sys::net::{
    AF_UNIX, MSG_CMSG_CLOEXEC, MSG_CTRUNC, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_PEEK, MSG_TRUNC,
    MSG_WAITALL,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The calls that move bytes.
pub(crate) const CALLS: Group = calls! {
    sendto(Fd, Data, Size, MESSAGE, Address, Int) = sendto;
    recvfrom(Fd, Filled, Size, MESSAGE, AddressOut, Hex) = recvfrom;
    sendmsg(Fd, Hex, MESSAGE) = sendmsg;
    recvmsg(Fd, Hex, MESSAGE) = recvmsg;
    sendmmsg(Fd, Hex, Size, MESSAGE) = sendmmsg;
    recvmmsg(Fd, Hex, Size, MESSAGE, Hex) = recvmmsg;
};

/// Receives without waiting once one message came (recvmmsg(2)); the headers' bindings lack it.
const MSG_WAITFORONE: u32 = 0x1_0000;

/// The most bytes that one call moves (`MAX_RW_COUNT`).
const MOST: u64 = 0x7fff_f000;

/// Parts of one message at most (`UIO_MAXIOV`), and messages of one call.
const PARTS: u64 = 1024;

/// `struct msghdr`.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
struct MsgHdr {
    name: u64,
    name_length: u32,
    _gap: u32,
    parts: u64,
    part_count: u64,
    control: u64,
    control_length: u64,
    flags: u32,
    _end: u32,
}

/// Bytes that control messages take at most: one with as many descriptors as it may have, and
/// those that are small.
const CONTROL: usize = 2048;

/// `struct mmsghdr`.
const MMSGHDR: u64 = size_of::<MsgHdr>() as u64 + 8;

/// What a message is made of, read from a program's memory.
struct Prepared {
    to: Option<Address>,
    parts: Vec<Part>,
    rights: Vec<Rc<Open>>,
    credentials: Credentials,
    flags: u32,
}

fn parts(memory: &Memory, at: u64, count: u64) -> Result<Vec<Part>, Stop> {
    if count > PARTS {
        return Err(Errno::EMSGSIZE.into());
    }
    let mut parts = memory.ram().sized(count as usize)?;
    let mut total = 0_usize;
    for number in 0..count {
        let [address, length]: [u64; 2] = memory.get(at.wrapping_add(number * 16))?;
        let length = usize::try_from(length as i64).map_err(|_| Errno::EINVAL)?;
        let length = length.min(MOST as usize - total);
        total += length;
        parts.push(Part { at: address as usize, length });
    }
    Ok(parts)
}

/// Sends what was prepared: at once, or when there is room.
fn send(thread: &Rc<Thread>, open: Rc<Open>, prepared: Prepared) -> Answer {
    let socket = SocketFile::of(&open)?;
    let stream = socket.form().style == Style::Stream;
    let named = match (&prepared.to, path::unix(&**socket)) {
        // Who waits for its room must not keep it.
        (Some(Address::Unix(Name::Path(name))), Some(_)) => {
            Some(Rc::downgrade(&path::find(thread, name)?))
        }
        _ => None,
    };
    let file = open.as_kind::<SocketFile>().ok_or(Errno::ENOTSOCK)?;
    let (limit, at_once) = (file.timeouts.get()[1], prepared.flags & MSG_DONTWAIT != 0);
    let signals = prepared.flags & MSG_NOSIGNAL == 0;
    let Prepared { to, parts, rights, credentials, flags } = prepared;
    let total: usize = parts.iter().map(|it| it.length).sum();
    let sent = Rc::new(Cell::new(0));
    let so_far = Rc::clone(&sent);
    let mut rights = Some(rights);
    // Root may have more than its limit in flight, as on Linux.
    let own = sender(&**thread).user as usize;
    let most = match thread.process.credentials.borrow().is_root() {
        true => usize::MAX,
        false => thread.process.files().limit(),
    };
    let answer = blocking_for(thread, &open, limit, move |thread, open| {
        let (memory, socket) = (thread.memory(), SocketFile::of(open)?);
        let mut message = Outgoing {
            to: to.as_ref(),
            rights: rights.take().unwrap_or_default(),
            bound: [own, most],
            credentials,
            flags,
        };
        let mut source = Source::new(&memory, &parts);
        source.skip(so_far.get());
        loop {
            let result = match (&named, path::unix(&**socket)) {
                (Some(other), Some(unix)) => {
                    let other = other.upgrade().ok_or(Errno::ECONNREFUSED)?;
                    unix.send_to(Some(other), &mut message, &mut source)
                }
                _ => socket.send(&mut message, &mut source),
            };
            match result {
                Ok(count) => {
                    so_far.update(|it| it + count);
                    if !stream || count == 0 || so_far.get() >= total {
                        return Ok(so_far.get());
                    }
                }
                Err(_) if so_far.get() > 0 && (at_once || open.is_nonblocking()) => {
                    return Ok(so_far.get());
                }
                Err(Stop::Wait) if at_once => return Err(Errno::EAGAIN.into()),
                Err(Stop::Fail(_)) if so_far.get() > 0 => return Ok(so_far.get()),
                Err(Stop::Fail(Errno::EPIPE)) => {
                    if signals && stream {
                        thread.broken_pipe();
                    }
                    return Err(Errno::EPIPE.into());
                }
                Err(stop) => {
                    rights = Some(core::mem::take(&mut message.rights));
                    return Err(stop);
                }
            }
        }
    });
    until(answer, sent)
}

/// Answers with what was moved `so_far` where a signal, or a lack of memory, ends a call that has moved something.
fn until(answer: Answer, so_far: Rc<Cell<usize>>) -> Answer {
    let counted = Rc::clone(&so_far);
    let answer = match answer {
        Ok(Outcome::Wait(future)) => wait(async move {
            match (future.await, counted.get()) {
                (Err(_), count @ 1..) => Ok(count),
                (result, _) => result,
            }
        }),
        other => other,
    };
    match (answer, so_far.get()) {
        (Err(Stop::Fail(_)), count @ 1..) => Ok(count.into()),
        (answer, _) => answer,
    }
}

fn sendto(thread: &Rc<Thread>, [fd, at, length, flags, to, to_length]: Args) -> Answer {
    // It is cut off, whatever it is, and has to be a program's.
    let length = length.min(MOST);
    Memory::check_range(at, length)?;
    let open = thread.process.files().get(fd)?;
    let socket = SocketFile::of(&open)?;
    let to = match to {
        0 => None,
        at => Some(given(thread, &**socket, at, to_length)?),
    };
    let parts = alloc::vec![Part { at: at as usize, length: length as usize }];
    let (rights, credentials) = (Vec::new(), sender(&**thread));
    send(thread, open, Prepared { to, parts, rights, credentials, flags: flags as u32 })
}

/// Sends the message whose header stands at `at`.
fn send_message(thread: &Rc<Thread>, fd: u64, at: u64, flags: u32) -> Answer {
    let open = thread.process.files().get(fd)?;
    SocketFile::of(&open)?;
    let header: MsgHdr = thread.memory().get(at)?;
    let prepared = prepare(thread, &open, &header, flags)?;
    send(thread, open, prepared)
}

/// Lets a process tell its own number and any of its own users and groups, and root all of
/// processes that there are (unix(7), `SCM_CREDENTIALS`).
fn may_tell(thread: &Thread, told: &Credentials) -> Result<(), Errno> {
    let own = thread.process.credentials.borrow();
    if [told.user, told.group].contains(&u32::MAX) {
        return Err(Errno::EINVAL);
    }
    let is_own =
        told.process == thread.process.id && own.user.has(told.user) && own.group.has(told.group);
    if !is_own && !own.is_root() {
        return Err(Errno::EPERM);
    }
    if told.process != thread.process.id && thread.system.process(told.process).is_none() {
        return Err(Errno::ESRCH);
    }
    Ok(())
}

fn prepare(thread: &Thread, open: &Open, header: &MsgHdr, flags: u32) -> Result<Prepared, Stop> {
    let memory = thread.memory();
    let to = match (header.name, header.name_length) {
        (0, _) | (_, 0) => None,
        (_, length) if length.cast_signed() < 0 => return Err(Errno::EINVAL.into()),
        // What is longer than any address is cut off.
        (at, length) => {
            let length = length.min(LONGEST as u32);
            Some(given(thread, &**SocketFile::of(open)?, at, length.into())?)
        }
    };
    let parts = parts(&memory, header.parts, header.part_count)?;
    let mut message = Outgoing { credentials: sender(thread), ..Outgoing::default() };
    if header.control_length > 0 {
        let control = (header.control, header.control_length);
        let files = thread.process.files();
        message.read_control(&memory, &files, control, |told| may_tell(thread, told))?;
    }
    let Outgoing { rights, credentials, .. } = message;
    Ok(Prepared { to, parts, rights, credentials, flags })
}

fn sendmsg(thread: &Rc<Thread>, [fd, at, flags, ..]: Args) -> Answer {
    send_message(thread, fd, at, flags as u32)
}

fn sendmmsg(thread: &Rc<Thread>, [fd, at, count, flags, ..]: Args) -> Answer {
    let (thread, count) = (Rc::clone(thread), u64::from(count as u32).min(PARTS));
    SocketFile::of(&*thread.process.files().get(fd)?)?;
    wait(async move {
        for done in 0..count {
            let message = at.wrapping_add(done * MMSGHDR);
            let next = || send_message(&thread, fd, message, flags as u32);
            match (complete(next).await, done) {
                (Ok(length), _) => {
                    told(&thread.memory(), at, done, length).map_err(Stop::after_wait)?;
                }
                (Err(errno), 0) => return Err(errno),
                (Err(_), done) => return Ok(done as usize),
            }
        }
        Ok(count as usize)
    })
}

/// Waits for what a call answers, as far as it has to.
async fn complete(mut call: impl FnMut() -> Answer) -> Result<usize, Errno> {
    loop {
        match call() {
            Ok(Outcome::Value(value)) => return Ok(value),
            Ok(Outcome::Wait(future)) => return future.await,
            Ok(Outcome::Resume) => return Ok(0),
            Err(Stop::Fail(errno)) => return Err(errno),
            Err(Stop::Wait) => return Err(Errno::EAGAIN),
            Err(Stop::Load(load)) => load.wait().await?,
        }
    }
}

/// Writes how long message `number` was (`msg_len` of `struct mmsghdr`).
fn told(memory: &Memory, at: u64, number: u64, length: usize) -> Result<(), Stop> {
    memory.put(at.wrapping_add(number * MMSGHDR + size_of::<MsgHdr>() as u64), &(length as u32))
}

/// Receives into `parts`, and hands what else came to `deliver`: once where that are descriptors.
fn receive(
    thread: &Rc<Thread>,
    open: &Rc<Open>,
    parts: Vec<Part>,
    flags: u32,
    deliver: impl Fn(&Thread, &mut Incoming) -> Result<(), Stop> + 'static,
) -> Answer {
    let socket = SocketFile::of(open)?;
    let form = socket.form();
    let total: usize = parts.iter().map(|it| it.length).sum();
    let least = match form.style {
        Style::Stream if flags & MSG_WAITALL != 0 => total,
        Style::Stream => socket.least().min(total),
        _ => 0,
    };
    let file = open.as_kind::<SocketFile>().ok_or(Errno::ENOTSOCK)?;
    let limit = file.timeouts.get()[0];
    let at_once = flags & MSG_DONTWAIT != 0;
    let peek = flags & MSG_PEEK != 0;
    // A Unix socket waits for nothing behind what can be looked at, as on Linux.
    let least = if peek && form.family == AF_UNIX { 0 } else { least };
    let taken = Rc::new(Cell::new(0));
    let so_far = Rc::clone(&taken);
    let answer = blocking_for(thread, open, limit, move |thread, open| {
        let memory = thread.memory();
        let mut sink = Sink::new(&memory, &parts);
        if peek {
            so_far.set(0);
        }
        sink.skip(so_far.get());
        loop {
            // What ends the stream is for the next call, as this one has something.
            if so_far.get() > 0 && open.file.ready().contains(Ready::ERR) {
                return Ok(so_far.get());
            }
            match SocketFile::of(open)?.receive(flags, &mut sink) {
                Ok(mut came) => {
                    // What went with descriptors ends what is received at once (unix(7)).
                    let (length, with_rights) = (came.length, !came.rights.is_empty());
                    so_far.update(|it| it + length);
                    if let Err(stop) = deliver(thread, &mut came) {
                        // What came is lost with that, and not told of, as on Linux.
                        if let Stop::Fail(_) = stop {
                            so_far.set(0);
                        }
                        return Err(stop);
                    }
                    if with_rights || length == 0 || so_far.get() >= least {
                        return Ok(so_far.get());
                    }
                    if peek {
                        // The same bytes would come again: more of them is waited for.
                        let mut over = Ready::RDHUP | Ready::HUP | Ready::ERR;
                        // As much as `SO_RCVLOWAT` says may be more than there is room for.
                        over.set(Ready::IN, flags & MSG_WAITALL == 0);
                        let ends = at_once || open.is_nonblocking();
                        return if ends || open.file.ready().intersects(over) {
                            Ok(length)
                        } else {
                            Err(Stop::Wait)
                        };
                    }
                }
                Err(Stop::Wait) if so_far.get() > 0 && (at_once || open.is_nonblocking()) => {
                    return Ok(so_far.get());
                }
                Err(Stop::Wait) if at_once => return Err(Errno::EAGAIN.into()),
                Err(Stop::Fail(_)) if so_far.get() > 0 => return Ok(so_far.get()),
                Err(stop) => return Err(stop),
            }
        }
    });
    until(answer, taken)
}

/// Reads as much as the socket waits for (read(2) with `SO_RCVLOWAT`), and calls `each` with what
/// came.
pub(crate) fn read(
    thread: &Rc<Thread>,
    open: &Rc<Open>,
    parts: Vec<Part>,
    each: fn(&Thread, usize),
) -> Answer {
    receive(thread, open, parts, 0, move |thread, came| {
        each(thread, came.length);
        Ok(())
    })
}

fn recvfrom(thread: &Rc<Thread>, [fd, at, size, flags, from, length]: Args) -> Answer {
    let size = size.min(MOST);
    Memory::check_range(at, size)?;
    let parts = alloc::vec![Part { at: at as usize, length: size as usize }];
    load_address(&thread.memory(), from, length)?;
    let open = thread.process.files().get(fd)?;
    receive(thread, &open, parts, flags as u32, move |thread, came| {
        match (&came.from, from) {
            (_, 0) => Ok(()),
            (Some(address), at) => address.write(&thread.memory(), at, length),
            // A stream does not say from whom.
            (None, _) => thread.memory().put(length, &0_u32),
        }
    })
}

/// Receives the message whose header stands at `at`.
fn receive_message(thread: &Rc<Thread>, fd: u64, at: u64, flags: u32) -> Answer {
    let open = thread.process.files().get(fd)?;
    SocketFile::of(&open)?;
    let memory = thread.memory();
    let header: MsgHdr = memory.get(at)?;
    let parts = parts(&memory, header.parts, header.part_count)?;
    // What was received must not be lost to a bad address.
    memory.check_write(at as usize, size_of::<MsgHdr>())?;
    load(&memory, header.name, LONGEST.min(header.name_length as usize))?;
    load(&memory, header.control, CONTROL.min(header.control_length as usize))?;
    receive(thread, &open, parts, flags, move |thread, came| {
        let memory = thread.memory();
        let mut answer = header;
        answer.name_length = 0;
        if header.name != 0
            && let Some(from) = &came.from
        {
            let bytes = from.bytes();
            let count = bytes.len().min(header.name_length as usize);
            memory.write(header.name as usize, &bytes[..count])?;
            answer.name_length = bytes.len() as u32;
        }
        let room = if header.control == 0 { 0 } else { header.control_length };
        let close = flags & MSG_CMSG_CLOEXEC != 0;
        let files = &thread.process.files();
        answer.control_length =
            came.write_control(&memory, files, (header.control, room), close)?;
        answer.flags = came.flags & (MSG_TRUNC | MSG_CTRUNC) | flags & MSG_CMSG_CLOEXEC;
        memory.put(at, &answer)
    })
}

fn recvmsg(thread: &Rc<Thread>, [fd, at, flags, ..]: Args) -> Answer {
    receive_message(thread, fd, at, flags as u32)
}

fn recvmmsg(thread: &Rc<Thread>, [fd, at, count, flags, timeout, _]: Args) -> Answer {
    let (thread, count) = (Rc::clone(thread), u64::from(count as u32).min(PARTS));
    // It is looked at after each message (recvmmsg(2), BUGS).
    let end = match timeout {
        0 => None,
        at => Some(Instant::now().saturating_add(thread.memory().get::<Timespec>(at)?.duration()?)),
    };
    SocketFile::of(&*thread.process.files().get(fd)?)?;
    let flags = flags as u32;
    wait(async move {
        for done in 0..count {
            let one = if flags & MSG_WAITFORONE != 0 && done > 0 { MSG_DONTWAIT } else { 0 };
            if done > 0 && end.is_some_and(|end| end <= Instant::now()) {
                return Ok(done as usize);
            }
            let flags = flags & !MSG_WAITFORONE | one;
            let message = at.wrapping_add(done * MMSGHDR);
            match (complete(|| receive_message(&thread, fd, message, flags)).await, done) {
                (Ok(length), _) => {
                    told(&thread.memory(), at, done, length).map_err(Stop::after_wait)?;
                }
                (Err(errno), 0) => return Err(errno),
                (Err(_), done) => return Ok(done as usize),
            }
        }
        Ok(count as usize)
    })
}
