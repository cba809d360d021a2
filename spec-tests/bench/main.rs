//! `bench --subject DIRECTORY [--baseline DIRECTORY [--json FILE]]`: times a lifecycle, side by side with another, on the same inputs.
//!
//! Prints wall time, CPU time and peak resident memory of each, and the ratios. Files come from this machine's /usr.
//! It works below `TMPDIR`; in a tmpfs (3 GB) the numbers are free of the disk.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod daemon;
mod files;
mod registry;
mod report;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use report::{Cost, Row};
use spec_tests::builder::{self, Builder};
use spec_tests::site::Site;
use spec_tests::subject::Subject;
use std::env;
use std::error::Error;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;
use tempfile::TempDir;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const DETECTED: usize = 100;
const LAUNCHES: u32 = 200;
const ROUNDS: usize = 3;
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
/// The user that detects: buildpacks don't run as root.
const USER: u32 = 1000;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["--measure", program, arguments @ ..] => measure_here(program, arguments),
        ["--subject", subject] => bench(&[subject], None),
        ["--subject", subject, "--baseline", baseline] => bench(&[subject, baseline], None),
        ["--subject", subject, "--baseline", baseline, "--json", json] => {
            bench(&[subject, baseline], Some(json))
        }
        _ => Err("usage: bench --subject DIRECTORY [--baseline DIRECTORY [--json FILE]]".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures the lifecycles in `directories` in turns, so that what else the machine does meets all of them.
fn bench(directories: &[&str], json: Option<&str>) -> Result<()> {
    let work = work_directory()?;
    let files = work.path().join("files");
    let (count, bytes) = files::gather(&files)?;
    println!(
        "{count} files, {:.2} GB; {DETECTED} buildpacks; {LAUNCHES} launches; medians of {ROUNDS} rounds",
        bytes as f64 / 1e9
    );

    let mut columns: Vec<Vec<Row>> = vec![Vec::new(); directories.len()];
    for round in 0..ROUNDS {
        let mut turns: Vec<_> = directories.iter().zip(&mut columns).collect();
        if round % 2 == 1 {
            turns.reverse();
        }
        for (directory, column) in turns {
            let place = work.path().join("round");
            let bench = Bench::prepare(Subject::at(Path::new(directory))?, &place, &files)?;
            for (index, (name, cost)) in bench.run()?.into_iter().enumerate() {
                match column.get_mut(index) {
                    Some((_, costs)) => costs.push(cost),
                    None => column.push((name, vec![cost])),
                }
            }
            fs::remove_dir_all(place)?;
        }
    }
    report::print(&columns);
    if let Some(json) = json {
        fs::write(
            json,
            format!("{:#}\n", report::to_json(directories, &columns)),
        )?;
    }
    Ok(())
}

/// A temporary directory. Its name is lower case, because the reference reads paths of layouts as image references.
fn work_directory() -> Result<TempDir> {
    let name = format!("lifecycle-bench-{}", std::process::id());
    let mut builder = tempfile::Builder::new();
    builder.prefix(&name).rand_bytes(0);
    builder.permissions(fs::Permissions::from_mode(0o755));
    Ok(builder.tempdir()?)
}

/// One lifecycle's inputs.
struct Bench {
    subject: Subject,
    site: Site,
    /// Documents that phases hand over, written here.
    work: PathBuf,
    uid: u32,
    gid: u32,
}

impl Bench {
    fn prepare(subject: Subject, work: &Path, files: &Path) -> Result<Self> {
        let write = |path: &str, text: &str| -> Result<()> {
            let path = work.join(path);
            fs::create_dir_all(path.parent().unwrap_or(work))?;
            Ok(fs::write(path, text)?)
        };
        write("app/index.html", "<h1>Hello</h1>\n")?;
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
        let bench = Self {
            subject,
            site,
            work: work.to_owned(),
            uid: owner.uid(),
            gid: owner.gid(),
        };
        bench.fresh_layers()?;
        builder::copy(files, &bench.site.layers.join("bench/files"))?;
        bench.declare_layer()?;
        Ok(bench)
    }

    fn run(&self) -> Result<Vec<(&'static str, Cost)>> {
        let cache = format!("-cache-dir={}", self.site.cache.display());
        let mut rows = Vec::new();

        self.analyze()?;
        rows.push((
            "export to a layout, cold",
            self.phase("exporter", &["-layout", "app"])?,
        ));
        self.analyze()?;
        rows.push((
            "export, unchanged",
            self.phase("exporter", &["-layout", "app"])?,
        ));
        rows.push((
            "export with a volume cache",
            self.phase("exporter", &["-layout", &cache, "app"])?,
        ));
        self.fresh_layers()?;
        self.analyze()?;
        rows.push((
            "restore from a volume cache",
            self.phase("restorer", &["-layout", &cache])?,
        ));
        // The buildpack says again what the layer is for, as it does in every build.
        self.declare_layer()?;
        rows.push((
            "export of the restored layer",
            self.phase("exporter", &["-layout", &cache, "app"])?,
        ));
        rows.extend(daemon::run(self)?);
        rows.extend(registry::run(self)?);
        rows.push(("detect, 100 buildpacks", self.detect()?));
        rows.push(("launch, each", self.launch()?));
        Ok(rows)
    }

    /// An empty layers directory with what detect and build hand over.
    fn fresh_layers(&self) -> Result<()> {
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

    fn declare_layer(&self) -> Result<()> {
        let path = self.site.layers.join("bench/files.toml");
        Ok(fs::write(path, "[types]\nlaunch = true\ncache = true\n")?)
    }

    fn analyze(&self) -> Result<()> {
        self.phase("analyzer", &["-layout", "app"]).map(drop)
    }

    fn phase(&self, name: &str, args: &[&str]) -> Result<Cost> {
        let mut words = self.words(name);
        words.push(format!("-layout-dir={}", self.site.layouts.display()));
        words.extend(args.iter().map(|&word| word.to_owned()));
        self.measure(name, &words, None)
    }

    /// The flags that a phase has wherever images are.
    fn words(&self, name: &str) -> Vec<String> {
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
                self.subject.directory().join("launcher").display()
            ));
        }
        words
    }

    fn registry_phase(&self, name: &str, args: &[&str]) -> Result<Cost> {
        let mut words = self.words(name);
        words.extend(args.iter().map(|&word| word.to_owned()));
        self.measure(name, &words, None)
    }

    fn detect(&self) -> Result<Cost> {
        let out = self.work.join("detected");
        fs::create_dir(&out)?;
        let user = (self.uid == 0).then_some(USER);
        std::os::unix::fs::chown(&out, user, user)?;
        let words = [
            format!("-app={}", self.site.app.display()),
            format!("-buildpacks={}", self.site.builder.buildpacks.display()),
            format!("-order={}", self.site.builder.order.display()),
            format!("-layers={}", out.display()),
        ];
        self.measure("detector", &words, user)
    }

    /// The mean of many launches of a program that does nothing.
    fn launch(&self) -> Result<Cost> {
        let words = ["--".to_owned(), "/bin/true".to_owned()];
        let mut sum = self.measure("launcher", &words, None)?;
        for _ in 1..LAUNCHES {
            let cost = self.measure("launcher", &words, None)?;
            sum.seconds += cost.seconds;
            sum.cpu_seconds += cost.cpu_seconds;
            sum.peak_kilobytes = sum.peak_kilobytes.max(cost.peak_kilobytes);
        }
        sum.seconds /= f64::from(LAUNCHES);
        sum.cpu_seconds /= f64::from(LAUNCHES);
        Ok(sum)
    }

    /// Runs a binary below a process of its own, whose children are that binary and what it starts.
    fn measure(&self, name: &str, args: &[String], user: Option<u32>) -> Result<Cost> {
        self.measure_with(name, args, user, &[])
    }

    /// The same with more environment.
    fn measure_with(
        &self,
        name: &str,
        args: &[String],
        user: Option<u32>,
        variables: &[(&str, &str)],
    ) -> Result<Cost> {
        let mut command = Command::new(env::current_exe()?);
        command
            .arg("--measure")
            .arg(self.subject.directory().join(name))
            .args(args);
        command
            .env("CNB_PLATFORM_API", "0.15")
            .env("CNB_EXPERIMENTAL_MODE", "quiet")
            .envs(variables.iter().copied());
        command
            .env("CNB_LAYERS_DIR", &self.site.layers)
            .env("CNB_APP_DIR", &self.site.app);
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let numbers: Vec<f64> = text
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        match numbers.as_slice() {
            [seconds, cpu_seconds, peak_kilobytes] if output.status.success() => Ok(Cost {
                seconds: *seconds,
                cpu_seconds: *cpu_seconds,
                peak_kilobytes: *peak_kilobytes,
                requests: None,
            }),
            _ => Err(format!("{name}: {text}{}", String::from_utf8_lossy(&output.stderr)).into()),
        }
    }
}

/// Runs a program to its end and prints seconds, CPU seconds and peak kilobytes.
fn measure_here(program: &str, args: &[&str]) -> Result<()> {
    let log = tempfile::tempfile()?;
    let started = Instant::now();
    let status = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?)
        .status()?;
    let seconds = started.elapsed().as_secs_f64();
    if !status.success() {
        let mut log = log;
        std::io::Seek::rewind(&mut log)?;
        return Err(format!("{status}\n{}", std::io::read_to_string(log)?).into());
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu = (usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6;
    println!("{seconds} {cpu} {}", usage.max_rss());
    Ok(())
}
