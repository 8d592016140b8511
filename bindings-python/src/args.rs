//! Arguments from Python: their types are checked here, their values by the core.

use std::path::PathBuf;
use std::time::Duration;

use leaselock::{AcquireOptions, GroupRequest, Request, Unit};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyMapping, PyString, PyTuple, PyType};

use crate::aio::request::PyGroupRequest;
use crate::errors;
use crate::once;

/// An argument whose default is not None, so that an explicit None is told apart.
pub(crate) enum Given<'py> {
    Default,
    Value(Bound<'py, PyAny>),
}

impl<'py> FromPyObject<'_, 'py> for Given<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self::Value(object.to_owned()))
    }
}

/// The options of an acquire. These names, their order in [`Options`] and their defaults in [`signature`] are all that a
/// method needs to know of them.
const NAMES: [&str; 8] = [
    "ttl", "renew", "max_hold", "min_hold", "label", "shared", "permits", "wait",
];
/// What has none to wait for takes all but the last.
const NAMES_ONCE: &[&str] = NAMES.split_at(7).0;
/// Whoever leads waits as long as it takes, under a lease that is renewed.
const NAMES_TO_LEAD: &[&str] = &["ttl", "max_hold", "label"];

/// The first line of a method's doc: what `inspect.signature` shows.
macro_rules! signature {
    ($method:literal, once) => {
        $crate::args::signature!($method, "")
    };
    ($method:literal) => {
        $crate::args::signature!($method, "wait=None, ")
    };
    ($method:literal, $wait:literal) => {
        concat!(
            $method,
            "($self, name, *, ttl=30, ",
            $wait,
            "renew=True, max_hold=None, min_hold=None, label=None, shared=False, permits=None)\n--\n"
        )
    };
}
pub(crate) use signature;

/// The same of a method that says itself how many may hold the name.
macro_rules! signature_of_kind {
    ($begin:literal) => {
        concat!(
            $begin,
            "ttl=30, wait=None, renew=True, max_hold=None, min_hold=None, label=None)\n--\n"
        )
    };
}
pub(crate) use signature_of_kind;

/// The part of a method's doc that says what the arguments are; of `kind` where the method says itself how many may hold the name.
macro_rules! described {
    (once) => {
        concat!(
            $crate::args::described!("", ""),
            $crate::args::described!(of kinds)
        )
    };
    () => {
        concat!(
            $crate::args::described!(kind),
            $crate::args::described!(of kinds)
        )
    };
    (and $wait:literal) => {
        concat!(
            $crate::args::described!("", $wait),
            $crate::args::described!(of kinds)
        )
    };
    (kind) => {
        $crate::args::described!(
            "",
            "\x20   wait (float | timedelta | None): Seconds to wait for the name; None waits for ever, 0 tries once.\n"
        )
    };
    (permits) => {
        $crate::args::described!(
            "\x20   permits (int): How many may hold the name at the same time, this one included: 1 to 10,000.\n",
            "\x20   wait (float | timedelta | None): Seconds to wait for the name; None waits for ever, 0 tries once.\n"
        )
    };
    (of kinds) => {
        concat!(
            "\n    shared (bool): Whether others may hold the name at the same time who ask for it so, too: any number of\n",
            "        readers, or one writer, who asks without it.\n",
            "    permits (int | None): How many may hold the name at the same time, this one included: 1 to 10,000, where\n",
            "        1 is an exclusive lock, as None is. Not together with `shared`."
        )
    };
    ($number:literal, $wait:literal) => {
        concat!(
            "Args:\n",
            "    name (str): The lock's name: 1 to 512 bytes of UTF-8 without control characters.\n",
            $number,
            "    ttl (float | timedelta): Seconds after which the name frees itself when nothing more is heard of this\n",
            "        process; 0.1 to 365 days.\n",
            $wait,
            "    renew (bool): Whether the lease is renewed in the background, at a third of its TTL.\n",
            "    max_hold (float | timedelta | None): Seconds after which the lease ends however well it is renewed; at\n",
            "        least `ttl`. None is no bound.\n",
            "    min_hold (float | timedelta | None): Seconds for which the name stays taken at the least, from when it was\n",
            "        acquired, also where it is given back sooner. At most `max_hold`. None is no such time.\n",
            "    label (str | None): For people: leads the owner string. At most 128 bytes.",
        )
    };
}
pub(crate) use described;

/// The options of an acquire, as they came.
#[derive(Default)]
pub(crate) struct Options<'py>([Option<Bound<'py, PyAny>>; 8]);

