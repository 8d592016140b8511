//! The addon's entrance: one reactor per JavaScript thread, from which clients are opened.

use std::rc::Rc;
use std::sync::Arc;

use leaselock::options::{Unit, duration};
use napi::{Either, Env};
use napi_derive::napi;

use crate::client::NativeClient;
use crate::failure::Failure;
use crate::line::Platform;
use crate::mailbox::{Deliver, Mailbox};
use crate::runtime;

/// Runs operations for one JavaScript thread and delivers how they ended.
#[napi]
pub struct Reactor {
    mailbox: Arc<Mailbox>,
    /// None where the event loop is not Node's own: the runtime's thread does everything.
    platform: Option<Rc<Platform>>,
}

#[napi]
impl Reactor {
    /// `deliver` is called with the operations that have ended, what each ended with, and what has happened since the last
    /// call. With `lines`, connections may be on the event loop, if that is libuv's.
    #[napi(
        constructor,
        ts_args_type = "deliver: (ops: Array<number>, values: Array<NativeLease | boolean | string | NativeLockInfo | Page | Failure | null>, events: Array<Event>) => void, lines: boolean"
    )]
    pub fn new(env: Env, deliver: Deliver<'_>, lines: bool) -> napi::Result<Self> {
        let runtime = runtime::handle().map_err(|error| {
            napi::Error::from_reason(format!("leaselock cannot start its thread: {error}"))
        })?;
        let mailbox = Mailbox::new(runtime, &deliver)?;
        let platform = if lines {
            Platform::new(&env, &deliver)?
        } else {
            None
        };
        Ok(Self { mailbox, platform })
    }

    /// A client; no I/O happens before its first use.
    #[napi]
    pub fn open(
        &self,
        url: Option<String>,
        app_id: Option<String>,
        command_timeout: Option<f64>,
    ) -> Either<NativeClient, Failure> {
        match self.build(url, app_id, command_timeout) {
            Ok(client) => {
                let (mailbox, platform) = (self.mailbox.clone(), self.platform.clone());
                Either::A(NativeClient::new(client, mailbox, platform))
            }
            Err(error) => Either::B(error.into()),
        }
    }

    fn build(
        &self,
        url: Option<String>,
        app_id: Option<String>,
        command_timeout: Option<f64>,
    ) -> leaselock::Result<leaselock::Client> {
        let mut builder = leaselock::Client::builder()
            .unit(Unit::Milliseconds)
            .runtime(self.mailbox.runtime().clone())
            .dedicated_runtime();
        if let Some(url) = url {
            builder = builder.url(&url);
        }
        if let Some(app_id) = app_id {
            builder = builder.app_id(&app_id);
        }
        if let Some(value) = command_timeout {
            builder =
                builder.command_timeout(duration("commandTimeout", value, Unit::Milliseconds)?);
        }
        builder.build()
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}
