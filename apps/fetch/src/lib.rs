//! Fetches a page over HTTP and prints it.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use core::fmt::Write as _;
use core::time::Duration;
use devices::http::client::{self, Error, Limits};
use devices::http::{Answer, Body, Error as Wrong, Url};
use devices::ip::{self, Resolve, Tcp};
use embedded_io_async::{Read, Write};
use kernel::Exit;
use kernel::text::Escaped;

/// Bytes of the page that are printed at once.
const PIECE: usize = 512;

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    /// It is there.
    Whole,
    /// The server says that it has none.
    Failed,
    /// It cannot be printed.
    Unprinted,
}

/// The exit status for what the user should do next.
const fn exit(error: Error) -> Exit {
    match error {
        Error::Url(_) => Exit::USAGE,
        Error::Name(_) => Exit(3),
        Error::Connect(_) => Exit(4),
        Error::Lost(_) | Error::NotHttp | Error::TooLong | Error::Redirects => Exit(5),
        Error::TimedOut => Exit(6),
        Error::Memory => Exit::FAILURE,
    }
}

/// Prints text with all control characters but line ends and tabulators escaped, as what
/// comes from a network is nothing that a terminal should obey (rule K5).
async fn print<C: Write>(console: &mut C, bytes: &[u8]) -> Result<(), C::Error> {
    let mut text = String::new();
    for part in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\t')) {
        let (inside, end) = match part {
            [inside @ .., b'\r', b'\n'] | [inside @ .., b'\n'] => (inside, "\n"),
            [inside @ .., b'\t'] => (inside, "\t"),
            inside => (inside, ""),
        };
        // Writing to a string does not fail.
        let _ = write!(text, "{}{end}", Escaped(inside));
    }
    console.write_all(text.as_bytes()).await
}

/// How many bytes at the end of `bytes` are the beginning of something longer: of a
/// character, or of a line's end.
fn begun(bytes: &[u8]) -> usize {
    if bytes.ends_with(b"\r") {
        return 1;
    }
    let tail = bytes.len().saturating_sub(3);
    (tail..bytes.len())
        .find(|&at| {
            core::str::from_utf8(&bytes[at..])
                .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
        })
        .map_or(0, |at| bytes.len() - at)
}

/// Reads the page to its end and prints it, if that is wanted and possible.
async fn read<C, R, W>(
    mut console: Option<&mut C>,
    body: &mut Body<'_, R, W>,
) -> Result<(u64, Result<(), C::Error>), Wrong>
where
    C: Write,
    R: Read<Error = ip::Error>,
    W: Write<Error = ip::Error>,
{
    let (mut piece, mut held, mut total) = ([0; PIECE], 0, 0);
    let (mut last, mut result) = (b'\n', Ok(()));
    loop {
        let count = body.read(&mut piece[held..]).await?;
        total += count as u64;
        let all = held + count;
        held = if count == 0 { 0 } else { begun(&piece[..all]) };
        if let Some(console) = console.as_mut().filter(|_| result.is_ok()) {
            result = print(*console, &piece[..all - held]).await;
            last = piece[..all].last().copied().unwrap_or(last);
            if count == 0 && last != b'\n' && result.is_ok() {
                result = console.write_all(b"\n").await;
            }
        }
        if count == 0 {
            return Ok((total, result));
        }
        piece.copy_within(all - held..all, 0);
    }
}

/// Fetches the page at `url` and prints it if `shown`.
pub async fn start<C: Write, I: Tcp + Resolve>(
    mut console: C,
    ip: I,
    url: &str,
    shown: bool,
    redirects: u8,
    limit: u64,
    patience: u16,
) -> Exit {
    let limits = Limits {
        redirects: redirects.into(),
        body: limit,
        answer: Duration::from_secs(patience.max(1).into()),
        ..Limits::default()
    };
    let console = &mut console;
    let page = client::get(&ip, url, &limits, async |url: &Url, answer: Answer<'_>, body| {
        let status = answer.status().0;
        // By the console itself, which loses nothing.
        let mut text = format!("fetch: {url}: {status}");
        if let Some(length) = answer.length() {
            let _ = write!(text, ", {length} bytes");
        }
        text.push('\n');
        let mut said = console.write_all(text.as_bytes()).await;
        let (total, printed) = read(shown.then_some(&mut *console), body).await?;
        said = said.and(printed);
        if said.is_ok() {
            said = console.write_all(format!("fetch: done, {total} bytes\n").as_bytes()).await;
        }
        Ok(match status {
            _ if said.is_err() => Page::Unprinted,
            400.. => Page::Failed,
            _ => Page::Whole,
        })
    })
    .await;
    let error = match page {
        Ok(Page::Whole) => return Exit::SUCCESS,
        Ok(Page::Failed) => return Exit(7),
        Ok(Page::Unprinted) => return Exit::FAILURE,
        Err(error) => error,
    };
    let text = format!("error: {}: {error}\n", Escaped(url.as_bytes()));
    // A console that cannot be used is nothing to tell of.
    let _ = console.write_all(text.as_bytes()).await;
    exit(error)
}

#[cfg(test)]
mod tests;
