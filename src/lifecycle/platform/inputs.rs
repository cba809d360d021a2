//! The resolved inputs of a phase.

use lifecycle_core::api::PlatformApi;
use lifecycle_core::env::Env;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// What `lifecycle dockerfile` is told, as given.
#[derive(Clone, Debug, Default)]
pub struct DockerfileInputs {
    /// The Dockerfile.
    pub file: PathBuf,
    /// The build context.
    pub context: PathBuf,
    /// Where the image's files are put.
    pub root: Option<PathBuf>,
    /// What is written: `oci:DIR` or a reference.
    pub output: Option<String>,
    /// Which differences a snapshot counts.
    pub snapshot_mode: String,
    /// `NAME=VALUE`, or `NAME` of a variable.
    pub build_args: Vec<String>,
    /// The stage that is made.
    pub target: Option<String>,
    /// `NAME=oci:DIR`: layouts that stand for images.
    pub bases: Vec<String>,
}

/// Everything a command may need to know from its platform: flag over environment over default (FACTS 1.6).
/// Directories are absolute, `<layers>` is filled in, an empty optional text is `None`.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The Platform API in force.
    pub platform_api: PlatformApi,
    /// The process environment as it was at the start.
    pub process_env: Env,
    /// analyzed.toml.
    pub analyzed: PathBuf,
    /// `<app>`.
    pub app_dir: PathBuf,
    /// `<build-config>`.
    pub build_config_dir: PathBuf,
    /// The build image's reference.
    pub build_image: Option<String>,
    /// Where buildpacks are.
    pub buildpacks_dir: PathBuf,
    /// The volume cache.
    pub cache_dir: Option<PathBuf>,
    /// The cache image's reference.
    pub cache_image: Option<String>,
    /// The process type that the user wants as default.
    pub default_process_type: Option<String>,
    /// What only the program for a single Dockerfile needs.
    pub dockerfile: DockerfileInputs,
    /// The execution environment.
    pub exec_env: String,
    /// What the extender extends: `build` or `run`, as given.
    pub extend_kind: String,
    /// Where extended images are.
    pub extended_dir: PathBuf,
    /// Where extensions are.
    pub extensions_dir: PathBuf,
    /// Rebaser: only say whether a rebase is due.
    pub check: bool,
    /// Rebaser: only print what would change.
    pub dry_run: bool,
    /// Rebase even where a check forbids it.
    pub force_rebase: bool,
    /// Where generated Dockerfiles are.
    pub generated_dir: PathBuf,
    /// Group id of the build user.
    pub gid: u32,
    /// User id of the build user.
    pub uid: u32,
    /// group.toml.
    pub group: PathBuf,
    /// Prefixes of references whose registries may be insecure.
    pub insecure_registries: Vec<String>,
    /// How long cached extension layers are good.
    pub kaniko_cache_ttl: Duration,
    /// `/kaniko`.
    pub kaniko_dir: PathBuf,
    /// The launch cache (daemon).
    pub launch_cache_dir: Option<PathBuf>,
    /// The launcher binary.
    pub launcher: PathBuf,
    /// Where the launcher's and the lifecycle's SBOM files are.
    pub launcher_sbom_dir: PathBuf,
    /// `<layers>`.
    pub layers_dir: PathBuf,
    /// The root of OCI layouts.
    pub layout_dir: Option<PathBuf>,
    /// order.toml.
    pub order: PathBuf,
    /// The output image's reference as given.
    pub output_image: Option<String>,
    /// Further references for the output image.
    pub additional_tags: Vec<String>,
    /// Write image and cache at the same time.
    pub parallel_export: bool,
    /// plan.toml.
    pub plan: PathBuf,
    /// `<platform>`.
    pub platform_dir: PathBuf,
    /// The previous image's reference; the output image's when not given.
    pub previous_image: Option<String>,
    /// project-metadata.toml.
    pub project_metadata: PathBuf,
    /// report.toml.
    pub report: PathBuf,
    /// The run image's reference.
    pub run_image: Option<String>,
    /// The deprecated `-image` flag of exporter and rebaser.
    pub deprecated_run_image: Option<String>,
    /// run.toml.
    pub run: PathBuf,
    /// stack.toml.
    pub stack: PathBuf,
    /// Do not restore layers.
    pub skip_layers: bool,
    /// system.toml.
    pub system: PathBuf,
    /// Images are in a Docker daemon.
    pub use_daemon: bool,
    /// Images are OCI layouts on disk.
    pub use_layout: bool,
    /// `SOURCE_DATE_EPOCH` as given.
    pub source_date_epoch: Option<String>,
    /// `CNB_REGISTRY_AUTH`; it is not in [`Inputs::process_env`], so that no child process can inherit it.
    pub registry_auth: Option<Secret>,
}

/// A text that debug output does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Stands for the layers directory in defaults, until that directory is known.
const PLACEHOLDER: &str = "<layers>";
/// Where the order is when the layers directory has none.
const BUILDER_ORDER: &str = "/cnb/order.toml";

