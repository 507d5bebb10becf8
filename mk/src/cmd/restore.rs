//! `cargo mk restore`: a saved guest goes on, on a host of its own.

use super::run::{App, Around, go_on, seconds};
use crate::ui::Ui;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Goes on with a guest that was saved, on Xen in QEMU
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cargo mk restore httpd.saved\n\nThe file is from `cargo mk save`. What \
was given to `cargo mk run` besides the app's\narguments and its memory is given again: --publish, --disk. \
The guest is on another host now, so\nthat connections from outside begin anew; `cargo mk migrate` keeps them."
)]
pub(crate) struct Args {
    /// The file with its memory
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    around: Around,
    /// Ends the run after that time
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
}

/// Runs the command.
///
/// # Errors
/// When the file is not what it should be, or the host does not come up.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let Args { file, around, timeout } = args;
    let shown = file.display();
    let mut reader = BufReader::new(File::open(file).with_context(|| shown.to_string())?);
    let saved = Saved::read(&mut reader)
        .with_context(|| format!("{shown} is not a file of `cargo mk save` or `xl save`"))?;
    let app = App {
        app: Some(saved.c_info.name),
        args: saved.b_info.cmdline.split_whitespace().map(str::to_owned).collect(),
        memory: Some(saved.b_info.max_memkb.div_ceil(1024)),
        around: around.clone(),
    };
    go_on(app, Path::new(file), *timeout, ui)
}

/// What `xl` wrote before the memory: the domain's configuration, as JSON.
#[derive(Debug, Deserialize)]
struct Saved {
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
}

/// The first bytes of such a file (`savefileheader_magic` of `tools/xl/xl.h`).
const MAGIC: &[u8; 32] = b"Xen saved domain, xl format\n \0 \r";

/// The byte order in which it was written.
const BYTE_ORDER: u32 = 0x0102_0304;

/// The flag by which the configuration is JSON.
const JSON: u32 = 1;

/// More than any configuration has.
const LIMIT: u32 = 1 << 20;

impl Saved {
    /// Reads the head: the magic, four words (byte order, flags that must be understood, others, and
    /// the bytes that follow), and in these the length of the configuration and itself.
    fn read(from: &mut impl Read) -> Result<Self> {
        let mut magic = [0; 32];
        from.read_exact(&mut magic)?;
        ensure!(magic == *MAGIC, "it begins with something else");
        let mut word = || -> Result<u32> {
            let mut bytes = [0; 4];
            from.read_exact(&mut bytes)?;
            Ok(u32::from_le_bytes(bytes))
        };
        let [order, flags, _, size, length] = [word()?, word()?, word()?, word()?, word()?];
        ensure!(order == BYTE_ORDER, "it was written on a machine of another byte order");
        ensure!(flags & JSON != 0, "its configuration is not JSON");
        ensure!(size <= LIMIT && length <= size.saturating_sub(4), "its head is {size} bytes long");
        let mut text = vec![0; length as usize];
        from.read_exact(&mut text)?;
        // It may be terminated as in C.
        let text = text.strip_suffix(b"\0").unwrap_or(&text);
        Ok(serde_json::from_slice(text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(length: u32, text: &str) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        for word in [BYTE_ORDER, 3, 0, length + 4, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(text.as_bytes());
        file
    }

    #[test]
    fn the_configuration_is_found() {
        let text = r#"{"c_info":{"name":"web","type":"pv"},"b_info":{"max_memkb":4096,"cmdline":"port=8"}}"#;
        let saved = Saved::read(&mut &*file(text.len() as u32, text)).unwrap();
        assert_eq!((&*saved.c_info.name, saved.b_info.max_memkb), ("web", 4096));
        assert_eq!(saved.b_info.cmdline, "port=8");
    }

    #[test]
    fn other_files_are_refused() {
        let error = |bytes: &[u8]| format!("{:#}", Saved::read(&mut &*bytes).unwrap_err());
        assert!(error(&[0; 64]).contains("something else"));
        assert!(error(&file(u32::MAX - 8, "")).contains("bytes long"));
        assert!(!error(&file(2, "{}")).is_empty());
        assert!(!error(&MAGIC[..9]).is_empty());
    }
}
