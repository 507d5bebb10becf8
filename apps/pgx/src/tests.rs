//! Servers that say what the test wants.

use super::*;
use alloc::format;
use base64ct::{Base64, Encoding};
use core::convert::Infallible;
use embedded_io_async::{ErrorType, Read};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::string::ToString;
use xenith::task::block_on;

/// A stream whose other end sends `says`, in pieces of so many bytes, and keeps what it hears.
struct Server {
    says: Vec<u8>,
    piece: usize,
    heard: Vec<u8>,
    /// What it says next, by what it heard.
    react: fn(&[u8]) -> Vec<u8>,
}

impl Server {
    fn new(says: &[&[u8]], piece: usize) -> Self {
        Self { says: says.concat(), piece, heard: Vec::new(), react: |_| Vec::new() }
    }
}

impl ErrorType for Server {
    type Error = Infallible;
}

impl Read for Server {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize, Infallible> {
        let count = to.len().min(self.piece).min(self.says.len());
        to[..count].copy_from_slice(&self.says[..count]);
        self.says.drain(..count);
        Ok(count)
    }
}

impl Write for Server {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.heard.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        self.says.extend((self.react)(&self.heard));
        Ok(())
    }
}

/// A message of the server.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

fn auth(kind: u32, rest: &[u8]) -> Vec<u8> {
    message(b'R', &[&kind.to_be_bytes()[..], rest].concat())
}

fn error(severity: &str, code: &str) -> Vec<u8> {
    message(b'E', format!("SX\0V{severity}\0C{code}\0Mno \x1b\0\0").as_bytes())
}

/// Columns `a` and `b`.
fn two_columns() -> Vec<u8> {
    message(b'T', &[&[0, 2][..], b"a\0", &[0; 18], b"b\0", &[0; 18]].concat())
}

fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

const LOGIN: Login<'_> = Login { user: "u", database: "d", password: None };
const LIMIT: u32 = 1000;

type Answer = Result<(Vec<String>, String), Error<Infallible>>;

/// Logs in without a password, and asks a question that is answered by `says`.
fn ask(says: &[&[u8]], piece: usize) -> Answer {
    let mut rows = Vec::new();
    let begin = [auth(0, b""), ready()].concat();
    let all = [&[&begin[..]], says].concat();
    let tag = block_on(async {
        let mut connection = Connection::new(Server::new(&all, piece), &LOGIN, LIMIT).await?;
        connection
            .query("select $1", &[Some("x"), None], async |row: &Row<'_>| {
                let mut text = Vec::new();
                line(&mut text, row).await.unwrap();
                rows.push(String::from_utf8(text).unwrap());
            })
            .await
    });
    tag.map(|tag| (rows, tag))
}

#[test]
fn rows_come_however_they_are_split() {
    let row = message(b'D', b"\0\x02\0\0\0\x031\x1b3\xff\xff\xff\xff");
    for piece in [1, 2, 7, 1000] {
        let (rows, tag) = ask(
            &[
                &message(b'1', b""),
                &message(b'2', b""),
                &two_columns(),
                &row,
                &message(b'S', b"TimeZone\0UTC\0"),
                &row,
                &message(b'C', b"SELECT 2\0"),
                &ready(),
            ],
            piece,
        )
        .unwrap();
        assert_eq!((rows.concat().as_str(), &*tag), ("1\\x1b3|\n1\\x1b3|\n", "SELECT 2"));
    }
}

