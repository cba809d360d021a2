//! The launch environment that layers make (FACTS 12.3).

use crate::layers::{self, Layer};
use crate::sys::{self, Entry, Kind};
use lifecycle_core::env::{DefaultAction, Env, MAX_VALUE_LENGTH};
use lifecycle_core::error::{Result, ResultExt};
use lifecycle_core::file;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

/// Directories of a layer that belong to lists of directories.
const PATHS: [(&str, &str); 2] = [("bin", "PATH"), ("lib", "LD_LIBRARY_PATH")];

/// Adds what the layers contribute, buildpack by buildpack: their `bin` and `lib` directories, then the files of
/// `env`, `env.launch` and, for a process that a buildpack provided, `env.launch/<type>`.
///
/// # Errors
/// A directory or file cannot be read.
pub(crate) fn apply(
    env: &mut Env,
    buildpacks: &[Vec<Layer>],
    process_type: Option<&str>,
) -> Result<()> {
    for layers in buildpacks {
        for layer in layers {
            add_paths(env, layer).context(|| "add layer root")?;
        }
        for layer in layers {
            apply_files(env, layer, process_type).context(|| "add layer env")?;
        }
    }
    Ok(())
}

fn add_paths(env: &mut Env, layer: &Layer) -> Result<()> {
    for (directory, variable) in PATHS {
        if let Some(path) = layer.existing(directory)? {
            env.prepend_path(variable, &path);
        }
    }
    Ok(())
}

fn apply_files(env: &mut Env, layer: &Layer, process_type: Option<&str>) -> Result<()> {
    if let Some(directory) = layer.entry("env") {
        apply_directory(env, &directory)?;
    }
    if let Some(directory) = layer.entry("env.launch") {
        let entries = apply_directory(env, &directory)?;
        if let Some(own) = layers::of_process_type(&directory, &entries, process_type) {
            apply_directory(env, &own)?;
        }
    }
    Ok(())
}

/// Applies the files of `directory` and returns what is in it.
fn apply_directory(env: &mut Env, directory: &Path) -> Result<Vec<Entry>> {
    let context = || format!("apply env files from dir '{}'", directory.display());
    let entries = layers::list(directory).context(context)?;
    let files = read_files(directory, &entries).context(context)?;
    env.apply_files(&files, DefaultAction::Override);
    Ok(entries)
}

/// Contents by name; directories and links to directories are no files.
fn read_files(directory: &Path, entries: &[Entry]) -> Result<BTreeMap<OsString, OsString>> {
    let mut files = BTreeMap::new();
    for Entry { name, kind } in entries {
        let path = directory.join(name);
        let content = match kind {
            Kind::File => sys::read_listed(&path, MAX_VALUE_LENGTH)?,
            Kind::Directory => continue,
            Kind::Link if path.is_dir() => continue,
            Kind::Link | Kind::Other => {
                file::read_opened(sys::open(&path)?, &path, MAX_VALUE_LENGTH)?
            }
        };
        files.insert(name.clone(), OsString::from_vec(content));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lifecycle_core::data::ModuleKind;
    use lifecycle_core::data::group::GroupElement;
    use std::fs;

    /// `files`: paths below `<layers>`; those that end in `/` are directories, the others have their own name as
    /// content. `expected`: `NAME=value` words, `L` being `<layers>`.
    #[track_caller]
    fn check(files: &[&str], process_type: Option<&str>, expected: Result<&str, &str>) {
        let layers_dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = layers_dir.path().join(file);
            if file.ends_with('/') {
                fs::create_dir_all(path).unwrap();
            } else {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, path.file_name().unwrap().to_str().unwrap()).unwrap();
            }
        }
        let root = layers_dir.path().display().to_string();
        let found = launch_env(layers_dir.path(), process_type)
            .map(|env| {
                let words: Vec<_> = env
                    .iter()
                    .map(|(name, value)| format!("{}={}", name.display(), value.display()))
                    .collect();
                words.join(" ").replace(&root, "L")
            })
            .map_err(|error| error.to_string().replace(&root, "L"));
        assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned));
    }

    fn launch_env(layers_dir: &Path, process_type: Option<&str>) -> Result<Env> {
        let buildpack = |id: &str| GroupElement {
            kind: ModuleKind::Buildpack,
            id: id.into(),
            version: "1".into(),
            api: "0.10".into(),
            homepage: None,
            optional: false,
        };
        let layers = layers::of_buildpacks(
            layers_dir,
            &[buildpack("a/x"), buildpack("gone"), buildpack("b")],
        )?;
        let mut env = Env::default();
        apply(&mut env, &layers, process_type)?;
        Ok(env)
    }

    #[test]
    fn directories() {
        let files = [
            "a_x/l2/bin/",
            "a_x/l1/bin/",
            "a_x/l1/lib/",
            "b/l/bin/",
            "a_x/bin",
            "other/l/bin/",
            "gone.toml",
        ];
        check(
            &files,
            None,
            Ok("LD_LIBRARY_PATH=L/a_x/l1/lib PATH=L/b/l/bin:L/a_x/l2/bin:L/a_x/l1/bin"),
        );
        check(
            &["a_x/l1/env/PATH.override", "a_x/l2/bin/"],
            None,
            Ok("PATH=PATH.override"),
        );
    }

    #[test]
    fn files_of_layers() {
        let files = [
            "a_x/l1/env/A",
            "a_x/l1/env/C.append",
            "a_x/l2/env/C.append",
            "b/l/env/C.prepend",
            "a_x/l1/env.launch/B",
            "a_x/l1/env.launch/web/W",
            "a_x/l1/env.launch/other/O",
            "a_x/l1/env.build/N",
            "a_x/l1/env/sub/X",
            "b/file",
        ];
        let common = "A=A B=B C=C.prependC.appendC.append";
        check(&files, None, Ok(common));
        check(&files, Some("web"), Ok(&format!("{common} W=W")));
    }

    #[test]
    fn links_and_hostile_entries() {
        let layers_dir = tempfile::tempdir().unwrap();
        let path = |name: &str| layers_dir.path().join(name);
        fs::create_dir_all(path("b/real/env")).unwrap();
        fs::write(path("b/real/env/A"), "a").unwrap();
        fs::write(path("target"), "linked").unwrap();
        std::os::unix::fs::symlink("real", path("b/link")).unwrap();
        std::os::unix::fs::symlink(path("target"), path("b/real/env/LINK")).unwrap();
        std::os::unix::fs::symlink("/usr", path("b/real/env/DIRECTORY")).unwrap();
        std::os::unix::fs::symlink("/nowhere", path("b/real/bin")).unwrap();
        let env = launch_env(layers_dir.path(), None).unwrap();
        assert_eq!(env, Env::from_pairs([("A", "a"), ("LINK", "linked")]));

        std::os::unix::fs::symlink("/dev/zero", path("b/real/env/ZERO")).unwrap();
        let error = launch_env(layers_dir.path(), None).unwrap_err().to_string();
        assert!(
            error.ends_with("b/real/env/ZERO: not a regular file"),
            "{error}"
        );
        fs::remove_file(path("b/real/env/ZERO")).unwrap();
        let fifo = path("b/real/env/FIFO");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .unwrap()
                .success()
        );
        let error = launch_env(layers_dir.path(), None).unwrap_err().to_string();
        assert!(
            error.ends_with("b/real/env/FIFO: not a regular file"),
            "{error}"
        );
    }
}
