//! What goes wrong with a daemon, in words that name it.

use bollard::errors::Error as DockerError;
use lifecycle_core::error::{Error, ErrorKind};
use std::error::Error as StdError;

/// The error in our words, without the endpoint.
pub(super) fn cause(error: &DockerError) -> String {
    match error {
        DockerError::DockerResponseServerError { message, .. } => message.clone(),
        DockerError::DockerStreamError { error } => error.clone(),
        DockerError::RequestTimeoutError => "it does not answer".to_owned(),
        // The error number that the operating system's errors carry helps nobody.
        error => match chain(error).split_once(" (os error") {
            Some((words, _)) => words.to_ascii_lowercase(),
            None => chain(error),
        },
    }
}

/// All causes of an error, outermost first. Libraries repeat causes or leave them out, so each is named once.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        source = error.source();
    }
    text
}

/// The error of a request to the daemon called `endpoint`.
pub(super) fn of(error: &DockerError, endpoint: &str) -> Error {
    let kind = match error {
        DockerError::DockerResponseServerError {
            status_code: 404, ..
        } => ErrorKind::NotFound,
        _ => ErrorKind::Other,
    };
    let context = match error {
        DockerError::IOError { .. } | DockerError::HyperResponseError { .. } => {
            format!("cannot reach the docker daemon at {endpoint}")
        }
        _ => format!("the docker daemon at {endpoint}"),
    };
    Error::new(kind, cause(error)).in_context(context)
}

/// Whether the daemon itself said no, so that another request may do better.
pub(super) fn is_answer(error: &DockerError) -> bool {
    matches!(
        error,
        DockerError::DockerResponseServerError { .. } | DockerError::DockerStreamError { .. }
    )
}
