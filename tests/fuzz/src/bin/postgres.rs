//! What a PostgreSQL server says, to who has a password and to who has none.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use pgx::{Connection, Error, Login, Row};
use std::cell::RefCell;
use std::rc::Rc;
use xenith_fuzz::on_machine;
use xenith_fuzz::stream::{Script, split};

/// A message of the server.
#[derive(Arbitrary, Debug)]
enum Message {
    /// With the right length.
    Whole(Kind, Vec<u8>),
    Row(Vec<Option<Vec<u8>>>),
    Columns(Vec<[u8; 3]>),
    Login(u8, Vec<u8>),
    Raw(Vec<u8>),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Kind {
    Ready,
    Error,
    Notice,
    Complete,
    Row,
    Columns,
    Login,
    Other(u8),
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Ready => b'Z',
            Self::Error => b'E',
            Self::Notice => b'N',
            Self::Complete => b'C',
            Self::Row => b'D',
            Self::Columns => b'T',
            Self::Login => b'R',
            Self::Other(byte) => byte,
        }
    }
}

/// Puts `body` behind its type and length.
fn whole(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &(body.len() as u32 + 4).to_be_bytes()[..], body].concat()
}

impl Message {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Whole(kind, body) => whole(kind.byte(), body),
            Self::Row(values) => {
                let mut body = (values.len() as u16).to_be_bytes().to_vec();
                for value in values {
                    let length = value.as_ref().map_or(-1, |value| value.len() as i32);
                    body.extend(length.to_be_bytes());
                    body.extend(value.iter().flatten());
                }
                whole(b'D', &body)
            }
            Self::Columns(names) => {
                let mut body = (names.len() as u16).to_be_bytes().to_vec();
                for name in names {
                    body.extend(name);
                    body.extend([0; 19]);
                }
                whole(b'T', &body)
            }
            Self::Login(kind, rest) => {
                whole(b'R', &[&[0, 0, 0, *kind % 16], rest.as_slice()].concat())
            }
            Self::Raw(bytes) => bytes.clone(),
        }
    }
}

#[derive(Arbitrary, Debug)]
struct Input {
    password: bool,
    messages: Vec<Message>,
    sizes: [u8; 3],
}

/// The most bytes of a message.
const LIMIT: u32 = 4096;

fuzz_target!(|input: Input| {
    let says: Vec<u8> = input.messages.iter().flat_map(Message::bytes).collect();
    let pieces = split(&says, &input.sizes.map(usize::from));
    let password = input.password.then_some("open sesame");
    on_machine(async {
        let stream = Script::new(pieces, Rc::new(RefCell::new(Vec::new())));
        let login = Login { user: "u", database: "d", password };
        let Ok(mut connection) = Connection::new(stream, &login, LIMIT).await else { return };
        // Nobody proves the password without its salt and rounds, which this one makes up.
        assert!(password.is_none(), "a server is believed");
        let mut bytes = 0;
        for _ in 0..4 {
            let answer = connection
                .query("select $1", &[Some("x"), None], async |row: &Row<'_>| {
                    assert!(row.iter().count() == row.names().len());
                    bytes += row.iter().flatten().map(<[u8]>::len).sum::<usize>();
                })
                .await;
            if answer.is_err_and(|error| !matches!(error, Error::Server(_))) {
                break;
            }
        }
        assert!(bytes <= says.len());
    });
});
