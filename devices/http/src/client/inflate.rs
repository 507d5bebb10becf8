//! Content that is coded as gzip (RFC 1952) or deflate (RFC 1950), piece by piece.
//!
//! What is decoded stands in a ring of 32 KiB, the farthest that the format looks back,
//! so memory does not depend on what is sent. The bits are miniz_oxide's; the members of
//! gzip are read here, as it does not know them.

use alloc::boxed::Box;
use alloc::vec::Vec;
use crc::{CRC_32_ISO_HDLC, Crc, Digest};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags as flags};

/// How far the format looks back.
const WINDOW: usize = 32 * 1024;

/// What gzip's checksums are made by: a table of 1 KiB.
static SUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// Parts of a member that may be there, by the flags of its fourth byte.
const HAS_SUM: u8 = 2;
const HAS_EXTRA: u8 = 4;
const HAS_NAME: u8 = 8;
const HAS_COMMENT: u8 = 16;

/// Says what is wrong with coded content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// It is not in the format that its `Content-Encoding` names.
    Form,
    /// Its checksum or length is not that of what was coded.
    Sum,
    /// It ends too early.
    Cut,
    /// It is in a coding that was not asked for.
    Unknown,
}

impl core::fmt::Display for Flaw {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Form => "it is not in that format",
            Self::Sum => "its checksum or its length is wrong",
            Self::Cut => "it ends too early",
            Self::Unknown => "that coding was not asked for",
        })
    }
}

impl core::error::Error for Flaw {}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The first ten bytes of a member of gzip, of which there were so many.
    Fixed(usize),
    /// The two bytes that say how long the extra field is, of which there were so many.
    ExtraLength(usize),
    /// So many bytes of the extra field.
    Extra(usize),
    Name,
    Comment,
    /// The checksum of the head, of which there were so many bytes.
    HeadSum(usize),
    /// Whether zlib's two bytes come first, as they should: many leave them out.
    Guess,
    Bits,
    /// The checksum and the length, of which there were so many bytes.
    End(usize),
    /// Nothing, in zlib's form.
    Over,
}

/// A decoder.
pub(super) struct Inflate {
    core: Box<DecompressorOxide>,
    /// What was decoded, at `at`: what follows are `ready` bytes that nobody took.
    window: Vec<u8>,
    at: usize,
    ready: usize,
    next: Next,
    /// There is more in the bits that were taken than the window had room for.
    more: bool,
    /// gzip's, not zlib's.
    gzip: bool,
    flags: u32,
    /// Which parts the head still has.
    parts: u8,
    /// The last bytes of a part of some bytes, the first of them lowest.
    number: u64,
    /// Of the head, then of the content.
    sum: Digest<'static, u32>,
    length: u32,
    /// A member is complete.
    whole: bool,
}

impl Inflate {
    /// A decoder of gzip, or of zlib's form; nothing when there is no memory for it.
    pub(super) fn new(gzip: bool) -> Option<Self> {
        // The state is some 11 KiB, and asked for first: a box that fails is a panic.
        kernel::memory::zeroed(2 * size_of::<DecompressorOxide>())?;
        Some(Self {
            window: kernel::memory::zeroed(WINDOW)?,
            core: Box::default(),
            at: 0,
            ready: 0,
            next: if gzip { Next::Fixed(0) } else { Next::Guess },
            more: false,
            gzip,
            flags: flags::TINFL_FLAG_IGNORE_ADLER32,
            parts: 0,
            number: 0,
            sum: SUM.digest(),
            length: 0,
            whole: false,
        })
    }

    /// Takes decoded bytes out.
    pub(super) fn take(&mut self, to: &mut [u8]) -> usize {
        let ready = self.window.get(self.at..self.at + self.ready).unwrap_or_default();
        let count = ready.len().min(to.len());
        to[..count].copy_from_slice(&ready[..count]);
        self.at = (self.at + count) % WINDOW;
        self.ready -= count;
        count
    }

    /// Whether there are decoded bytes.
    pub(super) const fn is_ready(&self) -> bool {
        self.ready > 0
    }

    /// Whether there may be more without any more input.
    pub(super) const fn has_more(&self) -> bool {
        self.more
    }

