use super::Module;
use crate::platform::Inputs;
use lifecycle_core::env::{DefaultAction, Env};
use lifecycle_core::error::{Error, Result};
use std::path::PathBuf;
use std::sync::OnceLock;

/// What the programs of every module find around them (FACTS 6.4, 7.2).
#[derive(Debug)]
pub struct Surroundings {
    /// `<app>`, their working directory.
    pub app_dir: PathBuf,
    /// `<platform>`.
    pub platform_dir: PathBuf,
    /// Where files are made that only one module needs.
    pub temp_dir: PathBuf,
    /// The execution environment; empty if there is none.
    pub exec_env: String,
    /// What every module may see of the lifecycle's own environment.
    pub inherited: Env,
    build_config_dir: PathBuf,
    with_user_env: OnceLock<Result<Env>>,
    without_user_env: OnceLock<Result<Env>>,
}

impl Surroundings {
    /// The surroundings that the platform describes.
    pub fn new(inputs: &Inputs) -> Self {
        let temp_dir = inputs.process_env.get("TMPDIR");
        let temp_dir = temp_dir.filter(|dir| !dir.is_empty());
        Self {
            app_dir: inputs.app_dir.clone(),
            platform_dir: inputs.platform_dir.clone(),
            temp_dir: temp_dir.map_or_else(|| "/tmp".into(), PathBuf::from),
            exec_env: inputs.exec_env.clone(),
            build_config_dir: inputs.build_config_dir.clone(),
            inherited: Env::for_build(&inputs.process_env),
            with_user_env: OnceLock::new(),
            without_user_env: OnceLock::new(),
        }
    }

    /// The environment of a module, without what is its own; the files behind it are read once.
    ///
    /// # Errors
    /// A file of the user's or the operator's environment cannot be read.
    pub fn env(&self, module: &Module) -> Result<Env> {
        let env = match module.descriptor.clear_env {
            true => self.without_user_env.get_or_init(|| self.read_env(false)),
            false => self.with_user_env.get_or_init(|| self.read_env(true)),
        };
        env.as_ref().cloned().map_err(Error::other)
    }

    /// Like [`Surroundings::env`], on top of `base`: what the module before it left of a build's environment.
    ///
    /// # Errors
    /// As for [`Surroundings::env`].
    pub fn env_on(&self, base: &Env, module: &Module) -> Result<Env> {
        self.with_overrides(base.clone(), !module.descriptor.clear_env)
    }

    fn read_env(&self, user: bool) -> Result<Env> {
        self.with_overrides(self.inherited.clone(), user)
    }

    fn with_overrides(&self, mut env: Env, user: bool) -> Result<Env> {
        if user {
            env.apply_platform_dir(&self.platform_dir.join("env"))?;
        }
        env.apply_env_dir(&self.build_config_dir.join("env"), DefaultAction::Default)?;
        Ok(env)
    }
}

#[cfg(test)]
impl Surroundings {
    /// Surroundings with `app`, `platform` and `tmp` below `root`, and this environment.
    pub(crate) fn for_test(root: &std::path::Path, env: &[(&str, &str)]) -> Self {
        Self {
            app_dir: root.join("app"),
            platform_dir: root.join("platform"),
            temp_dir: root.join("tmp"),
            exec_env: String::new(),
            build_config_dir: root.join("build-config"),
            inherited: Env::for_build(&Env::from_pairs(env.iter().copied())),
            with_user_env: OnceLock::new(),
            without_user_env: OnceLock::new(),
        }
    }
}
