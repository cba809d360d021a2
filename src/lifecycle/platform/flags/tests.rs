use super::*;

fn settings(api: &str, env: &[(&str, &str)]) -> Settings {
    Settings::from_env(
        PlatformApi::parse(api).unwrap(),
        Env::from_pairs(env.iter().copied()),
    )
}

fn parsed(program: Program, args: &[&str]) -> Result<Parsed, Stop> {
    let args: Vec<OsString> = args.iter().map(OsString::from).collect();
    parse(program, settings("0.15", &[]), &args)
}

#[test]
fn rows_are_sorted_and_their_defaults_are_valid() {
    assert!(FLAGS.is_sorted_by_key(|flag| flag.name));
    for flag in FLAGS.iter().filter(|flag| !flag.default.is_empty()) {
        let mut settings = settings("0.15", &[]);
        assert_eq!(
            flag.assign(&mut settings, flag.default.as_ref()),
            Ok(()),
            "-{}",
            flag.name
        );
    }
}

/// FACTS 1.7: each program's flags at an API, without those that every program has.
#[test]
fn programs_have_the_contract_flags() {
    let check = |program, api, expected: &str| {
        let api = PlatformApi::parse(api).unwrap();
        let general = |flag: &&Flag| !matches!(flag.name, "log-level" | "no-color" | "version");
        let names = FLAGS
            .iter()
            .filter(|flag| flag.exists(program, api) && flag.is_contract(program))
            .filter(general);
        let names: Vec<_> = names.map(|flag| flag.name).collect();
        assert_eq!(names.join(" "), expected, "{program:?} {api}");
    };
    let analyzer = "analyzed cache-image daemon gid layers previous-image run-image stack tag uid";
    check(Program::Analyzer, "0.7", analyzer);
    let analyzer = "analyzed cache-image daemon gid insecure-registry launch-cache layers layout layout-dir \
                    previous-image run run-image skip-layers tag uid";
    check(Program::Analyzer, "0.13", analyzer);
    check(
        Program::Detector,
        "0.9",
        "app buildpacks group layers order plan platform",
    );
    check(
        Program::Detector,
        "0.10",
        "analyzed app buildpacks extensions generated group layers order plan platform",
    );
    check(
        Program::Builder,
        "0.11",
        "app build-config buildpacks group layers plan platform",
    );
    check(
        Program::Rebaser,
        "0.10",
        "daemon gid image report run-image uid",
    );
    check(
        Program::Rebaser,
        "0.15",
        "daemon force gid image insecure-registry previous-image report run-image uid",
    );
    let restorer = "analyzed build-image cache-dir cache-image daemon generated gid group insecure-registry layers \
                    layout layout-dir run skip-layers uid";
    check(Program::Restorer, "0.14", restorer);
    let creator = "app buildpacks cache-dir cache-image daemon gid launch-cache launcher layers order parallel platform \
                   previous-image process-type project-metadata report run-image skip-restore stack tag uid";
    check(Program::Creator, "0.7", creator);
}

#[test]
fn flags_stop_at_the_first_operand() {
    let check = |args: &[&str], uid, operands: &[&str]| {
        let parsed = parsed(Program::Analyzer, args).unwrap();
        assert_eq!(parsed.settings.inputs.uid, uid, "{args:?}");
        assert_eq!(parsed.operands, operands, "{args:?}");
    };
    check(&[], 0, &[]);
    check(&["-uid", "5", "a"], 5, &["a"]);
    check(&["--uid=5", "-uid=6", "a"], 6, &["a"]);
    check(
        &["-daemon", "false", "-uid", "5"],
        0,
        &["false", "-uid", "5"],
    );
    check(&["--", "-uid", "5"], 0, &["-uid", "5"]);
    check(&["-", "-uid", "5"], 0, &["-", "-uid", "5"]);
    check(&["", "-uid", "5"], 0, &["", "-uid", "5"]);
    check(&["-run-image", "-uid", "5"], 0, &["5"]);
}

