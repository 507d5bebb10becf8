//! Parses the arguments of an app into typed values.
//!
//! On Xen they are the domain's command line (`extra = "port=8080"` in the configuration for
//! `xl`), on Linux those of the process. Each is `key=value`. White space separates arguments,
//! double quotes keep it, and a backslash keeps the next character. `help` prints all arguments
//! instead of starting the app. A key can be given once, except for arguments of the type
//! [`Several`].
//!
//! An app names its arguments in [`unikernel!`](crate::unikernel), which parses them. A
//! device takes its own out of [`Args`].
//!
//! # Example
//! ```
//! # use xenith_kernel as xenith;
//! use xenith::args::{Args, Error};
//!
//! let line = [&b"port=8080"[..], b"title=My page"];
//! let mut args = Args::new(line.into_iter())?;
//! assert_eq!(args.take("port", Some(80_u16))?, 8080);
//! assert_eq!(args.take("title", None::<&str>)?, "My page");
//! assert_eq!(args.take("lines", Some(20_u32))?, 20);
//! // What nobody took is a mistake of the user's.
//! args.finish()?;
//! # Ok::<(), Error>(())
//! ```

pub use crate::command_line::{MAX_ARGUMENTS, MAX_BYTES, Unreadable, split};
pub use crate::value::{Preset, Reason, Several, Size, Value};
use core::fmt;

/// Says why the command line cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// An item is not UTF-8.
    NotText,
    /// The command line cannot be split.
    Unreadable(Unreadable),
    /// An item has no `=`.
    NoValue(&'static str),
    /// There are more than [`MAX_ARGUMENTS`] arguments.
    TooMany,
    /// A key is given twice.
    Twice(&'static str),
    /// No argument has this name.
    Unknown(&'static str),
    /// An argument without a default was not given.
    Missing(&'static str),
    /// The value is not of the argument's [`KIND`](Value::KIND).
    BadValue {
        /// Name of the argument.
        name: &'static str,
        /// The value as given.
        value: &'static str,
        /// The expected kind, such as `number from 0 to 255`.
        kind: &'static str,
    },
    /// The value is of the right kind, and invalid for another reason.
    Invalid {
        /// Name of the argument.
        name: &'static str,
        /// The value as given.
        value: &'static str,
        /// The reason, or what is expected.
        reason: &'static str,
    },
}

impl core::error::Error for Error {}

impl From<Unreadable> for Error {
    fn from(why: Unreadable) -> Self {
        Self::Unreadable(why)
    }
}

/// Repeats what the user wrote, so escape control characters when printing it, as
/// [`println!`](crate::println!) does.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotText => f.write_str("an argument is not UTF-8 text"),
            Self::Unreadable(why) => why.fmt(f),
            Self::NoValue(item) => write!(f, "argument {item} is not of the form key=value"),
            Self::TooMany => write!(f, "more than {MAX_ARGUMENTS} arguments are given"),
            Self::Twice(name) => write!(f, "argument {name} is given twice"),
            Self::Unknown(name) => write!(f, "there is no argument {name}"),
            Self::Missing(name) => write!(f, "argument {name} must be given"),
            Self::BadValue { name, value, kind } => write!(f, "{name}={value}: not a {kind}"),
            Self::Invalid { name, value, reason } => write!(f, "{name}={value}: {reason}"),
        }
    }
}

/// Holds the arguments of a command line until an app or a device takes them.
#[derive(Debug, Default)]
pub struct Args {
    /// Keys, until they are taken, and values.
    items: heapless::Vec<(Option<&'static str>, &'static str), MAX_ARGUMENTS>,
    help: bool,
    narrow: bool,
}

impl Args {
    /// Parses items of the form `key=value`, as [`split`] or the operating system returned them.
    ///
    /// # Errors
    /// [`Error::NotText`] and [`Error::NoValue`] for the first malformed item,
    /// [`Error::TooMany`] for more than [`MAX_ARGUMENTS`].
    pub fn new(items: impl Iterator<Item = &'static [u8]>) -> Result<Self, Error> {
        let mut args = Self::default();
        for item in items {
            let item = core::str::from_utf8(item).map_err(|_| Error::NotText)?;
            // By bytes, as `str`'s own searchers would be a sixth of the parser.
            let equals = item.bytes().position(|byte| byte == b'=');
            match equals.and_then(|at| Some((item.get(..at)?, item.get(at + 1..)?))) {
                _ if item == "help" => args.help = true,
                _ if item == "avx=off" => args.narrow = true,
                None => return Err(Error::NoValue(item)),
                Some((key, value)) => {
                    args.items.push((Some(key), value)).map_err(|_| Error::TooMany)?;
                }
            }
        }
        Ok(args)
    }

    /// Returns whether the user asked for help.
    #[must_use]
    pub const fn wants_help(&self) -> bool {
        self.help
    }

    /// Returns whether the user asked that AVX stays off. As a word of its own, since a value that
    /// is parsed is ten times the code, in every image.
    pub(crate) const fn wants_no_avx(&self) -> bool {
        self.narrow
    }

