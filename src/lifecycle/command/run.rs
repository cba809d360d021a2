//! How every program starts and ends: which one it is, flags, version, log, inputs, privileges, execution, and the
//! failure that is printed (FACTS 1.2, 1.4).

use super::{Command, documents};
use crate::extend::jail;
use crate::log::{Level, Log};
use crate::platform::{
    self, Experimental, ExperimentalMode, Inputs, Parsed, Process, Program, Settings, Sources,
    Stop, privileges,
};
use lifecycle_core::api::PlatformApi;
use lifecycle_core::error::{Error, ErrorKind, Result};
use lifecycle_core::exit::Failure;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

const VALID_PHASES: &str =
    "Valid phases: detect, analyze, restore, build, export, rebase, create, extend";

/// A program in the table of the `lifecycle` binary.
pub struct Entry {
    program: Program,
    run: fn(&Call<'_>, Log) -> End,
}

impl Entry {
    /// The entry of command `C`.
    pub const fn of<C: Command>() -> Self {
        Self {
            program: C::PROGRAM,
            run: run::<C>,
        }
    }
}

/// How a program was called: at which Platform API, by which name, with which arguments.
struct Call<'a> {
    api: PlatformApi,
    name: &'a str,
    args: &'a [OsString],
    process: &'a Process,
}

/// How a program ends.
enum End {
    Done,
    Stopped(Stop),
    /// There is no subcommand of this name.
    Unknown(String, Log),
    Failed(Failure, Log),
}

/// The whole of a binary that is one program.
pub fn main<C: Command>() -> ExitCode {
    start(|process, log| {
        let args = process.argv.get(1..).unwrap_or_default();
        called(
            C::PROGRAM.name(),
            Some(C::PROGRAM),
            args,
            process,
            log,
            run::<C>,
        )
    })
}

/// The whole of the `lifecycle` binary: the program whose name it was started under, or its first argument's.
pub fn dispatch(entries: &[Entry]) -> ExitCode {
    start(|process, log| select(entries, process, log))
}

fn start(act: impl FnOnce(&Process, Log) -> End) -> ExitCode {
    privileges::hide_memory();
    privileges::fix_umask();
    let end = act_in(&Process::current(), &Log::stdout(Level::Debug, true), act);
    ExitCode::from(finish(end, &mut io::stderr()))
}

/// Until flags are read, only the environment says whether colours are off, and nothing says which level.
fn act_in(process: &Process, log: &Log, act: impl FnOnce(&Process, Log) -> End) -> End {
    let no_color = process.env.get("CNB_NO_COLOR").map(OsStr::to_string_lossy);
    let color = no_color.and_then(|value| platform::parse_bool(&value)) != Some(true);
    act(process, log.configured(Level::Debug, color))
}

/// Says why a program ends, and gives its exit code.
fn finish(end: End, err: &mut dyn Write) -> u8 {
    // Nobody is left to tell when standard error is closed.
    match end {
        End::Done => 0,
        End::Stopped(Stop::Help(text)) => {
            let _ = err.write_all(text.as_bytes());
            0
        }
        End::Stopped(Stop::Misuse(text)) => {
            let _ = err.write_all(text.as_bytes());
            2
        }
        End::Unknown(name, log) => {
            let failure = format!("failed to recognize phase: {name} ");
            log.lines(Level::Error, &[&failure, &VALID_PHASES]);
            Failure::from(Error::new(ErrorKind::InvalidArguments, failure)).exit_code()
        }
        End::Failed(failure, log) => {
            log.error(&failure);
            failure.exit_code()
        }
    }
}

fn select(entries: &[Entry], process: &Process, log: Log) -> End {
    let invoked = process
        .argv
        .first()
        .map(|argv0| file_name(argv0))
        .unwrap_or_default();
    let invoked = invoked
        .rsplit_once('.')
        .map_or(invoked.as_str(), |(stem, _)| stem);
    if invoked == jail::INIT {
        let error = jail::init(process.argv.get(1..).unwrap_or_default());
        return End::Failed(error.into(), log);
    }
    if let Some(entry) = entries.iter().find(|entry| entry.program.name() == invoked) {
        let args = process.argv.get(1..).unwrap_or_default();
        return called(invoked, Some(entry.program), args, process, log, entry.run);
    }
    let Some(subcommand) = process.argv.get(1) else {
        return End::Failed(
            Error::new(ErrorKind::InvalidArguments, "failed to parse arguments").into(),
            log,
        );
    };
    if subcommand == "-version" {
        log.info(platform::version_text());
        return End::Done;
    }
    let name = file_name(subcommand);
    let args = process.argv.get(2..).unwrap_or_default();
    let entry = entries
        .iter()
        .find(|entry| entry.program.subcommand() == name);
    let program = entry.map(|entry| entry.program);
    called(
        &name,
        program,
        args,
        process,
        log,
        |call, log| match entry {
            Some(entry) => (entry.run)(call, log),
            None => End::Unknown(name.clone(), log),
        },
    )
}

