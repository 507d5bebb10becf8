//! Serves a folder from a disk over HTTP.
//!
//! Contents go from the disk to the connection a chunk at a time, and stay in a
//! bounded cache. `index.html` stands for its folder; a folder without is listed.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod conditions;
mod page;
#[cfg(test)]
mod tests;
mod types;

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use core::cell::Cell;
use core::fmt;
use core::ops::Range;
use devices::block::Block;
use devices::http::{self, Body, Method, Request, Response, Stats, Status};
use devices::ip::{self, Tcp};
use devices::kv::tar::Tar;
use devices::kv::{self, CHUNK, Cache, Kind, Metadata, Tree};
use embedded_io_async::{Read, Write};
use kernel::machine::line;
use kernel::task::join;

/// Why it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no folder on the disk.
    Disk(kv::Error),
    /// There is no network.
    Network(ip::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(kv::Error::OtherFormat) => {
                f.write_str("there is no tar archive on the disk: give a folder or such a file")
            }
            Self::Disk(error) => error.fmt(f),
            Self::Network(error) => error.fmt(f),
        }
    }
}

/// What answers.
struct Site<T> {
    files: Cache<T>,
    /// Stands in the tags of files without a date, which may be others the next time.
    start: u64,
}

/// Serves the archive on `disk` until the network is down.
///
/// # Errors
/// See [`Error`].
pub async fn start<T: Tcp, B: Block + 'static>(
    ip: T,
    disk: B,
    port: u16,
    cache: usize,
) -> Result<(), Error> {
    let files = Tar::open(disk).await.map_err(Error::Disk)?;
    serve(&ip, files, port, cache.saturating_mul(1024)).await.map_err(Error::Network)
}

/// Serves `files` until the network is down; up to `cache` bytes of them are kept in
/// memory.
///
/// # Errors
/// Those of [`Tcp::listen`].
pub async fn serve<T: Tcp, F: Tree + 'static>(
    ip: &T,
    files: F,
    port: u16,
    cache: usize,
) -> Result<(), ip::Error> {
    // Without randomness, the time of the start is as good.
    let start = kernel::entropy::next_u64();
    let start = start.unwrap_or_else(|_| kernel::time::wall_clock().as_nanos() as u64);
    let site = Rc::new(Site { files: Cache::new(files, cache), start });
    let stats = Rc::new(Cell::new(Stats::default()));
    http::serve(ip, port, http::Limits::default(), stats, site, |port| {
        line(format_args!("site: listening on port {port}"));
    })
    .await
}

/// What a path stands for.
enum Found<N> {
    File(N, &'static str),
    Folder(N),
    /// A folder that was asked for without the slash at its end.
    Elsewhere(String),
}

impl<F: Tree> Site<F> {
    async fn find(&self, encoded: &str) -> Result<Found<F::Node>, kv::Error> {
        let tree = self.files.tree();
        let path = page::decoded(encoded).ok_or(kv::Error::BadPath)?;
        let node = tree.lookup(&path).await?;
        let folder = path.ends_with(b"/");
        match tree.metadata(&node).kind {
            Kind::File if folder => Err(kv::Error::NotFound),
            Kind::File => Ok(Found::File(node, types::of(&path))),
            Kind::Link | Kind::Other => Err(kv::Error::NotFound),
            Kind::Folder if !folder => Ok(Found::Elsewhere(page::location(&path))),
            Kind::Folder => match tree.lookup(&[&path, &b"index.html"[..]].concat()).await {
                Ok(index) if tree.metadata(&index).kind == Kind::File => {
                    Ok(Found::File(index, types::of(b"index.html")))
                }
                Ok(_) | Err(kv::Error::NotFound) => Ok(Found::Folder(node)),
                Err(error) => Err(error),
            },
        }
    }

    /// The entity tag of a file (RFC 9110, section 8.8.3).
    fn tag(&self, metadata: Metadata) -> String {
        let of = if metadata.modified == 0 { self.start } else { metadata.modified };
        format!("\"{of:x}-{:x}\"", metadata.size)
    }

