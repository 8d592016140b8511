//! The functions of libuv, looked up in the program that runs when they are first needed.
//!
//! Linked, they would keep the addon from being loaded at all where they are missing: other runtimes load addons too.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use napi::sys::uv_loop_s;

use crate::system;

/// Opaque: a `uv_poll_t`, `uv_prepare_t` or `uv_timer_t`, each of which begins with a `uv_handle_t`.
pub(crate) type Raw = *mut c_void;
pub(crate) type Callback = unsafe extern "C" fn(Raw);
pub(crate) type PollCallback = unsafe extern "C" fn(Raw, c_int, c_int);

macro_rules! functions {
    ($($(#[$when:meta])? fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        struct Functions {
            $($(#[$when])? $name: unsafe extern "C" fn($($type),*) $(-> $result)?,)*
        }

        impl Functions {
            fn find() -> Option<Self> {
                let program = system::program()?;
                Some(Self {
                    $(
                        $(#[$when])?
                        // SAFETY: the type is that of uv.h, whose ABI is frozen within a major version.
                        $name: *unsafe { program.get(concat!(stringify!($name), "\0")) }.ok()?,
                    )*
                })
            }
        }

        $(
            $(#[$when])?
            pub(crate) unsafe fn $name($($argument: $type),*) $(-> $result)? {
                let functions = functions().expect("whoever calls libuv has seen that it is there");
                // SAFETY: the caller's duty.
                unsafe { (functions.$name)($($argument),*) }
            }
        )*
    };
}

functions! {
    fn uv_handle_size(kind: c_int) -> usize;
    fn uv_handle_set_data(handle: Raw, data: *mut c_void);
    fn uv_handle_get_data(handle: Raw) -> *mut c_void;
    fn uv_handle_get_type(handle: Raw) -> c_int;
    #[cfg(unix)]
    fn uv_poll_init(uv: *mut uv_loop_s, handle: Raw, fd: c_int) -> c_int;
    #[cfg(windows)]
    fn uv_poll_init_socket(uv: *mut uv_loop_s, handle: Raw, socket: u64) -> c_int;
    fn uv_poll_start(handle: Raw, events: c_int, callback: PollCallback) -> c_int;
    fn uv_prepare_init(uv: *mut uv_loop_s, handle: Raw) -> c_int;
    fn uv_prepare_start(handle: Raw, callback: Callback) -> c_int;
    fn uv_prepare_stop(handle: Raw) -> c_int;
    fn uv_timer_init(uv: *mut uv_loop_s, handle: Raw) -> c_int;
    fn uv_timer_start(handle: Raw, callback: Callback, timeout: u64, repeat: u64) -> c_int;
    fn uv_ref(handle: Raw);
    fn uv_unref(handle: Raw);
    fn uv_close(handle: Raw, callback: Callback);
}

fn functions() -> Option<&'static Functions> {
    static FUNCTIONS: OnceLock<Option<Functions>> = OnceLock::new();
    FUNCTIONS.get_or_init(Functions::find).as_ref()
}

/// Whether the program that runs has all of them.
pub(crate) fn is_there() -> bool {
    functions().is_some()
}
