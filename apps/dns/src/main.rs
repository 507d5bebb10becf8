//! The wiring of `dns`.
//!
//! test: dom0 names.sh
//! test(names): args names=www.lab,six.lab,10.9.8.7
//! test(names): console-contains "www.lab has address 10.0.0.1\n"
//! test(names): console-contains "six.lab has address 10.0.9.6\nsix.lab has IPv6 address fd00::6\n"
//! test(names): console-contains "10.9.8.7 has address 10.9.8.7\n"
//! test(missing): args names=www.lab,nobody.lab
//! test(missing): console-contains "nobody.lab: there is no address for that name\n"
//! test(missing): expect exit 1
//! test(wrong): args names=a..b
//! test(wrong): console-contains "a..b: that name cannot be resolved\n"
//! test(wrong): expect exit 1
//! test(tcp): args names=many.lab
//! test(tcp): console-contains "many.lab has address 10.0.9."
//! test(nobody): args ip=10.0.0.2/24 names=www.lab
//! test(nobody): console-contains "www.lab: no name server is known: see the argument dns="
//! test(nobody): expect exit 1
//! test(silent): args dns=10.0.0.251 names=www.lab
//! test(silent): console-contains "www.lab: the peer does not answer\n"
//! test(silent): expect exit 1
//! test(second): args dns=10.0.0.251,10.0.0.1 names=www.lab
//! test(second): console-contains "www.lab has address 10.0.0.1\n"
//! test(missing,wrong,nobody,silent): not-in-check

#![no_std]
#![no_main]

use xenith::Ip;

xenith::unikernel! {
    /// Asks name servers for the addresses of names.
    name: "dns",
    memory: 4 MiB,
    devices: { ip: Ip("0") },
    args: {
        /// The names, with commas between them.
        names: &'static str,
    },
    main: dns::start,
}