#[test]
fn a_failure_is_told_and_the_next_question_is_answered() {
    let says =
        [auth(0, b""), ready(), error("ERROR", "42P01"), ready(), message(b'C', b"OK\0"), ready()]
            .concat();
    block_on(async {
        let server = Server::new(&[&says], 9);
        let mut connection = Connection::new(server, &LOGIN, LIMIT).await.unwrap();
        let Err(Error::Server(report)) = connection.run("x", async |_: &Row<'_>| {}).await else {
            panic!()
        };
        assert_eq!(report.to_string(), "ERROR 42P01: no \\x1b");
        assert_eq!(connection.run("y", async |_: &Row<'_>| {}).await.as_deref(), Ok("OK"));
        assert_eq!(connection.run("a\0b", async |_: &Row<'_>| {}).await, Err(Error::Unsendable));
        let heard = connection.close().await.unwrap().heard;
        assert!(heard.ends_with(b"Q\0\0\0\x06x\0Q\0\0\0\x06y\0X\0\0\0\x04"), "{heard:?}");
        assert!(heard.starts_with(b"\0\0\0\x30\0\x03\0\0user\0u\0database\0d\0client_encoding\0"));
    });
}

#[test]
fn an_answer_that_broke_off_is_not_taken_for_the_next_one() {
    block_on(async {
        let says = [auth(0, b""), ready()].concat();
        let server = Server::new(&[&says], 9);
        let mut connection = Connection::new(server, &LOGIN, LIMIT).await.unwrap();
        assert_eq!(connection.run("x", async |_: &Row<'_>| {}).await, Err(Error::Ended));
        assert_eq!(connection.run("x", async |_: &Row<'_>| {}).await, Err(Error::Broken));
    });
}

#[test]
fn what_makes_no_sense_is_told_apart() {
    let columns = two_columns();
    let row = |body: &[u8]| ask(&[&columns, &message(b'D', body), &ready()], 99);
    for body in [
        &b""[..],
        b"\0\x01\0\0\0\0",
        b"\0\x02\0\0\0\0",
        b"\0\x02\0\0\0\x09x\0\0\0\0",
        b"\0\x02\xff\xff\xff\xfe\0\0\0\0",
        b"\0\x02\0\0\0\0\0\0\0\0x",
    ] {
        assert_eq!(row(body), Err(Error::Malformed("row")), "{body:?}");
    }
    // More columns and values than the message has bytes for.
    for (kind, what) in [(b'T', "list of columns"), (b'D', "row")] {
        assert_eq!(ask(&[&message(kind, &[0xFF; 999])], 99), Err(Error::Malformed(what)));
    }
    for (says, error) in [
        (&b"D\0\0\0\x03"[..], Error::Malformed("length")),
        // A row of a GiB is not waited for.
        (b"D\x40\0\0\0", Error::TooLong((1 << 30) - 4)),
        (b"T\0\0\0\x06\xff\xff", Error::Malformed("list of columns")),
        (b"C\0\0\0\x05x", Error::Malformed("end of a command")),
        (b"E\0\0\0\x05M", Error::Malformed("error")),
        (b"G\0\0\0\x04", Error::Malformed("message, of a type that was not asked for")),
        (b"", Error::Ended),
    ] {
        assert_eq!(ask(&[says], 99), Err(error), "{says:?}");
    }
}

/// What a server with the password `sesame` says by what it has heard.
fn scram(heard: &[u8]) -> Vec<u8> {
    scram_of(b"SCRAM-SHA-256\0\0", b"n,,", heard)
}

/// The same with these mechanisms, for a client that says so what it is bound to.
fn scram_of(mechanisms: &[u8], bound: &[u8], heard: &[u8]) -> Vec<u8> {
    let mac = |key: &[u8], text: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text);
        <[u8; 32]>::from(mac.finalize().into_bytes())
    };
    let text = String::from_utf8_lossy(heard).into_owned();
    let Some((_, first)) = text.split_once(",,n=") else { return auth(10, mechanisms) };
    let nonce = &first[3..27];
    let challenge = format!("r={nonce}server,s=c2FsdA==,i=4096");
    let bound = format!("c={}", Base64::encode_string(bound));
    let Some((_, last)) = first.split_once("c=") else { return auth(11, challenge.as_bytes()) };
    let (said, proof) = last.split_once(",p=").unwrap();
    let said = format!("c={said}");
    if said != format!("{bound},r={nonce}server") {
        return error("FATAL", "28000");
    }
    let mut salted = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(b"sesame", b"salt", 4096, &mut salted);
    let signed = format!("n=,r={nonce},{challenge},{said}");
    let stored = Sha256::digest(mac(&salted, b"Client Key"));
    let mut key = mac(&stored, signed.as_bytes());
    // What may follow says that there is nothing else.
    let proof = Base64::decode_vec(&proof[..44]).unwrap();
    key.iter_mut().zip(proof).for_each(|(byte, proof)| *byte ^= proof);
    if Sha256::digest(key) != stored {
        return error("FATAL", "28P01");
    }
    let signature = mac(&mac(&salted, b"Server Key"), signed.as_bytes());
    let signature = format!("v={}", Base64::encode_string(&signature));
    [auth(12, signature.as_bytes()), auth(0, b""), ready()].concat()
}

/// Logs in with a password at a server that reacts so.
fn log_in(password: &str, react: fn(&[u8]) -> Vec<u8>) -> Result<(), Error<Infallible>> {
    let server = Server { react, ..Server::new(&[], 99) };
    let login = Login { password: Some(password), ..LOGIN };
    block_on(Connection::new(server, &login, LIMIT)).map(|_| ())
}

#[test]
fn both_sides_prove_that_they_know_the_password() {
    assert_eq!(log_in("sesame", scram), Ok(()));
    assert!(matches!(log_in("guess", scram), Err(Error::Server(it)) if it.code == "28P01"));
    // Whoever lets everybody in does not know it, nor does who cannot prove it.
    let open = |_: &[u8]| [auth(0, b""), ready()].concat();
    assert_eq!(log_in("sesame", open), Err(Error::Impostor));
    let liar = |heard: &[u8]| {
        let said = scram(heard);
        if said.get(8) == Some(&12) { auth(12, b"v=AAAA") } else { said }
    };
    assert_eq!(log_in("sesame", liar), Err(Error::Impostor));
    let hasty = |_: &[u8]| auth(12, b"v=AAAA");
    assert_eq!(log_in("sesame", hasty), Err(Error::Impostor));
}

#[test]
fn a_password_is_never_sent_in_clear() {
    for (kind, error) in
        [(3, Error::Login(3)), (5, Error::Login(5)), (11, Error::Malformed("challenge"))]
    {
        let react = match kind {
            3 => |_: &[u8]| auth(3, b""),
            5 => |_: &[u8]| auth(5, b"salt"),
            _ => |_: &[u8]| auth(11, b"r=x,s=AAAA,i=1"),
        };
        assert_eq!(log_in("sesame", react), Err(error));
    }
    let other = |_: &[u8]| auth(10, b"SCRAM-MD5\0\0");
    assert_eq!(log_in("sesame", other), Err(Error::Login(10)));
    assert_eq!(log_in("sésame", scram), Err(Error::NotAscii));
}

#[test]
fn a_long_value_is_printed_in_pieces_and_as_one() {
    let value = "é€😀\u{80}x\x1b".repeat(200).into_bytes();
    for cut in 0..16 {
        let mut value = value[cut..].to_vec();
        value.extend(b"\xff\x80\x80\x80\x80\xf0\x9f");
        let mut body = std::vec![0, 1];
        body.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
        body.extend(&value);
        let values = message::values(&body).unwrap();
        let mut text = Vec::new();
        block_on(line(&mut text, &connection::row(&[], &body, &values))).unwrap();
        let expected = format!("{}\n", Escaped(&value));
        assert_eq!(String::from_utf8_lossy(&text), expected, "{cut}");
    }
}

/// A server that accepts, and says nothing.
#[test]
fn each_step_has_its_time() {
    use core::net::Ipv4Addr;
    use xenith::ip::config::Ipv4;
    use xenith::ip::{Listener, Settings, Stack, any};
    use xenith::net::cable::{Options, cable};
    use xenith::task::{Either, select};
    use xenith::time::Instant;

    xenith::testing::simulate_time();
    block_on(async {
        let (a, b) = cable(Options::default());
        let stack = |end, last| {
            let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
            Stack::start(end, Settings { ipv4, ..Settings::default() }).unwrap()
        };
        let (here, there) = (stack(a, 1), stack(b, 2));
        let listener = Tcp::bind(&there, any(5432)).await.unwrap();
        // Nobody has the second address.
        for (server, status) in [("10.0.0.2", Exit(4)), ("10.0.0.9", Exit(3))] {
            let args = Args {
                server,
                port: 5432,
                user: "u",
                database: "d",
                password: None,
                run: Several::default(),
                query: None,
                value: Several::default(),
                limit: LIMIT,
                patience: Duration::from_secs(1),
            };
            let begun = Instant::now();
            let mut said = Vec::new();
            let asking = core::pin::pin!(start(&mut said, here.clone(), args));
            let silent = core::pin::pin!(async {
                let _taken = listener.accept().await;
                core::future::pending::<()>().await;
            });
            let Either::First(exit) = select(asking, silent).await else { panic!("{server}") };
            assert_eq!(exit, status, "{server}");
            assert!(begun.elapsed() < Duration::from_secs(2), "{server}: {:?}", begun.elapsed());
        }
    });
}

/// A channel that is known by `hash`, if by anything.
struct Known(Option<&'static [u8]>, bool);

impl Channel for Known {
    const IS: bool = true;

    fn can_bind(&self) -> bool {
        self.0.is_some()
    }

    fn offer(&mut self) {
        self.1 = true;
    }

    fn binding(&self) -> Option<(&'static str, &[u8])> {
        Some(("tls-server-end-point", self.0.filter(|_| self.1)?))
    }
}

const BOTH: &[u8] = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";

#[test]
fn a_login_is_bound_to_the_channel_and_nobody_hides_that_it_can_be() {
    let log_in = |hash, react: fn(&[u8]) -> Vec<u8>| {
        let server = Server { react, ..Server::new(&[], 99) };
        let login = Login { password: Some("sesame"), ..LOGIN };
        block_on(async {
            let connection = Connection::bound(server, &login, LIMIT, Known(hash, false)).await?;
            Ok(connection.close().await?.heard)
        })
    };
    let says = |heard: &[u8], text: &[u8]| heard.windows(text.len()).any(|it| it == text);
    let refused =
        |it: &Result<_, Error<_>>| matches!(it, Err(Error::Server(it)) if it.code == "28000");
    // Both know the same certificate.
    let plus = |heard: &[u8]| scram_of(BOTH, b"p=tls-server-end-point,,HASH", heard);
    let heard = log_in(Some(b"HASH"), plus).unwrap();
    assert!(
        says(&heard, b"SCRAM-SHA-256-PLUS\0") && says(&heard, b"p=tls-server-end-point,,n=,r=")
    );
    // Somebody stands between them, with another one.
    assert!(refused(&log_in(Some(b"OTHER"), plus)));
    // The server offers none, and hears that there could have been one: which is an error where that
    // was hidden from the client.
    let less = |heard: &[u8]| scram_of(b"SCRAM-SHA-256\0\0", b"y,,", heard);
    let heard = log_in(Some(b"HASH"), less).unwrap();
    assert!(says(&heard, b"SCRAM-SHA-256\0") && says(&heard, b"y,,n=,r="));
    let hidden =
        |heard: &[u8]| scram_of(b"SCRAM-SHA-256\0\0", b"p=tls-server-end-point,,HASH", heard);
    assert!(refused(&log_in(Some(b"HASH"), hidden)));
    // There is nothing to bind it to.
    let nothing = |heard: &[u8]| scram_of(BOTH, b"n,,", heard);
    assert!(says(&log_in(None, nothing).unwrap(), b"n,,n=,r="));
    // A server that offers nothing else offers that.
    let only =
        |heard: &[u8]| scram_of(b"SCRAM-SHA-256-PLUS\0\0", b"p=tls-server-end-point,,HASH", heard);
    assert!(log_in(Some(b"HASH"), only).is_ok());
    assert_eq!(log_in(None, only), Err(Error::Login(10)));
}

#[test]
fn tls_begins_after_one_byte_and_nothing_else() {
    for (says, expected) in [
        (&b"S"[..], Ok(())),
        (b"N", Err(NoTls::Refused)),
        (b"NR\0\0\0\x08\0\0\0\0", Err(NoTls::Refused)),
        // Before TLS, by whoever stands between.
        (b"SR\0\0\0\x08\0\0\0\0", Err(NoTls::Early)),
        (b"S\x16", Err(NoTls::Early)),
        // A message of an error, and one of the protocol before that.
        (b"E\0\0\0\x4dSFATAL\0C0A000\0Munsupported frontend protocol", Err(NoTls::Old)),
        (b"EFATAL:  unsupported frontend protocol\n\0", Err(NoTls::Old)),
        (b"HTTP/1.1 400 Bad Request\r\n", Err(NoTls::Malformed(b'H'))),
        (b"\x15\x03\x03\0\x02\x02\x0a", Err(NoTls::Malformed(0x15))),
        (b"", Err(NoTls::Ended)),
    ] {
        let mut server = Server::new(&[says], 99);
        assert_eq!(block_on(request_tls(&mut server)), expected, "{says:?}");
        assert_eq!(server.heard, b"\0\0\0\x08\x04\xd2\x16\x2f");
    }
    // What comes after it is left to TLS.
    let mut server = Server::new(&[b"SR"], 1);
    assert_eq!(block_on(request_tls(&mut server)), Ok(()));
    assert_eq!(server.says, b"R");
}
