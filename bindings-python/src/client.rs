//! `Client`: the client whose calls block.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use leaselock::{ClientBuilder, GroupRequest, Unit, blocking as core};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString, PyTuple};

use crate::access::Access;
use crate::aio::operation::Abandoned;
use crate::aio::request::{PyGroupRequest, PyRequest};
use crate::args::{self, Given, Options};
use crate::credentials::Loops;
use crate::greenlets::{self, or_blocking};
use crate::group::LeaseGroup;
use crate::interrupt::{self, Wait, blocking, waiting};
use crate::lease::Lease;
use crate::lock::Lock;
use crate::locks::LockIterator;
use crate::observe::{self, ToPython};
use crate::process::PerProcess;
use crate::{errors, events, process, records};

/// What a client was made with, for making it again in a forked child.
pub(crate) struct Made {
    url: Option<String>,
    app_id: Option<String>,
    command_timeout: Option<Duration>,
    access: Access,
}

impl Made {
    pub(crate) fn new(
        url: Option<&Bound<'_, PyAny>>,
        app_id: Option<&Bound<'_, PyAny>>,
        command_timeout: &Given<'_>,
        access: Access,
    ) -> PyResult<Self> {
        let text = |field, value: Option<&Bound<'_, PyAny>>| {
            value
                .map(|value| args::text(field, value).map(str::to_owned))
                .transpose()
        };
        let command_timeout = match command_timeout {
            Given::Default => None,
            Given::Value(value) => Some(args::seconds("command_timeout", value)?),
        };
        Ok(Self {
            url: text("url", url)?,
            app_id: text("app_id", app_id)?,
            command_timeout,
            access,
        })
    }

    /// A builder for a client on this process's runtime, and on `loops`.
    pub(crate) fn builder(&self, py: Python<'_>, loops: &Arc<Loops>) -> PyResult<ClientBuilder> {
        events::start_callbacks(py)?;
        errors::prepare(py)?;
        interrupt::note_thread(py);
        let process = process::current();
        let mut builder = leaselock::Client::builder()
            .unit(Unit::Seconds)
            .background(process.runtime(py)?.background())
            .among(&process.clients)
            .observer(Arc::new(ToPython))
            .interrupt(Arc::new(interrupt::requested));
        if let Some(url) = &self.url {
            builder = builder.url(url);
        }
        if let Some(app_id) = &self.app_id {
            builder = builder.app_id(app_id);
        }
        if let Some(timeout) = self.command_timeout {
            builder = builder.command_timeout(timeout);
        }
        Ok(self.access.said(py, builder, loops))
    }
}

/// A client whose calls block: `with Client("redis://localhost:6379") as client:`.
///
/// Nothing is connected until the first use. Any thread may use it; calls of several threads run in parallel. A signal
/// handler that raises, as Ctrl-C's does, ends a blocking call, which is then undone. In a child of a fork it works
/// again, under a new id.
///
/// Args:
///     url (str | None): Where the locks are: a server (`redis://`, `rediss://` for TLS, `valkey://`, `valkeys://`,
///         `unix:`), a master with its sentinels (`redis+sentinel://`), a cluster (`redis+cluster://`), a file for all
///         processes of this machine (`file:locks.db`), or this process alone (`memory:NAME`). None reads
///         LEASELOCK_URL.
///     app_id (str | None): Keeps the names of applications on one server apart; at most 256 bytes. None reads
///         LEASELOCK_APP_ID; empty is none.
///     command_timeout (float | timedelta): Seconds after which a command without an answer has failed.
///     tls_ca (str | PathLike | None): PEM file of the authorities to trust, for TLS; None trusts the system's.
///     tls_cert (str | PathLike | None): PEM file of the client's own certificate, for a server that asks for one.
///     tls_key (str | PathLike | None): PEM file of that certificate's key.
///     tls_insecure_skip_verify (bool): Whether any certificate is taken, which lets whoever sits in between read all.
///     key_prefix (str | None): Stands before every key and channel, at most 128 bytes. With one, locks are not shared
///         with Dapr.
///     address_map (Mapping[str, str] | None): Where servers are reached that announce other addresses than this client
///         can reach, as `{"announced:port": "reachable:port"}`: behind NAT, in containers. For sentinels and clusters.
///     replicas (int): How many replicas have to have a lock before it counts as acquired or renewed. An acquire that
///         fewer confirm is undone: StoreUnavailableError.
///     credentials (Callable | CredentialProvider | None): A function called for each new connection, which gives
///         `(user, password)`, in place of those in the URL: for passwords that expire or are rotated. It is called in
///         a thread of its own. It must not use the client itself, and has 1 second, more when it was slow before,
///         `command_timeout` at most. An object of redis-py's `CredentialProvider` does, too.
///
/// Raises:
///     InvalidArgumentError: An argument is out of its range, or there is no URL at all.
///     TypeError: An argument is of a wrong type.
///
/// Examples:
///     >>> with Client("redis://localhost:6379", app_id="shop") as client:
///     ...     with client.lock("nightly-report", ttl=30, wait=10) as lease:
///     ...         write_report(token=lease.token)
#[pyclass(subclass, dict, frozen, weakref, module = "leaselock")]
pub(crate) struct Client {
    /// Set by `__init__`, which a subclass may have of its own.
    of: OnceLock<Of>,
}

