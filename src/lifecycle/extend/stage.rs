//! One stage of a Dockerfile: its instructions in order.

mod run;

use super::cache::Key;
use super::configure;
use super::context::Context;
use super::copy::{self, Copying, Kind};
use super::disk::relative;
use super::snapshot::Notes;
use super::users;
use super::{Job, Machine, State};
use crate::dockerfile::{self, Copy, Dockerfile, Instruction, Step, expand};
use lifecycle_core::error::{Result, ResultExt};
use lifecycle_image::image::Image;
use lifecycle_image::layer::Layer;
use lifecycle_image::oci::{Config, History};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// Where programs are when an image does not say (Docker's default).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What instructions have made so far.
pub(super) struct Stage<'s, 'm> {
    machine: &'s mut Machine<'m>,
    job: &'s Job<'s>,
    context: Context,
    escape: char,
    image: Image,
    config: Config,
    key: Key,
    /// Arguments from before the stage, which `ARG` without a default takes up.
    global_args: Vec<(String, String)>,
    /// Arguments in force.
    args: Vec<(String, String)>,
    /// Whether this stage has set a command: `ENTRYPOINT` then leaves it alone.
    has_command: bool,
}

impl<'s, 'm> Stage<'s, 'm> {
    pub(super) fn new(
        machine: &'s mut Machine<'m>,
        job: &'s Job<'s>,
        file: &Dockerfile,
        base: State,
    ) -> Result<Self> {
        let mut stage = Self {
            context: Context::open(job.context, job.dockerfile)?,
            machine,
            job,
            escape: file.escape,
            // What counts before the stage is only its arguments.
            config: Config::default(),
            image: base.image,
            key: base.key,
            global_args: Vec::new(),
            args: Vec::new(),
            has_command: false,
        };
        for step in &file.global_args {
            if let Instruction::Arg(args) = &step.instruction {
                stage.declare(args).context(|| place(step))?;
            }
        }
        stage.global_args = std::mem::take(&mut stage.args);
        stage.config = stage.image.config.clone();
        Ok(stage)
    }

    /// Executes the triggers of the base image, then the stage's own instructions.
    pub(super) fn run(mut self, stage: &dockerfile::Stage) -> Result<State> {
        let (config, triggers) = configure::take_triggers(&self.config);
        self.config = config;
        if !triggers.is_empty() {
            let text = format!("FROM base\n{}\n", triggers.join("\n"));
            let triggers = dockerfile::parse(&text).context(|| "the base image's ONBUILD")?;
            for stage in &triggers.stages {
                self.steps(&stage.steps)?;
            }
        }
        self.steps(&stage.steps)?;
        Ok(State {
            image: self.image.with_config(self.config),
            key: self.key,
        })
    }

