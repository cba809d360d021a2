use super::*;
use crate::log::tests::Buffer;
use lifecycle_core::env::Env;
use lifecycle_core::exit::{During, Phase};
use std::path::PathBuf;

/// A detector that prints where it is, and fails when `<app>` says so.
struct Fake;

impl Command for Fake {
    const PROGRAM: Program = Program::Detector;
    type Session = &'static str;

    fn prepare(inputs: &mut Inputs, log: &Log) -> Result<&'static str, Failure> {
        log.info("prepare");
        match inputs.app_dir.ends_with("unprivileged") {
            true => Err(Error::other("operation not permitted")
                .in_context("failed to chown volumes")
                .into()),
            false => Ok("session"),
        }
    }

    fn execute(inputs: &Inputs, session: &'static str, log: &Log) -> Result<(), Failure> {
        log.info(format_args!(
            "execute {session} {}",
            inputs.app_dir.display()
        ));
        match inputs.app_dir.ends_with("unknown") {
            true => {
                Err(Error::new(ErrorKind::NoGroupPassed, "failed to detect")).during(Phase::Detect)
            }
            false => Ok(()),
        }
    }
}

struct FakeRestorer;

impl Command for FakeRestorer {
    const PROGRAM: Program = Program::Restorer;
    type Session = ();

    fn prepare(_: &mut Inputs, _: &Log) -> Result<(), Failure> {
        Ok(())
    }

    fn execute(_: &Inputs, (): (), _: &Log) -> Result<(), Failure> {
        Ok(())
    }
}

/// Runs a command line; the result is the exit code and both outputs.
fn start(argv: &[&str], env: &[(&str, &str)]) -> (u8, String, String) {
    let process = Process {
        argv: argv.iter().map(OsString::from).collect(),
        env: Env::from_pairs(env.iter().copied()),
        working_dir: PathBuf::from("/"),
    };
    let (out, mut err) = (Buffer::default(), Vec::new());
    let log = Log::to(out.clone(), Level::Debug, true);
    let act = |process: &Process, log| {
        select(
            &[Entry::of::<Fake>(), Entry::of::<FakeRestorer>()],
            process,
            log,
        )
    };
    let code = finish(act_in(&process, &log, act), &mut err);
    (code, out.text(), String::from_utf8(err).unwrap())
}

fn check(argv: &[&str], env: &[(&str, &str)], code: u8, out: &str) {
    let env = [
        &[("CNB_PLATFORM_API", "0.12"), ("CNB_NO_COLOR", "true")],
        env,
    ]
    .concat();
    assert_eq!(
        start(argv, &env),
        (code, out.to_owned(), String::new()),
        "{argv:?} {env:?}"
    );
}

const RAN: &str = "prepare\nexecute session /workspace\n";
const PHASES: &str =
    "Valid phases: detect, analyze, restore, build, export, rebase, create, extend\n";

#[test]
fn the_name_chooses_the_program() {
    check(&["/cnb/lifecycle/detector"], &[], 0, RAN);
    check(&["detector.exe"], &[], 0, RAN);
    check(&["lifecycle", "detect"], &[], 0, RAN);
    check(&["lifecycle", "/path/detect"], &[], 0, RAN);
    check(
        &["restorer"],
        &[],
        0,
        "Warning: No cached data will be used, no cache specified.\n",
    );
    check(&["lifecycle"], &[], 3, "ERROR: failed to parse arguments\n");
    for (name, shown) in [
        ("detector", "detector"),
        ("-h", "-h"),
        ("", "."),
        ("/", "/"),
        ("--version", "--version"),
    ] {
        let text = format!("ERROR: failed to recognize phase: {shown} \n{PHASES}");
        check(&["lifecycle", name], &[], 3, &text);
    }
}

