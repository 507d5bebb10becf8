//! The content of a file in memory: pages that were written, and pages of the disk below.

use super::super::{At, File, Inode, Open, Stat};
use super::{Body, Node};
use crate::errno::Errno;
use crate::file::Caller;
use crate::memory::{Sink, Source, is_tight, zeros};
use crate::stop::{Boxed, Load, Pages, Stop, TURN, boxed};
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::any::Any;
use core::cell::{Cell, RefCell};
use kernel::user::{Frame, PAGE};
use linux_raw_sys::general::{
    FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE, O_APPEND, SEEK_CUR, SEEK_DATA,
    SEEK_END, SEEK_HOLE, SEEK_SET,
};

/// The most bytes of a file (`MAX_LFS_FILESIZE`).
pub(super) const LARGEST: u64 = i64::MAX as u64;

/// Pages of the disk that are read at once: 64 KiB.
const AHEAD: u64 = 16;

/// What a page that was written takes of the budget, in bytes.
const COST: usize = PAGE + 64;

/// The content of a file.
pub(super) struct Content {
    size: Cell<u64>,
    /// So many bytes of the disk's file count where no page is in memory.
    below: Cell<u64>,
    pages: RefCell<BTreeMap<u64, Page>>,
    /// Pages that were written.
    dirty: Cell<u64>,
    /// `F_ADD_SEALS`; `None` where there can be none.
    pub(super) seals: Cell<Option<u32>>,
}

struct Page {
    frame: Frame,
    /// It is not as on the disk, or is on none.
    dirty: bool,
    /// It was used since it was last looked at to be forgotten.
    used: Cell<bool>,
}

const SIZE: u64 = PAGE as u64;

impl Content {
    pub(super) const fn new(below: u64) -> Self {
        Self {
            size: Cell::new(below),
            below: Cell::new(below),
            pages: RefCell::new(BTreeMap::new()),
            dirty: Cell::new(0),
            seals: Cell::new(None),
        }
    }

    pub(super) const fn size(&self) -> u64 {
        self.size.get()
    }

    /// Returns how many blocks of 512 bytes it takes.
    pub(super) fn blocks(&self) -> u64 {
        let below = self.below.get().div_ceil(512);
        below.max(self.dirty.get() * (SIZE / 512))
    }

    fn frame(&self, index: u64) -> Option<Frame> {
        let pages = self.pages.borrow();
        let page = pages.get(&index)?;
        page.used.set(true);
        Some(page.frame.clone())
    }

    /// Returns where the next hole is from `offset` on, or what is none; the end of the file is a
    /// hole (lseek(2)). What the disk has counts as no hole.
    fn edge(&self, offset: u64, hole: bool) -> Option<u64> {
        let size = self.size.get();
        if offset >= size {
            return None;
        }
        let pages = self.pages.borrow();
        let mut index = offset / SIZE;
        if !hole {
            if self.is_below(index) {
                return Some(offset);
            }
            let next = pages.range(index..).next().map(|(&it, _)| (it * SIZE).max(offset));
            return next.filter(|&it| it < size);
        }
        index = index.max(self.below.get().div_ceil(SIZE));
        for (&page, _) in pages.range(index..) {
            if page != index {
                break;
            }
            index += 1;
        }
        Some((index * SIZE).clamp(offset, size))
    }

    /// Whether the disk has something of that page.
    const fn is_below(&self, index: u64) -> bool {
        index < self.below.get().div_ceil(SIZE)
    }
}

impl Node {
    fn file(&self) -> Result<&Content, Errno> {
        self.content().ok_or(Errno::EINVAL)
    }

    fn load(&self, index: u64) -> Stop {
        match self.me.upgrade() {
            Some(pages) => Stop::Load(Load { pages, index }),
            None => Errno::EIO.into(),
        }
    }

    /// Has pages of the disk in so many bytes at most.
    #[cfg(test)]
    pub(in super::super) fn keep_in(&self, bytes: usize) {
        self.store.room.set(bytes);
    }

    /// Forgets a page that is as on the disk. Returns whether it did; `None` if there is none.
    pub(super) fn forget_page(&self, index: u64) -> Option<bool> {
        // Room may be looked for while one of these pages is about to be written.
        let Ok(mut pages) = self.content()?.pages.try_borrow_mut() else { return Some(false) };
        let page = pages.get(&index).filter(|it| !it.dirty)?;
        if page.used.replace(false) || page.frame.is_shared() {
            return Some(false);
        }
        pages.remove(&index);
        Some(true)
    }

