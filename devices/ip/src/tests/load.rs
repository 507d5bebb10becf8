//! What the stack does while there is far too much to do, and while there is nothing.

use super::hostile::{frames, raw, segment, send};
use super::*;
use crate::packet;
use crate::tcp::segment::{ACK, SYN};
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use devices::net::{Broken, Info, Meta};
use kernel::task::{join, spawn, yield_now};
use kernel::time::{sleep, timeout};
use std::rc::Rc;

#[test]
fn a_flood_of_syns_neither_blocks_nor_grows_n17() {
    raw(async |net, b| {
        let listener = Tcp::bind(&b, any(80)).await.unwrap();
        let before = b.sockets();
        let mut flood = 0_u32;
        let mut more = |count| {
            for _ in 0..count {
                let [_, x, y, z] = flood.to_be_bytes();
                let from = [10, 1 | x, y, 1 | z];
                send(&net, &segment(from, 1000 + u16::from(z), SYN, flood, 0), Meta::default());
                flood += 1;
            }
        };
        for _ in 0..50 {
            more(200);
            sleep(SECOND / 100).await;
            frames(&net);
        }
        assert_eq!(b.sockets(), before);
        assert!(b.stats().half_open <= settings(2).limits.half_open);
        assert!(b.stats().cookies > 9000);
        // A client in the middle of it, slower than the flood.
        let client = [10, 0, 0, 1];
        let accepted = spawn(async move { listener.accept().await.map(|(_, peer)| peer) });
        more(100);
        send(&net, &segment(client, 5000, SYN, 99, 0), Meta::default());
        more(100);
        sleep(SECOND / 100).await;
        let ours =
            frames(&net).iter().find_map(|frame| match packet::judge(frame, Meta::default()) {
                packet::Verdict::Tcp(it) if it.peer.ip() == B && it.local.port() == 5000 => {
                    assert_eq!((it.flags, it.ack.0), (SYN | ACK, 100));
                    Some(it.seq.0)
                }
                _ => None,
            });
        let ack = ours.unwrap().wrapping_add(1);
        more(1000);
        sleep(SECOND).await;
        frames(&net);
        // Whoever confirms another answer than was given is refused.
        for (ack, sequence) in [(ack.wrapping_add(1), 100), (ack, 101)] {
            send(&net, &segment(client, 5000, ACK, sequence, ack), Meta::default());
        }
        sleep(SECOND / 100).await;
        assert_eq!(b.sockets(), before);
        send(&net, &segment(client, 5000, ACK, 100, ack), Meta::default());
        assert_eq!(accepted.await.unwrap(), "10.0.0.1:5000".parse().unwrap());
        // An answer is good for two minutes at most.
        sleep(SECOND * 130).await;
        frames(&net);
        send(&net, &segment(client, 5000, ACK, 100, ack), Meta::default());
        sleep(SECOND / 100).await;
        assert_eq!(b.stats().accepted, 1);
        // All of it is forgotten in time.
        sleep(SECOND * 20).await;
        frames(&net);
        sleep(SECOND * 200).await;
        assert_eq!((b.stats().half_open, b.sockets()), (0, before));
    });
}

#[test]
fn a_flood_lets_other_tasks_run_n17() {
    kernel::testing::simulate_time();
    block_on(async {
        // What this stack sends comes back to it, and answers to that as well.
        let (left, right) = cable(Options { capacity: 4000, ..Options::default() });
        let b = stack(right, 2);
        yield_now().await;
        let turns = Rc::new(RefCell::new(Vec::new()));
        for n in 0..2000 {
            send(&left, &segment([10, 0, 0, 1], n, SYN, 1, 0), Meta::default());
        }
        while b.stats().received < 2000 {
            turns.borrow_mut().push(b.stats().received);
            yield_now().await;
        }
        assert!(turns.borrow().windows(2).all(|it| it[1] - it[0] <= 64));
    });
}

/// Twenty connections to a stack whose memory is full of what nobody reads: both ends of each.
async fn full(a: &Stack<End>, b: &Stack<End>) -> (Vec<TcpStream>, Vec<TcpStream>) {
    let listener = Tcp::bind(b, any(80)).await.unwrap();
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let (one, other) = join(a.connect(SocketAddr::new(B, 80)), listener.accept()).await;
        near.push(one.unwrap());
        far.push(other.unwrap().0);
    }
    for _ in 0..50 {
        for stream in &near[1..] {
            stream.try_write(&[7; 9000]).unwrap();
        }
        sleep(SECOND / 10).await;
    }
    (near, far)
}

