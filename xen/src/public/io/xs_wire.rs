//! `public/io/xs_wire.h`: the messages to and from xenstored, and the page with its rings.

use crate::ring::Layout;
use bitflags::bitflags;

/// `enum xsd_sockmsg_type`: the types of messages that this crate uses.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// `XS_DIRECTORY`: lists the children of a node.
    Directory = 1,
    /// `XS_READ`: reads a node's value.
    Read = 2,
    /// `XS_GET_PERMS`: reads a node's owner and permissions.
    GetPerms = 3,
    /// `XS_WATCH`: sets a watch.
    Watch = 4,
    /// `XS_UNWATCH`: removes a watch.
    Unwatch = 5,
    /// `XS_TRANSACTION_START`: starts a transaction.
    TransactionStart = 6,
    /// `XS_TRANSACTION_END`: commits or aborts a transaction.
    TransactionEnd = 7,
    /// `XS_GET_DOMAIN_PATH`: returns a domain's home path.
    GetDomainPath = 10,
    /// `XS_WRITE`: sets a node's value.
    Write = 11,
    /// `XS_MKDIR`: creates a node with an empty value.
    Mkdir = 12,
    /// `XS_RM`: removes a node and everything below it.
    Rm = 13,
    /// `XS_SET_PERMS`: sets a node's owner and permissions.
    SetPerms = 14,
    /// `XS_WATCH_EVENT`: reports a change; sent without a request.
    WatchEvent = 15,
    /// `XS_ERROR`: the reply to a request that failed; the payload is the name of an errno.
    Error = 16,
}

/// Size of `struct xsd_sockmsg` in bytes: type, req_id, tx_id and len of 32 bits each.
pub const HEADER: usize = 16;

/// `XENSTORE_PAYLOAD_MAX`: most bytes that follow a header.
pub const PAYLOAD_MAX: usize = 4096;

/// `XENSTORE_ABS_PATH_MAX`: most bytes of an absolute path.
pub const ABS_PATH_MAX: usize = 3072;

/// The byte ring that the guest writes and xenstored reads: 1024 bytes.
pub const REQ: Layout = Layout { data: 0, size: 1024, cons: 2048, prod: 2052 };

/// The byte ring that xenstored writes and the guest reads: 1024 bytes.
pub const RSP: Layout = Layout { data: 1024, size: 1024, cons: 2056, prod: 2060 };

/// Offset of `server_features`, a set of [`Features`].
pub const SERVER_FEATURES: usize = 2064;

/// Offset of `connection`, the state of the connection: 0 is connected.
pub const CONNECTION: usize = 2068;

/// Offset of `error`, which xenstored sets on a protocol error: 0 is none.
pub const ERROR: usize = 2072;

bitflags! {
    /// `XENSTORE_SERVER_FEATURE_*`: what xenstored supports.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Features: u32 {
        /// The guest can ask for the ring to be reset.
        const RECONNECTION = 1;
        /// xenstored sets the error word.
        const ERROR = 2;
        const _ = !0;
    }
}
