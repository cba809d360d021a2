//! Starting a process through bash, which sources the profile scripts first (FACTS 12.5).

use crate::exec;
use crate::layers::{self, Layer};
use crate::select::Start;
use lifecycle_core::data::metadata::BuildMetadata;
use lifecycle_core::env::Env;
use lifecycle_core::error::{Error, Result, ResultExt};
use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

const BASH: &str = "/bin/bash";

/// Replaces the launcher by bash. The current directory is the app directory.
///
/// # Errors
/// Profile scripts cannot be listed, bash cannot be started.
pub(crate) fn launch(
    start: &Start,
    argv0: &OsStr,
    working_dir: &Path,
    profiles: &[PathBuf],
    env: &Env,
) -> Result<Infallible> {
    let mut arguments = vec![
        "bash".into(),
        "-c".into(),
        script(profiles, working_dir, start.arguments.len()),
    ];
    arguments.push(argv0.to_owned());
    arguments.push(start.command.clone().unwrap_or_default());
    arguments.extend(start.arguments.iter().cloned());
    exec::replace(Path::new(BASH), &arguments, env).context(|| "bash exec")
}

/// A process with arguments that a buildpack provided must come from one of the image's buildpacks.
///
/// # Errors
/// It does not.
pub(crate) fn check_buildpack(start: &Start, metadata: &BuildMetadata) -> Result<()> {
    match (&start.buildpack_id, &start.process_type) {
        (Some(id), Some(process_type))
            if !start.arguments.is_empty()
                && !metadata
                    .buildpacks
                    .iter()
                    .any(|buildpack| buildpack.id == *id) =>
        {
            Err(Error::other(format_args!(
                "process type '{process_type}' provided by unknown buildpack '{id}'"
            )))
        }
        _ => Ok(()),
    }
}

/// The scripts to source: those of layers, then `.profile` of the app.
///
/// # Errors
/// A directory cannot be listed.
pub(crate) fn profiles(
    buildpacks: &[Vec<Layer>],
    process_type: Option<&str>,
    app_dir: &Path,
) -> Result<Vec<PathBuf>> {
    let mut profiles = layers::files(buildpacks, "profile.d", process_type)?;
    let app_profile = app_dir.join(".profile");
    if layers::exists(&app_profile)? && !app_profile.is_dir() {
        profiles.push(".profile".into());
    }
    Ok(profiles)
}

/// What bash runs: `$0` is the launcher's name, `$1` the command, the rest its arguments.
///
/// A command without arguments is a script for a second bash. One with arguments is a list of words, each of which
/// the second bash expands once, so that `$PORT` in an argument works.
fn script(profiles: &[PathBuf], working_dir: &Path, arguments: usize) -> OsString {
    let mut script = Vec::new();
    for profile in profiles {
        script.extend(b"source ");
        push_quoted(&mut script, profile, SPECIAL);
        script.push(b'\n');
    }
    script.extend(b"cd ");
    // The reference lets bash expand variables in it, so `$HOME/x` works there.
    let expands = working_dir.as_os_str().as_bytes().contains(&b'$') && !working_dir.is_dir();
    let special = if expands { b"\"\\`" } else { SPECIAL };
    push_quoted(&mut script, working_dir, special);
    script.push(b'\n');
    if arguments == 0 {
        script.extend(br#"exec bash -c "$@""#);
    } else {
        script.extend(br#"exec bash -c '"$(eval echo \"$0\")""#);
        for index in 1..=arguments {
            script.extend(format!(r#" "$(eval echo \"${{{index}}}\")""#).into_bytes());
        }
        script.extend(br#"' "${@:1}""#);
    }
    OsString::from_vec(script)
}

/// What bash interprets inside double quotes.
const SPECIAL: &[u8] = b"\"\\`$";

/// The path in double quotes, with the characters of `special` escaped.
fn push_quoted(script: &mut Vec<u8>, path: &Path, special: &[u8]) {
    script.push(b'"');
    for byte in path.as_os_str().as_bytes() {
        if special.contains(byte) {
            script.push(b'\\');
        }
        script.push(*byte);
    }
    script.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(profiles: &[&str], working_dir: &str, arguments: usize, expected: &str) {
        let profiles: Vec<_> = profiles.iter().map(PathBuf::from).collect();
        assert_eq!(
            script(&profiles, Path::new(working_dir), arguments),
            expected
        );
    }

    #[test]
    fn scripts() {
        check(&[], "/w", 0, "cd \"/w\"\nexec bash -c \"$@\"");
        check(
            &["/l/bp/a/profile.d/x.sh", ".profile"],
            "/w d",
            1,
            concat!(
                "source \"/l/bp/a/profile.d/x.sh\"\nsource \".profile\"\ncd \"/w d\"\n",
                r#"exec bash -c '"$(eval echo \"$0\")" "$(eval echo \"${1}\")"' "${@:1}""#
            ),
        );
        let ten: String = (1..=10)
            .map(|index| format!(r#" "$(eval echo \"${{{index}}}\")""#))
            .collect();
        let expected = format!(r#"exec bash -c '"$(eval echo \"$0\")"{ten}' "${{@:1}}""#);
        check(&[], "/", 10, &format!("cd \"/\"\n{expected}"));
        check(
            &["/a\"$(touch x)`id`\\"],
            "/$HOME",
            0,
            "source \"/a\\\"\\$(touch x)\\`id\\`\\\\\"\ncd \"/$HOME\"\nexec bash -c \"$@\"",
        );
    }

    #[test]
    fn bash_takes_hostile_names_literally() {
        let directory = tempfile::tempdir().unwrap();
        let name = OsStr::from_bytes(b"a\"; touch pwned; \"$(touch pwned)`touch pwned`\\\n'!*\xff");
        let working_dir = directory.path().join(name);
        std::fs::create_dir(&working_dir).unwrap();
        let profile = working_dir.join("profile \" $x.sh");
        std::fs::write(&profile, "export SOURCED=yes\n").unwrap();
        let script = script(&[profile], &working_dir, 2);
        let words = ["launcher", "printf", "%s,", "$SOURCED '$(echo 1)' \"2\""];
        let output = std::process::Command::new(BASH)
            .arg("-c")
            .arg(script)
            .args(words)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "yes '1' 2,");
        let left: Vec<_> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, [name]);
        assert_eq!(std::fs::read_dir(&working_dir).unwrap().count(), 1);
    }

    #[test]
    fn app_profile() {
        let app = tempfile::tempdir().unwrap();
        let found = || profiles(&[], None, app.path()).unwrap();
        assert!(found().is_empty());
        std::fs::create_dir(app.path().join(".profile")).unwrap();
        assert!(found().is_empty());
        std::fs::remove_dir(app.path().join(".profile")).unwrap();
        std::fs::write(app.path().join(".profile"), "").unwrap();
        assert_eq!(found(), [PathBuf::from(".profile")]);
    }

    #[test]
    fn processes_of_unknown_buildpacks() {
        let mut start = Start {
            process_type: Some("web".into()),
            buildpack_id: Some("gone".into()),
            arguments: vec!["x".into()],
            ..Start::default()
        };
        let check = |start: &Start| {
            check_buildpack(start, &BuildMetadata::default()).map_err(|error| error.to_string())
        };
        assert_eq!(
            check(&start),
            Err("process type 'web' provided by unknown buildpack 'gone'".to_owned())
        );
        start.arguments.clear();
        assert_eq!(check(&start), Ok(()));
    }
}
