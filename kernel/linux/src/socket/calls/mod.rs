//! The calls of sockets: socket(2), bind(2), connect(2), accept(2) and their options; those that
//! move bytes in [`message`].

pub mod message;
mod path;
#[cfg(test)]
mod tests;

use super::address::{Address, LONGEST, Name};
use super::message::owner;
use super::unix::Unix;
use super::{Form, Socket, SocketFile, Style};
use crate::call::{Answer, Args, Group, Outcome, blocking_for, calls, wait};
use crate::errno::Errno;
use crate::file::{Caller, Counted, Open, admit};
use crate::memory::Memory;
use crate::stop::Stop;
use crate::thread::Thread;
use crate::time::Timeval;
use alloc::rc::Rc;
use core::time::Duration;
use linux_raw_sys::general::{O_CLOEXEC, O_NONBLOCK, O_RDWR};
use linux_raw_sys::net::{
    AF_UNIX, IPPROTO_IP, SHUT_RD, SHUT_RDWR, SHUT_WR, SO_RCVTIMEO, SO_SNDTIMEO, SOCK_DGRAM,
    SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET,
};
use zerocopy::IntoBytes;

/// The calls of sockets.
pub(crate) const CALLS: Group = calls! {
    socket(FAMILY, SOCKET, Int) = socket;
    socketpair(FAMILY, SOCKET, Int, Pair) = socketpair;
    bind(Fd, Address, Int) = bind;
    connect(Fd, Address, Int) = connect;
    listen(Fd, Int) = listen;
    accept(Fd, AddressOut, Hex) = accept;
    accept4(Fd, AddressOut, Hex, SOCKET) = accept4;
    shutdown(Fd, SHUT) = shutdown;
    getsockname(Fd, AddressOut, Hex) = getsockname;
    getpeername(Fd, AddressOut, Hex) = getpeername;
    getsockopt(Fd, LEVEL, Int, Hex, Hex) = getsockopt;
    setsockopt(Fd, LEVEL, Int, Hex, Int) = setsockopt;
};

/// Bytes of an option that are read at most.
const OPTION: usize = 512;

fn form(family: u64, style: u64, protocol: u64) -> Result<Form, Errno> {
    let style = match style as u32 & 15 {
        SOCK_STREAM => Style::Stream,
        SOCK_DGRAM => Style::Datagram,
        SOCK_SEQPACKET => Style::Sequence,
        SOCK_RAW => Style::Raw,
        // Those that Linux has names for (SOCK_MAX is 11).
        0..=10 => return Err(Errno::ESOCKTNOSUPPORT),
        _ => return Err(Errno::EINVAL),
    };
    Ok(Form { family: family as u32, style, protocol: protocol as u32 })
}

/// Gives a socket a descriptor. `flags` are those of socket(2) beside the style.
fn add(
    thread: &Thread,
    counted: Counted,
    socket: Rc<dyn Socket>,
    flags: u32,
) -> Result<usize, Errno> {
    add_file(thread, counted, SocketFile::new(socket), flags)
}

fn add_file(
    thread: &Thread,
    counted: Counted,
    file: Rc<SocketFile>,
    flags: u32,
) -> Result<usize, Errno> {
    let open = Open::new(counted, file, flags & O_NONBLOCK | O_RDWR);
    thread.process.files().add(open, flags & O_CLOEXEC != 0, 0)
}

fn split(style: u64) -> Result<(u64, u32), Errno> {
    let flags = style as u32 & !15;
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    Ok((style & 15, flags))
}

fn socket(thread: &Rc<Thread>, [family, style, protocol, ..]: Args) -> Answer {
    let (style, flags) = split(style)?;
    let form = form(family, style, protocol)?;
    let counted = admit(&**thread)?;
    let socket: Rc<dyn Socket> = match form.family {
        AF_UNIX => {
            if form.protocol > 1 {
                return Err(Errno::EPROTONOSUPPORT.into());
            }
            // unix(7): SOCK_RAW becomes SOCK_DGRAM.
            let style = if form.style == Style::Raw { Style::Datagram } else { form.style };
            Unix::new(style, &thread.system.unix, owner(&**thread))
        }
        _ => thread.system.network()?.socket(form)?,
    };
    Ok(add(thread, counted, socket, flags)?.into())
}

fn socketpair(thread: &Rc<Thread>, [family, style, protocol, ends, ..]: Args) -> Answer {
    let (style, flags) = split(style)?;
    let form = form(family, style, protocol)?;
    if form.family != AF_UNIX {
        return Err(Errno::EOPNOTSUPP.into());
    }
    if form.protocol > 1 {
        return Err(Errno::EPROTONOSUPPORT.into());
    }
    let style = if form.style == Style::Raw { Style::Datagram } else { form.style };
    let counted = [admit(&**thread)?, admit(&**thread)?];
    let [one, other] = Unix::pair(style, &thread.system.unix, owner(&**thread));
    let [first, second] = counted;
    let one = add(thread, first, one, flags)?;
    let both = add(thread, second, other, flags).map_err(Into::into).and_then(|other| {
        let numbers = [one as u32, other as u32];
        thread.memory().put(ends, &numbers).inspect_err(|_| {
            let _ = thread.process.files().remove(other as u64);
        })
    });
    if both.is_err() {
        let _ = thread.process.files().remove(one as u64);
    }
    both.map(Into::into)
}

