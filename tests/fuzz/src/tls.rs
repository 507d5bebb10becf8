//! Both ends of TLS, with somebody between them who changes what one of them says.

use crate::on_machine;
use crate::wire::{End, Way};
use kernel::task::join;
use kernel::time::{sleep, timeout};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;
use xenith::ip::{Error, Stream};
use xenith::tls::{ClientConfig, ClientOptions, Identity, ServerConfig, ServerOptions, Tls, Trust};

const CERTIFICATE: &[u8] = include_bytes!("../../tls/edwards.pem");
const KEY: &[u8] = include_bytes!("../../tls/edwards.key");

/// The certificate's SHA-256, by which the client knows it. An Ed25519 key is the quickest.
const FINGERPRINT: [u8; 32] = [
    0xf0, 0x54, 0xc5, 0x63, 0x7c, 0x06, 0x06, 0x05, 0x57, 0x3e, 0xe4, 0x8a, 0xf8, 0x24, 0x89, 0xdd,
    0x95, 0x02, 0x68, 0x6e, 0xa6, 0xb6, 0x67, 0x0a, 0xa0, 0x53, 0xfe, 0x42, 0x7d, 0x80, 0x09, 0x4a,
];

/// The end that hears what was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// The server.
    Server,
    /// The client.
    Client,
}

