//! Pipes with a name (fifo(7)).

use super::pipe::{Pipe, PipeEnd};
use crate::errno::Errno;
use crate::file::{Caller, File, Place};
use crate::stop::Stop;
use alloc::rc::Rc;
use linux_raw_sys::general::{O_ACCMODE, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY};

/// Opens a pipe that has a name. Who opens one side waits until somebody opens the other one,
/// which is for the call to do ([`PipeEnd::other_side`]): the end is open meanwhile, so that the
/// other side finds it.
///
/// # Errors
/// `ENXIO` for who does not wait and would write to nobody; `EINVAL` for who does neither.
pub fn open(_: &dyn Caller, flags: u32, place: &Place) -> Result<Rc<dyn File>, Stop> {
    let pipe = pipe(place)?;
    let [reads, writes] = match flags & O_ACCMODE {
        O_RDONLY => [true, false],
        O_RDWR => [true, true],
        O_WRONLY => [false, true],
        _ => return Err(Errno::EINVAL.into()),
    };
    if writes && !reads && flags & O_NONBLOCK != 0 && pipe.ends()[0] == 0 {
        return Err(Errno::ENXIO.into());
    }
    Ok(PipeEnd::open_named(&pipe, reads, writes))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::CAPACITY;
    use crate::file::{At, New, Open};
    use crate::memory::{Sink, Source};
    use crate::testing::thread;
    use crate::thread::Thread;
    use crate::watch::Ready;
    use alloc::vec;
    use alloc::vec::Vec;
    use kernel::task::{block_on, join, yield_now};

    fn fifo() -> Rc<Thread> {
        let thread = thread();
        thread.system.tree.make(&*thread, None, b"/fifo", New::Pipe, 0o600).unwrap();
        thread
    }

    fn try_open(thread: &Thread, flags: u32) -> Result<Rc<Open>, Stop> {
        thread.system.tree.open(thread, None, b"/fifo", flags, 0)
    }

    /// Opens it as open(2) does.
    async fn open(thread: &Thread, flags: u32) -> Rc<Open> {
        let open = try_open(thread, flags).unwrap();
        if let Some(other) = open.as_kind::<PipeEnd>().unwrap().other_side() {
            other.await;
        }
        open
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
        let alone = try_open(&thread, O_RDONLY).unwrap();
        assert!(alone.as_kind::<PipeEnd>().unwrap().other_side().is_some());
    }

    #[test]
    fn a_reader_hears_that_nobody_writes_once_somebody_has() {
        let thread = fifo();
        let reader = try_open(&thread, O_RDONLY | O_NONBLOCK).unwrap();
        assert_eq!(reader.file.ready(), Ready::empty());
        drop(try_open(&thread, O_WRONLY).unwrap());
        assert_eq!(reader.file.ready(), Ready::HUP);
        // A later one has seen nobody.
        let later = try_open(&thread, O_RDONLY | O_NONBLOCK).unwrap();
        assert_eq!(later.file.ready(), Ready::empty());
        let writer = try_open(&thread, O_WRONLY).unwrap();
        let third = try_open(&thread, O_RDONLY).unwrap();
        drop(writer);
        assert_eq!([&later, &third].map(|it| it.file.ready()), [Ready::HUP; 2]);
    }

    #[test]
    fn who_reads_and_writes_is_told_of_room_that_another_reader_made() {
        let thread = fifo();
        let both = try_open(&thread, O_RDWR).unwrap();
        let reader = try_open(&thread, O_RDONLY).unwrap();
        let write =
            |count| both.file.write(&both, At::Position, &mut Source::kernel(&vec![1; count]));
        write(CAPACITY).unwrap();
        let changes = both.file.watch().unwrap().changes();
        assert!(matches!(write(1), Err(Stop::Wait)));
        reader.file.read(&reader, At::Position, &mut Sink::kernel(&mut Vec::new(), 1)).unwrap();
        assert!(both.file.watch().unwrap().changes() > changes);
        write(1).unwrap();
    }

    #[test]
    fn bytes_pass_and_who_does_not_wait_is_told_that_nobody_reads() {
        let thread = fifo();
        let alone = try_open(&thread, O_WRONLY | O_NONBLOCK);
        assert!(matches!(alone, Err(Stop::Fail(Errno::ENXIO))));
        let neither = try_open(&thread, O_ACCMODE);
        assert!(matches!(neither, Err(Stop::Fail(Errno::EINVAL))));
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
