//! What the fuzz targets share: a machine that begins anew with each input, and
//! frames whose checksums are right, so that they get further than that.
//!
//! A target is a file in `src/bin`, and its name is that of its corpus. An input is a list of acts
//! of a peer, or of bytes, and must always do the same: time and randomness are simulated, and
//! nothing is left when it ends.

pub mod disk;
pub mod frame;
pub mod stream;
pub mod tls;
pub mod whose;
pub mod wire;

use kernel::suspend::Outcome;
use kernel::task::{block_on, select};
use kernel::time::sleep;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use xen::DomId;
use xen::fake::Fake;

/// How long the fake hypervisor sleeps between two looks when something happens.
const MOMENT: Duration = Duration::from_millis(1);

/// Runs `test` on a machine without devices.
pub fn on_machine<T>(test: impl Future<Output = T>) -> T {
    kernel::testing::simulate_time();
    kernel::testing::simulate_randomness();
    block_on(async {
        let result = test.await;
        // What was dropped is cancelled when it next has its turn.
        sleep(Duration::from_secs(1)).await;
        result
    })
}

/// Suspends the guest, which goes on as domain `new`, or with `None` as the same one.
pub async fn suspend(fake: &Fake, new: Option<u8>) {
    let new = new.map(|new| DomId(1 + u16::from(new) % 4));
    kernel::testing::suspend(|| {
        fake.suspend(new);
        new.map_or(Outcome::Cancelled, |_| Outcome::Renewed)
    })
    .await;
}

/// Runs `test` in a domain of the fake hypervisor.
pub fn on_fake<F: Future<Output = ()>>(test: impl FnOnce(Rc<Fake>) -> F) {
    let fake = Rc::new(Fake::new());
    on_machine(async {
        let ticks = async {
            let mut pause = MOMENT;
            loop {
                let busy = fake.step();
                xen::evtchn::scan();
                // Nothing happens for seconds while the guest waits for a time limit.
                pause = if busy { MOMENT } else { (pause * 2).min(MOMENT * 64) };
                sleep(pause).await;
            }
        };
        let whole = async {
            test(fake.clone()).await;
            sleep(Duration::from_secs(1)).await;
        };
        select(pin!(whole), pin!(ticks)).await;
    });
}
