//! `cargo mk bench`: what Xenith costs, in numbers that noise cannot touch.

mod block;
mod brief;
mod busybox;
mod chart;
mod crypto;
mod endurance;
mod faults;
mod figures;
mod hosts;
mod http;
mod linux;
mod loss;
mod machine;
mod net;
mod redis;
mod report;
mod site;
mod spread;
mod starts;
mod suspend;
mod tls;
mod verdicts;
mod versus;

use crate::project::Project;
use crate::ui::{Ui, out};
use anyhow::Result;
use brief::brief;
use hosts::Hosts;
pub(crate) use machine::available_mib;

/// Measures what Xenith costs
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo mk bench boot --json")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Booting: instructions and time to the first console byte, image sizes, least memory
    #[command(
        after_help = "Example:\n  cargo mk bench boot --starts 3\n\nInstructions are counted by QEMU \
and hardly vary; times do. Each is the median of all starts,\nwith the least and the most."
    )]
    Boot {
        /// Prints JSON instead of a table
        #[arg(long)]
        json: bool,
        /// How often to start
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
        starts: u32,
    },
    /// The network, beside Linux as a guest: throughput, requests, round trips, their cost
    Net(net::Args),
    /// A disk, beside Linux as a guest: throughput, requests, flushes, their cost
    Block(block::Args),
    /// Streams through a network that loses, reorders and repeats packets: what arrives is compared
    Faults(faults::Args),
    /// TCP through a cable that loses, delays and reorders, beside Linux's on the same cable
    Loss(loss::Args),
    /// What system calls cost a Linux program, beside Linux, and what it needs
    Linux(linux::Args),
    /// The tests of busybox, as a guest of Xenith and on Linux
    Busybox(busybox::Args),
    /// Cryptography: by which instructions it works, and what a byte or a signature costs
    #[command(
        after_help = "Example:\n  cargo mk bench crypto --json\n\nInstructions are counted by QEMU; it \
runs the app crypto, which tests by vectors as well."
    )]
    Crypto {
        /// Prints JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Save, restore and update: what they cost, what clients notice, what files hold
    Suspend(suspend::Args),
    /// TLS, beside nginx with OpenSSL on Linux as a guest: handshakes, requests, bodies
    Tls(tls::Args),
    /// The tests of redis, with a server as a guest of Xenith and on Linux
    Redis(redis::Args),
    /// Linux programs under load for long: whether their guests' memory stays
    Endurance(endurance::Args),
    /// All of these once, as briefly as can be, to see that none is broken
    #[command(
        after_help = "Example:\n  cargo mk bench brief\n\nIts figures say nothing, and are not shown."
    )]
    Brief,
    /// Requests by the grammar of HTTP, and against it: how many are answered as the RFCs say
    Http(http::Args),
    /// The machine beneath an app: boot by memory, heap, tasks, time, hypercalls
    #[command(
        after_help = "Example:\n  cargo mk bench machine --json\n\nInstructions are counted by QEMU, \
Xen's work for the guest included. It takes some minutes."
    )]
    Machine {
        /// Prints JSON instead of a table
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// When a host does not come up or a guest does not behave.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let (json, starts) = match &args.what {
        What::Boot { json, starts } => (*json, *starts),
        What::Brief => {
            out(&format!("{}\n", brief(&Project::find()?, ui)?));
            return Ok(0);
        }
        What::Machine { json } => return machine::run(*json, ui),
        What::Crypto { json } => return crypto::run(*json, ui),
        What::Net(args) => return net::run(args, ui),
        What::Block(args) => return block::run(args, ui),
        What::Faults(args) => return faults::run(args, ui),
        What::Http(args) => return http::run(args, ui),
        What::Linux(args) => return linux::run(args, ui),
        What::Busybox(args) => return busybox::run(args, ui),
        What::Endurance(args) => return endurance::run(args, ui),
        What::Redis(args) => return redis::run(args, ui),
        What::Tls(args) => return tls::run(args, ui),
        What::Loss(args) => return loss::run(args, ui),
        What::Suspend(args) => return suspend::run(args, ui),
    };
    let project = Project::find()?;
    let boot = starts::boot(&project, |_| true, starts, &mut Hosts::own(ui))?;
    if json {
        out(&format!("{}\n", serde_json::to_string_pretty(&boot)?));
    } else {
        out(&starts::shown(&boot));
    }
    Ok(0)
}
