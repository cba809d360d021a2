//! Runs `bin/generate` of one extension and collects what it wrote (FACTS 6.6; image_extension.md, Phase: Generation).

use super::dir::Dir;
use super::dockerfile::{self, DockerfileKind, RunImageChange};
use super::plan_file::PlanFile;
use super::{Module, Surroundings, add_target};
use crate::exec::{self, Program};
use crate::log::Log;
use lifecycle_core::api::ModuleFeature;
use lifecycle_core::data::extend_config::ExtendConfig;
use lifecycle_core::data::group::escape_id;
use lifecycle_core::data::plan::BuildpackPlan;
use lifecycle_core::data::target::Target;
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use lifecycle_core::file::{self, DOCUMENT_LIMIT};
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The file with build arguments for an extension's Dockerfiles.
pub const EXTEND_CONFIG: &str = "extend-config.toml";

/// Where extensions generate.
#[derive(Clone, Copy)]
pub struct GenerateSite<'a> {
    /// What the platform provides.
    pub surroundings: &'a Surroundings,
    /// What the run image is.
    pub target: &'a Target,
    /// The directory in which each extension gets one of its own.
    pub outputs: &'a Dir,
    /// Whether that directory is handed on, so that prepared outputs must be in it, too.
    pub handed_on: bool,
    /// Where progress and the extensions' output go.
    pub log: &'a Log,
}

/// What an extension generated. All of it is validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The directory with the files.
    pub dir: PathBuf,
    /// `run.Dockerfile`, and what it does.
    pub run: Option<(String, RunImageChange)>,
    /// `build.Dockerfile`.
    pub build: Option<String>,
    /// `extend-config.toml`.
    pub extend_config: Option<String>,
}

/// Runs `bin/generate` of `extension` with its part of the plan. An extension without one has its output prepared in its
/// `generate` directory.
///
/// # Errors
/// Kind `BuildpackFailed` if the program does not start or fails; others if what it wrote is not permitted.
pub fn generate(
    extension: &Module,
    plan: &BuildpackPlan,
    site: &GenerateSite<'_>,
) -> Result<Generated> {
    let log = site.log;
    let id = escape_id(&extension.descriptor.id);
    log.debug("Creating plan directory");
    let plan_file = PlanFile::write(&site.surroundings.temp_dir, &id, plan)?;
    log.debug("Preparing paths");
    let output_dir = site.outputs.make_dir(id.as_ref())?;
    log.debug("Running generate command");
    let program = extension.program("generate");
    if is_missing(&program)? {
        let prepared = extension.root.join("generate");
        if !site.handed_on {
            return read(extension, &prepared, log);
        }
        site.outputs.remove(id.as_ref())?;
        copy_tree(&prepared, site.outputs.make_dir(id.as_ref())?.path())?;
        return read(extension, output_dir.path(), log);
    }
    run(
        extension,
        &program,
        output_dir.path(),
        plan_file.path(),
        site,
    )?;
    log.debug("Reading output files");
    // Not the directory of before: the extension may have put a link to elsewhere in its place.
    let output_dir = site.outputs.make_dir(id.as_ref())?;
    read(extension, output_dir.path(), log)
}

fn run(
    extension: &Module,
    program: &Path,
    output_dir: &Path,
    plan_path: &Path,
    site: &GenerateSite<'_>,
) -> Result<()> {
    let platform_dir = &site.surroundings.platform_dir;
    let api = extension.api()?;
    let mut env = site.surroundings.env(extension)?;
    env.set("CNB_BP_PLAN_PATH", plan_path);
    env.set("CNB_EXTENSION_DIR", &extension.root);
    env.set("CNB_OUTPUT_DIR", output_dir);
    env.set("CNB_PLATFORM_DIR", platform_dir);
    if api.has(ModuleFeature::Targets) {
        add_target(&mut env, site.target);
    }
    let args: [&OsStr; 3] = [
        output_dir.as_ref(),
        platform_dir.as_ref(),
        plan_path.as_ref(),
    ];
    let program = Program {
        path: program,
        args: &args,
        env: &env,
        dir: &site.surroundings.app_dir,
    };
    let mut output = site.log.output();
    // Like every log line: a closed standard output does not stop the generation.
    let exit = exec::run(&program, |bytes| drop(output.write_all(bytes)))
        .map_err(|error| error.with_kind(ErrorKind::BuildpackFailed))?;
    if exit.is_success() {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::BuildpackFailed, exit))
    }
}