    fn steps(&mut self, steps: &[Step]) -> Result<()> {
        for step in steps {
            self.machine.progress.info(&step.text);
            let layer = self.step(step).context(|| "error building stage")?;
            let history = History {
                created_by: step.text.clone(),
                ..History::default()
            };
            let layer = Layer {
                history: Some(history),
                ..layer
            };
            self.image = self.image.clone().append([layer]);
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<Layer> {
        let layer = match &step.instruction {
            // A command that fails says itself what is wrong; the words around are the contract's.
            Instruction::Run(run) => return self.run_command(run, step),
            Instruction::Copy(copy) => self.copy(copy, Kind::Copy),
            Instruction::Add(copy) => self.copy(copy, Kind::Add),
            Instruction::Workdir(dir) => self.work_in(dir),
            Instruction::Arg(args) => self.declare(args).and_then(|()| self.nothing()),
            other => self.configure(other).and_then(|()| self.nothing()),
        };
        layer.context(|| place(step))
    }

    /// The layer of an instruction that changes no file.
    fn nothing(&mut self) -> Result<Layer> {
        self.layer_of(&BTreeSet::new())
    }

    fn layer_of(&mut self, paths: &BTreeSet<Vec<u8>>) -> Result<Layer> {
        let (layer, notes) = self.machine.snapshotter.files(paths)?;
        self.tell(&notes);
        Ok(layer)
    }

    fn tell(&self, notes: &Notes) {
        let name = |path: &Vec<u8>| String::from_utf8_lossy(path).into_owned();
        for path in notes.set_ids.iter().map(name) {
            let text = "runs with the rights of its owner or group (set-id)";
            self.machine.progress.info(format_args!("/{path} {text}"));
        }
        for path in notes.left_out.iter().map(name) {
            let text = "is not in the layer, where its name would remove another file";
            self.machine.progress.warn(format_args!("/{path} {text}"));
        }
    }

    /// The value of a variable: `ENV` and `ARG` set the same ones, and the last of them counts.
    fn variable(&self, name: &str) -> Option<String> {
        let of_image = || self.config.env_var(name);
        find(&self.args, name).or_else(of_image).map(str::to_owned)
    }

    fn expand(&self, text: &str) -> Result<String> {
        expand::word(text, self.escape, &|name| self.variable(name))
    }

    fn configure(&mut self, instruction: &Instruction) -> Result<()> {
        let lookup = |name: &str| self.variable(name);
        let words = |text: &str| expand::words(text, self.escape, &lookup);
        let word = |text: &str| expand::word(text, self.escape, &lookup);
        let change = configure::Change {
            word: &word,
            words: &words,
            has_command: self.has_command,
        };
        let config = change.apply(self.config.clone(), instruction)?;
        if let Instruction::Env(pairs) = instruction {
            let names: Vec<_> = pairs
                .iter()
                .map(|(name, _)| word(name))
                .collect::<Result<_>>()?;
            self.args.retain(|(name, _)| !names.contains(name));
        }
        self.config = config;
        self.has_command |= matches!(instruction, Instruction::Cmd(_));
        Ok(())
    }

    /// `ARG`: a value from outside, else the default, else one from before the stage.
    fn declare(&mut self, args: &[(String, Option<String>)]) -> Result<()> {
        for (name, default) in args {
            let name = self.expand(name)?;
            let given = self.job.args.iter().rev().find(|(given, _)| *given == name);
            let value = match (given, default) {
                (Some((_, value)), _) => Some(value.clone()),
                (None, Some(default)) => Some(self.expand(default)?),
                (None, None) => find(&self.global_args, &name).map(str::to_owned),
            };
            self.args.retain(|(other, _)| *other != name);
            self.args.extend(value.map(|value| (name, value)));
        }
        Ok(())
    }

    fn work_in(&mut self, dir: &str) -> Result<Layer> {
        let dir = joined(self.config.working_dir(), &self.expand(dir)?);
        let text = dir.display().to_string();
        let user = users::user(self.config.user(), &self.machine.disk);
        let owner = user.map_or((0, 0), |user| (user.uid, user.gid));
        let mut touched = BTreeSet::new();
        let disk = &self.machine.disk;
        disk.make_directory(&dir, owner, &mut touched)?;
        self.config = self.config.clone().with_working_dir(&text);
        self.key = self.key.then(["WORKDIR", &text, &format!("{owner:?}")]);
        self.layer_of(&touched)
    }

    /// The files that `--from` or `from=` names, if there is one.
    fn origin(&self, name: Option<&str>) -> Result<Option<Context>> {
        name.map(|name| Context::of_image(&self.job.origins.root(name)?))
            .transpose()
    }

    fn copy(&mut self, copy: &Copy, kind: Kind) -> Result<Layer> {
        let expand = |text: &str| self.expand(text);
        let lookup = |name: &str| self.variable(name);
        let document = |text: &str| expand::document(text, self.escape, &lookup);
        let other = self.origin(copy::from(copy).filter(|_| kind == Kind::Copy))?;
        let (context, disk) = (other.as_ref().unwrap_or(&self.context), &self.machine.disk);
        let dir = joined(self.config.working_dir(), "");
        let copying = Copying::settle(copy, kind, context, disk, &dir, &expand, &document)?;
        let key = self.key.then(copying.describe(context)?);
        let mut touched = copying.write(context, disk)?;
        // The root is in every image.
        touched.remove(&relative(Path::new("/")));
        self.key = key;
        self.layer_of(&touched)
    }
}

fn place(step: &Step) -> String {
    format!("line {} ({})", step.line, step.text)
}

fn find<'v>(variables: &'v [(String, String)], wanted: &str) -> Option<&'v str> {
    let found = variables.iter().find(|(name, _)| name == wanted);
    found.map(|(_, value)| value.as_str())
}

/// A path, as seen from a working directory, without `.` and `..`.
fn joined(working_dir: &str, path: &str) -> PathBuf {
    let path = Path::new("/").join(working_dir).join(path);
    path.components()
        .fold(PathBuf::from("/"), |mut clean, part| {
            match part {
                Component::Normal(name) => clean.push(name),
                Component::ParentDir => drop(clean.pop()),
                _ => {}
            }
            clean
        })
}