#[test]
fn wrong_flags_get_the_contract_texts() {
    let check = |args: &[&str], message: &str| match parsed(Program::Analyzer, args) {
        Err(Stop::Misuse(text)) => {
            assert!(
                text.starts_with(&format!(
                    "{message}\nUsage of lifecycle:\n  -analyzed string\n"
                )),
                "{text}"
            );
        }
        other => panic!("{args:?}: {other:?}"),
    };
    check(
        &["-no-such-flag"],
        "flag provided but not defined: -no-such-flag",
    );
    check(&["--stack=x"], "flag provided but not defined: -stack");
    check(
        &["-uid=abc"],
        "invalid value \"abc\" for flag -uid: parse error",
    );
    check(
        &["-uid=-1"],
        "invalid value \"-1\" for flag -uid: value out of range",
    );
    check(
        &["-daemon="],
        "invalid boolean value \"\" for -daemon: parse error",
    );
    check(&["-tag"], "flag needs an argument: -tag");
    check(&["-=x"], "bad flag syntax: -=x");
    check(&["---x"], "bad flag syntax: ---x");
}

#[test]
fn flags_beat_the_environment_which_beats_defaults() {
    let check = |env: &[(&str, &str)], args: &[&str], expected: &str| {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let parsed = parse(Program::Creator, settings("0.15", env), &args).unwrap();
        let inputs = &parsed.settings.inputs;
        let text = format!(
            "{} {} {} {:?} {}",
            inputs.app_dir.display(),
            inputs.uid,
            inputs.skip_layers,
            inputs.insecure_registries,
            parsed.settings.log_level
        );
        assert_eq!(text, expected, "{env:?} {args:?}");
    };
    check(&[], &[], "/workspace 0 false [] info");
    check(
        &[("CNB_APP_DIR", ""), ("CNB_USER_ID", "x")],
        &[],
        "/workspace 0 false [] info",
    );
    check(
        &[("CNB_APP_DIR", "/a"), ("CNB_USER_ID", "7")],
        &[],
        "/a 7 false [] info",
    );
    check(
        &[("CNB_APP_DIR", "/a")],
        &["-app", "/b", "-uid", "0b11"],
        "/b 3 false [] info",
    );
    check(
        &[("CNB_SKIP_LAYERS", "t")],
        &[],
        "/workspace 0 true [] info",
    );
    check(
        &[("CNB_SKIP_RESTORE", "1"), ("CNB_SKIP_LAYERS", "yes")],
        &[],
        "/workspace 0 true [] info",
    );
    check(
        &[("CNB_SKIP_RESTORE", "1")],
        &["-skip-restore=false"],
        "/workspace 0 false [] info",
    );
    let registries = [("CNB_INSECURE_REGISTRIES", "a, b")];
    check(
        &registries,
        &["-insecure-registry", "c"],
        "/workspace 0 false [\"a\", \" b\", \"c\"] info",
    );
}

#[test]
fn paths_need_not_be_utf8() {
    use std::os::unix::ffi::OsStringExt;
    let path = OsString::from_vec(b"/a\xff".to_vec());
    let args = [
        "-layers".into(),
        path.clone(),
        OsString::from_vec(b"-app=/a\xff".to_vec()),
    ];
    let parsed = parse(Program::Detector, settings("0.15", &[]), &args).unwrap();
    assert_eq!(parsed.settings.inputs.layers_dir, PathBuf::from(&path));
    assert_eq!(parsed.settings.inputs.app_dir, PathBuf::from(&path));
}

