//! What a terminal is set to.

use linux_raw_sys::general as abi;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// `struct termios` of the system calls. (The one of the C library is longer.)
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, PartialEq, Eq)]
#[repr(C, packed)]
pub struct Settings {
    input: u32,
    output: u32,
    hardware: u32,
    local: u32,
    line: u8,
    controls: [u8; 19],
}

/// `struct winsize`: rows and columns, and two sizes in pixels that nobody knows.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, PartialEq, Eq)]
#[repr(C)]
pub struct Size {
    rows: u16,
    columns: u16,
    pixels: [u16; 2],
}

impl Size {
    /// Creates a size of which only rows and columns are known.
    #[must_use]
    pub const fn new(rows: u16, columns: u16) -> Self {
        Self { rows, columns, pixels: [0; 2] }
    }
}

impl Default for Settings {
    /// Those of Linux (`tty_std_termios`).
    fn default() -> Self {
        let mut controls = [0; 19];
        for (at, value) in [
            (abi::VINTR, 3),
            (abi::VQUIT, 0x1c),
            (abi::VERASE, 0x7f),
            (abi::VKILL, 0x15),
            (abi::VEOF, 4),
            (abi::VMIN, 1),
            (abi::VSTART, 0x11),
            (abi::VSTOP, 0x13),
            (abi::VSUSP, 0x1a),
            (abi::VREPRINT, 0x12),
            (abi::VDISCARD, 0x0f),
            (abi::VWERASE, 0x17),
            (abi::VLNEXT, 0x16),
        ] {
            controls[at as usize] = value;
        }
        Self {
            input: abi::ICRNL | abi::IXON | abi::IUTF8,
            output: abi::OPOST | abi::ONLCR,
            hardware: abi::B38400 | abi::CS8 | abi::CREAD | abi::HUPCL,
            local: abi::ISIG
                | abi::ICANON
                | abi::ECHO
                | abi::ECHOE
                | abi::ECHOK
                | abi::ECHOCTL
                | abi::ECHOKE
                | abi::IEXTEN,
            line: 0,
            controls,
        }
    }
}

impl Settings {
    pub(super) const fn has_input(&self, bit: u32) -> bool {
        self.input & bit != 0
    }

    /// Whether output is treated so, if it is treated at all.
    pub(super) const fn has_output(&self, bit: u32) -> bool {
        self.output & abi::OPOST != 0 && self.output & bit != 0
    }

    pub(super) const fn has_local(&self, bit: u32) -> bool {
        self.local & bit != 0
    }

    /// Whether lines are read, and not bytes.
    pub(super) const fn is_canonical(&self) -> bool {
        self.has_local(abi::ICANON)
    }

    pub(super) fn control(&self, at: u32) -> u8 {
        self.controls.get(at as usize).copied().unwrap_or(0)
    }

    /// Whether a byte is that control character; 0 stands for none.
    pub(super) fn is(&self, byte: u8, at: u32) -> bool {
        byte != 0 && byte == self.control(at)
    }
}
