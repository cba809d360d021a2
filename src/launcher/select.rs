//! Which process to start: one that a buildpack provided, or the user's own command (FACTS 12.2).

use crate::inputs::Inputs;
use lifecycle_core::api::{BuildpackApi, Feature, ModuleFeature};
use lifecycle_core::data::launch::Process;
use lifecycle_core::error::{Error, Result};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// A process with everything decided but its environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    /// The type of a process that a buildpack provided.
    pub(crate) process_type: Option<String>,
    /// The command; `None` if metadata.toml has an empty one.
    pub(crate) command: Option<OsString>,
    /// The arguments.
    pub(crate) arguments: Vec<OsString>,
    /// Started without a shell.
    pub(crate) direct: bool,
    /// Where it starts; `None` means the app directory.
    pub(crate) working_dir: Option<String>,
    /// The buildpack that provided it.
    pub(crate) buildpack_id: Option<String>,
}

/// What the user's arguments do to a process's own default arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UserArgs {
    /// They come behind them.
    Append,
    /// They take their place.
    Replace,
}

/// Chooses the process: by the name that the launcher was called by, if a buildpack provided a process of that type,
/// else the user's command.
///
/// # Errors
/// There is no command, no process of the type exists in this execution environment, or its buildpack is unknown.
pub(crate) fn select(inputs: &Inputs) -> Result<Start> {
    match requested_type(inputs) {
        Some(process_type) => provided_process(inputs, process_type),
        None => user_process(&inputs.arguments),
    }
}

/// The last element of argv\[0\], if a process has that type.
fn requested_type(inputs: &Inputs) -> Option<&str> {
    let name = inputs.argv0.as_bytes().rsplit(|byte| *byte == b'/').next()?;
    // Types name directories; these two name others.
    let name = std::str::from_utf8(name).ok().filter(|name| !matches!(*name, "." | ".."))?;
    inputs.metadata.processes.iter().any(|process| process.r#type == name).then_some(name)
}

fn user_process(arguments: &[OsString]) -> Result<Start> {
    match arguments {
        [] => Err(Error::other("when there is no default process a command is required")),
        [marker, command, arguments @ ..] if marker == "--" => Ok(Start {
            command: Some(command.clone()),
            arguments: arguments.to_vec(),
            direct: true,
            ..Start::default()
        }),
        [command, arguments @ ..] => {
            Ok(Start { command: Some(command.clone()), arguments: arguments.to_vec(), ..Start::default() })
        }
    }
}

fn provided_process(inputs: &Inputs, process_type: &str) -> Result<Start> {
    let by_exec_env = inputs.platform_api.has(Feature::ExecEnv);
    let process = inputs
        .metadata
        .processes
        .iter()
        .find(|process| process.r#type == process_type && (!by_exec_env || exists_in(process, &inputs.exec_env)))
        .ok_or_else(|| Error::other(format_args!("process type {process_type} was not found")))?;
    let (command, always) = match process.command.split_first() {
        Some((command, always)) => (Some(command.into()), always),
        None => (None, &[][..]),
    };
    let defaults = process.args.as_deref().unwrap_or_default();
    let defaults = match user_args(inputs, process)? {
        UserArgs::Replace if !inputs.arguments.is_empty() => &[],
        UserArgs::Replace | UserArgs::Append => defaults,
    };
    let provided = always.iter().chain(defaults).map(OsString::from);
    Ok(Start {
        process_type: Some(process_type.to_owned()),
        command,
        arguments: provided.chain(inputs.arguments.iter().cloned()).collect(),
        direct: process.direct,
        working_dir: Some(process.working_dir.clone()).filter(|dir| !dir.is_empty()),
        buildpack_id: Some(process.buildpack_id.clone()).filter(|id| !id.is_empty()),
    })
}

fn exists_in(process: &Process, exec_env: &OsStr) -> bool {
    process.exec_env.is_empty() || process.exec_env.iter().any(|name| name == "*" || exec_env == name.as_str())
}

fn user_args(inputs: &Inputs, process: &Process) -> Result<UserArgs> {
    if !inputs.platform_api.has(Feature::OverridableArgs) || inputs.arguments.is_empty() {
        return Ok(UserArgs::Append);
    }
    // Only buildpacks whose default arguments can be replaced have commands of several words.
    if process.command.len() > 1 {
        return Ok(UserArgs::Replace);
    }
    let buildpack = inputs.metadata.buildpacks.iter().find(|buildpack| buildpack.id == process.buildpack_id);
    let api = buildpack.and_then(|buildpack| BuildpackApi::parse(&buildpack.api).ok()).ok_or_else(|| {
        let (process_type, id) = (&process.r#type, &process.buildpack_id);
        Error::other(format_args!("failed to find buildpack for process {process_type} with buildpack ID {id}"))
    })?;
    Ok(if api.has(ModuleFeature::CommandArrays) { UserArgs::Replace } else { UserArgs::Append })
}
