//! What the machine is: uname(2), sysinfo(2), getrandom(2).

use crate::call::{Answer, Args, Group, calls, wait};
use crate::errno::Errno;
use crate::file::Caller;
use crate::memory::Memory;
use crate::stop::{Stop, TURN, loaded};
use crate::thread::Thread;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use kernel::task::yield_now;
use kernel::time::Instant;
use linux_raw_sys::general::{GRND_INSECURE, GRND_NONBLOCK, GRND_RANDOM};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// uname(2), sysinfo(2), getrandom(2).
pub(crate) const CALLS: Group = calls! {
    uname(Hex) = uname;
    sysinfo(Hex) = sysinfo;
    getrandom(Hex, Size, RANDOM) = getrandom;
    sethostname(Data, Size) = sethostname;
    setdomainname(Data, Size) = setdomainname;
};

/// Length of a text of `struct new_utsname`.
const TEXT: usize = 65;

/// The Linux whose calls these are.
const RELEASE: &str = "6.1.0-xenith";

fn uname(thread: &Rc<Thread>, [to, ..]: Args) -> Answer {
    let (host, domain) = (thread.system.host_name.borrow(), thread.system.domain_name.borrow());
    let texts = ["Linux".as_bytes(), &host, RELEASE.as_bytes(), b"#1", b"x86_64", &domain];
    let mut name = [[0; TEXT]; 6];
    for (place, text) in name.iter_mut().zip(texts) {
        let length = text.len().min(TEXT - 1);
        place[..length].copy_from_slice(&text[..length]);
    }
    thread.memory().put(to, &name)?;
    Ok(0.into())
}

fn sethostname(thread: &Rc<Thread>, args: Args) -> Answer {
    set_name(thread, args, &thread.system.host_name)
}

fn setdomainname(thread: &Rc<Thread>, args: Args) -> Answer {
    set_name(thread, args, &thread.system.domain_name)
}

fn set_name(thread: &Thread, [from, length, ..]: Args, to: &RefCell<Vec<u8>>) -> Answer {
    if !thread.process.credentials.borrow().is_root() {
        return Err(Errno::EPERM.into());
    }
    if length >= TEXT as u64 {
        return Err(Errno::EINVAL.into());
    }
    let mut name = kernel::memory::zeroed(length as usize).ok_or(Errno::ENOMEM)?;
    thread.memory().read(from as usize, &mut name)?;
    to.replace(name);
    Ok(0.into())
}

/// `struct sysinfo`, sizes in units of a byte.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Info {
    uptime: u64,
    loads: [u64; 3],
    total: u64,
    free: u64,
    shared: u64,
    buffers: u64,
    swap: [u64; 2],
    processes: u16,
    pad: [u16; 3],
    high: [u64; 2],
    unit: u32,
    end: u32,
}

fn sysinfo(thread: &Rc<Thread>, [to, ..]: Args) -> Answer {
    let memory = kernel::memory::stats();
    let free = memory.total.saturating_sub(memory.allocated);
    let info = Info {
        uptime: Instant::now().as_nanos() / 1_000_000_000,
        total: memory.total as u64,
        free: free as u64,
        processes: u16::try_from(thread.system.threads()).unwrap_or(u16::MAX),
        unit: 1,
        ..Info::default()
    };
    thread.memory().put(to, &info)?;
    Ok(0.into())
}

/// Bytes that are made at once.
const PIECE: usize = 256;

fn getrandom(thread: &Rc<Thread>, [to, length, flags, ..]: Args) -> Answer {
    let flags = flags as u32;
    if flags & !(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE) != 0
        || flags & (GRND_RANDOM | GRND_INSECURE) == GRND_RANDOM | GRND_INSECURE
    {
        return Err(Errno::EINVAL.into());
    }
    let (to, length) = (to as usize, (length as usize).min(i32::MAX as usize));
    let mut done = 0;
    match random(&thread.memory(), to, &mut done, length.min(TURN)) {
        Err(stop) if done == 0 => return Err(stop),
        Err(Stop::Fail(_)) => return Ok(done.into()),
        Ok(()) if done == length => return Ok(done.into()),
        _ => {}
    }
    let thread = Rc::clone(thread);
    wait(async move {
        let memory = thread.memory();
        while done < length && thread.interruptible(yield_now()).await.is_ok() {
            let end = length.min(done + TURN);
            if loaded(|| random(&memory, to, &mut done, end)).await.is_err() {
                break;
            }
        }
        Ok(done)
    })
}

/// Makes random bytes up to `end`, where `done` are there.
fn random(memory: &Memory, to: usize, done: &mut usize, end: usize) -> Result<(), Stop> {
    let mut piece = [0; PIECE];
    while *done < end {
        let count = (end - *done).min(PIECE);
        let bytes = piece.get_mut(..count).unwrap_or_default();
        kernel::entropy::fill(bytes).map_err(|_| Errno::EAGAIN)?;
        memory.write(to.wrapping_add(*done), bytes)?;
        *done += count;
    }
    Ok(())
}

const _: () = assert!(size_of::<Info>() == 112);
