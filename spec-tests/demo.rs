//! `demo BINARIES`: makes a run image, builds the Rust sample app with the creator in BINARIES, shows and starts the image,
//! and builds again. Everything happens in a temporary directory; no daemon, no registry.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

use spec_tests::builder;
use spec_tests::layout::Image;
use spec_tests::site::Site;
use spec_tests::subject::Subject;
use std::env;
use std::error::Error;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let result = match args.as_slice() {
        [binaries] => demo(Path::new(binaries)),
        [enter, root, user, program] if enter == "--enter" => enter_root(root, user, program),
        _ => Err("usage: demo DIRECTORY_WITH_BINARIES".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn demo(binaries: &Path) -> Result<()> {
    let started = Instant::now();
    let subject = Subject::at(binaries)?;
    // Readable for the image's user: the path of the layers is the same inside the image.
    let work = tempfile::Builder::new()
        .prefix("lifecycle-demo-")
        .permissions(Permissions::from_mode(0o755))
        .tempdir()?;
    let site = prepare(work.path())?;

    heading("a run image from stacks/tiny/image.toml, as an OCI layout");
    let digest = site.make_run_image()?;
    println!("samples/run:tiny is {digest}");

    heading("creator builds buildpacks/apps/rust");
    let first = create(&site, &subject)?;

    heading("what is in the image");
    show(&first)?;

    heading("the image's own launcher starts it");
    let root = work.path().join("root");
    first.unpack(&root)?;
    let page = serve(&site, &first, &root)?;
    println!("{page}");

    heading("creator builds it again");
    let second = create(&site, &subject)?;
    let kept = second
        .layers
        .iter()
        .filter(|layer| first.layers.contains(layer))
        .count();
    println!(
        "\n{kept} of {} layers are those of the first image.",
        second.layers.len()
    );
    println!(
        "first image  {}\nsecond image {}",
        first.digest, second.digest
    );
    if first.digest != second.digest {
        return Err("an unchanged app gave another image".into());
    }

    heading("done");
    println!(
        "Made a run image, built an app of Rust sources into an image of {} layers with creator, started it from that image\n\
         with launcher, fetched its page, and built it again into the same image, in {:.1} s. Nothing is left behind.",
        first.layers.len(),
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

/// The build of the Rust sample app below the directory `work`.
fn prepare(work: &Path) -> Result<Site> {
    let site = Site::new(work, builder::sample(&work.join("cnb"))?)?;
    builder::copy(
        &builder::repository().join("buildpacks/apps/rust"),
        &site.app,
    )?;
    // Rust comes from where it comes for this repository; buildpacks get such settings from the platform only.
    let toolchain = fs::read_to_string(builder::repository().join("rust-toolchain.toml"))?;
    let toolchain: toml::Table = toolchain.parse()?;
    if let Some(channel) = toolchain["toolchain"]["channel"].as_str() {
        site.set_variable("RUSTUP_TOOLCHAIN", channel.as_bytes())?;
    }
    if let Some(home) = env::var_os("RUSTUP_HOME") {
        site.set_variable("RUSTUP_HOME", home.as_encoded_bytes())?;
    }
    Ok(site)
}

/// Builds the app and opens the image.
fn create(site: &Site, subject: &Subject) -> Result<Image> {
    site.clear_layers()?;
    let status = site.creator(subject)?.status()?;
    if !status.success() {
        return Err(format!("creator: {status}").into());
    }
    Ok(site.app_image()?)
}

/// Starts the image's default process from its unpacked files, fetches its page, and stops it.
fn serve(site: &Site, image: &Image, root: &Path) -> Result<String> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let entrypoint = image
        .strings("Entrypoint")
        .pop()
        .ok_or("the image has no entrypoint")?;
    let mut command = start(image, root, &entrypoint)?;
    command
        .env_clear()
        .env("PORT", port.to_string())
        .stdin(Stdio::null());
    for variable in image.strings("Env") {
        if let Some((name, value)) = variable.split_once('=') {
            command.env(name, value);
        }
    }
    for (name, path) in outside(site, root, &command) {
        command.env(name, path);
    }
    let mut process = command.spawn()?;
    let page = fetch(port, &mut process);
    process.kill()?;
    process.wait()?;
    println!("stopped process {}", process.id());
    page
}

/// The command for `entrypoint` with the image's files as its root directory, where this machine lets us.
fn start(image: &Image, root: &Path, entrypoint: &str) -> Result<Command> {
    let demo = env::current_exe()?;
    let may = |command: &mut Command| {
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    if may(Command::new(&demo).args(["--enter", "/", "0:0", "/bin/true"])) {
        println!(
            "root directory: the image's files (chroot); user {}",
            image.user()
        );
        let mut command = Command::new(demo);
        command
            .arg("--enter")
            .arg(root)
            .args([&image.user(), entrypoint]);
        return Ok(command);
    }
    if may(Command::new("unshare").args(["--map-root-user", "--root=/", "/bin/true"])) {
        println!("root directory: the image's files (user namespace)");
        let mut command = Command::new("unshare");
        command
            .arg("--map-root-user")
            .arg(format!("--root={}", root.display()))
            .args(["--wd=/", entrypoint]);
        return Ok(command);
    }
    println!(
        "neither chroot nor user namespaces are allowed here: the launcher runs beside the image's files"
    );
    let mut command = Command::new(root.join("cnb/lifecycle/launcher"));
    command.arg0(entrypoint);
    Ok(command)
}

/// Where layers and app are for a launcher that runs outside of its root directory; nothing for one inside.
fn outside(site: &Site, root: &Path, command: &Command) -> Vec<(&'static str, PathBuf)> {
    let inside = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    match Path::new(command.get_program()).starts_with(root) {
        true => vec![
            ("CNB_LAYERS_DIR", inside(&site.layers)),
            ("CNB_APP_DIR", inside(&site.app)),
        ],
        false => Vec::new(),
    }
}

fn show(image: &Image) -> Result<()> {
    println!("image {}", image.digest);
    for layer in &image.layers {
        let created_by = if layer.created_by.is_empty() {
            "run image"
        } else {
            &layer.created_by
        };
        println!(
            "layer {} {:>9} bytes  {created_by}",
            layer.digest.get(..19).unwrap_or_default(),
            layer.size
        );
    }
    for process in image.processes()? {
        let default = if process.default { " (default)" } else { "" };
        println!(
            "process {}{default}: {}",
            process.name,
            process.command.join(" ")
        );
    }
    Ok(())
}

/// Gets `/` from the server at `port` as soon as it listens; for at most ten seconds and while `process` runs.
fn fetch(port: u16, process: &mut Child) -> Result<String> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut stream = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => break stream,
            Err(error) if Instant::now() > deadline => {
                return Err(format!("nothing listens on port {port}: {error}").into());
            }
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
        if let Some(status) = process.try_wait()? {
            return Err(format!("the app ended before it listened: {status}").into());
        }
    };
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => {
            Ok(format!("GET http://localhost:{port}/\n{body}"))
        }
        _ => Err(format!("the app answered {answer:?}").into()),
    }
}

/// Becomes `program` as `user` (`uid:gid`) with `root` as the root directory.
fn enter_root(root: &str, user: &str, program: &str) -> Result<()> {
    std::os::unix::fs::chroot(root)?;
    env::set_current_dir("/")?;
    let (uid, gid) = user.split_once(':').unwrap_or((user, "0"));
    Err(Command::new(program)
        .uid(uid.parse()?)
        .gid(gid.parse()?)
        .exec()
        .into())
}

fn heading(text: &str) {
    println!("\n== {text}\n");
}
