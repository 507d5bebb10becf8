//! The wiring of `git`.
//!
//! test: disk dom0=debian:git,dash,git-man-,perl-,liberror-perl-,libcurl3-gnutls-,libexpat1-
//! test: dom0 git.sh
//! test: timeout 240
//! test(serves): args url=git://dom0.lab/site.git every=1
//! test(serves): client client.sh
//! test(serves): console-contains "git: HEAD is "
//! test(serves): console-contains ", \"Change\": 17 files of "
//! test(serves): console-contains "git://dom0.lab/site.git: the server says: access denied or repository not exported: /site.git"
//! test(http): args url=http://10.0.0.1/cgi-bin/git/site.git branch=v1 list=on
//! test(http): console-contains "100644 blob f87383677e72159cd32dc27cf9e11e40b7716734\tcss/style.css\n100644 blob 587be6b4c3f93f93c489c0111bba5596147a26cb\tdeep/er/file\n100644 blob 6e7c1e6ac83f364ec51e595dbac9d81eb4d19590\tindex.html\n120000 blob 2703d871ad325e100ba8a008103aba05b502e09b\tlink\n"
//! test(wrong): args url=git://10.0.0.1/site.git branch=v2 list=on
//! test(wrong): console-contains "error: git://10.0.0.1/site.git: there is no such branch or tag\n"
//! test(wrong): expect exit 4
//! test(put): args url=http://me:secret@10.0.0.1/cgi-bin/push/site.git branch=main write=on token=secret author="Jane Doe <jane@lab>"
//! test(put): client put.sh
//! test(put): console-contains ", \"Put noise\": "
//! test(put): console-contains "http://10.0.0.1/cgi-bin/push/site.git: the branch has moved: there is another commit by now"
//! test(give): args url=git://10.0.0.1/site.git branch=refs/heads/main write=on token=secret author="Jane Doe <jane@lab>"
//! test(give): client put.sh
//! test(http,wrong,give): not-in-check

#![no_std]
#![no_main]

use core::time::Duration;
use xenith::args::Size;
use xenith::{Console, Ip};

xenith::unikernel! {
    /// Reads a git repository, and serves the files of the newest commit over HTTP.
    /// Its exit status is 3 without a connection, 4 when the server does not let it read or there
    /// is no such branch, 5 when an answer is wrong or beyond a limit, and 6 when it takes too long.
    name: "git",
    memory: 32 MiB,
    devices: { console: Console, ip: Ip("0") },
    args: git::Args {
        /// Where the repository is: git://HOST/PATH or http://HOST/PATH. A user and a password in
        /// front of the host, as http://user:password@host/, are sent as Basic authentication.
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
    },
    main: git::start,
}
