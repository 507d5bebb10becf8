//! `public/io/xs_wire.h`: messages to and from xenstored, and the page that
//! carries them.

use crate::ring::Layout;
use bitflags::bitflags;

/// `enum xsd_sockmsg_type`, as far as a guest uses it.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// `XS_DIRECTORY`: the names below a node.
    Directory = 1,
    /// `XS_READ`: a node's value.
    Read = 2,
    /// `XS_GET_PERMS`: a node's owner and permissions.
    GetPerms = 3,
    /// `XS_WATCH`: tells of changes from now on.
    Watch = 4,
    /// `XS_UNWATCH`: tells of them no more.
    Unwatch = 5,
    /// `XS_TRANSACTION_START`.
    TransactionStart = 6,
    /// `XS_TRANSACTION_END`.
    TransactionEnd = 7,
    /// `XS_GET_DOMAIN_PATH`: a domain's own folder.
    GetDomainPath = 10,
    /// `XS_WRITE`: sets a node's value.
    Write = 11,
    /// `XS_MKDIR`: makes a node without a value.
    Mkdir = 12,
    /// `XS_RM`: removes a node with all below it.
    Rm = 13,
    /// `XS_SET_PERMS`.
    SetPerms = 14,
    /// `XS_WATCH_EVENT`: something changed.
    WatchEvent = 15,
    /// `XS_ERROR`: the request failed; the payload names the errno.
    Error = 16,
}

/// Bytes of `struct xsd_sockmsg`: type, req_id, tx_id and len of 32 bits each.
pub const HEADER: usize = 16;

/// `XENSTORE_PAYLOAD_MAX`: bytes that may follow a header.
pub const PAYLOAD_MAX: usize = 4096;

/// `XENSTORE_ABS_PATH_MAX`: bytes of an absolute path.
pub const ABS_PATH_MAX: usize = 3072;

/// What the guest writes and xenstored reads: 1024 bytes.
pub const REQ: Layout = Layout { data: 0, size: 1024, cons: 2048, prod: 2052 };

/// What xenstored writes and the guest reads: 1024 bytes.
pub const RSP: Layout = Layout { data: 1024, size: 1024, cons: 2056, prod: 2060 };

/// Offset of `server_features`.
pub const SERVER_FEATURES: usize = 2064;

/// Offset of `connection`: 0 is connected.
pub const CONNECTION: usize = 2068;

/// Offset of `error`: 0 is none.
pub const ERROR: usize = 2072;

bitflags! {
    /// `XENSTORE_SERVER_FEATURE_*`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Features: u32 {
        /// The ring can be connected anew.
        const RECONNECTION = 1;
        /// The page has the error word.
        const ERROR = 2;
        const _ = !0;
    }
}
