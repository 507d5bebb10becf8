//! Names.

use super::*;
use embedded_io_async::{Read, Write};
use kernel::task::spawn;
use kernel::time::{Instant, sleep};

/// What a server answers to a question: its bytes behind the question, and the flags.
type Reply = fn(u16) -> (u8, u8, Vec<u8>);

/// Changes a question into its answer.
fn answer(question: &[u8], reply: Reply) -> Vec<u8> {
    let mut message = question.to_vec();
    let kind = u16::from_be_bytes([question[question.len() - 4], question[question.len() - 3]]);
    let (flags, code, records) = reply(kind);
    message[2] = 0x81 | flags;
    message[3] = code;
    message[7] = u8::from(!records.is_empty());
    message.extend(records);
    message
}

fn record(kind: u8, data: &[u8]) -> Vec<u8> {
    let head = [0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 9, 0, data.len() as u8];
    [&head[..], data].concat()
}

/// Both sorts of address.
fn both(kind: u16) -> (u8, u8, Vec<u8>) {
    let data = if kind == 1 { record(1, &[10, 0, 0, 9]) } else { record(28, &[0xfd; 16]) };
    (0, 0, data)
}

/// Answers questions by UDP, and whoever asks for more by TCP.
fn serve<N: Net + 'static>(stack: &Stack<N>, reply: Reply, at_length: Reply) {
    let here = stack.clone();
    spawn(async move {
        let socket = Udp::bind(&here, any(53)).await.unwrap();
        let mut message = [0; 512];
        loop {
            let Ok((length, from)) = socket.recv_from(&mut message).await else { return };
            // Nobody would know these.
            let mut spoofed = answer(&message[..length], |_| (0, 0, record(1, &[6, 6, 6, 6])));
            spoofed[0] ^= 1;
            socket.send_to(&spoofed, from).await.unwrap();
            spoofed[0] ^= 1;
            let other = Udp::bind(&here, any(0)).await.unwrap();
            other.send_to(&spoofed, from).await.unwrap();
            sleep(SECOND / 100).await;
            socket.send_to(&answer(&message[..length], reply), from).await.unwrap();
        }
    })
    .detach();
    let here = stack.clone();
    spawn(async move {
        let listener = Tcp::bind(&here, any(53)).await.unwrap();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut message = [0; 512];
            stream.read_exact(&mut message[..2]).await.unwrap();
            let length = usize::from(u16::from_be_bytes([message[0], message[1]]));
            stream.read_exact(&mut message[..length]).await.unwrap();
            let message = answer(&message[..length], at_length);
            stream.write_all(&(message.len() as u16).to_be_bytes()).await.unwrap();
            stream.write_all(&message).await.unwrap();
            let _ = stream.close().await;
        }
    })
    .detach();
}

/// Runs a test with a stack that asks these servers; one answers at [`B`].
fn asking<F: Future>(
    servers: &[IpAddr],
    reply: Reply,
    at_length: Reply,
    run: impl FnOnce(Stack<End>, Stack<End>) -> F,
) {
    kernel::testing::simulate_time();
    block_on(async {
        let (left, right) = cable(Options::default());
        let servers = servers.iter().copied().collect();
        let a = Stack::start(left, Settings { servers, ..settings(1) }).unwrap();
        let b = stack(right, 2);
        serve(&b, reply, at_length);
        run(a, b).await;
    });
}

#[test]
fn names_have_the_addresses_that_the_server_says_whoever_else_answers_s5() {
    asking(&[B], both, both, |a, _b| async move {
        let found = a.resolve("www.example.org").await.unwrap();
        // The way to the other one is not known.
        assert_eq!(found, [IpAddr::from([10, 0, 0, 9]), IpAddr::from([0xfd; 16])]);
        assert_eq!(a.resolve("10.1.2.3").await.unwrap(), [IpAddr::from([10, 1, 2, 3])]);
        assert_eq!(a.resolve("fd00::7").await.unwrap().len(), 1);
        assert_eq!(a.resolve("no name").await, Err(Error::BadName));
    });
}

#[test]
fn a_name_that_is_not_there_is_said_so_at_once() {
    asking(
        &[B],
        |_| (0, 3, Vec::new()),
        both,
        |a, _b| async move {
            let begun = Instant::now();
            assert_eq!(a.resolve("nowhere.example.org").await, Err(Error::NoSuchName));
            assert!(begun.elapsed() < SECOND);
        },
    );
}

#[test]
fn another_server_is_asked_when_one_is_silent_or_fails() {
    let silent = IpAddr::from([10, 0, 0, 77]);
    asking(&[silent, B], both, both, |a, _b| async move {
        assert_eq!(a.resolve("www.example.org").await.unwrap().len(), 2);
    });
    asking(
        &[B6, B],
        |_| (0, 2, Vec::new()),
        both,
        |a, _b| async move {
            assert_eq!(a.resolve("www.example.org").await, Err(Error::BadName));
        },
    );
    asking(&[silent], both, both, |a, _b| async move {
        let begun = Instant::now();
        assert_eq!(a.resolve("www.example.org").await, Err(Error::TimedOut));
        assert_eq!(begun.elapsed(), SECOND * 7);
        sleep(SECOND).await;
    });
    asking(&[], both, both, |a, _b| async move {
        assert_eq!(a.resolve("www.example.org").await, Err(Error::NoServer));
    });
}

#[test]
fn a_machine_that_serves_no_names_says_so_at_once() {
    kernel::testing::simulate_time();
    block_on(async {
        let (left, right) = cable(Options::default());
        let servers = [B, B6].into_iter().collect();
        let a = Stack::start(left, Settings { servers, ..settings(1) }).unwrap();
        let _b = stack(right, 2);
        let begun = Instant::now();
        assert_eq!(a.resolve("www.example.org").await, Err(Error::Refused));
        assert!(begun.elapsed() < SECOND);
    });
}

#[test]
fn answers_that_are_cut_short_come_by_tcp() {
    asking(
        &[B],
        |_| (2, 0, Vec::new()),
        both,
        |a, b| async move {
            assert_eq!(a.resolve("www.example.org").await.unwrap().len(), 2);
            assert_eq!(b.stats().accepted, 2);
        },
    );
}
