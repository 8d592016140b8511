//! libuv, Node's event loop: watching a socket in it, and calling JavaScript from there.
//!
//! The unsafe code that is written by hand is here, in `libuv` and in `system`. It rests on this: a [`EventLoop`] is made in the thread of its
//! JavaScript environment, neither it nor a [`Watch`] can leave that thread, libuv calls back in that thread alone, and the
//! environment does not end before the last handle has been closed. A handle's memory belongs to libuv from its
//! initialisation until it reports it closed; only then is it freed, and with it what its callbacks refer to.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use leaselock::platform::BorrowedDescriptor;
use napi::{Env, Status, check_status, sys};

use crate::libuv::{
    self, Raw, uv_close, uv_handle_get_data, uv_handle_get_type, uv_handle_set_data,
    uv_handle_size, uv_poll_start, uv_prepare_init, uv_prepare_start, uv_prepare_stop, uv_ref,
    uv_timer_init, uv_timer_start, uv_unref,
};
use crate::system::watch_socket;

/// The members of `uv_handle_type` that are used; libuv's ABI is frozen within a major version.
const UV_POLL: c_int = 8;
const UV_PREPARE: c_int = 9;
const UV_TIMER: c_int = 13;
const UV_READABLE: c_int = 1;
const UV_WRITABLE: c_int = 2;
/// What `malloc` aligns to; no libuv handle needs more.
const ALIGN: usize = 16;

/// Who is told what happens to a watched socket.
pub(crate) trait Watcher {
    /// It can be read or written, or has ended.
    fn ready(self: Rc<Self>);
    /// The loop is about to wait; asked for by [`Watch::tell_before_waiting`].
    fn before_waiting(self: Rc<Self>);
    /// The time of [`Watch::tell_in`] has come.
    fn time_out(self: Rc<Self>);
    /// The environment ends: drop the watch.
    fn end(self: Rc<Self>);
}

/// The event loop of one JavaScript environment.
pub(crate) struct EventLoop {
    env: Env,
    uv: *mut sys::uv_loop_s,
    context: sys::napi_async_context,
    watchers: RefCell<Vec<Weak<dyn Watcher>>>,
    /// Handles that libuv has not reported closed.
    handles: Cell<usize>,
    /// Set while the environment ends, until all handles are closed.
    ending: Cell<sys::napi_async_cleanup_hook_handle>,
    ended: Cell<bool>,
}

impl EventLoop {
    /// The loop of the environment that runs; `None` where that is not libuv's.
    pub(crate) fn new(env: &Env) -> napi::Result<Option<Rc<Self>>> {
        if !libuv::is_there() {
            return Ok(None);
        }
        let raw = env.raw();
        let mut uv = ptr::null_mut();
        let mut name = ptr::null_mut();
        let mut context = ptr::null_mut();
        // SAFETY: `env` is the environment that runs in this thread, and each result is a local of the right type.
        unsafe {
            check_status!(sys::napi_get_uv_event_loop(raw, &raw mut uv))?;
            let text = c"leaselock";
            check_status!(sys::napi_create_string_utf8(
                raw,
                text.as_ptr(),
                text.count_bytes().cast_signed(),
                &raw mut name
            ))?;
            check_status!(sys::napi_async_init(
                raw,
                ptr::null_mut(),
                name,
                &raw mut context
            ))?;
        }
        let this = Rc::new(Self {
            env: *env,
            uv,
            context,
            watchers: RefCell::default(),
            handles: Cell::new(0),
            ending: Cell::new(ptr::null_mut()),
            ended: Cell::new(false),
        });
        let data = Rc::into_raw(this.clone()).cast_mut().cast();
        // SAFETY: the hook is called once, with the reference that `data` carries.
        let status =
            unsafe { sys::napi_add_async_cleanup_hook(raw, Some(end), data, ptr::null_mut()) };
        check_status!(status)?;
        Ok(Some(this))
    }

    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    /// Runs `work`, which may call JavaScript; the microtasks and ticks that it causes have run when this returns.
    pub(crate) fn run(&self, work: impl FnOnce(&Env)) {
        let env = self.env.raw();
        let mut handles = ptr::null_mut();
        let mut scope = ptr::null_mut();
        let mut resource = ptr::null_mut();
        // SAFETY: the environment lives (see the module), and scopes are closed in the opposite order.
        unsafe {
            if sys::napi_open_handle_scope(env, &raw mut handles) != sys::Status::napi_ok {
                return;
            }
            if sys::napi_create_object(env, &raw mut resource) == sys::Status::napi_ok
                && sys::napi_open_callback_scope(env, resource, self.context, &raw mut scope)
                    == sys::Status::napi_ok
            {
                work(&self.env);
                sys::napi_close_callback_scope(env, scope);
            }
            sys::napi_close_handle_scope(env, handles);
        }
    }

