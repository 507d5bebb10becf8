//! Answers with a file, or with what its conditions and ranges leave of it.

use super::coding::{CODINGS, Coding, Preferences, preferences};
use super::conditions::{self, Current, Verdict};
use super::ranges::{self, Wanted};
use super::{StaticFiles, page};
use crate::response::length;
use crate::{Error, Exchange, Method, Request, Sink, Status};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use core::time::Duration;
use embedded_io_async::Write;
use kernel::task::join;
use kernel::time::sleep;
use storage::fs::{self, CHUNK, Kind, Metadata, Tree};

/// How often, and how long, memory for the next bytes is waited for once an answer has begun.
const TRIES: u32 = 200;
const WAIT: Duration = Duration::from_millis(50);

/// Bytes that are read at a time where there is no memory for a chunk.
const FEW: usize = 2048;

/// Bytes of a file.
struct Piece {
    /// Where they begin.
    start: u64,
    bytes: Rc<Vec<u8>>,
}

impl Piece {
    /// Those from byte `at` of the file on.
    fn from(&self, at: u64) -> &[u8] {
        let from = at.checked_sub(self.start).and_then(|from| usize::try_from(from).ok());
        from.and_then(|from| self.bytes.get(from..)).unwrap_or_default()
    }
}

/// What is sent of a file: itself, or a packed file beside it (RFC 9110, section 3.2).
struct Representation<N> {
    node: N,
    metadata: Metadata,
    coding: Option<Coding>,
    /// Which one it is depends on what the client accepts.
    varies: bool,
}

/// What an answer consists of: all of a file, a part, or several.
struct Shape<'a> {
    kind: &'a str,
    size: u64,
    parts: Vec<Range<u64>>,
    /// What stands between several parts, as a number.
    boundary: u128,
}

/// A piece of an answer that is no content of the file.
enum Between<'a> {
    /// The type, where it is not the file's.
    Kind,
    /// Which bytes of the file they are.
    Range(&'a Range<u64>),
    /// What stands before a part, of several.
    Before(usize),
    After,
}

impl<'a> Shape<'a> {
    fn new(parts: Vec<Range<u64>>, kind: &'a str, size: u64, start: u64) -> Self {
        // No file holds it but by chance, of one in 2^64 (RFC 2046, section 5.1.1).
        let random = kernel::entropy::next_u64().unwrap_or(start);
        Self { kind, size, parts, boundary: u128::from(random) << 64 | u128::from(start) }
    }

    fn said(&'a self, of: Between<'a>) -> Said<'a> {
        Said(self, of)
    }

    /// The bytes of all of it.
    fn length(&self) -> u64 {
        let content: u64 = self.parts.iter().map(|part| part.end - part.start).sum();
        match self.parts.len() {
            0 => self.size,
            1 => content,
            count => {
                let before = (0..count).map(|at| length(&self.said(Between::Before(at))));
                content + before.sum::<u64>() + length(&self.said(Between::After))
            }
        }
    }
}

struct Said<'a>(&'a Shape<'a>, Between<'a>);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Shape { kind, size, parts, boundary }, of) = self;
        match of {
            Between::Kind => write!(f, "multipart/byteranges; boundary={boundary:032x}"),
            Between::Range(part) => write!(f, "bytes {}-{}/{size}", part.start, part.end - 1),
            Between::Before(at) => {
                let Some(part) = parts.get(*at) else { return Ok(()) };
                f.write_str(if *at == 0 { "" } else { "\r\n" })?;
                write!(f, "--{boundary:032x}\r\nContent-Type: {kind}\r\nContent-Range: ")?;
                write!(f, "{}\r\n\r\n", self.0.said(Between::Range(part)))
            }
            Between::After => write!(f, "\r\n--{boundary:032x}--\r\n"),
        }
    }
}

