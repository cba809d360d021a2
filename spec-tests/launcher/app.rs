//! An app as the launcher finds it in its image, and the launcher itself as it is released.

use spec_tests::subject::Outcome;
use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

/// The directory of layers of the only buildpack, `some/bp`.
pub(crate) const LAYERS: &str = "layers/some_bp";

/// The process `web` is `probe`, looked up in `PATH`.
pub(crate) const METADATA: &str = r#"
[[buildpacks]]
  id = "some/bp"
  version = "1"
  api = "0.12"

[[processes]]
  type = "web"
  command = ["probe"]
  direct = true
  buildpack-id = "some/bp"
"#;

/// A root directory with the launcher, the probe, an app directory and layers.
pub(crate) struct App {
    root: TempDir,
}

impl App {
    /// An app with the process `web` and no layers.
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let app = Self { root };
        for directory in [
            "cnb/lifecycle",
            "cnb/process",
            "workspace",
            "programs",
            LAYERS,
        ] {
            fs::create_dir_all(app.path(directory)).unwrap();
        }
        app.write("layers/config/metadata.toml", METADATA);
        fs::copy(launcher(), app.path("cnb/lifecycle/launcher")).unwrap();
        fs::copy(probe(), app.path("programs/probe")).unwrap();
        symlink("../lifecycle/launcher", app.path("cnb/process/web")).unwrap();
        app
    }

    /// A path below the root.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// Writes a file below the root.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Writes an executable below the root.
    pub(crate) fn write_program(&self, path: &str, content: impl AsRef<[u8]>) {
        self.write(path, content);
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// `program`, with the environment that starts the process `web` below this root.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.env_clear().stdin(Stdio::null());
        command
            .env("CNB_PLATFORM_API", "0.12")
            .env("CNB_NO_COLOR", "true");
        command
            .env("CNB_LAYERS_DIR", self.path("layers"))
            .env("CNB_APP_DIR", self.path("workspace"));
        let programs = self.path("programs");
        command.env(
            "PATH",
            format!("/nowhere/1:/nowhere/2:/nowhere/3:{}", programs.display()),
        );
        command
    }

    /// Starts the process `web`; at most 64 MB of memory, address space included, and 16 descriptors for all of it.
    pub(crate) fn launch(&self) -> Outcome {
        let mut command = self.command("/bin/sh");
        command.args(["-c", r#"ulimit -v 65536; ulimit -n 16; exec "$0""#]);
        command.arg(self.path("cnb/process/web"));
        let outcome = Outcome::of(&mut command).unwrap();
        let text = outcome
            .text
            .replace(&self.root.path().display().to_string(), "");
        Outcome { text, ..outcome }
    }
}

/// The target for static programs.
pub(crate) fn target() -> String {
    format!("{}-unknown-linux-musl", env::consts::ARCH)
}

/// The launcher of the directory that `LIFECYCLE_DIR` names, otherwise this workspace's, built as it is released.
pub(crate) fn launcher() -> &'static Path {
    static LAUNCHER: OnceLock<PathBuf> = OnceLock::new();
    LAUNCHER.get_or_init(|| match env::var_os("LIFECYCLE_DIR") {
        Some(directory) => Path::new(&directory).join("launcher"),
        None => build_launcher(&target(), None),
    })
}

/// Builds the launcher of this workspace as it is released, and returns where it is.
pub(crate) fn build_launcher(target: &str, linker: Option<&str>) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(&root)
        .args(["build", "--quiet", "--locked", "--package", "launcher"]);
    command.args(["--profile", "launcher", "--target", target]);
    if let Some(linker) = linker {
        let name = target.replace('-', "_").to_uppercase();
        command.env(format!("CARGO_TARGET_{name}_LINKER"), linker);
    }
    assert!(
        command.status().unwrap().success(),
        "cargo build for {target}"
    );
    // Tests are in `target/<profile>/deps`.
    let test = env::current_exe().unwrap();
    test.ancestors()
        .nth(3)
        .unwrap()
        .join(target)
        .join("launcher/launcher")
}

fn probe() -> &'static Path {
    static PROBE: OnceLock<PathBuf> = OnceLock::new();
    PROBE.get_or_init(|| {
        let probe = Path::new(env!("CARGO_TARGET_TMPDIR")).join("probe");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("launcher/probe.rs");
        let mut command = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command.args([
            "--edition",
            "2024",
            "-C",
            "strip=symbols",
            "--target",
            &target(),
            "-o",
        ]);
        assert!(
            command.arg(&probe).arg(source).status().unwrap().success(),
            "rustc"
        );
        probe
    })
}