/// Settles the Platform API, whose errors come before all others, then calls the program. One that no platform starts has
/// the newest.
fn called(
    name: &str,
    program: Option<Program>,
    args: &[OsString],
    process: &Process,
    log: Log,
    run: impl FnOnce(&Call<'_>, Log) -> End,
) -> End {
    let api = match program {
        Some(Program::Dockerfile) => Ok(PlatformApi::NEWEST),
        _ => platform::negotiate(&process.env, &log),
    };
    match api {
        Ok(api) => run(
            &Call {
                api,
                name,
                args,
                process,
            },
            log,
        ),
        Err(error) => End::Failed(error.into(), log),
    }
}

/// The last element of a path as the contract shows it: `.` for an empty text.
fn file_name(path: &OsStr) -> String {
    let text = path.to_string_lossy();
    match text.trim_end_matches('/').rsplit('/').next() {
        Some("") if text.is_empty() => ".".into(),
        Some("") | None => "/".into(),
        Some(name) => name.into(),
    }
}

fn run<C: Command>(call: &Call<'_>, mut log: Log) -> End {
    match steps::<C>(call, &mut log) {
        Ok(()) => End::Done,
        Err(Interrupt::Stop(stop)) => End::Stopped(stop),
        Err(Interrupt::Failure(failure)) => End::Failed(failure, log),
    }
}

/// What ends the sequence early.
enum Interrupt {
    Stop(Stop),
    Failure(Failure),
}

impl<E: Into<Failure>> From<E> for Interrupt {
    fn from(error: E) -> Self {
        Self::Failure(error.into())
    }
}

fn steps<C: Command>(call: &Call<'_>, log: &mut Log) -> Result<(), Interrupt> {
    let settings = Settings::from_env(call.api, call.process.env.clone());
    let Parsed { settings, operands } =
        platform::parse(C::PROGRAM, settings, call.args).map_err(Interrupt::Stop)?;
    if settings.version {
        log.info(platform::version_text());
        return Ok(());
    }
    *log = log.configured(Level::Debug, !settings.no_color);
    let level = Level::parse(&settings.log_level)
        .ok_or_else(|| Error::other("invalid level").in_context("failed to parse log level"))?;
    *log = log.configured(level, !settings.no_color);
    for operand in operands.iter().filter(|operand| operand.starts_with('-')) {
        log.lines(
            Level::Warn,
            &[
                &"unconsumed flag-like positional arg: ",
                &format_args!("\t{operand}"),
                &"\t This will not be interpreted as a flag.",
                &"\t Did you mean to put this before the first positional argument?",
            ],
        );
    }
    log.debug(format_args!("Starting {}...", call.name));
    log.debug("Parsing inputs...");
    let mut inputs = settings.inputs;
    platform::check_operands(C::PROGRAM, &mut inputs, operands)?;
    resolve::<C>(&mut inputs, &call.process.working_dir, log)?;
    log.debug("Ensuring privileges...");
    let session = C::prepare(&mut inputs, log)?;
    log.debug("Executing command...");
    C::execute(&inputs, session, log)?;
    Ok(())
}

fn resolve<C: Command>(inputs: &mut Inputs, working_dir: &Path, log: &Log) -> Result<()> {
    let sources = Sources {
        run_images: &|path| documents::read_run(path, log),
        stack_images: &|path| documents::read_stack(path, log),
        analyzed: &|path| documents::read_analyzed(path, log),
        readable: &C::readable,
    };
    platform::resolve(C::PROGRAM, inputs, working_dir, &sources, log)?;
    let writes_images = matches!(
        C::PROGRAM,
        Program::Analyzer | Program::Creator | Program::Exporter
    );
    if writes_images && inputs.use_layout {
        ExperimentalMode::from_env(&inputs.process_env).guard(Experimental::Layout, log)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
