//! Requests about nodes, each a future of its reply.

use super::error::Error;
use crate::public::io::xs_wire::{ABS_PATH_MAX, Kind};
use crate::{DomId, Errno};
use alloc::string::String;
use alloc::vec::Vec;
use core::pin::Pin;
use core::task::{Context, Poll};

/// Yields the reply to a request when it is awaited.
///
/// Making a request only queues it. The queue is sent, in order and with one notification, as soon
/// as any request is polled or dropped. Dropping a request does not cancel it: it is sent and
/// its reply is discarded.
///
/// Requests are types and not `async fn`s, which would put a state machine and its clean-up
/// into the code of every caller.
#[derive(Debug)]
#[must_use = "the reply of a request that is not awaited is discarded"]
pub struct Reply(Result<u32, Error>);

impl Reply {
    /// Makes one that fails without a request.
    pub(super) const fn failed(error: Error) -> Self {
        Self(Err(error))
    }
}

impl Future for Reply {
    type Output = Result<Vec<u8>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let id = self.0?;
        let mut client = crate::domain().store.lock();
        // Registered before the ring is read, so that no event is lost in between.
        client.wait(context);
        let broken = client.pump();
        let at = client.waiting.iter().position(|waiting| waiting.id == id);
        let done = at.is_some_and(|at| client.waiting[at].reply.is_some());
        match at {
            Some(at) if done => {
                let waiting = client.waiting.swap_remove(at);
                let reply = waiting.reply.unwrap_or(Err(Errno::EINVAL));
                Poll::Ready(reply.map_err(Error::Refused))
            }
            _ => match broken {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            },
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Ok(id) = self.0 {
            crate::domain().store.lock().abandon(id);
        }
    }
}

/// Completes when a request is done whose reply has no content; else as [`Reply`].
#[derive(Debug)]
#[must_use = "the reply of a request that is not awaited is discarded"]
pub struct Done(pub(super) Reply);

impl Future for Done {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|reply| reply.map(drop))
    }
}

/// Queues a request.
pub(super) fn request(kind: Kind, transaction: u32, payload: &[&[u8]]) -> Reply {
    Reply(crate::domain().store.lock().send(kind, transaction, payload))
}

/// Queues a request about `path`.
pub(super) fn about(path: &str, kind: Kind, transaction: u32, value: &[u8]) -> Reply {
    match checked(path) {
        Ok(path) => request(kind, transaction, &[path, b"\0", value]),
        Err(error) => Reply::failed(error),
    }
}

/// Returns the bytes of a path, which must not contain a zero byte: that would end it early.
pub(super) fn checked(path: &str) -> Result<&[u8], Error> {
    let path = path.as_bytes();
    if path.is_empty() || path.contains(&0) {
        return Err(Error::Refused(Errno::EINVAL));
    }
    if path.len() > ABS_PATH_MAX { Err(Error::TooLong) } else { Ok(path) }
}

/// Reads the value of the node at `path` (`XS_READ`). Values are bytes; most hold text without a
/// final zero byte.
///
/// # Errors
/// `Refused(ENOENT)` if there is no such node, `Refused(EACCES)` if this domain may not read it.
pub fn read(path: &str) -> Reply {
    about(path, Kind::Read, 0, b"")
}

/// Sets the value of the node at `path` (`XS_WRITE`), and creates the node and its parents if
/// they do not exist.
///
/// # Errors
/// `Refused(EACCES)` if this domain may not write there, `Refused(ENOSPC)` beyond its quota,
/// [`Error::TooLong`] if path and value exceed 4096 bytes.
pub fn write(path: &str, value: &[u8]) -> Done {
    Done(about(path, Kind::Write, 0, value))
}

/// Creates a node with an empty value, and its parents (`XS_MKDIR`). Does nothing if it exists.
///
/// # Errors
/// `Refused(EACCES)` if this domain may not write there, `Refused(ENOSPC)` beyond its quota.
pub fn mkdir(path: &str) -> Done {
    Done(about(path, Kind::Mkdir, 0, b""))
}

/// Removes a node and everything below it (`XS_RM`). Does nothing if only its parent exists.
///
/// # Errors
/// `Refused(ENOENT)` if neither the node nor its parent exists, `Refused(EACCES)` if this domain
/// may not write there.
pub fn remove(path: &str) -> Done {
    Done(about(path, Kind::Rm, 0, b""))
}

/// Returns the names of the nodes directly below `path` (`XS_DIRECTORY`), except those that are
/// not UTF-8.
///
/// # Errors
/// `Refused(ENOENT)` if there is no such node, `Refused(E2BIG)` if the names exceed the 4096 bytes
/// of a reply.
pub async fn directory(path: &str) -> Result<Vec<String>, Error> {
    let reply = about(path, Kind::Directory, 0, b"").await?;
    let mut names = Vec::new();
    for name in reply.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        names.extend(core::str::from_utf8(name).ok().map(String::from));
    }
    Ok(names)
}

/// Returns the permissions of `path` in xenstore's notation (`XS_GET_PERMS`; Xen's
/// docs/misc/xenstore.txt). The first one names the owner and what all others may do, as `n0`:
/// domain 0 owns it, others nothing. Each further one is about one domain, as `r3`.
///
/// # Errors
/// `Refused(ENOENT)` if there is no such node, [`Error::BadReply`] if the reply is not UTF-8.
pub async fn permissions(path: &str) -> Result<Vec<String>, Error> {
    let list = about(path, Kind::GetPerms, 0, b"").await?;
    let list = list.split(|&byte| byte == 0).filter(|item| !item.is_empty());
    list.map(|item| Ok(core::str::from_utf8(item).map_err(|_| Error::BadReply)?.into())).collect()
}

/// Sets the permissions of `path` (`XS_SET_PERMS`), in the notation of [`permissions`].
///
/// # Errors
/// `Refused(EACCES)` if this domain does not own the node.
pub async fn set_permissions(path: &str, permissions: &[&str]) -> Result<(), Error> {
    let mut payload = Vec::from(checked(path)?);
    payload.push(0);
    for item in permissions {
        payload.extend(checked(item)?);
        payload.push(0);
    }
    request(Kind::SetPerms, 0, &[&payload]).await.map(drop)
}

/// Returns the home path of domain `domain`, such as `/local/domain/7` (`XS_GET_DOMAIN_PATH`).
/// The domain need not exist.
///
/// # Errors
/// [`Error::BadReply`] if the reply is not UTF-8; when xenstore fails, see [`Error`].
pub async fn domain_path(domain: DomId) -> Result<String, Error> {
    let path = request(Kind::GetDomainPath, 0, &[alloc::format!("{domain}\0").as_bytes()]).await?;
    let path = path.strip_suffix(b"\0").unwrap_or(&path);
    Ok(core::str::from_utf8(path).map_err(|_| Error::BadReply)?.into())
}
