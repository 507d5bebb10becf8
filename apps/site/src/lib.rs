//! Serves a folder from a disk over HTTP, as web servers do: entity tags, conditions, ranges,
//! packed forms beside their files (`style.css.br`), lists of folders.
//!
//! Contents go from the disk to the connection a chunk at a time, and stay in a bounded
//! cache. `index.html` stands for its folder; a folder without is listed. `404.html` in the
//! root is what is answered where there is nothing. Links are followed within the archive.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod coding;
mod conditions;
mod file;
mod folder;
mod page;
mod path;
mod ranges;
#[cfg(test)]
mod tests;
mod types;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use path::{Bad, Path};
use xenith::block::Block;
use xenith::fs::tar::Tar;
use xenith::fs::{self, Cache, Kind, Tree};
use xenith::http::{self, Exchange, Method, Server, Status};
use xenith::ip::{self, Tcp};
use xenith::println;

/// Why it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no folder on the disk.
    Disk(fs::Error),
    /// There is no network.
    Network(ip::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(fs::Error::OtherFormat) => {
                f.write_str("there is no tar archive on the disk: give a folder or such a file")
            }
            Self::Disk(error) => error.fmt(f),
            Self::Network(error) => error.fmt(f),
        }
    }
}

/// How files are served.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes of files that are kept in memory.
    pub cache: usize,
    /// Seconds for which clients may use what they have without asking again; 0 to ask each
    /// time.
    pub max_age: u32,
    /// Files are served and listed whose name, or whose folder's, begins with a dot.
    pub hidden: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache: 4 << 20, max_age: 0, hidden: false }
    }
}

/// What answers.
struct Site<T> {
    files: Cache<T>,
    options: Options,
    /// The value of this field.
    cache_control: String,
    /// Stands in the tags of files without a date, which may be others the next time.
    start: u64,
}

const NO_CACHE: (&str, &str) = ("Cache-Control", "no-cache");
/// What is sent is what it is said to be, and no browser has to guess.
const NOSNIFF: (&str, &str) = ("X-Content-Type-Options", "nosniff");
const ALLOW: (&str, &str) = ("Allow", "GET, HEAD, OPTIONS");

/// Serves the archive on `disk` until the network is down. `cache` is in KiB, `max_age` and
/// `hidden` are as in [`Options`].
///
/// # Errors
/// See [`Error`].
pub async fn start<T: Tcp, B: Block + 'static>(
    ip: T,
    disk: B,
    port: u16,
    cache: usize,
    max_age: u32,
    hidden: bool,
) -> Result<(), Error> {
    let files = Tar::open(disk).await.map_err(Error::Disk)?;
    let options = Options { cache: cache.saturating_mul(1024), max_age, hidden };
    serve(&ip, files, port, options).await.map_err(Error::Network)
}

/// Serves `files` until the network is down.
///
/// # Errors
/// Those of [`Tcp::bind`].
pub async fn serve<T: Tcp, F: Tree + 'static>(
    ip: &T,
    files: F,
    port: u16,
    options: Options,
) -> Result<(), ip::Error> {
    // Without randomness, the time of the start is as good.
    let start = xenith::entropy::next_u64();
    let start = start.unwrap_or_else(|_| xenith::time::wall_clock().as_nanos() as u64);
    let cache_control = match options.max_age {
        0 => String::from(NO_CACHE.1),
        age => format!("max-age={age}"),
    };
    let files = Cache::new(files, options.cache);
    let site = Site { files, options, cache_control, start };
    let server = Server::new(site).bind(ip, ip::any(port)).await?;
    println!("site: listening on port {}", server.local_addr().port());
    server.serve().await
}

/// What a path stands for.
enum Found<N> {
    /// A file, and its path.
    File(N, Vec<u8>),
    Folder(N),
    /// A folder that was asked for without the slash at its end.
    Elsewhere,
    Nothing,
}

impl<F: Tree> Site<F> {
    async fn find(&self, path: &Path) -> Result<Found<F::Node>, fs::Error> {
        if path.is_hidden() && !self.options.hidden {
            return Ok(Found::Nothing);
        }
        let tree = self.files.tree();
        let Some(node) = self.lookup(path.bytes()).await? else { return Ok(Found::Nothing) };
        Ok(match tree.metadata(&node).kind {
            Kind::File if !path.folder => Found::File(node, path.bytes().to_vec()),
            Kind::Folder if !path.folder => Found::Elsewhere,
            Kind::Folder => {
                let index = path.join(b"index.html");
                match self.lookup(&index).await? {
                    Some(file) if tree.metadata(&file).kind == Kind::File => {
                        Found::File(file, index)
                    }
                    _ => Found::Folder(node),
                }
            }
            _ => Found::Nothing,
        })
    }

    /// What is at a path, if there is something.
    async fn lookup(&self, path: &[u8]) -> Result<Option<F::Node>, fs::Error> {
        match self.files.tree().lookup(path).await {
            Ok(node) => Ok(Some(node)),
            Err(
                fs::Error::NotFound
                | fs::Error::NotFile
                | fs::Error::NotFolder
                | fs::Error::BadPath
                | fs::Error::TooLong,
            ) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Says that there is nothing, by the page that the site has for that.
    async fn nothing(&self, exchange: &mut Exchange<'_>) -> Result<(), http::Error> {
        let request = exchange.request();
        // Browsers ask for it by themselves, and complain.
        if request.path() == "/favicon.ico" {
            let fields = [("Cache-Control", &*self.cache_control)];
            return exchange.respond(Status(204), &fields, b"").await;
        }
        match self.lookup(b"/404.html").await {
            Ok(Some(node)) if self.files.tree().metadata(&node).kind == Kind::File => {
                let what = (Status::NOT_FOUND, types::of(b"404.html"));
                self.plain(&node, what, exchange).await
            }
            Ok(_) => {
                let reason = "There is no such page.";
                self.refuse(Status::NOT_FOUND, reason, &[], exchange).await
            }
            Err(error) => self.broken(error, exchange).await,
        }
    }
}

impl<F: Tree> http::Handler for Site<F> {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), http::Error> {
        let request = exchange.request();
        match request.method() {
            Method::Get | Method::Head => {}
            Method::Options => return exchange.respond(Status(204), &[ALLOW], b"").await,
            _ => {
                let reason = "Files can only be read here.";
                let status = Status::METHOD_NOT_ALLOWED;
                return self.refuse(status, reason, &[ALLOW], exchange).await;
            }
        }
        let path = match Path::parse(request.path()) {
            Ok(path) => path,
            Err(Bad::Request) => {
                let reason = "The path in the request is none: a percent sign stands before two \
                              digits, which are not 00.";
                return self.refuse(Status::BAD_REQUEST, reason, &[], exchange).await;
            }
            Err(Bad::Name) => return self.nothing(exchange).await,
        };
        match self.find(&path).await {
            Ok(Found::File(node, path)) => {
                let kind = types::of(&path);
                self.file((node, &path, kind), exchange).await
            }
            Ok(Found::Folder(node)) => self.folder((&node, &path), exchange).await,
            Ok(Found::Elsewhere) => {
                let to = path.location(request.query());
                let fields = [("Location", &*to)];
                let reason = "The folder is at its path with a slash at the end.";
                self.refuse(Status(301), reason, &fields, exchange).await
            }
            Ok(Found::Nothing) => self.nothing(exchange).await,
            Err(error) => self.broken(error, exchange).await,
        }
    }
}
