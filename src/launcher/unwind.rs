//! Stands in for the unwinder, which nothing in the launcher needs: a panic prints its message and aborts.
//!
//! The standard library's panic message has a backtrace, and with it the readers for ELF, DWARF and compressed debug
//! information: 220 KB, more than everything else in the launcher. They hang on one function, `_Unwind_Backtrace`.
//! Here it finds no frames, so that the linker sees that nothing ever reads debug information. The other functions are
//! those that the unwinder's archive keeps in the same object, which must be replaced as a whole.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

/// `_URC_END_OF_STACK` of the Itanium C++ ABI.
const END_OF_STACK: c_int = 5;

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Backtrace(_trace: *const c_void, _argument: *mut c_void) -> c_int {
    END_OF_STACK
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_FindEnclosingFunction(_address: *const c_void) -> *const c_void {
    std::ptr::null()
}

macro_rules! never_called {
    ($($name:ident),+) => {
        $(
            /// Called while an exception passes a frame; `panic = "abort"` raises none.
            #[unsafe(no_mangle)]
            extern "C" fn $name() -> ! {
                std::process::abort()
            }
        )+
    };
}
never_called!(_Unwind_GetCFA, _Unwind_GetDataRelBase, _Unwind_GetIPInfo, _Unwind_GetTextRelBase);