#[test]
fn help_is_grouped() {
    let env = [("CNB_USER_ID", "1234")];
    let help = |name: &str| match parse(Program::Rebaser, settings("0.12", &env), &[name.into()]) {
        Err(Stop::Help(text)) => text,
        other => panic!("{other:?}"),
    };
    let expected = "\
Usage: rebaser [flags] <image> [<tag>...]
Flags at Platform API 0.12; a flag wins over its environment variable.

Images:
  -daemon                 export to docker daemon
                          env CNB_USE_DAEMON, default false
  -image string           [deprecated] reference to run image
                          no default
  -previous-image string  reference to previous image
                          env CNB_PREVIOUS_IMAGE, no default
  -run-image string       reference to run image
                          env CNB_RUN_IMAGE, no default

Files:
  -report string          path to report.toml
                          env CNB_REPORT_PATH, default <layers>/report.toml

Behaviour:
  -check                  write nothing; exit with 0 if the image has its newest run image, with 73 if a rebase is due
                          default false
  -dry-run                write nothing; print what a rebase would change, or why it would be refused
                          default false
  -force                  execute rebase even if operation is unsafe
                          env CNB_FORCE_REBASE, default false

User:
  -gid int                GID of user's group in the stack's build and run images
                          env CNB_GROUP_ID, default 0
  -uid int                UID of user in the stack's build and run images
                          env CNB_USER_ID=1234, default 0

General:
  -log-level string       logging level
                          env CNB_LOG_LEVEL, default info
  -no-color               disable color output
                          env CNB_NO_COLOR, default false
  -version                show version
                          default false
";
    assert_eq!(help("-h"), expected);
    assert_eq!(help("--help"), expected);
}

/// Hidden state such as credentials must not reach a listing through an environment variable's value.
#[test]
fn listings_show_no_credentials() {
    let env = [("CNB_REGISTRY_AUTH", "{\"r\":\"Basic c2VjcmV0\"}")];
    let settings = settings("0.15", &env);
    assert!(settings.inputs.registry_auth.is_some());
    assert!(!format!("{settings:?}").contains("c2VjcmV0"));
    assert!(!usage::help(Program::Creator, &settings).contains("c2VjcmV0"));
}

proptest::proptest! {
    #[test]
    fn any_arguments_get_an_answer(args in proptest::collection::vec("-{0,3}(uid|tag|daemon|kaniko-cache-ttl|x)?=?\\PC{0,6}", 0..6)) {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        for program in [Program::Creator, Program::Extender] {
            if let Ok(parsed) = parsed(program, &args) {
                proptest::prop_assert!(parsed.operands.len() <= args.len());
            }
        }
    }
}

fn documented(flag: &Flag) -> String {
    let program = |used: &Use| match used.when {
        When::Always => used.program.name().to_owned(),
        When::Own => format!("{} (not in the contract)", used.program.name()),
        When::Since(feature) => format!("{} from {}", used.program.name(), feature.since()),
        When::Before(feature) => format!("{} before {}", used.program.name(), feature.since()),
    };
    let code = |texts: &[&str]| {
        texts
            .iter()
            .filter(|t| !t.is_empty())
            .map(|t| format!("`{t}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let programs = match flag.uses.len() {
        0 => "(no flag)".to_owned(),
        9 => "all".to_owned(),
        _ => flag.uses.iter().map(program).collect::<Vec<_>>().join(", "),
    };
    let name = if flag.uses.is_empty() {
        flag.name.to_owned()
    } else {
        format!("`-{}`", flag.name)
    };
    format!(
        "| {name} | {} | {} | {programs} | {} |\n",
        code(flag.env),
        code(&[flag.default]),
        flag.help
    )
}

/// docs/FLAGS.md is generated; `UPDATE_DOCS=1 cargo test -p lifecycle flags_are_documented` writes it.
#[test]
fn flags_are_documented() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/FLAGS.md");
    let mut page = String::from(
        "# Flags\n\nGenerated from the flag table, `src/lifecycle/platform/flags/table.rs`. A flag wins over its environment variable, which \
         wins over\nthe default; a variable counts even for a program without the flag. \"From\" and \"before\" name Platform APIs.\n\n\
         | Flag | Variable | Default | Programs | What |\n|---|---|---|---|---|\n",
    );
    page.extend(FLAGS.iter().map(documented));
    if option_env!("UPDATE_DOCS").is_some() {
        std::fs::write(file, &page).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(file).unwrap_or_default(),
        page,
        "docs/FLAGS.md is out of date"
    );
}
