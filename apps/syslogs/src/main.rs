//! The wiring of `syslogs`.
//!
//! test: disk dom0=debian:rsyslog,rsyslog-gnutls
//! test: dom0 rsyslog.sh
//! test: timeout 240
//! test(tls,mutual,old,away,name,unknown,expired,silent): xl disk=["format=raw,vdev=xvda,access=ro,target=/tmp/syslogs-roots"]
//! test(refused): xl disk=["format=raw,vdev=xvda,access=ro,target=/tmp/syslogs-roots-alone"]
//! test(tls): args syslog=tls://www.lab host=lab line="error: the disk is full" line="grüße" line="warn: a \"b\" \\ c"
//! test(mutual): args syslog=tls://www.lab:6515 host=lab line="error: the disk is full" line="grüße" line="warn: a \"b\" \\ c"
//! test(old): args syslog=tls://www.lab:6516 tls12=on host=lab line="error: the disk is full" line="grüße" line="warn: a \"b\" \\ c"
//! test(tls,mutual,old): client-when "a \"b\""
//! test(tls,mutual,old): client said.sh
//! test(tls,mutual,old): client-then wait
//! test(away): args syslog=tls://www.lab pause=10s line="line 1" line="line 2" line="line 3" line="line 4" line="line 5" line="line 6"
//! test(away): client-when "line 1"
//! test(away): client away.sh
//! test(away): console-contains "syslog: the server takes messages again, after "
//! test(refused): args syslog=tls://www.lab:6515 line=hello
//! test(name): args syslog=tls://10.0.0.1 line=hello
//! test(name): console-contains "syslog: 10.0.0.1:6514: the certificate is not for 10.0.0.1, but for "
//! test(unknown): args syslog=tls://www.lab:6517 line=hello
//! test(unknown): console-contains "syslog: www.lab:6517: the certificate is signed by nobody who is trusted here; trying again\n"
//! test(expired): args syslog=tls://www.lab:6518 line=hello
//! test(expired): console-contains "syslog: www.lab:6518: the certificate has expired: it was valid until 2021-01-01 00:00 UTC, and this machine's clock says 2"
//! test(silent): args syslog=tls://www.lab:6519 pause=15s line=hello line="still here"
//! test(silent): client-when "still here"
//! test(silent): client "xl shutdown $GUEST; for try in $(seq 150); do xl domid $NAME >/dev/null 2>&1 || exit 0; sleep 0.1; done; exit 1"
//! test(silent): client-then wait
//! test(silent): console-contains "syslog: www.lab:6519: the handshake takes too long; trying again\n"
//! test(refused,name,unknown,expired): client-when "trying again"
//! test(refused,name,unknown,expired): client "[ ! -e /tmp/syslogs/said ] || ! grep hello /tmp/syslogs/said"
//! test(mutual,old,away,refused,name,unknown,expired,silent): not-in-check

#![no_std]
#![no_main]

use core::time::Duration;
use syslogs::Server;
use xenith::args::Several;
use xenith::{Block, Ip};

xenith::unikernel! {
    /// Logs lines, to the console and to a syslog server by TLS, as logger(1) does. The disk holds the
    /// certificates that are trusted to vouch for the server, in PEM form, one after the other, such as
    /// Debian's /etc/ssl/certs/ca-certificates.crt, and behind them, if the server asks for one, a
    /// private key and this machine's certificate.
    name: "syslogs",
    memory: 8 MiB,
    stack: 256 KiB,
    devices: { ip: Ip("0"), roots: Block("xvda") },
    args: syslogs::Args {
        /// Where the log goes besides the console: tls:// and the server's name or address, for which
        /// it has to have a certificate (RFC 5425).
        syslog: Server,
        /// This machine's name in what is sent there.
        host: &'static str = "-",
        /// What to log; it may begin with a level, as "warn: it is late".
        line: Several,
        /// The time between lines.
        pause: Duration = "0",
        /// The SHA-256 of a certificate that is trusted whatever its names, dates and issuer, in
        /// hexadecimal; with one, nobody vouches for others.
        sha256: Several,
        /// Speak TLS 1.2 too, for old servers.
        tls12: bool = false,
    },
    main: syslogs::start,
}
