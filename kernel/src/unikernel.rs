//! The macro of an app's `main.rs`.

/// Declares an app: its name, memory, devices and arguments, and the function that gets them.
///
/// # Example
/// ```no_run,standalone_crate
/// #![no_main]
/// # use xenith_kernel as xenith;
/// # mod counter {
/// # use xenith_kernel as xenith;
/// /// Counts `from` some number on.
/// pub async fn start(from: u32, quiet: bool) {
///     if !quiet {
///         xenith::println!("{from}, {}, ...", from + 1);
///     }
/// }
/// # }
///
/// xenith::unikernel! {
///     /// Counts.
///     name: "counter",
///     memory: 1 MiB,
///     args: {
///         /// The first number.
///         from: u32,
///         /// Prints nothing.
///         quiet: bool = false,
///     },
///     main: counter::start,
/// }
/// ```
///
/// `devices` and `args` may be left out. A device is a type that implements
/// [`Device`](crate::Device), with the name of the instance in parentheses (a type with
/// parameters needs an alias). An argument is of a type that implements
/// [`Value`](crate::args::Value): integers, `bool`, `&'static str`, `Duration`, addresses,
/// [`Size`](crate::args::Size), an `Option` of these, or
/// [`Several`](crate::args::Several). Its default is a value of that type or, for durations,
/// sizes and addresses, text such as `"90s"`; without one the user must give it, unless it is
/// an `Option`. The function `main` is async; it takes the devices, then the arguments, in the
/// order of the manifest, and returns an [`Outcome`](crate::exit::Outcome).
///
/// `stack: 256 KiB`, after `memory`, is for an app that needs more than the 64 KiB of stack that a
/// guest has otherwise: a multiple of 4 KiB up to 64 MiB, of the memory. What needs it is said by the
/// end of a guest, `stack overflow`. On Linux it is `ulimit -s` that says how large the stack is.
///
/// ```compile_fail,standalone_crate
/// #![no_main]
/// # use xenith_kernel as xenith;
/// xenith::unikernel! {
///     name: "deep",
///     memory: 1 MiB,
///     stack: 65 KiB, // No multiple of 4 KiB.
///     main: deep::start,
/// }
/// # mod deep { pub async fn start() {} }
/// ```
///
/// `update` names the type of what the app keeps when a new image of it takes over while it serves
/// ([`update`](crate::update)); an app without it is not replaced in that way. Disks stand before the
/// network in the manifest of such an app: a new image that lacks one has not taken over then.
///
/// With several arguments, name a struct: `args: dhcp::Args { .. }` fills its fields by
/// the names in the manifest and passes it as one parameter, so two of the same type cannot be
/// swapped by mistake, and a field that one side lacks does not compile.
#[macro_export]
macro_rules! unikernel {
    (
        $(#[doc = $about:literal])*
        name: $name:literal,
        memory: $memory:literal $unit:ident,
        $(stack: $stack:literal $stack_unit:ident,)?
        $(devices: { $($device:ident : $($class:ident)::+ $(($id:literal))?),* $(,)? },)?
        $(args: $($struct:ident)::* {
            $($(#[doc = $help:literal])* $arg:ident : $type:ty $(= $default:expr)?),* $(,)?
        },)?
        $(update: $state:ty,)?
        main: $main:path $(,)?
    ) => {
        const _: () = {
            // An unknown unit is an error at the word itself.
            const _: (u32, $crate::manifest::Unit) = ($memory, $crate::manifest::Unit::$unit);

            const _: () = $crate::update::check_order(&[$(stringify!($state))?], &[$($((
                <$($class)::+ as $crate::Device>::CLASS.xl.is_some(),
                <$($class)::+ as $crate::Device>::TAKES_OVER,
            )),*)?]);

            const PIECES: &[&str] = &[
                "xenith\t", $crate::manifest::FORMAT,
                "\nname\t", $name,
                "\nversion\t", env!("CARGO_PKG_VERSION"),
                "\nmemory\t", stringify!($memory), " ", stringify!($unit), "\n",
                $("stack\t", stringify!($stack), " ", stringify!($stack_unit), "\n",)?
                match option_env!(concat!("XENITH_BUILD_", env!("CARGO_PKG_NAME"))) {
                    Some(lines) => lines,
                    None => "",
                },
                $("about\t", $about, "\n",)*
                $($(
                    "device\t", stringify!($device), "\t",
                    <$($class)::+ as $crate::Device>::CLASS.name, "\t", $($id,)? "\n",
                    $crate::__lines!($($class)::+),
                )*)?
                $($(
                    "arg\t", stringify!($arg), "\t", <$type as $crate::args::Value>::KIND, "\n",
                    $crate::__default!(note $type $(, $default)?),
                    $("help\t", $help, "\n",)*
                )*)?
                $crate::__common!([$($($device)*)?] [$($($arg)*)?]),
            ];
            $crate::__note!(PIECES);

            static HELP: $crate::args::Help = $crate::args::Help {
                name: $name,
                about: &[$($about),*],
                needs: &[$($(
                    $crate::args::Need {
                        class: <$($class)::+ as $crate::Device>::CLASS.name,
                        id: $crate::__first!($($id,)? ""),
                        needs: <$($class)::+ as $crate::Device>::NEEDS,
                    }
                ),*)?],
                devices: &[$($(<$($class)::+ as $crate::Device>::ARGUMENTS),*)?],
                arguments: &[$($(
                    $crate::args::Argument {
                        name: stringify!($arg),
                        kind: <$type as $crate::args::Value>::KIND,
                        default: $crate::__default!(help $type $(, $default)?),
                        help: &[$($help),*],
                    }
                ),*)?],
            };

            async fn run() -> $crate::Exit {
                // In a separate function, so that its locals are not part of the future.
                let ($($($arg,)*)? $($($device,)*)?) = match settings() {
                    Ok(settings) => settings,
                    Err(exit) => return exit,
                };
                $($crate::update::enable::<$state>();)?
                $($(
                    let $device = match <$($class)::+ as $crate::Device>::open(
                        $crate::__first!($($id,)? ""),
                        $device,
                    ).await {
                        Ok(device) => device,
                        Err(error) => return $crate::exit::usage(&error),
                    };
                )*)?
                $crate::exit::Outcome::report($crate::__call!(
                    ($main) ($($($device,)*)?) ($($($struct)::*)?) ($($($arg),*)?)
                ).await)
            }

            /// Parses the arguments of the app and of the devices.
            #[allow(unused_parens, clippy::unused_unit, reason = "an app may have none")]
            fn settings() -> Result<(
                $($($type,)*)?
                $($(<$($class)::+ as $crate::Device>::Settings,)*)?
            ), $crate::Exit> {
                #[allow(unused_mut, reason = "an app may have no arguments")]
                let mut args = match $crate::__args!([$($($device)*)?] [$($($arg)*)?])(&HELP) {
                    Ok(args) => args,
                    Err(exit) => return Err(exit),
                };
                $($(
                    let $arg = match $crate::__take!(args, $arg, $type $(, $default)?) {
                        Ok(value) => value,
                        Err(error) => return Err($crate::exit::usage(&error)),
                    };
                )*)?
                $($(
                    let $device = match <$($class)::+ as $crate::Device>::configure(&mut args) {
                        Ok(settings) => settings,
                        Err(error) => return Err($crate::exit::usage(&error)),
                    };
                )*)?
                if let Err(error) = args.finish() {
                    return Err($crate::exit::usage(&error));
                }
                Ok(($($($arg,)*)? $($($device,)*)?))
            }

            // The name must not be that of the app's function.
            fn __start() -> ! {
                $crate::start::run(run())
            }

            $crate::__entry!(NOTE, __start $(, {
                $crate::manifest::stack($stack, $crate::manifest::Unit::$stack_unit)
            })?);
        };
    };
}

/// Yields its first argument.
#[doc(hidden)]
#[macro_export]
macro_rules! __first {
    ($first:expr $(, $rest:expr)*) => {
        $first
    };
}

/// Yields the note's lines about a device.
#[doc(hidden)]
#[macro_export]
macro_rules! __lines {
    ($device:ty) => {
        $crate::__lines!(<$device as $crate::Device>::CLASS, <$device as $crate::Device>::ARGUMENTS)
    };
    ($class:expr, $arguments:expr) => {{
        const CLASS: $crate::device::Class = $class;
        const ARGUMENTS: &[$crate::args::Argument] = $arguments;
        const LINES: [u8; $crate::manifest::lines_length(&CLASS, ARGUMENTS)] =
            $crate::manifest::lines(&CLASS, ARGUMENTS);
        match core::str::from_utf8(&LINES) {
            Ok(lines) => lines,
            Err(_) => panic!("a device has an argument that is not UTF-8"),
        }
    }};
}

/// Yields the default of an argument, for `help` or as a line of the note.
#[doc(hidden)]
#[macro_export]
macro_rules! __default {
    (help $type:ty, $default:expr) => {
        Some(stringify!($default))
    };
    (help $type:ty) => {
        <$type as $crate::args::Value>::ABSENT
    };
    (note $type:ty, $default:expr) => {
        concat!("default\t", stringify!($default), "\n")
    };
    (note $type:ty) => {
        match <$type as $crate::args::Value>::ABSENT {
            // `none` is the only text of `ABSENT`.
            Some(_) => "default\tnone\n",
            None => "",
        }
    };
}

/// Takes the value of an argument of the app.
#[doc(hidden)]
#[macro_export]
macro_rules! __take {
    ($args:ident, $arg:ident, $type:ty, $default:expr) => {
        $args.take_or::<$type>(stringify!($arg), $default)
    };
    ($args:ident, $arg:ident, $type:ty) => {
        $args.take::<$type>(stringify!($arg), None)
    };
}

/// Calls the app with its devices and arguments, one by one or as a struct.
#[doc(hidden)]
#[macro_export]
macro_rules! __call {
    (($main:path) ($($device:ident,)*) () ($($arg:ident),*)) => {
        $main($($device,)* $($arg),*)
    };
    (($main:path) ($($device:ident,)*) ($($struct:tt)+) ($($arg:ident),*)) => {
        $main($($device,)* $($struct)+ { $($arg),* })
    };
}

/// Yields the note's lines about the arguments that every app has, if it has devices or arguments.
#[doc(hidden)]
#[macro_export]
macro_rules! __common {
    ([] []) => {
        ""
    };
    ($devices:tt $args:tt) => {
        $crate::__lines!($crate::device::Class { name: "", xl: None }, $crate::common::ARGUMENTS)
    };
}

/// Yields the function that reads the command line. An app without arguments contains no parser.
#[doc(hidden)]
#[macro_export]
macro_rules! __args {
    ([] []) => {
        $crate::start::no_args
    };
    ($devices:tt $args:tt) => {
        $crate::start::args
    };
}

/// Puts the manifest's note into the image.
#[doc(hidden)]
#[macro_export]
macro_rules! __note {
    ($pieces:ident) => {
        #[used]
        #[unsafe(link_section = ".note.xenith")]
        static NOTE: $crate::manifest::Note<{ $crate::manifest::length($pieces) }> =
            $crate::manifest::Note::new($pieces);
    };
}
