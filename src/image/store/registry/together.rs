//! Pushing under several names: under all of them or under none.

use super::Network;
use super::pull::{Found, manifest};
use super::push::{self, push_blobs, put, put_manifest};
use crate::image::{Documents, Image};
use crate::oci::Reference;
use lifecycle_core::error::{Error, Result};

/// The name that could not be written, and why; what has become of those before it.
struct Failure {
    at: usize,
    cause: Error,
    before: Vec<Error>,
}

/// Pushes `image` to every one of `references`; the result of each, in their order. No name changes before every repository
/// has every blob; where one cannot be changed then, those before it are given back what they led to.
pub(super) async fn push(
    network: &Network,
    image: &Image,
    documents: &Documents,
    references: &[Reference],
) -> Vec<Result<()>> {
    let Err(failure) = attempt(network, image, documents, references).await else {
        return references.iter().map(|_| Ok(())).collect();
    };
    let untouched = || Err(Error::other("left as it was"));
    let mut results: Vec<Result<()>> = failure.before.into_iter().map(Err).collect();
    results.resize_with(failure.at, untouched);
    results.push(Err(failure.cause));
    results.resize_with(references.len(), untouched);
    results
}

async fn attempt(
    network: &Network,
    image: &Image,
    documents: &Documents,
    references: &[Reference],
) -> Result<(), Failure> {
    let failure = |at, cause| Failure {
        at,
        cause,
        before: Vec::new(),
    };
    let blobs = push::blobs(image, documents).map_err(|cause| failure(0, cause))?;
    let mut old = Vec::new();
    for (at, reference) in references.iter().enumerate() {
        let prepare = async {
            push_blobs(network, reference, &blobs).await?;
            let session = network.session(reference).await?;
            manifest(&session, reference, None).await
        };
        old.push(prepare.await.map_err(|cause| failure(at, cause))?);
    }
    for (at, reference) in references.iter().enumerate() {
        if let Err(cause) = put_manifest(network, reference, documents).await {
            let mut before = Vec::new();
            for (reference, old) in references.iter().zip(&old).take(at) {
                before.push(give_back(network, reference, old.as_ref()).await);
            }
            return Err(Failure { at, cause, before });
        }
    }
    Ok(())
}

/// Lets `reference` lead to `old` again, and says in whose place it is now.
async fn give_back(network: &Network, reference: &Reference, old: Option<&Found>) -> Error {
    let Some(old) = old else {
        // Registries understand the deletion of a tag in different ways; some take every other name of the image along.
        return Error::other("led to nothing before and leads to the new image now");
    };
    let given = async {
        let session = network.session(reference).await?;
        put(&session, reference, &old.media_type, old.bytes.clone()).await
    };
    match given.await {
        Ok(_) => Error::other(format!("given back {}", old.digest)),
        Err(error) => Error::other(format!(
            "leads to the new image and could not be given back {}: {error}",
            old.digest
        )),
    }
}
