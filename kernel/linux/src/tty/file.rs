//! A terminal that is open.

use super::{Settings, Size, Terminal, Whom, signal};
use crate::errno::Errno;
use crate::file::{At, Caller, File, Inode, Open, Stat};
use crate::memory::{Sink, Source};
use crate::stop::Stop;
use crate::watch::{Ready, Watch};
use alloc::rc::Rc;
use alloc::sync::Arc;
use core::any::Any;
use linux_raw_sys::general as abi;
use linux_raw_sys::ioctl as request;

/// `FIONREAD`
const INPUT: u32 = 0x541b;

/// An open terminal.
pub struct TerminalFile {
    terminal: Rc<Terminal>,
    node: Rc<dyn Inode>,
}

impl TerminalFile {
    pub(super) fn new(terminal: &Rc<Terminal>, node: Rc<dyn Inode>) -> Rc<Self> {
        Rc::new(Self { terminal: Rc::clone(terminal), node })
    }

    /// Returns the terminal.
    pub const fn terminal(&self) -> &Rc<Terminal> {
        &self.terminal
    }
}

impl Terminal {
    /// Asks whether a process may use it: one in the background of its session is stopped.
    fn judge(&self, caller: &dyn Caller, number: u32) -> Result<(), Stop> {
        let [_, group, session] = caller.process();
        let other = session != self.session.get() || group == self.foreground.get();
        if other || session == 0 || self.hung_up.get() {
            return Ok(());
        }
        if caller.ignores(number) {
            let reads = number == signal::TTIN;
            return if reads { Err(Errno::EIO.into()) } else { Ok(()) };
        }
        // With a handler the call would begin again for ever, and without one the stop not end.
        if caller.is_orphaned() {
            return Err(Errno::EIO.into());
        }
        self.send_to(Whom::Group(group), number);
        Err(Errno::ERESTARTSYS.into())
    }