#[test]
fn the_version_is_printed_at_any_level() {
    let version = format!("{}\n", platform::version_text());
    check(
        &["detector", "-log-level", "error", "-version", "x"],
        &[],
        0,
        &version,
    );
    check(&["lifecycle", "detect", "-version"], &[], 0, &version);
    check(
        &["lifecycle", "-version"],
        &[("CNB_PLATFORM_API", "")],
        0,
        &version,
    );
}

#[test]
fn steps_are_logged_and_failures_decide_the_code() {
    let steps = "Starting detect...\nParsing inputs...\nEnsuring privileges...\nprepare\nExecuting command...\n\
                 execute session /workspace\n";
    check(
        &["lifecycle", "detect", "-log-level", "DEBUG"],
        &[],
        0,
        steps,
    );
    check(
        &["detector", "x"],
        &[],
        3,
        "ERROR: failed to parse arguments: received unexpected arguments\n",
    );
    check(
        &["detector", "-log-level", ""],
        &[],
        1,
        "ERROR: failed to parse log level: invalid level\n",
    );
    let unprivileged = "prepare\nERROR: failed to chown volumes: operation not permitted\n";
    check(&["detector", "-app", "/unprivileged"], &[], 1, unprivileged);
    check(
        &["detector", "-app", "/unknown", "-log-level", "warn"],
        &[],
        20,
        "ERROR: failed to detect\n",
    );
}

#[test]
fn flag_errors_go_to_standard_error() {
    let (code, out, err) = start(&["detector", "-x"], &[("CNB_PLATFORM_API", "0.12")]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        err.starts_with("flag provided but not defined: -x\nUsage of lifecycle:\n"),
        "{err}"
    );
    let (code, out, err) = start(&["detector", "-h"], &[("CNB_PLATFORM_API", "0.12")]);
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(err.starts_with("Usage: detector [flags]\n"), "{err}");
}

#[test]
fn the_platform_api_comes_first() {
    let check = |api, text: &str| {
        check(
            &["detector", "-x"],
            &[("CNB_PLATFORM_API", api)],
            11,
            &format!("ERROR: failed to {text}\n"),
        )
    };
    let unset = "get platform API version; please set 'CNB_PLATFORM_API' to specify the desired platform API version";
    check("", unset);
    check(" ", unset);
    check("abc", "parse platform API 'abc'");
    check(" 0.12", "parse platform API ' 0.12'");
    check(
        "0.6",
        "set platform API: platform API version '0.6' is incompatible with the lifecycle",
    );
}

#[test]
fn operands_that_look_like_flags_are_warned_about() {
    let text = "Warning: unconsumed flag-like positional arg: \n\t-x\n\t This will not be interpreted as a flag.\n\t Did \
                you mean to put this before the first positional argument?\n\
                ERROR: failed to parse arguments: received unexpected arguments\n";
    check(&["detector", "a", "", "-x"], &[], 3, text);
}

#[test]
fn color_follows_the_environment_from_the_start() {
    let check = |argv: &[&str], env: &[(&str, &str)], colored: bool| {
        let (_, out, _) = start(argv, env);
        assert_eq!(
            out.starts_with("\x1b[31;1mERROR: \x1b[0m"),
            colored,
            "{argv:?} {env:?} {out}"
        );
        assert_eq!(out.contains('\x1b'), colored, "{argv:?} {env:?} {out}");
    };
    let api = ("CNB_PLATFORM_API", "0.12");
    for (value, colored) in [
        ("true", false),
        ("1", false),
        ("false", true),
        ("yes", true),
        ("", true),
    ] {
        check(&["detector"], &[("CNB_NO_COLOR", value)], colored);
        check(&["lifecycle"], &[("CNB_NO_COLOR", value)], colored);
        check(&["detector", "x"], &[("CNB_NO_COLOR", value), api], colored);
    }
    check(&["detector", "-no-color", "x"], &[api], false);
    check(
        &["detector", "-no-color=false", "x"],
        &[("CNB_NO_COLOR", "true"), api],
        true,
    );
}