    /// Answers with a file, or the part of it that is asked for.
    async fn file<R, W>(
        &self,
        (node, kind): (&F::Node, &'static str),
        request: &Request<'_>,
        body: &mut Body<'_, R, W>,
        response: Response<'_>,
    ) -> Result<(), http::Error>
    where
        R: Read<Error = ip::Error>,
        W: Write<Error = ip::Error>,
    {
        let metadata = self.files.tree().metadata(node);
        let (tag, date) = (self.tag(metadata), http::date(metadata.modified));
        let date = core::str::from_utf8(&date).ok().filter(|_| metadata.modified > 0);
        let part = conditions::judge(request, &tag, date, metadata.size);
        let (status, part) = match part {
            conditions::Answer::Whole => (Status::OK, 0..metadata.size),
            conditions::Answer::Part(part) => (Status(206), part),
            conditions::Answer::NotModified => {
                let fields = [("ETag", &*tag), ("Cache-Control", "no-cache")];
                return response.send(body, Status(304), &fields, b"").await;
            }
            conditions::Answer::Failed => return response.send(body, Status(412), &[], b"").await,
            conditions::Answer::Beyond => {
                let range = format!("bytes */{}", metadata.size);
                return response.send(body, Status(416), &[("Content-Range", &range)], b"").await;
            }
        };
        // The first chunk is read before the head is sent, so that a disk that fails
        // is told of.
        let Ok(first) = self.files.chunk(node, part.start / CHUNK as u64).await else {
            return broken(body, response).await;
        };
        let range =
            format!("bytes {}-{}/{}", part.start, part.end.saturating_sub(1), metadata.size);
        let mut fields = fields_of(kind, &tag);
        if let Some(date) = date {
            let _ = fields.push(("Last-Modified", date));
        }
        if status == Status(206) {
            let _ = fields.push(("Content-Range", &range));
        }
        let length = Some(part.end - part.start);
        let sink = response.stream(body, status, &fields, length).await?;
        if request.method() == Method::Head {
            return sink.finish(body).await;
        }
        self.send(node, part, first, sink, body).await
    }

    /// Sends `part` of a file, and reads the next chunk meanwhile.
    async fn send<R, W>(
        &self,
        node: &F::Node,
        part: Range<u64>,
        first: Rc<alloc::vec::Vec<u8>>,
        mut sink: http::Sink<'_>,
        body: &mut Body<'_, R, W>,
    ) -> Result<(), http::Error>
    where
        R: Read<Error = ip::Error>,
        W: Write<Error = ip::Error>,
    {
        let size = CHUNK as u64;
        let (mut chunk, mut at) = (first, part.start);
        while at < part.end {
            let number = at / size;
            let end = part.end.min((number + 1) * size);
            let within = (at % size) as usize..(end - number * size) as usize;
            let piece = chunk.get(within).unwrap_or_default();
            let more = end < part.end;
            let next = async {
                if more { self.files.chunk(node, number + 1).await.map(Some) } else { Ok(None) }
            };
            let (sent, next) = join(sink.write(body, piece), next).await;
            sent?;
            match next {
                Ok(Some(next)) => chunk = next,
                Ok(None) => break,
                // All that is left is to cut the answer off.
                Err(error) => {
                    log::warn!("a file cannot be read: {error}");
                    return Err(http::Error::Connection(ip::Error::Reset));
                }
            }
            at = end;
        }
        sink.finish(body).await
    }
}

/// The fields of every answer with a file.
fn fields_of<'a>(kind: &'static str, tag: &'a str) -> heapless::Vec<(&'a str, &'a str), 7> {
    let mut fields = heapless::Vec::new();
    let all = [
        ("Content-Type", kind),
        ("ETag", tag),
        ("Accept-Ranges", "bytes"),
        ("Cache-Control", "no-cache"),
        ("X-Content-Type-Options", "nosniff"),
    ];
    // They fit, and two more.
    let _ = fields.extend_from_slice(&all);
    fields
}

const PLAIN: (&str, &str) = ("Content-Type", "text/plain; charset=utf-8");

async fn broken<R, W>(body: &mut Body<'_, R, W>, response: Response<'_>) -> Result<(), http::Error>
where
    R: Read<Error = ip::Error>,
    W: Write<Error = ip::Error>,
{
    response.send(body, Status::INTERNAL, &[PLAIN], b"The disk cannot be read.\n").await
}

impl<F: Tree> http::Handler for Site<F> {
    async fn handle<R, W>(
        &self,
        request: &Request<'_>,
        body: &mut Body<'_, R, W>,
        response: Response<'_>,
    ) -> Result<(), http::Error>
    where
        R: Read<Error = ip::Error>,
        W: Write<Error = ip::Error>,
    {
        if !matches!(request.method(), Method::Get | Method::Head) {
            let fields = [PLAIN, ("Allow", "GET, HEAD")];
            let text = b"Only to be read.\n";
            return response.send(body, Status::METHOD_NOT_ALLOWED, &fields, text).await;
        }
        match self.find(request.path()).await {
            Ok(Found::File(node, kind)) => self.file((&node, kind), request, body, response).await,
            Ok(Found::Folder(node)) => {
                let mut names = page::Names::default();
                let mut each = |name: &[u8], metadata: Metadata| names.add(name, metadata);
                match self.files.tree().list(&node, &mut each).await {
                    Ok(()) => {
                        let fields = [("Content-Type", "text/html; charset=utf-8")];
                        let page = names.page(request.path());
                        response.send(body, Status::OK, &fields, page.as_bytes()).await
                    }
                    Err(_) => broken(body, response).await,
                }
            }
            Ok(Found::Elsewhere(to)) => {
                response.send(body, Status(301), &[("Location", &to)], b"").await
            }
            Err(
                kv::Error::NotFound
                | kv::Error::NotFile
                | kv::Error::NotFolder
                | kv::Error::BadPath
                | kv::Error::TooLong,
            ) => {
                let text = b"There is no such page.\n";
                response.send(body, Status::NOT_FOUND, &[PLAIN], text).await
            }
            Err(error) => {
                log::warn!("a path cannot be looked up: {error}");
                broken(body, response).await
            }
        }
    }
}
