//! The wiring of `mqtts`.
//!
//! test: dom0 mosquitto.sh
//! test: xl disk=["format=raw,vdev=xvda,access=ro,target=/tmp/mqtts/roots"]
//! test: timeout 120
//! test(both): args broker=www.lab user=guest password="open sesame" publish=lab/answer/a=first quality=2 retain=on subscribe=lab/question/# count=2
//! test(both): client-when ""
//! test(both): client client.sh
//! test(both): client-then wait
//! test(both): console-contains "www.lab:8883: the connection was refused; trying again in 1 s\n"
//! test(both): console-contains "lab/question/1 by TLS\n"
//! test(both): console-contains "lab/question/late after a new start\n"
//! test(mutual): args broker=www.lab port=8884 publish=lab/answer/a=mine quality=1
//! test(mutual): client-when ""
//! test(mutual): client "/tmp/mqtts/start; until grep -q 'Client xenith disconnected' /tmp/mqtts/log; do sleep 0.1; done; grep -q 'as xenith .*u.guest' /tmp/mqtts/log"
//! test(mutual): client-then wait
//! test(old): args broker=www.lab port=8885 user=guest password="open sesame" publish=lab/answer/a=old tls12=on
//! test(name): args broker=10.0.0.1 user=guest password="open sesame" subscribe=#
//! test(name): console-contains "10.0.0.1: the certificate is not for 10.0.0.1, but for "
//! test(name): console-contains "mqtt: the peer is not to be trusted: see the log\n"
//! test(unknown): args broker=www.lab port=8886 user=guest password="open sesame" subscribe=#
//! test(unknown): console-contains "www.lab: the certificate is signed by nobody who is trusted here"
//! test(expired): args broker=www.lab port=8887 user=guest password="open sesame" subscribe=#
//! test(expired): console-contains "www.lab: the certificate has expired: it was valid until 2021-01-01 00:00 UTC, and this machine's clock says 2"
//! test(silent): args broker=www.lab port=8888 user=guest password="open sesame" subscribe=#
//! test(silent): console-contains "www.lab: the handshake takes too long"
//! test(silent): console-contains "www.lab:8888: the peer does not answer; trying again in 2 s\n"
//! test(silent): expect timeout
//! test(silent): timeout 40
//! test(old,name,unknown,expired): client-when ""
//! test(old,name,unknown,expired): client "/tmp/mqtts/start"
//! test(old,name,unknown,expired): client-then wait
//! test(name,unknown,expired): expect exit 4
//! test(mutual,old,name,unknown,expired,silent): not-in-check

#![no_std]
#![no_main]

use core::time::Duration;
use xenith::args::Several;
use xenith::{Block, Console, Ip};

xenith::unikernel! {
    /// Publishes messages to an MQTT broker by TLS, and prints those that others publish, as
    /// mosquitto_sub -v does. It ends when all are published, if nothing is subscribed to. The
    /// disk holds the certificates that are trusted to vouch for brokers, in PEM form, one after
    /// the other, such as Debian's /etc/ssl/certs/ca-certificates.crt, and behind them, if the
    /// broker asks for one, a private key and this client's certificate.
    /// Its exit status is 4 when the broker does not let it in or is not who it should be, and 5
    /// when it refuses something.
    name: "mqtts",
    memory: 8 MiB,
    stack: 256 KiB,
    devices: { console: Console, ip: Ip("0"), roots: Block("xvda") },
    args: mqtts::Args {
        /// The broker's name or address, for which it has to have a certificate.
        broker: &'static str,
        /// Its TCP port.
        port: u16 = 8883,
        /// The name by which the broker knows this client, which no other may have.
        id: &'static str = "xenith",
        /// Who logs in.
        user: Option<&'static str>,
        /// The password. Whoever reads the configuration of the domain knows it.
        password: Option<&'static str>,
        /// What to publish, as TOPIC=MESSAGE; any number of times.
        publish: Several,
        /// The broker keeps it for those who subscribe later.
        retain: bool = false,
        /// What to receive: a topic, or a filter such as a/+ or a/#; any number of times.
        subscribe: Several,
        /// How messages travel: 0 for at most once, 1 for at least once, 2 for exactly once.
        quality: u8 = 1,
        /// How many messages to receive before the end; with 0 there is none.
        count: u32 = 0,
        /// Seconds of silence that are allowed.
        keepalive: u16 = 60,
        /// The most bytes of a packet of the broker.
        limit: u32 = 65536,
        /// How long an answer may take.
        patience: Duration = "30s",
        /// The SHA-256 of a certificate that is trusted whatever its names, dates and issuer, in
        /// hexadecimal; with one, nobody vouches for others.
        sha256: Several,
        /// Speak TLS 1.2 too, for old brokers.
        tls12: bool = false,
    },
    main: mqtts::start,
}
