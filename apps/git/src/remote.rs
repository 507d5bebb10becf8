//! How a repository is read and written to: by git's own protocol, or by HTTP.

use crate::edit::Draft;
use crate::error::Error;
use crate::id::Id;
use crate::packet::{FLUSH, Packets, put};
use crate::place::{Failure, Place, Wanted, host_line};
use crate::protocol;
use crate::send::{self, Push};
use crate::smart;
use crate::snapshot::Snapshot;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::net::SocketAddr;
use core::time::Duration;
use embedded_io_async::{ErrorType, Read, Write};
use xenith::ip::{self, Resolve, Stream, Tcp};
use xenith::time::timeout;

/// How long a connection that is not needed may take to close in order.
const CLOSE: Duration = Duration::from_secs(1);

/// Reads the newest commit of what is `wanted` at `place` and its files, unless the name stands
/// for what is `known`, which becomes what it stands for.
///
/// # Errors
/// [`Failure`].
pub async fn newest<I: Tcp + Resolve>(
    ip: &I,
    place: &Place,
    wanted: &Wanted,
    known: &mut Option<Id>,
) -> Result<Option<Snapshot>, Failure> {
    let all = async {
        match place {
            Place::Git { host, port, path } => {
                let stream = connect(ip, host, *port, wanted.patience).await;
                let waits = Cell::new(false);
                let mut stream =
                    Patient { stream: stream.map_err(Failure::Connect)?, wanted, waits: &waits };
                let server = host_line(host, *port);
                let result = talk(&mut stream, &server, path, wanted, known).await;
                // What came is judged by itself, however the connection ends.
                let _ = timeout(CLOSE, stream.stream.close()).await;
                result.map_err(Failure::Git)
            }
            Place::Http(url) => smart::read(ip, url, wanted, known).await,
        }
    };
    timeout(wanted.time, all).await.unwrap_or(Err(Failure::TimedOut(wanted.time)))
}

/// Makes `draft` the newest commit of the branch with this whole name (`refs/heads/main`) at
/// `place`, within the limits of `wanted`, and returns its files. The branch is changed only if it
/// still stands for the commit that the draft follows.
///
/// When the server does not say what became of it, such as for a connection that breaks, it is asked
/// what the branch stands for. Unless it is the new commit then, that is [`Failure::Unknown`]: a server
/// may still be about it, or others have pushed since. After any other failure it is not done.
///
/// # Errors
/// [`Failure`].
pub async fn push<I: Tcp + Resolve>(
    ip: &I,
    place: &Place,
    branch: &str,
    wanted: &Wanted,
    draft: Draft,
) -> Result<Snapshot, Failure> {
    let push = Push::new(branch, &draft).map_err(|flaw| Failure::Http(flaw.into()))?;
    let sent = Cell::new(false);
    let told = update(ip, place, branch, wanted, Some((&push, &sent))).await;
    let told = match told {
        Err(failure) if sent.get() => match tip(ip, place, branch, wanted).await {
            Ok(tip) if tip == Some(push.new) => Ok(tip),
            Ok(tip) if failure.is_told() && tip != Some(push.old) => Ok(tip),
            _ if failure.is_told() => Err(failure),
            _ => Err(Failure::Unknown(Box::new(failure))),
        },
        told => told,
    };
    if told? == Some(push.new) { Ok(draft.next) } else { Err(Failure::Moved) }
}

/// Asks what a branch stands for by now, as who pushes does.
pub(crate) async fn tip<I: Tcp + Resolve>(
    ip: &I,
    place: &Place,
    branch: &str,
    wanted: &Wanted,
) -> Result<Option<Id>, Failure> {
    update(ip, place, branch, wanted, None).await
}

/// Asks what a branch stands for and, if that is what a push is for, pushes: what it stands for
/// then. Notes when something is sent that may change it.
async fn update<I: Tcp + Resolve>(
    ip: &I,
    place: &Place,
    branch: &str,
    wanted: &Wanted,
    push: Option<(&Push, &Cell<bool>)>,
) -> Result<Option<Id>, Failure> {
    let never = Cell::new(false);
    let all = async {
        match place {
            Place::Git { host, port, path } => {
                let stream = connect(ip, host, *port, wanted.patience).await;
                let waits = push.map_or(&never, |(_, sent)| sent);
                let mut stream =
                    Patient { stream: stream.map_err(Failure::Connect)?, wanted, waits };
                let server = host_line(host, *port);
                let result = give(&mut stream, &server, path, branch, wanted, push).await;
                let _ = timeout(CLOSE, stream.stream.close()).await;
                result.map_err(Failure::Git)?.map_err(Failure::Refused)
            }
            Place::Http(url) => smart::give(ip, url, branch, wanted, push).await,
        }
    };
    timeout(wanted.time, all).await.unwrap_or(Err(Failure::TimedOut(wanted.time)))
}

