//! The wiring of `fetchs`.
//!
//! test: dom0 servers.sh
//! test: xl disk=["format=raw,vdev=xvda,access=ro,target=/tmp/fetchs/roots"]
//! test: timeout 150
//! test(good): args url=https://www.lab/page url=https://www.lab:444/page url=https://www.lab:445/page url=https://www.lab:446/page url=https://www.lab:447/page url=http://www.lab/ url=https://www.lab/large url=https://www.lab:454/moved downgrade=on print=no tls12=on
//! test(good): console-contains "fetch: https://www.lab/page: 200\nfetch: done, 9 bytes"
//! test(good): console-contains "fetch: https://www.lab:444/page: 200\nfetch: done, 9 bytes"
//! test(good): console-contains "fetch: https://www.lab:445/page: 200\nfetch: done, 9 bytes"
//! test(good): console-contains "fetch: https://www.lab:446/page: 200\nfetch: done, 9 bytes"
//! test(good): console-contains "fetch: https://www.lab:447/page: 200\nfetch: done, 9 bytes"
//! test(good): console-contains "fetch: http://www.lab/: 200, 6 bytes\nfetch: done, 6 bytes"
//! test(good): console-contains "fetch: https://www.lab/large: 200\nfetch: done, 3000000 bytes"
//! test(bad): args url=https://10.0.0.1/page url=https://www.lab:447/page url=https://www.lab:448/page url=https://www.lab:449/page url=https://www.lab:450/page url=https://www.lab:451/page url=https://www.lab:452/page url=https://www.lab:453/page url=https://www.lab:455/page url=https://www.lab:454/moved
//! test(bad): expect exit 4
//! test(bad): console-contains "10.0.0.1: the certificate is not for 10.0.0.1, but for "
//! test(bad): console-contains "www.lab: the peer ends it: "
//! test(bad): console-contains "www.lab: the certificate has expired: it was valid until 2021-01-01 00:00 UTC, and this machine's clock says 2"
//! test(bad): console-contains "www.lab: the certificate is not yet valid: it is from 2088-01-01 00:00 UTC on, and this machine's clock says 2"
//! test(bad): console-contains "www.lab: the certificate is signed by nobody who is trusted here"
//! test(bad): console-contains "www.lab: the certificate is for another purpose"
//! test(bad): console-contains "www.lab: a certificate has an RSA key that is malformed, or not of 2048 to 8192 bits"
//! test(bad): console-contains "www.lab: the peer breaks the rules of TLS: "
//! test(bad): console-contains "error: https://www.lab:452/page: 10.0.0.1:452: the peer is not to be trusted"
//! test(bad): console-contains "half of it\nerror: https://www.lab:453/page: the answer breaks off in its body"
//! test(bad): console-contains "error: https://www.lab:454/moved: the server redirects to http://www.lab/, where nothing is encrypted, and that is not allowed (downgrade=on allows it)"

#![no_std]
#![no_main]

use xenith::args::Several;
use xenith::{Block, Console, Ip};

xenith::unikernel! {
    /// Fetches pages over HTTPS and HTTP and prints them. The disk holds the certificates that
    /// are trusted to vouch for servers, in PEM form, one after the other, such as Debian's
    /// /etc/ssl/certs/ca-certificates.crt. Its exit status is that of `fetch`: 4 also for a
    /// server that is not to be trusted.
    name: "fetchs",
    memory: 16 MiB,
    stack: 256 KiB,
    devices: { console: Console, ip: Ip("0"), roots: Block("xvda") },
    args: fetchs::Args {
        /// Where a page is, such as https://example.org/. Several from one server come over one
        /// connection.
        url: Several,
        /// The method, such as HEAD or PUT: GET by default, and POST with a body.
        method: Option<&'static str>,
        /// A field of the request, as "Name: value".
        field: Several,
        /// What is sent, as application/x-www-form-urlencoded unless a field says otherwise.
        body: Option<&'static str>,
        /// Whether the answer's first line and fields are printed.
        head: bool = false,
        /// Whether its content is printed: control characters as \x1b and the like.
        print: bool = true,
        /// Whether nothing but that is printed, control characters as they are.
        raw: bool = false,
        /// The SHA-256 of a certificate that is trusted whatever its names, dates and issuer, in
        /// hexadecimal; with one, nobody vouches for others.
        sha256: Several,
        /// Speak TLS 1.2 too, for old servers.
        tls12: bool = false,
        /// Follow redirects from https to http too, where nothing is encrypted.
        downgrade: bool = false,
    },
    main: fetchs::start,
}
