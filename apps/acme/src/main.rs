//! The wiring of `acme`.
//!
//! test: disk dom0=debian:python3-josepy,python3-cffi-backend,./ca
//! test: dom0 ca.sh
//! test: xl disk=["format=raw,vdev=xvda,access=ro,target=/tmp/site.tar","format=raw,vdev=xvdb,access=ro,target=/tmp/acme-roots","format=raw,vdev=xvdc,access=rw,target=/tmp/acme-store"]
//! test: args domain=site.lab domain=Blog.lab directory=https://www.lab:14000/directory terms=agree contact=admin@site.lab renew=110s
//! test: client-when "listening on ports 443 and 80"
//! test: client client.sh
//! test: timeout 480

#![no_std]
#![no_main]

use core::time::Duration;
use xenith::args::Several;
use xenith::{Block, Ip};

xenith::unikernel! {
    /// Serves the folder in the tar archive on its first disk over HTTPS, with a certificate that it
    /// gets from a CA by ACME (RFC 8555) and renews by itself; clients of HTTP are sent there. The CA
    /// asks for proof by http-01: it has to reach each domain on port 80. The second disk holds the
    /// certificates that are trusted to vouch for the CA's directory, in PEM form, such as Debian's
    /// /etc/ssl/certs/ca-certificates.crt. The third one, of 1 MiB or more and blank at first, keeps
    /// the keys, which are made here, and the certificate.
    name: "acme",
    memory: 24 MiB,
    stack: 256 KiB,
    devices: { site: Block("xvda"), roots: Block("xvdb"), store: Block("xvdc"), ip: Ip("0") },
    args: acme::Args {
        /// A name that the certificate is for: no wildcard, and no address.
        domain: Several,
        /// The directory of the CA. To try things out, Let's Encrypt has
        /// https://acme-staging-v02.api.letsencrypt.org/directory, which limits less and whose
        /// certificates nobody trusts.
        directory: &'static str = "https://acme-v02.api.letsencrypt.org/directory",
        /// terms=agree says that you have read the CA's terms of service and agree to them; an error
        /// says where they are.
        terms: Option<&'static str>,
        /// An address of mail to which the CA may write.
        contact: Several,
        /// How long before its end a certificate is renewed, if not when a third of its validity is
        /// left. Each is used for an eighth of it at least.
        renew: Option<Duration>,
        /// The SHA-256 of the certificate of the CA's server, in hexadecimal, which is trusted
        /// whatever its names, dates and issuer; with one, nobody vouches for others.
        sha256: Several,
        /// TCP port of HTTPS.
        port: u16 = 443,
        /// TCP port of HTTP. The CA comes to port 80, so that something has to lead from there here.
        plain: u16 = 80,
        /// KiB of files to keep in memory.
        cache: usize = 4096,
        /// Seconds for which browsers use what they have; with 0 they ask each time.
        max_age: u32 = 0,
        /// Serve and list files and folders whose names begin with a dot.
        hidden: bool = false,
        /// Tell browsers to come by HTTPS alone from now on.
        hsts: bool = true,
        /// Speak TLS 1.2 too, with old clients and with the CA.
        tls12: bool = false,
    },
    main: acme::start,
}
