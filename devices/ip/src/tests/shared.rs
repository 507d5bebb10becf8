//! What programs share instead of writing it.

use super::*;
use core::future::poll_fn;
use devices::net::fault::{Fault, Faults};
use kernel::task::join;

/// Sends what is shared in pieces, and what is written in between, through a network that loses
/// frames, with checksums and segmentation left to the other side, or not.
fn sends(options: Options) {
    kernel::testing::simulate_time();
    block_on(async {
        let (a, b) = cable(options);
        let faults = Faults { lose: 50, reorder: 20, ..Faults::default() };
        let (a, b) = (stack(a, 1), stack(Fault::new(b, faults, 1), 2));
        let listener = Tcp::bind(&b, any(80)).await.unwrap();
        let (one, other) = join(a.connect(SocketAddr::new(B, 80)), listener.accept()).await;
        let (mut one, mut other) = (one.unwrap(), other.unwrap().0);
        let bytes = pattern(40_000);
        let shared = Shared::copy(&bytes).unwrap();
        let write = async {
            let mut sent = Vec::new();
            for round in 0..40_usize {
                let mut range = round * 100..40_000 - round * 700;
                sent.extend_from_slice(&bytes[range.clone()]);
                while !range.is_empty() {
                    let put = poll_fn(|context| one.poll_share(context, &shared, range.clone()));
                    range.start += put.await.unwrap();
                }
                let between = &bytes[..round * 37];
                one.write_all(between).await.unwrap();
                sent.extend_from_slice(between);
            }
            drop(shared);
            one.shutdown().await.unwrap();
            sent
        };
        let read = async {
            let (mut got, mut some) = (Vec::new(), [0; 5000]);
            loop {
                match other.read(&mut some).await.unwrap() {
                    0 => break got,
                    count => got.extend_from_slice(&some[..count]),
                }
            }
        };
        let (sent, got) = join(write, read).await;
        assert!(sent == got);
        // Beyond the end there is nothing, and of nothing nothing waits.
        let beyond = Shared::copy(&[1; 9]).unwrap();
        let (mut third, _) = (one, other);
        let refused = poll_fn(|context| third.poll_share(context, &beyond, 0..9)).await;
        assert_eq!(refused, Err(Error::Closed));
    });
}

#[test]
fn what_is_shared_arrives_in_order_with_what_is_written_and_through_losses() {
    sends(Options::default());
    sends(Options { transmit_blank: true, ..Options::default() });
    sends(Options { transmit_blank: true, transmit_large: 65_000, ..Options::default() });
}
