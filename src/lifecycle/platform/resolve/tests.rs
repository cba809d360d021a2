use super::*;
use crate::log::{Level, tests::Buffer};
use crate::platform::{Settings, parse};
use lifecycle_core::data::analyzed::AnalyzedRunImage;
use lifecycle_core::env::Env;
use std::ffi::OsString;

/// A program's command line at an API, in a world with run and stack files, and one unreadable registry.
struct Case<'a> {
    program: Program,
    api: &'a str,
    args: &'a str,
    env: &'a [(&'a str, &'a str)],
}

const fn case<'a>(program: Program, args: &'a str) -> Case<'a> {
    Case {
        program,
        api: "0.15",
        args,
        env: &[],
    }
}

fn images(list: &[&[&str]]) -> RunImages {
    let mirrors = |names: &&[&str]| RunImageMirrors {
        image: names[0].into(),
        mirrors: names[1..].iter().map(ToString::to_string).collect(),
    };
    RunImages {
        images: list.iter().map(mirrors).collect(),
    }
}

/// run.toml and stack.toml by name: `run` has mirrors, `empty` nothing.
fn documents(path: &Path) -> Result<RunImages> {
    Ok(match path.to_str() {
        Some("/cnb/run.toml") => images(&[&["reg.a/run", "reg.b/run", "closed.c/run"], &["other"]]),
        Some("/cnb/stack.toml") => images(&[&["reg.a/stack"]]),
        Some("/closed") => images(&[&["closed.c/run"]]),
        Some("/nameless") => images(&[&[""]]),
        _ => RunImages::default(),
    })
}

fn outcome(case: &Case<'_>) -> (Result<Inputs>, String) {
    let buffer = Buffer::default();
    let log = Log::to(buffer.clone(), Level::Info, false);
    let api = PlatformApi::parse(case.api).unwrap();
    let args: Vec<OsString> = case.args.split_whitespace().map(OsString::from).collect();
    let settings = Settings::from_env(api, Env::from_pairs(case.env.iter().copied()));
    let parsed = parse(case.program, settings, &args).unwrap();
    let mut inputs = parsed.settings.inputs;
    let sources = Sources {
        run_images: &documents,
        stack_images: &documents,
        analyzed: &|path| {
            let run_image = match path.to_str() {
                Some("/nothing") => None,
                Some("/nameless") => Some(AnalyzedRunImage::default()),
                _ => Some(AnalyzedRunImage {
                    reference: "reg.a/analyzed".into(),
                    ..Default::default()
                }),
            };
            Ok(Analyzed {
                run_image,
                ..Default::default()
            })
        },
        readable: &|_, image| match image.starts_with("malformed") {
            true => Err(Error::other("unable to create keychain")),
            false => Ok(!image.starts_with("closed")),
        },
    };
    let resolved = check_operands(case.program, &mut inputs, parsed.operands).and_then(|()| {
        resolve(
            case.program,
            &mut inputs,
            Path::new("/here"),
            &sources,
            &log,
        )
    });
    (resolved.map(|()| inputs), buffer.text())
}

fn fails(case: Case<'_>, text: &str) {
    let (resolved, _) = outcome(&case);
    let error = resolved
        .err()
        .unwrap_or_else(|| panic!("{}: no error", case.args));
    assert_eq!(
        (error.kind(), error.to_string()),
        (ErrorKind::InvalidArguments, text.to_owned()),
        "{}",
        case.args
    );
}

fn runs_on(case: Case<'_>, run_image: &str) {
    let (resolved, _) = outcome(&case);
    assert_eq!(
        resolved.unwrap().run_image.as_deref(),
        Some(run_image),
        "{}",
        case.args
    );
}

fn warns(case: Case<'_>, text: &str) {
    assert_eq!(outcome(&case).1, text, "{:?} {}", case.program, case.args);
}

#[test]
fn operand_counts() {
    use Program::*;
    for program in [Analyzer, Creator] {
        fails(
            case(program, ""),
            "failed to parse arguments: received 0 arguments, but expected 1",
        );
        fails(
            case(program, "a b"),
            "failed to parse arguments: received 2 arguments, but expected 1",
        );
    }
    for program in [Detector, Builder, Extender] {
        fails(
            case(program, "a"),
            "failed to parse arguments: received unexpected arguments",
        );
    }
    fails(
        case(Restorer, "a"),
        "failed to parse arguments: received unexpected Args",
    );
    for program in [Exporter, Rebaser] {
        fails(
            case(program, ""),
            "failed to parse arguments: at least one image argument is required",
        );
    }
}