    /// Takes the value of argument `name`, or returns `default` if it is not given.
    ///
    /// # Errors
    /// If the value is not a valid `T`; if it is given twice and `T` is not [`Several`]; or if
    /// it is not given and there is no default.
    pub fn take<T: Value>(&mut self, name: &'static str, default: Option<T>) -> Result<T, Error> {
        match self.remove(name, T::SEVERAL)? {
            Some(value) => self.parse(name, value),
            None => default.or_else(T::absent).ok_or(Error::Missing(name)),
        }
    }

    /// Parses `value` and further ones of the same argument.
    fn parse<T: Value>(&mut self, name: &'static str, value: &'static str) -> Result<T, Error> {
        let mut taken = T::parse(value).map_err(|why| refused(name, value, T::KIND, why))?;
        if T::SEVERAL {
            while let Some(value) = self.remove(name, true)? {
                taken.add(value);
            }
        }
        Ok(taken)
    }

    /// Takes the value of argument `name`, or returns the manifest's default if it is not given.
    ///
    /// # Errors
    /// Those of [`take`](Self::take); also if the default is not a valid `T`.
    pub fn take_or<T: Value>(
        &mut self,
        name: &'static str,
        default: impl Preset<T>,
    ) -> Result<T, Error> {
        match self.remove(name, T::SEVERAL)? {
            Some(value) => self.parse(name, value),
            None => default.preset().map_err(|why| refused(name, "(default)", T::KIND, why)),
        }
    }

    /// Takes out what `argument` describes, or returns its default.
    ///
    /// # Errors
    /// When the value is not of type `T`.
    pub(crate) fn take_described<T: Value>(&mut self, argument: &Argument) -> Result<T, Error> {
        let Argument { name, kind, default, .. } = *argument;
        let value = match (self.remove(name, false)?, T::absent()) {
            (Some(value), _) => value,
            (None, Some(absent)) => return Ok(absent),
            (None, None) => default.ok_or(Error::Missing(name))?,
        };
        T::parse(value).map_err(|why| refused(name, value, kind, why))
    }

    /// Takes out the first value of `name`, which only `several` may have another of. Not
    /// generic, so that an image has it once.
    fn remove(&mut self, name: &'static str, several: bool) -> Result<Option<&'static str>, Error> {
        let mut found = None;
        for (key, value) in &mut self.items {
            if *key != Some(name) {
                continue;
            }
            match found {
                None => (found, *key) = (Some(*value), None),
                Some(_) if several => break,
                Some(_) => return Err(Error::Twice(name)),
            }
        }
        Ok(found)
    }

    /// Checks that all arguments were taken.
    ///
    /// # Errors
    /// [`Error::Unknown`] with the first one that was not.
    pub fn finish(&self) -> Result<(), Error> {
        self.items.iter().find_map(|(key, _)| *key).map_or(Ok(()), |name| Err(Error::Unknown(name)))
    }
}

/// The error for a value that was refused. Not generic, so that an image has it once.
const fn refused(
    name: &'static str,
    value: &'static str,
    kind: &'static str,
    why: Reason,
) -> Error {
    match why {
        Reason::NotOfKind => Error::BadValue { name, value, kind },
        Reason::Because(reason) => Error::Invalid { name, value, reason },
    }
}

/// Describes an argument in `help` and in the manifest's note.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// Its key, before the `=`.
    pub name: &'static str,
    /// The kind of its values ([`Value::KIND`]).
    pub kind: &'static str,
    /// The default as the source has it, or `None` if the argument must be given.
    pub default: Option<&'static str>,
    /// The lines of its doc comment.
    pub help: &'static [&'static str],
}

/// Describes a device of an app in `help`.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// Its class, such as `block`.
    pub class: &'static str,
    /// Its id, such as `xvda`; the empty string means the first one.
    pub id: &'static str,
    /// What the domain needs for it ([`Device::NEEDS`](crate::Device::NEEDS)).
    pub needs: &'static str,
}

/// Holds what `help` prints.
#[derive(Clone, Copy, Debug)]
pub struct Help {
    /// The app's name.
    pub name: &'static str,
    /// The lines of its description.
    pub about: &'static [&'static str],
    /// Its devices.
    pub needs: &'static [Need],
    /// The arguments of its devices.
    pub devices: &'static [&'static [Argument]],
    /// Its arguments.
    pub arguments: &'static [Argument],
}

