//! What `scripts/dom0/update` does when the two domains of an update say what they say late, or not
//! at all: with files for domains, and stand-ins for `xl` and `xenstore`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `xl`, over a folder for each domain, with its name and the flags of `xl list`.
const XL: &str = r#"#!/bin/sh
cd "$HOST" || exit
case $1 in
domid) for d in [0-9]*; do [ "$(cat "$d/name" 2>/dev/null)" != "$2" ] || { echo "$d"; exit; }; done; exit 1 ;;
create) echo "$*" >created; mkdir 2 && echo service-next >2/name && echo -b---- >2/flags ;;
list) [ -d "$2" ] || exit 1; echo "$(cat "$2/name") $2 4 1 $(cat "$2/flags") 0.1" ;;
destroy) rm -r "$2" && echo "destroy $2" >>done ;;
rename) echo "$3" >"$2/name"; echo "rename $2 $3" >>done ;;
unpause) echo "unpause $2" >>done ;;
esac
"#;

const XENSTORE: &str = r#"#!/bin/sh
file=$HOST/store$2
case $1 in
read) cat "$file" 2>/dev/null ;;
write) mkdir -p "$(dirname "$file")" && echo "$3" >"$file" ;;
rm) rm -r "$file" ;;
list) ls "$file" 2>/dev/null ;;
esac
"#;

/// Time goes on by what happens then: `at N` in the folder is run when it is waited for the N-th time.
const SLEEP: &str = r#"#!/bin/sh
cd "$HOST" || exit
n=$(($(cat now 2>/dev/null || echo 0) + 1))
echo $n >now
[ ! -e "at $n" ] || sh "at $n"
"#;

/// Runs the script for `service`, where `events` happen, as what is run at which time, 0 being before
/// it. Returns its status, what it says, and what it did to domains.
fn update(case: &str, events: &[(u32, &str)]) -> (bool, String, Vec<String>) {
    let host = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("update-{case}"));
    let _ = fs::remove_dir_all(&host);
    let tools = host.join("tools");
    fs::create_dir_all(&tools).unwrap();
    for (name, text) in [("xl", XL), ("xenstore", XENSTORE), ("sleep", SLEEP)] {
        let file = tools.join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::create_dir(host.join("1")).unwrap();
    fs::write(host.join("1/name"), "service\n").unwrap();
    fs::write(host.join("1/flags"), "-b----\n").unwrap();
    for (time, text) in events {
        let functions =
            "says() { [ ! -d $1 ] || xenstore write /local/domain/$1/data/update/state \"$2\"; }\n";
        fs::write(host.join(format!("at {time}")), format!("{functions}{text}\n")).unwrap();
    }
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let script: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/dom0/update");
    let run = |script: &Path| {
        let mut command = Command::new("sh");
        command.arg(script).args(["service", "/dev/null"]);
        command.env("PATH", &path).env("HOST", &host).output().unwrap()
    };
    if events.first().is_some_and(|&(time, _)| time == 0) {
        run(&host.join("at 0"));
    }
    let output = run(&script);
    let did = fs::read_to_string(host.join("done")).unwrap_or_default();
    let did = did.lines().map(String::from).collect();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned(), did)
}

const REPLACED: [&str; 3] = ["unpause 2", "destroy 1", "rename 2 service"];
const AS_BEFORE: [&str; 2] = ["unpause 2", "destroy 2"];

#[test]
fn a_service_is_replaced_when_the_new_one_says_that_it_serves() {
    let events = [(2, "says 1 'given 1 2 3'"), (3, "says 2 taken"), (5, "echo ---s-- >1/flags")];
    let (good, says, did) = update("taken", &events);
    assert!(good, "{says}");
    assert_eq!(did, REPLACED);
}

