//! What the runtime's thread tells JavaScript: how operations ended, and what happened meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use leaselock::{ExtendStatus, LockInfo, ReleaseStatus};
use napi::bindgen_prelude::{Either3, Either7};
use napi_derive::napi;

use crate::failure::Failure;
use crate::group::NativeGroup;
use crate::lease::NativeLease;
use crate::logs::Subscription;

/// How an operation ended, in terms of the core.
pub(crate) enum Outcome {
    Done,
    Failed(Failure),
    Flag(bool),
    Lease(leaselock::Lease, Arc<Subscription>),
    Group(leaselock::LeaseGroup, Arc<Subscription>),
    Status(&'static str),
    Info(LockInfo),
    Page(Page),
}

impl<T: Into<Self>> From<leaselock::Result<T>> for Outcome {
    fn from(result: leaselock::Result<T>) -> Self {
        match result {
            Ok(value) => value.into(),
            Err(error) => Self::Failed(error.into()),
        }
    }
}

impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Self::Done
    }
}

impl From<bool> for Outcome {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<ReleaseStatus> for Outcome {
    fn from(status: ReleaseStatus) -> Self {
        Self::Status(status.as_str())
    }
}

impl From<ExtendStatus> for Outcome {
    fn from(status: ExtendStatus) -> Self {
        Self::Status(status.as_str())
    }
}

impl From<Option<LockInfo>> for Outcome {
    fn from(info: Option<LockInfo>) -> Self {
        info.map_or(Self::Done, Self::Info)
    }
}

/// One that holds a name.
#[napi(object, object_from_js = false, js_name = "NativeHolder")]
pub struct Holder {
    pub owner: String,
    /// Milliseconds; null when its lease has no end.
    #[napi(ts_type = "number | null")]
    pub expires_in: napi::Either<f64, napi::bindgen_prelude::Null>,
}

/// Who holds a name, and for how long.
#[napi(object, object_from_js = false, js_name = "NativeLockInfo")]
pub struct Info {
    pub name: String,
    pub owner: String,
    /// Milliseconds; null when the key has no TTL.
    #[napi(ts_type = "number | null")]
    pub expires_in: napi::Either<f64, napi::bindgen_prelude::Null>,
    pub waiters: f64,
    #[napi(ts_type = "'exclusive' | 'shared'")]
    pub mode: &'static str,
    pub holders: Vec<Holder>,
    pub holder_count: f64,
}

/// Milliseconds, or JavaScript's null.
fn left(expires_in: Option<std::time::Duration>) -> napi::Either<f64, napi::bindgen_prelude::Null> {
    match expires_in {
        Some(left) => napi::Either::A(millis(left)),
        None => napi::Either::B(napi::bindgen_prelude::Null),
    }
}

impl From<LockInfo> for Info {
    #[allow(clippy::cast_precision_loss)]
    fn from(info: LockInfo) -> Self {
        let holders = info.holders.into_iter().map(|holder| Holder {
            owner: holder.owner,
            expires_in: left(holder.expires_in),
        });
        Self {
            expires_in: left(info.expires_in),
            name: info.name,
            owner: info.owner,
            waiters: info.waiters as f64,
            mode: info.mode.as_str(),
            holders: holders.collect(),
            holder_count: info.holder_count as f64,
        }
    }
}

/// Some of the locks that a listing found, and whether these were the last.
#[napi(object, object_from_js = false)]
pub struct Page {
    pub locks: Vec<Info>,
    pub done: bool,
}

/// What operations ended with, as two lists of the same length: objects made for each would cost more than the rest of
/// a delivery.
#[derive(Default)]
pub(crate) struct Completions {
    pub(crate) ops: Vec<u32>,
    /// Nothing where there is nothing to say.
    pub(crate) values: Vec<Option<Value>>,
}

pub(crate) type Value = Either7<NativeLease, bool, &'static str, Info, Page, NativeGroup, Failure>;

impl Completions {
    /// In the thread of the JavaScript that will see it.
    pub(crate) fn add(&mut self, op: u32, outcome: Outcome) {
        self.ops.push(op);
        self.values.push(match outcome {
            Outcome::Done => None,
            Outcome::Lease(lease, source) => Some(Either7::A(NativeLease::new(lease, source))),
            Outcome::Flag(flag) => Some(Either7::B(flag)),
            Outcome::Status(status) => Some(Either7::C(status)),
            Outcome::Info(info) => Some(Either7::D(info.into())),
            Outcome::Page(page) => Some(Either7::E(page)),
            Outcome::Group(group, source) => Some(Either7::F(NativeGroup::new(group, source))),
            Outcome::Failed(failure) => Some(Either7::G(failure)),
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}

/// Something that happened without being asked for.
#[napi(
    discriminant = "kind",
    discriminant_case = "camelCase",
    object_from_js = false
)]
pub enum Event {
    /// A lease was lost, or a group whose first lease has this owner.
    Lost { owner: String },
    /// A lease was garbage-collected unreleased, and is being given back.
    Collected { name: String, owner: String },
    /// A group was, and its leases are being given back.
    GroupCollected {
        names: Vec<String>,
        owners: Vec<String>,
    },
    /// A function of credentials is to be called, and answered under this number.
    Credentials { function: u32, call: u32 },
    /// A function of credentials will not be called any more.
    CredentialsOver { function: u32 },
    /// What the observers are to be told, as JSON: pairs of an event and the number of its context; and which contexts nobody
    /// asks for any more.
    Observed { events: String, gone: Vec<u32> },
    /// The core reports something.
    Report {
        fields: BTreeMap<String, Either3<bool, f64, String>>,
    },
}

impl Event {
    /// Observers are too slow.
    pub(crate) fn observers_behind(missed: u32) -> Self {
        let text = |text: &str| Either3::C(text.to_owned());
        let fields = [
            ("event", text("observers_behind")),
            ("missed", Either3::B(missed.into())),
            (
                "message",
                text("observers are too slow, and were not told of everything"),
            ),
        ];
        Self::Report {
            fields: fields.map(|(name, value)| (name.to_owned(), value)).into(),
        }
    }
}

/// A duration as JavaScript counts it: milliseconds, with fractions.
pub(crate) fn precise_millis(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// A duration as JavaScript counts it: whole milliseconds, rounded down.
pub(crate) fn millis(duration: std::time::Duration) -> f64 {
    // Exact below 2^53 ms, which is far past the largest TTL.
    #[allow(clippy::cast_precision_loss)]
    let millis = duration.as_millis() as f64;
    millis
}
