//! Whatever parses is written as a document that parses to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifecycle_core::toml;

fuzz_target!(|text: &str| {
    if let Ok(table) = toml::parse(text) {
        let written = toml::to_string(&table);
        let again = toml::parse(&written).expect("what was written parses");
        assert_eq!(toml::to_string(&again), written);
    }
});
