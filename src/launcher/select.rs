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
    let name = inputs
        .argv0
        .as_bytes()
        .rsplit(|byte| *byte == b'/')
        .next()?;
    // Types name directories; these two name others.
    let name = std::str::from_utf8(name)
        .ok()
        .filter(|name| !matches!(*name, "." | ".."))?;
    inputs
        .metadata
        .processes
        .iter()
        .any(|process| process.r#type == name)
        .then_some(name)
}

fn user_process(arguments: &[OsString]) -> Result<Start> {
    match arguments {
        [] => Err(Error::other(
            "when there is no default process a command is required",
        )),
        [marker, command, arguments @ ..] if marker == "--" => Ok(Start {
            command: Some(command.clone()),
            arguments: arguments.to_vec(),
            direct: true,
            ..Start::default()
        }),
        [command, arguments @ ..] => Ok(Start {
            command: Some(command.clone()),
            arguments: arguments.to_vec(),
            ..Start::default()
        }),
    }
}

fn provided_process(inputs: &Inputs, process_type: &str) -> Result<Start> {
    let by_exec_env = inputs.platform_api.has(Feature::ExecEnv);
    let process = inputs
        .metadata
        .processes
        .iter()
        .find(|process| {
            process.r#type == process_type && (!by_exec_env || exists_in(process, &inputs.exec_env))
        })
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
    process.exec_env.is_empty()
        || process
            .exec_env
            .iter()
            .any(|name| name == "*" || exec_env == name.as_str())
}

fn user_args(inputs: &Inputs, process: &Process) -> Result<UserArgs> {
    if !inputs.platform_api.has(Feature::OverridableArgs) || inputs.arguments.is_empty() {
        return Ok(UserArgs::Append);
    }
    // Only buildpacks whose default arguments can be replaced have commands of several words.
    if process.command.len() > 1 {
        return Ok(UserArgs::Replace);
    }
    let buildpack = inputs
        .metadata
        .buildpacks
        .iter()
        .find(|buildpack| buildpack.id == process.buildpack_id);
    let api = buildpack
        .and_then(|buildpack| BuildpackApi::parse(&buildpack.api).ok())
        .ok_or_else(|| {
            let (process_type, id) = (&process.r#type, &process.buildpack_id);
            Error::other(format_args!(
                "failed to find buildpack for process {process_type} with buildpack ID {id}"
            ))
        })?;
    Ok(if api.has(ModuleFeature::CommandArrays) {
        UserArgs::Replace
    } else {
        UserArgs::Append
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lifecycle_core::api::PlatformApi;
    use lifecycle_core::data::metadata::BuildMetadata;

    const METADATA: &str = r#"
        buildpacks = [{id = "old", version = "1", api = "0.8"}, {id = "new", version = "1", api = "0.9"}]
        [[processes]]
        type = "old"
        command = "cmd"
        args = ["a"]
        buildpack-id = "old"
        working-dir = "/w"
        [[processes]]
        type = "new"
        command = ["cmd"]
        args = ["a"]
        direct = true
        buildpack-id = "new"
        [[processes]]
        type = "many"
        command = ["cmd", "b"]
        args = ["a"]
        direct = true
        buildpack-id = "new"
        [[processes]]
        type = "stranger"
        command = ["cmd"]
        buildpack-id = "unknown"
        [[processes]]
        type = "env"
        command = ["test"]
        exec-env = ["test"]
        [[processes]]
        type = "env"
        command = ["any"]
        exec-env = ["x", "*"]
        [[processes]]
        type = "test-only"
        command = ["test"]
        exec-env = ["test"]
        [[processes]]
        type = ".."
        command = ["x"]
        [[processes]]
        type = "empty"
        command = []
    "#;

    fn start(call: &str, api: &str, exec_env: &str) -> Result<Start> {
        let platform_api = PlatformApi::parse(api).unwrap();
        let mut words = call.split_whitespace().map(OsString::from);
        select(&Inputs {
            argv0: words.next().unwrap(),
            arguments: words.collect(),
            process_env: Default::default(),
            platform_api,
            layers_dir: "/layers".into(),
            app_dir: "/workspace".into(),
            exec_env: exec_env.into(),
            ignored_process_type: None,
            metadata: BuildMetadata::parse(METADATA, platform_api).unwrap(),
        })
    }

    /// `call`: argv\[0\] and arguments. `expected`: how it starts, command and arguments; or the error.
    #[track_caller]
    fn check(call: &str, api: &str, exec_env: &str, expected: &str) {
        let found = match start(call, api, exec_env) {
            Ok(start) => {
                let command = start.command.unwrap_or_default().into_string().unwrap();
                let arguments = start
                    .arguments
                    .iter()
                    .map(|argument| format!(" {}", argument.display()));
                let how = if start.direct { "direct" } else { "shell" };
                format!("{how}: {command}{}", arguments.collect::<String>())
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{call}");
    }

    #[test]
    fn user_commands() {
        let check = |call, expected| check(call, "0.12", "production", expected);
        check(
            "launcher",
            "when there is no default process a command is required",
        );
        check("launcher cmd a b", "shell: cmd a b");
        check("launcher -- cmd a -- b", "direct: cmd a -- b");
        check("launcher --", "shell: --");
        check("/cnb/process/none cmd", "shell: cmd");
        check("/cnb/process/new/ cmd", "shell: cmd");
        check("/cnb/process/.. cmd", "shell: cmd");
    }

    #[test]
    fn user_arguments() {
        check("old u v", "0.9", "production", "shell: cmd a u v");
        check("new u v", "0.9", "production", "direct: cmd a u v");
        check("many u v", "0.9", "production", "direct: cmd b a u v");
        check("stranger u", "0.9", "production", "shell: cmd u");
        let check = |call, expected| check(call, "0.10", "production", expected);
        check("old", "shell: cmd a");
        check("old u v", "shell: cmd a u v");
        check("/x/new", "direct: cmd a");
        check("/x/new u v", "direct: cmd u v");
        check("many", "direct: cmd b a");
        check("many u v", "direct: cmd b u v");
        check("stranger", "shell: cmd");
        check(
            "stranger u",
            "failed to find buildpack for process stranger with buildpack ID unknown",
        );
        check("empty", "shell: ");
    }

    #[test]
    fn execution_environments() {
        check("env", "0.15", "test", "shell: test");
        check("env", "0.15", "production", "shell: any");
        check("env", "0.14", "production", "shell: test");
        check(
            "test-only",
            "0.15",
            "production",
            "process type test-only was not found",
        );
        check("new", "0.15", "production", "direct: cmd a");
    }

    #[test]
    fn what_else_is_known_of_a_process() {
        let old = start("old", "0.12", "").unwrap();
        assert_eq!(old.working_dir.as_deref(), Some("/w"));
        assert_eq!(old.buildpack_id.as_deref(), Some("old"));
        assert_eq!(old.process_type.as_deref(), Some("old"));
        assert_eq!(
            start("empty", "0.12", "").unwrap(),
            Start {
                process_type: Some("empty".into()),
                ..Start::default()
            }
        );
    }
}
