//! The rows of the flag table (FACTS 1.6, 1.7; platform.md, the inputs of every phase).

use super::{Flag, Group, Kind, Use, When};
use crate::platform::Program;
use crate::platform::Program::{
    Analyzer, Builder, Creator, Detector, Dockerfile, Exporter, Extender, Rebaser, Restorer,
};
use Group::{Behaviour, Caches, Directories, Files, General, Images, User};
use Kind::{Duration, Id, List, OptionalPath, OptionalText, Path, Switch, Text};
use lifecycle_core::api::Feature;

const fn on(program: Program) -> Use {
    Use {
        program,
        when: When::Always,
    }
}

const fn own(program: Program) -> Use {
    Use {
        program,
        when: When::Own,
    }
}

const fn since(feature: Feature, program: Program) -> Use {
    Use {
        program,
        when: When::Since(feature),
    }
}

const fn before(feature: Feature, program: Program) -> Use {
    Use {
        program,
        when: When::Before(feature),
    }
}

/// Programs that write as the build user.
const UNPRIVILEGED: &[Use] = &[
    on(Analyzer),
    on(Restorer),
    on(Extender),
    on(Exporter),
    on(Creator),
    on(Rebaser),
];

/// Every program.
const EVERYWHERE: &[Use] = &[
    on(Analyzer),
    on(Detector),
    on(Restorer),
    on(Extender),
    on(Builder),
    on(Exporter),
    on(Creator),
    on(Rebaser),
    on(Dockerfile),
];

