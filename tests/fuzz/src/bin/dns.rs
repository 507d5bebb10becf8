//! What a name server answers, over UDP and TCP.

#![no_main]

use embedded_io_async::{Read, Write};
use kernel::task::spawn;
use kernel::time::timeout;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use xenith::ip::config::Ipv4;
use xenith::ip::{Listener, Resolve, Settings, Socket, Stack, Stream, Tcp, Udp, any};
use xenith::net::cable::{Options, cable};
use xenith_fuzz::{frame, on_machine};

/// An answer.
#[derive(Arbitrary, Clone, Debug)]
enum Answer {
    /// Behind the question as it was asked.
    Records {
        flags: [u8; 2],
        counts: [u8; 3],
        records: Vec<Record>,
        rest: Vec<u8>,
    },
    /// Behind the number of the question.
    Rest(Vec<u8>),
    Raw(Vec<u8>),
    Silent,
}

#[derive(Arbitrary, Clone, Debug)]
struct Record {
    name: Name,
    kind: Kind,
    class: bool,
    length: Option<u16>,
    data: Vec<u8>,
}

#[derive(Arbitrary, Clone, Debug)]
enum Name {
    Question,
    Pointer(u16),
    Bytes(Vec<u8>),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Kind {
    A,
    Aaaa,
    Cname,
    Other(u16),
}

impl Record {
    fn put(&self, to: &mut Vec<u8>) {
        match &self.name {
            Name::Question => to.extend([0xc0, 12]),
            Name::Pointer(at) => to.extend((at | 0xc000).to_be_bytes()),
            Name::Bytes(bytes) => to.extend(bytes),
        }
        let (kind, length) = match self.kind {
            Kind::A => (1, 4),
            Kind::Aaaa => (28, 16),
            Kind::Cname => (5, self.data.len()),
            Kind::Other(kind) => (kind, self.data.len()),
        };
        to.extend(kind.to_be_bytes());
        to.extend([0, u8::from(!self.class), 0, 0, 0, 9]);
        to.extend(self.length.unwrap_or(length as u16).to_be_bytes());
        let mut data = self.data.clone();
        data.resize(length, 7);
        to.extend(data);
    }
}

impl Answer {
    fn to(&self, question: &[u8]) -> Option<Vec<u8>> {
        Some(match self {
            Self::Records { flags, counts, records, rest } => {
                let mut message = question.to_vec();
                message[2] = 0x81 ^ flags[0];
                message[3] = flags[1];
                for (at, count) in [7, 9, 11].into_iter().zip(counts) {
                    message[at] = *count;
                }
                message[7] = message[7].wrapping_add(records.len() as u8);
                records.iter().take(16).for_each(|record| record.put(&mut message));
                message.extend(rest);
                message
            }
            Self::Rest(rest) => [&question[..2], rest].concat(),
            Self::Raw(bytes) => bytes.clone(),
            Self::Silent => return None,
        })
    }
}

#[derive(Arbitrary, Debug)]
struct Input {
    name: String,
    answers: Vec<Answer>,
}

fuzz_target!(|input: Input| {
    on_machine(async {
        let (left, right) = cable(Options { capacity: 256, ..Options::default() });
        let ipv4 = Ipv4::Static(frame::PEER, 24);
        let there = Settings { ipv4, limits: frame::settings().limits, ..Settings::default() };
        let mut here = frame::settings();
        here.servers.push(frame::PEER.into()).expect("it is empty");
        let Some((server, client)) =
            Stack::start(left, there).ok().zip(Stack::start(right, here).ok())
        else {
            return;
        };
        let answers = Rc::new(RefCell::new(VecDeque::from(input.answers)));
        let by_datagram = spawn(datagrams(server.clone(), answers.clone()));
        let by_stream = spawn(streams(server, answers));
        let name = if input.name.is_empty() { "host.example" } else { &input.name };
        let result = timeout(Duration::from_secs(300), client.resolve(name)).await;
        let result = result.expect("a name takes for ever");
        assert!(result.is_err() || result.is_ok_and(|addresses| !addresses.is_empty()));
        drop((by_datagram, by_stream));
    });
});

type Answers = Rc<RefCell<VecDeque<Answer>>>;

async fn datagrams<S: Udp>(server: S, answers: Answers) {
    let Ok(socket) = server.bind(any(53)).await else { return };
    let mut message = [0; 600];
    while let Ok((length, from)) = socket.recv_from(&mut message).await {
        let answer = answers.borrow_mut().pop_front();
        if let Some(answer) = answer.and_then(|it| it.to(&message[..length])) {
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

async fn streams<S: Tcp>(server: S, answers: Answers) {
    let Ok(listener) = server.bind(any(53)).await else { return };
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut message = [0; 600];
        if stream.read_exact(&mut message[..2]).await.is_err() {
            continue;
        }
        let length = usize::from(u16::from_be_bytes([message[0], message[1]])).min(600);
        if stream.read_exact(&mut message[..length]).await.is_err() {
            continue;
        }
        let answer = answers.borrow_mut().pop_front();
        if let Some(answer) = answer.and_then(|it| it.to(&message[..length])) {
            let _ = stream.write_all(&(answer.len() as u16).to_be_bytes()).await;
            let _ = stream.write_all(&answer).await;
        }
        let _ = stream.close().await;
    }
}
