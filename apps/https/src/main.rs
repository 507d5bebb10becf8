//! The wiring of `https`.
//!
//! test: dom0 https.sh
//! test: xl disk=["format=raw,vdev=xvda,access=ro,target=/tmp/https.tar","format=raw,vdev=xvdb,access=ro,target=/tmp/keys.tar"]
//! test(serves): args reload=2
//! test(serves): client client.sh
//! test(old): args tls12=on avx=off
//! test(old): client old.sh
//! test(rude): args tls12=on
//! test(rude): client rude.sh
//! test(ends): client ends.sh
//! test(ends): client-then wait
//! test(many): memory 19
//! test(many): args connections=20000 idle=3600
//! test(many): disk dom0=debian:python3,./many
//! test(many): client many.sh
//! test(many): timeout 1500
//! test(old,rude,many): not-in-check
//! test(serves,old,rude,ends): timeout 120

#![no_std]
#![no_main]

use xenith::{Block, Ip};

xenith::unikernel! {
    /// Serves the folder in the tar archive on its first disk over HTTPS, and sends clients of
    /// HTTP there. The second disk is a tar archive with cert.pem, the certificate followed by
    /// those that lead to a root, and key.pem, its private key: P-256 or Ed25519.
    name: "https",
    memory: 16 MiB,
    stack: 256 KiB,
    devices: { ip: Ip("0"), site: Block("xvda"), keys: Block("xvdb") },
    args: https::Args {
        /// TCP port of HTTPS.
        port: u16 = 443,
        /// TCP port of HTTP.
        plain: u16 = 80,
        /// KiB of files to keep in memory.
        cache: usize = 4096,
        /// Seconds for which browsers use what they have; with 0 they ask each time.
        max_age: u32 = 0,
        /// Serve and list files and folders whose names begin with a dot.
        hidden: bool = false,
        /// Tell browsers to come by HTTPS alone from now on.
        hsts: bool = true,
        /// Speak TLS 1.2 too, for old clients.
        tls12: bool = false,
        /// Seconds after which a certificate that was renewed on the disk is noticed.
        reload: u32 = 60,
        /// Connections by TLS at a time; a further one takes the place of an idle one.
        connections: u32 = 256,
        /// Seconds for which a connection may be idle.
        idle: u32 = 30,
    },
    main: https::start,
}