/// Reads the address that a call gives `socket`. One of a family that nobody knows is a wrong
/// argument to a Unix socket (unix(7)), and a family that is not there to others.
///
/// # Errors
/// `EINVAL`, `EAFNOSUPPORT`, `EFAULT`.
fn given(thread: &Thread, socket: &dyn Socket, at: u64, length: u64) -> Result<Address, Stop> {
    Address::read(&thread.memory(), at, length).map_err(|stop| match stop {
        Stop::Fail(Errno::EAFNOSUPPORT) if socket.form().family == AF_UNIX => Errno::EINVAL.into(),
        stop => stop,
    })
}

fn bind(thread: &Rc<Thread>, [fd, address, length, ..]: Args) -> Answer {
    let open = thread.process.files().get(fd)?;
    let socket = SocketFile::of(&open)?;
    let address = given(thread, &**socket, address, length)?;
    match (&address, path::unix(&**socket)) {
        (Address::Unix(Name::Path(name)), Some(unix)) => path::bind(thread, unix, name)?,
        _ => socket.bind(&**thread, &address)?,
    }
    Ok(().into())
}

fn connect(thread: &Rc<Thread>, [fd, address, length, ..]: Args) -> Answer {
    let open = thread.process.files().get(fd)?;
    let socket = SocketFile::of(&open);
    // The address is read before it is looked whether that is a socket.
    if let (Err(_), Err(Stop::Fail(errno @ (Errno::EFAULT | Errno::EINVAL)))) =
        (&socket, Address::read(&thread.memory(), address, length))
    {
        return Err(errno.into());
    }
    let socket = socket?;
    let address = given(thread, &**socket, address, length)?;
    let begun = path::connect(thread, &**socket, &address);
    match begun {
        Err(Stop::Wait) => {}
        // It waits for the one that another call has begun.
        Err(Stop::Fail(Errno::EALREADY)) if !open.is_nonblocking() => {}
        other => return other.map(Into::into),
    }
    // A Unix socket does not connect later (unix(7)).
    let unix = socket.form().family == AF_UNIX;
    let later = if unix { Errno::EAGAIN } else { Errno::EINPROGRESS };
    if open.is_nonblocking() {
        return Err(later.into());
    }
    let limit = open.as_kind::<SocketFile>().and_then(|it| it.timeouts.get()[1]);
    let done = blocking_for(thread, &open, limit, move |thread, open| {
        let socket = SocketFile::of(open)?;
        if unix {
            return path::connect(thread, &**socket, &address).map(|()| 0);
        }
        socket.connected().map(|()| 0)
    });
    // The connection goes on, and is asked for by poll(2), or by this call when it begins again.
    interrupted(done, move |errno| if errno == Errno::EAGAIN { later } else { errno })
}

/// Changes the error that a call ends with.
fn interrupted(answer: Answer, change: impl Fn(Errno) -> Errno + 'static) -> Answer {
    match answer {
        Ok(Outcome::Wait(future)) => wait(async move { future.await.map_err(change) }),
        other => other,
    }
}

fn listen(thread: &Rc<Thread>, [fd, backlog, ..]: Args) -> Answer {
    let open = thread.process.files().get(fd)?;
    // A negative number is the most (listen(2) of Linux).
    Ok(SocketFile::of(&open)?.listen(backlog as u32)?.into())
}

fn accept(thread: &Rc<Thread>, [fd, address, length, ..]: Args) -> Answer {
    accept4(thread, [fd, address, length, 0, 0, 0])
}

fn accept4(thread: &Rc<Thread>, [fd, address, length, flags, ..]: Args) -> Answer {
    let flags = flags as u32;
    let open = thread.process.files().get(fd)?;
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL.into());
    }
    SocketFile::of(&open)?;
    let limit = open.as_kind::<SocketFile>().and_then(|it| it.timeouts.get()[0]);
    blocking_for(thread, &open, limit, move |thread, open| {
        let memory = thread.memory();
        if address != 0 {
            memory.check_write(length as usize, 4)?;
        }
        load_address(&memory, address, length)?;
        // A connection that finds no number stays for the next call.
        thread.process.files().reserve()?;
        let counted = admit(&**thread)?;
        let (new, peer) = SocketFile::of(open)?.accept()?;
        let file = SocketFile::new(new);
        if let Some(listener) = open.as_kind::<SocketFile>()
            && file.socket.form().family != AF_UNIX
        {
            file.timeouts.set(listener.timeouts.get());
        }
        let fd = add_file(thread, counted, file, flags)?;
        if let Err(stop) = peer.write(&memory, address, length) {
            let _ = thread.process.files().remove(fd as u64);
            return Err(stop);
        }
        Ok(fd)
    })
}

