//! Mistakes that a sanitizer has to report: `run.py` compiles this as it compiles what it tests, and looks whether it does.

use std::hint::black_box;
use std::mem::forget;

/// Reads what was freed.
#[unsafe(no_mangle)]
pub extern "C" fn use_after_free() -> u8 {
    let freed = Box::into_raw(Box::new([7_u8; 64]));
    // SAFETY: not given, on purpose: the second line reads what the first one frees.
    unsafe {
        drop(Box::from_raw(freed));
        black_box(freed).cast::<u8>().read()
    }
}

/// What Node calls in an addon that it loads.
#[unsafe(no_mangle)]
pub extern "C" fn napi_register_module_v1(_env: *mut u8, exports: *mut u8) -> *mut u8 {
    use_after_free();
    exports
}

/// As a program: what its argument says.
pub fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("leak") => forget(black_box(Box::new([7_u8; 64]))),
        _ => drop(black_box(use_after_free())),
    }
}
