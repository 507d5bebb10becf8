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
//! test(redirect): console-contains "fetch: http://www.lab/page#there: 200, 24 bytes"
//! test(circle): args url=http://www.lab:83/ redirects=3
//! test(circle): console-contains "error: http://www.lab:83/?again: there are more than 3 redirects"
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
//! test(refused): console-contains "error: http://www.lab:84/: 10.0.0.1:84: the connection was refused"
//! test(refused): expect exit 4
//! test(strange): args url=http://www.lab:85/
//! test(strange): console-contains "error: http://www.lab:85/: the answer is not one of HTTP/1"
//! test(strange): expect exit 5
//! test(mute): args url=http://www.lab:86/ patience=2
//! test(mute): console-contains "error: http://www.lab:86/: the server takes too long: it does not answer within 2 s"
//! test(mute): expect exit 6
//! test(limit): args url=http://www.lab/long limit=1000
//! test(limit): console-contains "error: http://www.lab/long: the answer's body is longer than the 1000 bytes allowed"
//! test(limit): expect exit 5
//! test(cut): args url=http://www.lab:87/
//! test(cut): console-contains "error: http://www.lab:87/: the answer breaks off in its body"
//! test(cut): expect exit 5
//! test(head): args url=http://www.lab:88/
//! test(head): console-contains "\nafter a long head\nfetch: done, 17 bytes"
//! test(coded): args url=http://www.lab:89/ print=no
//! test(coded): console-contains "fetch: done, 100000 bytes"
//! test(post): args url=http://www.lab/cgi-bin/echo body="a b" field="X-Said: hello"
//! test(post): console-contains "\nPOST application/x-www-form-urlencoded hello: a b.\n"
//! test(empty): args url=http://www.lab/cgi-bin/echo body=""
//! test(empty): console-contains "\nPOST"
//! test(user): args url=http://some:secret@www.lab/private/page
//! test(user): console-contains "fetch: http://www.lab/private/page: 200, 13 bytes\nfor one user\n"
//! test(own): with httpd
//! test(own): args url=http://10.0.0.3/health url=http://10.0.0.3/health method=HEAD head=yes
//! test(own): console-contains "fetch: http://10.0.0.3/health: 200, 3 bytes\nHTTP/1.1 200 OK\n"
//! test(own): console-contains "\n\nfetch: done, 0 bytes\nfetch: http://10.0.0.3/health: 200, 3 bytes"
//! test(six): with httpd ip=fd00::3/64
//! test(six): args ip=fd00::2/64 url=http://[fd00::3]/bytes/3000000 print=off
//! test(six): console-contains "fetch: done, 3000000 bytes"
//! test(six-plain): with httpd ip=fd00::3/64
//! test(six-plain): args ip=fd00::2/64 net.csum=off url=http://[fd00::3]/bytes/3000000 print=off
//! test(six-plain): console-contains "fetch: done, 3000000 bytes"
//! test(long,script,circle,missing,scheme,name,strange,mute,limit,cut,head,coded,post,empty,user,own,six-plain): not-in-check

#![no_std]
#![no_main]

use xenith::args::Several;
use xenith::{Console, Ip};

xenith::unikernel! {
    /// Fetches pages over HTTP and prints them.
    /// Its exit status is 2 for a bad address or argument, 3 when the name has no address,
    /// 4 without a connection, 5 for an answer that is wrong, cut off or too long, 6 for one
    /// that takes too long, 7 when the server says that there is no such page or that it
    /// failed, and 1 for what goes wrong here. Of several pages that of the first counts
    /// that was not fetched.
    name: "fetch",
    memory: 4 MiB,
    devices: { console: Console, ip: Ip("0") },
    args: fetch::Args {
        /// Where a page is, such as http://10.0.0.1:8080/index.html. Several from one server
        /// come over one connection. A user and a password in front of the host, as
        /// http://user:password@host/, are sent as Basic authentication.
        url: Several,
        /// The method, such as HEAD or PUT: GET by default, and POST with a body.
        method: Option<&'static str>,
        /// A field of the request, as "Name: value". Without a value, one that is sent by
        /// itself is not sent: Host, User-Agent, Accept, Accept-Encoding, Content-Type.
        field: Several,
        /// What is sent, as application/x-www-form-urlencoded unless a field says otherwise.
        body: Option<&'static str>,
        /// Whether the answer's first line and fields are printed.
        head: bool = false,
        /// Whether its content is printed: control characters as \x1b and the like.
        print: bool = true,
        /// Whether nothing but that is printed, control characters as they are. A terminal
        /// obeys them, so this is for files.
        raw: bool = false,
        /// Whether content may come as gzip, to be decoded.
        gzip: bool = true,
        /// How many redirects are followed. With 0, one is printed as other answers are.
        redirects: u8 = 20,
        /// The most bytes that a page may have, coded and decoded.
        limit: u64 = 1073741824,
        /// Seconds that a connection may take to come about, with each address of a name.
        connect: u16 = 15,
        /// Seconds that the server may take to answer, and for each further piece.
        patience: u16 = 30,
        /// Seconds that a page may take altogether, 0 for ever.
        time: u32 = 3600,
    },
    main: fetch::start,
}
