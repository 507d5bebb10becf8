//! The file of a saved guest, as `xl save` writes it: what it says of the guest, and whether it is whole.
//!
//! `xl` puts the domain's configuration before a stream of libxl's, which holds one of libxc
//! (Xen's `docs/specs/libxl-migration-stream.pandoc` and `libxc-migration-stream.pandoc`). Both are
//! records with their lengths and end with a record that says so. The memory itself is not looked at.

use crate::image::xl;
use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;
use std::io::{ErrorKind, Read, Seek};
use std::path::Path;

/// What a saved guest was.
#[derive(Debug, Deserialize)]
pub(crate) struct Saved {
    c_info: Created,
    b_info: Built,
}

#[derive(Debug, Deserialize)]
struct Created {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Built {
    max_memkb: u64,
    #[serde(default)]
    cmdline: String,
    #[serde(default)]
    kernel: String,
}

/// The first bytes of such a file (`savefileheader_magic` of `tools/xl/xl.h`).
const MAGIC: &[u8; 32] = b"Xen saved domain, xl format\n \0 \r";

/// The byte order in which it was written.
const BYTE_ORDER: u32 = 0x0102_0304;

/// The flag by which the configuration is JSON.
const JSON: u32 = 1;

/// More than any configuration has.
const LIMIT: u32 = 1 << 20;

/// How a stream of libxl begins.
const LIBXL: &[u8; 8] = b"LibxlFmt";

/// How a stream of libxc begins.
const LIBXC: &[u8; 12] = b"\xff\xff\xff\xff\xff\xff\xff\xffXENF";

/// The type of the record with which either stream ends.
const END: u32 = 0;

/// The type of libxl's record behind which the stream of libxc stands.
const CONTEXT: u32 = 1;

/// The type of a PV domain in libxc's header of it.
const PV: u32 = 1;

impl Saved {
    /// Reads what the file says of the guest, and follows it to its end.
    ///
    /// # Errors
    /// When it is no such file, not one of a PV guest, or not whole.
    pub(crate) fn read(from: &mut (impl Read + Seek)) -> Result<Self> {
        let mut reader = Reader { from };
        let saved = reader.head()?;
        reader.libxl().map_err(|error| {
            let cut = error.downcast_ref::<std::io::Error>();
            match cut.is_some_and(|it| it.kind() == ErrorKind::UnexpectedEof) {
                true => anyhow!(
                    "it is not whole: it ends before the guest's memory does, as when a save was \
                     interrupted or a copy is not complete. Copy the file again, or save the guest again"
                ),
                false => error,
            }
        })?;
        Ok(saved)
    }

    /// The guest's name.
    pub(crate) fn name(&self) -> &str {
        &self.c_info.name
    }

    /// The file name of its image, which is its app's; empty where that is not known.
    pub(crate) fn image(&self) -> &str {
        let name = Path::new(&self.b_info.kernel).file_name();
        name.and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Its memory, in MiB.
    pub(crate) const fn memory(&self) -> u64 {
        self.b_info.max_memkb.div_ceil(1024)
    }

    /// Its arguments.
    pub(crate) fn arguments(&self) -> Vec<String> {
        xl::items(&self.b_info.cmdline)
    }
}

struct Reader<'a, R> {
    from: &'a mut R,
}

impl<R: Read + Seek> Reader<'_, R> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn word(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    /// Passes over so many bytes, which have to be there.
    fn skip(&mut self, count: u64) -> Result<()> {
        let Some(before) = count.checked_sub(1) else { return Ok(()) };
        self.from.seek_relative(before.cast_signed())?;
        self.bytes::<1>().map(drop)
    }

    /// Reads the head: the magic, four words (byte order, flags that must be understood, others, and
    /// the bytes that follow), and in these the length of the configuration and itself.
    fn head(&mut self) -> Result<Saved> {
        ensure!(
            self.bytes::<32>().ok().as_ref() == Some(MAGIC),
            "it is not a file of `cargo mk save` or `xl save`: it begins with something else"
        );
        let mut words = [0; 5];
        for word in &mut words {
            *word = self.word()?;
        }
        let [order, flags, _, size, length] = words;
        ensure!(order == BYTE_ORDER, "it was written on a machine of another byte order");
        ensure!(flags & JSON != 0, "its configuration is not JSON");
        ensure!(size <= LIMIT && length <= size.saturating_sub(4), "its head is {size} bytes long");
        let mut text = vec![0; size as usize - 4];
        self.from.read_exact(&mut text).context("its head is cut off")?;
        text.truncate(length as usize);
        // It may be terminated as in C.
        let text = text.strip_suffix(b"\0").unwrap_or(&text);
        serde_json::from_slice(text).context("its configuration cannot be read")
    }