#[test]
fn references_are_checked() {
    use Program::*;
    let mut inputs = Inputs::blank(PlatformApi::V0_15);
    check_operands(Analyzer, &mut inputs, vec![String::new()]).unwrap();
    assert_eq!(inputs.output_image, None, "an empty operand is no image");
    fails(
        case(Analyzer, "-run-image app/r /"),
        "failed to resolve inputs: could not parse reference: /",
    );
    fails(
        case(Analyzer, "-run-image app/r -tag x -previous-image A app/x"),
        "failed to resolve inputs: could not parse reference: x",
    );
    fails(
        case(Creator, "-run-image app/r -cache-image B: reg/app"),
        "failed to resolve inputs: could not parse reference: B:",
    );
    fails(
        case(Exporter, "reg.a/app reg.b/app"),
        "failed to resolve inputs: writing to multiple registries is unsupported",
    );
    fails(
        case(Rebaser, "app reg.b/app"),
        "failed to resolve inputs: writing to multiple registries is unsupported",
    );
    assert!(outcome(&case(Rebaser, "-daemon app/x reg.b/app")).0.is_ok());
}

#[test]
fn run_images_come_from_the_builder() {
    use Program::*;
    for program in [Analyzer, Creator] {
        runs_on(case(program, "-run-image mine/run reg.b/app"), "mine/run");
        runs_on(case(program, "reg.b/app"), "reg.b/run");
        runs_on(case(program, "elsewhere.d/app"), "reg.a/run");
        runs_on(case(program, "closed.c/app"), "reg.a/run");
        runs_on(case(program, "-daemon closed.c/app"), "closed.c/run");
        runs_on(
            Case {
                env: &[("CNB_RUN_IMAGE", "env/run")],
                ..case(program, "app/x")
            },
            "env/run",
        );
        runs_on(
            Case {
                api: "0.11",
                ..case(program, "app/x")
            },
            "reg.a/stack",
        );
        let text = "failed to resolve inputs: -run-image is required when there is no run metadata available";
        fails(case(program, "-run /none app/x"), text);
        fails(
            case(program, "-run /closed app/x"),
            "failed to resolve inputs: failed to find accessible run image",
        );
        let text = "failed to resolve inputs: missing run image metadata (-run-image)";
        fails(case(program, "-run /nameless app/x"), text);
        fails(
            Case {
                api: "0.7",
                ..case(program, "-stack /none app/x")
            },
            text,
        );
    }
}

#[test]
fn previous_image_is_the_output_image_unless_given() {
    let previous = |args| {
        outcome(&case(Program::Analyzer, args))
            .0
            .unwrap()
            .previous_image
    };
    assert_eq!(previous("app/x").as_deref(), Some("app/x"));
    assert_eq!(
        previous("-previous-image app/old app/x").as_deref(),
        Some("app/old")
    );
}

#[test]
fn exporter_takes_the_run_image_from_analysis() {
    use Program::Exporter;
    runs_on(case(Exporter, "app/x"), "reg.a/analyzed");
    runs_on(
        Case {
            env: &[("CNB_RUN_IMAGE", "env/run")],
            ..case(Exporter, "app/x")
        },
        "reg.a/analyzed",
    );
    fails(
        case(Exporter, "-run-image app/r app/x"),
        "failed to resolve inputs: -run-image is unsupported",
    );
    fails(
        case(Exporter, "-image app/r app/x"),
        "failed to resolve inputs: -image is unsupported",
    );
    for analyzed in ["/nothing", "/nameless"] {
        let args = format!("-analyzed {analyzed} app/x");
        fails(
            case(Exporter, &args),
            "failed to resolve inputs: run image not found in analyzed metadata",
        );
    }
}

#[test]
fn rebaser_takes_one_run_image() {
    use Program::Rebaser;
    runs_on(case(Rebaser, "-run-image app/r app/x"), "app/r");
    runs_on(case(Rebaser, "-image app/r app/x"), "app/r");
    let text = "failed to resolve inputs: supply only one of -run-image or (deprecated) -image";
    fails(case(Rebaser, "-image app/r -run-image app/s app/x"), text);
    runs_on(
        Case {
            env: &[("CNB_RUN_IMAGE", "env/run")],
            ..case(Rebaser, "-image app/r app/x")
        },
        "app/r",
    );
}

#[test]
fn warnings_in_the_contract_order() {
    use Program::*;
    let cache = "Warning: No cached data will be used, no cache specified.\n";
    let launch = "Warning: Ignoring -launch-cache, only intended for use with -daemon\n";
    let parallel = "Warning: Parallel export has been enabled, but it has not taken effect because no cache has been \
                    specified.\n";
    let args = "-launch-cache l -parallel app/x";
    warns(case(Creator, args), &[cache, launch, parallel].concat());
    warns(case(Exporter, args), &[cache, launch].concat());
    warns(
        case(
            Creator,
            "-cache-dir c -daemon -launch-cache l -parallel app/x",
        ),
        "",
    );
    warns(
        Case {
            env: &[("CNB_PARALLEL_EXPORT", "1")],
            ..case(Analyzer, "-launch-cache l app/x")
        },
        &[launch, parallel].concat(),
    );
    warns(case(Restorer, ""), cache);
    warns(case(Restorer, "-cache-image i"), "");
    warns(case(Detector, ""), "");
}
