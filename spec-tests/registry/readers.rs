//! What we exported, read by a client that is neither ours nor skopeo's; and an index that it wrote, read by us.

use crate::build::{Build, skopeo, succeeded};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::manifest::{
    ImageIndexEntry, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciDescriptor,
    OciImageIndex, OciImageManifest, OciManifest, Platform,
};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use sha2::{Digest, Sha256};
use spec_tests::net::registry::Registry;
use std::fs;
use std::future::Future;
use std::net::SocketAddr;

const ANYBODY: RegistryAuth = RegistryAuth::Anonymous;

fn client() -> Client {
    // It wants one even where it talks without TLS; another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new(ClientConfig {
        protocol: ClientProtocol::Http,
        ..ClientConfig::default()
    })
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap().block_on(work)
}

fn reference(registry: SocketAddr, name: &str) -> Reference {
    format!("{registry}/{name}").parse().unwrap()
}

/// Manifest and digest of an image, and every blob of it, compared with digest and size.
async fn read_whole(client: &Client, image: &Reference) -> (OciImageManifest, String) {
    let (manifest, digest, config) = client
        .pull_manifest_and_config(image, &ANYBODY)
        .await
        .unwrap();
    assert_eq!(sha256(config.as_bytes()), manifest.config.digest);
    for descriptor in manifest.layers.iter().chain([&manifest.config]) {
        check_blob(client, image, descriptor).await;
    }
    (manifest, digest)
}

async fn check_blob(client: &Client, image: &Reference, descriptor: &OciDescriptor) {
    let mut bytes = Vec::new();
    let pulled = client.pull_blob(image, descriptor, &mut bytes).await;
    pulled.unwrap_or_else(|error| panic!("{}: {error}", descriptor.digest));
    assert_eq!(bytes.len() as i64, descriptor.size);
    assert_eq!(sha256(&bytes), descriptor.digest);
}

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

#[test]
fn oci_client_reads_what_was_exported() {
    let registry = Registry::open().unwrap();
    let build = Build::with_run_image_in(registry.address());
    succeeded(&build.create(registry.address()));
    let client = client();
    wait(async {
        let app = reference(registry.address(), "app");
        let (manifest, digest) = read_whole(&client, &app).await;
        assert_eq!(digest, build.reported());
        let run = reference(registry.address(), "run");
        let (run, _) = read_whole(&client, &run).await;
        assert!(manifest.layers.len() > run.layers.len());
        for (layer, base) in manifest.layers.iter().zip(&run.layers) {
            assert_eq!(layer.digest, base.digest, "base layers as they were");
        }
    });
}

/// An image as a member of an index.
async fn member(client: &Client, image: &Reference, architecture: &str) -> ImageIndexEntry {
    let accepted = [OCI_IMAGE_MEDIA_TYPE];
    let raw = client.pull_manifest_raw(image, &ANYBODY, &accepted).await;
    let (bytes, digest) = raw.unwrap();
    let platform = Platform {
        architecture: architecture.into(),
        os: "linux".into(),
        os_version: None,
        os_features: None,
        variant: None,
        features: None,
    };
    ImageIndexEntry {
        media_type: OCI_IMAGE_MEDIA_TYPE.to_owned(),
        artifact_type: None,
        digest,
        size: bytes.len() as i64,
        platform: Some(platform),
        annotations: None,
    }
}

#[test]
fn an_index_of_oci_client_is_a_run_image() {
    let registry = Registry::open().unwrap();
    let build = Build::with_run_image_in(registry.address());
    succeeded(&build.create(registry.address()));
    let client = client();
    let index = reference(registry.address(), "run:index");
    let members = wait(async {
        let host = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        // docker-registry wants members in the index's own repository.
        skopeo(&[
            "copy",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
            &format!("docker://{}/app", registry.address()),
            &format!("docker://{}/run:other", registry.address()),
        ]);
        let [other, run] = ["run:other", "run"].map(|name| reference(registry.address(), name));
        let members = vec![
            member(&client, &other, "s390x").await,
            member(&client, &run, host).await,
        ];
        let manifest = OciManifest::ImageIndex(OciImageIndex {
            schema_version: 2,
            media_type: Some(OCI_IMAGE_INDEX_MEDIA_TYPE.to_owned()),
            manifests: members.clone(),
            annotations: None,
            artifact_type: None,
        });
        client.push_manifest(&index, &manifest).await.unwrap();
        members
    });
    let place = registry.address().to_string();
    succeeded(&build.analyze(&place, |command| {
        command.args(["-run-image", &format!("{place}/run:index")]);
    }));
    let analyzed = fs::read_to_string(build.site.layers.join("analyzed.toml")).unwrap();
    let chosen = format!("reference = \"{place}/run@{}\"", members[1].digest);
    assert!(analyzed.contains(&chosen), "{analyzed}");
    let (_, digest) = wait(read_whole(&client, &index));
    assert_eq!(digest, members[1].digest, "the other reader agrees");
}
