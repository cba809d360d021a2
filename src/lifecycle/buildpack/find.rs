use lifecycle_core::api::{BuildpackApi, ModuleFeature};
use lifecycle_core::data::ModuleKind;
use lifecycle_core::data::descriptor::Descriptor;
use lifecycle_core::data::group::{GroupElement, escape_id, verify_api};
use lifecycle_core::data::order::OrderElement;
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_core::file::{self, DOCUMENT_LIMIT};
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A module as it lies in the build environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its directory, absolute if the platform's directories are.
    pub root: PathBuf,
    /// What it says about itself, targets inferred from its files included (FACTS 3.10).
    pub descriptor: Descriptor,
}

impl Module {
    /// The element of the group that `element` of the order stands for.
    pub fn group_element(&self, element: &OrderElement) -> GroupElement {
        let Descriptor { api, homepage, .. } = &self.descriptor;
        GroupElement {
            kind: element.kind,
            id: element.id.clone(),
            version: element.version.clone(),
            api: api.clone(),
            homepage: (!homepage.is_empty()).then(|| homepage.clone()),
            optional: element.optional,
        }
    }

    /// The execution environments that the module is for; empty means all. Before Buildpack API 0.12 the list means nothing.
    pub fn exec_env(&self) -> &[String] {
        match self.api().is_ok_and(|api| api.has(ModuleFeature::ExecEnv)) {
            true => &self.descriptor.exec_env,
            false => &[],
        }
    }

    /// The module's Buildpack API.
    ///
    /// # Errors
    /// Kind `BuildpackApi` if it is malformed or unsupported.
    pub fn api(&self) -> Result<BuildpackApi> {
        let Descriptor {
            kind,
            api,
            id,
            version,
            ..
        } = &self.descriptor;
        verify_api(api, kind.title(), &format!("{id}@{version}"))
    }

    /// A program of the module, e.g. `detect`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.root.join("bin").join(name)
    }
}

/// The directories of modules. What was found once is remembered.
#[derive(Debug)]
pub struct Store {
    buildpacks: PathBuf,
    extensions: PathBuf,
    found: Mutex<HashMap<PathBuf, Arc<Module>>>,
}

impl Store {
    /// A store of the buildpacks and extensions in these directories.
    pub fn new(buildpacks: impl Into<PathBuf>, extensions: impl Into<PathBuf>) -> Self {
        Self {
            buildpacks: buildpacks.into(),
            extensions: extensions.into(),
            found: Mutex::default(),
        }
    }

    /// The module in `<directory>/<escaped id>/<version>`.
    ///
    /// # Errors
    /// Kind `NotFound` if there is no descriptor; others if it is malformed, or id or version lead elsewhere.
    pub fn find(&self, kind: ModuleKind, id: &str, version: &str) -> Result<Arc<Module>> {
        let (directory, name) = match kind {
            ModuleKind::Buildpack => (&self.buildpacks, "buildpack.toml"),
            ModuleKind::Extension => (&self.extensions, "extension.toml"),
        };
        let id = escape_id(id);
        let stays_below = |text: &str| {
            let mut components = Path::new(text).components();
            components.all(|part| matches!(part, Component::Normal(_)))
        };
        if id.is_empty() || !stays_below(&id) || !stays_below(version) {
            return Err(Error::other(format!(
                "{id:?} in version {version:?} is not the name of a module"
            )));
        }
        // Joining an empty version would leave a slash at the end.
        let parts = [id.as_str(), version].into_iter();
        let parts = parts.filter(|part| !part.is_empty());
        let root = parts.fold(directory.clone(), |path, part| path.join(part));
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = found.get(&root) {
            return Ok(Arc::clone(module));
        }
        let module = Arc::new(read(kind, root.clone(), name)?);
        found.insert(root, Arc::clone(&module));
        Ok(module)
    }
}

fn read(kind: ModuleKind, root: PathBuf, name: &str) -> Result<Module> {
    let path = root.join(name);
    let text = file::read(&path, DOCUMENT_LIMIT)?;
    let descriptor =
        Descriptor::parse(&text, kind).context(|| format!("read {}", path.display()))?;
    let mut bin = vec!["build", "detect", "generate"];
    bin.retain(|name| root.join("bin").join(name).symlink_metadata().is_ok());
    let descriptor = descriptor.with_inferred_targets(&bin);
    Ok(Module { root, descriptor })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(id: &str, version: &str, expected: &str) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("a_b/1.0");
        std::fs::create_dir_all(root.join("bin")).unwrap();
        std::fs::write(root.join("bin/build"), "").unwrap();
        std::fs::write(root.join("buildpack.toml"), "api = '0.10'\n").unwrap();
        let store = Store::new(dir.path(), dir.path());
        let found = store.find(ModuleKind::Buildpack, id, version);
        let text = match found {
            Ok(module) => {
                assert_eq!(module.root, root);
                module
                    .descriptor
                    .targets
                    .iter()
                    .map(|target| target.os.as_str())
                    .collect()
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(text.replace(dir.path().to_str().unwrap(), "DIR"), expected);
    }

    #[test]
    fn modules_are_found_by_name_alone() {
        check("a/b", "1.0", "linux");
        check("a_b", "1.0", "linux");
        check(
            "a/b",
            "",
            "open DIR/a_b/buildpack.toml: no such file or directory",
        );
        check(
            "x",
            "2",
            "open DIR/x/2/buildpack.toml: no such file or directory",
        );
        check(
            "..",
            "1",
            "\"..\" in version \"1\" is not the name of a module",
        );
        check(
            "a",
            "../../etc",
            "\"a\" in version \"../../etc\" is not the name of a module",
        );
        check("", "1", "\"\" in version \"1\" is not the name of a module");
    }
}
