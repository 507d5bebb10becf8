//! What the arguments of calls are, so that they can be printed.

use linux_raw_sys::general as raw;
use linux_raw_sys::{ioctl, net, prctl};

/// How an argument is printed by `strace=`. Where bytes are counted, their number is the next
/// argument.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A signed number.
    Int,
    /// A number of bytes or the like.
    Size,
    /// A number in hexadecimal: an address.
    Hex,
    /// A file descriptor, `AT_FDCWD` for -100.
    Fd,
    /// An octal mode.
    Mode,
    /// The number of a signal.
    Signal,
    /// A number or flags that have names.
    Names(Names),
    /// The address of a text that ends with NUL.
    Text,
    /// The address of a list of such, which ends with a null pointer.
    Texts,
    /// Bytes that the call reads.
    Data,
    /// Bytes that the call wrote: as many as its result.
    Filled,
    /// `struct iovec`s of bytes that the call reads.
    Parts,
    /// `struct iovec`s of bytes that the call wrote.
    FilledParts,
    /// Two descriptors that the call made.
    Pair,
    /// A `struct timespec` or `timeval` that the call reads.
    Time,
    /// One that it wrote.
    TimeOut,
    /// A `struct sockaddr` that the call reads.
    Address,
    /// One that it wrote; the next argument is the address of its length.
    AddressOut,
    /// A `sigset_t` that the call reads.
    Set,
    /// One that it wrote.
    SetOut,
    /// A `struct sigaction` that the call reads: its handler.
    Action,
    /// `struct pollfd`s, as the call left them.
    Polls,
    /// A `struct epoll_event` that the call reads.
    Event,
    /// As many of them as its result.
    Events,
    /// The status of a process, as wait(2) wrote it.
    Status,
    /// A `struct stat` that the call wrote.
    Stat,
}

/// What the arguments of a call are: as many as it has, at most six.
pub type Kinds = [Option<Kind>; 6];

/// Makes a list of kinds as long as that of registers.
pub(crate) const fn kinds(all: &[Kind]) -> Kinds {
    assert!(all.len() <= 6, "a call has six arguments at most");
    let mut kinds = [None; 6];
    let mut at = 0;
    while at < all.len() {
        kinds[at] = Some(all[at]);
        at += 1;
    }
    kinds
}

impl Kind {
    /// Whether it can be printed when the call has returned only.
    pub(super) const fn is_output(self) -> bool {
        matches!(
            self,
            Self::Filled
                | Self::FilledParts
                | Self::Pair
                | Self::TimeOut
                | Self::AddressOut
                | Self::SetOut
                | Self::Polls
                | Self::Events
                | Self::Status
                | Self::Stat
        )
    }
}

/// The name of what an argument is where its bits `mask` are `value`.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    pub(super) mask: u32,
    pub(super) value: u32,
    pub(super) name: &'static str,
}

/// The bits that a name is about: `each` has its own, `all` is for numbers, or a mask.
macro_rules! mask {
    (each $value:expr) => {
        $value
    };
    (all $value:expr) => {
        u32::MAX
    };
    ($mask:literal $value:expr) => {
        $mask
    };
}

