//! What `xl` and the libraries below it say where they fail, as one error that says what to do.

use crate::ui::Ui;
use anyhow::anyhow;

/// The error that a user is shown where the guest `name` could not be created or restored; with
/// --verbose, after all that the tools said.
pub(crate) fn told(error: anyhow::Error, name: &str, ui: &Ui) -> anyhow::Error {
    let said = format!("{error:#}");
    let Some(clear) = clear(&said, name) else { return error };
    if ui.is_verbose() {
        ui.note(&said);
        return anyhow!("{clear}");
    }
    anyhow!("{clear}. --verbose shows all that Xen's tools say")
}

/// What is wrong, where it is Xen's tools that say so.
fn clear(said: &str, name: &str) -> Option<String> {
    let restores = said.starts_with("xl restore ");
    let mut errors = said.lines().filter_map(complaint);
    let first = errors.next().filter(|_| restores || said.starts_with("xl create "))?;
    let no_room =
        ["can't allocate", "Out of memory", "Cannot allocate memory", "Not enough memory"];
    Some(if no_room.iter().any(|it| said.contains(it)) {
        format!(
            "Xen has no room for the memory of {name}: give it less with --memory, or let fewer guests \
             run beside it"
        )
    } else if restores {
        format!(
            "{name} cannot be restored ({first}): the file is damaged, or of a Xen that this one does \
             not understand. Copy it again, or save the guest again"
        )
    } else {
        format!("Xen does not create {name}: {first}")
    })
}

/// What a line of `xl`, libxl or libxc complains of, without where in these that is.
fn complaint(line: &str) -> Option<&str> {
    // The first line stands behind what was called.
    let (_, text) = line.split_once("error: ")?;
    let place = |text: &str| text.contains(".c:");
    // `libxl_dom.c:586:libxl__build_dom: xc_dom_boot_mem_init failed: ...`
    let text = match text.split_once(": ") {
        Some((before, rest)) if place(before) => rest,
        _ => text.split_once(":Domain ").map_or(text, |(_, rest)| rest),
    };
    Some(text.strip_suffix(": Internal error").unwrap_or(text).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Debian's Xen 4.17 says.
    const MEMORY: &str = "xl create /a/httpd.xl: got a tsc mode string: \"native\"
xc: error: panic: xg_dom_boot.c:119: xc_dom_boot_mem_init: can't allocate low memory for domain: Out of memory
libxl: error: libxl_dom.c:586:libxl__build_dom: xc_dom_boot_mem_init failed: Cannot allocate memory
libxl: error: libxl_create.c:1640:domcreate_rebuild_done: Domain 1:cannot (re-)build domain: -3
libxl: error: libxl_domain.c:1183:libxl__destroy_domid: Domain 1:Non-existant domain";

    const DAMAGED: &str = "xl restore /a/b.saved: Loading new save file /run/lab/memory.195 (new xl fmt info 0x3/0x0/919)
 Savefile contains xl domain config in JSON format
Parsing config from httpd.xl
xc: info: Found x86 PV domain from Xen 4.17
xc: error: pfn 0xa2d83cce38643 (index 323) outside domain maximum: Internal error
xc: error: Restore failed (0 = Success): Internal error
libxl: error: libxl_stream_read.c:850:libxl__xc_domain_restore_done: restoring domain: Success";

    #[test]
    fn what_xen_s_tools_say_is_one_error_that_says_what_to_do() {
        let text = clear(MEMORY, "web").unwrap();
        assert!(text.contains("no room for the memory of web") && text.contains("--memory"));
        let text = clear(DAMAGED, "web").unwrap();
        let why =
            "web cannot be restored (pfn 0xa2d83cce38643 (index 323) outside domain maximum): ";
        assert!(text.starts_with(why), "{text}");
        let other = "xl create a.xl: libxl: error: libxl_nic.c:7:f: Domain 3:No such bridge";
        assert_eq!(
            clear(other, "web").unwrap(),
            "Xen does not create web: Domain 3:No such bridge"
        );
        for text in [MEMORY, DAMAGED, other] {
            let text = clear(text, "web").unwrap();
            assert!(!text.contains("libxl") && text.lines().count() == 1, "{text}");
        }
    }

    #[test]
    fn what_others_say_stays_as_it_is() {
        for other in ["cannot read a.saved: No such file", "xl create a.xl: status 139", "lost"] {
            assert_eq!(clear(other, "web"), None, "{other}");
        }
    }
}
