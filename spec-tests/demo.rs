//! `demo BINARIES`: makes a run image, builds the Rust sample app with the creator in BINARIES, shows and starts the image,
//! and builds again. Everything happens in a temporary directory; no daemon, no registry.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

use spec_tests::builder;
use spec_tests::layout::Image;
use spec_tests::server::{Place, Server};
use spec_tests::site::{self, Site};
use spec_tests::subject::Subject;
use std::env;
use std::error::Error;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let result = match args.as_slice() {
        [binaries] => demo(Path::new(binaries)),
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
    let work = site::work_directory()?;
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
    if !page.contains("Hello from Rust") {
        return Err("the page is not the app's".into());
    }

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
    site.use_pinned_rust()?;
    Ok(site)
}

/// Builds the app and opens the image.
fn create(site: &Site, subject: &Subject) -> Result<Image> {
    site.clear_layers()?;
    let mut creator = site.creator(subject)?;
    if !io::stdout().is_terminal() {
        creator.env("CNB_NO_COLOR", "true");
    }
    let status = creator.status()?;
    if !status.success() {
        return Err(format!("creator: {status}").into());
    }
    Ok(site.app_image()?)
}

/// Starts the image's default process from its unpacked files and fetches its page.
fn serve(site: &Site, image: &Image, root: &Path) -> Result<String> {
    let place = Place::available();
    println!(
        "{}",
        match place {
            Place::Chroot => format!(
                "as user {}, with the image's files as root directory (chroot)",
                image.user()
            ),
            Place::UserNamespace =>
                "with the image's files as root directory (user namespace)".to_owned(),
            Place::Beside =>
                "beside the image's files: neither chroot nor user namespaces are allowed here"
                    .to_owned(),
        }
    );
    let mut server = Server::start(site, image, root, place)?;
    let page = server.page()?;
    println!("GET http://localhost:{}/\n{page}", server.port());
    Ok(page)
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

fn heading(text: &str) {
    println!("\n== {text}\n");
}
