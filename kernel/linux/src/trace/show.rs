//! Prints the arguments of a call as strace(1) does.

use super::kind::{Kind, Kinds, Names};
use crate::errno::Errno;
use crate::memory::Memory;
use crate::signal::{Set, Signal};
use crate::socket::address::{Address, Name as UnixName};
use crate::stop::Stop;
use alloc::format;
use alloc::string::String;
use core::fmt::Write;

/// Most bytes of data that are shown, as of strace.
const DATA: usize = 32;

/// Most bytes of a path that are shown.
const TEXT: usize = 256;

/// Most elements of a list that are shown.
const LIST: u64 = 16;

/// A call's arguments: what they are, and in whose memory what they point to is.
pub(super) struct Arguments<'a> {
    pub(super) kinds: Kinds,
    pub(super) values: [u64; 6],
    pub(super) memory: &'a Memory,
}

impl Arguments<'_> {
    /// Returns how many there are before the first that the call sets.
    pub(super) fn inputs(&self) -> usize {
        self.kinds.iter().position(|it| it.is_none_or(Kind::is_output)).unwrap_or(self.kinds.len())
    }

    /// Appends those of a range. `result`: what the call returned; `None` before it did, or if it
    /// failed. What cannot be read is shown as its address.
    ///
    /// # Errors
    /// [`Stop::Load`] if something has to be read from a disk first.
    pub(super) fn show(
        &self,
        to: &mut String,
        range: core::ops::Range<usize>,
        result: Option<usize>,
    ) -> Result<(), Stop> {
        let kinds = self.kinds.iter().enumerate().filter_map(|(at, kind)| Some((at, (*kind)?)));
        for (at, kind) in kinds.filter(|(at, _)| range.contains(at)) {
            if at > 0 {
                to.push_str(", ");
            }
            let before = to.len();
            match self.one(to, kind, at, result) {
                Ok(()) => {}
                Err(stop @ Stop::Load(_)) => return Err(stop),
                Err(_) => {
                    to.truncate(before);
                    address(to, self.values[at]);
                }
            }
        }
        Ok(())
    }

    fn one(
        &self,
        to: &mut String,
        kind: Kind,
        at: usize,
        result: Option<usize>,
    ) -> Result<(), Stop> {
        let (value, memory) = (self.values[at], self.memory);
        let next = self.values.get(at + 1).copied().unwrap_or_default();
        if kind.is_output() && result.is_none() {
            return Err(Errno::EFAULT.into());
        }
        let result = result.unwrap_or_default() as u64;
        match kind {
            Kind::Int => put(to, format_args!("{}", value as i32)),
            Kind::Size => put(to, format_args!("{}", value as i64)),
            Kind::Hex => address(to, value),
            Kind::Mode => put(to, format_args!("0{:03o}", value as u32)),
            Kind::Fd if value as i32 == linux_raw_sys::general::AT_FDCWD => to.push_str("AT_FDCWD"),
            Kind::Fd => put(to, format_args!("{}", value as i32)),
            Kind::Signal => signal(to, value),
            Kind::Names(names) => flags(to, names, value as u32),
            Kind::Text => text(to, memory, value)?,
            Kind::Texts => list(to, LIST, |to, number| {
                match memory.get::<u64>(value.wrapping_add(number * 8))? {
                    0 => Ok(false),
                    at => text(to, memory, at).map(|()| true),
                }
            })?,
            Kind::Data => data(to, memory, value, next)?,
            Kind::Filled => data(to, memory, value, result)?,
            Kind::Parts => parts(to, memory, value, next, u64::MAX)?,
            Kind::FilledParts => parts(to, memory, value, next, result)?,
            Kind::Pair => {
                let [first, second] = memory.get::<[i32; 2]>(value)?;
                put(to, format_args!("[{first}, {second}]"));
            }
            Kind::Time | Kind::TimeOut => {
                let [seconds, part] = memory.get::<[i64; 2]>(value)?;
                put(to, format_args!("{{{seconds}, {part}}}"));
            }
            Kind::Address => socket(to, &Address::read(memory, value, next)?),
            Kind::AddressOut => {
                let length = memory.get::<u32>(next)?;
                socket(to, &Address::read(memory, value, length.into())?);
            }
            Kind::Set | Kind::SetOut => set(to, memory.get(value)?),
            Kind::Action => {
                let [handler, flags] = memory.get::<[u64; 2]>(value)?;
                let known = ["SIG_DFL", "SIG_IGN"].get(handler as usize);
                let handler = known.map_or_else(|| format!("{handler:#x}"), |it| String::from(*it));
                put(to, format_args!("{{sa_handler={handler}, sa_flags={flags:#x}}}"));
            }
            Kind::Polls => list(to, next.min(LIST), |to, number| {
                let [fd, events] = memory.get::<[u32; 2]>(value.wrapping_add(number * 8))?;
                put(to, format_args!("{{fd={}, events=", fd as i32));
                ready(to, events & 0xFFFF);
                to.push_str(", revents=");
                ready(to, events >> 16);
                to.push('}');
                Ok(true)
            })?,
            Kind::Event => event(to, memory, value)?,
            Kind::Events => list(to, result.min(LIST), |to, number| {
                event(to, memory, value.wrapping_add(number * 12)).map(|()| true)
            })?,
            Kind::Status => status(to, memory.get(value)?),
            Kind::Stat => {
                let mode = memory.get::<u32>(value.wrapping_add(24))?;
                let size = memory.get::<u64>(value.wrapping_add(48))?;
                put(to, format_args!("{{st_mode=0{mode:o}, st_size={size}, ...}}"));
            }
        }
        Ok(())
    }
}

