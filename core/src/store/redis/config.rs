//! Where the server is and how to log in, from a URL.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

use crate::error::{Error, Result};

/// A server's address and credentials. Shown without the password.
#[derive(Clone)]
pub(super) struct Config {
    info: ConnectionInfo,
}

impl Config {
    /// Reads `redis://`, `rediss://`, `valkey://`, `valkeys://`, `unix:` and `redis+unix:` URLs.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let info = url.into_connection_info().map_err(|error| {
            let detail = error.to_string();
            let detail = detail.trim_end_matches(" - InvalidClientConfig");
            // The parser's words never quote the URL, but a password is not left to that.
            let detail = if detail.contains('@') { "" } else { detail };
            Error::invalid(format!(
                "the URL does not read as redis://[user:password@]host[:port][/database] or unix:/path?db=0: {detail}"
            ))
        })?;
        if let ConnectionAddr::TcpTls { insecure: true, .. } = info.addr() {
            return Err(Error::invalid(
                "the URL ends in '#insecure'; certificates are always verified here: trust the server's CA \
                 (SSL_CERT_FILE names a file of certificates) and remove it",
            ));
        }
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        Ok(Self {
            info: info.set_tcp_settings(tcp),
        })
    }

    /// For messages: the address without credentials.
    pub(super) fn address(&self) -> String {
        self.info.addr().to_string()
    }

    pub(super) fn addr(&self) -> &ConnectionAddr {
        self.info.addr()
    }

    pub(super) fn user(&self) -> Option<&str> {
        self.info.redis_settings().username()
    }

    pub(super) fn has_password(&self) -> bool {
        self.info.redis_settings().password().is_some()
    }

    pub(super) fn database(&self) -> i64 {
        self.info.redis_settings().db()
    }

    /// The settings of a connection that receives messages beside replies.
    pub(super) fn multiplexed(&self) -> ConnectionInfo {
        let settings = self.info.redis_settings().clone();
        let settings = settings.set_protocol(ProtocolVersion::RESP3);
        // A user of its own may do only what it was granted, and a denied nicety would fill the server's ACL log.
        let settings = if settings.username().is_some() {
            settings.set_skip_set_lib_name()
        } else {
            settings.set_lib_name("leaselock", env!("CARGO_PKG_VERSION"))
        };
        self.info.clone().set_redis_settings(settings)
    }

    /// Log-in and database as commands, for a connection of our own.
    pub(super) fn handshake(&self) -> redis::Pipeline {
        let settings = self.info.redis_settings();
        let mut pipeline = redis::pipe();
        if let Some(password) = settings.password() {
            let auth = pipeline.cmd("AUTH");
            if let Some(user) = settings.username() {
                auth.arg(user);
            }
            auth.arg(password);
        }
        if settings.db() != 0 {
            pipeline.cmd("SELECT").arg(settings.db());
        }
        pipeline
    }
}
