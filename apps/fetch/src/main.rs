//! The wiring of `fetch`.
//!
//! test: dom0 server.sh
//! test: timeout 60
//! test(page): args url=http://www.lab/page
//! test(page): console-contains "fetch: http://www.lab/page: 200, 24 bytes\nfirst line\nsecond line\\x1b\nfetch: done"
//! test(long): args url=http://10.0.0.1/long print=off
//! test(long): console-contains "fetch: done, 3000000 bytes"
//! test(script): args url=http://www.lab/cgi-bin/script
//! test(script): console-contains "without a length\nfetch: done, 17 bytes"
//! test(chunked): args url=http://www.lab:81/
//! test(chunked): console-contains "\nhello, world\nfetch: done, 13 bytes"
//! test(redirect): args url=http://www.lab:82/
//! test(redirect): console-contains "fetch: http://www.lab/page: 200, 24 bytes"
//! test(circle): args url=http://www.lab:83/ redirects=3
//! test(circle): console-contains "error: http://www.lab:83/: there are too many redirects"
//! test(circle): expect exit 5
//! test(missing): args url=http://www.lab/missing
//! test(missing): console-contains "fetch: http://www.lab/missing: 404"
//! test(missing): expect exit 7
//! test(scheme): args url=https://www.lab/
//! test(scheme): console-contains "error: https://www.lab/: https is not supported"
//! test(scheme): expect exit 2
//! test(name): args url=http://nobody.lab/
//! test(name): console-contains "error: http://nobody.lab/: there is no address for that name"
//! test(name): expect exit 3
//! test(refused): args url=http://www.lab:84/
//! test(refused): console-contains "error: http://www.lab:84/: the connection was refused"
//! test(refused): expect exit 4
//! test(strange): args url=http://www.lab:85/
//! test(strange): console-contains "error: http://www.lab:85/: the answer is not one of HTTP/1"
//! test(strange): expect exit 5
//! test(mute): args url=http://www.lab:86/ patience=2
//! test(mute): console-contains "error: http://www.lab:86/: the server takes too long to answer"
//! test(mute): expect exit 6
//! test(limit): args url=http://www.lab/long limit=1000
//! test(limit): console-contains "error: http://www.lab/long: the answer is longer than allowed"
//! test(limit): expect exit 5
//! test(own): with httpd
//! test(own): args url=http://10.0.0.3/health
//! test(own): console-contains "\nok\nfetch: done, 3 bytes"

#![no_std]
#![no_main]

use devices::{Console, Ip};

kernel::unikernel! {
    /// Fetches a page over HTTP and prints it.
    /// Its exit status is 2 for a bad address, 3 when the name has no address, 4 without a
    /// connection, 5 for an answer that is wrong, cut off or too long, 6 for one that takes
    /// too long, and 7 when the server says that there is no such page or that it failed.
    name: "fetch",
    memory: 4 MiB,
    devices: { console: Console, ip: Ip("0") },
    args: {
        /// Where the page is, such as http://10.0.0.1:80/index.html.
        url: &'static str,
        /// Whether it is printed: control characters as \x1b and the like.
        print: bool = true,
        /// How many redirects are followed.
        redirects: u8 = 5,
        /// The most bytes that it may have.
        limit: u64 = 1073741824,
        /// Seconds that the server may take to answer, and for each further piece.
        patience: u16 = 30,
    },
    main: fetch::start,
}
