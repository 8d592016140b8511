//! The addon's entrance: one reactor per JavaScript thread, from which clients are opened.

use std::rc::Rc;
use std::sync::Arc;

use leaselock::options::{Unit, duration, replicas};
use napi::{Either, Env};
use napi_derive::napi;

use crate::client::NativeClient;
use crate::credentials::{Asked, Calls, Raised};
use crate::failure::Failure;
use crate::line::Platform;
use crate::mailbox::{Deliver, Mailbox};
use crate::observe::ToMailbox;
use crate::runtime;

/// Runs operations for one JavaScript thread and delivers how they ended.
#[napi]
pub struct Reactor {
    mailbox: Arc<Mailbox>,
    /// None where the event loop is not Node's own: the runtime's thread does everything.
    platform: Option<Rc<Platform>>,
    calls: Arc<Calls>,
}

/// What the arguments of a client say of its access to a server.
#[napi(object, object_to_js = false)]
pub struct NativeAccess {
    pub tls_ca: Option<String>,
    pub tls_cert: Option<String>,
    pub tls_key: Option<String>,
    pub tls_insecure_skip_verify: Option<bool>,
    pub key_prefix: Option<String>,
    /// Pairs of addresses, announced and reachable.
    pub address_map: Option<Vec<(String, String)>>,
    pub replicas: Option<f64>,
    /// The number of the function that gives the credentials.
    pub credentials: Option<u32>,
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
        Ok(Self {
            mailbox,
            platform,
            calls: Arc::default(),
        })
    }

    /// A client; no I/O happens before its first use.
    #[napi]
    pub fn open(
        &self,
        url: Option<String>,
        app_id: Option<String>,
        command_timeout: Option<f64>,
        access: Option<NativeAccess>,
    ) -> Either<NativeClient, Failure> {
        match self.build(url, app_id, command_timeout, access) {
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
        access: Option<NativeAccess>,
    ) -> leaselock::Result<leaselock::Client> {
        let mut builder = leaselock::Client::builder()
            .unit(Unit::Milliseconds)
            .runtime(self.mailbox.runtime().clone())
            .observer(Arc::new(ToMailbox(Arc::downgrade(&self.mailbox))))
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
        if let Some(access) = access {
            builder = self.said(builder, access)?;
        }
        builder.build()
    }

    fn said(
        &self,
        mut builder: leaselock::ClientBuilder,
        access: NativeAccess,
    ) -> leaselock::Result<leaselock::ClientBuilder> {
        if let Some(ca) = access.tls_ca {
            builder = builder.tls_ca(ca);
        }
        if let Some(cert) = access.tls_cert {
            builder = builder.tls_cert(cert);
        }
        if let Some(key) = access.tls_key {
            builder = builder.tls_key(key);
        }
        if let Some(skip) = access.tls_insecure_skip_verify {
            builder = builder.tls_insecure_skip_verify(skip);
        }
        if let Some(prefix) = access.key_prefix {
            builder = builder.key_prefix(prefix);
        }
        if let Some(pairs) = access.address_map {
            builder = builder.address_map(pairs);
        }
        if let Some(value) = access.replicas {
            builder = builder.replicas(replicas(value)?);
        }
        if let Some(function) = access.credentials {
            let asked = Arc::new(Asked {
                function,
                mailbox: self.mailbox.clone(),
                calls: self.calls.clone(),
            });
            builder = builder.credentials(move || asked.clone().ask());
        }
        Ok(builder)
    }

    /// Says whether anybody observes.
    #[napi]
    pub fn observing(&self, yes: bool) {
        self.mailbox.observing(yes);
    }

    /// What a function of credentials gave for the call of this number.
    #[napi]
    pub fn give_credentials(&self, call: u32, user: String, password: String) {
        let given = leaselock::Credentials::new(user, password);
        self.calls.answer(call, Ok(given));
    }

    /// A function of credentials threw, for the call of this number, what is kept under the number of the cause.
    #[napi]
    pub fn refuse_credentials(&self, call: u32, cause: u32) {
        self.calls.answer(call, Err(Raised(Some(cause))));
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        self.mailbox.close();
        self.calls.close();
    }
}
