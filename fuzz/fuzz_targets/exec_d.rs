//! Output of an exec.d program sets variables that an environment can hold, or is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifecycle_core::data::exec_d;

fuzz_target!(|output: Vec<u8>| {
    for (name, value) in exec_d::parse(output).unwrap_or_default() {
        assert!(!name.contains('\0') && !value.contains('\0'));
    }
});
