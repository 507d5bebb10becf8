//! Names the errors of system calls.

use core::fmt;

/// An error number of Linux (errno(3)).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(u16);

macro_rules! numbers {
    ($($name:ident)*) => {
        impl Errno {
            $(
                #[doc = concat!("`", stringify!($name), "`")]
                pub const $name: Self = Self(linux_raw_sys::errno::$name as u16);
            )*

            /// Returns its name, such as `ENOENT`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                    Self::ERESTARTSYS => "ERESTARTSYS",
                    Self::ERESTARTNOINTR => "ERESTARTNOINTR",
                    Self::ERESTARTNOHAND => "ERESTARTNOHAND",
                    Self::ERESTART_RESTARTBLOCK => "ERESTART_RESTARTBLOCK",
                    _ => "E?",
                }
            }
        }
    };
}

numbers! {
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT
    ENOTBLK EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG
    ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY
    ELOOP ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT
    EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET ETOOMANYREFS
    ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ETIMEDOUT ECONNREFUSED EHOSTUNREACH EALREADY
    EINPROGRESS EOVERFLOW EILSEQ ENODATA ETIME ECANCELED ELIBBAD EOWNERDEAD ENOTRECOVERABLE ESTALE EUCLEAN
}

/// What never reaches a program: how a call that a signal interrupted goes on. The numbers and
/// names are those of Linux's own kernel (include/linux/errno.h), and strace shows them.
impl Errno {
    /// Begins again if the signal's handler has `SA_RESTART` or there is none, else `EINTR`.
    pub const ERESTARTSYS: Self = Self(512);
    /// Begins again always.
    pub const ERESTARTNOINTR: Self = Self(513);
    /// Begins again if the signal has no handler, else `EINTR`.
    pub const ERESTARTNOHAND: Self = Self(514);
    /// Goes on as [`Thread::set_again`](crate::thread::Thread::set_again) says if the signal has
    /// no handler, else `EINTR`.
    pub const ERESTART_RESTARTBLOCK: Self = Self(516);

    /// Whether it is one of these.
    #[must_use]
    pub const fn is_restart(self) -> bool {
        self.0 >= 512
    }

    /// Returns what a call leaves in `rax`.
    #[must_use]
    pub const fn result(self) -> u64 {
        (self.0 as u64).wrapping_neg()
    }

    /// Returns the number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
