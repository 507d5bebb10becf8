//! Serves files: a [`Handler`] over any [`Tree`].
//!
//! [`StaticFiles`] answers GET and HEAD with the files of a file system as web servers do: entity
//! tags and dates (RFC 9110, section 8.8), conditions (section 13), ranges (section 14),
//! precompressed files beside their originals (`style.css.br`), `index.html`, listings of
//! folders, redirects to them. It can be the whole handler of a server, or mounted in a
//! [`Router`](crate::Router):
//!
//! ```
//! use xenith_http::files::{Options, StaticFiles};
//! use xenith_http::{Error, Exchange, Router, Status};
//! # mod xenith { pub use storage::fs; }
//! use xenith::fs::built::Built;
//!
//! async fn health(exchange: &mut Exchange<'_>) -> Result<(), Error> {
//!     exchange.respond(Status::OK, &[], b"ok").await
//! }
//!
//! // Files of the image; those on a disk are served by the same line, with `Tar::open(disk)`.
//! let files = Built::new(&[("index.html", b"<h1>hello</h1>"), ("css/style.css", b"h1{}")]);
//! let options = Options { max_age: 3600, ..Options::default() };
//! let router = Router::new()
//!     .get("/health", health)
//!     .mount("/static", StaticFiles::new(files, options));
//! # fn is_handler(_: impl xenith_http::Handler) {}
//! # is_handler(router);
//! ```
//!
//! Contents go from the file system to the connection a chunk at a time and stay in a bounded
//! cache, so files of any size are served, and folders of any length listed, in the same
//! memory.
//!
//! This is the reason why this crate depends on the one of file systems, which is a layer
//! below: with a trait of its own here, every app would have to implement it again for each
//! file system, as no other crate may. An image without a `StaticFiles` holds none of it.

mod coding;
mod conditions;
mod file;
mod folder;
mod page;
mod path;
mod ranges;
mod types;

use crate::{Error, Exchange, Handler, Method, Status};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use path::{Bad, Path};
use storage::fs::{self, Cache, Kind, Tree};

/// Says how files are served.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The size of the cache of contents, in bytes: 4 MiB by default.
    pub cache: usize,
    /// Seconds for which a client may use what it has without asking again
    /// (`Cache-Control: max-age`; RFC 9111, section 5.2.2.1). With 0, the default, it asks each
    /// time (`no-cache`).
    pub max_age: u32,
    /// Whether files and folders are served and listed whose names begin with a dot. Without
    /// it, the default, only `/.well-known` is (RFC 8615).
    pub hidden: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache: 4 << 20, max_age: 0, hidden: false }
    }
}

/// Serves the files of a tree, which must not change meanwhile.
///
/// * A file is answered with 200, or with 206, 304, 412 or 416 as the conditions and ranges of
///   the request want it. Its type comes from the end of its name.
/// * A folder is answered with its `index.html`, or with a list of what it holds; without a
///   slash at the end of its path, with 301.
/// * Where there is nothing, the answer is 404: with the content of `404.html` in the root of the
///   tree, if that exists.
/// * If there are `name.br`, `name.zst` or `name.gz` beside a file `name`, a client that accepts
///   the coding gets that one (RFC 9110, section 12.5.3).
/// * Links are followed within the tree. `..` does not lead out of it.
/// * Other methods than GET, HEAD and OPTIONS are answered with 405.
///
/// If the disk fails, the answer is 500, and 503 while memory is low; in the middle of an answer,
/// the connection is reset. Reasons are logged.
///
/// [Mounted](crate::Router::mount) at a path, it serves the root of the tree there.
#[derive(Debug)]
pub struct StaticFiles<T> {
    files: Cache<T>,
    options: Options,
    /// The value of this field.
    cache_control: String,
    /// Stands in the tags of files without a date, which may be others after a restart.
    start: u64,
}

const NO_CACHE: (&str, &str) = ("Cache-Control", "no-cache");
/// Keeps browsers from guessing another type than the one that is said.
const NOSNIFF: (&str, &str) = ("X-Content-Type-Options", "nosniff");
const ALLOW: (&str, &str) = ("Allow", "GET, HEAD, OPTIONS");

