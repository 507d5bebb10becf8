//! Checks `start_info` (`public/xen.h`), which the domain builder passes to the guest, once at
//! boot.

use crate::evtchn::PortNumber;
use crate::memory::{Mfn, PAGE_SIZE};
use crate::public::{
    SIF_INITDOMAIN, SIF_MOD_START_PFN, SIF_MULTIBOOT_MOD, SIF_PRIVILEGED, SIF_VIRT_P2M_4TOOLS,
    start_info,
};
use bitflags::bitflags;
use core::fmt;

bitflags! {
    /// Says how the domain was started (`SIF_*`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u32 {
        /// The domain may make privileged hypercalls (`SIF_PRIVILEGED`).
        const PRIVILEGED = SIF_PRIVILEGED;
        /// This is domain 0.
        const INITDOMAIN = SIF_INITDOMAIN;
        /// `mod_start` holds a list of modules.
        const MULTIBOOT_MOD = SIF_MULTIBOOT_MOD;
        /// `mod_start` is a frame number.
        const MOD_START_PFN = SIF_MOD_START_PFN;
        /// The toolstack understands a p2m list in virtual memory.
        const VIRT_P2M_4TOOLS = SIF_VIRT_P2M_4TOOLS;
        const _ = !0;
    }
}

/// Locates a ring that is shared with a daemon in the control domain: its page and its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Machine frame of the page.
    pub mfn: Mfn,
    /// Local port of its event channel.
    pub port: PortNumber,
}

/// Holds the fields of a checked `start_info`.
#[derive(Clone, Debug)]
pub struct StartInfo<'a> {
    /// Number of pages of the domain.
    pub nr_pages: u64,
    /// Machine address of the shared info page.
    pub shared_info: u64,
    /// How the domain was started.
    pub flags: Flags,
    /// Xenstore's ring, if there is one.
    pub store: Option<Channel>,
    /// The console's ring, if there is one.
    pub console: Option<Channel>,
    /// Virtual address of the level-4 page table.
    pub pt_base: u64,
    /// Number of page tables that the domain builder made.
    pub nr_pt_frames: u64,
    /// Virtual address of the pfn-to-mfn list: a `u64` for each page.
    pub mfn_list: u64,
    /// The command line without its final 0, up to 1024 bytes. Its end may be
    /// [missing](Self::may_be_truncated).
    pub cmd_line: &'a [u8],
}

/// Says why a `start_info` cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The magic is not that of a 64-bit PV guest.
    Magic,
    /// The number of pages is 0 or more than x86-64 can address.
    Pages,
    /// The shared info page is missing or not page aligned.
    SharedInfo,
    /// The page tables are missing, not aligned or larger than the domain.
    PageTables,
    /// The pfn-to-mfn list is missing or not aligned.
    MfnList,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Magic => "start_info.magic is not xen-3.x-x86_64",
            Self::Pages => "start_info.nr_pages is impossible",
            Self::SharedInfo => "start_info.shared_info is not a page",
            Self::PageTables => "start_info.pt_base or nr_pt_frames is impossible",
            Self::MfnList => "start_info.mfn_list is missing or not aligned",
        })
    }
}

impl core::error::Error for Error {}

/// Number of frames that x86-64's 52 bits of physical address can name.
const FRAME_LIMIT: u64 = 1 << 40;

fn channel(mfn: u64, port: u32) -> Option<Channel> {
    (mfn != 0 && port != 0).then_some(Channel { mfn: Mfn(mfn), port: PortNumber(port) })
}

fn is_page(address: u64) -> bool {
    address != 0 && address.is_multiple_of(PAGE_SIZE as u64)
}

/// Returns whether `magic` is "xen-3.<minor>-x86_64", with a final 0 within its 32 bytes.
fn is_magic(magic: &[u8]) -> bool {
    let end = magic.iter().position(|&byte| byte == 0);
    end.and_then(|end| magic.get(..end))
        .and_then(|text| text.strip_prefix(b"xen-3."))
        .and_then(|text| text.strip_suffix(b"-x86_64"))
        .is_some_and(|minor| !minor.is_empty() && minor.iter().all(u8::is_ascii_digit))
}

/// Size of `start_info.cmd_line` in bytes, with the final 0.
const COMMAND_LINE: usize = 1024;

impl<'a> StartInfo<'a> {
    /// Returns whether the command line fills its field. The domain builder truncates what does
    /// not fit without an error, so the end may be missing.
    #[must_use]
    pub const fn may_be_truncated(&self) -> bool {
        self.cmd_line.len() >= COMMAND_LINE - 1
    }

