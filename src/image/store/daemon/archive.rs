//! What is sent to be loaded: a tar in one of two forms.
//!
//! Docker's own has `<config>.json`, a tar for each layer and manifest.json. A layer whose whole chain the daemon has
//! is an empty file, and the daemon takes its own (FACTS 9.3). The containerd image store loses or corrupts images in
//! that form (buildpacks/lifecycle's export did), so it gets an OCI layout. New layers are uncompressed in it: their digest
//! is the diffID. Layers that the store has are named as the blobs that they are there, and not sent.
//!
//! Neither form names the image: it is compared with what was meant before any tag moves to it.

use super::fetch::SpooledTar;
use super::inspect::descriptor;
use crate::image::{Documents, Image};
use crate::layer::{self, LayerRecipe, Outputs, Workers};
use crate::oci::{Descriptor, DiffId, Digest, ManifestKind};
use crate::store::layout::{OCI_LAYOUT, index};
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_core::json;
use lifecycle_core::value::{Table, Value};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

const BLOCK: usize = 512;

/// A layer on its way to the daemon.
pub(super) enum Part {
    /// The daemon has it, together with all layers below.
    Known,
    /// The containerd image store has it as this blob.
    Held(Descriptor),
    /// It is made while it is sent.
    Recipe(Arc<LayerRecipe>, u64),
    /// It came from a store, and has been compared with its diffID.
    Tar(SpooledTar),
}

impl Part {
    fn size(&self) -> u64 {
        match self {
            Self::Known | Self::Held(_) => 0,
            Self::Recipe(_, size) => *size,
            Self::Tar(tar) => tar.size,
        }
    }
}

/// An image ready to be written as an archive; a part for each layer, bottom first.
pub(super) struct Archive {
    diff_ids: Vec<DiffId>,
    /// Of each layer, as the manifest has them.
    pub(super) descriptors: Vec<Descriptor>,
    parts: Vec<Part>,
    documents: Documents,
    form: Form,
}

/// What the daemon understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Docker's own: layers may be left out.
    Docker,
    /// OCI's: for the containerd image store.
    Oci,
}

impl Archive {
    pub(super) fn new(image: &Image, parts: Vec<Part>, form: Form) -> Self {
        let diff_ids: Vec<_> = image.layers.iter().map(|layer| layer.diff_id).collect();
        let descriptors = diff_ids.iter().zip(&parts);
        let descriptors = descriptors.map(|(diff_id, part)| match part {
            Part::Held(descriptor) => descriptor.clone(),
            part => descriptor(*diff_id, part.size()),
        });
        let descriptors: Vec<_> = descriptors.collect();
        let documents = documents(image, descriptors.clone(), form);
        Self {
            diff_ids,
            descriptors,
            parts,
            documents,
            form,
        }
    }

