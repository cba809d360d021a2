//! This side: the extender, in a container made of namespaces and an overlay, as container runtimes make them.

use crate::rows::Row;
use crate::tree::Tree;
use crate::{Outcome, files};
use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};
use spec_tests::layout::{Image, write_documents};
use spec_tests::subject::{self, Subject};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Mounts what a container has, then runs the rest of the command line in it.
const ENTER: &str = r#"
set -e
row=$1 template=$2 context=$3; shift 3
mount -t tmpfs tmpfs "$row/container"
cd "$row/container"
mkdir upper work root
mount -t overlay overlay -o "lowerdir=$template,upperdir=upper,workdir=work" root
for dir in layers kaniko; do mount --bind "$row/$dir" root/$dir; done
mount --bind "$context" root/workspace
for dir in dev proc; do mount --rbind /$dir root/$dir; done
exec chroot root "$@"
"#;

pub(crate) struct Here {
    work: PathBuf,
    context: PathBuf,
    /// The base's files, and the directories of the platform.
    template: PathBuf,
    configs: BTreeMap<&'static str, Value>,
}

impl Here {
    pub(crate) fn new(
        work: &Path,
        base: &[u8],
        context: &Path,
        configs: BTreeMap<&'static str, Value>,
    ) -> Self {
        let template = work.join("template");
        files::unpack(base, &template);
        for dir in ["layers", "kaniko", "platform", "workspace", "cnb/lifecycle"] {
            fs::create_dir_all(template.join(dir)).unwrap();
        }
        let lifecycle = Subject::under_test().unwrap().directory().join("lifecycle");
        fs::copy(lifecycle, template.join("cnb/lifecycle/extender")).unwrap();
        Self {
            work: work.to_owned(),
            context: context.to_owned(),
            template,
            configs,
        }
    }

    /// Extends a run image by the row's Dockerfile.
    pub(crate) fn build(&self, row: &Row, bottom: Tree) -> Outcome {
        let dir = self.work.join("here").join(row.tag());
        let generated = dir.join("layers/generated/row");
        for made in [&generated, &dir.join("container")] {
            fs::create_dir_all(made).unwrap();
        }
        fs::write(generated.join("run.Dockerfile"), &row.dockerfile).unwrap();
        if !row.ignored.is_empty() {
            let ignored = generated.join("run.Dockerfile.dockerignore");
            fs::write(ignored, &row.ignored).unwrap();
        }
        let is_proxy = |name: &str| name.to_lowercase().ends_with("_proxy");
        let (proxies, args): (Vec<_>, Vec<_>) =
            row.args.iter().partition(|(name, _)| is_proxy(name));
        let args = args
            .iter()
            .map(|(name, value)| format!("[[run.args]]\nname = {name:?}\nvalue = {value:?}\n"));
        let args: String = args.collect();
        fs::write(generated.join("extend-config.toml"), args).unwrap();
        let bases = dir.join("kaniko/cache/base");
        let config = json!({
            "architecture": "amd64", "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", "1".repeat(64))]},
            "config": self.configs[row.base()],
        });
        let digest = write_documents(&bases, &config).unwrap();
        let analyzed = format!(
            "[run-image]\nreference = \"test/run@{digest}\"\nimage = \"test/run\"\nextend = true\n"
        );
        fs::write(dir.join("layers/analyzed.toml"), analyzed).unwrap();
        let group = "[[group]]\nid = \"bp\"\nversion = \"1\"\napi = \"0.10\"\n\
            [[group-extensions]]\nid = \"row\"\nversion = \"1\"\napi = \"0.10\"\n";
        fs::write(dir.join("layers/group.toml"), group).unwrap();

        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", ENTER, "enter"]);
        command.args([&dir, &self.template, &self.context]);
        command.args(["/cnb/lifecycle/extender", "-kind", "run", "-no-color"]);
        command
            .env("container", "test")
            .env("CNB_PLATFORM_API", "0.13");
        command.envs(proxies.iter().map(|(name, value)| (name, value)));
        let outcome = subject::Outcome::of(command.stdin(Stdio::null())).unwrap();
        if outcome.code != Some(0) {
            return Err(outcome.text);
        }
        let extended = fs::read_dir(dir.join("layers/extended/run"))
            .unwrap()
            .next();
        let layout = extended.unwrap().unwrap().path();
        let mut image = Image::open(&layout).unwrap();
        let mut tree = bottom;
        for layer in image.layers.iter().skip(1) {
            let blob = layout.join("blobs").join(layer.digest.replace(':', "/"));
            tree.apply(MultiGzDecoder::new(File::open(blob).unwrap()))
                .unwrap();
        }
        Ok((tree, image.config["config"].take()))
    }
}
