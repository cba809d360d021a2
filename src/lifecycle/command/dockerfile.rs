//! Dockerfile: makes an image by one Dockerfile, without a platform and without a daemon.

use super::stores::{self, Stores};
use super::{Command, container};
use crate::dockerfile::{self, Instruction};
use crate::extend::namespace::{self, Owners};
use crate::extend::snapshot::Mode;
use crate::log::Log;
use crate::phase::dockerfile::{Build, Plan, Root, build};
use crate::platform::{DockerfileInputs, Inputs, Program};
use lifecycle_core::env::Env;
use lifecycle_core::error::{Error, ErrorKind, Result as CoreResult, ResultExt};
use lifecycle_core::exit::{During, Failure, Phase};
use lifecycle_core::file::{self, DOCUMENT_LIMIT};
use lifecycle_image::image::Image;
use lifecycle_image::layer::Workers;
use lifecycle_image::oci::{Platform, Reference};
use lifecycle_image::store::ImageStore;
use lifecycle_image::store::layout::LayoutStore;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Makes an image by one Dockerfile.
pub struct Dockerfile;

/// What is known before the process enters its namespace.
pub struct Session {
    request: Request,
    file: dockerfile::Dockerfile,
    plan: Plan,
    stores: Stores,
    owners: Owners,
}

/// The command line, understood.
struct Request {
    output: Output,
    root: Place,
    mode: Mode,
    args: Vec<(String, String)>,
    /// Layouts by the names of images that they stand for.
    bases: BTreeMap<String, PathBuf>,
}

/// Where the image goes.
enum Output {
    Layout(PathBuf),
    Registry(String),
}

/// Where its files are.
enum Place {
    /// This container's own.
    Container,
    /// A directory that stays.
    Directory(PathBuf),
    /// A directory that goes.
    Temporary,
}

impl Command for Dockerfile {
    const PROGRAM: Program = Program::Dockerfile;
    type Session = Session;

    fn prepare(inputs: &mut Inputs, log: &Log) -> Result<Session, Failure> {
        let request = Request::read(&inputs.dockerfile, &inputs.process_env);
        let request = request.map_err(|error| error.with_kind(ErrorKind::InvalidArguments))?;
        let path = &inputs.dockerfile.file;
        let text = file::read(path, DOCUMENT_LIMIT)?;
        let name = || format!("parsing {}", path.display());
        let file = dockerfile::parse(&text).context(name)?;
        let target = inputs.dockerfile.target.as_deref();
        let plan = Plan::new(&file, &request.args, target).context(name)?;
        let images = plan.images();
        let images = images
            .into_iter()
            .filter(|name| !request.bases.contains_key(*name));
        let mut references: Vec<_> = images.map(str::to_owned).collect();
        if let Output::Registry(name) = &request.output {
            references.push(name.clone());
        }
        let stores = Stores::prepare(inputs, &references)?;
        let owners = match (&request.root, plan.stages.len()) {
            (Place::Container, 1) => Owners::All,
            (Place::Container, _) => {
                let text =
                    "-root / has room for one stage; give the others a directory by -root DIR";
                return Err(Error::new(ErrorKind::InvalidArguments, text).into());
            }
            _ => namespace::enter()?,
        };
        if owners == Owners::OnlyRoot {
            log.warn(
                "There is no user but root in this user namespace: files of others become root's, and nobody else can run \
                 commands. Ranges in /etc/subuid and /etc/subgid, and newuidmap, give it more.",
            );
        }
        Ok(Session {
            request,
            file,
            plan,
            stores,
            owners,
        })
    }

    fn execute(inputs: &Inputs, session: Session, log: &Log) -> Result<(), Failure> {
        run(inputs, &session, log).during(Phase::Extend)
    }
}

fn run(inputs: &Inputs, session: &Session, log: &Log) -> CoreResult<()> {
    let Session { request, file, .. } = session;
    warn_of_unused(file, &request.args, log);
    let work_dir =
        container::work_dir(&stores::temp_dir(inputs)).context(|| "make a work directory")?;
    let options = &inputs.dockerfile;
    let ignored = match request.root {
        Place::Container => {
            let mut paths = vec![
                options.context.clone(),
                options.file.clone(),
                work_dir.path().to_owned(),
            ];
            paths.extend(inputs.cache_dir.clone());
            if let Output::Layout(layout) = &request.output {
                paths.push(layout.clone());
            }
            let absolute = paths.iter().map(std::path::absolute);
            let absolute = absolute.collect::<Result<Vec<_>, _>>()?;
            let paths: Vec<_> = absolute.iter().map(PathBuf::as_path).collect();
            Some(container::ignored(&inputs.process_env, &paths)?)
        }
        Place::Directory(_) | Place::Temporary => None,
    };
    let directory = match &request.root {
        Place::Directory(path) => path.clone(),
        Place::Temporary | Place::Container => work_dir.path().join("root"),
    };
    let root = match &ignored {
        Some(ignored) => Root::Container { ignored },
        None => {
            make_empty(&directory)?;
            Root::Directory {
                path: &directory,
                owners: session.owners,
            }
        }
    };
    let is_proxy = |name: &str| {
        container::PROXIES
            .iter()
            .any(|proxy| name.eq_ignore_ascii_case(proxy))
    };
    let given = request
        .args
        .iter()
        .filter(|(name, _)| is_proxy(name))
        .cloned();
    let proxies = container::proxies(&inputs.process_env);
    let workers = Workers::for_machine();
    let image = build(
        &Build {
            file,
            path: &options.file,
            plan: &session.plan,
            context: &options.context,
            args: request.args.clone(),
            proxies: given.chain(proxies).collect(),
            root,
            images: &|name| open(inputs, session, name),
            work_dir: work_dir.path(),
            mode: request.mode,
            cache: inputs
                .cache_dir
                .as_deref()
                .map(|dir| (dir, inputs.kaniko_cache_ttl)),
        },
        &workers,
        log,
    )?;
    save(inputs, session, &image, log)
}