    /// Returns page `index` to be written. `whole`: all of it will be.
    fn writable(&self, index: u64, whole: bool) -> Result<Frame, Stop> {
        let content = self.file()?;
        let known = content.pages.borrow().get(&index).map(|it| (it.frame.clone(), it.dirty));
        let known = match known {
            Some((frame, true)) => return Ok(frame),
            Some((frame, false)) => Some(frame),
            None if !whole && content.is_below(index) => return Err(self.load(index)),
            None => None,
        };
        // Nothing is borrowed: other pages of this file may be forgotten for it. This one stays, as two
        // have a share of it.
        self.alter()?;
        self.spend(COST)?;
        let Some(frame) = known.or_else(Frame::new) else {
            self.refund(COST);
            return Err(Errno::ENOSPC.into());
        };
        let mut pages = content.pages.borrow_mut();
        let new = || Page { frame: frame.clone(), dirty: true, used: Cell::new(true) };
        pages.entry(index).or_insert_with(new).dirty = true;
        content.dirty.update(|it| it + 1);
        Ok(frame)
    }

    /// Reads from `offset` on.
    fn read_at(&self, offset: u64, to: &mut Sink<'_>) -> Result<usize, Stop> {
        let content = self.file()?;
        let left = content.size.get().saturating_sub(offset);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(to.left()).min(TURN);
        let mut done = 0;
        while done < count {
            let at = offset + done as u64;
            let (index, within) = (at / SIZE, (at % SIZE) as usize);
            let part = (PAGE - within).min(count - done);
            let put = match content.frame(index) {
                Some(frame) if part <= 256 => {
                    let mut piece = [0; 256];
                    frame.read(within, &mut piece[..part]);
                    to.put(&piece[..part])
                }
                Some(frame) => {
                    let mut piece = [0; PAGE];
                    frame.read(within, &mut piece[..part]);
                    to.put(&piece[..part])
                }
                // Where it is put to has to be there first: one page would be forgotten for the other, and the
                // other for that one, where memory is scarce.
                None if content.is_below(index) => Err(match to.check(part) {
                    Err(load @ Stop::Load(_)) => load,
                    _ => self.load(index),
                }),
                None => to.put(&zeros()[..part]),
            };
            match put {
                Ok(put) => {
                    done += put;
                    if put < part {
                        break;
                    }
                }
                Err(stop) if done == 0 => return Err(stop),
                Err(_) => break,
            }
        }
        self.touch_access();
        Ok(done)
    }

