//! Keeps values by key on a disk, through any loss of power.
//!
//! Commands come as an argument, separated by semicolons, or as lines of the console:
//! `set KEY VALUE`, `get KEY`, `delete KEY`, `rename FROM TO`, `list PREFIX`, `usage`,
//! `count KEY` and `exit`. `ok` is written when what was asked for is on the disk.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};
use embedded_io_async::{Read, Write};
use xenith::block::content::{self, Content, Refused};
use xenith::block::{Block, Error as _};
use xenith::kv::keys::{Batch, Keys};
use xenith::kv::{Error, Store};

/// The longest line (rule K8).
const LONGEST: usize = 4096;

/// Why it ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The disk holds something else.
    Refused(Refused),
    /// The disk cannot be used.
    Disk(Error),
    /// A command from the arguments failed.
    Command(Error),
    /// There is no such command.
    Unknown,
    /// What was counted does not fit together.
    Count,
    /// The console failed.
    Console,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => refused.fmt(f),
            Self::Disk(error) | Self::Command(error) => error.fmt(f),
            Self::Unknown => f.write_str(
                "there are set KEY VALUE, get KEY, delete KEY, rename FROM TO, list PREFIX, \
                 usage, count KEY and exit",
            ),
            Self::Count => f.write_str("what was counted does not fit together"),
            Self::Console => f.write_str("the console failed"),
        }
    }
}

/// What a command says, or that it was the last.
type Said = Result<Option<String>, Failure>;

/// Does one command. `say` is for what comes in between.
async fn command<B: Block + 'static, C: Write>(
    keys: &Keys<B>,
    line: &str,
    console: &mut C,
) -> Said {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
    let done = |result: Result<(), Error>| result.map(|()| "ok".into()).map_err(Failure::Command);
    let said = match word {
        "set" => done(keys.set(first.as_bytes(), second.as_bytes()).await)?,
        "delete" => done(keys.delete(rest.as_bytes()).await)?,
        "rename" => done(keys.rename(first.as_bytes(), second.as_bytes()).await)?,
        "get" => match keys.get(rest.as_bytes()).await.map_err(Failure::Command)? {
            Some(value) => String::from_utf8_lossy(&value).into_owned(),
            None => return Err(Failure::Command(Error::NotFound)),
        },
        "list" => {
            let mut names = Vec::new();
            let mut each = |key: &[u8], length| names.push((key.to_vec(), length));
            keys.list(rest.as_bytes(), &mut each).await.map_err(Failure::Command)?;
            for (key, length) in &names {
                say(console, &format!("{} {length}", String::from_utf8_lossy(key))).await?;
            }
            format!("{} keys", names.len())
        }
        "usage" => {
            let (used, room) = keys.usage();
            format!("{used} of {room} bytes")
        }
        "count" => return count(keys, rest, console).await,
        "exit" => return Ok(None),
        _ => return Err(Failure::Unknown),
    };
    Ok(Some(said))
}

/// Counts in `key` and in two others, for ever, with a line for each number that is
/// on the disk; what was counted before has to fit together.
async fn count<B: Block + 'static, C: Write>(keys: &Keys<B>, key: &str, console: &mut C) -> Said {
    let names = [String::from(key), format!("{key}.copy"), format!("{key}.long")];
    let mut found = [0_u64; 3];
    for (name, found) in names.iter().zip(&mut found) {
        if let Some(value) = keys.get(name.as_bytes()).await.map_err(Failure::Command)? {
            let text = core::str::from_utf8(&value).unwrap_or_default();
            let number = text.split(' ').next().and_then(|text| text.parse().ok());
            *found = number.ok_or(Failure::Count)?;
        }
    }
    if found[0] != found[1] || found[0] != found[2] {
        return Err(Failure::Count);
    }
    say(console, &format!("{key} begins at {}", found[0])).await?;
    for number in found[0] + 1.. {
        let mut long = format!("{number} ");
        for _ in 0..number % 200 {
            // Writing to a string does not fail.
            let _ = write!(long, "{number}");
        }
        let text = format!("{number}");
        let mut batch = Batch::new();
        batch.set(names[0].as_bytes(), text.as_bytes());
        // By another way, so that there are deletes and renames as well.
        batch.set(b"new", text.as_bytes()).delete(names[1].as_bytes());
        batch.rename(b"new", names[1].as_bytes());
        batch.set(names[2].as_bytes(), long.as_bytes());
        keys.apply(batch).await.map_err(Failure::Command)?;
        say(console, &format!("{key} {number}")).await?;
    }
    Ok(None)
}

