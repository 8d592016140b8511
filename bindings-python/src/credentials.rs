//! A function of credentials: asked in a thread of its own, where it may block, or in an event loop, where it is a
//! coroutine function. The core's thread needs no GIL for it.

use std::fmt;
use std::sync::{Arc, Mutex, Weak};

use leaselock::Credentials;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::aio::bridge::{Item, Ready};
use crate::args;
use crate::exit;
use crate::process::lock;

/// A function that hangs gets no more threads than this for one client; who comes then waits.
const MOST_CALLS: usize = 8;

/// What the argument `credentials` is.
pub(crate) struct Function {
    function: Py<PyAny>,
    is_coroutine: bool,
}

impl Function {
    /// Checks the argument; a client whose calls block has no use for a coroutine function.
    pub(crate) fn new(credentials: &Bound<'_, PyAny>, has_loop: bool) -> PyResult<Self> {
        let (function, is_coroutine) = credentials
            .py()
            .import("leaselock._credentials")?
            .call_method1("function_of", (credentials, has_loop))?
            .extract()?;
        Ok(Self {
            function,
            is_coroutine,
        })
    }

    /// The function for a client of this process, which is used on `loops`.
    pub(crate) fn asked(&self, py: Python<'_>, loops: &Arc<Loops>) -> Asked {
        Asked {
            function: Arc::new(self.function.clone_ref(py)),
            loops: self.is_coroutine.then(|| Arc::clone(loops)),
            calls: Arc::new(Semaphore::new(MOST_CALLS)),
        }
    }
}

/// The event loops that a client is used on, the last one last.
#[derive(Default)]
pub(crate) struct Loops(Mutex<Vec<Weak<Ready>>>);

impl Loops {
    pub(crate) fn used(&self, ready: &Arc<Ready>) {
        let mut loops = lock(&self.0);
        let is_this = |known: &Weak<Ready>| std::ptr::eq(known.as_ptr(), Arc::as_ptr(ready));
        if !loops.last().is_some_and(is_this) {
            loops.retain(|known| !is_this(known) && known.strong_count() > 0);
            loops.push(Arc::downgrade(ready));
        }
    }

    /// Has the last one that has not ended ask.
    fn ask(&self, call: Call) {
        let loops: Vec<_> = lock(&self.0).iter().filter_map(Weak::upgrade).collect();
        let mut item = Item::Credentials(call);
        for ready in loops.iter().rev() {
            match ready.offer(item) {
                Ok(()) => return,
                Err(refused) => item = refused,
            }
        }
    }
}

/// A function and where it is asked.
#[derive(Clone)]
pub(crate) struct Asked {
    function: Arc<Py<PyAny>>,
    /// None where a thread does it.
    loops: Option<Arc<Loops>>,
    calls: Arc<Semaphore>,
}

impl Asked {
    pub(crate) async fn ask(self) -> Result<Credentials, Raised> {
        let permit = self.calls.acquire_owned().await.ok();
        let (sender, answer) = oneshot::channel();
        let call = Call {
            function: self.function,
            request: CredentialsRequest {
                answer: Mutex::new(Some((sender, permit))),
            },
        };
        match &self.loops {
            Some(loops) => loops.ask(call),
            None => drop(tokio::task::spawn_blocking(|| {
                exit::attached(|py| call.begin(py, None));
            })),
        }
        answer.await.unwrap_or_else(|_| Err(Raised(None)))
    }
}

/// One call of the function, about to be made.
pub(crate) struct Call {
    function: Arc<Py<PyAny>>,
    request: CredentialsRequest,
}

impl Call {
    /// Has this loop make it.
    pub(crate) fn begin_in(self, event_loop: &Bound<'_, PyAny>) {
        self.begin(event_loop.py(), Some(event_loop));
    }

    fn begin(self, py: Python<'_>, event_loop: Option<&Bound<'_, PyAny>>) {
        let begun = Bound::new(py, self.request).and_then(|request| {
            let module = py.import("leaselock._credentials")?;
            let function = self.function.bind(py);
            let begun = match event_loop {
                None => module.call_method1("ask", (function, &request)),
                Some(event_loop) => {
                    module.call_method1("ask_in_loop", (function, &request, event_loop))
                }
            };
            if let Err(error) = begun {
                request
                    .get()
                    .fail(error.into_value(py).into_bound(py).into_any());
            }
            Ok(())
        });
        // Without memory the request is dropped, which tells.
        drop(begun);
    }
}

type Answer = oneshot::Sender<Result<Credentials, Raised>>;

/// Where the function's answer goes. Dropped without one, the call has failed.
#[pyclass(frozen, module = "leaselock._native")]
pub(crate) struct CredentialsRequest {
    answer: Mutex<Option<(Answer, Option<OwnedSemaphorePermit>)>>,
}

impl CredentialsRequest {
    fn give(&self, answer: Result<Credentials, Raised>) {
        if let Some((sender, permit)) = lock(&self.answer).take() {
            // Whoever asked may have given up.
            let _ = sender.send(answer);
            drop(permit);
        }
    }
}

#[pymethods]
impl CredentialsRequest {
    /// What the function returned.
    fn answer(&self, credentials: &Bound<'_, PyAny>) -> PyResult<()> {
        self.give(Ok(read(credentials)?));
        Ok(())
    }

    /// What the function raised.
    fn fail(&self, error: Bound<'_, PyAny>) {
        self.give(Err(Raised(Some(PyErr::from_value(error)))));
    }
}

/// A user and a password, or a password alone, as redis-py has them.
fn read(credentials: &Bound<'_, PyAny>) -> PyResult<Credentials> {
    let wrong = || {
        // Its value may be a secret.
        PyTypeError::new_err(
            "credentials must return a tuple of two str, the user and the password",
        )
    };
    let parts = credentials.cast::<PyTuple>().map_err(|_| wrong())?;
    let part = |at| {
        let part = parts.get_item(at)?;
        args::text("what credentials returned", &part).map(str::to_owned)
    };
    match parts.len() {
        1 => Ok(Credentials::new("", part(0)?)),
        2 => Ok(Credentials::new(part(0)?, part(1)?)),
        _ => Err(wrong()),
    }
}

/// What the function raised, as the cause of an error. Its text may hold a secret, and is not shown here.
pub(crate) struct Raised(Option<PyErr>);

impl Raised {
    /// What a function of credentials raised that caused this error.
    pub(crate) fn of(error: &leaselock::Error) -> Option<&PyErr> {
        let source = std::error::Error::source(error)?;
        source.downcast_ref::<Self>()?.0.as_ref()
    }
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Some(_) => "the function of credentials raised",
            None => "no event loop or thread could call the function of credentials",
        })
    }
}

impl fmt::Debug for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Raised {}