    /// Writes from `offset` on.
    fn write_at(&self, offset: u64, from: &mut Source<'_>) -> Result<usize, Stop> {
        use linux_raw_sys::general::{F_SEAL_FUTURE_WRITE, F_SEAL_GROW, F_SEAL_WRITE};
        let content = self.file()?;
        let mut count = from.left();
        if count == 0 {
            return Ok(0);
        }
        if offset >= LARGEST {
            return Err(Errno::EFBIG.into());
        }
        count = count.min(usize::try_from(LARGEST - offset).unwrap_or(usize::MAX));
        let seals = content.seals.get().unwrap_or(0);
        if seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) != 0 {
            return Err(Errno::EPERM.into());
        }
        if seals & F_SEAL_GROW != 0 {
            let room = content.size.get().saturating_sub(offset);
            count = count.min(usize::try_from(room).unwrap_or(usize::MAX));
            if count == 0 {
                return Err(Errno::EPERM.into());
            }
        }
        // Who called writes the rest, after others have run.
        count = count.min(TURN);
        let mut done = 0;
        let mut piece = [0; PAGE];
        while done < count {
            let at = offset + done as u64;
            let (index, within) = (at / SIZE, (at % SIZE) as usize);
            let part = (PAGE - within).min(count - done);
            let step = from.peek(&mut piece[..part]).and_then(|got| {
                let frame = self.writable(index, within == 0 && got == PAGE)?;
                frame.write(within, &piece[..got]);
                Ok(got)
            });
            match step {
                Ok(got) => {
                    from.skip(got);
                    done += got;
                    content.size.set(content.size.get().max(at + got as u64));
                    if got < part {
                        break;
                    }
                }
                Err(stop) if done == 0 => return Err(stop),
                Err(_) => break,
            }
        }
        if done > 0 {
            self.touch_content();
        }
        Ok(done)
    }

    /// Changes the size.
    pub(super) fn set_size(&self, size: u64) -> Result<(), Stop> {
        use linux_raw_sys::general::{F_SEAL_GROW, F_SEAL_SHRINK};
        let content = match &self.body {
            Body::File(content) => content,
            Body::Folder(_) => return Err(Errno::EISDIR.into()),
            _ => return Err(Errno::EINVAL.into()),
        };
        if size > LARGEST {
            return Err(Errno::EFBIG.into());
        }
        let (old, seals) = (content.size.get(), content.seals.get().unwrap_or(0));
        if size > old && seals & F_SEAL_GROW != 0 || size < old && seals & F_SEAL_SHRINK != 0 {
            return Err(Errno::EPERM.into());
        }
        self.alter()?;
        // What was reserved behind the end goes as well.
        if size <= old {
            content.below.set(content.below.get().min(size));
            let dropped = content.pages.borrow_mut().split_off(&size.div_ceil(SIZE));
            let dirty = dropped.values().filter(|it| it.dirty).count();
            content.dirty.update(|it| it - dirty as u64);
            self.refund(dirty * COST);
            let within = (size % SIZE) as usize;
            if within > 0
                && let Some(page) = content.pages.borrow().get(&(size / SIZE))
            {
                page.frame.fill(within, PAGE - within, 0);
            }
        }
        content.size.set(size);
        self.touch_content();
        Ok(())
    }

    /// Makes room, or holes (fallocate(2)).
    fn allocate_range(&self, mode: u32, offset: u64, length: u64) -> Result<(), Stop> {
        use linux_raw_sys::general::F_SEAL_GROW;
        let content = self.file()?;
        let end = offset.checked_add(length).filter(|&end| end <= LARGEST).ok_or(Errno::EFBIG)?;
        let keep = mode & FALLOC_FL_KEEP_SIZE != 0;
        match mode & !FALLOC_FL_KEEP_SIZE {
            0 => {
                let sealed = content.seals.get().unwrap_or(0) & F_SEAL_GROW != 0;
                if sealed && end > content.size.get() {
                    return Err(Errno::EPERM.into());
                }
                // What has a page is not without room later.
                for index in offset / SIZE..end.div_ceil(SIZE) {
                    if let Err(stop) = self.writable(index, false) {
                        if matches!(stop, Stop::Fail(_)) {
                            self.set_size(content.size.get())?;
                        }
                        return Err(stop);
                    }
                }
            }
            FALLOC_FL_PUNCH_HOLE if keep => self.clear(offset, end)?,
            FALLOC_FL_ZERO_RANGE => self.clear(offset, end)?,
            _ => return Err(Errno::EOPNOTSUPP.into()),
        }
        if !keep && end > content.size.get() {
            self.set_size(end)?;
        }
        self.touch_content();
        Ok(())
    }

    /// Zeros a range.
    fn clear(&self, offset: u64, end: u64) -> Result<(), Stop> {
        use linux_raw_sys::general::{F_SEAL_FUTURE_WRITE, F_SEAL_WRITE};
        let content = self.file()?;
        if content.seals.get().unwrap_or(0) & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) != 0 {
            return Err(Errno::EPERM.into());
        }
        let end = end.min(content.size.get());
        // What the disk has beyond the end of the range must be kept, so pages there are zeroed
        // one by one; nothing else is made.
        let mut at = offset;
        while at < end {
            let (index, within) = (at / SIZE, (at % SIZE) as usize);
            let part = (PAGE - within).min(usize::try_from(end - at).unwrap_or(PAGE));
            let whole = part == PAGE;
            let next = if content.pages.borrow().contains_key(&index) || content.is_below(index) {
                if whole && !content.is_below(index) {
                    let mut pages = content.pages.borrow_mut();
                    // Who has it mapped sees the zeros, and goes on writing to it.
                    if let Some(page) = pages.get(&index).filter(|it| it.frame.is_shared()) {
                        page.frame.fill(0, PAGE, 0);
                    } else if pages.remove(&index).is_some_and(|it| it.dirty) {
                        content.dirty.update(|it| it - 1);
                        self.refund(COST);
                    }
                } else {
                    self.writable(index, whole)?.fill(within, part, 0);
                }
                index + 1
            } else {
                // On to the next page that there is.
                let pages = content.pages.borrow();
                pages.range(index..).next().map_or(u64::MAX / SIZE, |(&next, _)| next)
            };
            at = next.saturating_mul(SIZE);
        }
        self.touch_content();
        Ok(())
    }
}

impl File for Node {
    fn read(&self, open: &Open, at: At, to: &mut Sink<'_>) -> Result<usize, Stop> {
        match at {
            At::Offset(offset) => self.read_at(offset, to),
            At::Position => {
                let offset = open.position.get();
                let count = self.read_at(offset, to)?;
                open.position.set(offset + count as u64);
                Ok(count)
            }
        }
    }

    fn write(&self, open: &Open, at: At, from: &mut Source<'_>) -> Result<usize, Stop> {
        // With O_APPEND, pwrite(2) appends as well.
        let appends = open.flags() & O_APPEND != 0;
        let offset = match at {
            _ if appends => self.file()?.size(),
            At::Offset(offset) => offset,
            At::Position => open.position.get(),
        };
        let count = self.write_at(offset, from)?;
        // What writes nothing moves nothing, though it appends.
        if at == At::Position && count > 0 {
            open.position.set(offset + count as u64);
        }
        Ok(count)
    }