impl Inputs {
    /// Inputs in which every field that the flag table sets is still empty.
    pub(super) fn blank(platform_api: PlatformApi) -> Self {
        Self {
            platform_api,
            process_env: Env::default(),
            analyzed: PathBuf::new(),
            app_dir: PathBuf::new(),
            build_config_dir: PathBuf::new(),
            build_image: None,
            buildpacks_dir: PathBuf::new(),
            cache_dir: None,
            cache_image: None,
            default_process_type: None,
            dockerfile: DockerfileInputs::default(),
            exec_env: String::new(),
            extend_kind: String::new(),
            extended_dir: PathBuf::new(),
            extensions_dir: PathBuf::new(),
            check: false,
            dry_run: false,
            force_rebase: false,
            generated_dir: PathBuf::new(),
            gid: 0,
            uid: 0,
            group: PathBuf::new(),
            insecure_registries: Vec::new(),
            kaniko_cache_ttl: Duration::ZERO,
            kaniko_dir: PathBuf::from("/kaniko"),
            launch_cache_dir: None,
            launcher: PathBuf::new(),
            launcher_sbom_dir: PathBuf::new(),
            layers_dir: PathBuf::new(),
            layout_dir: None,
            order: PathBuf::new(),
            output_image: None,
            additional_tags: Vec::new(),
            parallel_export: false,
            plan: PathBuf::new(),
            platform_dir: PathBuf::new(),
            previous_image: None,
            project_metadata: PathBuf::new(),
            report: PathBuf::new(),
            run_image: None,
            deprecated_run_image: None,
            run: PathBuf::new(),
            stack: PathBuf::new(),
            skip_layers: false,
            system: PathBuf::new(),
            use_daemon: false,
            use_layout: false,
            source_date_epoch: None,
            registry_auth: None,
        }
    }

    /// Takes the environment in; credentials become a field of their own.
    pub(super) fn adopt_env(&mut self, mut env: Env) {
        let text = |name: &str| {
            env.get(name)
                .map(|value| value.to_string_lossy().into_owned())
        };
        self.source_date_epoch = text("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty());
        self.registry_auth = text("CNB_REGISTRY_AUTH")
            .filter(|text| !text.is_empty())
            .map(Secret);
        env.remove("CNB_REGISTRY_AUTH");
        self.process_env = env;
    }

    /// Fills the layers directory into paths, falls back to the builder's order, and makes directories absolute
    /// (FACTS 1.6). File paths, and the directories not listed here, stay as they are.
    pub(super) fn finish_paths(&mut self, working_dir: &Path) {
        let defaulted_order = self.order == Path::new(PLACEHOLDER).join("order.toml");
        let layers = self.layers_dir.clone();
        for path in [
            &mut self.analyzed,
            &mut self.extended_dir,
            &mut self.generated_dir,
            &mut self.group,
            &mut self.order,
            &mut self.plan,
            &mut self.project_metadata,
            &mut self.report,
        ] {
            fill_placeholder(path, &layers);
        }
        if defaulted_order && self.order.metadata().is_err() {
            self.order = PathBuf::from(BUILDER_ORDER);
        }
        let optional = [&mut self.cache_dir, &mut self.launch_cache_dir]
            .into_iter()
            .flatten();
        let directories = [
            &mut self.app_dir,
            &mut self.build_config_dir,
            &mut self.buildpacks_dir,
            &mut self.extensions_dir,
            &mut self.generated_dir,
            &mut self.kaniko_dir,
            &mut self.layers_dir,
            &mut self.platform_dir,
        ];
        for dir in directories
            .into_iter()
            .chain(optional)
            .filter(|dir| !dir.as_os_str().is_empty())
        {
            *dir = clean(&working_dir.join(&*dir));
        }
    }

    /// The references that the output image gets: itself, then its tags, each once.
    pub fn destinations(&self) -> Vec<&str> {
        once(self.output_image.iter().chain(&self.additional_tags))
    }

    /// Every image reference among the inputs, each once.
    pub fn images(&self) -> Vec<&str> {
        once(self.references())
    }

    /// The references whose registries need credentials: with a daemon only the cache image's.
    pub fn registry_images(&self) -> Vec<&str> {
        let others = (!self.use_daemon).then(|| self.references());
        once(self.cache_image.iter().chain(others.into_iter().flatten()))
    }

    fn references(&self) -> impl Iterator<Item = &String> {
        let named = [
            &self.previous_image,
            &self.build_image,
            &self.run_image,
            &self.deprecated_run_image,
            &self.cache_image,
        ];
        self.output_image
            .iter()
            .chain(&self.additional_tags)
            .chain(named.into_iter().flatten())
    }
}

/// The first occurrence of the placeholder becomes the layers directory, in paths that the user gave as well.
fn fill_placeholder(path: &mut PathBuf, layers: &Path) {
    let text = path.as_os_str().as_bytes();
    let Some(start) = text
        .windows(PLACEHOLDER.len())
        .position(|part| part == PLACEHOLDER.as_bytes())
    else {
        return;
    };
    let (before, rest) = text.split_at(start);
    let mut after = &rest[PLACEHOLDER.len()..];
    if layers.as_os_str().is_empty() {
        let Some(relative) = after.strip_prefix(b"/") else {
            return;
        };
        after = relative;
    }
    *path = PathBuf::from(OsString::from_vec(
        [before, layers.as_os_str().as_bytes(), after].concat(),
    ));
}

/// The path without `.`, `..` and doubled slashes, by its text alone.
fn clean(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut clean, part| {
        match part {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            part => clean.push(part),
        }
        clean
    })
}

