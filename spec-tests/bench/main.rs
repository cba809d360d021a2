//! `bench --subject DIRECTORY [--baseline DIRECTORY] [--only PART] [--rounds NUMBER] [--json FILE]`: times a lifecycle,
//! side by side with another, on the same inputs.
//!
//! Prints wall time, CPU time and peak resident memory of each, and the ratios. Files come from this machine's /usr.
//! A part is a module with its rows. `large` (two layers, 3 GB) and `extend` run only when they are asked for.
//!
//! It works below `TMPDIR`, with 6 GB at most. In a tmpfs the numbers are free of the disk, but restored layers are read
//! again there, because changes could go unnoticed. Ext4 passes by the inodes of files that were removed within the last
//! minutes one by one, which dwarfs everything else after a round: better is a file system in memory that does not, see
//! docs/PERFORMANCE.md.
//!
//! The JSON is an object of `date`, `processors` (their number), `rounds` and `rows`. A row has `part`, `name`, and for
//! `subject` and `baseline` each `seconds`, `cpu_seconds` and `peak_kilobytes`, lists with a number per round; for
//! phases that talk to a registry `requests`, and for exports `gzip_bytes`, the size of the image's blobs. `same_image`
//! says of exports whether all of them wrote the same configuration, layers' diffIDs included.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod daemon;
mod extend;
mod files;
mod image;
mod large;
mod layout;
mod measure;
mod rebase;
mod registry;
mod report;
mod scene;
mod start;

use report::{Cost, Row};
use scene::Scene;
use spec_tests::subject::Subject;
use std::env;
use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use tempfile::TempDir;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What a part measured: the rows' names and costs, always in the same order.
type Measured = Vec<(&'static str, Cost)>;

/// A part's name, whether it runs without being asked for, and its rows.
type Part = (&'static str, bool, fn(&Scene) -> Result<Measured>);
const PARTS: [Part; 7] = [
    ("layout", true, layout::rows),
    ("registry", true, registry::rows),
    ("rebase", true, rebase::rows),
    ("daemon", true, daemon::rows),
    ("start", true, start::rows),
    ("large", false, large::rows),
    ("extend", false, extend::rows),
];

const USAGE: &str = "usage: bench --subject DIRECTORY [--baseline DIRECTORY] [--only PART] [--rounds NUMBER] [--json FILE]";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let result = match args.as_slice() {
        [flag, program, arguments @ ..] if flag == measure::FLAG => {
            measure::here(program, arguments)
        }
        args => Options::parse(args).and_then(|options| bench(&options)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The command line.
struct Options<'a> {
    /// The subject, then the baseline if there is one.
    directories: Vec<&'a Path>,
    only: Option<&'a str>,
    rounds: usize,
    json: Option<&'a Path>,
}

impl<'a> Options<'a> {
    fn parse(args: &'a [String]) -> Result<Self> {
        let mut options = Self {
            directories: Vec::new(),
            only: None,
            rounds: 3,
            json: None,
        };
        let (mut subject, mut baseline) = (None, None);
        for pair in args.chunks(2) {
            let [flag, value] = pair else {
                return Err(USAGE.into());
            };
            match flag.as_str() {
                "--subject" => subject = Some(Path::new(value)),
                "--baseline" => baseline = Some(Path::new(value)),
                "--only" => options.only = Some(value),
                "--rounds" => options.rounds = value.parse()?,
                "--json" => options.json = Some(Path::new(value)),
                _ => return Err(USAGE.into()),
            }
        }
        options.directories.push(subject.ok_or(USAGE)?);
        options.directories.extend(baseline);
        Ok(options)
    }

    /// The parts that are to run.
    fn parts(&self) -> Result<Vec<Part>> {
        let wanted = |&(name, default, _): &Part| self.only.map_or(default, |only| only == name);
        let parts: Vec<Part> = PARTS.into_iter().filter(wanted).collect();
        match parts.is_empty() {
            true => Err(format!("no such part; there are {:?}", PARTS.map(|part| part.0)).into()),
            false => Ok(parts),
        }
    }
}

/// Measures the lifecycles in turns, so that what else the machine does meets all of them.
fn bench(options: &Options<'_>) -> Result<()> {
    let parts = options.parts()?;
    let work = work_directory()?;
    let files = work.path().join("files");
    let (count, bytes) = files::gather(&files)?;
    println!(
        "{count} files, {:.2} GB; medians of {} rounds",
        bytes as f64 / 1e9,
        options.rounds
    );

    let mut columns: Vec<Vec<Row>> = vec![Vec::new(); options.directories.len()];
    for round in 0..options.rounds {
        let mut turns: Vec<_> = options.directories.iter().zip(&mut columns).collect();
        if round % 2 == 1 {
            turns.reverse();
        }
        for (directory, column) in turns {
            for row in measure_round(directory, &parts, work.path(), &files)? {
                match column.iter_mut().find(|known| known.is(&row)) {
                    Some(known) => known.costs.extend(row.costs),
                    None => column.push(row),
                }
            }
        }
    }
    report::print(&columns);
    if let Some(json) = options.json {
        fs::write(
            json,
            format!("{:#}\n", report::to_json(options.rounds, &columns)?),
        )?;
    }
    Ok(())
}

/// The rows of all parts, each with a single cost.
fn measure_round(directory: &Path, parts: &[Part], work: &Path, files: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (part, _, measure) in parts {
        let place = work.join("round");
        let scene = Scene::prepare(Subject::at(directory)?, &place, files)?;
        for (name, cost) in measure(&scene)? {
            rows.push(Row {
                part,
                name,
                costs: vec![cost],
            });
        }
        fs::remove_dir_all(place)?;
    }
    Ok(rows)
}

/// A temporary directory. Its name is lower case, because the reference reads paths of layouts as image references.
fn work_directory() -> Result<TempDir> {
    let name = format!("lifecycle-bench-{}", std::process::id());
    let mut builder = tempfile::Builder::new();
    builder.prefix(&name).rand_bytes(0);
    builder.permissions(fs::Permissions::from_mode(0o755));
    Ok(builder.tempdir()?)
}
