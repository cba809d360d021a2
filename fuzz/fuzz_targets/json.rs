//! Whatever parses is written as a document that parses to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifecycle_core::json::{self, Numbers};

fuzz_target!(|text: &str| {
    for numbers in [Numbers::Exact, Numbers::Floats] {
        if let Ok(value) = json::parse(text, numbers) {
            let written = json::to_string(&value);
            let again = json::parse(&written, numbers).expect("what was written parses");
            assert_eq!(json::to_string(&again), written);
        }
    }
});