    /// Does what ioctl_tty(2) says.
    pub(super) fn ioctl(
        &self,
        caller: &dyn Caller,
        number: u32,
        argument: u64,
    ) -> Result<usize, Stop> {
        let memory = caller.memory();
        let [id, group, session] = caller.process();
        let is_own = session != 0 && session == self.session.get();
        if self.hung_up.get() {
            // Its line is gone for good.
            let sets_group = number == request::TIOCSPGRP;
            return Err(if sets_group { Errno::ENOTTY } else { Errno::EIO }.into());
        }
        // Who is in the background does not change what the foreground reads and prints.
        if matches!(number, request::TCFLSH | request::TCXONC | request::TCSBRK | request::TCSBRKP)
        {
            self.judge(caller, signal::TTOU)?;
        }
        match number {
            request::TCGETS => memory.put(argument, &*self.settings.borrow())?,
            request::TCSETS | request::TCSETSW | request::TCSETSF => {
                let new: Settings = memory.get(argument)?;
                self.judge(caller, signal::TTOU)?;
                self.set(new, number == request::TCSETSF);
            }
            // With two speeds behind it, which are both those of the first word.
            request::TCGETS2 => {
                memory.put(argument, &*self.settings.borrow())?;
                memory.put(argument.wrapping_add(36), &[38_400_u32; 2])?;
            }
            request::TCSETS2 | request::TCSETSW2 | request::TCSETSF2 => {
                let new: Settings = memory.get(argument)?;
                self.judge(caller, signal::TTOU)?;
                self.set(new, number == request::TCSETSF2);
            }
            request::TIOCGWINSZ => memory.put(argument, &self.size.get())?,
            request::TIOCSWINSZ => {
                let new: Size = memory.get(argument)?;
                if self.size.replace(new) != new {
                    self.send(signal::WINCH);
                }
            }
            request::TIOCGPGRP => {
                if !is_own {
                    return Err(Errno::ENOTTY.into());
                }
                memory.put(argument, &self.foreground.get())?;
            }
            request::TIOCSPGRP => {
                let new: i32 = memory.get(argument)?;
                if !is_own {
                    return Err(Errno::ENOTTY.into());
                }
                match self.judge(caller, signal::TTOU) {
                    Err(Stop::Fail(Errno::EIO)) => return Err(Errno::ENOTTY.into()),
                    judged => judged?,
                }
                if new < 0 {
                    return Err(Errno::EINVAL.into());
                }
                if caller.session_of(new).ok_or(Errno::ESRCH)? != session {
                    return Err(Errno::EPERM.into());
                }
                self.foreground.set(new);
            }
            request::TIOCGSID => {
                if !is_own {
                    return Err(Errno::ENOTTY.into());
                }
                memory.put(argument, &session)?;
            }
            request::TIOCSCTTY => {
                if is_own && id == session {
                    return Ok(0);
                }
                // Root may take it from another session.
                let takes = argument == 1 && caller.credentials().root;
                let has_one = self.common.controls(session).is_some();
                if id != session || has_one || self.session.get() != 0 && !takes {
                    return Err(Errno::EPERM.into());
                }
                self.control(session, group);
            }
            request::TIOCNOTTY => {
                if !is_own {
                    return Err(Errno::ENOTTY.into());
                }
                if id == session {
                    self.send(signal::HUP);
                    self.send(signal::CONT);
                    self.release();
                } else {
                    caller.leave_terminal();
                }
            }
            INPUT => {
                let available = self.input.borrow().available(&self.settings.borrow());
                memory.put(argument, &i32::try_from(available).unwrap_or(i32::MAX))?;
            }
            request::TIOCOUTQ | request::TIOCGETD => memory.put(argument, &0_i32)?,
            request::TCFLSH => match argument {
                0 | 2 => {
                    self.input.borrow_mut().flush();
                    self.watch.raise();
                }
                1 => {}
                _ => return Err(Errno::EINVAL.into()),
            },
            request::TCXONC => match argument {
                0 | 1 => {
                    self.stopped.set(argument == 0);
                    self.watch.raise();
                }
                2 | 3 => {}
                _ => return Err(Errno::EINVAL.into()),
            },
            // There is no line whose signals could be set, and no other user to keep out.
            request::TCSBRK | request::TCSBRKP | request::TIOCEXCL | request::TIOCNXCL => {}
            _ => return Err(Errno::ENOTTY.into()),
        }
        Ok(0)
    }

    /// Changes the settings; `flush`: what was typed is forgotten.
    fn set(&self, new: Settings, flush: bool) {
        let old = self.settings.replace(new);
        let mut input = self.input.borrow_mut();
        if flush {
            input.flush();
        }
        if old.is_canonical() != new.is_canonical() {
            input.convert(new.is_canonical());
        }
        if !new.has_input(abi::IXON) {
            self.stopped.set(false);
        }
        drop(input);
        self.watch.raise();
    }
}

impl File for TerminalFile {
    fn read(&self, _: &Open, _: At, to: &mut Sink<'_>) -> Result<usize, Stop> {
        self.terminal.read(to)
    }

    fn write(&self, _: &Open, _: At, from: &mut Source<'_>) -> Result<usize, Stop> {
        self.terminal.print(from)
    }

    fn judges(&self) -> bool {
        true
    }

    fn judge(&self, caller: &dyn Caller, write: bool) -> Result<(), Stop> {
        if !write {
            return self.terminal.judge(caller, signal::TTIN);
        }
        if self.terminal.settings.borrow().has_local(abi::TOSTOP) {
            return self.terminal.judge(caller, signal::TTOU);
        }
        Ok(())
    }

    fn ready(&self) -> Ready {
        self.terminal.ready()
    }

    fn watch(&self) -> Option<&Arc<Watch>> {
        Some(&self.terminal.watch)
    }

    fn stat(&self) -> Result<Stat, Stop> {
        Ok(self.node.stat())
    }

    fn ioctl(&self, caller: &dyn Caller, request: u32, argument: u64) -> Result<usize, Stop> {
        self.terminal.ioctl(caller, request, argument)
    }

    fn any(&self) -> &dyn Any {
        self
    }
}