/// What is done to the next records, and what comes between them.
#[derive(Arbitrary, Debug)]
pub enum Act<'a> {
    /// They are as they were.
    Pass(u8),
    /// A byte of the next one is another, by this difference.
    Change(u16, u8),
    /// The last bytes of it are missing, while its head says what it said.
    Shorten(u8),
    /// It has these too, as its head says.
    Lengthen(&'a [u8]),
    /// It is missing.
    Drop,
    /// It comes so often.
    Repeat(u8),
    /// It comes after the one that follows.
    Swap,
    /// It is two records of the same kind, cut there.
    Cut(u16),
    /// It offers no version above TLS 1.2, if it is a hello.
    Old,
    /// A record of this kind is before it.
    Insert(u8, &'a [u8]),
    /// Records of this kind and so many KiB are before it, which begin as a message of a handshake
    /// that is longer.
    Long(u8, u8),
    /// Bytes are before it.
    Bytes(&'a [u8]),
    /// It comes so many seconds later.
    Late(u8),
    /// Nothing more comes.
    End,
}

/// A connection.
#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    /// Whether both ends speak TLS 1.2 too.
    tls12: bool,
    /// Whether it goes on with the session of one before.
    resumes: bool,
    /// How many bytes each end says.
    says: [u16; 2],
    acts: Vec<Act<'a>>,
}

/// The most bytes that an end says.
const LONGEST: usize = 40_000;

/// The most bytes that an end may hold for who does not read, or does not hear.
const HELD: usize = 100_000;

/// The length of the head of a record.
const HEAD: usize = 5;

/// After so long without a word there will be none.
const SILENCE: Duration = Duration::from_secs(30);

/// Longer than all the times together that acts and ends may wait.
const DAY: Duration = Duration::from_secs(86_400);

/// How a connection ended: for the server, and for the client.
type Ends = [Result<(), Error>; 2];

/// Plays a connection, and looks at what both ends made of it.
///
/// # Panics
/// When something was taken for what it is not.
pub fn play(input: &Input<'_>, victim: Victim) {
    let says = [(input.says[0], 7), (input.says[1], 11)].map(|(count, step)| {
        let count = 1 + usize::from(count) % LONGEST;
        (0..count).map(|at| (at * step / 3) as u8).collect::<Vec<u8>>()
    });
    on_machine(async {
        let (server, client) = configs(input.tls12);
        let connect = |acts| connection(&server, &client, acts, victim, [&says[0], &says[1]]);
        if input.resumes {
            assert_eq!(connect(&[]).await, [Ok(()), Ok(())], "nobody has changed anything");
        }
        let ends = timeout(DAY, connect(&input.acts)).await.expect("it does not end");
        if input.acts.iter().all(|act| matches!(act, Act::Pass(_))) {
            assert_eq!(ends, [Ok(()), Ok(())], "nobody has changed anything");
        }
    });
}

fn configs(tls12: bool) -> (ServerConfig, ClientConfig) {
    let identity = Identity::from_pem(CERTIFICATE, KEY).expect("a certificate and its key");
    let mut server = ServerOptions::new(identity).protocols(&["h2", "http/1.1"]);
    let trust = Trust::Fingerprints(vec![FINGERPRINT]);
    let mut client = ClientOptions::new(trust).protocols(&["http/1.1"]);
    if tls12 {
        (server, client) = (server.tls12(), client.tls12());
    }
    (server.build().expect("options"), client.build().expect("options"))
}

async fn connection(
    server: &ServerConfig,
    client: &ClientConfig,
    acts: &[Act<'_>],
    victim: Victim,
    says: [&[u8]; 2],
) -> Ends {
    let (near, far) = (End::default(), End::default());
    let up = [Rc::clone(&near.says), Rc::clone(&far.hears)];
    let down = [Rc::clone(&far.says), Rc::clone(&near.hears)];
    let (changed, whole) = if victim == Victim::Server { (up, down) } else { (down, up) };
    let carried = join(carry(acts, changed), carry(&[], whole));
    let ends = async {
        let server = Tls::accept(far, server).expect("a server's end");
        let client = Tls::connect(near, "www.lab", client).expect("a client's end");
        join(end(server, says[0], says[1]), end(client, says[1], says[0])).await
    };
    let ((server, client), _) = join(ends, carried).await;
    [server, client]
}

/// Says and hears all of it, if it can. What is heard is what was said, to where it was cut; and
/// nothing that was cut is taken for whole.
async fn end(tls: Tls<End>, says: &[u8], hears: &[u8]) -> Result<(), Error> {
    let write = async {
        let mut said = 0;
        while said < says.len() {
            poll_fn(|context| tls.poll_writable(context)).await?;
            said += tls.try_write(&says[said..])?.unwrap_or(0);
            look(&tls);
        }
        tls.shutdown().await
    };
    let read = async {
        let (mut heard, mut buffer) = (0, [0; 700]);
        loop {
            poll_fn(|context| tls.poll_readable(context)).await?;
            look(&tls);
            match tls.try_read(&mut buffer)? {
                Some(0) => {
                    assert_eq!(heard, hears.len(), "what was cut is taken for whole");
                    return Ok(());
                }
                Some(count) => {
                    let said = hears.get(heard..heard + count);
                    assert_eq!(said, Some(&buffer[..count]), "nobody has said that");
                    heard += count;
                }
                None => {}
            }
        }
    };
    let (written, read) = join(write, read).await;
    written.and(read)
}

fn look(tls: &Tls<End>) {
    let progress = tls.progress();
    let held = progress.readable + progress.unacknowledged;
    assert!(held <= HELD, "{held} bytes are held");
}

/// Carries what is said to who hears it, and does what `acts` ask for on the way.
async fn carry(acts: &[Act<'_>], [from, to]: [Rc<Way>; 2]) {
    let mut source = Source { from: &from, held: Vec::new() };
    let mut is_over = false;
    for act in acts {
        match *act {
            Act::Pass(count) => {
                for _ in 0..count % 16 {
                    to.say(&source.record().await);
                }
            }
            Act::Insert(kind, bytes) => to.say(&record(kind, bytes)),
            Act::Long(kind, kib) => {
                let longer = [&[1, 0xff, 0xff, 0xff][..], &[0; 1020]].concat();
                for _ in 0..kib {
                    to.say(&record(kind, &longer));
                }
            }
            Act::Bytes(bytes) => to.say(bytes),
            Act::Late(seconds) => sleep(Duration::from_secs(u64::from(seconds % 16))).await,
            Act::End => {
                is_over = true;
                break;
            }
            _ => {
                let next = source.record().await;
                let after = if matches!(act, Act::Swap) { source.record().await } else { vec![] };
                to.say(&changed(act, next, &after));
            }
        }
        // Who hears it does so before more comes.
        sleep(Duration::from_millis(1)).await;
    }
    while !is_over {
        let next = source.record().await;
        is_over = next.is_empty();
        to.say(&next);
    }
    to.end();
    from.end();
}

/// What becomes of a record.
fn changed(act: &Act<'_>, mut next: Vec<u8>, after: &[u8]) -> Vec<u8> {
    match *act {
        Act::Change(at, by) => {
            let at = usize::from(at) % next.len().max(1);
            next.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= by);
        }
        Act::Shorten(by) => next.truncate(next.len().saturating_sub(by.into())),
        Act::Lengthen(bytes) if next.len() > HEAD => {
            return record(next[0], &[&next[HEAD..], bytes].concat());
        }
        Act::Drop => next.clear(),
        Act::Repeat(count) => return next.repeat((count % 8).into()),
        Act::Swap => return [after, &next].concat(),
        Act::Cut(at) if next.len() > HEAD => {
            let (one, other) = next[HEAD..].split_at(usize::from(at) % (next.len() - HEAD));
            return [record(next[0], one), record(next[0], other)].concat();
        }
        Act::Old => {
            // The extension supported_versions becomes one that nobody knows.
            if let Some(at) = next.windows(2).position(|it| it == [0, 0x2b]) {
                next[at..at + 2].fill(0xfa);
            }
        }
        _ => {}
    }
    next
}

/// A record of this kind.
fn record(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u16).to_be_bytes();
    [&[kind, 3, 3], &length[..], bytes].concat()
}

/// What one end says, record by record.
struct Source<'a> {
    from: &'a Way,
    held: Vec<u8>,
}

impl Source<'_> {
    /// The next record, or what there is at the end; empty if there is none.
    async fn record(&mut self) -> Vec<u8> {
        let (mut waited, mut pause) = (Duration::ZERO, Duration::from_millis(1));
        loop {
            self.held.extend(self.from.take());
            let length = match self.held[..] {
                [_, _, _, high, low, ..] => HEAD + usize::from(u16::from_be_bytes([high, low])),
                _ => HEAD,
            };
            if self.held.len() >= length {
                let after = self.held.split_off(length);
                return std::mem::replace(&mut self.held, after);
            }
            if self.from.is_over() || waited > SILENCE {
                return std::mem::take(&mut self.held);
            }
            sleep(pause).await;
            waited += pause;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }
}