#[test]
fn a_new_one_that_has_taken_over_is_not_destroyed_when_its_word_is_late() {
    // The old one knows by the offer itself.
    let events = [(2, "says 1 'given 1 2 3'"), (100, "says 1 'late 1 2 3'")];
    let (good, says, did) = update("late", &events);
    assert!(good, "{says}");
    assert_eq!(did, REPLACED);
    // The same when it has ended before anybody asked.
    let events = [(2, "says 1 'given 1 2 3'"), (101, "says 1 'late 1 2 3'; echo ---s-- >1/flags")];
    assert_eq!(update("ended", &events).2, REPLACED);
}

#[test]
fn a_new_one_that_does_not_come_so_far_is_destroyed_when_the_old_one_has_said_that_it_goes_on() {
    for (case, events) in [
        ("refuses", &[(2, "says 2 'refused it is damaged'"), (4, "says 1 withdrawn")][..]),
        ("withdrawn", &[(2, "says 1 'given 1 2 3'"), (9, "says 1 withdrawn")]),
        ("versions", &[(2, "says 1 'refused the successor takes no state of this version'")]),
        ("silent", &[(110, "says 1 'refused the successor was taken away'")]),
        ("away", &[(3, "rm -r 2"), (4, "says 1 'refused the successor was taken away'")]),
        // It follows no updates at all.
        ("deaf", &[]),
    ] {
        let (good, says, did) = update(case, events);
        assert!(!good && says.contains("goes on serving"), "{case}: {says}");
        let away = if case == "away" { &AS_BEFORE[..1] } else { &AS_BEFORE };
        assert_eq!(did, away, "{case}: {says}");
    }
}

#[test]
fn a_new_one_is_told_when_the_old_one_ends_before_it_has_given_anything() {
    let told = "[ -e store/local/domain/2/data/update/from ] || says 2";
    let refuses = format!("{told} 'refused the former image was taken away'");
    let (good, says, did) =
        update("alone", &[(2, "says 2 'ready 1 1 1 9'"), (3, "rm -r 1"), (6, &*refuses)]);
    assert!(!good && says.contains("has ended, and so has the new one"), "{says}");
    assert_eq!(did, AS_BEFORE);
    // One that was not ready is not told: it would take itself for the first.
    let begins = "[ -e store/local/domain/2/data/update/from ] || says 2 taken";
    let (good, says, did) = update("early", &[(3, "rm -r 1"), (4, begins)]);
    assert!(!good && says.contains("has ended, and so has the new one"), "{says}");
    assert_eq!(did, AS_BEFORE);
    // One that had taken over, and could not say so before.
    let serves = format!("{told} taken");
    let (good, says, did) =
        update("heir", &[(2, "says 2 'ready 1 1 1 9'"), (3, "rm -r 1"), (6, &*serves)]);
    assert!(good, "{says}");
    assert_eq!(did, ["unpause 2", "rename 2 service"]);
}

#[test]
fn where_nobody_knows_who_serves_neither_is_destroyed() {
    let (good, says, did) = update("mute", &[(2, "says 1 'given 1 2 3'")]);
    assert!(!good && says.contains("does not answer; service-next is left"), "{says}");
    assert_eq!(did, ["unpause 2"]);
    let (good, says, _) = update("both", &[(3, "echo ---s-- >1/flags; rm -r 2")]);
    assert!(!good && says.contains("has ended, and so has the new one"), "{says}");
}

#[test]
fn a_new_one_has_the_uuid_by_which_it_may_share_the_disks_of_the_old_one() {
    let given = "echo ---s-- >1/flags; case $(cat created) in $is) says 2 taken ;; esac";
    for (case, uuid, is) in [
        ("uuid", "xenstore write /local/domain/1/vm /vm/5f-a3", "*\\ uuid=\\'5f-a3\\'"),
        ("no-uuid", ":", "*\\ name=\\'service-next\\'"),
    ] {
        let given = given.replace("$is", is);
        let (good, says, did) = update(case, &[(0, uuid), (2, &given)]);
        assert!(good, "{case}: {says}");
        assert_eq!(did, REPLACED, "{case}");
    }
}
