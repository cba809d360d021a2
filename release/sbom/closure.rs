//! What is linked into a binary: its crates, the standard library and the C library.

use crate::Result;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a binary is made of.
pub(crate) struct Closure {
    /// The binary itself; its hash is that of the file.
    pub(crate) root: Component,
    /// Everything else, sorted by name and version.
    pub(crate) components: Vec<Component>,
    /// By [`Component::key`], the keys of what it needs directly.
    pub(crate) dependencies: BTreeMap<String, BTreeSet<String>>,
}

/// One part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Component {
    pub(crate) name: String,
    pub(crate) version: String,
    /// An SPDX expression.
    pub(crate) license: String,
    /// SHA-256 in hex: of a crate as the registry has it, of the binary; parts of this workspace have none.
    pub(crate) sha256: Option<String>,
    /// Package URL.
    pub(crate) purl: String,
    /// The name under which vulnerabilities are listed, where one is established.
    pub(crate) cpe: Option<String>,
}

impl Component {
    /// What no other component of the closure has.
    pub(crate) fn key(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// A part that is in no registry of crates.
    fn generic(name: &str, version: &str, license: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            license: license.to_owned(),
            sha256: None,
            purl: format!("pkg:generic/{name}@{}", escaped(version)),
            cpe: None,
        }
    }

    fn known_as(self, vendor: &str, product: &str) -> Self {
        let cpe = format!(
            "cpe:2.3:a:{vendor}:{product}:{}:*:*:*:*:*:*:*",
            self.version
        );
        Self {
            cpe: Some(cpe),
            ..self
        }
    }
}

impl Closure {
    /// The closure of `package` for `target`, of which `binary` is the content.
    ///
    /// # Errors
    /// Cargo or rustc fails or says what this does not understand.
    pub(crate) fn of(package: &str, target: &str, binary: &[u8]) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(&root).args([
            "tree",
            "--locked",
            "--package",
            package,
            "--target",
            target,
        ]);
        cargo.args([
            "--edges",
            "normal,no-proc-macro",
            "--prefix",
            "depth",
            "--format",
            "|{p}|{l}",
        ]);
        let mut closure = Self::parse(&output(cargo)?, &checksums(&root)?)?;
        closure.root.sha256 = Some(hex(binary));

        let mut libraries = vec![standard_library(&root)?];
        if target.ends_with("-musl") {
            libraries.push(musl(&root, target)?);
        }
        closure.add(libraries);
        Ok(closure)
    }

    /// Reads `cargo tree`'s lines: depth, `name version (place)`, licence, and a mark on what was listed before.
    pub(crate) fn parse(tree: &str, checksums: &BTreeMap<String, String>) -> Result<Self> {
        let mut components = BTreeMap::new();
        let mut dependencies: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut path: Vec<String> = Vec::new();
        for line in tree.lines().filter(|line| !line.is_empty()) {
            let malformed = || format!("cargo tree: {line}");
            let mut cells = line.trim_end_matches(" (*)").split('|');
            let (Some(depth), Some(package), Some(license)) =
                (cells.next(), cells.next(), cells.next())
            else {
                return Err(malformed().into());
            };
            let mut words = package.split(' ');
            let (Some(name), Some(version)) = (
                words.next(),
                words.next().and_then(|word| word.strip_prefix('v')),
            ) else {
                return Err(malformed().into());
            };
            // Older manifests have a slash where SPDX says OR.
            let license = license.replace(" / ", "/").replace('/', " OR ");
            let mut component = Component::generic(name, version, &license);
            if let Some(checksum) = checksums.get(&component.key()) {
                component.sha256 = Some(checksum.clone());
                component.purl = format!("pkg:cargo/{name}@{}", escaped(version));
            }
            path.truncate(depth.parse().map_err(|_| malformed())?);
            if let Some(parent) = path.last() {
                dependencies
                    .entry(parent.clone())
                    .or_default()
                    .insert(component.key());
            }
            dependencies.entry(component.key()).or_default();
            path.push(component.key());
            components.insert(component.key(), component);
        }
        let root = path
            .first()
            .and_then(|key| components.remove(key))
            .ok_or("cargo tree: nothing")?;
        Ok(Self {
            root,
            components: components.into_values().collect(),
            dependencies,
        })
    }

    /// Adds libraries that every part is linked with.
    fn add(&mut self, libraries: Vec<Component>) {
        let needed: Vec<String> = libraries.iter().map(Component::key).collect();
        self.dependencies
            .entry(self.root.key())
            .or_default()
            .extend(needed.iter().cloned());
        self.dependencies
            .extend(needed.into_iter().map(|key| (key, BTreeSet::new())));
        self.components.extend(libraries);
        self.components.sort_by_key(Component::key);
    }

    /// A hash of the binary and of everything in it: a name for the document.
    pub(crate) fn id(&self) -> String {
        let parts = [&self.root].into_iter().chain(&self.components);
        let text: Vec<String> = parts.map(|part| format!("{part:?}")).collect();
        hex(text.join("\n").as_bytes())
    }
}

/// SHA-256 by `name@version`, from Cargo.lock.
fn checksums(root: &Path) -> Result<BTreeMap<String, String>> {
    let lock: toml::Table = fs::read_to_string(root.join("Cargo.lock"))?.parse()?;
    let packages = lock
        .get("package")
        .and_then(toml::Value::as_array)
        .ok_or("Cargo.lock: no packages")?;
    let text = |package: &toml::Value, key: &str| {
        package
            .get(key)
            .and_then(toml::Value::as_str)
            .map(str::to_owned)
    };
    let checksum = |package: &toml::Value| {
        let key = format!("{}@{}", text(package, "name")?, text(package, "version")?);
        Some((key, text(package, "checksum")?))
    };
    Ok(packages.iter().filter_map(checksum).collect())
}

fn standard_library(root: &Path) -> Result<Component> {
    let text = output(rustc(root, &["-vV"]))?;
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("release: "))
        .ok_or("rustc: no version")?;
    Ok(Component::generic("rust-std", version, "MIT OR Apache-2.0").known_as("rust-lang", "rust"))
}

/// The C library that the Rust target brings. Its archive has one text that is a version.
fn musl(root: &Path, target: &str) -> Result<Component> {
    let sysroot = PathBuf::from(output(rustc(root, &["--print", "sysroot"]))?.trim());
    let path = sysroot
        .join("lib/rustlib")
        .join(target)
        .join("lib/self-contained/libc.a");
    let library = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let versions: BTreeSet<&str> = library
        .split(|byte| *byte == 0)
        .filter_map(|text| std::str::from_utf8(text).ok())
        .filter_map(|text| text.lines().last())
        .filter(|text| is_version(text))
        .collect();
    match Vec::from_iter(versions).as_slice() {
        [version] => Ok(Component::generic("musl", version, "MIT").known_as("musl-libc", "musl")),
        versions => Err(format!("{}: which version? {versions:?}", path.display()).into()),
    }
}

fn is_version(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split('.').count() == 3 && text.split('.').all(is_number)
}

/// The compiler that this workspace pins.
fn rustc(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("rustc");
    command.current_dir(root).args(arguments);
    command
}

fn output(mut command: Command) -> Result<String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A version in a package URL: of the characters that versions have, `+` means something there.
fn escaped(version: &str) -> String {
    version.replace('+', "%2B")
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
