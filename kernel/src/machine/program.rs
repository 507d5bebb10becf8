//! Defines what user mode is on any machine: a program's registers, what it may do with a page,
//! and why it stopped.

use bitflags::bitflags;
use core::fmt;

/// Size of a page in bytes.
pub const PAGE: usize = 4096;

/// The first address that a program cannot have: Linux's, a page below the end of the lower half
/// of the address space.
pub const TOP: usize = 0x7FFF_FFFF_F000;

/// Flags that a program may have: those of arithmetic, DF, AC and ID. It has neither TF nor NT,
/// and IF and bit 1 are always set.
const FLAGS: u64 = 0x24_0CD5;

/// Flags that are always set: bit 1, and IF.
const FLAGS_SET: u64 = 0x202;

/// The part of an XSAVE area that FXSAVE writes.
pub(super) const LEGACY: usize = 512;

/// Length of the legacy part and the header.
pub(super) const HEADER_END: usize = LEGACY + 64;

/// Offsets of x87's control word, and of MXCSR.
const FCW: usize = 0;
const MXCSR: usize = 24;

/// Bits of MXCSR that exist.
const MXCSR_BITS: u32 = 0xFFFF;

/// Bits of XCR0 and XSTATE_BV: x87 and SSE.
const X87_SSE: u64 = 0b11;

bitflags! {
    /// Says what a program may do with a page. The processor lets it read what it may write or
    /// execute. Without any, the page is kept and each access faults (`PROT_NONE`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Access: u8 {
        /// It may read.
        const READ = 1;
        /// It may write.
        const WRITE = 1 << 1;
        /// It may execute.
        const EXECUTE = 1 << 2;
    }
}

/// Says why a change of an address space failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// There is no memory for a page table.
    Memory,
    /// Xen refused with this number (`public/errno.h`).
    Refused(i32),
    /// The address is not that of a page below [`TOP`].
    Address,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("no memory for a page table: give the domain more"),
            Self::Refused(errno) => write!(f, "Xen refused a page table (error {errno})"),
            Self::Address => f.write_str("not the address of a page below 0x7ffffffff000"),
        }
    }
}

impl core::error::Error for Error {}

/// Says that the processor would refuse the value: an address that is not canonical, or reserved
/// bits in the state of its units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid;

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that the processor refuses")
    }
}

impl core::error::Error for Invalid {}

/// Counts what an address space consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Pages of the program, those without access included.
    pub pages: usize,
    /// Page tables, a page each.
    pub tables: usize,
}

/// Holds the general registers of a program, as Xen and the ways out of user mode leave them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[expect(missing_docs, reason = "the processor's names")]
pub struct Registers {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rax: u64,
    /// Which way out it was.
    #[doc(hidden)]
    pub vector: u64,
    #[doc(hidden)]
    pub error: u64,
    pub rip: u64,
    /// `run` sets the selectors.
    #[doc(hidden)]
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    #[doc(hidden)]
    pub ss: u64,
}

/// Says why a program stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The instruction `syscall`. Its number is in `rax`; `rcx` and `r11` are lost, as Linux has
    /// it. `rip` is behind the instruction.
    Call,
    /// An event is pending: a device's, or the end of the 10 ms for which a program runs when
    /// nothing happens. The caller lets other tasks run.
    Event,
    /// A page fault.
    Page {
        /// The address that was accessed.
        address: usize,
        /// Whether it was written to.
        write: bool,
        /// Whether it was executed.
        execute: bool,
        /// Whether a page is there, which forbids that access.
        present: bool,
    },
    /// Another exception.
    Trap(Trap),
}

/// Describes an exception of the processor (Intel's manual, volume 3, chapter 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trap {
    /// 0 divide error, 1 debug, 3 breakpoint, 4 overflow, 5 bounds, 6 invalid opcode, 12 stack,
    /// 13 general protection, 16 x87, 17 alignment, 19 SIMD.
    pub vector: u8,
    /// The error code; 0 for exceptions without one.
    pub error: u64,
}

