//! Run images by their names in run.toml (FACTS 8.6, 4.1).

use lifecycle_core::data::run::{RunImageMirrors, RunImages};
use lifecycle_image::oci::Reference;

/// The entry of run.toml that has `name` as its image or one of its mirrors. Digests do not count, and a missing tag
/// is `latest`.
pub fn listed<'a>(images: &'a RunImages, name: &str) -> Option<&'a RunImageMirrors> {
    let name = comparable(name);
    images
        .images
        .iter()
        .find(|entry| candidates(entry).any(|other| comparable(other) == name))
}

/// The names of one run image, in the order in which they are to be tried.
pub fn candidates(entry: &RunImageMirrors) -> impl Iterator<Item = &str> {
    std::iter::once(&entry.image)
        .chain(&entry.mirrors)
        .map(String::as_str)
}

fn comparable(name: &str) -> String {
    let without_digest = name.split_once("@sha256:").map_or(name, |(name, _)| name);
    Reference::parse(without_digest).map_or_else(|_| name.to_owned(), |reference| reference.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, listed_as: Option<&str>) {
        let images = RunImages {
            images: vec![
                RunImageMirrors {
                    image: "run".into(),
                    mirrors: vec!["r.example/run:1".into()],
                },
                RunImageMirrors {
                    image: "not a reference".into(),
                    mirrors: Vec::new(),
                },
            ],
        };
        assert_eq!(
            listed(&images, name).map(|entry| entry.image.as_str()),
            listed_as,
            "{name}"
        );
    }

    #[test]
    fn names_are_compared_in_full() {
        let digest = format!("@sha256:{}", "0".repeat(64));
        check("run", Some("run"));
        check("index.docker.io/library/run:latest", Some("run"));
        check(&format!("run{digest}"), Some("run"));
        check(&format!("r.example/run:1{digest}"), Some("run"));
        check("run:2", None);
        check("r.example/run", None);
        check("not a reference", Some("not a reference"));
        check("", None);
    }
}
