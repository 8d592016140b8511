//! The native part of `AsyncClient`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use leaselock::{Client, GroupRequest, Request};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::bridge::Bridge;
use super::group::AsyncGroupCore;
use super::lease::AsyncLeaseCore;
use super::line::Line;
use super::locks::AsyncLocks;
use super::operation::{Abandoned, Operation, submit};
use super::request::{PyGroupRequest, PyRequest};
use crate::access::Access;
use crate::args::{self, Given, Options};
use crate::client::{Made, describe};
use crate::credentials::Loops;
use crate::process::{PerProcess, lock};
use crate::{errors, observe, records};

static LAST_NUMBER: AtomicU64 = AtomicU64::new(0);

/// What `AsyncClient` is made of: each call gives an operation to await on the bridge of the running loop.
#[pyclass(subclass, frozen, module = "leaselock._native")]
pub(crate) struct AsyncClientCore {
    /// By which the bridges know it.
    number: u64,
    /// Set by `__init__`, which a subclass may have of its own.
    of: OnceLock<Of>,
    closed: AtomicBool,
    /// The bridges of the loops it was used on.
    bridges: Mutex<Vec<Py<Bridge>>>,
}

struct Of {
    made: Made,
    core: PerProcess<Core>,
}

/// What each process has of its own.
struct Core {
    client: Client,
    loops: Arc<Loops>,
}

impl AsyncClientCore {
    fn core(&self, py: Python<'_>) -> PyResult<&Client> {
        self.process_core(py).map(|core| &core.client)
    }

    fn process_core(&self, py: Python<'_>) -> PyResult<&Core> {
        let of = self.of.get().ok_or_else(errors::uninitialised)?;
        of.core.get_or_make(|| build(py, &of.made))
    }

    /// The core's client for a call on this bridge.
    fn call(&self, bridge: &Bound<'_, Bridge>) -> PyResult<&Client> {
        let py = bridge.py();
        if !self.closed.load(Ordering::SeqCst) && !self.uses(bridge) {
            bridge.get().join(py, self.number)?;
            let shut: Vec<_> = {
                let mut bridges = lock(&self.bridges);
                bridges.push(bridge.clone().unbind());
                bridges
                    .extract_if(.., |known| known.get().is_shut())
                    .collect()
            };
            drop(shut);
            // Closed meanwhile, in another thread: it told the bridges that it knew of then.
            if self.closed.load(Ordering::SeqCst) {
                bridge.get().part(self.number);
            }
        }
        let core = self.process_core(py)?;
        core.loops.used(bridge.get().ready()?);
        Ok(&core.client)
    }

    fn uses(&self, bridge: &Bound<'_, Bridge>) -> bool {
        lock(&self.bridges).iter().any(|known| known.is(bridge))
    }

    fn take(
        &self,
        bridge: &Bound<'_, Bridge>,
        mut request: Request,
        once: bool,
    ) -> PyResult<Operation> {
        let client = self.call(bridge)?;
        request = observe::in_context(bridge.py(), request)?;
        if let Some(line) = bridge.get().line(bridge.py(), self.number) {
            request = match Line::acquire(&line, bridge, client, request, once)? {
                Ok(operation) => return Ok(operation),
                Err(request) => request,
            };
        }
        let client = client.clone();
        let work = async move { client.take_request(request, once).await };
        let finish = AsyncLeaseCore::finish(self.number);
        submit(bridge, Abandoned::Drops, work, finish)
    }
}

impl AsyncClientCore {
    fn take_all(
        &self,
        bridge: &Bound<'_, Bridge>,
        request: GroupRequest,
        once: bool,
    ) -> PyResult<Operation> {
        let client = self.call(bridge)?;
        let mut request = observe::all_in_context(bridge.py(), request)?;
        if let Some(line) = bridge.get().line(bridge.py(), self.number) {
            request = match Line::acquire_all(&line, bridge, client, request, once)? {
                Ok(operation) => return Ok(operation),
                Err(request) => request,
            };
        }
        let client = client.clone();
        let work = async move { client.take_all_request(request, once).await };
        submit(
            bridge,
            Abandoned::Drops,
            work,
            AsyncGroupCore::finish(self.number),
        )
    }
}

impl Drop for AsyncClientCore {
    /// Collected without being closed: no bridge stays open for its sake.
    fn drop(&mut self) {
        for bridge in lock(&self.bridges).iter() {
            bridge.get().part(self.number);
        }
    }
}

fn build(py: Python<'_>, made: &Made) -> PyResult<Core> {
    let loops = Arc::default();
    let builder = made.builder(py, &loops)?;
    let client = builder.build().map_err(|e| errors::raise(py, &e))?;
    Ok(Core { client, loops })
}