    fn closed_one(&self) {
        self.handles.set(self.handles.get() - 1);
        self.end_if_closed();
    }

    /// Lets the environment end once nothing of this loop is left in it.
    fn end_if_closed(&self) {
        let hook = self.ending.get();
        if self.handles.get() == 0 && !hook.is_null() {
            self.ending.set(ptr::null_mut());
            // SAFETY: `hook` is what the environment gave to `end`, and is used once; the context came from
            // `napi_async_init` and is not used after this, since no callback is left that would.
            unsafe {
                sys::napi_async_destroy(self.env.raw(), self.context);
                sys::napi_remove_async_cleanup_hook(hook);
            }
        }
    }
}

/// The environment ends.
unsafe extern "C" fn end(hook: sys::napi_async_cleanup_hook_handle, data: *mut c_void) {
    // SAFETY: `data` is the reference that `EventLoop::new` gave away, and this is its only use.
    let this = unsafe { Rc::from_raw(data.cast_const().cast::<EventLoop>()) };
    this.ended.set(true);
    this.ending.set(hook);
    let watchers = this.watchers.take();
    for watcher in watchers.iter().filter_map(Weak::upgrade) {
        watcher.end();
    }
    this.end_if_closed();
}

/// A socket watched in an event loop, for reading from the start. It does not keep the process alive unless asked to.
pub(crate) struct Watch {
    poll: Handle,
    prepare: Handle,
    timer: Handle,
}

impl Watch {
    /// Watches a socket, which must stay open until the watch has been dropped.
    pub(crate) fn new(
        event_loop: &Rc<EventLoop>,
        socket: BorrowedDescriptor<'_>,
        watcher: &Rc<impl Watcher + 'static>,
    ) -> napi::Result<Self> {
        if event_loop.ended.get() {
            return Err(napi::Error::from_status(Status::Closing));
        }
        let weak: Weak<dyn Watcher> = Rc::downgrade(watcher) as Weak<dyn Watcher>;
        let uv = event_loop.uv;
        // SAFETY: `uv` is this thread's loop and the handle has the size of its type. What is initialised is closed by
        // the drop of `Handle`.
        let poll = Handle::new(event_loop, &weak, UV_POLL, |handle| unsafe {
            watch_socket(uv, handle, socket)
        })?;
        // SAFETY: this thread's loop, and a handle of the size of a `uv_prepare_t`, closed by the drop of `Handle`.
        let prepare = Handle::new(event_loop, &weak, UV_PREPARE, |handle| unsafe {
            uv_prepare_init(uv, handle)
        })?;
        // SAFETY: this thread's loop, and a handle of the size of a `uv_timer_t`, closed by the drop of `Handle`.
        let timer = Handle::new(event_loop, &weak, UV_TIMER, |handle| unsafe {
            uv_timer_init(uv, handle)
        })?;
        {
            let mut watchers = event_loop.watchers.borrow_mut();
            watchers.retain(|known| known.strong_count() > 0 && !known.ptr_eq(&weak));
            watchers.push(weak);
        }
        // SAFETY: the handles are initialised and open.
        unsafe {
            uv_unref(poll.raw);
            uv_unref(prepare.raw);
            uv_unref(timer.raw);
            uv_check(uv_poll_start(poll.raw, UV_READABLE, polled))?;
        }
        Ok(Self {
            poll,
            prepare,
            timer,
        })
    }

    /// Whether to watch for writing too.
    pub(crate) fn watch_writable(&self, yes: bool) {
        let events = if yes {
            UV_READABLE | UV_WRITABLE
        } else {
            UV_READABLE
        };
        // SAFETY: the handle is open. It fails only for one that is closing.
        unsafe { uv_poll_start(self.poll.raw, events, polled) };
    }