/// Appends what cannot fail.
fn put(to: &mut String, what: core::fmt::Arguments<'_>) {
    let _ = to.write_fmt(what);
}

/// Appends an address, or what stands for one.
fn address(to: &mut String, value: u64) {
    match value {
        0 => to.push_str("NULL"),
        _ => put(to, format_args!("{value:#x}")),
    }
}

/// Appends the names of the bits that are set, and the rest in hexadecimal.
fn flags(to: &mut String, names: Names, value: u32) {
    let (begin, mut rest) = (to.len(), value);
    for it in names.list().iter().filter(|it| value & it.mask == it.value) {
        if to.len() > begin {
            to.push('|');
        }
        to.push_str(it.name);
        rest &= !it.mask;
    }
    if to.len() == begin {
        put(to, format_args!("{value:#x}"));
    } else if rest != 0 {
        put(to, format_args!("|{rest:#x}"));
    }
}

/// Appends what a file is ready for, or 0.
fn ready(to: &mut String, events: u32) {
    match events {
        0 => to.push('0'),
        _ => flags(to, Names::READY, events),
    }
}

fn event(to: &mut String, memory: &Memory, at: u64) -> Result<(), Stop> {
    // Packed: 12 bytes.
    let [events, low, high] = memory.get::<[u32; 3]>(at)?;
    to.push('{');
    ready(to, events);
    put(to, format_args!(", data={:#x}}}", u64::from(high) << 32 | u64::from(low)));
    Ok(())
}

/// Appends the name of a signal, or its number.
fn signal(to: &mut String, number: u64) {
    match Signal::new(number) {
        Some(it) if number < 32 => to.push_str(it.name()),
        _ => put(to, format_args!("{number}")),
    }
}

fn set(to: &mut String, all: Set) {
    to.push('[');
    let mut gap = "";
    for it in (1..=64).filter(|&it| Signal::new(it).is_some_and(|it| all.has(it))) {
        to.push_str(gap);
        signal(to, it);
        gap = " ";
    }
    to.push(']');
}

fn status(to: &mut String, bits: i32) {
    match (bits & 0x7F, bits >> 8) {
        (0, status) => put(to, format_args!("[{{exited {status}}}]")),
        (0x7F, signal) => put(to, format_args!("[{{stopped {}}}]", signal & 0xFF)),
        (signal, _) => put(to, format_args!("[{{killed {signal}}}]")),
    }
}

/// Appends the text at an address.
fn text(to: &mut String, memory: &Memory, at: u64) -> Result<(), Stop> {
    match memory.text(at, TEXT) {
        Err(Stop::Fail(Errno::ENAMETOOLONG)) => data(to, memory, at, u64::MAX),
        other => {
            put(to, format_args!("\"{}\"", other?.escape_ascii()));
            Ok(())
        }
    }
}

/// Appends the first of `length` bytes at an address.
fn data(to: &mut String, memory: &Memory, at: u64, length: u64) -> Result<(), Stop> {
    let mut bytes = [0; DATA];
    let count = usize::try_from(length).unwrap_or(DATA).min(DATA);
    memory.read(at as usize, &mut bytes[..count])?;
    let more = if length > DATA as u64 { "..." } else { "" };
    put(to, format_args!("\"{}\"{more}", bytes[..count].escape_ascii()));
    Ok(())
}

/// Appends the parts of a list of `count` that `length` bytes fill.
fn parts(
    to: &mut String,
    memory: &Memory,
    list_at: u64,
    count: u64,
    mut length: u64,
) -> Result<(), Stop> {
    list(to, count.min(LIST), |to, number| {
        let [at, size] = memory.get::<[u64; 2]>(list_at.wrapping_add(number * 16))?;
        to.push_str("{iov_base=");
        data(to, memory, at, size.min(length))?;
        put(to, format_args!(", iov_len={size}}}"));
        length = length.saturating_sub(size);
        Ok(true)
    })
}

/// Appends a list of at most `most` elements. `one` appends an element, or says that it ends.
fn list(
    to: &mut String,
    most: u64,
    mut one: impl FnMut(&mut String, u64) -> Result<bool, Stop>,
) -> Result<(), Stop> {
    to.push('[');
    for number in 0..most {
        let before = to.len();
        if number > 0 {
            to.push_str(", ");
        }
        if !one(to, number)? {
            to.truncate(before);
            break;
        }
    }
    to.push(']');
    Ok(())
}

fn socket(to: &mut String, address: &Address) {
    match address {
        Address::None => to.push_str("{sa_family=AF_UNSPEC}"),
        Address::Inet(it) => put(to, format_args!("{{{it}}}")),
        Address::Unix(UnixName::Unnamed) => to.push_str("{sa_family=AF_UNIX}"),
        Address::Unix(UnixName::Path(path)) => {
            put(to, format_args!("{{\"{}\"}}", path.escape_ascii()));
        }
        Address::Unix(UnixName::Abstract(name)) => {
            put(to, format_args!("{{@\"{}\"}}", name.escape_ascii()));
        }
        Address::Netlink(port, groups) => {
            put(to, format_args!("{{nl_pid={port}, nl_groups={groups:#x}}}"));
        }
    }
}
