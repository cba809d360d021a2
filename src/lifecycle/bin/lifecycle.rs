//! Every phase in one binary: which one, says the name it is started under or its first argument.

use lifecycle::command::{
    self, Entry, analyzer::Analyzer, builder::Builder, creator::Creator, detector::Detector,
    dockerfile::Dockerfile, exporter::Exporter, extender::Extender, rebaser::Rebaser,
    restorer::Restorer,
};
use std::process::ExitCode;

fn main() -> ExitCode {
    command::dispatch(&[
        Entry::of::<Analyzer>(),
        Entry::of::<Detector>(),
        Entry::of::<Restorer>(),
        Entry::of::<Extender>(),
        Entry::of::<Builder>(),
        Entry::of::<Exporter>(),
        Entry::of::<Creator>(),
        Entry::of::<Rebaser>(),
        Entry::of::<Dockerfile>(),
    ])
}