impl Help {
    /// Calls `line` with each line of the text.
    pub fn print(&self, mut line: impl FnMut(fmt::Arguments<'_>)) {
        line(format_args!("{}", self.name));
        for text in self.about {
            line(format_args!("{}", text.strip_prefix(' ').unwrap_or(text)));
        }
        if self.arguments.is_empty() && self.devices.iter().all(|of| of.is_empty()) {
            line(format_args!("It takes no arguments."));
        }
        for Need { class, id, needs } in self.needs.iter().filter(|it| !it.needs.is_empty()) {
            let id = if id.is_empty() { "first" } else { id };
            line(format_args!("  device {class} {id}: {needs}"));
        }
        let all = self.devices.iter().copied().flatten().chain(self.arguments);
        all.for_each(|argument| argument.print(&mut line));
    }
}

impl Argument {
    /// An argument of type `T`.
    pub(crate) const fn of<T: Value>(
        name: &'static str,
        default: Option<&'static str>,
        help: &'static [&'static str],
    ) -> Self {
        let default = match default {
            Some(default) => Some(default),
            None => T::ABSENT,
        };
        Self { name, kind: T::KIND, default, help }
    }

    pub(crate) fn print(&self, line: &mut impl FnMut(fmt::Arguments<'_>)) {
        match self.default {
            Some(default) => {
                line(format_args!("  {}=<{}>, {default} if not given", self.name, self.kind));
            }
            None => line(format_args!("  {}=<{}>", self.name, self.kind)),
        }
        for text in self.help {
            line(format_args!("     {text}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Result<Args, Error> {
        let line: &'static mut [u8] = Vec::from(line).leak();
        Args::new(split(line)?)
    }

    #[test]
    fn items_are_typed() {
        let mut args = args("  port=8080 name=\"a \\\"b\\\" c\"  path=x\\ y on=off ").unwrap();
        assert_eq!(args.take("port", Some(80_u16)), Ok(8080));
        assert_eq!(args.take("name", None::<&str>), Ok("a \"b\" c"));
        assert_eq!(args.take("path", None::<&str>), Ok("x y"));
        assert_eq!(args.take("on", Some(true)), Ok(false));
        assert_eq!(args.take("other", Some(7_u8)), Ok(7));
        assert_eq!(args.finish(), Ok(()));
    }

    #[test]
    fn a_value_may_hold_an_equals_sign_and_may_be_empty() {
        let mut args = args("a=b=c d= e=\"\"").unwrap();
        assert_eq!(args.take("a", None::<&str>), Ok("b=c"));
        assert_eq!(args.take("d", None::<&str>), Ok(""));
        assert_eq!(args.take("e", None::<&str>), Ok(""));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(args("oops").unwrap_err(), Error::NoValue("oops"));
        assert_eq!(args("a=1 a=2").unwrap().take("a", Some(3_u8)), Err(Error::Twice("a")));
        assert_eq!(args("a=1 b=2 a=x").unwrap().take::<&str>("a", None), Err(Error::Twice("a")));
        assert_eq!(args("a=x a=1").unwrap().take::<u8>("a", None), Err(Error::Twice("a")));
        assert_eq!(args("a=\"1").unwrap_err(), Unreadable::Unfinished.into());
        assert_eq!(args("a=1\\").unwrap_err(), Unreadable::Unfinished.into());
        assert_eq!(args("oops=1").unwrap().finish(), Err(Error::Unknown("oops")));
        assert_eq!(args("").unwrap().take("need", None::<u8>), Err(Error::Missing("need")));
        let error = args("port=65536").unwrap().take("port", Some(1_u16)).unwrap_err();
        assert_eq!(error.to_string(), "port=65536: not a number from 0 to 65535");
        let many: String = (0..=MAX_ARGUMENTS).map(|i| format!("a{i}=1 ")).collect();
        assert_eq!(args(&many).unwrap_err(), Error::TooMany);
        let broken: &'static [u8] = b"a=\xff";
        assert_eq!(Args::new([broken].into_iter()).unwrap_err(), Error::NotText);
    }

    #[test]
    fn some_may_be_given_several_times() {
        let mut args = args("a=1 b=x a=\"2 3\" c=y a=1").unwrap();
        assert_eq!(*args.take::<Several>("a", None).unwrap(), ["1", "2 3", "1"]);
        assert_eq!(args.take::<Several>("d", None), Ok(Several::default()));
        assert_eq!(args.take("c", None::<&str>), Ok("y"));
        assert_eq!(args.finish(), Err(Error::Unknown("b")));
    }

    #[test]
    fn help_lists_everything() {
        let help = Help {
            name: "demo",
            about: &[" Does things."],
            needs: &[
                Need { class: "console", id: "", needs: "" },
                Need { class: "block", id: "xvdb", needs: "a disk" },
            ],
            devices: &[&[], &[Argument { name: "ip", kind: "address", default: None, help: &[] }]],
            arguments: &[Argument {
                name: "port",
                kind: u16::KIND,
                default: Some("80"),
                help: &[" Where."],
            }],
        };
        let mut lines = Vec::new();
        help.print(|line| lines.push(line.to_string()));
        assert_eq!(
            lines,
            [
                "demo",
                "Does things.",
                "  device block xvdb: a disk",
                "  ip=<address>",
                "  port=<number from 0 to 65535>, 80 if not given",
                "      Where."
            ]
        );
        assert!(args("help").unwrap().wants_help());
    }
}
