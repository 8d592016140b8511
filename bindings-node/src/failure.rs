//! A failed call, as plain data; the face makes an instance of its own `Error` classes of it.

use leaselock::{Error, LossReason};
use napi_derive::napi;

use crate::credentials::Raised;

/// What went wrong: the code of the error class, the message for people, and why a lease was lost.
#[napi(object, object_from_js = false)]
pub struct Failure {
    pub code: &'static str,
    pub message: String,
    #[napi(ts_type = "'expired' | 'taken' | 'max_hold' | 'released'")]
    pub reason: Option<&'static str>,
    /// The number of what a function of credentials threw, which caused it.
    pub cause: Option<u32>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            code: error.kind().code(),
            message: error.message().to_owned(),
            reason: error.loss_reason().map(LossReason::as_str),
            cause: Raised::of(&error),
        }
    }
}

impl Failure {
    /// An operation that ended without an answer, which only a defect of this library can cause.
    pub(crate) fn unanswered() -> Self {
        Self {
            code: "INTERNAL",
            message:
                "the operation ended without an answer: a defect in leaselock; please report it"
                    .to_owned(),
            reason: None,
            cause: None,
        }
    }
}
