//! The opening handshake (RFC 6455, sections 4.2 and 11.3).

use crate::head::{Method, Request, Version};
use crate::syntax::elements;
use crate::{Status, fields};
use base64ct::{Base64, Encoding};
use sha1::{Digest, Sha1};

/// What every server puts behind a client's key (section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Bytes of a key, and of what answers it, in base64.
const KEY: usize = 24;
pub(super) const ACCEPT: usize = 28;

/// Chooses the sites whose pages may open a WebSocket, by the field `Origin` of their requests
/// (RFC 6454; RFC 6455, section 10.2).
///
/// A browser lets a page of any site ask any server for a WebSocket, and sends the cookies that
/// it has for that server; the server alone can refuse. It is of no use against other clients,
/// which say what they like: a request without the field is let through by each of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin<'a> {
    /// Lets those in whose host and port are the ones of the request's field `Host`, by `http` or,
    /// behind a proxy, `https`. This is what most servers do, and the default.
    ///
    /// It trusts the name by which the browser asks. A site whose own name leads to this
    /// server's address (DNS rebinding) passes, without cookies of the server's real name. So a
    /// service that has no protection but its network should have [`Listed`](Self::Listed).
    #[default]
    Same,
    /// Lets those in that are listed and no others, such as `https://example.org` or
    /// `http://10.0.0.2:8080`: scheme, host and, unless it is the scheme's own, port.
    Listed(&'a [&'a str]),
    /// Lets all in: for what needs no protection, or has it in its messages. A page of any site
    /// can then speak in the name of the user who looks at it.
    Any,
}

/// Why there is no WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub status: Status,
    /// For people: what is wrong.
    pub why: &'static str,
}

const fn refused(status: Status, why: &'static str) -> Refused {
    Refused { status, why }
}

/// What answers a key.
pub(super) fn accept(key: &[u8]) -> [u8; ACCEPT] {
    let digest = Sha1::new_with_prefix(key).chain_update(GUID).finalize();
    let mut text = [0; ACCEPT];
    // Twenty bytes are always as many characters.
    let _ = Base64::encode(&digest, &mut text);
    text
}

/// The value of a field that stands there once.
fn only<'a>(request: &Request<'a>, name: &str) -> Option<&'a [u8]> {
    let mut values = request.fields(name);
    values.next().filter(|_| values.next().is_none())
}

/// Judges a request: what answers its key.
pub(super) fn judge(request: &Request<'_>, origin: Origin<'_>) -> Result<[u8; ACCEPT], Refused> {
    let says = |name, word| request.fields(name).any(|value| fields::lists(value, word));
    if request.method() != Method::Get {
        return Err(refused(Status::METHOD_NOT_ALLOWED, "a WebSocket is opened with GET"));
    }
    if request.version() != Version::Http11
        || !says("Upgrade", b"websocket")
        || !says("Connection", b"upgrade")
    {
        return Err(refused(UPGRADE, "this path serves a WebSocket and nothing else"));
    }
    if only(request, "Sec-WebSocket-Version") != Some(b"13") {
        return Err(refused(UPGRADE, "only version 13 of the WebSocket protocol is supported"));
    }
    let key = only(request, "Sec-WebSocket-Key").filter(|key| is_key(key));
    let key = key.ok_or(refused(
        Status::BAD_REQUEST,
        "the field Sec-WebSocket-Key does not hold 16 bytes in base64",
    ))?;
    // Of several, each has to be allowed, as it is not known which one counts.
    let mut origins = request.fields("Origin");
    match origins.all(|value| may_ask(value, request.host(), origin)) {
        true => Ok(accept(key)),
        false => Err(refused(FORBIDDEN, "pages of that site may not open this WebSocket")),
    }
}

/// 426: it is to be asked for by another protocol.
pub(super) const UPGRADE: Status = Status(426);
const FORBIDDEN: Status = Status(403);

/// Whether it is sixteen bytes in base64.
fn is_key(key: &[u8]) -> bool {
    let mut bytes = [0; 16];
    key.len() == KEY && Base64::decode(key, &mut bytes).is_ok_and(|bytes| bytes.len() == 16)
}

/// Whether a page of `origin` may ask the server that it knows as `host`.
fn may_ask(origin: &[u8], host: &str, who: Origin<'_>) -> bool {
    let is = |other: &str| origin.eq_ignore_ascii_case(other.as_bytes());
    let own = || {
        let host = host.as_bytes();
        [&b"http://"[..], b"https://"].iter().any(|scheme| {
            let rest = origin.split_at_checked(scheme.len());
            rest.is_some_and(|(begin, rest)| {
                begin.eq_ignore_ascii_case(scheme) && rest.eq_ignore_ascii_case(host)
            })
        })
    };
    match who {
        Origin::Any => true,
        Origin::Same => own(),
        Origin::Listed(all) => all.iter().any(|other| is(other)),
    }
}

/// The first of the client's subprotocols, which are in the order of its preference, that is
/// one of ours (section 4.2.2).
pub(super) fn choose<'a>(request: &Request<'_>, ours: &[&'a str]) -> Option<&'a str> {
    let mut theirs = request.fields("Sec-WebSocket-Protocol").flat_map(elements);
    theirs.find_map(|it| ours.iter().find(|own| own.as_bytes() == it).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_answered_as_the_rfc_has_it() {
        assert_eq!(&accept(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        for key in [
            &b""[..],
            b"dGhlIHNhbXBsZSBub25jZQ",
            b"dGhlIHNhbXBsZSBub25jZQ= ",
            b"dGhlIHNhbXBsZSBub25jZTEyMzQ1Njc4",
            b"AAAAAAAAAAAAAAAAAAAAAAAA",
            b"dGhlIHNhbXBsZSBub25j*Q==",
        ] {
            assert!(!is_key(key), "{key:?}");
        }
    }

    #[test]
    fn pages_of_other_sites_may_not_ask() {
        for (origin, who, may) in [
            ("http://x.org", Origin::Same, true),
            ("HTTPS://X.ORG", Origin::Same, true),
            ("http://x.org:80", Origin::Same, false),
            ("http://y.org", Origin::Same, false),
            ("http://x.org.y.org", Origin::Same, false),
            ("ftp://x.org", Origin::Same, false),
            ("null", Origin::Same, false),
            ("", Origin::Same, false),
            ("http", Origin::Same, false),
            ("http://y.org", Origin::Any, true),
            ("http://y.org", Origin::Listed(&["http://z.org", "http://y.org"]), true),
            ("http://x.org", Origin::Listed(&[]), false),
            ("http://x.org", Origin::Listed(&["http://x.org"]), true),
            ("http://w.org", Origin::Listed(&["http://y.org"]), false),
        ] {
            assert_eq!(may_ask(origin.as_bytes(), "x.org", who), may, "{origin}, {who:?}");
        }
    }
}
