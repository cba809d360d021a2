use super::{Module, Surroundings, add_target};
use crate::exec::{self, Captured, Exit, Program};
use lifecycle_core::api::ModuleFeature;
use lifecycle_core::data::ModuleKind;
use lifecycle_core::data::plan::BuildPlan;
use lifecycle_core::data::target::Target;
use lifecycle_core::env::Env;
use lifecycle_core::error::{Result, ResultExt};
use lifecycle_core::file::{self, DOCUMENT_LIMIT};
use std::io;
use std::path::Path;

/// The exit code with which `bin/detect` says that the module does not want to take part.
const NOT_FOR_ME: i32 = 100;

/// What came of a module's `bin/detect`.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// What it wrote to standard output and error.
    pub output: Vec<u8>,
    /// What it decided.
    pub outcome: Outcome,
}

/// What a module decided in detection.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It takes part, with this contribution to the build plan.
    Passed(BuildPlan),
    /// It does not take part.
    Failed,
    /// It could not decide.
    Errored {
        /// The exit code, if it is to blame.
        code: Option<i32>,
        /// What the lifecycle has to say about it.
        reason: Option<String>,
    },
}

impl Detection {
    /// A detection that could not be made.
    pub fn error(reason: impl Into<String>) -> Self {
        Self {
            output: Vec::new(),
            outcome: Outcome::Errored {
                code: None,
                reason: Some(reason.into()),
            },
        }
    }
}

/// Runs a module's `bin/detect` (FACTS 6.4). An extension without one passes, with the plan in its `detect` directory.
pub fn detect(module: &Module, surroundings: &Surroundings, target: &Target) -> Detection {
    match try_detect(module, surroundings, target) {
        Ok(detection) => detection,
        Err(error) => Detection::error(error.to_string()),
    }
}

fn try_detect(module: &Module, surroundings: &Surroundings, target: &Target) -> Result<Detection> {
    let program = module.program("detect");
    if module.descriptor.kind == ModuleKind::Extension && is_missing(&program) {
        let path = module.root.join("detect/plan.toml");
        let plan = file::read_if_exists(&path, DOCUMENT_LIMIT)?;
        return Ok(Detection {
            output: Vec::new(),
            outcome: contribution(module, &plan.unwrap_or_default()),
        });
    }
    let plan_dir = tempfile::Builder::new()
        .prefix("plan.")
        .tempdir_in(&surroundings.temp_dir)
        .context(|| "make a directory for the plan")?;
    let plan_path = plan_dir.path().join("plan.toml");
    create_private(&plan_path).context(|| format!("open {}", plan_path.display()))?;
    let Captured { output, exit } = exec::capture(&Program {
        path: &program,
        args: &[surroundings.platform_dir.as_os_str(), plan_path.as_os_str()],
        env: &env(module, surroundings, target, &plan_path)?,
        dir: &surroundings.app_dir,
    })?;
    let outcome = match exit {
        Exit::Code(0) => match file::read(&plan_path, DOCUMENT_LIMIT) {
            Ok(plan) => contribution(module, &plan),
            Err(error) => errored(error),
        },
        Exit::Code(NOT_FOR_ME) => Outcome::Failed,
        Exit::Code(code) => Outcome::Errored {
            code: Some(code),
            reason: None,
        },
        Exit::Signal { .. } => Outcome::Errored {
            code: None,
            reason: None,
        },
    };
    Ok(Detection { output, outcome })
}

fn env(
    module: &Module,
    surroundings: &Surroundings,
    target: &Target,
    plan_path: &Path,
) -> Result<Env> {
    let api = module.api()?;
    let mut env = surroundings.env(module)?;
    let root = match module.descriptor.kind {
        ModuleKind::Buildpack => "CNB_BUILDPACK_DIR",
        ModuleKind::Extension => "CNB_EXTENSION_DIR",
    };
    env.set(root, &module.root);
    if api.has(ModuleFeature::PathVariables) {
        env.set("CNB_PLATFORM_DIR", &surroundings.platform_dir);
        env.set("CNB_BUILD_PLAN_PATH", plan_path);
    }
    if api.has(ModuleFeature::Targets) {
        add_target(&mut env, target);
    }
    if api.has(ModuleFeature::ExecEnv) && !surroundings.exec_env.is_empty() {
        env.set("CNB_EXEC_ENV", &surroundings.exec_env);
    }
    Ok(env)
}

/// The outcome for a module that passed and wrote `plan`.
fn contribution(module: &Module, plan: &str) -> Outcome {
    let (kind, id) = match module.descriptor.kind {
        ModuleKind::Buildpack => ("buildpack", &module.descriptor.id),
        ModuleKind::Extension => ("extension", &module.descriptor.id),
    };
    let plan = match BuildPlan::parse(plan) {
        Ok(plan) => plan,
        Err(error) => return errored(error),
    };
    let mut requires = plan.options.iter().flat_map(|option| &option.requires);
    let has_requires = requires.clone().next().is_some();
    if module.descriptor.kind == ModuleKind::Extension && has_requires {
        return errored(format!(
            "{kind} {id} outputs \"requires\" which is not allowed"
        ));
    }
    let has_version = |version: &Option<String>| version.as_ref().is_some_and(|v| !v.is_empty());
    if requires.any(|require| has_version(&require.version)) {
        return errored(format!(
            "{kind} {id} has a \"version\" key which is not supported. \"metadata.version\" should be used instead"
        ));
    }
    Outcome::Passed(plan)
}

fn errored(reason: impl ToString) -> Outcome {
    Outcome::Errored {
        code: None,
        reason: Some(reason.to_string()),
    }
}

fn is_missing(path: &Path) -> bool {
    matches!(path.metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// Makes an empty file that only this user reads and writes.
fn create_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map(drop)
}

#[cfg(test)]
mod tests;
