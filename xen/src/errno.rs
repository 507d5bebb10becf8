//! The errors of hypercalls.

use core::fmt;

/// Says why a hypercall failed: a positive number of `public/errno.h`. Those that callers expect
/// have names here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub u16);

impl Errno {
    /// Operation not permitted.
    pub const EPERM: Self = Self(1);
    /// No such entry.
    pub const ENOENT: Self = Self(2);
    /// Argument list too long.
    pub const E2BIG: Self = Self(7);
    /// Try again.
    pub const EAGAIN: Self = Self(11);
    /// Out of memory.
    pub const ENOMEM: Self = Self(12);
    /// Permission denied.
    pub const EACCES: Self = Self(13);
    /// Bad address.
    pub const EFAULT: Self = Self(14);
    /// Device or resource busy.
    pub const EBUSY: Self = Self(16);
    /// Already exists.
    pub const EEXIST: Self = Self(17);
    /// Invalid argument.
    pub const EINVAL: Self = Self(22);
    /// No space left.
    pub const ENOSPC: Self = Self(28);
    /// Function not implemented.
    pub const ENOSYS: Self = Self(38);

    /// Converts a hypercall's raw return value: a negative one is an error, any other the result.
    ///
    /// # Errors
    /// The negated value; `EINVAL` for values below -65535, which no version of Xen returns.
    pub const fn check(raw: i64) -> Result<u64, Self> {
        if raw >= 0 {
            Ok(raw.unsigned_abs())
        } else if raw > -0x1_0000 {
            Err(Self(raw.unsigned_abs() as u16))
        } else {
            Err(Self::EINVAL)
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::EPERM => "EPERM",
            Self::ENOENT => "ENOENT",
            Self::E2BIG => "E2BIG",
            Self::EAGAIN => "EAGAIN",
            Self::ENOMEM => "ENOMEM",
            Self::EACCES => "EACCES",
            Self::EFAULT => "EFAULT",
            Self::EBUSY => "EBUSY",
            Self::EEXIST => "EEXIST",
            Self::EINVAL => "EINVAL",
            Self::ENOSPC => "ENOSPC",
            Self::ENOSYS => "ENOSYS",
            Self(number) => return write!(f, "errno {number}"),
        })
    }
}

impl core::error::Error for Errno {}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Errno;

    #[test]
    fn the_sign_decides() {
        assert_eq!(Errno::check(0), Ok(0));
        assert_eq!(Errno::check(7), Ok(7));
        assert_eq!(Errno::check(-22), Err(Errno::EINVAL));
        assert_eq!(Errno::check(-4095), Err(Errno(4095)));
        assert_eq!(Errno::check(i64::MIN), Err(Errno::EINVAL));
        assert_eq!(Errno::EINVAL.to_string(), "EINVAL");
        assert_eq!(Errno(99).to_string(), "errno 99");
    }
}