    /// Checks all fields that a PV guest relies on.
    ///
    /// # Errors
    /// The first field with an impossible value.
    pub fn new(raw: &'a start_info) -> Result<Self, Error> {
        let magic = raw.magic.map(|byte| byte as u8);
        if !is_magic(&magic) {
            return Err(Error::Magic);
        }
        if raw.nr_pages == 0 || raw.nr_pages >= FRAME_LIMIT {
            return Err(Error::Pages);
        }
        if !is_page(raw.shared_info) {
            return Err(Error::SharedInfo);
        }
        if !is_page(raw.pt_base) || raw.nr_pt_frames == 0 || raw.nr_pt_frames > raw.nr_pages {
            return Err(Error::PageTables);
        }
        if raw.mfn_list == 0 || !raw.mfn_list.is_multiple_of(8) {
            return Err(Error::MfnList);
        }
        // SAFETY: i8 and u8 have the same layout.
        let cmd_line: &[u8; COMMAND_LINE] = unsafe { &*(&raw const raw.cmd_line).cast() };
        let end = cmd_line.iter().position(|&byte| byte == 0).unwrap_or(COMMAND_LINE);
        // SAFETY: every domain but 0 gets the variant `domU`, and both variants are plain
        // numbers.
        let console = unsafe { raw.console.domU };
        Ok(Self {
            nr_pages: raw.nr_pages,
            shared_info: raw.shared_info,
            flags: Flags::from_bits_retain(raw.flags),
            store: channel(raw.store_mfn, raw.store_evtchn),
            console: channel(console.mfn, console.evtchn),
            pt_base: raw.pt_base,
            nr_pt_frames: raw.nr_pt_frames,
            mfn_list: raw.mfn_list,
            cmd_line: cmd_line.split_at(end).0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> start_info {
        // SAFETY: every field is a number or an array of numbers.
        let mut raw: start_info = unsafe { core::mem::zeroed() };
        for (to, from) in raw.magic.iter_mut().zip(b"xen-3.0-x86_64") {
            *to = *from as _;
        }
        raw.nr_pages = 256;
        raw.shared_info = 0x1000;
        raw.store_mfn = 7;
        raw.store_evtchn = 1;
        raw.console.domU.mfn = 8;
        raw.console.domU.evtchn = 2;
        raw.pt_base = 0x30_5000;
        raw.nr_pt_frames = 4;
        raw.mfn_list = 0x30_4000;
        for (to, from) in raw.cmd_line.iter_mut().zip(b"greeting=Xen") {
            *to = *from as _;
        }
        raw
    }

    #[test]
    fn a_good_one_is_understood() {
        let raw = good();
        let info = StartInfo::new(&raw).unwrap();
        assert_eq!(info.cmd_line, b"greeting=Xen");
        assert_eq!(info.console, Some(Channel { mfn: Mfn(8), port: PortNumber(2) }));
        assert_eq!(info.nr_pages, 256);
    }

    #[test]
    fn each_bad_field_has_its_error_s1() {
        type Spoil = fn(&mut start_info);
        let cases: [(Spoil, Error); 8] = [
            (|raw| raw.magic[4] = b'2' as _, Error::Magic),
            (|raw| raw.magic = [b'x' as _; 32], Error::Magic),
            (|raw| raw.nr_pages = 0, Error::Pages),
            (|raw| raw.nr_pages = u64::MAX, Error::Pages),
            (|raw| raw.shared_info = 0x1001, Error::SharedInfo),
            (|raw| raw.pt_base = 0, Error::PageTables),
            (|raw| raw.nr_pt_frames = 257, Error::PageTables),
            (|raw| raw.mfn_list = 3, Error::MfnList),
        ];
        for (spoil, error) in cases {
            let mut raw = good();
            spoil(&mut raw);
            assert_eq!(StartInfo::new(&raw).unwrap_err(), error);
        }
    }

    #[test]
    fn a_command_line_that_fills_its_field_may_be_cut() {
        for (length, cut) in [(0, false), (1022, false), (1023, true), (1024, true)] {
            let mut raw = good();
            raw.cmd_line = [0; 1024];
            raw.cmd_line.iter_mut().take(length).for_each(|to| *to = b'a' as _);
            let info = StartInfo::new(&raw).unwrap();
            assert_eq!((info.cmd_line.len(), info.may_be_truncated()), (length, cut));
        }
    }

    #[test]
    fn a_missing_console_is_no_console() {
        let mut raw = good();
        raw.console.domU.evtchn = 0;
        assert_eq!(StartInfo::new(&raw).unwrap().console, None);
    }
}