/// Connects to the first address of a name that accepts. Each has its own time, so that one that
/// is silent takes none from the others.
async fn connect<I: Tcp + Resolve>(
    ip: &I,
    name: &str,
    port: u16,
    patience: Duration,
) -> Result<I::Stream, ip::Error> {
    let mut last = ip::Error::NoSuchName;
    let found = timeout(patience, ip.resolve(name)).await.unwrap_or(Err(ip::Error::TimedOut));
    for addr in found? {
        match timeout(patience, ip.connect(SocketAddr::new(addr, port))).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = ip::Error::TimedOut,
        }
    }
    Err(last)
}

/// A stream on which nothing takes longer than a time.
struct Patient<'a, S> {
    stream: S,
    wanted: &'a Wanted,
    /// Whether the server is about what was sent, which takes as long as its hooks do.
    waits: &'a Cell<bool>,
}

impl<S: ErrorType> ErrorType for Patient<'_, S> {
    type Error = S::Error;
}

impl<S: Read<Error = ip::Error>> Read for Patient<'_, S> {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize, ip::Error> {
        let Wanted { patience, time, .. } = *self.wanted;
        let time = if self.waits.get() { time } else { patience };
        timeout(time, self.stream.read(to)).await.unwrap_or(Err(ip::Error::TimedOut))
    }
}

impl<S: Write<Error = ip::Error>> Write for Patient<'_, S> {
    async fn write(&mut self, from: &[u8]) -> Result<usize, ip::Error> {
        let sent = timeout(self.wanted.patience, self.stream.write(from)).await;
        sent.unwrap_or(Err(ip::Error::TimedOut))
    }

    async fn flush(&mut self) -> Result<(), ip::Error> {
        let sent = timeout(self.wanted.patience, self.stream.flush()).await;
        sent.unwrap_or(Err(ip::Error::TimedOut))
    }
}

/// Reads what is `wanted` of the repository at `path` by git's own protocol, over a connection with
/// the server that is named `server`; nothing if the name stands for what is `known`, which becomes
/// what it stands for.
///
/// # Errors
/// [`Error`].
pub async fn talk<S: Read + Write>(
    stream: &mut S,
    server: &str,
    path: &str,
    wanted: &Wanted,
    known: &mut Option<Id>,
) -> Result<Option<Snapshot>, Error<S::Error>> {
    let candidates = protocol::candidates(&wanted.name);
    let mut hello = Vec::new();
    put(&mut hello, format!("git-upload-pack {path}\0host={server}\0\0version=2\0").as_bytes());
    let mut packets = Packets::new(stream);
    say(&mut packets, &hello).await?;
    let offer = protocol::offer(&mut packets).await?;
    say(&mut packets, &protocol::list(offer, &candidates)).await?;
    let id = protocol::listed(&mut packets, &candidates).await?;
    if known.replace(id) == Some(id) {
        // Nothing depends on whether the server hears that nobody asks any more.
        let _ = say(&mut packets, FLUSH).await;
        return Ok(None);
    }
    say(&mut packets, &protocol::fetch(offer, id)).await?;
    let mut packets = packets.of_pack(wanted.limits.wire());
    let objects = protocol::fetched(&mut packets, wanted.limits).await?;
    let _ = say(&mut packets, FLUSH).await;
    Ok(Some(Snapshot::new(id, objects, wanted.limits).await?))
}

/// Does what [`update`] does over a connection with the server that is named `server`. The inner error
/// is why a push was refused.
pub(crate) async fn give<S: Read + Write>(
    stream: &mut S,
    server: &str,
    path: &str,
    branch: &str,
    wanted: &Wanted,
    push: Option<(&Push, &Cell<bool>)>,
) -> Result<Result<Option<Id>, String>, Error<S::Error>> {
    let mut hello = Vec::new();
    put(&mut hello, format!("git-receive-pack {path}\0host={server}\0").as_bytes());
    // All refs are told, however many there are.
    let mut packets = Packets::new(stream).of_pack(wanted.limits.wire());
    say(&mut packets, &hello).await?;
    let tip = send::tip(&mut packets, branch).await?;
    match push.filter(|(push, _)| tip == Some(push.old)) {
        Some((push, sent)) => {
            sent.set(true);
            say(&mut packets, &push.request).await?;
            let refused = send::report(&mut packets, branch).await?;
            Ok(refused.map_or(Ok(Some(push.new)), Err))
        }
        None => {
            // Nothing depends on whether the server hears that nothing is to be changed.
            let _ = say(&mut packets, FLUSH).await;
            Ok(Ok(tip))
        }
    }
}

async fn say<S: Write>(packets: &mut Packets<&mut S>, text: &[u8]) -> Result<(), Error<S::Error>> {
    packets.stream.write_all(text).await.map_err(Error::Stream)?;
    packets.stream.flush().await.map_err(Error::Stream)
}
