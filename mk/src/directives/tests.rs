//! Tests of the parser.

use super::*;

#[test]
fn scripts_are_text_or_files() {
    let runs = parse("//! test: client \"nc $IP\"\n//! test: client a.sh\n", false).unwrap();
    let all = [Script::Text("nc $IP".into()), Script::File("a.sh".into())];
    assert_eq!(runs[0].clients, all);
    assert!(runs[0].uses_network());
    assert!(parse("//! test: client ../a.sh\n", false).is_err());
    assert!(parse("//! test: dom0\n", false).is_err());
    assert!(!parse("//! test: memory 1\n", false).unwrap()[0].uses_network());
    assert!(parse("//! test: xl vif=['']\n", false).unwrap()[0].uses_network());
}

#[test]
fn surroundings_are_described() {
    let source = "//! test: with echo-server port=7 a=\"b c\"\n//! test: with noop\n//! test: \
        with-when \"up\"\n//! test: client-when \"\"\n//! test: \
        core-contains \"a task\"\n//! test(a): client-then wait\n//! \
        test(b): client-then destroy\n//! test(c): client-then shutdown\n";
    let runs = parse(source, false).unwrap();
    let with =
        |app: &str, args: Option<&str>| With { app: app.into(), args: args.map(str::to_owned) };
    let expected = [with("echo-server", Some("port=7 a=\"b c\"")), with("noop", None)];
    assert_eq!(runs[0].with, expected);
    assert_eq!(runs[0].with_when.as_deref(), Some("up"));
    assert_eq!(runs[0].client_when.as_deref(), Some(""));
    assert_eq!(runs[0].core, ["a task"]);
    let then: Vec<_> = runs.iter().map(|run| run.then).collect();
    assert_eq!(then, [Then::Wait, Then::Destroy, Then::Shutdown]);
    assert!(runs[0].uses_network());
}

#[test]
fn cycles_are_saves_unless_they_say_how() {
    let runs = parse("//! test(a): cycles 3\n//! test(b): cycles 2 copy save\n", false).unwrap();
    let all: Vec<_> = runs.iter().map(|run| run.cycles.clone().unwrap()).collect();
    assert_eq!((all[0].count, &all[0].how[..]), (3, &["save".to_owned()][..]));
    assert_eq!((all[1].count, all[1].how.join(" ")), (2, "copy save".to_owned()));
    assert!(runs[0].uses_network());
}

#[test]
fn a_guest_without_directives_has_no_runs() {
    assert!(parse("//! A guest.\n\nuse a::b;\n// test: expect exit 3\n", true).unwrap().is_empty());
}

#[test]
fn a_directive_may_be_for_several_runs() {
    let runs = parse("//! test(a,b): memory 2\n//! test(b,c): timeout 5\n", false).unwrap();
    let all: Vec<_> = runs.iter().map(|run| (run.name.as_deref(), run.memory)).collect();
    assert_eq!(all, [(Some("a"), Some(2)), (Some("b"), Some(2)), (Some("c"), None)]);
    assert_eq!(runs[1].timeout, Duration::from_secs(5));
    assert!(parse("//! test(a,): memory 2\n", false).is_err());
}

#[test]
fn a_test_is_a_part_of_the_check_unless_it_says_otherwise() {
    let source = "//! test(a,b,c): memory 2\n//! test(b): not-in-check\n//! test(c): long\n";
    let parts: Vec<_> = parse(source, false).unwrap().iter().map(|run| run.part).collect();
    assert_eq!(parts, [Part::Check, Part::Test, Part::Long]);
}

#[test]
fn directives_are_applied() {
    let source = "//! Tests.\n//!\n//! test: args a=\"b c\" d\n//! test: memory 2\n//! test: \
        timeout 5\n//! test: args-fill 12\n//! test: expect crash \"#UD \\\"x\\\"\"\n//! test: console-contains \
        \"a\\nb\\\\x1b\"\n//! test: console-lines 9\n//! test: no-verdict\n//! test: xl \
        cpuid=\"host\"\n//! test: input \"x\\n\"\n//! test: long\n";
    assert_eq!(
        parse(source, true).unwrap(),
        [Run {
            name: None,
            args: Some("a=\"b c\" dxxx".into()),
            memory: Some(2),
            config: vec!["cpuid=\"host\"".into()],
            input: Some("x\n".into()),
            disks: Vec::new(),
            programs: Vec::new(),
            before: Vec::new(),
            clients: Vec::new(),
            core: Vec::new(),
            client_when: None,
            then: Then::Shutdown,
            cycles: None,
            with: Vec::new(),
            with_when: None,
            timeout: Duration::from_secs(5),
            expect: Expect::Crash("#UD \"x\"".into()),
            contains: vec!["a\nb\\x1b".into()],
            lines: Some(9),
            verdict: false,
            part: Part::Long,
        }]
    );
}

#[test]
fn runs_have_names_and_share_the_rest() {
    let source = "//! test(one): expect exit 3\n//! test: expect poweroff\n//! test: memory 4\n\
        //! test(two): memory 8\n//! test(one): console-contains \"x\"\n";
    let runs = parse(source, true).unwrap();
    assert_eq!(runs.len(), 2);
    assert_eq!((runs[0].name.as_deref(), &runs[0].expect), (Some("one"), &Expect::Exit(3)));
    assert_eq!((runs[0].memory, runs[1].memory), (Some(4), Some(8)));
    assert_eq!((runs[0].contains.len(), runs[1].contains.len()), (1, 0));
    assert_eq!(runs[1].expect, Expect::Poweroff);
}

#[test]
fn the_list_of_directives_is_whole() {
    let mut names: Vec<&str> = include_str!("../directives.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! test: ")?.split(' ').next())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, KNOWN);
    for name in KNOWN {
        let parsed = parse(&format!("//! test: {name}\n"), true).map_err(|it| format!("{it:#}"));
        assert!(parsed.as_ref().err().is_none_or(|it| !it.contains("no directive")), "{name}");
    }
}

#[test]
fn mistakes_are_named_with_their_line() {
    for (directive, expected) in [
        ("test: expect nothing", "expect poweroff, exit N"),
        ("test: expect exit x", "an exit status is a number"),
        ("test: memory much", "\"much\" is not a number"),
        ("test: console-contains x", "stands in double quotes"),
        ("test: console-contains \"\\q\"", "no such escape"),
        ("test: disk data", "NAME=FILE, NAME=FOLDER, NAME=SIZE or"),
        ("test: program hello", "a program is a file beside the source: NAME.c"),
        ("test: program ../hello.c", "a program is a file beside the source: NAME.c"),
        ("test: cycles", "\"\" is not a number"),
        ("test: cycles 3 out", "a guest is suspended by save, copy, migrate, full"),
        ("test: client-then sleep", "client-then shutdown, destroy or wait"),
        ("test: client-when up", "stands in double quotes"),
        ("test: client a b", "a script stands in double quotes, or is"),
        ("test: with", "with an app"),
        ("test: color red", "there is no directive color; there are args, args-fill, client, "),
        ("test(): memory 1", "a run's name"),
    ] {
        let error = parse(&format!("//! Tests.\n//! {directive}\n"), true).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains(expected) && error.contains("line 2"), "{directive}: {error}");
    }
}
