//! Platforms of images.

use lifecycle_core::data::target::host_architecture;

/// Operating system and architecture, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// E.g. `linux`.
    pub os: String,
    /// E.g. `amd64`.
    pub architecture: String,
}

impl Platform {
    /// Linux on the architecture that this program was built for.
    pub fn host() -> Self {
        Self {
            os: "linux".to_owned(),
            architecture: host_architecture().to_owned(),
        }
    }
}
