//! metadata.toml of any content is read, or refused, at every Platform API; what was read is written so that it reads
//! the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifecycle_core::api::PlatformApi;
use lifecycle_core::data::metadata::BuildMetadata;

fuzz_target!(|text: &str| {
    for api in PlatformApi::ALL.iter().copied() {
        if let Ok(metadata) = BuildMetadata::parse(text, api) {
            let written = metadata.to_toml(api);
            BuildMetadata::parse(&written, api).expect("what was written parses");
        }
    }
});