async fn say<C: Write>(console: &mut C, line: &str) -> Result<(), Failure> {
    let mut line: Vec<u8> = line.bytes().map(|it| if it < b' ' { b'?' } else { it }).collect();
    line.push(b'\n');
    console.write_all(&line).await.map_err(|_| Failure::Console)
}

/// The next line of the console without its end: nothing when there are no more.
async fn line<C: Read>(console: &mut C) -> Result<Option<String>, Failure> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    loop {
        match console.read(&mut byte).await.map_err(|_| Failure::Console)? {
            0 if line.is_empty() => return Ok(None),
            0 => break,
            _ if matches!(byte, [b'\r' | b'\n']) => break,
            _ if line.len() < LONGEST => line.extend(byte),
            // What is too long is refused as a whole, by its length.
            _ => {}
        }
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

/// Opens the store, or makes one on a blank disk, or with `overwrite` on any that holds no store
/// or one that is damaged.
async fn open<B: Block + 'static>(
    disk: B,
    overwrite: bool,
    index: Option<u32>,
) -> Result<Keys<Rc<B>>, Failure> {
    let disk = Rc::new(disk);
    let mut opened = Keys::open_or_format(disk.clone()).await;
    if overwrite && matches!(opened, Err(Error::OtherFormat | Error::Damaged | Error::Shrunk)) {
        opened = Keys::format(disk.clone()).await;
    }
    if let Some(index) = index
        && matches!(opened, Ok(_) | Err(Error::TooManyKeys))
    {
        opened = Keys::with_memory(disk.clone(), index as usize * 1024).await;
    }
    match opened {
        Err(Error::OtherFormat) => {
            let found = content::find(&disk, |_, _| false).await;
            Err(Failure::Refused(match found {
                Ok(Content::Blank) => Refused::Holds(Content::Unknown),
                Ok(content) => Refused::Holds(content),
                Err(error) => Refused::Disk(error.kind()),
            }))
        }
        keys => keys.map_err(Failure::Disk),
    }
}

/// Does the commands in `run`, or those from the console until `exit`.
///
/// # Errors
/// See [`Failure`]; of a command from the console, it is written there.
pub async fn start<C: Read + Write, B: Block + 'static>(
    mut console: C,
    disk: B,
    run: Option<&str>,
    overwrite: bool,
    index: Option<u32>,
) -> Result<(), Failure> {
    let keys = open(disk, overwrite, index).await?;
    if let Some(run) = run {
        for line in run.split(';').map(str::trim).filter(|line| !line.is_empty()) {
            match command(&keys, line, &mut console).await? {
                Some(said) => say(&mut console, &said).await?,
                None => break,
            }
        }
        return keys.close().await.map_err(Failure::Disk);
    }
    say(&mut console, "kv: ready").await?;
    while let Some(line) = line(&mut console).await? {
        if line.is_empty() {
            continue;
        }
        match command(&keys, &line, &mut console).await {
            Ok(Some(said)) => say(&mut console, &said).await?,
            Ok(None) => break,
            Err(Failure::Console) => return Err(Failure::Console),
            Err(error) => say(&mut console, &format!("error: {error}")).await?,
        }
    }
    // A disk that is read-only or full of errors was told of already.
    keys.close().await.map_err(Failure::Disk)
}

#[cfg(test)]
mod tests;
