//! What is copied of a frame, and when.

use super::*;
use core::cell::Cell;
use core::task::{Context, Poll};
use devices::net::cable::End;
use devices::net::{Broken, Frame, Info, Meta};
use kernel::task::join;
use std::rc::Rc;

/// Remembers the longest piece that was read of a frame behind its beginning, and how many
/// bytes were.
struct Watched(End, Rc<Cell<(usize, usize)>>);

impl Net for Watched {
    fn info(&self) -> Info {
        self.0.info()
    }

    fn poll_receive(&self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.0.poll_receive(context)
    }

    fn receive<R>(&self, take: impl FnOnce(&[u8], Meta) -> R) -> Option<R> {
        self.0.receive(take)
    }

    fn receive_apart<R>(&self, take: impl FnOnce(Frame<'_>, Meta) -> R) -> Option<R> {
        self.0.receive(|frame, meta| {
            let (mut buffer, mut rest) = (Vec::new(), frame);
            let mut read = |to: &mut [u8]| {
                if rest.len() < frame.len() {
                    let (longest, all) = self.1.get();
                    self.1.set((longest.max(to.len()), all + to.len()));
                }
                let (now, later) = rest.split_at(to.len());
                to.copy_from_slice(now);
                rest = later;
            };
            take(Frame::apart(frame.len(), &mut buffer, &mut read).unwrap(), meta)
        })
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
fn what_comes_in_order_is_copied_to_where_it_stays_and_nowhere_else() {
    kernel::testing::simulate_time();
    // Whose checksum nobody vouches for is copied first, and then judged (rule N9).
    for vouched in [true, false] {
        let large = if vouched { 65535 } else { 0 };
        let options =
            Options { transmit_blank: vouched, transmit_large: large, ..Options::default() };
        let (left, right) = cable(options);
        let read = Rc::new(Cell::default());
        block_on(async {
            let a = stack(left, 1);
            let b = stack(Watched(right, Rc::clone(&read)), 2);
            let listener = Tcp::bind(&b, any(80)).await.unwrap();
            let (one, other) = join(a.connect(SocketAddr::new(B, 80)), listener.accept()).await;
            let (mut one, mut other) = (one.unwrap(), other.unwrap().0);
            let bytes = pattern(1 << 20);
            let mut got = std::vec![0; bytes.len()];
            let (sent, came) = join(one.write_all(&bytes), other.read_exact(&mut got)).await;
            sent.unwrap();
            came.unwrap();
            assert!(got == bytes);
            let (longest, all) = read.get();
            assert!(all > bytes.len() * 9 / 10, "{all}");
            if vouched {
                // Pieces that fit into a chunk of the pool each.
                assert!(longest <= 4096, "{longest}");
            } else {
                assert_eq!(longest, 1514 - 128);
            }
        });
    }
}