    /// Decodes some of `input`, when nothing is ready; how much of it was used.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn feed(&mut self, input: &[u8]) -> Result<usize, Flaw> {
        if self.next == Next::Bits {
            return self.bits(input);
        }
        let Some(&byte) = input.first() else { return Ok(0) };
        match self.next {
            Next::Guess => {
                // The method is 8, and both bytes make a multiple of 31 (RFC 1950). Of what
                // comes one by one the first has to do.
                let zlib = byte & 0x0f == 8
                    && input
                        .get(1)
                        .is_none_or(|&next| (u16::from(byte) << 8 | u16::from(next)) % 31 == 0);
                if zlib {
                    self.flags =
                        flags::TINFL_FLAG_PARSE_ZLIB_HEADER | flags::TINFL_FLAG_COMPUTE_ADLER32;
                }
                self.next = Next::Bits;
                return Ok(0);
            }
            Next::Over => return Err(Flaw::Form),
            Next::End(count) => {
                self.number |= u64::from(byte) << (8 * count);
                self.next = Next::End(count + 1);
                if count == 7 {
                    let said = (self.number as u32, (self.number >> 32) as u32);
                    let sum = core::mem::replace(&mut self.sum, SUM.digest()).finalize();
                    if said != (sum, self.length) {
                        return Err(Flaw::Sum);
                    }
                    self.whole = true;
                    self.next = Next::Fixed(0);
                }
                return Ok(1);
            }
            Next::HeadSum(count) => {
                self.number |= u64::from(byte) << (8 * count);
                self.next = Next::HeadSum(count + 1);
                if count == 1 {
                    let sum = core::mem::replace(&mut self.sum, SUM.digest()).finalize();
                    if self.number != u64::from(sum as u16) {
                        return Err(Flaw::Sum);
                    }
                    self.begin();
                }
                return Ok(1);
            }
            _ => {}
        }
        // The head of a member.
        self.sum.update(&[byte]);
        match self.next {
            Next::Fixed(at) => {
                self.whole = false;
                let good = match at {
                    0 => byte == 0x1f,
                    1 => byte == 0x8b,
                    2 => byte == 8,
                    3 => byte & 0xe0 == 0,
                    _ => true,
                };
                if !good {
                    return Err(Flaw::Form);
                }
                if at == 3 {
                    self.parts = byte;
                }
                self.next = Next::Fixed(at + 1);
                if at == 9 {
                    self.part();
                }
            }
            Next::ExtraLength(0) => {
                self.number = byte.into();
                self.next = Next::ExtraLength(1);
            }
            Next::ExtraLength(_) => match self.number as usize | usize::from(byte) << 8 {
                0 => self.part(),
                length => self.next = Next::Extra(length),
            },
            Next::Extra(left @ 2..) => self.next = Next::Extra(left - 1),
            Next::Name | Next::Comment if byte != 0 => {}
            _ => self.part(),
        }
        Ok(1)
    }

    /// Goes on to the next part of the head.
    fn part(&mut self) {
        self.number = 0;
        let mut has = |part: u8| {
            let has = self.parts & part != 0;
            self.parts &= !part;
            has
        };
        self.next = if has(HAS_EXTRA) {
            Next::ExtraLength(0)
        } else if has(HAS_NAME) {
            Next::Name
        } else if has(HAS_COMMENT) {
            Next::Comment
        } else if has(HAS_SUM) {
            Next::HeadSum(0)
        } else {
            return self.begin();
        };
    }

    /// Goes on to the content.
    fn begin(&mut self) {
        self.core.init();
        self.sum = SUM.digest();
        (self.number, self.length, self.next) = (0, 0, Next::Bits);
    }

    /// Decodes some bits.
    fn bits(&mut self, input: &[u8]) -> Result<usize, Flaw> {
        let flags = self.flags | flags::TINFL_FLAG_HAS_MORE_INPUT;
        let (status, used, made) =
            decompress(&mut self.core, input, &mut self.window, self.at, flags);
        self.ready = made;
        self.more = status == TINFLStatus::HasMoreOutput;
        let made = self.window.get(self.at..self.at + made).unwrap_or_default();
        if self.gzip {
            self.sum.update(made);
            // The length is said modulo 2^32.
            self.length = self.length.wrapping_add(made.len() as u32);
        }
        match status {
            TINFLStatus::Done if self.gzip => self.next = Next::End(0),
            TINFLStatus::Done => (self.next, self.whole) = (Next::Over, true),
            TINFLStatus::NeedsMoreInput | TINFLStatus::HasMoreOutput => {}
            TINFLStatus::Adler32Mismatch => return Err(Flaw::Sum),
            _ => return Err(Flaw::Form),
        }
        Ok(used)
    }

    /// Says that the input is over.
    ///
    /// # Errors
    /// [`Flaw::Cut`] when it is not complete.
    pub(super) const fn finish(&self) -> Result<(), Flaw> {
        if self.whole && matches!(self.next, Next::Over | Next::Fixed(0)) {
            return Ok(());
        }
        Err(Flaw::Cut)
    }
}