/// A base image: the layout that stands for it, else a registry's.
fn open(inputs: &Inputs, session: &Session, name: &str) -> CoreResult<Image> {
    let opened = match session.request.bases.get(name) {
        Some(layout) => layouts().open(&layout.display().to_string())?,
        None => session.stores.registry(inputs)?.open(name)?,
    };
    let missing = || Error::new(ErrorKind::NotFound, format!("there is no image {name}"));
    Ok(opened.ok_or_else(missing)?.image)
}

fn save(inputs: &Inputs, session: &Session, image: &Image, log: &Log) -> CoreResult<()> {
    let (store, name): (Arc<dyn ImageStore>, _) = match &session.request.output {
        Output::Layout(path) => (Arc::new(layouts()), path.display().to_string()),
        Output::Registry(name) => (session.stores.registry(inputs)?, name.clone()),
    };
    let saved = store.save(image, std::slice::from_ref(&name));
    let saved = saved.and_then(|mut saved| {
        let results = std::mem::take(&mut saved.names);
        results.into_iter().try_for_each(|(_, result)| result)?;
        Ok(saved)
    });
    let saved = saved.context(|| format!("save {name}"))?;
    log.info(format_args!("*** Image {name} ({})", saved.short_id));
    Ok(())
}

fn layouts() -> LayoutStore {
    LayoutStore {
        root: PathBuf::new(),
        platform: Platform::host(),
    }
}

fn make_empty(path: &Path) -> CoreResult<()> {
    let context = || format!("prepare {}", path.display());
    fs::create_dir_all(path).context(context)?;
    match fs::read_dir(path).context(context)?.next() {
        None => Ok(()),
        Some(_) => Err(Error::other("the directory is not empty").in_context(context())),
    }
}

/// As Docker does: a misspelt argument has no effect.
fn warn_of_unused(file: &dockerfile::Dockerfile, args: &[(String, String)], log: &Log) {
    let steps = file.stages.iter().flat_map(|stage| &stage.steps);
    let declared: Vec<_> = steps
        .chain(&file.global_args)
        .filter_map(|step| match &step.instruction {
            Instruction::Arg(args) => Some(args),
            _ => None,
        })
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    let known = |name: &str| {
        let proxy = container::PROXIES
            .iter()
            .any(|proxy| name.eq_ignore_ascii_case(proxy));
        proxy || declared.contains(&name)
    };
    for (name, _) in args.iter().filter(|(name, _)| !known(name)) {
        log.warn(format_args!("No ARG declares the build argument {name}"));
    }
}

impl Request {
    fn read(inputs: &DockerfileInputs, env: &Env) -> CoreResult<Self> {
        let output = inputs.output.as_deref();
        let output =
            output.ok_or_else(|| Error::other("-output is required: oci:DIR or a reference"))?;
        let args = inputs
            .build_args
            .iter()
            .filter_map(|text| match text.split_once('=') {
                Some((name, value)) => Some((name.to_owned(), value.to_owned())),
                // As in Docker, a variable that is not set gives no argument.
                None => Some((text.clone(), env.get(text)?.to_str()?.to_owned())),
            });
        let base = |text: &String| {
            let malformed = || Error::other(format!("-base {text}: not of the form NAME=oci:DIR"));
            let (name, layout) = text.split_once('=').ok_or_else(malformed)?;
            let layout = layout.strip_prefix("oci:").ok_or_else(malformed)?;
            Ok((name.to_owned(), std::path::absolute(layout)?))
        };
        Ok(Self {
            output: match output.strip_prefix("oci:") {
                Some(path) => Output::Layout(
                    std::path::absolute(path).context(|| format!("-output {output}"))?,
                ),
                None => {
                    Reference::parse(output).context(|| "-output")?;
                    Output::Registry(output.to_owned())
                }
            },
            root: match &inputs.root {
                None => Place::Temporary,
                Some(path) if path == Path::new("/") => Place::Container,
                Some(path) => Place::Directory(std::path::absolute(path)?),
            },
            mode: match inputs.snapshot_mode.as_str() {
                "full" => Mode::Full,
                "redo" => Mode::Redo,
                "time" => Mode::Time,
                other => {
                    let text = format!("-snapshot-mode {other}: neither full, redo nor time");
                    return Err(Error::other(text));
                }
            },
            args: args.collect(),
            bases: inputs.bases.iter().map(base).collect::<CoreResult<_>>()?,
        })
    }
}
