//! What a request costs, and a connection holds, beside many that are open.

use super::super::versus::{Aim, Better, Row, Sample};
use super::server::{Kind, Server, metrics};
use crate::ui::Ui;
use anyhow::{Context, Result};
use lab::Host;
use std::time::Duration;

/// What is measured.
pub(super) const WHAT: &str = "instructions a request beside";
/// Memory of the guest, in MiB.
const MIB: u64 = 128;
/// So many connections are open.
const COUNTS: [u32; 4] = [10, 100, 1000, 10_000];
/// Requests whose cost is measured, ten at a time, on connections all over them.
const REQUESTS: u32 = 1000;
/// A request beside the most connections may cost so much of one beside the fewest.
const MOST: f64 = 1.3;
const PATIENCE: Duration = Duration::from_secs(600);

/// What opens them and asks.
const HOLD: &str = include_str!("../../../../embed/hold.py");

/// What one number of connections comes to.
struct Held {
    /// Guest instructions for a request.
    cost: f64,
    /// Bytes of memory in use.
    memory: f64,
}

/// Measures on a host where instructions are counted.
pub(super) fn rows(host: &Host, kind: Kind<'_>, ui: &Ui) -> Result<Vec<Row>> {
    host.upload(HOLD.as_bytes(), "/run/hold.py")?;
    let server = kind.start_with(host, MIB, " connections=20000 idle=3600")?;
    let mut rows = Vec::new();
    let mut first: Option<Held> = None;
    for count in COUNTS {
        ui.step(&format!("a request beside {count} connections"));
        let held = hold(host, &server, count)?;
        ui.note(&format!("{} instructions, {} bytes in use", held.cost, held.memory));
        let aim = first.as_ref().map(|first| Aim::Figure(first.cost * MOST));
        rows.push(row(format!("{WHAT} {count}"), "", held.cost, aim));
        if let Some(first) = &first
            && COUNTS.last() == Some(&count)
        {
            let each = (held.memory - first.memory) / f64::from(count - COUNTS[0]);
            rows.push(row("memory of an idle connection".into(), "B", each, None));
        }
        first = first.or(Some(held));
    }
    Ok(rows)
}

fn row(what: String, unit: &'static str, value: f64, aim: Option<Aim>) -> Row {
    let xenith = Sample::of(vec![value]);
    Row { what, unit, better: Better::Less, xenith, linux: None, aim }
}

fn hold(host: &Host, server: &Server, count: u32) -> Result<Held> {
    // When it asks, all connections have been idle for long enough to hold the least.
    let script = format!(
        "cd /run\nulimit -n 20000\nrm -f hold.in\nmkfifo hold.in\n: >hold.out\n\
         python3 -S hold.py {ip} {count} {REQUESTS} <hold.in >hold.out 2>&1 &\nholder=$!\n\
         exec 9>hold.in\n\
         said() {{ until grep -q $1 hold.out; do sleep 0.2\n\
         kill -0 $holder || {{ cat hold.out >&2; exit 1; }}; done; }}\n\
         said open\nsleep 3\ncurl -sf http://{ip}/metrics\n\
         before=$(cpu-time {id})\necho >&9\nsaid done\nafter=$(cpu-time {id})\n\
         exec 9>&-\nwait $holder\necho xenith_spent $((after - before))",
        ip = server.ip,
        id = server.domain.id(),
    );
    let output = host.shell_within(&script, PATIENCE)?.success()?;
    let said = metrics(&String::from_utf8_lossy(&output.stdout));
    let of = |name: &str| said.get(name).copied().with_context(|| format!("no {name}"));
    Ok(Held { cost: of("spent")? / f64::from(REQUESTS), memory: of("heap_used_bytes")? })
}