/// Returns `flags` with only those of a program.
pub(super) const fn user_flags(flags: u64) -> u64 {
    flags & FLAGS | FLAGS_SET
}

/// Checks that bits 47 to 63 of `address` are equal.
pub(super) const fn check_canonical(address: u64) -> Result<(), Invalid> {
    match address >> 47 {
        0 | 0x1_FFFF => Ok(()),
        _ => Err(Invalid),
    }
}

/// Checks that `at` is the address of a page that a program can have.
pub(super) const fn check_page(at: usize) -> Result<(), Error> {
    if at.is_multiple_of(PAGE) && at < TOP { Ok(()) } else { Err(Error::Address) }
}

/// Writes the state that a program begins with to `area`, as Linux has it: x87 with 64 bits of
/// precision, all exceptions masked, zeros.
pub(super) fn reset_xstate(area: &mut [u8]) {
    area.fill(0);
    put(area, FCW, &0x37F_u16.to_le_bytes());
    put(area, MXCSR, &0x1F80_u32.to_le_bytes());
    put(area, LEGACY, &X87_SSE.to_le_bytes());
}

/// Writes `state` to `area`. Of 512 bytes, as FXSAVE writes them, the rest becomes initial.
/// `features` are the bits of XCR0.
pub(super) fn write_xstate(area: &mut [u8], state: &[u8], features: u64) -> Result<(), Invalid> {
    let whole = state.len() == area.len();
    if !(whole || state.len() == LEGACY) || word::<4>(state, MXCSR) & !u64::from(MXCSR_BITS) != 0 {
        return Err(Invalid);
    }
    if whole {
        let reserved = state.get(LEGACY + 8..HEADER_END).ok_or(Invalid)?;
        if word::<8>(state, LEGACY) & !features != 0 || reserved.iter().any(|&byte| byte != 0) {
            return Err(Invalid);
        }
    } else {
        reset_xstate(area);
    }
    put(area, 0, state);
    Ok(())
}

fn put(area: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = area.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// Returns the little-endian number of `N` bytes at `at`.
fn word<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes.get(at..at + N).unwrap_or_default();
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_chooses_no_flag_of_the_system() {
        assert_eq!(user_flags(0), 0x202);
        // Without VM, RF, NT, IOPL and TF.
        assert_eq!(user_flags(u64::MAX), 0x24_0ED7);
    }

    #[test]
    fn addresses_of_pages_end_below_the_top() {
        assert_eq!(check_page(TOP - PAGE), Ok(()));
        assert_eq!(check_page(TOP), Err(Error::Address));
        assert_eq!(check_page(0x1001), Err(Error::Address));
        assert_eq!(check_canonical(0x7FFF_FFFF_FFFF), Ok(()));
        assert_eq!(check_canonical(0xFFFF_8000_0000_0000), Ok(()));
        assert_eq!(check_canonical(0x8000_0000_0000), Err(Invalid));
    }

    #[test]
    fn state_that_xrstor_refuses_is_refused() {
        let mut area = [0; 832];
        reset_xstate(&mut area);
        let good = area;
        assert_eq!(write_xstate(&mut area, &good, 7), Ok(()));
        for (at, byte) in [(26, 1), (512, 8), (520, 1), (528, 1), (575, 1)] {
            let mut bad = good;
            bad[at] = byte;
            assert_eq!(write_xstate(&mut area, &bad, 7), Err(Invalid), "{at}");
        }
        assert_eq!(write_xstate(&mut area, &good[..831], 7), Err(Invalid));
        assert_eq!(area, good);
    }

    #[test]
    fn the_state_of_fxsave_leaves_the_rest_initial() {
        let mut area = [0xFF; 832];
        let mut state = [7; 512];
        state[24..28].copy_from_slice(&0x1F80_u32.to_le_bytes());
        assert_eq!(write_xstate(&mut area, &state, 7), Ok(()));
        assert_eq!(area[..512], state);
        assert_eq!(area[512..520], 3_u64.to_le_bytes());
        assert!(area[520..].iter().all(|&byte| byte == 0));
    }
}