/// Lists names of bits of an argument. A kind is a byte, as the table has six of them a call.
macro_rules! names {
    ($($(#[$doc:meta])* $kind:ident = $module:ident [$($of:tt { $($name:ident)* })*];)*) => {
        /// Which names an argument has.
        #[derive(Clone, Copy, Debug)]
        pub enum Names {
            $($(#[$doc])* $kind),*
        }

        impl Names {
            /// Returns them.
            pub(super) const fn list(self) -> &'static [Name] {
                match self {
                    $(Self::$kind => &[$($(Name {
                        mask: mask!($of $module::$name as u32),
                        value: $module::$name as u32,
                        name: stringify!($name),
                    }),*),*]),*
                }
            }
        }

        impl Kind {
            $(
                $(#[$doc])*
                pub const $kind: Self = Self::Names(Names::$kind);
            )*
        }
    };
}

names! {
    /// Flags of open(2).
    OPEN = raw [3 { O_RDONLY O_WRONLY O_RDWR }
        each { O_CREAT O_EXCL O_NOCTTY O_TRUNC O_APPEND O_NONBLOCK O_DIRECT O_DIRECTORY O_NOFOLLOW
        O_NOATIME O_CLOEXEC O_PATH }];
    /// Flags of pipe2(2), dup3(2), eventfd2(2), and others that have those of open(2).
    CLOEXEC = raw [each { O_CLOEXEC O_NONBLOCK O_DIRECT }];
    /// `AT_*`
    AT = raw [each { AT_SYMLINK_NOFOLLOW AT_REMOVEDIR AT_SYMLINK_FOLLOW AT_NO_AUTOMOUNT AT_EMPTY_PATH }];
    /// What access(2) asks for.
    ACCESS = raw [all { F_OK } each { R_OK W_OK X_OK }];
    /// `SEEK_*`
    WHENCE = raw [all { SEEK_SET SEEK_CUR SEEK_END SEEK_DATA SEEK_HOLE }];
    /// Commands of fcntl(2).
    FCNTL = raw [all { F_DUPFD F_GETFD F_SETFD F_GETFL F_SETFL F_GETLK F_SETLK F_SETLKW F_SETOWN
        F_GETOWN F_OFD_GETLK F_OFD_SETLK F_OFD_SETLKW F_DUPFD_CLOEXEC F_SETPIPE_SZ F_GETPIPE_SZ
        F_ADD_SEALS F_GET_SEALS }];
    /// Requests of ioctl(2).
    IOCTL = ioctl [all { TCGETS TCSETS TCSETSW TCSETSF TIOCSCTTY TIOCGPGRP TIOCSPGRP TIOCGWINSZ
        TIOCSWINSZ TIOCNOTTY TIOCGPTN TIOCSPTLCK FIONREAD FIONBIO FIOCLEX FIONCLEX SIOCGIFCONF }];
    /// Protection of pages.
    PROT = raw [all { PROT_NONE } each { PROT_READ PROT_WRITE PROT_EXEC }];
    /// Flags of mmap(2).
    MAP = raw [15 { MAP_SHARED MAP_PRIVATE MAP_SHARED_VALIDATE }
        each { MAP_FIXED MAP_ANONYMOUS MAP_GROWSDOWN MAP_NORESERVE MAP_POPULATE MAP_STACK
        MAP_FIXED_NOREPLACE }];
    /// Flags of mremap(2).
    MREMAP = raw [each { MREMAP_MAYMOVE MREMAP_FIXED MREMAP_DONTUNMAP }];
    /// Advice about memory.
    MADVISE = raw [all { MADV_NORMAL MADV_RANDOM MADV_SEQUENTIAL MADV_WILLNEED MADV_DONTNEED MADV_FREE
        MADV_DONTFORK MADV_HUGEPAGE MADV_NOHUGEPAGE MADV_DONTDUMP }];
    /// Flags of clone(2), and the signal of its end.
    CLONE = raw [each { CLONE_VM CLONE_FS CLONE_FILES CLONE_SIGHAND CLONE_VFORK CLONE_PARENT
        CLONE_THREAD CLONE_SYSVSEM CLONE_SETTLS CLONE_PARENT_SETTID CLONE_CHILD_CLEARTID
        CLONE_CHILD_SETTID } 255 { SIGCHLD }];
    /// Operations of futex(2).
    FUTEX = raw [127 { FUTEX_WAIT FUTEX_WAKE FUTEX_REQUEUE FUTEX_CMP_REQUEUE FUTEX_WAKE_OP
        FUTEX_WAIT_BITSET FUTEX_WAKE_BITSET } each { FUTEX_PRIVATE_FLAG FUTEX_CLOCK_REALTIME }];
    /// How a mask of signals changes.
    MASK = raw [all { SIG_BLOCK SIG_UNBLOCK SIG_SETMASK }];
    /// Clocks.
    CLOCK = raw [all { CLOCK_REALTIME CLOCK_MONOTONIC CLOCK_PROCESS_CPUTIME_ID
        CLOCK_THREAD_CPUTIME_ID CLOCK_MONOTONIC_RAW CLOCK_REALTIME_COARSE CLOCK_MONOTONIC_COARSE
        CLOCK_BOOTTIME }];
    /// Resources with limits.
    LIMIT = raw [all { RLIMIT_CPU RLIMIT_FSIZE RLIMIT_DATA RLIMIT_STACK RLIMIT_CORE RLIMIT_RSS
        RLIMIT_NPROC RLIMIT_NOFILE RLIMIT_MEMLOCK RLIMIT_AS }];
    /// Options of wait(2).
    WAIT = raw [each { WNOHANG WUNTRACED WEXITED WCONTINUED WNOWAIT }];
    /// Operations of epoll_ctl(2).
    EPOLL = raw [all { EPOLL_CTL_ADD EPOLL_CTL_DEL EPOLL_CTL_MOD }];
    /// What poll(2) and epoll(7) look for.
    READY = raw [each { POLLIN POLLPRI POLLOUT POLLERR POLLHUP POLLNVAL EPOLLRDHUP EPOLLEXCLUSIVE
        EPOLLONESHOT EPOLLET }];
    /// Options of prctl(2).
    PRCTL = prctl [all { PR_SET_PDEATHSIG PR_GET_DUMPABLE PR_SET_DUMPABLE PR_SET_KEEPCAPS PR_SET_NAME
        PR_GET_NAME PR_SET_NO_NEW_PRIVS PR_CAPBSET_READ PR_SET_CHILD_SUBREAPER PR_SET_VMA }];
    /// Codes of arch_prctl(2).
    ARCH = raw [all { ARCH_SET_FS }];
    /// Flags of getrandom(2).
    RANDOM = raw [each { GRND_NONBLOCK GRND_RANDOM GRND_INSECURE }];
    /// Families of sockets.
    FAMILY = net [all { AF_UNSPEC AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET }];
    /// Types of sockets.
    SOCKET = net [15 { SOCK_STREAM SOCK_DGRAM SOCK_RAW SOCK_SEQPACKET }];
    /// Levels of options of sockets.
    LEVEL = net [all { SOL_SOCKET SOL_TCP SOL_UDP SOL_IPV6 }];
    /// Flags of messages.
    MESSAGE = net [each { MSG_OOB MSG_PEEK MSG_DONTROUTE MSG_CTRUNC MSG_TRUNC MSG_DONTWAIT MSG_EOR
        MSG_WAITALL MSG_ERRQUEUE MSG_NOSIGNAL MSG_MORE MSG_CMSG_CLOEXEC }];
    /// Which side of a connection ends.
    SHUT = net [all { SHUT_RD SHUT_WR SHUT_RDWR }];
}
