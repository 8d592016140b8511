//! Who logs in to a server: as the URL says, or as a function says anew for each connection.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::wire::Packed;
use crate::access::CredentialsFunction;
use crate::error::Error;
use crate::store::Failure;
use crate::sync::lock;

/// The log-in of one connection. Nothing of it shows the password.
#[derive(Default)]
pub(super) struct LogIn {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    origin: Origin,
}

/// Where a log-in comes from.
#[derive(Clone, Copy, Default)]
enum Origin {
    #[default]
    Url,
    /// What the URL says beside that, for the sentinels.
    SentinelOptions,
    Function,
}

impl LogIn {
    pub(super) fn of_url(user: Option<String>, password: Option<String>) -> Self {
        Self {
            user,
            password,
            origin: Origin::Url,
        }
    }

    pub(super) fn of_sentinels(user: Option<String>, password: Option<String>) -> Self {
        Self {
            origin: Origin::SentinelOptions,
            ..Self::of_url(user, password)
        }
    }

    pub(super) fn greet(&self, out: &mut Packed) {
        match (&self.user, &self.password) {
            (Some(user), Some(password)) => out.words(&["AUTH", user, password]),
            (None, Some(password)) => out.words(&["AUTH", password]),
            (_, None) => {}
        }
    }

    /// How many commands of the greeting may fail. A user of its own may do only what it was granted, and a denied nicety
    /// would fill the server's ACL log.
    pub(super) fn niceties(&self) -> usize {
        if self.user.is_some() { 0 } else { 2 }
    }

    /// A server's words without the password, which one that does not know AUTH may repeat.
    pub(super) fn without_password(&self, words: &str) -> String {
        match &self.password {
            Some(password) if !password.is_empty() => words.replace(password.as_str(), "***"),
            _ => words.to_owned(),
        }
    }

    /// Where the user and the password come from, for messages.
    pub(super) fn origin(&self) -> &'static str {
        match self.origin {
            Origin::Url => "in the URL",
            Origin::SentinelOptions => {
                "of sentinel_username and sentinel_password: those in the URL before the '@' are for the data servers"
            }
            Origin::Function => "that the function of credentials gave",
        }
    }
}

/// Where the log-in of each connection comes from.
pub(super) enum LogIns {
    OfUrl(Arc<LogIn>),
    Asked {
        function: CredentialsFunction,
        /// The user that the function named last.
        last_user: Mutex<Option<String>>,
    },
}

impl LogIns {
    pub(super) fn asked(function: CredentialsFunction) -> Self {
        Self::Asked {
            function,
            last_user: Mutex::default(),
        }
    }

    /// The log-in of a new connection, which may take up to `limit`; whether it came in time.
    pub(super) async fn next(&self, limit: Duration) -> (Result<Arc<LogIn>, Failure>, bool) {
        let (function, last_user) = match self {
            Self::OfUrl(log_in) => return (Ok(log_in.clone()), true),
            Self::Asked {
                function,
                last_user,
            } => (function, last_user),
        };
        match tokio::time::timeout(limit, function.ask()).await {
            Err(_) => {
                let error = Error::unavailable(format!(
                    "the function of credentials gave none within {limit:?}, so that there is no connection"
                ));
                (Err(Failure::unsent(error)), false)
            }
            // What it says may hold what it knows: the cause is there for whoever looks at it.
            Ok(Err(cause)) => {
                let error = Error::unavailable(
                    "the function of credentials failed, so that there is no connection; its error is the cause of this one",
                );
                (Err(Failure::unsent(error.with_cause(cause))), true)
            }
            Ok(Ok(given)) => {
                lock(last_user).clone_from(&given.user);
                let log_in = LogIn {
                    user: given.user,
                    password: Some(given.password),
                    origin: Origin::Function,
                };
                (Ok(Arc::new(log_in)), true)
            }
        }
    }

    /// The user, as far as it is known.
    pub(super) fn user(&self) -> Option<String> {
        match self {
            Self::OfUrl(log_in) => log_in.user.clone(),
            Self::Asked { last_user, .. } => lock(last_user).clone(),
        }
    }

    pub(super) fn has_password(&self) -> bool {
        match self {
            Self::OfUrl(log_in) => log_in.password.is_some(),
            Self::Asked { .. } => true,
        }
    }

    /// Whether a connection that is not let in any more may be followed by one that is.
    pub(super) fn is_asked_for(&self) -> bool {
        matches!(self, Self::Asked { .. })
    }
}