#[pymethods]
impl AsyncClientCore {
    #[new]
    #[pyo3(signature = (*_args, **_options),
           text_signature = "(url=None, *, app_id=None, command_timeout=5, tls_ca=None, tls_cert=None, tls_key=None, tls_insecure_skip_verify=False, key_prefix=None, address_map=None, replicas=0, credentials=None)")]
    fn make(_args: &Bound<'_, PyTuple>, _options: Option<&Bound<'_, PyDict>>) -> Self {
        Self {
            number: LAST_NUMBER.fetch_add(1, Ordering::Relaxed),
            of: OnceLock::new(),
            closed: AtomicBool::new(false),
            bridges: Mutex::default(),
        }
    }

    #[pyo3(signature = (url=None, *, app_id=None, command_timeout=Given::Default, tls_ca=None, tls_cert=None, tls_key=None,
                        tls_insecure_skip_verify=Given::Default, key_prefix=None, address_map=None,
                        replicas=Given::Default, credentials=None))]
    #[allow(clippy::too_many_arguments, reason = "each is an option of its own")]
    fn __init__(
        &self,
        py: Python<'_>,
        url: Option<&Bound<'_, PyAny>>,
        app_id: Option<&Bound<'_, PyAny>>,
        command_timeout: Given<'_>,
        tls_ca: Option<&Bound<'_, PyAny>>,
        tls_cert: Option<&Bound<'_, PyAny>>,
        tls_key: Option<&Bound<'_, PyAny>>,
        tls_insecure_skip_verify: Given<'_>,
        key_prefix: Option<&Bound<'_, PyAny>>,
        address_map: Option<&Bound<'_, PyAny>>,
        replicas: Given<'_>,
        credentials: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let tls = [tls_ca, tls_cert, tls_key];
        let skip_verify = &tls_insecure_skip_verify;
        let access = Access::new(
            tls,
            skip_verify,
            key_prefix,
            address_map,
            &replicas,
            credentials,
            true,
        )?;
        let made = Made::new(url, app_id, &command_timeout, access)?;
        let core = PerProcess::new(build(py, &made)?);
        let of = Of { made, core };
        self.of.set(of).map_err(|_| errors::initialised())
    }

    /// What this client is called on the server and in log records; another name after a fork.
    #[getter]
    fn id<'py>(&'py self, py: Python<'py>) -> PyResult<&'py str> {
        Ok(self.core(py)?.id())
    }

    /// The app id, empty for none.
    #[getter]
    fn app_id<'py>(&'py self, py: Python<'py>) -> PyResult<&'py str> {
        Ok(self.core(py)?.app_id())
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// The counters of this client. No network.
    ///
    /// Returns:
    ///     Stats: What it holds and waits for now, and what has happened since it was made.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        records::stats(py, self.core(py)?.stats())
    }

    #[pyo3(signature = (bridge, name, *options))]
    fn _acquire<'py>(
        &self,
        bridge: &Bound<'py, Bridge>,
        name: &Bound<'py, PyAny>,
        options: &Bound<'py, PyTuple>,
    ) -> PyResult<Operation> {
        let request = args::request(name, Options::in_order(options))?;
        self.take(bridge, request, false)
    }

    #[pyo3(signature = (name, *options))]
    fn _request<'py>(
        &self,
        name: &Bound<'py, PyAny>,
        options: &Bound<'py, PyTuple>,
    ) -> PyResult<PyRequest> {
        let request = args::request(name, Options::in_order(options))?;
        Ok(PyRequest(request))
    }

    fn _acquire_checked(
        &self,
        bridge: &Bound<'_, Bridge>,
        request: &Bound<'_, PyRequest>,
    ) -> PyResult<Operation> {
        self.take(bridge, request.get().0.clone(), false)
    }

    fn _acquire_to_lead(
        &self,
        bridge: &Bound<'_, Bridge>,
        request: &Bound<'_, PyRequest>,
    ) -> PyResult<Operation> {
        let client = self.call(bridge)?.clone();
        let request = observe::in_context(bridge.py(), request.get().0.clone())?;
        let work = async move { client.acquire_to_lead(request).await.map(Some) };
        let finish = AsyncLeaseCore::finish(self.number);
        submit(bridge, Abandoned::Drops, work, finish)
    }

    #[pyo3(signature = (bridge, name, *options))]
    fn _try_acquire<'py>(
        &self,
        bridge: &Bound<'py, Bridge>,
        name: &Bound<'py, PyAny>,
        options: &Bound<'py, PyTuple>,
    ) -> PyResult<Operation> {
        let request = args::request(name, Options::in_order(options))?;
        self.take(bridge, request, true)
    }

    #[pyo3(signature = (bridge, once, names, *options))]
    fn _acquire_all<'py>(
        &self,
        bridge: &Bound<'py, Bridge>,
        once: bool,
        names: &Bound<'py, PyAny>,
        options: &Bound<'py, PyTuple>,
    ) -> PyResult<Operation> {
        let request = args::group_request(names, Options::in_order(options))?;
        self.take_all(bridge, request.0, once)
    }

    #[pyo3(signature = (names, *options))]
    fn _request_all<'py>(
        &self,
        names: &Bound<'py, PyAny>,
        options: &Bound<'py, PyTuple>,
    ) -> PyResult<PyGroupRequest> {
        args::group_request(names, Options::in_order(options))
    }

    fn _acquire_all_checked(
        &self,
        bridge: &Bound<'_, Bridge>,
        request: &Bound<'_, PyGroupRequest>,
    ) -> PyResult<Operation> {
        self.take_all(bridge, request.get().0.clone(), false)
    }

    fn _release<'py>(
        &self,
        bridge: &Bound<'py, Bridge>,
        name: &Bound<'py, PyAny>,
        owner: &Bound<'py, PyAny>,
    ) -> PyResult<Operation> {
        let (name, owner) = (
            args::text("name", name)?.to_owned(),
            args::text("owner", owner)?.to_owned(),
        );
        let client = self.call(bridge)?.clone();
        let work = async move { client.release(&name, &owner).await };
        submit(bridge, Abandoned::GoesOn, work, records::status)
    }

    fn _extend<'py>(
        &self,
        bridge: &Bound<'py, Bridge>,
        name: &Bound<'py, PyAny>,
        owner: &Bound<'py, PyAny>,
        ttl: &Bound<'py, PyAny>,
    ) -> PyResult<Operation> {
        let (name, owner) = (
            args::text("name", name)?.to_owned(),
            args::text("owner", owner)?.to_owned(),
        );
        let ttl = args::seconds("ttl", ttl)?;
        let client = self.call(bridge)?.clone();
        let work = async move { client.extend(&name, &owner, ttl).await };
        submit(bridge, Abandoned::GoesOn, work, records::extended)
    }

    fn _force_release<'py>(
        &self,
        bridge: &Bound<'py, Bridge>,
        name: &Bound<'py, PyAny>,
    ) -> PyResult<Operation> {
        let name = args::text("name", name)?.to_owned();
        let client = self.call(bridge)?.clone();
        let work = async move { client.force_release(&name).await };
        submit(bridge, Abandoned::GoesOn, work, records::status)
    }

    fn _inspect<'py>(
        &self,
        bridge: &Bound<'py, Bridge>,
        name: &Bound<'py, PyAny>,
    ) -> PyResult<Operation> {
        let name = args::text("name", name)?.to_owned();
        let client = self.call(bridge)?.clone();
        let work = async move { client.inspect(&name).await };
        submit(bridge, Abandoned::Drops, work, |py, info| match info {
            Some(info) => records::info(py, info),
            None => Ok(py.None().into_bound(py)),
        })
    }

    fn _locks(&self, py: Python<'_>, pattern: &Bound<'_, PyAny>) -> PyResult<AsyncLocks> {
        let found = self.core(py)?.locks(args::text("pattern", pattern)?);
        found
            .map(AsyncLocks::new)
            .map_err(|e| errors::raise(py, &e))
    }

    fn _close(&self, bridge: &Bound<'_, Bridge>) -> PyResult<Operation> {
        let client = self.call(bridge)?.clone();
        self.closed.store(true, Ordering::SeqCst);
        let work = async move { client.close().await };
        submit(bridge, Abandoned::GoesOn, work, |py, ()| {
            Ok(py.None().into_bound(py))
        })
    }

    /// The bridges it was used on, which it uses no more.
    fn _part(&self) -> Vec<Py<Bridge>> {
        let bridges = std::mem::take(&mut *lock(&self.bridges));
        for bridge in &bridges {
            bridge.get().part(self.number);
        }
        bridges
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        if self.of.get().is_none() {
            return Ok("<leaselock.AsyncClient, not initialised>".to_owned());
        }
        let core = self.core(py)?;
        Ok(describe("AsyncClient", core.id(), core.app_id()))
    }

    /// The client itself.
    fn __copy__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// The client itself.
    fn __deepcopy__<'py>(slf: Bound<'py, Self>, _memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
        slf
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "cannot pickle 'leaselock.AsyncClient': its connections belong to its process; make a new one there",
        ))
    }
}
