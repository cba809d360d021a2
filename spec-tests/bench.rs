//! `bench --subject DIRECTORY [--baseline DIRECTORY]`: times a lifecycle, side by side with another, on the same inputs.
//!
//! Prints wall time, CPU time and peak resident memory of each, and the ratios. Files come from this machine's /usr.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use spec_tests::builder::{self, Builder};
use spec_tests::site::{self, Site};
use spec_tests::subject::Subject;
use std::env;
use std::error::Error;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The size of the big layer: 50,000 files, or as many as hold 0.4 GB.
const FILES: usize = 50_000;
const BYTES: u64 = 400_000_000;
const DETECTED: usize = 100;
const LAUNCHES: u32 = 200;
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
        ["--subject", subject] => bench(&[subject]),
        ["--subject", subject, "--baseline", baseline] => bench(&[subject, baseline]),
        _ => Err("usage: bench --subject DIRECTORY [--baseline DIRECTORY]".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What a command took.
#[derive(Clone, Copy)]
struct Cost {
    seconds: f64,
    cpu_seconds: f64,
    peak_kilobytes: f64,
}

fn bench(directories: &[&str]) -> Result<()> {
    let work = site::work_directory()?;
    let files = work.path().join("files");
    let (count, bytes) = gather(&files)?;
    println!(
        "{count} files, {:.2} GB; {DETECTED} buildpacks; {LAUNCHES} launches",
        bytes as f64 / 1e9
    );

    let mut columns = Vec::new();
    for (number, directory) in directories.iter().enumerate() {
        let subject = Subject::at(Path::new(directory))?;
        let bench = Bench::prepare(subject, &work.path().join(number.to_string()), &files)?;
        columns.push(bench.run()?);
    }
    print(&columns);
    Ok(())
}

fn print(columns: &[Vec<(&str, Cost)>]) {
    let [subject, rest @ ..] = columns else {
        return;
    };
    println!(
        "{:<34} {:>9} {:>9} {:>9}   ratios baseline/subject",
        "", "time s", "CPU s", "RSS MB"
    );
    for (row, (name, ours)) in subject.iter().enumerate() {
        println!(
            "{name:<34} {:>9.3} {:>9.3} {:>9.1}",
            ours.seconds,
            ours.cpu_seconds,
            ours.peak_kilobytes / 1e3
        );
        for theirs in rest
            .iter()
            .filter_map(|column| column.get(row))
            .map(|(_, cost)| cost)
        {
            println!(
                "{:<34} {:>9.3} {:>9.3} {:>9.1}   {:.2}x time, {:.2}x CPU, {:.2}x RSS",
                "  baseline",
                theirs.seconds,
                theirs.cpu_seconds,
                theirs.peak_kilobytes / 1e3,
                theirs.seconds / ours.seconds,
                theirs.cpu_seconds / ours.cpu_seconds,
                theirs.peak_kilobytes / ours.peak_kilobytes,
            );
        }
    }
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
        let mut words = vec![format!("-layers={}", self.site.layers.display())];
        words.push(format!("-layout-dir={}", self.site.layouts.display()));
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
        let mut command = Command::new(env::current_exe()?);
        command
            .arg("--measure")
            .arg(self.subject.directory().join(name))
            .args(args);
        command
            .env("CNB_PLATFORM_API", "0.15")
            .env("CNB_EXPERIMENTAL_MODE", "quiet");
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

/// Copies real files of this machine, directory by directory, and returns their number and size.
fn gather(to: &Path) -> Result<(usize, u64)> {
    let (mut count, mut bytes) = (0, 0);
    let mut directories = vec![PathBuf::from("/usr")];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        let mut paths: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        paths.sort();
        let place = to.join(directory.strip_prefix("/").unwrap_or(&directory));
        for path in paths {
            let Ok(metadata) = fs::symlink_metadata(&path) else {
                continue;
            };
            if metadata.is_dir() {
                directories.push(path);
            } else if metadata.is_file() && bytes + metadata.len() <= BYTES {
                fs::create_dir_all(&place)?;
                let Some(name) = path.file_name() else {
                    continue;
                };
                if fs::copy(&path, place.join(name)).is_ok() {
                    (count, bytes) = (count + 1, bytes + metadata.len());
                }
                if count == FILES {
                    return Ok((count, bytes));
                }
            }
        }
    }
    Ok((count, bytes))
}