fn read(extension: &Module, dir: &Path, log: &Log) -> Result<Generated> {
    let extend_config = file::read_if_exists(&dir.join(EXTEND_CONFIG), DOCUMENT_LIMIT)?;
    if let Some(text) = &extend_config {
        ExtendConfig::parse(text)?;
    }
    let dockerfile = |kind: DockerfileKind| {
        file::read_if_exists(&dir.join(kind.file_name()), DOCUMENT_LIMIT)
            .context(|| failed_to_parse(extension, kind))
    };
    let found = |kind| log.debug(format_args!("Found {kind} for processing"));
    let mut run = None;
    if let Some(text) = dockerfile(DockerfileKind::Run)? {
        let change = dockerfile::check_run(&text, log)
            .context(|| failed_to_parse(extension, DockerfileKind::Run))?;
        found(DockerfileKind::Run);
        run = Some((text, change));
    }
    let build = dockerfile(DockerfileKind::Build)?;
    if let Some(text) = &build {
        dockerfile::check_build(text, log)
            .context(|| failed_to_parse(extension, DockerfileKind::Build))?;
        found(DockerfileKind::Build);
    }
    let contexts = count_contexts(dir, log)?;
    log.debug(format_args!(
        "Found '{contexts}' Build Contexts for processing"
    ));
    Ok(Generated {
        dir: dir.to_owned(),
        run,
        build,
        extend_config,
    })
}

fn failed_to_parse(extension: &Module, kind: DockerfileKind) -> String {
    let id = &extension.descriptor.id;
    format!("failed to parse {kind} for extension {id}")
}

/// How many directories with files for the Dockerfiles there are (EXT-CTX-001 to 005).
fn count_contexts(dir: &Path, log: &Log) -> Result<usize> {
    let exists = |name: &str| dir.join(name).is_dir();
    let shared = exists("context");
    let specific = ["context.build", "context.run"]
        .into_iter()
        .filter(|name| exists(name));
    let specific: Vec<_> = specific.collect();
    if shared {
        let path = dir.join("context");
        log.debug(format_args!("found shared extension context {path:?}"));
        if !specific.is_empty() {
            return Err(Error::other(
                "image-specific context dir is provided together with a shared context",
            ));
        }
    }
    for name in &specific {
        let path = dir.join(name);
        log.debug(format_args!("found extension context {path:?}"));
    }
    Ok(specific.len() + usize::from(shared))
}

/// Copies the files, directories and links in `from`, if it exists, into the empty directory `to`.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    let mut directories = vec![(from.to_owned(), to.to_owned())];
    if is_missing(from)? {
        directories.clear();
    }
    while let Some((from, to)) = directories.pop() {
        let read = || format!("read {}", from.display());
        for entry in std::fs::read_dir(&from).context(read)? {
            let entry = entry.context(read)?;
            let (source, copy) = (entry.path(), to.join(entry.file_name()));
            let write = || format!("copy {} to {}", source.display(), copy.display());
            let file_type = entry.file_type().context(write)?;
            if file_type.is_dir() {
                std::fs::create_dir(&copy).context(write)?;
                directories.push((source, copy));
            } else if file_type.is_symlink() {
                let target = std::fs::read_link(&source).context(write)?;
                std::os::unix::fs::symlink(target, &copy).context(write)?;
            } else if file_type.is_file() {
                std::fs::copy(&source, &copy).context(write)?;
            } else {
                return Err(Error::other("not a regular file").in_context(write()));
            }
        }
    }
    Ok(())
}

fn is_missing(path: &Path) -> Result<bool> {
    match path.metadata() {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error).context(|| format!("stat {}", path.display())),
    }
}