    /// The image's id in the daemon, once it is loaded.
    pub(super) fn id(&self) -> Digest {
        match self.form {
            Form::Docker => self.documents.config_descriptor.digest,
            Form::Oci => self.documents.manifest_descriptor.digest,
        }
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// A layer has become another one since it was hashed, or `to` fails.
    pub(super) fn write(&self, to: &mut dyn Write, workers: &Workers) -> Result<()> {
        let mut tar = Tar { to };
        match self.form {
            Form::Docker => self.write_docker(&mut tar, workers)?,
            Form::Oci => self.write_oci(&mut tar, workers)?,
        }
        tar.to.write_all(&[0; 2 * BLOCK])?;
        Ok(tar.to.flush()?)
    }

    fn write_docker(&self, tar: &mut Tar<'_>, workers: &Workers) -> Result<()> {
        let config = format!("{}.json", self.documents.config_descriptor.digest.hex());
        tar.bytes(&config, &self.documents.config)?;
        let mut names = Vec::new();
        let mut written = BTreeSet::new();
        for (number, (diff_id, part)) in self.diff_ids.iter().zip(&self.parts).enumerate() {
            let name = match part {
                Part::Known => format!("blank_{number}"),
                _ => format!("{}.tar", diff_id.hex()),
            };
            if written.insert(name.clone()) {
                tar.part(&name, diff_id, part, workers)?;
            }
            names.push(name);
        }
        let manifest = Table::new()
            .with("Config", config)
            .with("RepoTags", Value::Array(Vec::new()))
            .with("Layers", names);
        let manifest = json::to_string(&Value::Array(vec![manifest.into()]));
        tar.bytes("manifest.json", manifest.as_bytes())
    }

    fn write_oci(&self, tar: &mut Tar<'_>, workers: &Workers) -> Result<()> {
        let Documents {
            config,
            manifest,
            config_descriptor,
            manifest_descriptor,
        } = &self.documents;
        tar.bytes("oci-layout", OCI_LAYOUT.as_bytes())?;
        tar.bytes("index.json", index(manifest_descriptor, None).as_bytes())?;
        tar.bytes(&blob(&manifest_descriptor.digest), manifest)?;
        tar.bytes(&blob(&config_descriptor.digest), config)?;
        let mut written = BTreeSet::new();
        for (diff_id, part) in self.diff_ids.iter().zip(&self.parts) {
            if !matches!(part, Part::Held(_)) && written.insert(*diff_id) {
                let name = blob(&Digest::from_bytes(diff_id.bytes()));
                tar.part(&name, diff_id, part, workers)?;
            }
        }
        Ok(())
    }
}

fn documents(image: &Image, layers: Vec<Descriptor>, form: Form) -> Documents {
    match form {
        Form::Docker => image.documents(layers),
        Form::Oci => Image {
            kind: ManifestKind::Oci,
            ..image.clone()
        }
        .documents(layers),
    }
}

/// The id of `image` in a daemon that names images by their configuration.
pub(super) fn config_id(image: &Image) -> Digest {
    let descriptors = image.layers.iter();
    let descriptors = descriptors.map(|layer| descriptor(layer.diff_id, 0));
    let documents = documents(image, descriptors.collect(), Form::Docker);
    documents.config_descriptor.digest
}

fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The tar around documents and layers; nobody compares its bytes.
struct Tar<'w> {
    to: &'w mut dyn Write,
}

impl Tar<'_> {
    fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.header(name, bytes.len() as u64)?;
        self.to.write_all(bytes)?;
        self.pad(bytes.len() as u64)
    }

    fn part(&mut self, name: &str, diff_id: &DiffId, part: &Part, workers: &Workers) -> Result<()> {
        let size = part.size();
        self.header(name, size)?;
        match part {
            Part::Known | Part::Held(_) => {}
            Part::Recipe(recipe, _) => {
                let mut exactly = Exactly {
                    to: &mut *self.to,
                    left: size,
                };
                let outputs = Outputs {
                    blob: None,
                    tar: Some(&mut exactly),
                };
                let built = layer::build(recipe, outputs, workers)
                    .context(|| format!("send layer {diff_id}"))?;
                if built.diff_id != *diff_id || built.size != size {
                    let cause = format!("the files of layer {diff_id} change while it is exported");
                    return Err(Error::other(cause));
                }
            }
            Part::Tar(tar) => {
                io::copy(&mut tar.reader()?.by_ref(), &mut self.to)
                    .context(|| format!("send layer {diff_id}"))?;
            }
        }
        self.pad(size)
    }

    fn header(&mut self, name: &str, size: u64) -> Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_path(name)?;
        header.set_size(size);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        Ok(self.to.write_all(header.as_bytes())?)
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        let rest = (size % BLOCK as u64) as usize;
        let padding = if rest == 0 { 0 } else { BLOCK - rest };
        let zeros = [0; BLOCK];
        Ok(self
            .to
            .write_all(zeros.get(..padding).unwrap_or_default())?)
    }
}

/// Refuses more bytes than a header promised: they would be read as further entries of the archive.
struct Exactly<'w> {
    to: &'w mut dyn Write,
    left: u64,
}

impl Write for Exactly<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| io::Error::other("its files grow while it is exported"))?;
        self.to.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
