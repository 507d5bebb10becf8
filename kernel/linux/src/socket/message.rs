//! What goes with the bytes of a message: addresses, descriptors, credentials (sendmsg(2),
//! cmsg(3), unix(7)).

use super::address::Address;
use crate::errno::Errno;
use crate::file::{Caller, Files, Open};
use crate::memory::Memory;
use crate::stop::Stop;
use alloc::rc::Rc;
use alloc::vec::Vec;
use linux_raw_sys::net::{MSG_CTRUNC, SOL_SOCKET};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Descriptors that one message may carry (SCM_MAX_FD of Linux).
const RIGHTS: usize = 253;

/// Bytes of control data that are read at most (net.core.optmem_max).
const CONTROL: u64 = 20_480;

const SCM_RIGHTS: u32 = 1;
const SCM_CREDENTIALS: u32 = 2;

/// `struct ucred`: who sent something.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
pub struct Credentials {
    /// The process.
    pub process: i32,
    /// Its user.
    pub user: u32,
    /// Its group.
    pub group: u32,
}

/// Returns who `caller` is where it makes a socket or connects one: by its effective user and
/// group.
pub fn owner(caller: &dyn Caller) -> Credentials {
    let ([process, ..], [user, group]) = (caller.process(), caller.user());
    Credentials { process, user, group }
}

/// Returns who `caller` is where it sends a message: by its real user and group.
pub(super) fn sender(caller: &dyn Caller) -> Credentials {
    let ([process, ..], real) = (caller.process(), caller.real_credentials());
    Credentials { process, user: real.uid, group: real.gid }
}

/// What goes with the bytes that are sent.
#[derive(Default)]
pub struct Outgoing<'a> {
    /// To whom; `None`: to the peer.
    pub to: Option<&'a Address>,
    /// Descriptors that are passed. Taken when the message is sent.
    pub rights: Vec<Rc<Open>>,
    /// The user who passes them, and how many of theirs may be in flight.
    pub bound: [usize; 2],
    /// Who sends it.
    pub credentials: Credentials,
    /// Flags of send(2).
    pub flags: u32,
}

/// What came with the bytes that were received.
#[derive(Default)]
pub struct Incoming {
    /// How many bytes it had: with `MSG_TRUNC` more than there was room for.
    pub length: usize,
    /// From whom.
    pub from: Option<Address>,
    /// Descriptors that were passed.
    pub rights: Vec<Rc<Open>>,
    /// Who sent it, if that was asked for (`SO_PASSCRED`).
    pub credentials: Option<Credentials>,
    /// Control messages of other kinds: level, type, data.
    pub control: Vec<(u32, u32, Vec<u8>)>,
    /// `MSG_TRUNC` and so on.
    pub flags: u32,
}

/// `struct cmsghdr`.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
struct Header {
    length: u64,
    level: u32,
    kind: u32,
}

const HEADER: u64 = size_of::<Header>() as u64;

const fn aligned(length: u64) -> u64 {
    length.next_multiple_of(8)
}

impl Outgoing<'_> {
    /// Reads the control messages of `length` bytes at `at`. Credentials are those that `may_tell`
    /// lets through.
    ///
    /// # Errors
    /// `EINVAL` for what makes no sense and for more than 253 descriptors, `EBADF`, `ENOBUFS`, and
    /// as of `may_tell`.
    pub fn read_control(
        &mut self,
        memory: &Memory,
        files: &Files,
        (at, length): (u64, u64),
        may_tell: impl Fn(&Credentials) -> Result<(), Errno>,
    ) -> Result<(), Stop> {
        if length > CONTROL {
            return Err(Errno::ENOBUFS.into());
        }
        let mut done = 0;
        while done + HEADER <= length {
            let header: Header = memory.get(at.wrapping_add(done))?;
            if header.length < HEADER || header.length > length - done {
                return Err(Errno::EINVAL.into());
            }
            let (data, size) = (at.wrapping_add(done + HEADER), header.length - HEADER);
            match (header.level, header.kind) {
                (SOL_SOCKET, SCM_RIGHTS) => {
                    let count = (size / 4) as usize;
                    if self.rights.len() + count > RIGHTS {
                        return Err(Errno::EINVAL.into());
                    }
                    self.rights.try_reserve(count).map_err(|_| Errno::ENOMEM)?;
                    for number in 0..count as u64 {
                        let fd: i32 = memory.get(data.wrapping_add(number * 4))?;
                        let fd = u64::try_from(fd).map_err(|_| Errno::EBADF)?;
                        self.rights.push(files.get(fd)?);
                    }
                }
                (SOL_SOCKET, SCM_CREDENTIALS) if size == size_of::<Credentials>() as u64 => {
                    let told: Credentials = memory.get(data)?;
                    may_tell(&told)?;
                    self.credentials = told;
                }
                (SOL_SOCKET, _) => return Err(Errno::EINVAL.into()),
                // Of other levels: hints (the address to send from) that may be ignored.
                _ => {}
            }
            done += aligned(header.length);
        }
        Ok(())
    }
}

impl Incoming {
    /// Writes the control messages to `at`, where `length` bytes fit, and returns how many there
    /// are. Descriptors get numbers of `files`; those that find no room are closed, and
    /// `MSG_CTRUNC` says so.
    ///
    /// # Errors
    /// `EFAULT`.
    pub fn write_control(
        &mut self,
        memory: &Memory,
        files: &Files,
        (at, length): (u64, u64),
        close_on_exec: bool,
    ) -> Result<u64, Stop> {
        let mut done = 0;
        let mut truncated = false;
        let mut put = |level, kind, data: &[u8]| {
            let room = length.saturating_sub(done);
            let size = (HEADER + data.len() as u64).min(room);
            truncated |= size < HEADER + data.len() as u64;
            if size < HEADER {
                return Ok(());
            }
            // As much of it as there is room for (recvmsg(2)).
            let header = Header { length: size, level, kind };
            memory.put(at.wrapping_add(done), &header)?;
            let data = &data[..(size - HEADER) as usize];
            memory.write(at.wrapping_add(done + HEADER) as usize, data)?;
            done = (done + aligned(size)).min(length);
            Ok::<_, Stop>(())
        };
        if let Some(credentials) = self.credentials {
            put(SOL_SOCKET, SCM_CREDENTIALS, credentials.as_bytes())?;
        }
        for (level, kind, data) in &self.control {
            put(*level, *kind, data)?;
        }
        if !self.rights.is_empty() {
            let room = length.saturating_sub(done).saturating_sub(HEADER) / 4;
            let mut numbers: Vec<u32> = Vec::new();
            numbers.try_reserve(self.rights.len()).map_err(|_| Errno::ENOMEM)?;
            let count = self.rights.len();
            for open in self.rights.drain(..).take(room as usize) {
                let Ok(number) = files.add(open, close_on_exec, 0) else { break };
                numbers.push(number as u32);
            }
            truncated |= numbers.len() < count;
            if !numbers.is_empty() {
                let header = Header {
                    length: HEADER + 4 * numbers.len() as u64,
                    level: SOL_SOCKET,
                    kind: SCM_RIGHTS,
                };
                memory.put(at.wrapping_add(done), &header)?;
                memory.write(at.wrapping_add(done + HEADER) as usize, numbers.as_bytes())?;
                done = (done + aligned(header.length)).min(length);
            }
        }
        if truncated {
            self.flags |= MSG_CTRUNC;
        }
        Ok(done)
    }
}