/// A pair of stacks, the second of which has 64 KiB for all its connections.
fn scarce<F: Future>(run: impl FnOnce(Stack<End>, Stack<End>) -> F) {
    kernel::testing::simulate_time();
    block_on(async {
        let (left, right) = cable(Options::default());
        let limits = settings(2).limits.with_buffer(64 << 10);
        let limits = Limits { memory: 64 << 10, ..limits };
        let b = Stack::start(right, Settings { limits, ..settings(2) }).unwrap();
        run(stack(left, 1), b).await;
    });
}

#[test]
fn who_is_told_of_room_to_write_finds_it_however_little_memory_there_is() {
    scarce(async |a, b| {
        let (_near, far) = full(&a, &b).await;
        let mut context = Context::from_waker(Waker::noop());
        let mut refused = 0;
        for size in [1, 100, 5000] {
            for stream in &far {
                for _ in 0..50 {
                    let ready = stream.poll_writable(&mut context).map(Result::unwrap);
                    let written = stream.try_write(&pattern(size)).unwrap();
                    // A last little is not worth a word.
                    assert!(ready.is_pending() || written.is_some());
                    refused += usize::from(written.is_none());
                }
            }
        }
        assert!(refused > 0);
    });
}

#[test]
fn who_waits_for_memory_to_write_is_woken_when_others_gave_some_back() {
    scarce(async |a, b| {
        let (mut near, mut far) = full(&a, &b).await;
        let (mut first, mut reader) = (far.remove(0), near.remove(0));
        assert_eq!(first.try_write(b"x"), Ok(None));
        let written = spawn(async move {
            poll_fn(|context| first.poll_writable(context)).await.unwrap();
            first.write_all(&pattern(3000)).await.unwrap();
            first
        });
        sleep(SECOND * 10).await;
        assert!(!written.is_finished());
        let mut bytes = [0; 9000];
        for stream in &far {
            stream.try_read(&mut bytes).unwrap();
        }
        let mut got = [0; 3000];
        timeout(SECOND, reader.read_exact(&mut got)).await.unwrap().unwrap();
        assert!(got[..] == pattern(3000));
        drop(written);
    });
}

/// Counts how often it is asked for frames.
struct Counted(End, Rc<Cell<usize>>);

impl Net for Counted {
    fn info(&self) -> Info {
        self.0.info()
    }

    fn poll_receive(&self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.1.set(self.1.get() + 1);
        self.0.poll_receive(context)
    }

    fn receive<R>(&self, take: impl FnOnce(&[u8], Meta) -> R) -> Option<R> {
        self.0.receive(take)
    }

    fn poll_transmit(&self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.0.poll_transmit(context)
    }

    fn transmit<R>(&self, length: usize, fill: impl FnOnce(&mut [u8]) -> (R, Meta)) -> Option<R> {
        self.0.transmit(length, fill)
    }

    fn flush(&self) {
        self.0.flush();
    }
}

#[test]
fn who_has_nothing_to_do_sleeps() {
    kernel::testing::simulate_time();
    block_on(async {
        let count = Rc::new(Cell::new(0));
        let (left, right) = cable(Options::default());
        let a = stack(Counted(left, Rc::clone(&count)), 1);
        let b = Stack::start(right, Settings { ipv6: None, ..settings(2) }).unwrap();
        let listener = Tcp::bind(&b, any(80)).await.unwrap();
        let (one, other) = join(a.connect(SocketAddr::new(B, 80)), listener.accept()).await;
        let open = (one.unwrap(), other.unwrap().0);
        sleep(SECOND * 60).await;
        let before = count.get();
        sleep(SECOND * 4000).await;
        // For a sign of life every 40 s each way, its answer, and Ethernet addresses.
        assert!(count.get() - before < 4000 / 40 * 12, "{}", count.get() - before);
        drop(open);
        sleep(SECOND * 70).await;
        let before = count.get();
        sleep(SECOND * 4000).await;
        assert_eq!(count.get(), before);
    });
}