struct Of {
    made: Made,
    core: PerProcess<core::Client>,
    closed: AtomicBool,
}

impl Client {
    fn of(&self) -> PyResult<&Of> {
        self.of.get().ok_or_else(errors::uninitialised)
    }

    fn core(&self, py: Python<'_>) -> PyResult<&core::Client> {
        let of = self.of()?;
        of.core.get_or_make(|| {
            let client = build(py, &of.made)?;
            if of.closed.load(Ordering::Relaxed) {
                // It has no connection yet, so this sends nothing.
                blocking(py, || client.close())?;
            }
            Ok(client)
        })
    }

    pub(crate) fn take(&self, py: Python<'_>, request: leaselock::Request) -> PyResult<Lease> {
        let core = self.core(py)?;
        let request = observe::in_context(py, request)?;
        if greenlets::are_here(py) {
            let client = core.async_client();
            let work = async move { client.acquire_request(request).await };
            let lease = greenlets::wait(py, Abandoned::Drops, work)?;
            return Ok(Lease::new(core.adopt(lease)));
        }
        let wait = Wait::InLine(core.clone());
        waiting(py, wait, || core.acquire_request(request)).map(Lease::new)
    }
}

impl Client {
    fn take_all(&self, py: Python<'_>, request: GroupRequest) -> PyResult<LeaseGroup> {
        let core = self.core(py)?;
        let request = observe::all_in_context(py, request)?;
        if greenlets::are_here(py) {
            let client = core.async_client();
            let work = async move { client.acquire_all_request(request).await };
            let group = greenlets::wait(py, Abandoned::Drops, work)?;
            return Ok(LeaseGroup::new(core.adopt_group(group)));
        }
        let wait = Wait::InLine(core.clone());
        waiting(py, wait, || core.acquire_all_request(request)).map(LeaseGroup::new)
    }
}

fn build(py: Python<'_>, made: &Made) -> PyResult<core::Client> {
    made.builder(py, &Arc::default())?
        .build_blocking()
        .map_err(|e| errors::raise(py, &e))
}