/// The non-empty texts, each once, in order.
fn once<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    texts
        .map(String::as_str)
        .filter(|text| !text.is_empty())
        .fold(Vec::new(), |mut list, text| {
            if !list.contains(&text) {
                list.push(text);
            }
            list
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Settings;

    fn finished(env: &[(&str, &str)], layers: &str) -> Inputs {
        let env = Env::from_pairs(env.iter().copied());
        let mut inputs = Settings::from_env(PlatformApi::V0_15, env).inputs;
        inputs.layers_dir = layers.into();
        inputs.finish_paths(Path::new("/here/dir"));
        inputs
    }

    #[test]
    fn the_layers_directory_is_filled_in() {
        let check = |analyzed: &str, layers: &str, expected: &str| {
            let inputs = finished(&[("CNB_ANALYZED_PATH", analyzed)], layers);
            assert_eq!(inputs.analyzed, Path::new(expected), "{analyzed} {layers}");
        };
        check("", "/layers", "/layers/analyzed.toml");
        check("", "", "analyzed.toml");
        check("/a", "/layers", "/a");
        check("a/../b", "/layers", "a/../b");
        check("/x<layers>/<layers>", "/layers", "/x/layers/<layers>");
        check("/x<layers>", "", "/x<layers>");
    }

    #[test]
    fn directories_become_absolute_and_files_do_not() {
        let env = [
            ("CNB_APP_DIR", "../app/."),
            ("CNB_EXTENDED_DIR", "e"),
            ("CNB_CACHE_DIR", "c//d"),
            ("CNB_RUN_PATH", "r"),
        ];
        let inputs = finished(&env, "l/..//l");
        assert_eq!(inputs.layers_dir, Path::new("/here/dir/l"));
        assert_eq!(inputs.app_dir, Path::new("/here/app"));
        assert_eq!(
            inputs.cache_dir.as_deref(),
            Some(Path::new("/here/dir/c/d"))
        );
        assert_eq!(inputs.generated_dir, Path::new("/here/dir/l/generated"));
        assert_eq!(inputs.extended_dir, Path::new("e"));
        assert_eq!(inputs.run, Path::new("r"));
        assert_eq!(inputs.group, Path::new("l/..//l/group.toml"));
        assert_eq!(inputs.launch_cache_dir, None);
    }

    #[test]
    fn a_missing_default_order_is_the_builders() {
        let dir = tempfile::tempdir().unwrap();
        let layers = dir.path().to_str().unwrap();
        assert_eq!(finished(&[], layers).order, Path::new(BUILDER_ORDER));
        assert_eq!(
            finished(&[("CNB_ORDER_PATH", "/o")], layers).order,
            Path::new("/o")
        );
        std::fs::write(dir.path().join("order.toml"), "").unwrap();
        assert_eq!(finished(&[], layers).order, dir.path().join("order.toml"));
    }

    #[test]
    fn credentials_leave_the_environment() {
        let inputs = finished(
            &[
                ("CNB_REGISTRY_AUTH", "{}"),
                ("SOURCE_DATE_EPOCH", "1"),
                ("A", "b"),
            ],
            "/layers",
        );
        assert_eq!(inputs.registry_auth, Some(Secret("{}".into())));
        assert_eq!(inputs.source_date_epoch.as_deref(), Some("1"));
        let names: Vec<_> = inputs
            .process_env
            .iter()
            .map(|(name, _)| name.to_owned())
            .collect();
        assert_eq!(names, ["A", "SOURCE_DATE_EPOCH"]);
    }

    #[test]
    fn registry_images_depend_on_the_daemon() {
        let mut inputs = finished(
            &[("CNB_CACHE_IMAGE", "cache"), ("CNB_RUN_IMAGE", "run")],
            "/layers",
        );
        inputs.output_image = Some("app".into());
        inputs.additional_tags = vec!["tag".into(), "app".into()];
        assert_eq!(inputs.destinations(), ["app", "tag"]);
        assert_eq!(inputs.images(), ["app", "tag", "run", "cache"]);
        assert_eq!(inputs.registry_images(), ["cache", "app", "tag", "run"]);
        inputs.use_daemon = true;
        assert_eq!(inputs.registry_images(), ["cache"]);
    }
}
