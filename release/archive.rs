//! The release archive: lifecycle.toml, and in `lifecycle/` the binaries with their bills of materials (FACTS 3.14).

use crate::descriptor;
use crate::files::{Content, Entry, Files};
use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The phases: links to the one binary.
const PHASES: [&str; 8] = [
    "analyzer", "builder", "creator", "detector", "exporter", "extender", "rebaser", "restorer",
];

/// The most that an archive may unpack to.
const MAX_SIZE: u64 = 512 << 20;

/// The entries of an archive, of binaries and bills of materials in the directory `binaries`.
///
/// # Errors
/// One of them is missing.
pub fn files(binaries: &Path) -> Result<Files> {
    let mut files = Files::default();
    let descriptor = descriptor::lifecycle_toml().into_bytes();
    files.insert("lifecycle.toml", Entry::new(Content::Bytes(descriptor)));
    for program in ["lifecycle", "launcher"] {
        let boms = ["cdx", "spdx", "syft"].map(|format| format!("{program}.sbom.{format}.json"));
        let boms = boms.map(|bom| (bom, 0o644));
        for (name, mode) in boms.into_iter().chain([(program.to_owned(), 0o755)]) {
            let source = binaries.join(&name);
            if !source.is_file() {
                let cause = format!("{} is not there", source.display());
                return Err(Error::new(ErrorKind::NotFound, cause));
            }
            let entry = Entry::new(Content::Copy(source)).with_mode(mode);
            files.insert(&format!("lifecycle/{name}"), entry);
        }
    }
    for phase in PHASES {
        let link = Content::Link("lifecycle".to_owned());
        files.insert(&format!("lifecycle/{phase}"), Entry::new(link));
    }
    Ok(files)
}

/// Writes an archive with entries of the time `epoch` (seconds since 1970), and `<path>.sha256` as `sha256sum --check`
/// reads it. Returns the archive's size in bytes.
///
/// # Errors
/// A file cannot be read or written.
pub fn write(files: &Files, epoch: i64, path: &Path) -> Result<u64> {
    let context = || format!("write {}", path.display());
    // Without name and time in its header; this level does not depend on the processor either.
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
    files.write("", epoch, &mut gzip).context(context)?;
    let archive = gzip.finish().context(context)?;
    let digest: String = Sha256::digest(&archive)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let name = path.file_name().unwrap_or_default().display();
    lifecycle_core::file::write(path, &archive)?;
    let mut checksum = path.as_os_str().to_owned();
    checksum.push(".sha256");
    lifecycle_core::file::write(Path::new(&checksum), format!("{digest}  {name}\n"))?;
    Ok(archive.len() as u64)
}

/// What a platform takes from an archive.
#[derive(Debug)]
pub struct Archive {
    /// The text of lifecycle.toml.
    pub descriptor: String,
    /// What lies in the archive's one directory.
    pub binaries: Files,
}

/// Reads an archive.
///
/// # Errors
/// It cannot be read, has no lifecycle.toml, or holds what has no place in an archive.
pub fn read(path: &Path) -> Result<Archive> {
    let file = File::open(path).context(|| format!("open {}", path.display()))?;
    let mut archive = tar::Archive::new(GzDecoder::new(file).take(MAX_SIZE));
    let (mut descriptor, mut binaries) = (None, Files::default());
    let context = || format!("read {}", path.display());
    for entry in archive.entries().context(context)? {
        let mut entry = entry.context(context)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = name.trim_start_matches("./").trim_end_matches('/');
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).context(context)?;
        let content = match entry.header().entry_type() {
            tar::EntryType::Directory => continue,
            tar::EntryType::Regular => Content::Bytes(bytes),
            tar::EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default();
                Content::Link(String::from_utf8_lossy(&target).into_owned())
            }
            other => {
                let cause = format!("{name} is of the kind {other:?}");
                return Err(Error::new(ErrorKind::Corrupt, cause)).context(context);
            }
        };
        match (name.split('/').collect::<Vec<_>>().as_slice(), content) {
            (["lifecycle.toml"], Content::Bytes(bytes)) => {
                let text = String::from_utf8(bytes).map_err(|_| not_a_release("not UTF-8"));
                descriptor = Some(text.context(context)?);
            }
            ([directory, file], content) if ![*directory, *file].contains(&"..") => {
                let mode = entry.header().mode().context(context)? & 0o777;
                binaries.insert(file, Entry::new(content).with_mode(mode));
            }
            _ => {}
        }
    }
    let descriptor = descriptor.ok_or_else(|| not_a_release("no lifecycle.toml"));
    Ok(Archive {
        descriptor: descriptor.context(context)?,
        binaries,
    })
}

fn not_a_release(cause: &str) -> Error {
    Error::new(ErrorKind::Corrupt, cause)
}