#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (*_args, **_options),
           text_signature = "(url=None, *, app_id=None, command_timeout=5, tls_ca=None, tls_cert=None, tls_key=None, tls_insecure_skip_verify=False, key_prefix=None, address_map=None, replicas=0, credentials=None)")]
    fn make(_args: &Bound<'_, PyTuple>, _options: Option<&Bound<'_, PyDict>>) -> Self {
        Self {
            of: OnceLock::new(),
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
            false,
        )?;
        let made = Made::new(url, app_id, &command_timeout, access)?;
        let core = PerProcess::new(build(py, &made)?);
        let closed = AtomicBool::new(false);
        let of = Of { made, core, closed };
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
    fn closed(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.core(py)?.is_closed())
    }

    #[doc = args::signature!("acquire")]
    /// Takes the lock `name`, waiting in line for it. Not re-entrant: who holds the name waits like any other.
    ///
    #[doc = args::described!()]
    ///
    /// Returns:
    ///     Lease: The lease, renewed in the background. Give it back by `release()`, or use it as a `with` block.
    ///
    /// Raises:
    ///     InvalidArgumentError: An argument is out of its range.
    ///     LockTimeoutError: The wait ran out while someone else held the name.
    ///     StoreUnavailableError: The server could not be reached, did not answer within `command_timeout`, or fewer
    ///         replicas than asked for confirmed.
    ///     StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
    ///     ClientClosedError: The client was closed.
    ///     TypeError: An argument is of a wrong type.
    ///
    /// Examples:
    ///     >>> with client.acquire("nightly-report", ttl=30, wait=10) as lease:
    ///     ...     write_report(token=lease.token)
    #[pyo3(signature = (name, **options), text_signature = None)]
    fn acquire<'py>(
        &self,
        py: Python<'py>,
        name: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Lease> {
        let options = Options::named("acquire", options)?;
        self.take(py, args::request(name, options)?)
    }

    #[doc = args::signature!("try_acquire", once)]
    /// Takes the lock `name` if it is free. It never waits in line.
    ///
    #[doc = args::described!(once)]
    ///
    /// Returns:
    ///     Lease | None: The lease; None if someone else holds the name.
    ///
    /// Raises:
    ///     InvalidArgumentError: An argument is out of its range.
    ///     StoreUnavailableError: The server could not be reached, did not answer within `command_timeout`, or fewer
    ///         replicas than asked for confirmed.
    ///     StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
    ///     ClientClosedError: The client was closed.
    ///     TypeError: An argument is of a wrong type.
    ///
    /// Examples:
    ///     >>> if (lease := client.try_acquire("cleanup")) is not None:
    ///     ...     with lease:
    ///     ...         clean_up()
    #[pyo3(signature = (name, **options), text_signature = None)]
    fn try_acquire<'py>(
        &self,
        py: Python<'py>,
        name: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Option<Lease>> {
        let request = args::request(name, Options::named_once("try_acquire", options)?)?;
        let core = self.core(py)?;
        let request = observe::in_context(py, request)?;
        if greenlets::are_here(py) {
            let client = core.async_client();
            let work = async move { client.try_acquire_request(request).await };
            let lease = greenlets::wait(py, Abandoned::Drops, work)?;
            return Ok(lease.map(|lease| Lease::new(core.adopt(lease))));
        }
        Ok(blocking(py, || core.try_acquire_request(request))?.map(Lease::new))
    }

    #[doc = "lock($self, name, *, ttl=30, wait=None, reentrant=False, renew=True, max_hold=None, min_hold=None, label=None, shared=False, permits=None, skip=False)\n--\n"]
    /// The lock `name` as a `with` block and a decorator.
    ///
    /// The arguments are checked at once; nothing is sent before the block is entered.
    ///
    /// In place of the name may stand a function that gives it for the arguments of each decorated call:
    /// `@client.lock(lambda order: f"order:{order.id}")`. That is for decorating alone.
    ///
    #[doc = args::described!(and
        "\x20   wait (float | timedelta | None): Seconds to wait for the name; None waits for ever, 0 tries once.\n    \
         reentrant (bool): Whether whoever is inside already (the same thread, greenlet and asyncio task, by this\n        \
         client) gets the same lease again, which the outermost block gives back. All options must be as there.\n"
    )]
    ///     skip (bool): Whether a decorated call that finds the name taken is left out, and returns None in place of
    ///         waiting. For decorating alone.
    ///
    /// Returns:
    ///     Lock: Takes a fresh lease for each block, and for each call of a decorated function.
    ///
    /// Raises:
    ///     InvalidArgumentError: An argument is out of its range.
    ///     TypeError: An argument is of a wrong type.
    ///
    /// Examples:
    ///     >>> @client.lock("nightly-report", ttl=30, wait=10)
    ///     ... def report() -> None: ...
    #[pyo3(signature = (name, **options), text_signature = None)]
    fn lock<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let given = options.map_or_else(|| Ok(PyDict::new(py)), PyDictMethods::copy)?;
        let reentrant = args::take_reentrant(Some(&given))?;
        let skip = match given.get_item("skip")? {
            Some(skip) => args::flag("skip", &skip)?,
            None => false,
        };
        if given.contains("skip")? {
            given.del_item("skip")?;
        }
        let is_fixed = name.is_instance_of::<PyString>() || !name.is_callable();
        if is_fixed && !skip && reentrant {
            let module = py.import("leaselock._reentrant")?;
            return module
                .getattr("ReentrantLock")?
                .call((slf, name), Some(&given));
        }
        // The arguments are checked here, whatever the name will be.
        let fixed = if is_fixed {
            name.clone()
        } else {
            PyString::new(py, "name").into_any()
        };
        let request = args::request(&fixed, Options::named("lock", Some(&given))?)?;
        if is_fixed && !skip {
            return Lock::new(slf.clone().unbind(), request).into_bound_py_any(py);
        }
        given.set_item("reentrant", reentrant)?;
        py.import("leaselock._of_calls")?
            .call_method1("sync", (slf, name, skip, given))
    }

    #[doc = "acquire_all($self, names, *, ttl=30, wait=None, renew=True, max_hold=None, min_hold=None, label=None, shared=False, permits=None)\n--\n"]
    /// Takes several names, all or none.
    ///
    /// All are tried at once. Unless each is free they are then waited for one after the other, in the order of their
    /// bytes whatever the order they are given in: so two groups never wait for each other. It is not re-entrant:
    /// whoever holds one of the names already waits for themselves.
    ///
    /// Args:
    ///     names (Iterable[str]): 1 to 64 names, each 1 to 512 bytes of UTF-8 without control characters. One that is
    ///         there twice is taken once.
    ///     ttl (float | timedelta): Seconds after which the names free themselves when nothing more is heard of this
    ///         process; 0.1 to 365 days.
    ///     wait (float | timedelta | None): Seconds to wait, for all of them together; None waits for ever, 0 tries
    ///         once.
    ///     renew (bool): Whether the leases are renewed in the background, at a third of their TTL.
    ///     max_hold (float | timedelta | None): Seconds after which each lease ends however well it is renewed; at
    ///         least `ttl`. None is no bound.
    ///     min_hold (float | timedelta | None): Seconds for which the name stays taken at the least, from when it was
    ///         acquired, also where it is given back sooner. At most `max_hold`. None is no such time.
    ///     label (str | None): For people: leads the owner strings. At most 128 bytes.
    ///     shared (bool): Whether others may hold each of the names at the same time who ask for it so, too.
    ///     permits (int | None): How many may hold each of the names at the same time, this one included: 1 to 10,000,
    ///         where 1 is an exclusive lock, as None is. Not together with `shared`.
    ///
    /// Returns:
    ///     LeaseGroup: A lease of each, over together. Give them back by `release()`, or use it as a `with` block.
    ///
    /// Raises:
    ///     InvalidArgumentError: An argument is out of its range; also for no names, and for more than 64.
    ///     LockTimeoutError: The wait ran out while someone else held one of the names. None is held.
    ///     StoreUnavailableError: The server could not be reached, did not answer within `command_timeout`, or fewer
    ///         replicas than asked for confirmed.
    ///     StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
    ///     ClientClosedError: The client was closed.
    ///     TypeError: An argument is of a wrong type.
    ///
    /// Examples:
    ///     >>> with client.acquire_all([payer, payee], wait=10) as both:
    ///     ...     move_money(payer, payee, fence=both.tokens)
    #[pyo3(signature = (names, **options), text_signature = None)]
    fn acquire_all<'py>(
        &self,
        py: Python<'py>,
        names: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<LeaseGroup> {
        let options = Options::named("acquire_all", options)?;
        self.take_all(py, args::group_request(names, options)?.0)
    }

    #[doc = "try_acquire_all($self, names, *, ttl=30, renew=True, max_hold=None, min_hold=None, label=None, shared=False, permits=None)\n--\n"]
    /// Takes several names if each is free, or none of them. It never waits in line.
    ///
    /// Two that try at the same time may each find what the other has for that moment, and both get nothing.
    ///
    /// Args:
    ///     names (Iterable[str]): 1 to 64 names, each 1 to 512 bytes of UTF-8 without control characters. One that is
    ///         there twice is taken once.
    ///     ttl (float | timedelta): Seconds after which the names free themselves when nothing more is heard of this
    ///         process; 0.1 to 365 days.
    ///     renew (bool): Whether the leases are renewed in the background, at a third of their TTL.
    ///     max_hold (float | timedelta | None): Seconds after which each lease ends however well it is renewed; at
    ///         least `ttl`. None is no bound.
    ///     min_hold (float | timedelta | None): Seconds for which the name stays taken at the least, from when it was
    ///         acquired, also where it is given back sooner. At most `max_hold`. None is no such time.
    ///     label (str | None): For people: leads the owner strings. At most 128 bytes.
    ///     shared (bool): Whether others may hold each of the names at the same time who ask for it so, too.
    ///     permits (int | None): How many may hold each of the names at the same time, this one included: 1 to 10,000,
    ///         where 1 is an exclusive lock, as None is. Not together with `shared`.
    ///
    /// Returns:
    ///     LeaseGroup | None: A lease of each; None if someone else holds one of the names.
    ///
    /// Raises:
    ///     InvalidArgumentError: An argument is out of its range; also for no names, and for more than 64.
    ///     StoreUnavailableError: The server could not be reached, did not answer within `command_timeout`, or fewer
    ///         replicas than asked for confirmed.
    ///     StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
    ///     ClientClosedError: The client was closed.
    ///     TypeError: An argument is of a wrong type.
    ///
    /// Examples:
    ///     >>> if (both := client.try_acquire_all([payer, payee])) is not None:
    ///     ...     with both:
    ///     ...         move_money(payer, payee, fence=both.tokens)
    #[pyo3(signature = (names, **options), text_signature = None)]
    fn try_acquire_all<'py>(
        &self,
        py: Python<'py>,
        names: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Option<LeaseGroup>> {
        let options = Options::named_once("try_acquire_all", options)?;
        let request = args::group_request(names, options)?.0;
        let core = self.core(py)?;
        let request = observe::all_in_context(py, request)?;
        let client = core.async_client();
        let group = if greenlets::are_here(py) {
            let work = async move { client.try_acquire_all_request(request).await };
            let group = greenlets::wait(py, Abandoned::Drops, work)?;
            group.map(|group| core.adopt_group(group))
        } else {
            blocking(py, || core.try_acquire_all_request(request))?
        };
        Ok(group.map(LeaseGroup::new))
    }

    #[doc = "lock_all($self, names, *, ttl=30, wait=None, renew=True, max_hold=None, min_hold=None, label=None, shared=False, permits=None)\n--\n"]
    /// Several names, all or none, as a `with` block and a decorator.
    ///
    /// The arguments are checked at once; nothing is sent before the block is entered.
    ///
    /// Args:
    ///     names (Iterable[str]): 1 to 64 names, each 1 to 512 bytes of UTF-8 without control characters. One that is
    ///         there twice is taken once.
    ///     ttl (float | timedelta): Seconds after which the names free themselves when nothing more is heard of this
    ///         process; 0.1 to 365 days.
    ///     wait (float | timedelta | None): Seconds to wait, for all of them together; None waits for ever, 0 tries
    ///         once.
    ///     renew (bool): Whether the leases are renewed in the background, at a third of their TTL.
    ///     max_hold (float | timedelta | None): Seconds after which each lease ends however well it is renewed; at
    ///         least `ttl`. None is no bound.
    ///     min_hold (float | timedelta | None): Seconds for which the name stays taken at the least, from when it was
    ///         acquired, also where it is given back sooner. At most `max_hold`. None is no such time.
    ///     label (str | None): For people: leads the owner strings. At most 128 bytes.
    ///     shared (bool): Whether others may hold each of the names at the same time who ask for it so, too.
    ///     permits (int | None): How many may hold each of the names at the same time, this one included: 1 to 10,000,
    ///         where 1 is an exclusive lock, as None is. Not together with `shared`.
    ///
    /// Returns:
    ///     GroupLock: Takes fresh leases for each block, and for each call of a decorated function.
    ///
    /// Raises:
    ///     InvalidArgumentError: An argument is out of its range; also for no names, and for more than 64.
    ///     TypeError: An argument is of a wrong type.
    ///
    /// Examples:
    ///     >>> with client.lock_all([payer, payee], wait=10) as both:
    ///     ...     move_money(payer, payee, fence=both.tokens)
    #[pyo3(signature = (names, **options), text_signature = None)]
    fn lock_all<'py>(
        slf: &Bound<'py, Self>,
        names: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let request = args::group_request(names, Options::named("lock_all", options)?)?;
        slf.py()
            .import("leaselock._group_lock")?
            .call_method1("GroupLock", (slf, request))
    }

    /// Takes several names by a checked request. For `GroupLock`.
    fn _acquire_all(&self, request: &Bound<'_, PyGroupRequest>) -> PyResult<LeaseGroup> {
        self.take_all(request.py(), request.get().0.clone())
    }

    #[doc = args::signature_of_kind!("read_lock($self, name, *, ")]
    /// The lock `name` for a reader: `lock(name, shared=True)`.
    ///
    /// Any number of readers hold it at the same time, or one writer, who asks by `lock(name)`. First come, first
    /// served: a reader behind a writer that waits waits, too.
    ///
    #[doc = args::described!(kind)]
    ///
    /// Returns:
    ///     Lock: Takes a fresh lease for each block, and for each call of a decorated function.
    ///
    /// Raises:
    ///     InvalidArgumentError: An argument is out of its range.
    ///     TypeError: An argument is of a wrong type.
    ///
    /// Examples:
    ///     >>> with client.read_lock("catalogue") as lease:
    ///     ...     write_report(token=lease.token)
    #[pyo3(signature = (name, **options), text_signature = None)]
    fn read_lock<'py>(
        slf: Bound<'py, Self>,
        name: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Lock> {
        let method = "read_lock";
        let shared = PyBool::new(slf.py(), true).to_owned().into_any();
        let options = Options::named(method, options)?.with("shared", shared, method)?;
        Ok(Lock::new(slf.unbind(), args::request(name, options)?))
    }

    #[doc = args::signature_of_kind!("semaphore($self, name, permits, *, ")]
    /// The lock `name` for at most so many at the same time: `lock(name, permits=permits)`.
    ///
    /// Each caller keeps to its own number.
    ///
    #[doc = args::described!(permits)]
    ///
    /// Returns:
    ///     Lock: Takes a fresh lease for each block, and for each call of a decorated function.
    ///
    /// Raises:
    ///     InvalidArgumentError: An argument is out of its range.
    ///     TypeError: An argument is of a wrong type.
    ///
    /// Examples:
    ///     >>> with client.semaphore("exports", 3) as lease:
    ///     ...     write_report(token=lease.token)
    #[pyo3(signature = (name, permits, **options), text_signature = None)]
    fn semaphore<'py>(
        slf: Bound<'py, Self>,
        name: &Bound<'py, PyAny>,
        permits: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Lock> {
        let method = "semaphore";
        let number = args::permits(permits)?;
        let options = Options::named(method, options)?.with("permits", number, method)?;
        Ok(Lock::new(slf.unbind(), args::request(name, options)?))
    }

    #[doc = "lead($self, name, work, *, ttl=30, max_hold=None, label=None)\n--\n"]
    /// Waits for the name as long as it takes, calls `work(lease)`, and does so again whenever the lease is lost.
    ///
    /// A store that cannot be reached while it waits is tried again, for ever. Nothing stops a thread: `work` is to
    /// look at `lease.held` or call `lease.check()` every now and then, or to sleep by `lease.wait_lost(seconds)`. What
    /// it returns after a loss is thrown away, and so is a LeaseLostError. When it ends under its lease, or raises, the
    /// lease is given back at once, and any other error goes on. Closing the client ends it, and so does Ctrl-C.
    ///
    /// Args:
    ///     name (str): The lock's name: 1 to 512 bytes of UTF-8 without control characters.
    ///     work (Callable): What to do while leading. It gets the lease.
    ///     ttl (float | timedelta): Seconds after which the name frees itself when nothing more is heard of this
    ///         process; 0.1 to 365 days.
    ///     max_hold (float | timedelta | None): Seconds after which the lease counts as lost, for whoever waits to lead
    ///         in turn; at least `ttl`. None is no bound.
    ///     label (str | None): For people: leads the owner string. At most 128 bytes.
    ///
    /// Returns:
    ///     object: What `work` returned, under a lease that it held throughout.
    ///
    /// Raises:
    ///     InvalidArgumentError: An argument is out of its range.
    ///     StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
    ///     ClientClosedError: The client was closed.
    ///     TypeError: An argument is of a wrong type.
    ///
    /// Examples:
    ///     >>> def publish(lease: Lease) -> None:
    ///     ...     for page in report:
    ///     ...         lease.check()  # raises LeaseLostError if it was lost
    ///     ...         write(page, token=lease.token)
    ///     >>> client.lead("publisher", publish, ttl=10)
    #[pyo3(signature = (name, work, **options), text_signature = None)]
    fn lead<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyAny>,
        work: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let request = args::request(name, Options::named_to_lead("lead", options)?)?;
        slf.py()
            .import("leaselock._lead")?
            .call_method1("sync", (slf, PyRequest(request), work))
    }

    /// Waits for a lease to lead under, as long as it takes. For `lead`.
    fn _acquire_to_lead(&self, request: &Bound<'_, PyRequest>) -> PyResult<Lease> {
        let py = request.py();
        let core = self.core(py)?;
        let request = observe::in_context(py, request.get().0.clone())?;
        if greenlets::are_here(py) {
            let client = core.async_client();
            let work = async move { client.acquire_to_lead(request).await };
            let lease = greenlets::wait(py, Abandoned::Drops, work)?;
            return Ok(Lease::new(core.adopt(lease)));
        }
        let wait = Wait::InLine(core.clone());
        waiting(py, wait, || core.acquire_to_lead(request)).map(Lease::new)
    }

    /// Gives a name back by hand, from any process that knows the owner string. It never touches waiters.
    ///
    /// Args:
    ///     name (str): The lock's name.
    ///     owner (str): The owner string of the lease, as `lease.owner` gives it.
    ///
    /// Returns:
    ///     ReleaseStatus: `RELEASED`; `NOT_FOUND` where nobody held the name; `NOT_OWNER` where someone else does.
    ///
    /// Raises:
    ///     InvalidArgumentError: An argument is out of its range.
    ///     StoreUnavailableError: The server could not be reached, or did not answer within `command_timeout`.
    ///     StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
    ///     ClientClosedError: The client was closed.
    fn release<'py>(
        &self,
        py: Python<'py>,
        name: &Bound<'py, PyAny>,
        owner: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (name, owner) = (args::text("name", name)?, args::text("owner", owner)?);
        let core = self.core(py)?;
        let status = or_blocking(
            py,
            || core.release(name, owner),
            Abandoned::GoesOn,
            || {
                let (client, name, owner) =
                    (core.async_client(), name.to_owned(), owner.to_owned());
                async move { client.release(&name, &owner).await }
            },
        )?;
        records::status(py, status)
    }

    /// Makes a lease end exactly `ttl` seconds from now, from any process that knows the owner string.
    ///
    /// That may be later or sooner than it would have. A name that is not the owner's is left alone. It is for leases
    /// that nobody renews, like one that was detached: a holder that renews sets its own TTL again, and one that does
    /// not learns of no change.
    ///
    /// Args:
    ///     name (str): The lock's name.
    ///     owner (str): The owner string of the lease, as `lease.owner` gives it.
    ///     ttl (float | timedelta): Seconds, 0.1 to 365 days.
    ///
    /// Returns:
    ///     ExtendStatus: `EXTENDED`; `NOT_FOUND` where nobody held the name; `NOT_OWNER` where someone else does.
    ///
    /// Raises:
    ///     InvalidArgumentError: An argument is out of its range.
    ///     StoreUnavailableError: The server could not be reached, or did not answer within `command_timeout`.
    ///     StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
    ///     ClientClosedError: The client was closed.
    fn extend<'py>(
        &self,
        py: Python<'py>,
        name: &Bound<'py, PyAny>,
        owner: &Bound<'py, PyAny>,
        ttl: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (name, owner) = (args::text("name", name)?, args::text("owner", owner)?);
        let ttl = args::seconds("ttl", ttl)?;
        let core = self.core(py)?;
        let status = or_blocking(
            py,
            || core.extend(name, owner, ttl),
            Abandoned::GoesOn,
            || {
                let (client, name, owner) =
                    (core.async_client(), name.to_owned(), owner.to_owned());
                async move { client.extend(&name, &owner, ttl).await }
            },
        )?;
        records::extended(py, status)
    }

    /// Frees a name whoever holds it: that lease is lost.
    ///
    /// Its holder learns of it at the next renewal, at the latest. Until then both may act, the older one under the
    /// smaller fencing token.
    ///
    /// Args:
    ///     name (str): The lock's name.
    ///
    /// Returns:
    ///     ReleaseStatus: `RELEASED`, or `NOT_FOUND` where nobody held the name.
    ///
    /// Raises:
    ///     InvalidArgumentError: An argument is out of its range.
    ///     StoreUnavailableError: The server could not be reached, or did not answer within `command_timeout`.
    ///     StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
    ///     ClientClosedError: The client was closed.
    fn force_release<'py>(
        &self,
        py: Python<'py>,
        name: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let name = args::text("name", name)?;
        let core = self.core(py)?;
        let status = or_blocking(
            py,
            || core.force_release(name),
            Abandoned::GoesOn,
            || {
                let (client, name) = (core.async_client(), name.to_owned());
                async move { client.force_release(&name).await }
            },
        )?;
        records::status(py, status)
    }

    /// Who holds a name.
    ///
    /// Args:
    ///     name (str): The lock's name.
    ///
    /// Returns:
    ///     LockInfo | None: The holder, and how many wait; None when nobody holds the name.
    ///
    /// Raises:
    ///     InvalidArgumentError: An argument is out of its range.
    ///     StoreUnavailableError: The server could not be reached, or did not answer within `command_timeout`.
    ///     StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
    ///     ClientClosedError: The client was closed.
    fn inspect<'py>(
        &self,
        py: Python<'py>,
        name: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let name = args::text("name", name)?;
        let core = self.core(py)?;
        let info = or_blocking(
            py,
            || core.inspect(name),
            Abandoned::Drops,
            || {
                let (client, name) = (core.async_client(), name.to_owned());
                async move { client.inspect(&name).await }
            },
        )?;
        info.map(|info| records::info(py, info)).transpose()
    }

    /// The locks of this app id that are held, in no order. The server is asked as the iterator goes on.
    ///
    /// Args:
    ///     pattern (str): What the names match: `*` any text, `?` any one byte, which is any one character of ASCII.
    ///
    /// Returns:
    ///     Iterator[LockInfo]: The locks. One that comes or goes meanwhile may or may not be among them.
    ///
    /// Raises:
    ///     InvalidArgumentError: An argument is out of its range.
    ///     StoreUnavailableError: The server could not be reached, or did not answer within `command_timeout`.
    ///     StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
    ///     ClientClosedError: The client was closed.
    ///
    /// Examples:
    ///     >>> for info in client.locks("job-*"):
    ///     ...     print(info.name, info.owner)
    #[pyo3(signature = (pattern=None), text_signature = "($self, pattern='*')")]
    fn locks(&self, py: Python<'_>, pattern: Option<&Bound<'_, PyAny>>) -> PyResult<LockIterator> {
        let pattern = pattern.map_or(Ok("*"), |pattern| args::text("pattern", pattern))?;
        let found = self
            .core(py)?
            .locks(pattern)
            .map_err(|e| errors::raise(py, &e))?;
        Ok(LockIterator::new(found))
    }

    /// The counters of this client. No network.
    ///
    /// Returns:
    ///     Stats: What it holds and waits for now, and what has happened since it was made.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        records::stats(py, self.core(py)?.stats())
    }

    /// Gives back every lease of this client and ends its connections, within `command_timeout`.
    ///
    /// What still waits in `acquire` gets a ClientClosedError. Closing again does nothing.
    ///
    /// Raises:
    ///     StoreUnavailableError: The server could not be reached to give leases back; their TTLs free the names.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let core = self.core(py)?;
        self.of()?.closed.store(true, Ordering::Relaxed);
        let closed = or_blocking(
            py,
            || core.close(),
            Abandoned::GoesOn,
            || {
                let client = core.async_client();
                async move { client.close().await }
            },
        );
        observe::flush_observed(py);
        closed
    }

    /// The client itself.
    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// Closes it. An exception of the body always wins; a server that cannot be reached is a warning.
    #[pyo3(signature = (exc_type, exc, traceback, /))]
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: Option<&Bound<'_, PyAny>>,
        exc: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let _ = (exc, traceback);
        self.close(py).or_else(|error| {
            errors::as_warning(
                py,
                error,
                "could not give back every lease, their TTLs free the names",
                exc_type.is_some(),
            )
        })
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        if self.of.get().is_none() {
            return Ok("<leaselock.Client, not initialised>".to_owned());
        }
        let core = self.core(py)?;
        Ok(describe("Client", core.id(), core.app_id()))
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
            "cannot pickle 'leaselock.Client': its connections belong to its process; make a new one there",
        ))
    }
}

pub(crate) fn describe(class: &str, id: &str, app_id: &str) -> String {
    if app_id.is_empty() {
        format!("<leaselock.{class} {id}>")
    } else {
        format!("<leaselock.{class} {id} app_id={app_id:?}>")
    }
}