impl<T: Tree> StaticFiles<T> {
    /// Returns whether a request that is to change the file `node`, or to make one where there is
    /// none, is meant for what is there now (RFC 9110, section 13.2.2): by the tag that GET has
    /// told for the file as it is, not packed. Where it is not, the answer is 412, as it is for a list
    /// of tags that does not follow the grammar.
    #[must_use]
    pub fn permits(&self, request: &Request<'_>, node: Option<&T::Node>) -> bool {
        if !conditions::are_read(request) {
            return false;
        }
        let now = kernel::time::wall_clock().as_secs();
        match node.map(|node| self.tree().metadata(node)) {
            Some(metadata) => {
                let (tag, date) = (self.tag(metadata, None), self.date(metadata));
                let current = Current { tag: Some(&tag), date };
                match conditions::judge(request, current, now) {
                    Verdict::Met => true,
                    Verdict::Failed => false,
                    // Else it is by a date, which is for reading alone (section 13.1.3).
                    Verdict::NotModified => request.field("If-None-Match").is_none(),
                }
            }
            // What is not there has no tag, and is none of any.
            None => request.field("If-Match").is_none(),
        }
    }

    /// The entity tag of a file (RFC 9110, section 8.8.3): another one for each representation.
    fn tag(&self, metadata: Metadata, coding: Option<Coding>) -> String {
        let of = self.date(metadata).unwrap_or(self.start);
        let end = coding.map_or("", |coding| coding.end);
        format!("\"{of:x}-{:x}{}\"", metadata.size, end.replace('.', "-"))
    }

    /// When a file was changed. Reproducible archives have 0 or 1 for all of theirs, which
    /// would be the same date for what has changed.
    fn date(&self, metadata: Metadata) -> Option<u64> {
        Some(metadata.modified).filter(|&date| date > 1)
    }

    /// Chooses the representation of the file at `path` that the client prefers; nothing if it
    /// accepts none.
    async fn representation(
        &self,
        node: T::Node,
        path: &[u8],
        preferences: Preferences,
    ) -> Result<Option<Representation<T::Node>>, fs::Error> {
        let tree = self.files.tree();
        let metadata = tree.metadata(&node);
        let mut chosen = Representation { node, metadata, coding: None, varies: false };
        let mut best = preferences.identity;
        let packed = |coding: &Coding| path.ends_with(coding.end.as_bytes());
        if !CODINGS.iter().any(packed) {
            let mut beside = path.to_vec();
            for (coding, liked) in CODINGS.into_iter().zip(preferences.codings) {
                beside.truncate(path.len());
                beside.extend_from_slice(coding.end.as_bytes());
                let other = self.lookup(&beside).await?;
                let is_file = |it: &T::Node| tree.metadata(it).kind == Kind::File;
                let Some(other) = other.filter(is_file) else { continue };
                chosen.varies = true;
                let wins = liked > best || (liked == best && chosen.coding.is_none());
                if liked > 0 && wins {
                    best = liked;
                    chosen.metadata = tree.metadata(&other);
                    (chosen.node, chosen.coding) = (other, Some(coding));
                }
            }
        }
        Ok((best > 0).then_some(chosen))
    }