    /// Whether this keeps the process alive.
    pub(crate) fn keep_alive(&self, yes: bool) {
        // SAFETY: the handle is open. Said twice it is the same as once.
        unsafe {
            if yes {
                uv_ref(self.poll.raw);
            } else {
                uv_unref(self.poll.raw);
            }
        }
    }

    /// Calls [`Watcher::before_waiting`] once, however often it is asked for until then.
    pub(crate) fn tell_before_waiting(&self) {
        // SAFETY: the handle is open; it cannot fail for such a one.
        unsafe { uv_prepare_start(self.prepare.raw, prepared) };
    }

    /// Calls [`Watcher::time_out`] once, after this long; instead of what was asked for before.
    pub(crate) fn tell_in(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        // SAFETY: the handle is open; it cannot fail for such a one.
        unsafe { uv_timer_start(self.timer.raw, timed_out, millis, 0) };
    }
}

/// What a handle's callbacks refer to.
struct Data {
    event_loop: Rc<EventLoop>,
    watcher: Weak<dyn Watcher>,
}

/// A handle of libuv that is initialised; dropping it closes it.
struct Handle {
    raw: Raw,
}

impl Handle {
    fn new(
        event_loop: &Rc<EventLoop>,
        watcher: &Weak<dyn Watcher>,
        kind: c_int,
        initialise: impl FnOnce(Raw) -> c_int,
    ) -> napi::Result<Self> {
        let layout = layout(kind)?;
        // SAFETY: no handle has the size zero.
        let raw: Raw = unsafe { alloc_zeroed(layout) }.cast();
        if raw.is_null() {
            handle_alloc_error(layout);
        }
        if let Err(error) = uv_check(initialise(raw)) {
            // SAFETY: allocated just now with this layout, and libuv did not take it.
            unsafe { dealloc(raw.cast(), layout) };
            return Err(error);
        }
        let data = Box::new(Data {
            event_loop: event_loop.clone(),
            watcher: watcher.clone(),
        });
        // SAFETY: `raw` is an initialised handle.
        unsafe { uv_handle_set_data(raw, Box::into_raw(data).cast()) };
        event_loop.handles.set(event_loop.handles.get() + 1);
        Ok(Self { raw })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and is not used by us after this. libuv stops watching before this returns.
        unsafe { uv_close(self.raw, closed) };
    }
}

/// libuv is done with a handle.
unsafe extern "C" fn closed(handle: Raw) {
    // SAFETY: the handle and its data were made by `Handle::new`, and nothing refers to them any more.
    let data = unsafe {
        let data = Box::from_raw(uv_handle_get_data(handle).cast::<Data>());
        if let Ok(layout) = layout(uv_handle_get_type(handle)) {
            dealloc(handle.cast(), layout);
        }
        data
    };
    data.event_loop.closed_one();
}

unsafe extern "C" fn polled(handle: Raw, _status: c_int, _events: c_int) {
    // An error of the socket shows when it is read.
    if let Some(watcher) = watcher(handle) {
        watcher.ready();
    }
}

unsafe extern "C" fn prepared(handle: Raw) {
    // SAFETY: the handle is open, as it just called back; it cannot fail for such a one.
    unsafe { uv_prepare_stop(handle) };
    if let Some(watcher) = watcher(handle) {
        watcher.before_waiting();
    }
}

unsafe extern "C" fn timed_out(handle: Raw) {
    if let Some(watcher) = watcher(handle) {
        watcher.time_out();
    }
}

fn watcher(handle: Raw) -> Option<Rc<dyn Watcher>> {
    // SAFETY: the handle is open, as it just called back, and its data are freed only after it was closed.
    let data = unsafe { &*uv_handle_get_data(handle).cast_const().cast::<Data>() };
    data.watcher.upgrade()
}

fn layout(kind: c_int) -> napi::Result<Layout> {
    // SAFETY: any number may be asked for.
    let size = unsafe { uv_handle_size(kind) };
    Layout::from_size_align(size, ALIGN)
        .map_err(|_| napi::Error::from_reason("libuv does not know this kind of handle"))
}

fn uv_check(code: c_int) -> napi::Result<()> {
    if code < 0 {
        return Err(napi::Error::from_reason(format!("libuv error {code}")));
    }
    Ok(())
}
