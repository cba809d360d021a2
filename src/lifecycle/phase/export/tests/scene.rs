//! A build that waits for its export.

use crate::log::{Level, Log};
use crate::phase::export::{Export, HistoryStyle};
use crate::phase::known::KnownLayers;
use lifecycle_core::data::ModuleKind;
use lifecycle_core::data::group::{Group, GroupElement};
use lifecycle_core::data::label::LayersMetadata;
use lifecycle_core::data::launch::Process;
use lifecycle_core::data::metadata::BuildMetadata;
use lifecycle_core::data::report::Report;
use lifecycle_core::data::run::RunImageMirrors;
use lifecycle_core::error::Result;
use lifecycle_image::cache::{Cache, VolumeCache};
use lifecycle_image::image::Image;
use lifecycle_image::layer::{Layer, LayerSource, SpooledBlob, Workers};
use lifecycle_image::oci::{Config, Descriptor, DiffId, History, ManifestKind, Platform};
use lifecycle_image::store::layout::LayoutStore;
use lifecycle_image::store::{ImageStore, Opened};
use std::fs;
use std::io::Write;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tempfile::{NamedTempFile, TempDir};

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A build that waits for its export: buildpack `a/b` with what `files` put below `<layers>/a_b`.
pub(super) struct Scene {
    pub(super) dir: TempDir,
    pub(super) store: LayoutStore,
    pub(super) run: Opened,
    pub(super) group: Group,
    pub(super) metadata: BuildMetadata,
    pub(super) previous: LayersMetadata,
    pub(super) known: KnownLayers,
    pub(super) default_process_type: Option<&'static str>,
    pub(super) threads: usize,
}

pub(super) const LAUNCH: &str = "[types]\nlaunch = true\n";
pub(super) const BOTH: &str = "[types]\nlaunch = true\ncache = true\n[metadata]\nn = 1\n";
pub(super) const CACHE: &str = "[types]\ncache = true\n";

impl Scene {
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let platform = Platform {
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
        };
        let store = LayoutStore {
            root: dir.path().join("layout"),
            platform,
        };
        let config = Config::new("linux", "amd64")
            .with_env("PATH", "/bin")
            .with_label("keep", "me");
        let run = Image::new(ManifestKind::Docker, config).append([stored("base", "made by hand")]);
        store.save(&run, &["run".to_owned()]).unwrap();
        let run = store.open("run").unwrap().unwrap();
        let scene = Self {
            group: Group {
                buildpacks: vec![buildpack()],
                extensions: Vec::new(),
            },
            metadata: BuildMetadata::default(),
            previous: LayersMetadata::default(),
            known: KnownLayers::default(),
            default_process_type: None,
            threads: 2,
            dir,
            store,
            run,
        };
        scene.write("launcher", "launcher\n");
        scene.write("app/file", "app");
        scene.write("layers/config/metadata.toml", "processes = []\n");
        fs::create_dir_all(scene.path("cache")).unwrap();
        for (name, content) in files {
            scene.write(&format!("layers/a_b/{name}"), content);
        }
        scene
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(super) fn cache(&self) -> VolumeCache {
        VolumeCache::open(&self.path("cache")).unwrap()
    }

    /// Exports with a cache, and gives the log.
    pub(super) fn export_to(&self, cache: &dyn Cache) -> (Result<Report>, String) {
        let buffer = Buffer::default();
        let log = Log::to(buffer.clone(), Level::Info, false);
        let previous = self.store.open("app").unwrap();
        let (layers, app, launcher) =
            (self.path("layers"), self.path("app"), self.path("launcher"));
        let names = RunImageMirrors {
            image: "run".to_owned(),
            mirrors: vec!["mirror".to_owned()],
        };
        let export = Export {
            group: &self.group,
            metadata: &self.metadata,
            previous_metadata: &self.previous,
            known: &self.known,
            previous: previous.as_ref().map(|previous| &previous.image),
            run_image: &self.run,
            extension: None,
            extended_config: false,
            run_image_names: &names,
            names_run_image: true,
            layers_dir: &layers,
            app_dir: &app,
            launcher: &launcher,
            uid: 1234,
            gid: 5678,
            sbom_layers: true,
            launcher_sboms: None,
            platform_api: "0.15",
            build_label: "{\"build\":1}",
            project_label: "{}",
            exec_env: Some("test"),
            default_process_type: self.default_process_type,
            created: "2020-01-01T00:00:00Z",
            history: HistoryStyle::Full,
            reports_bom: false,
            store: &self.store,
            names: &["app".to_owned()],
            spool_dir: self.dir.path(),
        };
        let workers = Workers::new(NonZero::new(self.threads).unwrap());
        let exported = crate::phase::export::export(&export, Some(cache), &workers, &log);
        let report = exported.map(|exported| {
            exported.cache.unwrap().commit(&log);
            exported.report
        });
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        (
            report,
            text.replace(&*self.dir.path().to_string_lossy(), "DIR"),
        )
    }

    pub(super) fn export(&self) -> (Result<Report>, String) {
        self.export_to(&self.cache())
    }

    pub(super) fn image(&self) -> Image {
        self.store.open("app").unwrap().unwrap().image
    }

    pub(super) fn label(&self) -> LayersMetadata {
        let image = self.image();
        LayersMetadata::parse_json(
            image
                .config
                .label("io.buildpacks.lifecycle.metadata")
                .unwrap(),
        )
        .unwrap()
    }
}

pub(super) fn buildpack() -> GroupElement {
    GroupElement {
        kind: ModuleKind::Buildpack,
        id: "a/b".to_owned(),
        version: "1".to_owned(),
        api: "0.10".to_owned(),
        homepage: None,
        optional: false,
    }
}

pub(super) fn stored(content: &str, created_by: &str) -> Layer {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    let descriptor = Descriptor::of(content.as_bytes(), ManifestKind::Docker.layer());
    let history = Some(History {
        created_by: created_by.to_owned(),
        ..History::default()
    });
    let source = LayerSource::Spooled(Arc::new(SpooledBlob { descriptor, file }));
    Layer {
        diff_id: DiffId::of(content.as_bytes()),
        history,
        source,
    }
}

pub(super) fn process(name: &str) -> Process {
    Process {
        r#type: name.to_owned(),
        command: vec!["x".to_owned()],
        ..Process::default()
    }
}
