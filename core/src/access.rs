//! How to be let in: whom to trust, who one is, and a password that changes. What a URL can say too is said there or here.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::options::Unit;

/// A user and a password, for one connection to a server. Its `Debug` shows neither.
///
/// ```
/// let credentials = leaselock::Credentials::new("worker", "secret");
/// assert_eq!(format!("{credentials:?}"), "Credentials");
/// ```
#[derive(Clone)]
pub struct Credentials {
    pub(crate) user: Option<String>,
    pub(crate) password: String,
}

impl Credentials {
    /// Of this user; an empty one is the server's `default`.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            user: Some(user.into()).filter(|user| !user.is_empty()),
            password: password.into(),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// Whatever a function of credentials fails with.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;
type Giving = Pin<Box<dyn Future<Output = Result<Credentials, Cause>> + Send>>;

/// A function that gives the credentials of each new connection.
#[derive(Clone)]
pub(crate) struct CredentialsFunction(Arc<dyn Fn() -> Giving + Send + Sync>);

impl CredentialsFunction {
    pub(crate) fn new<F, A, E>(function: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<Credentials, E>> + Send + 'static,
        E: Into<Cause>,
    {
        Self(Arc::new(move || {
            let asked = function();
            Box::pin(async move { asked.await.map_err(Into::into) })
        }))
    }

    pub(crate) async fn ask(&self) -> Result<Credentials, Cause> {
        // What the function does before its future is made belongs to the future as well.
        (self.0)().await
    }
}

/// What the arguments of a client say of its access to a server; a URL may say all but the function, too.
#[derive(Clone, Default)]
pub(crate) struct ServerAccess {
    pub(crate) tls_ca: Option<PathBuf>,
    pub(crate) tls_cert: Option<PathBuf>,
    pub(crate) tls_key: Option<PathBuf>,
    pub(crate) tls_insecure_skip_verify: Option<bool>,
    pub(crate) key_prefix: Option<String>,
    pub(crate) credentials: Option<CredentialsFunction>,
    /// Announced addresses of servers, and where those are reached.
    pub(crate) address_map: Vec<(String, String)>,
    pub(crate) replicas: Option<u32>,
    /// How error texts spell the arguments.
    pub(crate) unit: Unit,
}

impl ServerAccess {
    /// For a store without a server: refuses whatever was said.
    pub(crate) fn refuse_all(&self, scheme: &str) -> Result<()> {
        let said = [
            ("tls_ca", self.tls_ca.is_some()),
            ("tls_cert", self.tls_cert.is_some()),
            ("tls_key", self.tls_key.is_some()),
            (
                "tls_insecure_skip_verify",
                self.tls_insecure_skip_verify == Some(true),
            ),
            ("key_prefix", self.key_prefix.is_some()),
            ("credentials", self.credentials.is_some()),
            ("address_map", !self.address_map.is_empty()),
            (
                "replicas",
                self.replicas.is_some_and(|replicas| replicas > 0),
            ),
        ];
        match said.into_iter().find(|(_, is_said)| *is_said) {
            None => Ok(()),
            Some((option, _)) => Err(Error::invalid(format!(
                "{} is for a server, and a {scheme}: store has none; leave it out",
                self.unit.option(option)
            ))),
        }
    }
}
