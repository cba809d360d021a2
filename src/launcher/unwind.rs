//! Stands in for the unwinder, which nothing in the launcher needs: a panic prints its message and aborts.
//!
//! The standard library's panic message has a backtrace, and with it the readers for ELF, DWARF and compressed debug
//! information: 220 KB, more than everything else in the launcher. They hang on one function, `_Unwind_Backtrace`.
//! Here it finds no frames, so that the linker sees that nothing ever reads debug information. The other functions are
//! those that the standard library refers to: with all of them here, the linker leaves the unwinder out (50 KB).
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

/// `_URC_END_OF_STACK` of the Itanium C++ ABI.
const END_OF_STACK: c_int = 5;

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Backtrace(_trace: *const c_void, _argument: *mut c_void) -> c_int {
    END_OF_STACK
}

macro_rules! never_called {
    ($($name:ident),+) => {
        $(
            /// Called about frames that [`_Unwind_Backtrace`] found, or that an exception passes: there are none.
            #[unsafe(no_mangle)]
            extern "C" fn $name() -> ! {
                std::process::abort()
            }
        )+
    };
}
never_called!(
    _Unwind_FindEnclosingFunction,
    _Unwind_GetCFA,
    _Unwind_GetDataRelBase,
    _Unwind_GetIP,
    _Unwind_GetIPInfo,
    _Unwind_GetLanguageSpecificData,
    _Unwind_GetRegionStart,
    _Unwind_GetTextRelBase,
    _Unwind_Resume,
    _Unwind_SetGR,
    _Unwind_SetIP
);