/// Every input that a flag or an environment variable sets, sorted by name.
#[rustfmt::skip]
pub const FLAGS: &[Flag] = &[
    Flag {
        name: "analyzed", kind: Path(|s| &mut s.inputs.analyzed), group: Files,
        env: &["CNB_ANALYZED_PATH"], default: "<layers>/analyzed.toml",
        help: "path to analyzed.toml",
        uses: &[
            on(Analyzer), since(Feature::ImageExtensions, Detector), on(Restorer), on(Extender),
            since(Feature::Targets, Builder), on(Exporter),
        ],
    },
    Flag {
        name: "app", kind: Path(|s| &mut s.inputs.app_dir), group: Directories,
        env: &["CNB_APP_DIR"], default: "/workspace",
        help: "path to app directory",
        uses: &[on(Detector), on(Extender), on(Builder), on(Exporter), on(Creator)],
    },
    Flag {
        name: "base", kind: List(|s| &mut s.inputs.dockerfile.bases), group: Images,
        env: &[], default: "",
        help: "NAME=oci:DIR: an OCI layout that stands for the image NAME in FROM and COPY --from; may be repeated",
        uses: &[on(Dockerfile)],
    },
    Flag {
        name: "build-arg", kind: List(|s| &mut s.inputs.dockerfile.build_args), group: Behaviour,
        env: &[], default: "",
        help: "NAME=VALUE, or NAME of an environment variable: a build argument; may be repeated",
        uses: &[on(Dockerfile)],
    },
    Flag {
        name: "build-config", kind: Path(|s| &mut s.inputs.build_config_dir), group: Directories,
        env: &["CNB_BUILD_CONFIG_DIR"], default: "/cnb/build-config",
        help: "path to build config directory",
        uses: &[
            since(Feature::BuildConfigFlag, Detector), since(Feature::BuildConfigFlag, Builder),
            since(Feature::BuildConfigFlag, Creator),
        ],
    },
    Flag {
        name: "build-image", kind: OptionalText(|s| &mut s.inputs.build_image), group: Images,
        env: &["CNB_BUILD_IMAGE"], default: "",
        help: "build image tag name",
        uses: &[since(Feature::ImageExtensions, Restorer)],
    },
    Flag {
        name: "buildpacks", kind: Path(|s| &mut s.inputs.buildpacks_dir), group: Directories,
        env: &["CNB_BUILDPACKS_DIR"], default: "/cnb/buildpacks",
        help: "path to buildpacks directory",
        uses: &[on(Detector), on(Extender), on(Builder), on(Creator)],
    },
    Flag {
        name: "cache-dir", kind: OptionalPath(|s| &mut s.inputs.cache_dir), group: Caches,
        env: &["CNB_CACHE_DIR"], default: "",
        help: "path to cache directory",
        uses: &[on(Restorer), on(Exporter), on(Creator), on(Dockerfile)],
    },
    Flag {
        name: "cache-image", kind: OptionalText(|s| &mut s.inputs.cache_image), group: Caches,
        env: &["CNB_CACHE_IMAGE"], default: "",
        help: "cache image tag name",
        uses: &[on(Analyzer), on(Restorer), on(Exporter), on(Creator)],
    },
    Flag {
        name: "check", kind: Switch(|s| &mut s.inputs.check), group: Behaviour,
        env: &[], default: "",
        help: "write nothing; exit with 0 if the image has its newest run image, with 73 if a rebase is due",
        uses: &[own(Rebaser)],
    },
    Flag {
        name: "context", kind: Path(|s| &mut s.inputs.dockerfile.context), group: Directories,
        env: &[], default: ".",
        help: "path to the build context",
        uses: &[on(Dockerfile)],
    },
    Flag {
        name: "daemon", kind: Switch(|s| &mut s.inputs.use_daemon), group: Images,
        env: &["CNB_USE_DAEMON"], default: "",
        help: "export to docker daemon",
        uses: &[on(Analyzer), since(Feature::RestorerDaemon, Restorer), on(Exporter), on(Creator), on(Rebaser)],
    },
    Flag {
        name: "dockerfile", kind: Path(|s| &mut s.inputs.dockerfile.file), group: Files,
        env: &[], default: "Dockerfile",
        help: "path to the Dockerfile",
        uses: &[on(Dockerfile)],
    },
    Flag {
        name: "dry-run", kind: Switch(|s| &mut s.inputs.dry_run), group: Behaviour,
        env: &[], default: "",
        help: "write nothing; print what a rebase would change, or why it would be refused",
        uses: &[own(Rebaser)],
    },
    Flag {
        name: "exec-env", kind: Text(|s| &mut s.inputs.exec_env), group: Behaviour,
        env: &["CNB_EXEC_ENV"], default: "production",
        help: "execution environment",
        uses: &[],
    },
    Flag {
        name: "extended", kind: Path(|s| &mut s.inputs.extended_dir), group: Directories,
        env: &["CNB_EXTENDED_DIR"], default: "<layers>/extended",
        help: "path to output directory for image layers created from applying generated Dockerfiles",
        uses: &[since(Feature::RunImageExtension, Extender), since(Feature::RunImageExtension, Exporter)],
    },
    Flag {
        name: "extensions", kind: Path(|s| &mut s.inputs.extensions_dir), group: Directories,
        env: &["CNB_EXTENSIONS_DIR"], default: "/cnb/extensions",
        help: "path to extensions directory",
        uses: &[since(Feature::ImageExtensions, Detector)],
    },
    Flag {
        name: "force", kind: Switch(|s| &mut s.inputs.force_rebase), group: Behaviour,
        env: &["CNB_FORCE_REBASE"], default: "",
        help: "execute rebase even if operation is unsafe",
        uses: &[since(Feature::ForceRebase, Rebaser)],
    },
    Flag {
        name: "generated", kind: Path(|s| &mut s.inputs.generated_dir), group: Directories,
        env: &["CNB_GENERATED_DIR"], default: "<layers>/generated",
        help: "path to output directory for files generated by image extensions",
        uses: &[
            since(Feature::ImageExtensions, Detector), since(Feature::RunImageExtension, Restorer), on(Extender),
        ],
    },
    Flag {
        name: "gid", kind: Id(|s| &mut s.inputs.gid), group: User,
        env: &["CNB_GROUP_ID"], default: "0",
        help: "GID of user's group in the stack's build and run images",
        uses: UNPRIVILEGED,
    },
    Flag {
        name: "group", kind: Path(|s| &mut s.inputs.group), group: Files,
        env: &["CNB_GROUP_PATH"], default: "<layers>/group.toml",
        help: "path to group.toml",
        uses: &[on(Detector), on(Restorer), on(Extender), on(Builder), on(Exporter)],
    },
    Flag {
        name: "image", kind: OptionalText(|s| &mut s.inputs.deprecated_run_image), group: Images,
        env: &[], default: "",
        help: "[deprecated] reference to run image",
        uses: &[on(Exporter), on(Rebaser)],
    },
    Flag {
        name: "insecure-registry", kind: List(|s| &mut s.inputs.insecure_registries), group: Images,
        env: &["CNB_INSECURE_REGISTRIES"], default: "",
        help: "insecure registries",
        uses: &[
            since(Feature::InsecureRegistries, Analyzer), since(Feature::InsecureRegistries, Restorer),
            since(Feature::InsecureRegistries, Exporter), since(Feature::InsecureRegistries, Creator),
            since(Feature::InsecureRegistries, Rebaser), on(Dockerfile),
        ],
    },
    Flag {
        name: "kaniko-cache-ttl", kind: Duration(|s| &mut s.inputs.kaniko_cache_ttl), group: Caches,
        env: &["CNB_KANIKO_CACHE_TTL"], default: "336h",
        help: "kaniko cache time-to-live",
        uses: &[on(Extender), on(Dockerfile)],
    },
    Flag {
        name: "kind", kind: Text(|s| &mut s.inputs.extend_kind), group: Behaviour,
        env: &["CNB_EXTEND_KIND"], default: "build",
        help: "kind of image to extend",
        uses: &[since(Feature::RunImageExtension, Extender)],
    },
    Flag {
        name: "launch-cache", kind: OptionalPath(|s| &mut s.inputs.launch_cache_dir), group: Caches,
        env: &["CNB_LAUNCH_CACHE_DIR"], default: "",
        help: "path to launch cache directory",
        uses: &[since(Feature::AnalyzerSkipLayers, Analyzer), on(Exporter), on(Creator)],
    },
    Flag {
        name: "launcher", kind: Path(|s| &mut s.inputs.launcher), group: Files,
        env: &[], default: "/cnb/lifecycle/launcher",
        help: "path to launcher binary",
        uses: &[on(Exporter), on(Creator)],
    },
    Flag {
        name: "launcher-sbom", kind: Path(|s| &mut s.inputs.launcher_sbom_dir), group: Directories,
        env: &[], default: "/cnb/lifecycle",
        help: "path to launcher SBOM directory",
        uses: &[since(Feature::LauncherSbom, Exporter), since(Feature::LauncherSbom, Creator)],
    },
    Flag {
        name: "layers", kind: Path(|s| &mut s.inputs.layers_dir), group: Directories,
        env: &["CNB_LAYERS_DIR"], default: "/layers",
        help: "path to layers directory",
        uses: &[on(Analyzer), on(Detector), on(Restorer), on(Extender), on(Builder), on(Exporter), on(Creator)],
    },
    Flag {
        name: "layout", kind: Switch(|s| &mut s.inputs.use_layout), group: Images,
        env: &["CNB_USE_LAYOUT"], default: "",
        help: "export to OCI layout format on disk",
        uses: &[
            since(Feature::Layout, Analyzer), since(Feature::Layout, Restorer), since(Feature::Layout, Exporter),
            since(Feature::Layout, Creator),
        ],
    },
    Flag {
        name: "layout-dir", kind: OptionalPath(|s| &mut s.inputs.layout_dir), group: Directories,
        env: &["CNB_LAYOUT_DIR"], default: "",
        help: "path to output directory for images in OCI layout format",
        uses: &[
            since(Feature::Layout, Analyzer), since(Feature::Layout, Restorer), since(Feature::Layout, Exporter),
            since(Feature::Layout, Creator),
        ],
    },
    Flag {
        name: "log-level", kind: Text(|s| &mut s.log_level), group: General,
        env: &["CNB_LOG_LEVEL"], default: "info",
        help: "logging level",
        uses: EVERYWHERE,
    },
    Flag {
        name: "no-color", kind: Switch(|s| &mut s.no_color), group: General,
        env: &["CNB_NO_COLOR"], default: "",
        help: "disable color output",
        uses: EVERYWHERE,
    },
    Flag {
        name: "order", kind: Path(|s| &mut s.inputs.order), group: Files,
        env: &["CNB_ORDER_PATH"], default: "<layers>/order.toml",
        help: "path to order.toml",
        uses: &[on(Detector), on(Creator)],
    },
    Flag {
        name: "output", kind: OptionalText(|s| &mut s.inputs.dockerfile.output), group: Images,
        env: &[], default: "",
        help: "where the image is written: oci:DIR for an OCI layout, or a reference for a registry",
        uses: &[on(Dockerfile)],
    },
    Flag {
        name: "parallel", kind: Switch(|s| &mut s.inputs.parallel_export), group: Behaviour,
        env: &["CNB_PARALLEL_EXPORT"], default: "",
        help: "export app image and cache image in parallel",
        uses: &[on(Exporter), on(Creator)],
    },
    Flag {
        name: "plan", kind: Path(|s| &mut s.inputs.plan), group: Files,
        env: &["CNB_PLAN_PATH"], default: "<layers>/plan.toml",
        help: "path to plan.toml",
        uses: &[on(Detector), on(Extender), on(Builder)],
    },
    Flag {
        name: "platform", kind: Path(|s| &mut s.inputs.platform_dir), group: Directories,
        env: &["CNB_PLATFORM_DIR"], default: "/platform",
        help: "path to platform directory",
        uses: &[on(Detector), on(Extender), on(Builder), on(Creator)],
    },
    Flag {
        name: "previous-image", kind: OptionalText(|s| &mut s.inputs.previous_image), group: Images,
        env: &["CNB_PREVIOUS_IMAGE"], default: "",
        help: "reference to previous image",
        uses: &[on(Analyzer), on(Creator), since(Feature::RebaserPreviousImage, Rebaser)],
    },
    Flag {
        name: "process-type", kind: OptionalText(|s| &mut s.inputs.default_process_type), group: Behaviour,
        env: &["CNB_PROCESS_TYPE"], default: "",
        help: "default process type",
        uses: &[on(Exporter), on(Creator)],
    },
    Flag {
        name: "project-metadata", kind: Path(|s| &mut s.inputs.project_metadata), group: Files,
        env: &["CNB_PROJECT_METADATA_PATH"], default: "<layers>/project-metadata.toml",
        help: "path to project-metadata.toml",
        uses: &[on(Exporter), on(Creator)],
    },
    Flag {
        name: "report", kind: Path(|s| &mut s.inputs.report), group: Files,
        env: &["CNB_REPORT_PATH"], default: "<layers>/report.toml",
        help: "path to report.toml",
        uses: &[on(Exporter), on(Creator), on(Rebaser)],
    },
    Flag {
        name: "root", kind: OptionalPath(|s| &mut s.inputs.dockerfile.root), group: Directories,
        env: &[], default: "",
        help: "empty directory for the image's files, kept; or / for this container's own file system, which has those of the base image",
        uses: &[on(Dockerfile)],
    },
    Flag {
        name: "run", kind: Path(|s| &mut s.inputs.run), group: Files,
        env: &["CNB_RUN_PATH"], default: "/cnb/run.toml",
        help: "path to run.toml",
        uses: &[
            since(Feature::RunToml, Analyzer), since(Feature::RunToml, Detector),
            since(Feature::RestorerRunToml, Restorer), since(Feature::RunToml, Exporter),
            since(Feature::RunToml, Creator),
        ],
    },
    Flag {
        name: "run-image", kind: OptionalText(|s| &mut s.inputs.run_image), group: Images,
        env: &["CNB_RUN_IMAGE"], default: "",
        help: "reference to run image",
        uses: &[on(Analyzer), on(Exporter), on(Creator), on(Rebaser)],
    },
    Flag {
        name: "skip-layers", kind: Switch(|s| &mut s.inputs.skip_layers), group: Behaviour,
        env: &["CNB_SKIP_LAYERS", "CNB_SKIP_RESTORE"], default: "",
        help: "do not provide layer metadata to buildpacks",
        uses: &[since(Feature::AnalyzerSkipLayers, Analyzer), on(Restorer)],
    },
    Flag {
        name: "skip-restore", kind: Switch(|s| &mut s.inputs.skip_layers), group: Behaviour,
        env: &["CNB_SKIP_LAYERS", "CNB_SKIP_RESTORE"], default: "",
        help: "do not restore layers or layer metadata",
        uses: &[on(Creator)],
    },
    Flag {
        name: "snapshot-mode", kind: Text(|s| &mut s.inputs.dockerfile.snapshot_mode), group: Behaviour,
        env: &[], default: "full",
        help: "how changed files are found: full, redo (modification time, size, mode, owner) or time (modification time)",
        uses: &[on(Dockerfile)],
    },
    Flag {
        name: "stack", kind: Path(|s| &mut s.inputs.stack), group: Files,
        env: &["CNB_STACK_PATH"], default: "/cnb/stack.toml",
        help: "path to stack.toml",
        uses: &[before(Feature::RunToml, Analyzer), before(Feature::RunToml, Exporter), on(Creator)],
    },
    Flag {
        name: "system", kind: Path(|s| &mut s.inputs.system), group: Files,
        env: &["CNB_SYSTEM_PATH"], default: "/cnb/system.toml",
        help: "path to system.toml",
        uses: &[since(Feature::SystemBuildpacks, Detector), since(Feature::SystemBuildpacks, Creator)],
    },
    Flag {
        name: "tag", kind: List(|s| &mut s.inputs.additional_tags), group: Images,
        env: &[], default: "",
        help: "additional tags",
        uses: &[on(Analyzer), on(Creator)],
    },
    Flag {
        name: "target", kind: OptionalText(|s| &mut s.inputs.dockerfile.target), group: Behaviour,
        env: &[], default: "",
        help: "name or number of the stage to make, instead of the last",
        uses: &[on(Dockerfile)],
    },
    Flag {
        name: "uid", kind: Id(|s| &mut s.inputs.uid), group: User,
        env: &["CNB_USER_ID"], default: "0",
        help: "UID of user in the stack's build and run images",
        uses: UNPRIVILEGED,
    },
    Flag {
        name: "version", kind: Switch(|s| &mut s.version), group: General,
        env: &[], default: "",
        help: "show version",
        uses: EVERYWHERE,
    },
];
