//! The bill of materials of a base image: Debian's packages in its root file system.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, Read};

/// Where the document lies in the image, in a layer of its own.
pub(crate) const PATH: &str = "cnb/sbom/base.cdx.json";

/// The label that names the layer with the document by its diffID.
pub(crate) const LABEL: &str = "io.buildpacks.base.sbom";

/// The most that is read of a list of packages, in bytes.
const MAX_LIST: u64 = 64 << 20;

/// A package's fields by name, e.g. `Package`, `Version`, `Architecture`.
type Package = BTreeMap<String, String>;

/// The packages that a root file system (a tar) has by its own lists: dpkg's `status`, or a file for each in `status.d`
/// where nothing is installed but files were unpacked.
///
/// # Errors
/// The tar is malformed.
pub(crate) fn packages(rootfs: impl Read) -> io::Result<Vec<Package>> {
    let mut packages = Vec::new();
    for entry in tar::Archive::new(rootfs).entries()? {
        let entry = entry?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let path = path.trim_start_matches("./");
        let is_list = path == "var/lib/dpkg/status" || path.starts_with("var/lib/dpkg/status.d/");
        if is_list && entry.header().entry_type().is_file() {
            let mut text = String::new();
            entry.take(MAX_LIST).read_to_string(&mut text)?;
            packages.extend(text.split("\n\n").map(fields).filter(is_installed));
        }
    }
    packages.sort_by_cached_key(|package| package.get("Package").cloned());
    Ok(packages)
}

fn fields(paragraph: &str) -> Package {
    let lines = paragraph.lines().filter_map(|line| line.split_once(": "));
    lines
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn is_installed(package: &Package) -> bool {
    let status = package.get("Status");
    package.contains_key("Package") && status.is_none_or(|status| status.ends_with(" installed"))
}

/// The document, in CycloneDX 1.4. `labels` are the image's.
pub(crate) fn document(labels: &Value, packages: &[Package]) -> Value {
    let label = |key: &str| labels[key].as_str().unwrap_or_default();
    let distro = label("io.buildpacks.base.distro.name");
    let component = |package: &Package| {
        let field = |key: &str| package.get(key).map(String::as_str).unwrap_or_default();
        let (name, version) = (field("Package"), field("Version"));
        // "+" and ":" mean something in a package URL, and Debian's versions have both.
        let escaped = version.replace('+', "%2B").replace(':', "%3A");
        let purl = format!(
            "pkg:deb/{distro}/{name}@{escaped}?arch={}",
            field("Architecture")
        );
        json!({ "type": "library", "name": name, "version": version, "purl": purl })
    };
    let root = json!({
        "type": "container",
        "name": label("io.buildpacks.base.id"),
        "version": label("io.buildpacks.base.distro.version"),
    });
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.4",
        "version": 1,
        "metadata": { "component": root },
        "components": packages.iter().map(component).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_those_installed() {
        let mut tar = tar::Builder::new(Vec::new());
        let mut add = |path: &str, content: &str| {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, path, content.as_bytes())
                .unwrap();
        };
        let status = "Package: b\nStatus: install ok installed\nVersion: 1:2+x\nArchitecture: amd64\n\n\
                      Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n";
        add("var/lib/dpkg/status", status);
        add(
            "var/lib/dpkg/status.d/a",
            "Package: a\nVersion: 3\nArchitecture: all\n",
        );
        add("etc/passwd", "Package: no: package\n");
        let tar = tar.into_inner().unwrap();
        let labels = json!({ "io.buildpacks.base.distro.name": "debian" });
        let document = document(&labels, &packages(tar.as_slice()).unwrap());
        let purls: Vec<_> = document["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| part["purl"].as_str().unwrap())
            .collect();
        let expected = [
            "pkg:deb/debian/a@3?arch=all",
            "pkg:deb/debian/b@1%3A2%2Bx?arch=amd64",
        ];
        assert_eq!(purls, expected);
    }
}