/// What a path stands for.
enum Found<N> {
    /// A file, and its path.
    File(N, Vec<u8>),
    Folder(N),
    /// A folder that was asked for without the slash at its end.
    WithoutSlash,
    Nothing,
}

impl<T: Tree> StaticFiles<T> {
    /// Makes a handler that serves `tree`.
    pub fn new(tree: T, options: Options) -> Self {
        // Without randomness, the time of the start is as good.
        let start = kernel::entropy::next_u64();
        let start = start.unwrap_or_else(|_| kernel::time::wall_clock().as_nanos() as u64);
        let cache_control = match options.max_age {
            0 => String::from(NO_CACHE.1),
            age => format!("max-age={age}"),
        };
        Self { files: Cache::new(tree, options.cache), options, cache_control, start }
    }

    /// Returns the tree that is served.
    #[must_use]
    pub const fn tree(&self) -> &T {
        self.files.tree()
    }

    async fn find(&self, path: &Path) -> Result<Found<T::Node>, fs::Error> {
        if path.is_hidden() && !self.options.hidden {
            return Ok(Found::Nothing);
        }
        let tree = self.files.tree();
        let Some(node) = self.lookup(path.bytes()).await? else { return Ok(Found::Nothing) };
        Ok(match tree.metadata(&node).kind {
            Kind::File if !path.folder => Found::File(node, path.bytes().to_vec()),
            Kind::Folder if !path.folder => Found::WithoutSlash,
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

    /// Looks up what is at a path, if there is something.
    async fn lookup(&self, path: &[u8]) -> Result<Option<T::Node>, fs::Error> {
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

    /// Answers with 404, by the page that the tree has for that.
    async fn nothing(&self, exchange: &mut Exchange<'_>) -> Result<(), Error> {
        let request = exchange.request();
        // Browsers ask for it by themselves, and complain.
        if request.path() == "/favicon.ico" {
            let fields = [("Cache-Control", &*self.cache_control)];
            return exchange.respond(Status::NO_CONTENT, &fields, b"").await;
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

impl<T: Tree> Handler for StaticFiles<T> {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), Error> {
        let request = exchange.request();
        match request.method() {
            Method::Get | Method::Head => {}
            Method::Options => return exchange.respond(Status::NO_CONTENT, &[ALLOW], b"").await,
            _ => {
                let reason = "Files can only be read here.";
                let status = Status::METHOD_NOT_ALLOWED;
                return self.refuse(status, reason, &[ALLOW], exchange).await;
            }
        }
        // A router may have dealt with the first part of the path.
        let (mount, rest) = request.path().split_at_checked(exchange.routed).unwrap_or_default();
        let path = match Path::parse(if rest.is_empty() { "/" } else { rest }) {
            Ok(path) => path,
            Err(Bad::Request) => {
                let reason = "The path of the request is not valid: two hexadecimal digits other \
                              than 00 have to follow each percent sign.";
                return self.refuse(Status::BAD_REQUEST, reason, &[], exchange).await;
            }
            Err(Bad::Name) => return self.nothing(exchange).await,
        };
        let found = match rest {
            // The place where it is mounted is a folder, too.
            "" => Ok(Found::WithoutSlash),
            _ => self.find(&path).await,
        };
        match found {
            Ok(Found::File(node, path)) => {
                let kind = types::of(&path);
                self.file((node, &path, kind), exchange).await
            }
            Ok(Found::Folder(node)) => self.folder((&node, mount, &path), exchange).await,
            Ok(Found::WithoutSlash) => {
                let location = path.location(mount, request.query());
                let fields = [("Location", &*location)];
                let reason = "The folder is at its path with a slash at the end.";
                self.refuse(Status(301), reason, &fields, exchange).await
            }
            Ok(Found::Nothing) => self.nothing(exchange).await,
            Err(error) => self.broken(error, exchange).await,
        }
    }
}
