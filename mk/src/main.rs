//! `cargo mk`: builds Xenith apps into Xen domU images, boots them on real
//! Xen, tests and measures them.
//!
//! * [`cmd`]: the commands, one file each
//! * [`project`]: the workspace as cargo sees it
//! * [`guest`]: building guests with cargo
//! * [`link`]: the linker that it calls
//! * [`image`]: from the linked ELF file to what Xen boots
//! * [`lab`], a crate of its own: real Xen and a real Linux dom0 inside QEMU
//! * [`boot`]: booting the lab for a command
//! * [`disk`]: disks of guests, and their images
//! * [`ending`]: how a guest's run ended
//! * [`directives`]: what is expected of a test guest
//! * [`explain`]: what happened where the guest cannot say it
//! * [`dump`]: a domain's memory, and what is in it
//! * [`symbols`]: functions and lines of addresses; [`names`] puts them into reports
//! * [`saved`]: the file of a saved guest
//! * [`judge`]: whether it did that
//! * [`tidy`]: Xenith's invariants that the compiler cannot check
//! * [`toolstack`]: what `xl` says where it fails
//! * [`ui`]: what the user sees while something is done

#![forbid(unsafe_code)]
// They panic when nobody reads any more; `ui` has what does not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod alike;
mod boot;
mod cmd;
mod crashes;
mod directives;
mod disk;
mod dump;
mod ending;
mod explain;
mod guest;
mod image;
mod judge;
mod link;
mod names;
mod program;
mod project;
mod provenance;
mod saved;
mod symbols;
mod tidy;
mod toolstack;
mod ui;

use clap::{Command, CommandFactory, FromArgMatches, Parser, Subcommand};
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
    #[arg(short, long, global = true, display_order = 900)]
    verbose: bool,
    #[command(subcommand)]
    command: Cmd,
}

#[derive(Subcommand)]
enum Cmd {
    Build(cmd::build::Args),
    Inspect(cmd::inspect::Args),
    Run(cmd::run::Args),
    Save(cmd::save::Args),
    Restore(cmd::restore::Args),
    Migrate(cmd::migrate::Args),
    Update(cmd::update::Args),
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
    let line: Vec<_> = std::env::args_os().collect();
    if link::is_called(&line) {
        return ended(link::run(&line[1..]), MK);
    }
    let tool = if is_installed(&line) { "cargo xenith" } else { MK };
    let (words, others) = cmd::run::split(words(line.into_iter()));
    let matches = called(Cli::command(), tool).get_matches_from(words);
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    if let Cmd::Run(args) = &mut cli.command {
        args.add(others);
    }
    let ui = Ui::new(cli.verbose);
    let result = match &cli.command {
        Cmd::Build(args) => cmd::build::run(args, &ui),
        Cmd::Inspect(args) => cmd::inspect::run(args),
        Cmd::Run(args) => cmd::run::run(args, &ui),
        Cmd::Save(args) => cmd::save::run(args, &ui),
        Cmd::Restore(args) => cmd::restore::run(args, &ui),
        Cmd::Migrate(args) => cmd::migrate::run(args, &ui),
        Cmd::Update(args) => cmd::update::run(args, &ui),
        Cmd::Test(args) => cmd::test::run(args, &ui),
        Cmd::Symbolize(args) => cmd::symbolize::run(args, &ui),
        Cmd::Tidy(args) => cmd::tidy::run(args),
        Cmd::Check(args) => cmd::check::run(args, &ui),
        Cmd::Fuzz(args) => cmd::fuzz::run(args, &ui),
        Cmd::Clean(args) => cmd::clean::run(args, &ui),
        Cmd::New(args) => cmd::new::run(args, &ui),
        Cmd::Disk(args) => cmd::disk::run(args, &ui),
        Cmd::Doctor(args) => cmd::doctor::run(args),
        Cmd::Book(args) => cmd::book::run(args, &ui),
        Cmd::Bench(args) => cmd::bench::run(args, &ui),
        Cmd::Profile(args) => cmd::profile::run(args, &ui),
        Cmd::Host(args) => cmd::host::run(args, &ui),
    };
    ui.done();
    ended(result, tool)
}

/// Says what went wrong with a command of this tool, called `tool`.
fn ended(result: anyhow::Result<u8>, tool: &str) -> ExitCode {
    let say = |what: &str| {
        ui::err(&format!("{} {what}\n", style("error:").for_stderr().red().bold()));
        ExitCode::FAILURE
    };
    let failed = result
        .as_ref()
        .err()
        .map(|error| say(&format!("{error:#}").replace("`cargo mk", &format!("`{tool}"))));
    // A status that says that all is well would be of a result that nobody has.
    let unwritten = ui::unwritten().map(say);
    failed.or(unwritten).unwrap_or_else(|| result.unwrap_or(1).into())
}

/// What the alias of a repository calls this tool.
const MK: &str = "cargo mk";

/// Whether cargo calls us as `cargo xenith`, and no alias does.
fn is_installed(line: &[OsString]) -> bool {
    line.get(1).is_some_and(|word| word == "xenith")
}

/// The command and all below it, whose help calls this tool `tool`.
fn called(command: Command, tool: &'static str) -> Command {
    if tool == MK {
        return command;
    }
    let said = |text: &clap::builder::StyledStr| text.to_string().replace(MK, tool);
    let mut command = command.mut_subcommands(|it| called(it, tool));
    if let Some(text) = command.get_after_help().map(said) {
        command = command.after_help(text);
    }
    match command.get_bin_name().map(|name| name.replace(MK, tool)) {
        Some(name) => command.name(tool).bin_name(name),
        None => command,
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
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert!(is_installed(&words("cargo-xenith xenith run")));
        assert!(!is_installed(&words("cargo-xenith run")));
        for line in ["help", "help run", "bench boot --help", "host run --help"] {
            let words = std::iter::once("cargo-xenith").chain(line.split(' '));
            let error = called(Cli::command(), "cargo xenith").try_get_matches_from(words);
            let help = error.unwrap_err().to_string();
            assert!(help.contains("Usage: cargo xenith ") && !help.contains(MK), "{line}: {help}");
        }
        // That of an app is an argument of it.
        let run = Cli::try_parse_from(["cargo mk", "run", "hello", "help"]);
        assert!(matches!(run, Ok(Cli { command: Cmd::Run(_), .. })));
    }
}