impl<'py> Options<'py> {
    /// As keywords of the method of this name.
    pub(crate) fn named(method: &str, given: Option<&Bound<'py, PyDict>>) -> PyResult<Self> {
        Self::among(&NAMES, method, given)
    }

    /// As keywords of the method of this name, which does not wait.
    pub(crate) fn named_once(method: &str, given: Option<&Bound<'py, PyDict>>) -> PyResult<Self> {
        Self::among(NAMES_ONCE, method, given)
    }

    /// As keywords of the method of this name, which leads.
    pub(crate) fn named_to_lead(
        method: &str,
        given: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Self> {
        Self::among(NAMES_TO_LEAD, method, given)
    }

    fn among(names: &[&str], method: &str, given: Option<&Bound<'py, PyDict>>) -> PyResult<Self> {
        let mut options = Self::default();
        for (key, value) in given.into_iter().flatten() {
            let key = key.cast::<PyString>()?.to_string_lossy();
            let at = NAMES.iter().position(|name| *name == key);
            let Some(at) = at.filter(|at| names.contains(&NAMES[*at])) else {
                return Err(PyTypeError::new_err(format!(
                    "Client.{method}() got an unexpected keyword argument '{key}'"
                )));
            };
            options.0[at] = Some(value);
        }
        Ok(options)
    }

    /// With this option, which the method sets itself: a TypeError where it was given, too.
    pub(crate) fn with(
        mut self,
        option: &str,
        value: Bound<'py, PyAny>,
        method: &str,
    ) -> PyResult<Self> {
        if self.0[5].is_some() || self.0[6].is_some() {
            return Err(PyTypeError::new_err(format!(
                "Client.{method}() takes neither shared nor permits as a keyword argument"
            )));
        }
        if let Some(at) = NAMES.iter().position(|name| *name == option) {
            self.0[at] = Some(value);
        }
        Ok(self)
    }

    /// All of them, in order.
    pub(crate) fn in_order(given: &Bound<'py, PyTuple>) -> Self {
        let mut options = Self::default();
        for (option, value) in options.0.iter_mut().zip(given) {
            *option = Some(value);
        }
        options
    }
}

/// Takes `reentrant` out of the keywords of a method; whether it is true.
pub(crate) fn take_reentrant(options: Option<&Bound<'_, PyDict>>) -> PyResult<bool> {
    const REENTRANT: &str = "reentrant";
    let Some(options) = options else {
        return Ok(false);
    };
    let Some(value) = options.get_item(REENTRANT)? else {
        return Ok(false);
    };
    options.del_item(REENTRANT)?;
    flag(REENTRANT, &value)
}

/// A request for the core, checked.
pub(crate) fn request(name: &Bound<'_, PyAny>, given: Options<'_>) -> PyResult<Request> {
    let options = acquire_options(given)?;
    Request::new(text("name", name)?, options, Unit::Seconds)
        .map_err(|e| errors::raise(name.py(), &e))
}

/// A request for several locks, checked.
pub(crate) fn group_request(
    names: &Bound<'_, PyAny>,
    given: Options<'_>,
) -> PyResult<PyGroupRequest> {
    let options = acquire_options(given)?;
    GroupRequest::new(all_texts("names", names)?, &options, Unit::Seconds)
        .map(PyGroupRequest)
        .map_err(|e| errors::raise(names.py(), &e))
}

/// Some iterable of str, and not one str, which is one of its letters.
fn all_texts(field: &str, value: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    let wrong = || wrong_type(field, "an iterable of str", value);
    if value.is_instance_of::<PyString>() || value.is_instance_of::<PyBytes>() {
        return Err(wrong());
    }
    let mut texts = Vec::new();
    for one in value.try_iter().map_err(|_| wrong())? {
        texts.push(text(&format!("each of {field}"), &one?)?.to_owned());
    }
    Ok(texts)
}

fn acquire_options(given: Options<'_>) -> PyResult<AcquireOptions> {
    let [ttl, renew, max_hold, min_hold, label, shared, permits, wait] = given.0;
    let [max_hold, min_hold, label, permits, wait] =
        [max_hold, min_hold, label, permits, wait].map(|o| o.filter(|o| !o.is_none()));
    let mut options = AcquireOptions::default();
    if let Some(ttl) = &ttl {
        options.ttl = seconds("ttl", ttl)?;
    }
    options.wait = wait.map(|wait| seconds("wait", &wait)).transpose()?;
    if let Some(renew) = &renew {
        options.renew = flag("renew", renew)?;
    }
    options.max_hold = max_hold.map(|max| seconds("max_hold", &max)).transpose()?;
    options.min_hold = min_hold.map(|min| seconds("min_hold", &min)).transpose()?;
    options.label = label
        .map(|label| text("label", &label).map(str::to_owned))
        .transpose()?;
    if let Some(shared) = &shared {
        options.shared = flag("shared", shared)?;
    }
    options.permits = permits.map(|number| permit_count(&number)).transpose()?;
    Ok(options)
}

/// A str as UTF-8.
pub(crate) fn text<'a>(field: &str, value: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    let text = value
        .cast::<PyString>()
        .map_err(|_| wrong_type(field, "a str", value))?;
    text.to_str().map_err(|_| {
        let message = format!("{field} holds half a surrogate pair, which UTF-8 cannot say; it must be whole Unicode text");
        errors::invalid(value.py(), &message)
    })
}

