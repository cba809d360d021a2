//! One build as a platform sets it up: the directories it mounts, and the creator's command line over them.

use crate::builder::{self, Builder};
use crate::layout::Image;
use crate::subject::Subject;
use std::env;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The app image's name, and where a layout directory keeps it.
pub const APP_IMAGE: &str = "samples/hello";
const APP_LAYOUT: &str = "index.docker.io/samples/hello/latest";
/// Where a layout directory keeps the run image of builders/sample/run.toml.
const RUN_LAYOUT: &str = "index.docker.io/samples/run/tiny";

/// The directories of a build.
pub struct Site {
    /// Buildpacks, order, run images.
    pub builder: Builder,
    /// The app's sources.
    pub app: PathBuf,
    /// What phases and buildpacks write.
    pub layers: PathBuf,
    /// The user's settings.
    pub platform: PathBuf,
    /// The volume cache.
    pub cache: PathBuf,
    /// The images, as OCI layouts.
    pub layouts: PathBuf,
}

/// A temporary directory for a build. Others may enter it: its path is the same in the image, where another user does.
///
/// # Errors
/// It cannot be made.
pub fn work_directory() -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder
        .prefix("lifecycle-")
        .permissions(Permissions::from_mode(0o755));
    builder.tempdir()
}

impl Site {
    /// Makes empty directories below `work` for a build with `builder`.
    ///
    /// # Errors
    /// A directory cannot be made.
    pub fn new(work: &Path, builder: Builder) -> io::Result<Self> {
        let directory = |name: &str| {
            let path = work.join(name);
            fs::create_dir_all(&path).map(|()| path)
        };
        Ok(Self {
            builder,
            app: directory("app")?,
            layers: directory("layers")?,
            platform: directory("platform")?,
            cache: directory("cache")?,
            layouts: directory("layouts")?,
        })
    }

    /// Makes the run image of builders/sample/run.toml and returns its digest.
    ///
    /// # Errors
    /// Files cannot be read or written.
    pub fn make_run_image(&self) -> io::Result<String> {
        let definition = fs::read_to_string(builder::repository().join("stacks/tiny/image.toml"))?;
        let platforms = vec![stacks::Platform::host()];
        stacks::make(&definition, platforms, &self.layouts.join(RUN_LAYOUT))
    }

    /// Sets a variable that the platform hands to the buildpacks.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_variable(&self, name: &str, value: &[u8]) -> io::Result<()> {
        let directory = self.platform.join("env");
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(name), value)
    }

    /// Tells the buildpacks to use the Rust of this repository. Their environment has what the platform sets and little else.
    ///
    /// # Errors
    /// rust-toolchain.toml cannot be read, or the settings not written.
    pub fn use_pinned_rust(&self) -> io::Result<()> {
        let text = fs::read_to_string(builder::repository().join("rust-toolchain.toml"))?;
        let pinned: toml::Table = text.parse().map_err(io::Error::other)?;
        let channel = pinned
            .get("toolchain")
            .and_then(|table| table.get("channel"));
        if let Some(channel) = channel.and_then(toml::Value::as_str) {
            self.set_variable("RUSTUP_TOOLCHAIN", channel.as_bytes())?;
        }
        // Not left to `HOME`: the creator sets that to what /etc/passwd says.
        let of_user = || Some(Path::new(&env::var_os("HOME")?).join(".rustup"));
        let home = env::var_os("RUSTUP_HOME")
            .map(PathBuf::from)
            .or_else(of_user);
        match home.filter(|home| home.is_dir()) {
            Some(home) => self.set_variable("RUSTUP_HOME", home.as_os_str().as_encoded_bytes()),
            None => Ok(()),
        }
    }

    /// Empties the layers directory, as a platform does before each build.
    ///
    /// # Errors
    /// It cannot be removed or made.
    pub fn clear_layers(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.layers)?;
        fs::create_dir(&self.layers)
    }

    /// The creator that builds the app into an image in `layouts`, at the latest Platform API, as the directories' owner.
    ///
    /// # Errors
    /// The layers directory is missing.
    pub fn creator(&self, subject: &Subject) -> io::Result<Command> {
        let owner = fs::metadata(&self.layers)?;
        let mut command = subject.command("creator");
        command
            .env("CNB_PLATFORM_API", "0.15")
            .env("CNB_EXPERIMENTAL_MODE", "quiet");
        let directories = [
            ("-app", &self.app),
            ("-buildpacks", &self.builder.buildpacks),
            ("-cache-dir", &self.cache),
            ("-layers", &self.layers),
            ("-layout-dir", &self.layouts),
            ("-order", &self.builder.order),
            ("-platform", &self.platform),
            ("-run", &self.builder.run),
        ];
        for (flag, directory) in directories {
            command.arg(flag).arg(directory);
        }
        command
            .arg("-launcher")
            .arg(subject.directory().join("launcher"));
        command.args([
            "-uid",
            &owner.uid().to_string(),
            "-gid",
            &owner.gid().to_string(),
        ]);
        command.args(["-layout", APP_IMAGE]);
        Ok(command)
    }

    /// Where the run image is.
    pub fn run_layout(&self) -> PathBuf {
        self.layouts.join(RUN_LAYOUT)
    }

    /// Where the app image is written.
    pub fn app_layout(&self) -> PathBuf {
        self.layouts.join(APP_LAYOUT)
    }

    /// The app image.
    ///
    /// # Errors
    /// There is none, or it is malformed.
    pub fn app_image(&self) -> io::Result<Image> {
        Image::open(&self.app_layout())
    }
}
