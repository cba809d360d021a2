//! The launcher: the program inside every app image that starts the image's processes (platform.md, launcher;
//! FACTS 12). It prepares the environment and replaces itself by the process.
//!
//! It runs before every container start and is shipped with every app, so it stays small and does little: no runtime
//! set-up, no backtraces (`unwind`), no system call that isn't needed.
#![cfg_attr(not(test), no_main)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unused)
)]

mod arena;
mod env;
mod exec;
mod exec_d;
mod inputs;
mod launch;
mod layers;
mod message;
mod select;
mod shell;
mod sys;
#[cfg(all(target_env = "musl", panic = "abort"))]
mod unwind;

use inputs::Inputs;
use lifecycle_core::env::Env;
use lifecycle_core::exit::Failure;
use std::ffi::OsString;

/// Starts the process, or says why not and returns the exit code.
fn run(arguments: Vec<OsString>) -> u8 {
    let process_env = Env::from_pairs(std::env::vars_os());
    let messages = message::Messages::new(&process_env);
    let Err(failure) = start(arguments, process_env, messages);
    messages.error(&failure.to_string());
    failure.exit_code()
}

fn start(
    arguments: Vec<OsString>,
    process_env: Env,
    messages: message::Messages,
) -> Result<std::convert::Infallible, Failure> {
    let inputs = Inputs::read(arguments, process_env)?;
    if let Some(process_type) = &inputs.ignored_process_type {
        let process_type = process_type.display();
        messages.warning(&format!(
            "CNB_PROCESS_TYPE is not supported in Platform API {}",
            inputs.platform_api
        ));
        messages.warning(&format!(
            "Run with ENTRYPOINT '{process_type}' to invoke the '{process_type}' process type"
        ));
    }
    launch::launch(inputs)
}
