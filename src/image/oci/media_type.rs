//! Media types of manifests, configurations and layers.

/// Docker's or OCI's set of media types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ManifestKind {
    /// Docker image manifest, schema 2.
    Docker,
    /// OCI image manifest.
    Oci,
}

impl ManifestKind {
    /// The manifest's media type.
    pub const fn manifest(self) -> &'static str {
        match self {
            Self::Docker => "application/vnd.docker.distribution.manifest.v2+json",
            Self::Oci => "application/vnd.oci.image.manifest.v1+json",
        }
    }

    /// The media type of a list of manifests.
    pub const fn index(self) -> &'static str {
        match self {
            Self::Docker => "application/vnd.docker.distribution.manifest.list.v2+json",
            Self::Oci => "application/vnd.oci.image.index.v1+json",
        }
    }

    /// The configuration's media type.
    pub const fn config(self) -> &'static str {
        match self {
            Self::Docker => "application/vnd.docker.container.image.v1+json",
            Self::Oci => "application/vnd.oci.image.config.v1+json",
        }
    }

    /// The media type of a gzip-compressed layer.
    pub const fn layer(self) -> &'static str {
        match self {
            Self::Docker => "application/vnd.docker.image.rootfs.diff.tar.gzip",
            Self::Oci => "application/vnd.oci.image.layer.v1.tar+gzip",
        }
    }

    /// The media type of a layer that is not compressed.
    pub const fn plain_layer(self) -> &'static str {
        match self {
            Self::Docker => "application/vnd.docker.image.rootfs.diff.tar",
            Self::Oci => "application/vnd.oci.image.layer.v1.tar",
        }
    }

    /// `media_type` in this set's words, if it is a layer type that both sets have; else unchanged.
    pub fn layer_as(self, media_type: &str) -> String {
        let row = LAYER_TYPES
            .iter()
            .find(|(docker, oci)| [*docker, *oci].contains(&media_type));
        match (row, self) {
            (Some((docker, _)), Self::Docker) => (*docker).to_owned(),
            (Some((_, oci)), Self::Oci) => (*oci).to_owned(),
            (None, _) => media_type.to_owned(),
        }
    }
}

/// Docker's and OCI's names for the same kind of layer.
const LAYER_TYPES: [(&str, &str); 4] = [
    (ManifestKind::Docker.layer(), ManifestKind::Oci.layer()),
    (
        ManifestKind::Docker.plain_layer(),
        ManifestKind::Oci.plain_layer(),
    ),
    (
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
        "application/vnd.oci.image.layer.v1.tar+zstd",
    ),
    (
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    ),
];
