//! The macro that is an app's `main.rs`.

/// Names what an app is and needs, and wires it.
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
/// [`Device`](crate::Device), with the name of the instance in
/// parentheses (a type with parameters needs an alias); an argument without a default must be given by the user. The
/// function `main` is async; it takes the devices, then the arguments, in the
/// order of the manifest, and returns an [`Outcome`](crate::exit::Outcome).
#[macro_export]
macro_rules! unikernel {
    (
        $(#[doc = $about:literal])*
        name: $name:literal,
        memory: $memory:literal $unit:ident,
        $(devices: { $($device:ident : $($class:ident)::+ $(($id:literal))?),* $(,)? },)?
        $(args: { $($(#[doc = $help:literal])* $arg:ident : $type:ty $(= $default:expr)?),* $(,)? },)?
        main: $main:path $(,)?
    ) => {
        const _: () = {
            // A unit that there is not is an error at the word itself.
            const _: (u32, $crate::manifest::Unit) = ($memory, $crate::manifest::Unit::$unit);

            const PARTS: &[&str] = &[
                "xenith\t", $crate::manifest::FORMAT,
                "\nname\t", $name,
                "\nversion\t", env!("CARGO_PKG_VERSION"),
                "\nmemory\t", stringify!($memory), " ", stringify!($unit), "\n",
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
                    $("default\t", stringify!($default), "\n",)?
                    $("help\t", $help, "\n",)*
                )*)?
            ];
            $crate::__note!(PARTS);

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
                        default: $crate::__first!($(Some(stringify!($default)),)? None),
                        help: &[$($help),*],
                    }
                ),*)?],
            };

            async fn run() -> $crate::Exit {
                // In a function of its own: what lives across an await is part of the future.
                let ($($($arg,)*)? $($($device,)*)?) = match settings() {
                    Ok(settings) => settings,
                    Err(exit) => return exit,
                };
                $($(
                    let $device = match <$($class)::+ as $crate::Device>::open(
                        $crate::__first!($($id,)? ""),
                        $device,
                    ).await {
                        Ok(device) => device,
                        Err(error) => return $crate::exit::usage(&error),
                    };
                )*)?
                $crate::exit::Outcome::report($main($($($device,)*)? $($($arg),*)?).await)
            }

            /// The arguments, and what they say of the devices.
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
                    let $arg = match args.take::<$type>(
                        stringify!($arg),
                        $crate::__first!($(Some($default),)? None),
                    ) {
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

            // Not a name that the app's `main` may have.
            fn __start() -> ! {
                $crate::start::run(run())
            }

            $crate::__entry!(NOTE, __start);
        };
    };
}

/// The first of its arguments.
#[doc(hidden)]
#[macro_export]
macro_rules! __first {
    ($first:expr $(, $rest:expr)*) => {
        $first
    };
}

/// The lines of a note about what a device says.
#[doc(hidden)]
#[macro_export]
macro_rules! __lines {
    ($device:ty) => {{
        const CLASS: $crate::device::Class = <$device as $crate::Device>::CLASS;
        const ARGUMENTS: &[$crate::args::Argument] = <$device as $crate::Device>::ARGUMENTS;
        const LINES: [u8; $crate::manifest::lines_length(&CLASS, ARGUMENTS)] =
            $crate::manifest::lines(&CLASS, ARGUMENTS);
        match core::str::from_utf8(&LINES) {
            Ok(lines) => lines,
            Err(_) => panic!("what a device says is not text"),
        }
    }};
}

/// How the command line is read: an app that takes nothing needs no parser.
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
    ($parts:ident) => {
        #[used]
        #[unsafe(link_section = ".note.xenith")]
        static NOTE: $crate::manifest::Note<{ $crate::manifest::length($parts) }> =
            $crate::manifest::Note::new($parts);
    };
}