    /// Answers a GET or HEAD with the file at `path`, whose type is `kind`.
    pub(super) async fn file(
        &self,
        (node, path, kind): (T::Node, &[u8], &'static str),
        exchange: &mut Exchange<'_>,
    ) -> Result<(), Error> {
        let request = exchange.request();
        let chosen = match self
            .representation(node, path, preferences(request.fields("Accept-Encoding")))
            .await
        {
            Ok(Some(chosen)) => chosen,
            Ok(None) => {
                let reason = "There is no form of it that the request accepts.";
                return self.refuse(Status(406), reason, &[], exchange).await;
            }
            Err(error) => return self.broken(error, exchange).await,
        };
        let Representation { node, metadata, coding, varies } = chosen;
        let (tag, date) = (self.tag(metadata, coding), self.date(metadata));
        let now = kernel::time::wall_clock().as_secs();
        let current = Current { tag: Some(&tag), date };
        let mut fields = Vec::with_capacity(9);
        let vary = varies.then_some(("Vary", "Accept-Encoding"));
        fields.extend([("Cache-Control", &*self.cache_control), ("ETag", &tag)]);
        fields.extend(vary);
        match conditions::judge(&request, current, now) {
            Verdict::Met => {}
            Verdict::NotModified => return exchange.respond(Status(304), &fields, b"").await,
            Verdict::Failed => {
                let reason = "The file is not the one that the request speaks of.";
                return self.refuse(Status(412), reason, &[], exchange).await;
            }
        }
        let range = conditions::range(&request, current, now);
        let range = range.filter(|_| request.method() == Method::Get);
        let parts = match range.map(|value| ranges::wanted(value, metadata.size)) {
            None | Some(Wanted::Whole) => Vec::new(),
            Some(Wanted::Parts(parts)) => parts,
            Some(Wanted::Beyond) => {
                let range = format!("bytes */{}", metadata.size);
                let reason = "The file does not have the bytes that the request asks for.";
                let fields = [("Content-Range", &*range), ("Accept-Ranges", "bytes")];
                return self.refuse(Status(416), reason, &fields, exchange).await;
            }
        };
        let shape = Shape::new(parts, kind, metadata.size, self.start);
        // The first bytes are read before the head is sent, so that a disk that fails is told
        // of.
        let start = shape.parts.first().map_or(0, |part| part.start);
        let first = match self.piece(&node, start).await {
            Ok(first) => first,
            Err(error) => return self.broken(error, exchange).await,
        };
        // A date that is to come is not told (section 8.8.2.1).
        let date = date.map(|date| crate::date(date.min(now)));
        let date = date.as_ref().and_then(|date| core::str::from_utf8(date).ok());
        let several = shape.parts.len() > 1;
        let multipart = several.then(|| shape.said(Between::Kind).to_string());
        let part = shape.parts.first().filter(|_| !several);
        let part = part.map(|part| shape.said(Between::Range(part)).to_string());
        let more = [
            Some(("Content-Type", multipart.as_deref().unwrap_or(kind))),
            Some(("Accept-Ranges", "bytes")),
            Some(super::NOSNIFF),
            coding.map(|coding| ("Content-Encoding", coding.name)),
            date.map(|date| ("Last-Modified", date)),
            part.as_deref().map(|part| ("Content-Range", part)),
        ];
        fields.extend(more.into_iter().flatten());
        let status = if shape.parts.is_empty() { Status::OK } else { Status(206) };
        let mut sink = exchange.stream_at_once(status, &fields, shape.length()).await?;
        if request.method() == Method::Head {
            return sink.finish().await;
        }
        let mut first = Some(first);
        if shape.parts.is_empty() {
            self.send(&node, 0..metadata.size, first.take(), &mut sink).await?;
        }
        for (at, part) in shape.parts.iter().enumerate() {
            if several {
                let before = shape.said(Between::Before(at));
                sink.print(format_args!("{before}")).await?;
            }
            self.send(&node, part.clone(), first.take(), &mut sink).await?;
        }
        if several {
            sink.print(format_args!("{}", shape.said(Between::After))).await?;
        }
        sink.finish().await
    }

    /// Answers with a whole file, whatever the request says of conditions and ranges.
    pub(super) async fn plain(
        &self,
        node: &T::Node,
        (status, kind): (Status, &str),
        exchange: &mut Exchange<'_>,
    ) -> Result<(), Error> {
        let request = exchange.request();
        let size = self.files.tree().metadata(node).size;
        let first = match self.piece(node, 0).await {
            Ok(first) => first,
            Err(error) => return self.broken(error, exchange).await,
        };
        let fields = [("Content-Type", kind), super::NO_CACHE, super::NOSNIFF];
        let mut sink = exchange.stream_at_once(status, &fields, size).await?;
        if request.method() == Method::Get {
            self.send(node, 0..size, Some(first), &mut sink).await?;
        }
        sink.finish().await
    }

    /// Reads bytes of a file from `at` on: the chunk that they are in, or a few where there is
    /// no memory for that, as slow clients may hold many chunks.
    async fn piece(&self, node: &T::Node, at: u64) -> Result<Piece, fs::Error> {
        let number = at / CHUNK as u64;
        match self.files.chunk(node, number).await {
            Err(fs::Error::NoMemory) => {}
            other => return other.map(|bytes| Piece { start: number * CHUNK as u64, bytes }),
        }
        let mut bytes = kernel::memory::zeroed(FEW).ok_or(fs::Error::NoMemory)?;
        let count = self.files.tree().read(node, at, &mut bytes).await?;
        bytes.truncate(count);
        Ok(Piece { start: at, bytes: Rc::new(bytes) })
    }

    /// Sends `part` of a file, and reads the next chunk meanwhile. Its first piece may be
    /// there.
    async fn send(
        &self,
        node: &T::Node,
        part: Range<u64>,
        first: Option<Piece>,
        sink: &mut Sink<'_, '_>,
    ) -> Result<(), Error> {
        let (mut ahead, mut at) = (first, part.start);
        while at < part.end {
            let piece = match ahead.take() {
                Some(piece) => piece,
                None => self.wait(node, at).await?,
            };
            let left = usize::try_from(part.end - at).unwrap_or(usize::MAX);
            let bytes = piece.from(at);
            let bytes = bytes.get(..left).unwrap_or(bytes);
            if bytes.is_empty() {
                log::warn!("a file is shorter than it says");
                return Err(Error::Connection(ip::Error::Reset));
            }
            at += bytes.len() as u64;
            // Two chunks at a time only where there is room.
            let more = at < part.end && !kernel::memory::is_low();
            let next = async { if more { self.piece(node, at).await.ok() } else { None } };
            let (sent, next) = join(sink.write_all(bytes), next).await;
            sent?;
            ahead = next;
        }
        Ok(())
    }

    /// Reads a piece of an answer that has begun: where there is no memory for it, others
    /// will give some back. All that is left if it fails is to cut the answer off.
    async fn wait(&self, node: &T::Node, at: u64) -> Result<Piece, Error> {
        for _ in 0..TRIES {
            match self.piece(node, at).await {
                Ok(piece) => return Ok(piece),
                Err(fs::Error::NoMemory) => sleep(WAIT).await,
                Err(error) => {
                    log::warn!("a file cannot be read: {error}");
                    break;
                }
            }
        }
        Err(Error::Connection(ip::Error::Reset))
    }

    /// Answers with a page that says why there is nothing else.
    pub(super) async fn refuse(
        &self,
        status: Status,
        reason: &str,
        more: &[(&str, &str)],
        exchange: &mut Exchange<'_>,
    ) -> Result<(), Error> {
        let mut fields = vec![page::HTML, super::NO_CACHE, super::NOSNIFF];
        fields.extend_from_slice(more);
        let page = page::Why(status, reason);
        let mut sink = exchange.stream_at_once(status, &fields, length(&page)).await?;
        sink.print(format_args!("{page}")).await?;
        sink.finish().await
    }

    /// Says that the disk failed, or that there is no memory to read it.
    pub(super) async fn broken(
        &self,
        error: fs::Error,
        exchange: &mut Exchange<'_>,
    ) -> Result<(), Error> {
        if error == fs::Error::NoMemory {
            let reason = "There is too much to do.";
            let fields = [("Retry-After", "1")];
            return self.refuse(Status::UNAVAILABLE, reason, &fields, exchange).await;
        }
        log::warn!("the disk cannot be read: {error}");
        let reason = "The disk cannot be read.";
        self.refuse(Status::INTERNAL, reason, &[], exchange).await
    }
}
