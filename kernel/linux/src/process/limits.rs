//! What a process may use: its limits (getrlimit(2)).

use crate::errno::Errno;
use crate::memory::Ram;
use alloc::vec::Vec;
use core::cell::Cell;
use linux_raw_sys::general as raw;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// No limit.
pub const INFINITY: u64 = u64::MAX;

/// Descriptors that a process may have at most (/proc/sys/fs/nr_open).
const MOST_FILES: u64 = 1 << 20;

/// `struct rlimit64`
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Limit {
    /// What is held.
    pub soft: u64,
    /// What the process may raise it to.
    pub hard: u64,
}

/// The limits of a process.
#[derive(Clone)]
pub struct Limits([Cell<Limit>; raw::RLIM_NLIMITS as usize]);

const fn limit(soft: u64, hard: u64) -> Cell<Limit> {
    Cell::new(Limit { soft, hard })
}

impl Limits {
    /// Makes those that Linux gives its first process.
    #[must_use]
    pub fn new() -> Self {
        let none = limit(INFINITY, INFINITY);
        let all: [Cell<Limit>; 16] = core::array::from_fn(|_| none.clone());
        let limits = Self(all);
        let threads = most_threads() as u64 / 2;
        for (resource, soft, hard) in [
            (raw::RLIMIT_STACK, 8 << 20, INFINITY),
            (raw::RLIMIT_CORE, 0, INFINITY),
            (raw::RLIMIT_NPROC, threads, threads),
            (raw::RLIMIT_NOFILE, 1024, 4096),
            (raw::RLIMIT_MEMLOCK, 8 << 20, 8 << 20),
            (raw::RLIMIT_SIGPENDING, threads, threads),
            (raw::RLIMIT_MSGQUEUE, 819_200, 819_200),
            (raw::RLIMIT_NICE, 0, 0),
            (raw::RLIMIT_RTPRIO, 0, 0),
        ] {
            limits.0[resource as usize].set(Limit { soft, hard });
        }
        limits
    }

    /// Returns that of a resource (`RLIMIT_*`): none, of one that there is not.
    #[must_use]
    pub fn get(&self, resource: u32) -> Limit {
        let none = Limit { soft: INFINITY, hard: INFINITY };
        self.0.get(resource as usize).map_or(none, Cell::get)
    }

    /// Changes it.
    ///
    /// # Errors
    /// `EINVAL` if the limit that is held is above the other, or there is no such resource;
    /// `EPERM` if the other is raised by one who is not root, or to more descriptors than there may
    /// be.
    pub fn set(&self, resource: u32, new: Limit, root: bool) -> Result<(), Errno> {
        let place = self.0.get(resource as usize).ok_or(Errno::EINVAL)?;
        if new.soft > new.hard {
            return Err(Errno::EINVAL);
        }
        let is_beyond = resource == raw::RLIMIT_NOFILE && new.hard > MOST_FILES;
        if is_beyond || new.hard > place.get().hard && !root {
            return Err(Errno::EPERM);
        }
        place.set(new);
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns how many threads all processes may have: one for each 64 KiB of memory, where Linux
/// has one for each 128 KiB.
#[must_use]
pub fn most_threads() -> usize {
    match kernel::memory::stats().total {
        0 => 32_768,
        total => (total / 65_536).clamp(64, 32_768),
    }
}

/// Whether a program may have `bytes` of the kernel's memory now. For what cannot fail piece by
/// piece: nothing else runs between this and that.
///
/// # Errors
/// `ENOMEM`
pub(crate) fn room(ram: &Ram, bytes: usize) -> Result<(), Errno> {
    ram.check()?;
    free(bytes)
}

/// Whether a sorted list of `length` entries has room for one more. It has one of more than those only
/// where their number is no power of two, and otherwise grows to twice its size.
///
/// # Errors
/// `ENOMEM`
pub(crate) fn grows<T>(length: usize) -> Result<(), Errno> {
    let full = length == 0 || length.is_power_of_two();
    if full { free((2 * length).max(4) * size_of::<T>()) } else { Ok(()) }
}

/// Whether there are `bytes` at all: for what the kernel keeps memory back for.
///
/// # Errors
/// `ENOMEM`
pub(crate) fn free(bytes: usize) -> Result<(), Errno> {
    Vec::<u64>::new().try_reserve_exact(bytes.div_ceil(8)).map_err(|_| Errno::ENOMEM)
}
