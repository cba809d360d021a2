//! Images that the reference built: metadata.toml as it wrote it (with `show` as the command), every process of which starts. That this lifecycle writes the
//! same bytes is held by the golden cases and by `lifecycle-core`.

use crate::app::App;
use std::fs;
use std::os::unix::fs::symlink;

/// Before Platform API 0.10: commands are one text, the rest of a command array is in the arguments.
const PLATFORM_0_9: &str = r#"buildpack-default-process-type = "web"

[[buildpacks]]
  id = "some/a"
  version = "1.0"
  api = "0.9"
  homepage = "http://a.example"

[[buildpacks]]
  id = "b"
  version = "2.0"
  api = "0.8"

[[labels]]
  key = "lbl"
  value = "v1"

[[processes]]
  type = "script"
  command = "show"
  args = []
  direct = false
  buildpack-id = "b"

[[processes]]
  type = "sh"
  command = "show"
  args = ["hi"]
  direct = true
  buildpack-id = "some/a"
  working-dir = "/tmp"

[[processes]]
  type = "web"
  command = "show"
  args = ["x", "a", "b"]
  direct = true
  buildpack-id = "some/a"

[[slices]]
  paths = ["static/*"]
"#;

/// From 0.10 on: arrays, in the reference's encoder with the escapes of JSON.
const PLATFORM_0_12: &str = r#"buildpack-default-process-type = "web"

[[buildpacks]]
  id = "a/b"
  version = "1.0"
  api = "0.10"
  homepage = "http://hp"

[[processes]]
  type = "web"
  command = ["show", "me\u003c\u0026\u003e", "q\"é"]
  args = ["x"]
  direct = true
  buildpack-id = "a/b"

[[processes]]
  type = "z"
  command = ["show"]
  args = []
  direct = true
  buildpack-id = "a/b"
"#;

/// From 0.15 on: execution environments.
const PLATFORM_0_15: &str = r#"[[buildpacks]]
  id = "a/b"
  version = "1.0"
  api = "0.12"
  homepage = "http://hp"

[[processes]]
  type = "a"
  command = ["show"]
  direct = true
  buildpack-id = "a/b"
  exec-env = ["test", "production"]

[[processes]]
  type = "b"
  command = ["show", "y"]
  direct = true
  buildpack-id = "a/b"

[[processes]]
  type = "none"
  command = ["show", "y"]
  direct = true
  buildpack-id = "a/b"
  exec-env = ["test"]
"#;

/// Starts each process, with one argument of the user's. `expected`: the type, and the arguments in brackets.
#[track_caller]
fn check(platform_api: &str, metadata: &str, expected: &[(&str, &str)]) {
    let app = App::new();
    app.write("layers/config/metadata.toml", metadata);
    app.write_program("programs/show", "#!/bin/sh\nprintf '[%s]' \"$@\"\n");
    for (process, arguments) in expected {
        let path = app.path("cnb/process").join(process);
        let _ = fs::remove_file(&path);
        symlink("../lifecycle/launcher", &path).unwrap();
        let mut command = app.command(&path);
        command.env("CNB_PLATFORM_API", platform_api).arg("user");
        command.env(
            "PATH",
            format!("{}:/usr/bin:/bin", app.path("programs").display()),
        );
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.trim_end(), *arguments, "{process} at {platform_api}");
    }
}

#[test]
fn documents_of_the_reference() {
    check(
        "0.9",
        PLATFORM_0_9,
        &[
            ("web", "[x][a][b][user]"),
            ("sh", "[hi][user]"),
            ("script", "[user]"),
        ],
    );
    check(
        "0.12",
        PLATFORM_0_12,
        &[("web", "[me<&>][q\"é][user]"), ("z", "[user]")],
    );
    let missing =
        "ERROR: failed to launch: determine start command: process type none was not found";
    check(
        "0.15",
        PLATFORM_0_15,
        &[("a", "[user]"), ("b", "[y][user]"), ("none", missing)],
    );
}
