//! The wiring of `gits`.
//!
//! test: disk dom0=debian:git,dash,git-man-,perl-,liberror-perl-,libcurl3-gnutls-,libexpat1-,lighttpd,lighttpd-mod-openssl,systemd-sysv-,init-system-helpers-
//! test: dom0 gits.sh
//! test: xl disk=["format=raw,vdev=xvda,access=ro,target=/tmp/gits-roots"]
//! test: timeout 240
//! test(serves): args url=http://www.lab/git/site.git
//! test(serves): client client.sh
//! test(serves): console-contains ", \"Grow\": 8 files of "
//! test(pushed): args url=https://www.lab/git/site.git every=1
//! test(pushed): client push.sh
//! test(pushed): console-contains ", \"Change\": 7 files of "
//! test(put): args url=https://www.lab/git/site.git branch=main write=on token=secret author="Jane Doe <jane@lab>"
//! test(put): client put.sh
//! test(put): console-contains ", \"Delete deep/er/two\": 8 files of "
//! test(fingerprint): args url=https://10.0.0.1:446/git/site.git branch=v1 list=on sha256=E4:3C:B4:8F:A3:9F:CB:4A:5C:34:45:6A:D8:4C:B8:6A:E5:55:75:50:8F:C4:A1:98:76:19:87:56:A7:0A:37:EC
//! test(fingerprint): console-contains "100644 blob f87383677e72159cd32dc27cf9e11e40b7716734\tcss/style.css\n100644 blob 587be6b4c3f93f93c489c0111bba5596147a26cb\tdeep/er/file\n100644 blob 6e7c1e6ac83f364ec51e595dbac9d81eb4d19590\tindex.html\n120000 blob 2703d871ad325e100ba8a008103aba05b502e09b\tlink\n"
//! test(other): args url=https://www.lab/git/site.git list=on sha256=E4:3C:B4:8F:A3:9F:CB:4A:5C:34:45:6A:D8:4C:B8:6A:E5:55:75:50:8F:C4:A1:98:76:19:87:56:A7:0A:37:EC
//! test(other): console-contains "www.lab: the certificate has another fingerprint"
//! test(name): args url=https://10.0.0.1/git/site.git list=on
//! test(name): console-contains "10.0.0.1: the certificate is not for 10.0.0.1, but for "
//! test(unknown): args url=https://www.lab:444/git/site.git list=on
//! test(unknown): console-contains "www.lab: the certificate is signed by nobody who is trusted here"
//! test(expired): args url=https://www.lab:445/git/site.git list=on
//! test(expired): console-contains "www.lab: the certificate has expired: it was valid until 2021-01-01 00:00 UTC, and this machine's clock says 2"
//! test(expired): console-contains "error: https://www.lab:445/git/site.git: https://www.lab:445/git/site.git/info/refs?service=git-upload-pack: 10.0.0.1:445: the peer is not to be trusted: see the log\n"
//! test(other,name,unknown,expired): expect exit 3
//! test(pushed,put,fingerprint,other,name,unknown,expired): not-in-check

#![no_std]
#![no_main]

use core::time::Duration;
use xenith::args::{Several, Size};
use xenith::{Block, Console, Ip};

xenith::unikernel! {
    /// Reads a git repository over HTTPS, and serves the files of the newest commit over HTTP. The
    /// disk holds the certificates that are trusted to vouch for servers, in PEM form, one after the
    /// other, such as Debian's /etc/ssl/certs/ca-certificates.crt. Its exit status is that of `git`: 3
    /// also for a server that is not to be trusted.
    name: "gits",
    memory: 32 MiB,
    stack: 256 KiB,
    devices: { console: Console, ip: Ip("0"), roots: Block("xvda") },
    args: gits::Args {
        /// Where the repository is: https://HOST/PATH; also git://HOST/PATH or http://HOST/PATH,
        /// where anyone on the way may answer. A user and a password in front of the host, as
        /// https://user:password@host/, are sent as Basic authentication.
        url: &'static str,
        /// The branch or tag; by default the branch that the repository names.
        branch: &'static str = "HEAD",
        /// Seconds until the repository is looked at again, for a newer commit; 0 for never. After
        /// failures it is up to 16 times as long.
        every: u32 = 0,
        /// List the files in the form of git ls-tree -r, and end.
        list: bool = false,
        /// TCP port to listen on.
        port: u16 = 80,
        /// Seconds for which browsers use what they have; with 0 they ask each time.
        max_age: u32 = 0,
        /// Serve and list files and folders whose names begin with a dot.
        hidden: bool = false,
        /// The most bytes of all files and folders. A newer commit is read beside the older one,
        /// but beside no two.
        limit: Size = "8MiB",
        /// The most files and folders, and the most entries of all folders.
        objects: u32 = 20000,
        /// How long the server may be silent, and each of its addresses. It may think about a push
        /// for as long as time= says.
        patience: Duration = "30s",
        /// How long it may take to read a commit, or to write one.
        time: Duration = "10m",
        /// Take files by PUT and take them away by DELETE: each is pushed to branch=, which has to be
        /// one, as a commit.
        write: bool = false,
        /// With write=on: what a client says as "Authorization: Bearer TOKEN"; long, and random. It
        /// goes over the network as it is.
        token: Option<&'static str>,
        /// With write=on and without token=: whoever reaches the port may write.
        open: bool = false,
        /// Who makes commits.
        author: &'static str = "Xenith <xenith@localhost>",
        /// The SHA-256 of a certificate that is trusted whatever its names, dates and issuer, in
        /// hexadecimal; with one, nobody vouches for others.
        sha256: Several,
        /// Speak TLS 1.2 too, for old servers.
        tls12: bool = false,
    },
    main: gits::start,
}
