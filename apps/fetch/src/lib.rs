//! Fetches pages over HTTP and prints them.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::time::Duration;
use embedded_io_async::{Read, Write};
use xenith::Exit;
use xenith::args::Several;
use xenith::http::Url;
use xenith::http::client::{Client, Content, Error, Limits, Request, Response};
use xenith::ip::{Resolve, Tcp};
use xenith::text::Escaped;

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

/// What of an answer goes to the console, and how.
#[derive(Clone, Copy, Debug)]
struct Shown {
    /// Its first line and its fields.
    head: bool,
    /// Its content.
    content: bool,
    /// Nothing else, and the content as it is.
    raw: bool,
}

/// The exit status for what the user should do next.
const fn exit(error: &Error) -> Exit {
    match error {
        Error::Url(_) | Error::Location(..) | Error::Request(_) => Exit::USAGE,
        Error::Name(_) => Exit(3),
        Error::Connect(_) => Exit(4),
        Error::TimedOut(..) => Exit(6),
        Error::Memory => Exit::FAILURE,
        _ => Exit(5),
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
async fn read<C: Write>(
    mut console: Option<&mut C>,
    raw: bool,
    content: &mut Content<'_>,
) -> Result<(u64, Result<(), C::Error>), Error> {
    let (mut piece, mut held, mut total) = ([0; PIECE], 0, 0);
    let (mut last, mut result) = (b'\n', Ok(()));
    loop {
        let count = content.read(&mut piece[held..]).await?;
        total += count as u64;
        let all = held + count;
        held = if count == 0 || raw { 0 } else { begun(&piece[..all]) };
        if let Some(console) = console.as_mut().filter(|_| result.is_ok()) {
            result = if raw {
                console.write_all(&piece[..all]).await
            } else {
                print(*console, &piece[..all - held]).await
            };
            last = piece[..all].last().copied().unwrap_or(last);
            if count == 0 && last != b'\n' && result.is_ok() && !raw {
                result = console.write_all(b"\n").await;
            }
        }
        if count == 0 {
            return Ok((total, result));
        }
        piece.copy_within(all - held..all, 0);
    }
}

/// What is said of an answer before its content.
fn heading(url: &Url, answer: &Response<'_>, shown: Shown) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    if !shown.raw {
        let _ = write!(text, "fetch: {url}: {}", answer.status().0);
        if let Some(length) = answer.length() {
            let _ = write!(text, ", {length} bytes");
        }
        text.push('\n');
    }
    if shown.head {
        let _ = writeln!(text, "{}", Escaped(answer.line()));
        for (name, value) in answer.fields() {
            let _ = writeln!(text, "{}: {}", Escaped(name), Escaped(value));
        }
        text.push('\n');
    }
    text
}

/// Fetches a page and prints what is to be shown of it; the exit status.
async fn fetch<C: Write, I: Tcp + Resolve>(
    console: &mut C,
    client: &mut Client<'_, I>,
    request: &Request<'_>,
    shown: Shown,
) -> Exit {
    let take = async |url: &Url, answer: Response<'_>, content: &mut Content<'_>| {
        // By the console itself, which loses nothing.
        let mut said = console.write_all(heading(url, &answer, shown).as_bytes()).await;
        let to = shown.content.then_some(&mut *console);
        let (total, printed) = read(to, shown.raw, content).await?;
        said = said.and(printed);
        if said.is_ok() && !shown.raw {
            said = console.write_all(format!("fetch: done, {total} bytes\n").as_bytes()).await;
        }
        Ok(match said {
            Err(_) => Page::Unprinted,
            Ok(()) if answer.is_failure() => Page::Failed,
            Ok(()) => Page::Whole,
        })
    };
    match client.fetch(request, take).await {
        Ok(Page::Whole) => Exit::SUCCESS,
        Ok(Page::Failed) => Exit(7),
        Ok(Page::Unprinted) => Exit::FAILURE,
        Err(failure) => {
            let hint = match failure.error {
                Error::Downgrade(_) => " (downgrade=on allows it)",
                _ => "",
            };
            say(console, &format!("{failure}{hint}")).await;
            exit(&failure.error)
        }
    }
}

/// Prints an error.
async fn say<C: Write>(console: &mut C, text: &str) {
    // A console that cannot be used is nothing to tell of.
    let _ = console.write_all(format!("error: {text}\n").as_bytes()).await;
}

/// What the manifest explains.
#[derive(Clone, Debug)]
pub struct Args {
    /// Where the pages are.
    pub url: Several,
    /// The method, if it is not GET, or POST with a body.
    pub method: Option<&'static str>,
    /// Fields of the requests.
    pub field: Several,
    /// What is sent.
    pub body: Option<&'static str>,
    /// Whether heads are printed.
    pub head: bool,
    /// Whether content is printed.
    pub print: bool,
    /// Whether nothing but that is, as it is.
    pub raw: bool,
    /// Whether content may be coded by gzip.
    pub gzip: bool,
    /// Redirects that are followed.
    pub redirects: u8,
    /// Bytes that a page may have.
    pub limit: u64,
    /// Seconds for a connection with an address.
    pub connect: u16,
    /// Seconds for each piece of an answer.
    pub patience: u16,
    /// Seconds for a page, 0 for ever.
    pub time: u32,
}

impl Default for Args {
    /// What the manifest has where nothing is given.
    fn default() -> Self {
        Self {
            url: Several::default(),
            method: None,
            field: Several::default(),
            body: None,
            head: false,
            print: true,
            raw: false,
            gzip: true,
            redirects: 20,
            limit: 1 << 30,
            connect: 15,
            patience: 30,
            time: 3600,
        }
    }
}

/// Fetches the pages, one after the other. The exit status is that of the first one that failed.
pub async fn start<C: Write, I: Tcp + Resolve>(console: C, ip: I, args: Args) -> Exit {
    run(console, ip, args, false).await
}

/// The same, and with `downgrade` also follows redirects from `https` to `http`.
pub async fn run<C: Write, I: Tcp + Resolve>(
    mut console: C,
    ip: I,
    args: Args,
    downgrade: bool,
) -> Exit {
    let Args { url, method, field, body, head, print, raw, gzip, redirects, limit, .. } = args;
    let Args { connect, patience, time, .. } = args;
    let seconds = |seconds: u32| Duration::from_secs(seconds.max(1).into());
    let limits = Limits {
        redirects: redirects.into(),
        downgrade,
        body: limit,
        connect: seconds(connect.into()),
        response: seconds(patience.into()),
        total: if time == 0 { Duration::MAX } else { seconds(time) },
        ..Limits::default()
    };
    let mut fields = Vec::new();
    for field in field.iter() {
        let Some((name, value)) = field.split_once(':') else {
            say(
                &mut console,
                &format!("field={} is not of the form Name: value", Escaped(field.as_bytes())),
            )
            .await;
            return Exit::USAGE;
        };
        fields.push((name.trim_ascii(), value.trim_ascii()));
    }
    if url.is_empty() {
        say(&mut console, "argument url must be given (the argument `help` lists what there is)")
            .await;
        return Exit::USAGE;
    }
    let method = method.unwrap_or(if body.is_some() { "POST" } else { "GET" });
    let body = body.unwrap_or_default().as_bytes();
    let shown = Shown { head, content: print, raw };
    let mut client = Client::new(&ip, limits);
    let mut result = Exit::SUCCESS;
    for url in url.iter() {
        let request = Request { method, url, fields: &fields, body, decode: gzip };
        let exit = fetch(&mut console, &mut client, &request, shown).await;
        if result == Exit::SUCCESS {
            result = exit;
        }
    }
    client.close().await;
    result
}

#[cfg(test)]
mod tests;