/// Has the pages there that `length` bytes at `at` are to be written to: what is taken before that
/// must not be lost because one has to be read from a disk. Whether they can be written, who
/// writes finds out.
fn load(memory: &Memory, at: u64, length: usize) -> Result<(), Stop> {
    match memory.check_write(at as usize, length) {
        Err(stop @ Stop::Load(_)) => Err(stop),
        _ => Ok(()),
    }
}

/// The same for an address and its length, where the length's room stands.
fn load_address(memory: &Memory, at: u64, length: u64) -> Result<(), Stop> {
    if at == 0 {
        return Ok(());
    }
    load(memory, length, 4)?;
    let room: u32 = memory.get(length).unwrap_or(0);
    load(memory, at, LONGEST.min(room as usize))
}

fn shutdown(thread: &Rc<Thread>, [fd, how, ..]: Args) -> Answer {
    let open = thread.process.files().get(fd)?;
    let socket = SocketFile::of(&open)?;
    let (read, write) = match how as u32 {
        SHUT_RD => (true, false),
        SHUT_WR => (false, true),
        SHUT_RDWR => (true, true),
        _ => return Err(Errno::EINVAL.into()),
    };
    Ok(socket.shutdown(read, write)?.into())
}

fn getsockname(thread: &Rc<Thread>, [fd, address, length, ..]: Args) -> Answer {
    let open = thread.process.files().get(fd)?;
    SocketFile::of(&open)?.local().write(&thread.memory(), address, length).map(Into::into)
}

fn getpeername(thread: &Rc<Thread>, [fd, address, length, ..]: Args) -> Answer {
    let open = thread.process.files().get(fd)?;
    SocketFile::of(&open)?.peer()?.write(&thread.memory(), address, length).map(Into::into)
}

fn getsockopt(thread: &Rc<Thread>, [fd, level, name, value, length, _]: Args) -> Answer {
    let open = thread.process.files().get(fd)?;
    let (socket, memory) = (SocketFile::of(&open)?, thread.memory());
    let room = usize::try_from(memory.get::<i32>(length)?).map_err(|_| Errno::EINVAL)?;
    let file = open.as_kind::<SocketFile>().ok_or(Errno::ENOTSOCK)?;
    let bytes = match (level as u32, name as u32) {
        (SOL_SOCKET, SO_RCVTIMEO | SO_SNDTIMEO) => {
            let which = usize::from(name as u32 == SO_SNDTIMEO);
            let limit = file.timeouts.get()[which].unwrap_or_default();
            Timeval::from(limit).as_bytes().to_vec()
        }
        (level, name) => socket.option(level, name)?,
    };
    let mut count = bytes.len().min(room);
    // Where there is no room for a number, one that is small is a byte (ip(7)).
    if level as u32 == IPPROTO_IP as u32
        && socket.form().family != AF_UNIX
        && matches!((count, &*bytes), (1..4, [_, 0, 0, 0]))
    {
        count = 1;
    }
    memory.write(value as usize, &bytes[..count])?;
    memory.put(length, &(count as u32))?;
    Ok(().into())
}

fn setsockopt(thread: &Rc<Thread>, [fd, level, name, value, length, _]: Args) -> Answer {
    let length = usize::try_from(length as i32).map_err(|_| Errno::EINVAL)?;
    let open = thread.process.files().get(fd)?;
    let (socket, memory) = (SocketFile::of(&open)?, thread.memory());
    let file = open.as_kind::<SocketFile>().ok_or(Errno::ENOTSOCK)?;
    if !socket.form().has_level(level as u32) {
        return Err(Errno::ENOPROTOOPT.into());
    }
    if let (SOL_SOCKET, SO_RCVTIMEO | SO_SNDTIMEO) = (level as u32, name as u32) {
        if length < size_of::<Timeval>() {
            return Err(Errno::EINVAL.into());
        }
        let time: Timeval = memory.get(value)?;
        if !(0..1_000_000).contains(&time.microseconds) {
            return Err(Errno::EDOM.into());
        }
        // Negative: at once (socket(7) does not say so; Linux does so).
        let limit = time.duration().unwrap_or(Duration::from_nanos(1));
        let mut both = file.timeouts.get();
        both[usize::from(name as u32 == SO_SNDTIMEO)] = (!limit.is_zero()).then_some(limit);
        file.timeouts.set(both);
        return Ok(().into());
    }
    let mut bytes = [0; OPTION];
    let count = length.min(OPTION);
    memory.read(value as usize, &mut bytes[..count])?;
    Ok(socket.set_option(level as u32, name as u32, &bytes[..count])?.into())
}
