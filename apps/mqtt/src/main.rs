//! The wiring of `mqtt`.
//!
//! test: dom0 mosquitto.sh
//! test(both): args broker=dom0.lab user=guest password="open sesame" publish=lab/answer/a=first publish="lab/answer/b=x=y z" quality=2 retain=on subscribe=lab/question/# subscribe=lab/kept count=6
//! test(both): client-when ""
//! test(both): client client.sh
//! test(both): client-then wait
//! test(both): console-contains "lab/question/0 by 0\nlab/question/1 by 1\nlab/question/2 by 2\n"
//! test(both): console-contains "lab/question/odd \\x1b[2J\\xff\n"
//! test(both): console-contains "lab/question/late after a new start\n"
//! test(wrong): args broker=10.0.0.1 user=guest password=guessed subscribe=#
//! test(wrong): client-when ""
//! test(wrong): client "/tmp/mqtt/start; sleep 1"
//! test(wrong): client-then wait
//! test(wrong): console-contains "mqtt: the broker ends the connection: NotAuthorized\n"
//! test(wrong): expect exit 4
//! test: timeout 120
//! test(wrong): not-in-check

#![no_std]
#![no_main]

use core::time::Duration;
use xenith::args::Several;
use xenith::{Console, Ip};

xenith::unikernel! {
    /// Publishes messages to an MQTT broker, and prints those that others publish, as
    /// mosquitto_sub -v does. It ends when all are published, if nothing is subscribed to.
    /// Its exit status is 4 when the broker does not let it in, and 5 when it refuses something.
    name: "mqtt",
    memory: 4 MiB,
    devices: { console: Console, ip: Ip("0") },
    args: mqtt::Args {
        /// The broker's name or address.
        broker: &'static str,
        /// Its TCP port.
        port: u16 = 1883,
        /// The name by which the broker knows this client, which no other may have.
        id: &'static str = "xenith",
        /// Who logs in.
        user: Option<&'static str>,
        /// The password. It is sent in clear.
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
    },
    main: mqtt::start,
}
