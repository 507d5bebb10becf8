//! `cargo mk`: builds Xenith apps into Xen domU images, boots them on real
//! Xen, tests and measures them.
//!
//! * [`cmd`]: the commands, one file each
//! * [`project`]: the workspace as cargo sees it
//! * [`guest`]: building guests with cargo
//! * [`image`]: from the linked ELF file to what Xen boots
//! * [`lab`], a crate of its own: real Xen and a real Linux dom0 inside QEMU
//! * [`boot`]: booting the lab for a command
//! * [`disk`]: disks of guests, and their images
//! * [`ending`]: how a guest's run ended
//! * [`directives`]: what is expected of a test guest
//! * [`explain`]: what happened where the guest cannot say it
//! * [`symbols`]: functions and lines of addresses; [`names`] puts them into reports
//! * [`judge`]: whether it did that
//! * [`tidy`]: Xenith's invariants that the compiler cannot check
//! * [`ui`]: what the user sees while something is done

#![forbid(unsafe_code)]

mod boot;
mod cmd;
mod directives;
mod disk;
mod ending;
mod explain;
mod guest;
mod image;
mod judge;
mod names;
mod project;
mod provenance;
mod symbols;
mod tidy;
mod ui;

use clap::{Parser, Subcommand};
use console::style;
use std::ffi::OsString;
use std::process::ExitCode;
use ui::Ui;

/// Builds Xenith apps into Xen domU images, boots them on real Xen, tests and measures them
#[derive(Parser)]
#[command(name = "cargo mk", bin_name = "cargo mk", version)]
#[command(after_help = "Example:\n  cargo mk run hello")]
struct Cli {
    /// Shows the commands that are run
    #[arg(short, long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Cmd,
}

#[derive(Subcommand)]
enum Cmd {
    Build(cmd::build::Args),
    Inspect(cmd::inspect::Args),
    Run(cmd::run::Args),
    Test(cmd::test::Args),
    Symbolize(cmd::symbolize::Args),
    Tidy(cmd::tidy::Args),
    Check(cmd::check::Args),
    Fuzz(cmd::fuzz::Args),
    Bench(cmd::bench::Args),
    Book(cmd::book::Args),
    Profile(cmd::profile::Args),
    New(cmd::new::Args),
    Disk(cmd::disk::Args),
    Doctor(cmd::doctor::Args),
    Clean(cmd::clean::Args),
    Host(cmd::host::Args),
}

fn main() -> ExitCode {
    let (words, others) = cmd::run::split(words(std::env::args_os()));
    let mut cli = Cli::parse_from(words);
    if let Cmd::Run(args) = &mut cli.command {
        args.add(others);
    }
    let ui = Ui::new(cli.verbose);
    let result = match &cli.command {
        Cmd::Build(args) => cmd::build::run(args, &ui),
        Cmd::Inspect(args) => cmd::inspect::run(args),
        Cmd::Run(args) => cmd::run::run(args, &ui),
        Cmd::Test(args) => cmd::test::run(args, &ui),
        Cmd::Symbolize(args) => cmd::symbolize::run(args, &ui),
        Cmd::Tidy(args) => cmd::tidy::run(args),
        Cmd::Check(args) => cmd::check::run(args, &ui),
        Cmd::Fuzz(args) => cmd::fuzz::run(args, &ui),
        Cmd::Clean(args) => cmd::clean::run(args),
        Cmd::New(args) => cmd::new::run(args, &ui),
        Cmd::Disk(args) => cmd::disk::run(args),
        Cmd::Doctor(args) => cmd::doctor::run(args),
        Cmd::Book(args) => cmd::book::run(args, &ui),
        Cmd::Bench(args) => cmd::bench::run(args, &ui),
        Cmd::Profile(args) => cmd::profile::run(args, &ui),
        Cmd::Host(args) => cmd::host::run(args, &ui),
    };
    ui.done();
    match result {
        Ok(status) => status.into(),
        Err(error) => {
            eprintln!("{} {error:#}", style("error:").for_stderr().red().bold());
            ExitCode::FAILURE
        }
    }
}

/// The command line, without the word that cargo puts before it when it calls us as `cargo
/// xenith`.
fn words(line: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    line.enumerate().filter(|(at, word)| *at != 1 || word != "xenith").map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::error::ErrorKind;

    #[test]
    fn help_is_there_however_it_is_asked_for() {
        for line in ["help", "--help", "help bench", "bench help boot", "bench boot --help"] {
            let words = std::iter::once("cargo mk").chain(line.split(' '));
            let error = Cli::try_parse_from(words).err().expect(line);
            assert_eq!(error.kind(), ErrorKind::DisplayHelp, "{line}: {error}");
        }
        let line = |line: &str| words(line.split(' ').map(OsString::from)).collect::<Vec<_>>();
        assert_eq!(line("cargo-xenith xenith run a"), line("cargo-xenith run a"));
        assert_eq!(line("mk new xenith").len(), 3);
        // That of an app is an argument of it.
        let run = Cli::try_parse_from(["cargo mk", "run", "hello", "help"]);
        assert!(matches!(run, Ok(Cli { command: Cmd::Run(_), .. })));
    }
}
