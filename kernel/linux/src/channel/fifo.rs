//! Pipes with a name (fifo(7)).

use super::pipe::{Pipe, PipeEnd};
use crate::errno::Errno;
use crate::file::{Caller, File, Place};
use crate::stop::{Boxed, Load, Pages, Stop};
use alloc::boxed::Box;
use alloc::rc::Rc;
use kernel::user::Frame;
use linux_raw_sys::general::{O_ACCMODE, O_NONBLOCK, O_RDONLY, O_RDWR};

/// Opens a pipe that has a name. Who opens one side waits until somebody opens the other one.
///
/// # Errors
/// `ENXIO` for who does not wait and would write to nobody; [`Stop::Load`] until there is
/// somebody.
pub fn open(_: &dyn Caller, flags: u32, place: &Place) -> Result<Rc<dyn File>, Stop> {
    let pipe = pipe(place)?;
    let [reads, writes] = match flags & O_ACCMODE {
        O_RDONLY => [true, false],
        O_RDWR => [true, true],
        _ => [false, true],
    };
    let side = usize::from(writes);
    let alone = pipe.ends()[1 - side] == 0;
    if reads != writes && alone && !pipe.take_grant(side) {
        if flags & O_NONBLOCK == 0 {
            let opening = Rc::new(Opening { end: PipeEnd::open(&pipe, reads, writes), side });
            return Err(Stop::Load(Load { pages: opening, index: 0 }));
        }
        if writes {
            return Err(Errno::ENXIO.into());
        }
    }
    Ok(PipeEnd::open(&pipe, reads, writes))
}

/// The pipe of a name: what was in one that nobody has open any more is gone.
fn pipe(place: &Place) -> Result<Rc<Pipe>, Errno> {
    let mut slot = place.node.slot().ok_or(Errno::ENXIO)?.borrow_mut();
    if let Some(there) = slot.clone().and_then(|it| it.downcast::<Pipe>().ok())
        && there.is_open()
    {
        return Ok(there);
    }
    let new = Pipe::new();
    *slot = Some(Rc::clone(&new) as Rc<dyn core::any::Any>);
    Ok(new)
}

/// One side that waits for the other. It is open meanwhile, so that the other side finds it.
struct Opening {
    end: Rc<PipeEnd>,
    side: usize,
}

impl Pages for Opening {
    fn frame(&self, _: u64) -> Option<Frame> {
        None
    }

    fn size(&self) -> u64 {
        0
    }

    fn load(self: Rc<Self>, _: u64) -> Boxed<Result<(), Errno>> {
        Box::pin(async move {
            let pipe = Rc::clone(self.end.pipe());
            pipe.other_side(self.side).await;
            // The call that waits begins again, and finds that it has waited, even if the other
            // side is closed by then.
            pipe.grant(self.side);
            Ok(())
        })
    }

    fn dirty(&self, _: u64) -> Result<(), Errno> {
        Err(Errno::EACCES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{At, New, Open};
    use crate::memory::{Sink, Source};
    use crate::testing::thread;
    use crate::thread::Thread;
    use alloc::vec::Vec;
    use kernel::task::{block_on, join, yield_now};
    use linux_raw_sys::general::O_WRONLY;

    fn fifo() -> Rc<Thread> {
        let thread = thread();
        thread.system.tree.make(&*thread, None, b"/fifo", New::Pipe, 0o600).unwrap();
        thread
    }

    fn try_open(thread: &Thread, flags: u32) -> Result<Rc<Open>, Stop> {
        thread.system.tree.open(thread, None, b"/fifo", flags, 0)
    }

    /// Opens it as open(2) does, which begins again when it has waited.
    async fn open(thread: &Thread, flags: u32) -> Rc<Open> {
        loop {
            match try_open(thread, flags) {
                Ok(open) => return open,
                Err(Stop::Load(load)) => load.wait().await.unwrap(),
                Err(stop) => panic!("{stop:?}"),
            }
        }
    }

    #[test]
    fn each_side_waits_for_the_other_however_short_that_is_there() {
        let thread = fifo();
        for [first, second] in [[O_RDONLY, O_WRONLY], [O_WRONLY, O_RDONLY]] {
            block_on(join(open(&thread, first), async {
                yield_now().await;
                drop(open(&thread, second).await);
            }));
        }
        // Nothing is left of them.
        assert!(matches!(try_open(&thread, O_RDONLY), Err(Stop::Load(_))));
    }

    #[test]
    fn bytes_pass_and_who_does_not_wait_is_told_that_nobody_reads() {
        let thread = fifo();
        let alone = try_open(&thread, O_WRONLY | O_NONBLOCK);
        assert!(matches!(alone, Err(Stop::Fail(Errno::ENXIO))));
        let reader = try_open(&thread, O_RDONLY | O_NONBLOCK).unwrap();
        let writer = try_open(&thread, O_WRONLY | O_NONBLOCK).unwrap();
        writer.file.write(&writer, At::Position, &mut Source::kernel(b"hello")).unwrap();
        let mut bytes = Vec::new();
        reader.file.read(&reader, At::Position, &mut Sink::kernel(&mut bytes, 9)).unwrap();
        assert_eq!(bytes, b"hello");
        writer.file.write(&writer, At::Position, &mut Source::kernel(b"lost")).unwrap();
        drop((reader, writer));
        // Its bytes go with the last who had it open.
        let both = try_open(&thread, O_RDWR).unwrap();
        let read = both.file.read(&both, At::Position, &mut Sink::kernel(&mut bytes, 9));
        assert!(matches!(read, Err(Stop::Wait)));
    }
}