    fn stat(&self) -> Result<Stat, Stop> {
        Ok(Inode::stat(self))
    }

    fn seek(&self, open: &Open, offset: i64, whence: u32) -> Result<u64, Stop> {
        let size = self.file()?.size();
        let base = match whence {
            SEEK_SET => 0,
            SEEK_CUR => open.position.get(),
            SEEK_END => size,
            SEEK_DATA | SEEK_HOLE => {
                let offset = u64::try_from(offset).map_err(|_| Errno::ENXIO)?;
                let to = self.file()?.edge(offset, whence == SEEK_HOLE).ok_or(Errno::ENXIO)?;
                open.position.set(to);
                return Ok(to);
            }
            _ => return Err(Errno::EINVAL.into()),
        };
        let to = base.checked_add_signed(offset).filter(|&it| it <= LARGEST);
        let to = to.ok_or(Errno::EINVAL)?;
        open.position.set(to);
        Ok(to)
    }

    fn pages(&self) -> Result<Rc<dyn Pages>, Errno> {
        let me = self.me.upgrade().ok_or(Errno::ENODEV)?;
        Ok(me)
    }

    fn truncate(&self, size: u64) -> Result<(), Stop> {
        match self.body {
            Body::File(_) => self.set_size(size),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    fn allocate(&self, mode: u32, offset: u64, length: u64) -> Result<(), Stop> {
        self.allocate_range(mode, offset, length)
    }

    fn written(&self, caller: &dyn Caller) {
        if Inode::stat(self).mode & 0o6000 != 0 {
            self.drop_privileges(&caller.credentials());
        }
    }

    fn seals(&self) -> Option<&Cell<Option<u32>>> {
        self.content().map(|it| &it.seals)
    }

    fn any(&self) -> &dyn Any {
        self
    }
}

impl Pages for Node {
    fn frame(&self, index: u64) -> Option<Frame> {
        self.content()?.frame(index)
    }

    fn size(&self) -> u64 {
        self.content().map_or(0, Content::size)
    }

    fn load(self: Rc<Self>, index: u64) -> Boxed<Result<(), Errno>> {
        boxed(async move {
            let content = self.file()?;
            if content.pages.borrow().contains_key(&index) {
                return Ok(());
            }
            let mut bytes = alloc::vec::Vec::new();
            let last = if content.is_below(index) {
                // What is read ahead is copied from one buffer, which takes memory as well.
                let ahead = if is_tight() { 1 } else { AHEAD };
                let end = content.below.get().div_ceil(SIZE).min(index + ahead);
                let next = content.pages.borrow().range(index..end).next().map(|(&it, _)| it);
                let end = next.unwrap_or(end);
                let from = index * SIZE;
                let length = (end * SIZE).min(content.below.get()) - from;
                let below = self.below.clone().ok_or(Errno::EIO)?;
                bytes = below.read(from, length as usize).await?;
                if (bytes.len() as u64) < length {
                    // The disk's file is shorter than the disk says.
                    return Err(Errno::EIO);
                }
                end
            } else {
                index + 1
            };
            let mut come = false;
            for (page, at) in (index..last).zip((0..).step_by(PAGE)) {
                let frame = match Frame::new() {
                    Some(frame) if !is_tight() => frame,
                    _ if at > 0 => break,
                    Some(frame) => frame,
                    None => return Err(Errno::ENOMEM),
                };
                // It may have become shorter while the disk was read.
                let valid = content.below.get().saturating_sub(page * SIZE).min(SIZE) as usize;
                let piece = bytes.get(at..bytes.len().min(at + valid)).unwrap_or_default();
                frame.write(0, piece);
                let mut pages = content.pages.borrow_mut();
                if at == 0 && pages.contains_key(&page) {
                    // Another one has loaded it meanwhile, and reads ahead.
                    return Ok(());
                }
                if pages.contains_key(&page) || page * SIZE >= content.size.get().max(1) {
                    continue;
                }
                pages.insert(page, Page { frame, dirty: false, used: Cell::new(at == 0) });
                drop(pages);
                match at {
                    0 => come = true,
                    _ => self.store.note_page(&self.me, page),
                }
            }
            // Others may be forgotten for each: not the one that somebody waits for.
            if come {
                self.store.note_page(&self.me, index);
            }
            Ok(())
        })
    }

    fn dirty(&self, index: u64) -> Result<(), Errno> {
        match self.writable(index, false) {
            Ok(_) => {
                self.touch_content();
                Ok(())
            }
            Err(Stop::Fail(errno)) => Err(errno),
            Err(_) => Err(Errno::EAGAIN),
        }
    }
}
