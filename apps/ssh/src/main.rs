//! The wiring of `ssh`.
//!
//! test: disk dom0=debian:openssh-client
//! test: dom0 ssh.sh
//! test: args login=100s key=MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC authorized="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIsJ3krkJ8G3txFX1QivvtmRBeJJDa6ZcoEPXIH3baE/ me@lab"
//! test: client client.sh
//! test: client-then wait
//! test: console-contains "ssh: the key of this guest is SHA256:ebCT4wkJOqO5AIlHG03cHvn3Cr3ZZEEh8m81duHhR3Q\n"
//! test: timeout 240

#![no_std]
#![no_main]

use core::time::Duration;
use xenith::Ip;
use xenith::args::Several;

xenith::unikernel! {
    /// Is a console in the guest, by SSH, for who has one of the keys.
    name: "ssh",
    memory: 4 MiB,
    devices: { ip: Ip("0") },
    args: ssh::Args {
        /// TCP port to listen on.
        port: u16 = 22,
        /// Who may log in: a line of authorized_keys such as "ssh-ed25519 AAAA... me"; any number
        /// of times.
        authorized: Several,
        /// The guest's own private key: what openssl genpkey -algorithm ed25519 prints between its
        /// first and its last line. Without it, each start has a new one. Whoever reads the
        /// configuration of the domain knows it.
        key: Option<&'static str>,
        /// How many may be logged in at a time.
        sessions: usize = 4,
        /// How long logging in may take.
        login: Duration = "20s",
        /// How long somebody who is logged in may be silent.
        idle: Duration = "10m",
    },
    main: ssh::start,
}
