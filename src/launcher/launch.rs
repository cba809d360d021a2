//! The launch itself, in the contract's order (platform.md, launcher, execution).

use crate::inputs::Inputs;
use crate::select::{Start, select};
use crate::{env, exec, exec_d, layers, shell};
use lifecycle_core::env::Env;
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_core::exit::{During, Failure, Phase};
use std::convert::Infallible;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Where platforms link process types to the launcher.
const PROCESS_DIR: &str = "/cnb/process";

/// Where the launcher is.
const LIFECYCLE_DIR: &str = "/cnb/lifecycle";

/// Becomes the selected process.
///
/// # Errors
/// Anything that keeps it from starting.
pub(crate) fn launch(inputs: Inputs) -> Result<Infallible, Failure> {
    become_process(inputs)
        .context(|| "failed to launch")
        .during(Phase::Launch)
}

fn become_process(inputs: Inputs) -> Result<Infallible> {
    let start = select(&inputs).context(|| "determine start command")?;
    let process_type = start.process_type.as_deref();
    exec::change_directory(&inputs.app_dir).context(|| "change to app directory")?;

    let scan = || layers::of_buildpacks(&inputs.layers_dir, &inputs.metadata.buildpacks);
    let mut env = Env::for_launch(
        inputs.process_env,
        Path::new(PROCESS_DIR),
        Path::new(LIFECYCLE_DIR),
    );
    let layers = scan().context(|| "modify env")?;
    env::apply(&mut env, &layers, process_type).context(|| "modify env")?;
    let programs = layers::files(&layers, "exec.d", process_type).context(|| "exec.d")?;
    exec_d::run_all(&programs, &mut env).context(|| "exec.d")?;

    let working_dir = start
        .working_dir
        .as_ref()
        .map_or_else(|| inputs.app_dir.clone(), PathBuf::from);
    if start.direct {
        return launch_direct(&start, &working_dir, &inputs.app_dir, &env);
    }
    // exec.d programs may have written profile scripts.
    let layers = if programs.is_empty() { layers } else { scan()? };
    let profiles =
        shell::profiles(&layers, process_type, &inputs.app_dir).context(|| "find profiles")?;
    shell::check_buildpack(&start, &inputs.metadata)?;
    shell::launch(&start, &inputs.argv0, &working_dir, &profiles, &env)
}

fn launch_direct(
    start: &Start,
    working_dir: &Path,
    app_dir: &Path,
    env: &Env,
) -> Result<Infallible> {
    let command = start.command.as_deref().ok_or_else(|| {
        let process_type = start.process_type.as_deref().unwrap_or_default();
        Error::other(format_args!(
            "no command provided for process type {process_type:?}"
        ))
    })?;
    let path = env.get("PATH").unwrap_or(OsStr::new(""));
    let program = exec::look_up(command, path).context(|| "path lookup")?;
    if working_dir != app_dir {
        exec::change_directory(working_dir).context(|| "change directory")?;
    }
    let mut arguments = vec![command.to_owned()];
    arguments.extend(start.arguments.iter().cloned());
    exec::replace(&program, &arguments, env).context(|| "direct exec")
}