/// A duration from a number of seconds or a timedelta.
pub(crate) fn seconds(field: &'static str, value: &Bound<'_, PyAny>) -> PyResult<Duration> {
    let py = value.py();
    let number = if let Ok(float) = value.cast::<PyFloat>() {
        float.value()
    } else if value.is_instance_of::<PyBool>() {
        return Err(wrong_type(
            field,
            "a number of seconds or a timedelta",
            value,
        ));
    } else if value.is_instance_of::<PyInt>() {
        number(value)?
    } else if value.is_instance(timedelta(py)?)? {
        value.call_method0("total_seconds")?.extract()?
    } else {
        return Err(wrong_type(
            field,
            "a number of seconds or a timedelta",
            value,
        ));
    };
    leaselock::duration(field, number, Unit::Seconds).map_err(|e| errors::raise(py, &e))
}

/// A path.
pub(crate) fn path(field: &str, value: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    // Other bytes than text are for the file system to say.
    if value.is_instance_of::<PyString>() {
        text(field, value)?;
    }
    value
        .extract()
        .map_err(|_| wrong_type(field, "a str or an os.PathLike of str", value))
}

pub(crate) fn flag(field: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    value
        .cast::<PyBool>()
        .map(PyBoolMethods::is_true)
        .map_err(|_| wrong_type(field, "a bool", value))
}

/// A mapping of str to str.
pub(crate) fn texts(field: &str, value: &Bound<'_, PyAny>) -> PyResult<Vec<(String, String)>> {
    let wrong = || wrong_type(field, "a mapping of str to str", value);
    let map = value.cast::<PyMapping>().map_err(|_| wrong())?;
    let mut texts = Vec::new();
    for pair in map.items()?.iter() {
        let (key, of_key): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair.extract()?;
        let key = text(&format!("a key of {field}"), &key)?.to_owned();
        texts.push((
            key,
            text(&format!("a value of {field}"), &of_key)?.to_owned(),
        ));
    }
    Ok(texts)
}

/// A number of replicas.
pub(crate) fn replicas(value: &Bound<'_, PyAny>) -> PyResult<u32> {
    if value.is_instance_of::<PyBool>() || !value.is_instance_of::<PyInt>() {
        return Err(wrong_type("replicas", "an int", value));
    }
    leaselock::options::replicas(number(value)?).map_err(|e| errors::raise(value.py(), &e))
}

/// A number of permits that has to be given.
pub(crate) fn permits<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    permit_count(value)?;
    Ok(value.clone())
}

/// A number of permits.
fn permit_count(value: &Bound<'_, PyAny>) -> PyResult<u32> {
    if value.is_instance_of::<PyBool>() || !value.is_instance_of::<PyInt>() {
        return Err(wrong_type("permits", "an int", value));
    }
    leaselock::options::permits(number(value)?).map_err(|e| errors::raise(value.py(), &e))
}

/// An int as a float. Past what a float can say it is too large for anything, and reads as such.
fn number(value: &Bound<'_, PyAny>) -> PyResult<f64> {
    match value.extract::<f64>() {
        Ok(number) => Ok(number),
        Err(_) if value.lt(0)? => Ok(f64::NEG_INFINITY),
        Err(_) => Ok(f64::INFINITY),
    }
}

fn wrong_type(field: &str, expected: &str, value: &Bound<'_, PyAny>) -> PyErr {
    match value.get_type().name() {
        Ok(name) => PyTypeError::new_err(format!("{field} must be {expected}, not {name}")),
        Err(error) => error,
    }
}

fn timedelta(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    once::imported(py, &CLASS, "datetime", "timedelta").map(Bound::as_any)
}
