//! What a thread does about signals before its program goes on.

use super::action::Default;
use super::frame;
use super::info::Info;
use super::set::{Set, Signal};
use crate::errno::Errno;
use crate::file::Caller;
use crate::process::Status;
use crate::stop::loaded;
use crate::thread::Thread;
use alloc::rc::Rc;
use linux_raw_sys::general::{SA_NODEFER, SA_RESTART};

/// The length of the instruction `syscall`.
const SYSCALL: u64 = 2;

/// A call that a signal interrupted: its number, and how it goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interrupted {
    pub(crate) number: u64,
    pub(crate) errno: Errno,
}

/// Does what signals ask for that are pending. `interrupted`: the call that one ended. Returns
/// whether the thread goes on.
pub(crate) async fn deliver(thread: &Rc<Thread>, mut interrupted: Option<Interrupted>) -> bool {
    let (process, receiver) = (&thread.process, &thread.signals);
    loop {
        if receiver.is_killed() {
            return false;
        }
        if process.signals.stopped().is_some() {
            let proceeds = core::future::poll_fn(|context| match process.signals.stopped() {
                Some(_) => {
                    receiver.set_waker(context.waker());
                    core::task::Poll::Pending
                }
                None => core::task::Poll::Ready(()),
            });
            if thread.until_killed(proceeds).await.is_none() {
                return false;
            }
            continue;
        }
        let Some((info, action)) = process.signals.next(receiver) else { break };
        if let Some(tracer) = thread.tracer() {
            tracer.signal(thread, &info);
        }
        if action.has_handler() {
            if let Some(it) = interrupted.take() {
                let begins_again = match it.errno {
                    Errno::ERESTARTNOINTR => true,
                    Errno::ERESTARTSYS => action.has(SA_RESTART),
                    _ => false,
                };
                if begins_again {
                    begin_again(thread, it.number);
                } else {
                    thread.finish_call(Err(Errno::EINTR));
                }
                thread.take_again();
            }
            let mask = process.signals.take_saved_mask(receiver);
            let memory = thread.memory();
            let pushed = loaded(|| {
                let context = &mut thread.context().borrow_mut();
                frame::push(&memory, context, receiver, &info, &action, mask)
            });
            if pushed.await.is_err() {
                process.signals.set_mask(receiver, mask);
                // What has no room for its own handler cannot have one.
                if info.signal() == Signal::SEGV {
                    process.signals.set_action(Signal::SEGV, super::Action::default());
                }
                process.signals.force(receiver, Info::kernel(Signal::SEGV));
                continue;
            }
            let own = if action.has(SA_NODEFER) { Set::EMPTY } else { Set::of(&[info.signal()]) };
            process.signals.set_mask(receiver, receiver.mask().or(action.mask).or(own));
            continue;
        }
        let signal = info.signal();
        match Default::of(signal) {
            Default::Ignore => {}
            Default::Stop => {
                let orphaned = signal != Signal::STOP && thread.system.is_orphaned(process.group());
                if !orphaned {
                    process.stop(signal);
                }
            }
            end => {
                if end == Default::Core {
                    super::report::crash(thread, &info).await;
                }
                process.end(Status::signal(signal));
                return false;
            }
        }
    }
    if let Some(it) = interrupted {
        let number = match it.errno {
            Errno::ERESTART_RESTARTBLOCK => linux_raw_sys::general::__NR_restart_syscall.into(),
            _ => it.number,
        };
        begin_again(thread, number);
    }
    process.signals.restore_mask(receiver);
    process.signals.refresh(receiver);
    !receiver.is_killed()
}

/// Lets the thread make the call `number` with its next step: its arguments are still there.
fn begin_again(thread: &Thread, number: u64) {
    let mut context = thread.context().borrow_mut();
    let registers = context.registers_mut();
    registers.rax = number;
    registers.rip = registers.rip.wrapping_sub(SYSCALL);
}
