//! `RUN`: a command, and the layer of what it has changed.

use super::{PATH, Stage, find, joined, place};
use crate::dockerfile::{Run, Step, Words};
use crate::extend::copy::Copying;
use crate::extend::disk::Archive;
use crate::extend::jail;
use crate::extend::mounts::{self, Held, Request};
use crate::extend::process::{self, Process};
use crate::extend::users;
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_core::value::Value;
use lifecycle_image::layer::{Layer, open_stored};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

impl Stage<'_, '_> {
    pub(super) fn run_command(&mut self, run: &Run, step: &Step) -> Result<Layer> {
        let request = self.request(run).context(|| place(step))?;
        let user = users::user(self.config.user(), &self.machine.disk);
        let user = user.context(|| place(step))?;
        let (argv, script) = self.command_line(run);
        let env = self.environment(user.home.as_deref());
        let dir = joined(self.config.working_dir(), "");
        let described = argv.iter().chain(&script).cloned();
        let described = described.chain(env.iter().map(|(name, value)| format!("{name}={value}")));
        let whose = [self.config.user().to_owned(), dir.display().to_string()];
        let (mounts, contents) = self.hold(&request).context(|| place(step))?;
        self.key = self.key.then(described.chain(whose).chain(contents));
        if let Some(layer) = self.cached().context(|| place(step))? {
            return Ok(layer);
        }
        self.machine.snapshotter.begin()?;
        self.machine
            .disk
            .make_directory(&dir, (0, 0), &mut BTreeSet::new())
            .context(|| place(step))?;
        let script = script.map(|text| self.write_script(&text)).transpose()?;
        let jail = self.machine.jail.as_ref();
        let argv = match (&script, jail) {
            (Some(_), Some(_)) => vec![jail::SCRIPT.to_owned()],
            (Some(path), None) => vec![path.display().to_string()],
            (None, _) => argv,
        };
        let proxies = &self.machine.proxies;
        let more = proxies
            .iter()
            .filter(|(name, _)| find(&env, name).is_none());
        let env: Vec<_> = env.iter().chain(more).cloned().collect();
        let exit = process::run(&Process {
            argv: &argv,
            env: &env,
            dir: &dir,
            user: &user,
            jail,
            script: script.as_deref(),
            mounts: &mounts,
            offline: request.offline,
        });
        let exit = exit.context(|| "failed to execute command")?;
        if !exit.is_success() {
            let error = Error::other(exit).in_context("waiting for process to exit");
            self.machine
                .progress
                .info(format_args!("{} failed", place(step)));
            return Err(error.in_context("failed to execute command"));
        }
        drop(script);
        let (layer, notes) = self.machine.snapshotter.changes()?;
        self.tell(&notes);
        if let Some(cache) = &self.machine.cache {
            cache.put(&self.key, &layer)?;
        }
        Ok(layer)
    }

    /// What the instruction's flags ask for. Only a command in a jail can get something of its own.
    fn request(&self, run: &Run) -> Result<Request> {
        let dir = joined(self.config.working_dir(), "");
        let request = Request::read(&run.flags, &dir, &|text| self.expand(text))?;
        match &self.machine.jail {
            Some(_) => Ok(request),
            None => request.refused(),
        }
    }

    /// Makes sure that what is mounted is there. The texts say what its content is, for the cache's key.
    fn hold(&self, request: &Request) -> Result<(Vec<Held>, Vec<String>)> {
        let mut held = Vec::new();
        let mut contents = Vec::new();
        for mount in &request.mounts {
            contents.push(mount.to_string());
            held.push(match &mount.kind {
                mounts::Kind::Tmpfs => Held::nothing(&mount.target),
                mounts::Kind::Cache(cache) => {
                    let jail = self.machine.jail.as_ref();
                    let directory = jail.map(jail::Jail::cache_mounts).unwrap_or(Path::new("/"));
                    Held::cache(cache, &mount.target, directory)?
                }
                mounts::Kind::Bind { from, source } => {
                    let other = self.origin(from.as_deref())?;
                    let context = other.as_ref().unwrap_or(&self.context);
                    contents.extend(Copying::of(context, source)?.describe(context)?);
                    Held::files(context.place(source)?, &mount.target)
                }
            });
        }
        Ok((held, contents))
    }

    /// The words that are executed; or a script that says itself what executes it.
    fn command_line(&self, run: &Run) -> (Vec<String>, Option<String>) {
        let text = match &run.command {
            Words::Exec(words) => return (words.clone(), None),
            Words::Shell(text) => text,
        };
        let text = match run.documents.as_slice() {
            [document] if text.starts_with("<<") && !text.contains(char::is_whitespace) => {
                if document.content.starts_with("#!") {
                    return (Vec::new(), Some(document.content.clone()));
                }
                document.content.clone()
            }
            [] => text.clone(),
            // The shell takes them in order.
            documents => documents
                .iter()
                .fold(format!("{text}\n"), |text, document| {
                    format!("{text}{}{}\n", document.content, document.delimiter)
                }),
        };
        let mut argv = self.shell();
        argv.push(text);
        (argv, None)
    }

    fn shell(&self) -> Vec<String> {
        let words = self.config.runtime_value("Shell").and_then(Value::as_array);
        let words = words.unwrap_or_default().iter().filter_map(Value::as_str);
        let words: Vec<_> = words.map(str::to_owned).collect();
        match words.is_empty() {
            true => vec!["/bin/sh".to_owned(), "-c".to_owned()],
            false => words,
        }
    }

    /// A script as a file that the image's user can execute, outside of what snapshots see.
    fn write_script(&self, text: &str) -> Result<tempfile::TempPath> {
        let context = || "write a script";
        let file = tempfile::NamedTempFile::new_in(self.machine.snapshotter.spool());
        let file = file.context(context)?;
        std::fs::write(file.path(), text).context(context)?;
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(file.path(), executable).context(context)?;
        // Nobody executes a file that is open for writing.
        Ok(file.into_temp_path())
    }

    /// The variables of a command, without those that no key knows.
    fn environment(&self, home: Option<&str>) -> Vec<(String, String)> {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let of_image = self.config.env().map(owned);
        let mut env: Vec<_> = of_image
            .filter(|(name, _)| find(&self.args, name).is_none())
            .chain(self.args.iter().cloned())
            .collect();
        for (name, value) in [("PATH", PATH), ("HOME", home.unwrap_or("/"))].map(owned) {
            if find(&env, &name).is_none() {
                env.push((name, value));
            }
        }
        env
    }

    /// The layer that the same instruction made of the same state before, applied.
    fn cached(&mut self) -> Result<Option<Layer>> {
        if self.machine.missed {
            return Ok(None);
        }
        let found = match &self.machine.cache {
            Some(cache) => cache.get(&self.key)?,
            None => None,
        };
        let Some(layer) = found else {
            self.machine.missed = true;
            return Ok(None);
        };
        self.machine.progress.info("Using the layer from the cache");
        let ignored = &self.machine.snapshotter.ignored;
        self.machine.disk.unpack(
            open_stored(&layer)?,
            Path::new("/"),
            Archive::Layer(ignored),
            &mut BTreeSet::new(),
        )?;
        Ok(Some(layer))
    }
}