    /// Follows the stream of libxl.
    fn libxl(&mut self) -> Result<()> {
        ensure!(self.bytes()? == *LIBXL, "it holds no stream of libxl");
        self.skip(8)?;
        loop {
            match self.record()? {
                END => return Ok(()),
                CONTEXT => self.libxc()?,
                _ => {}
            }
        }
    }

    /// Follows the stream of libxc.
    fn libxc(&mut self) -> Result<()> {
        ensure!(self.bytes()? == *LIBXC, "it holds no stream of libxc");
        self.skip(12)?;
        let kind = self.word()?;
        ensure!(kind == PV, "its guest is not a PV guest, which all of Xenith's are");
        self.skip(12)?;
        while self.record()? != END {}
        Ok(())
    }

    /// Passes over a record, which is padded to whole words of 8 bytes, and says of which type it is.
    fn record(&mut self) -> Result<u32> {
        let (kind, length) = (self.word()?, self.word()?);
        // Those that there are have small numbers, or the highest bit.
        if kind & 0x7fff_ffff > 0xff {
            bail!(
                "it is damaged: there is no record of type {kind:#x}. Copy it again, or save the guest again"
            );
        }
        self.skip(u64::from(length).next_multiple_of(8))?;
        Ok(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    const TEXT: &str = r#"{"c_info":{"name":"web","type":"pv"},"b_info":{"max_memkb":4096,"cmdline":"port=8 \"run=a b\"","kernel":"/guests/web/httpd"}}"#;

    fn head(length: u32, text: &str) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        for word in [BYTE_ORDER, 3, 0, length + 4, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(text.as_bytes());
        file
    }

    fn record(kind: u32, body: &[u8]) -> Vec<u8> {
        let mut record = [kind, body.len() as u32].map(u32::to_le_bytes).concat();
        record.extend(body);
        record.resize(record.len().next_multiple_of(8), 0);
        record
    }

    /// A whole file, whose guest is of that kind.
    fn file(kind: u32) -> Vec<u8> {
        let mut file = head(TEXT.len() as u32, TEXT);
        file.extend([&LIBXL[..], &[0, 0, 0, 2, 0, 0, 0, 0]].concat());
        file.extend(record(CONTEXT, &[]));
        file.extend([&LIBXC[..], &[0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0]].concat());
        file.extend([kind, 12, 4, 17].map(u32::to_le_bytes).concat());
        for (kind, body) in [(2, &[0; 20][..]), (1, &[7; 5000]), (0x8000_0001, &[1]), (END, &[])] {
            file.extend(record(kind, body));
        }
        file.extend(record(2, b"store"));
        file.extend(record(END, &[]));
        file
    }

    fn error(bytes: &[u8]) -> String {
        format!("{:#}", Saved::read(&mut Cursor::new(bytes)).unwrap_err())
    }

    #[test]
    fn what_a_file_says_of_its_guest_is_found() {
        let saved = Saved::read(&mut Cursor::new(file(PV))).unwrap();
        assert_eq!((saved.name(), saved.image(), saved.memory()), ("web", "httpd", 4));
        assert_eq!(saved.arguments(), ["port=8", "run=a b"]);
    }

    #[test]
    fn other_files_are_refused() {
        assert!(error(&[0; 64]).contains("begins with something else"));
        assert!(error(&MAGIC[..9]).contains("begins with something else"));
        assert!(error(&head(u32::MAX - 8, "")).contains("bytes long"));
        assert!(error(&head(2, "{}")).contains("configuration cannot be read"));
        assert!(error(&file(2)).contains("not a PV guest"));
        let mut other = file(PV);
        let at = other.len() - 24;
        other[at..][..4].copy_from_slice(b"oops");
        assert!(error(&other).contains("it is damaged"), "{}", error(&other));
    }

    #[test]
    fn a_file_that_is_cut_off_anywhere_is_known_by_that() {
        let whole = file(PV);
        let head = head(TEXT.len() as u32, TEXT).len();
        for length in head..whole.len() {
            assert!(error(&whole[..length]).contains("it is not whole"), "{length}");
        }
        assert!(error(&whole[..head - 1]).contains("cut off"));
    }
}
