//! One lifecycle's inputs, and its phases over them.

use crate::report::Cost;
use crate::{Result, measure};
use spec_tests::builder::{self, Builder};
use spec_tests::site::Site;
use spec_tests::subject::Subject;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How many buildpacks detect.
pub(crate) const DETECTED: usize = 100;
/// The app image's name in layouts.
const APP: &str = "app";
const GROUP: &str = "[[group]]\nid = \"bench\"\nversion = \"1\"\napi = \"0.12\"\n";
const METADATA: &str = r#"
[[buildpacks]]
id = "bench"
version = "1"
api = "0.12"

[[processes]]
type = "web"
command = ["/bin/true"]
direct = true
buildpack-id = "bench"
"#;

/// A build with one buildpack and, at first, one layer of many files.
pub(crate) struct Scene {
    pub(crate) subject: Subject,
    pub(crate) site: Site,
    /// Documents that phases hand over, written here.
    pub(crate) work: PathBuf,
    pub(crate) uid: u32,
    gid: u32,
}

impl Scene {
    /// Makes the inputs below `work`, with `files` as the layer.
    pub(crate) fn prepare(subject: Subject, work: &Path, files: &Path) -> Result<Self> {
        let write = |path: &str, text: &str| -> Result<()> {
            let path = work.join(path);
            fs::create_dir_all(path.parent().unwrap_or(work))?;
            Ok(fs::write(path, text)?)
        };
        write("app/index.html", "<h1>Hello</h1>\n")?;
        // The same for every lifecycle, so that their images can be the same.
        write("launcher", "#!/bin/true\n")?;
        let mut order = "[[order]]\n".to_owned();
        for number in 0..DETECTED {
            let (id, place) = (
                format!("bench-{number}"),
                format!("buildpacks/bench-{number}/1"),
            );
            let descriptor =
                format!("api = \"0.12\"\n\n[buildpack]\nid = \"{id}\"\nversion = \"1\"\n");
            write(&format!("{place}/buildpack.toml"), &descriptor)?;
            for name in ["detect", "build"] {
                let program = format!("{place}/bin/{name}");
                write(&program, "#!/bin/sh\n")?;
                fs::set_permissions(work.join(program), fs::Permissions::from_mode(0o755))?;
            }
            order += &format!("[[order.group]]\nid = \"{id}\"\nversion = \"1\"\n");
        }
        write("order.toml", &order)?;

        let builder = Builder {
            buildpacks: work.join("buildpacks"),
            order: work.join("order.toml"),
            run: builder::repository().join("builders/sample/run.toml"),
        };
        let site = Site::new(work, builder)?;
        site.make_run_image()?;
        let owner = fs::metadata(work)?;
        let scene = Self {
            subject,
            site,
            work: work.to_owned(),
            uid: owner.uid(),
            gid: owner.gid(),
        };
        scene.fresh_layers()?;
        builder::copy(files, &scene.layer("files"))?;
        scene.declare_layer("files")?;
        Ok(scene)
    }

    /// An empty layers directory with what detect and build hand over.
    pub(crate) fn fresh_layers(&self) -> Result<()> {
        self.site.clear_layers()?;
        let place = |path: &str, text: &str| {
            let path = self.site.layers.join(path);
            fs::create_dir_all(path.parent().unwrap_or(&path))?;
            fs::write(path, text)
        };
        place("group.toml", GROUP)?;
        place("config/metadata.toml", METADATA)?;
        fs::create_dir(self.site.layers.join("bench"))?;
        Ok(())
    }

    /// An empty volume cache.
    pub(crate) fn fresh_cache(&self) -> Result<()> {
        fs::remove_dir_all(&self.site.cache)?;
        Ok(fs::create_dir(&self.site.cache)?)
    }

    /// The directory of a layer.
    pub(crate) fn layer(&self, name: &str) -> PathBuf {
        self.site.layers.join("bench").join(name)
    }

    /// Says what a layer is for, as buildpacks do in every build.
    pub(crate) fn declare_layer(&self, name: &str) -> Result<()> {
        let path = self.layer(&format!("{name}.toml"));
        Ok(fs::write(path, "[types]\nlaunch = true\ncache = true\n")?)
    }

    /// `-cache-dir` with the volume cache.
    pub(crate) fn cache_flag(&self) -> String {
        format!("-cache-dir={}", self.site.cache.display())
    }

    /// Runs a phase that reads and writes images in layouts.
    pub(crate) fn layout_phase(&self, name: &str, args: &[&str]) -> Result<Cost> {
        let layouts = format!("-layout-dir={}", self.site.layouts.display());
        let app = (name != "restorer").then_some(APP);
        let args: Vec<&str> = ["-layout", &layouts]
            .iter()
            .chain(args)
            .copied()
            .chain(app)
            .collect();
        self.phase(name, &args)
    }

    /// Where [`Scene::layout_phase`] writes the app image.
    pub(crate) fn app_layout(&self) -> PathBuf {
        self.site.layouts.join("index.docker.io/library/app/latest")
    }

    /// Runs a phase that works on layers, with the flags that it needs wherever images are.
    pub(crate) fn phase(&self, name: &str, args: &[&str]) -> Result<Cost> {
        self.phase_with(name, args, &[])
    }

    /// The same with more environment.
    pub(crate) fn phase_with(
        &self,
        name: &str,
        args: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Cost> {
        let mut words = vec![format!("-layers={}", self.site.layers.display())];
        words.push(format!("-uid={}", self.uid));
        words.push(format!("-gid={}", self.gid));
        if name != "restorer" {
            words.push(format!("-run={}", self.site.builder.run.display()));
        }
        if name == "exporter" {
            words.push(format!("-app={}", self.site.app.display()));
            words.push(format!(
                "-launcher={}",
                self.work.join("launcher").display()
            ));
        }
        words.extend(args.iter().map(|&word| word.to_owned()));
        let mut command = self.command(name, &words)?;
        command.envs(variables.iter().copied());
        measure::run(command)
    }

    /// Runs a binary that needs no images, as another user if `user` says so.
    pub(crate) fn run(&self, name: &str, args: &[String], user: Option<u32>) -> Result<Cost> {
        let mut command = self.command(name, args)?;
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        measure::run(command)
    }

    fn command(&self, name: &str, args: &[String]) -> Result<Command> {
        let mut command = measure::command(&self.subject.directory().join(name))?;
        command
            .args(args)
            .env("CNB_PLATFORM_API", "0.15")
            .env("CNB_EXPERIMENTAL_MODE", "quiet")
            .env("CNB_LAYERS_DIR", &self.site.layers)
            .env("CNB_APP_DIR", &self.site.app);
        Ok(command)
    }
}
