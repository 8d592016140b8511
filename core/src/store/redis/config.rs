//! Where the server is, how to log in, and what stands before every key: read from a URL, of which every part is obeyed or
//! refused.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConnection;
use url::Url;

use super::keys::Prefix;
use super::tls::{Tls, TlsOptions};
use super::wire::Packed;
use crate::error::{Error, Result};

const DEFAULT_PORT: u16 = 6379;
const FORM: &str = "redis://[user:password@]host[:port][/database] or unix:/path?db=0";
/// What may follow the `?` of a URL.
const OPTIONS: &str =
    "db, key_prefix, tls_ca, tls_cert, tls_key, tls_insecure_skip_verify (unix: also user, pass)";

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A server's address and credentials. Nothing of it shows the password.
pub(super) struct Config {
    endpoint: Address,
    tls: Option<Tls>,
    user: Option<String>,
    password: Option<String>,
    database: u32,
    prefix: Arc<Prefix>,
}

impl Config {
    /// Reads `redis://`, `rediss://`, `valkey://`, `valkeys://`, `unix:` and `redis+unix:` URLs.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let url = Url::parse(text).map_err(|error| {
            // The parser's words never quote the URL.
            Error::invalid(format!(
                "the URL does not read as {FORM}: {error}; in a password '/' is written %2F, '#' %23, '@' %40 and '%' %25"
            ))
        })?;
        refuse_fragment(&url)?;
        let is_unix = url.scheme().ends_with("unix");
        let is_tls = matches!(url.scheme(), "rediss" | "valkeys");
        let mut options = UrlOptions::read(&url, is_unix)?;
        let endpoint = if is_unix {
            Address::Unix(url.to_file_path().map_err(|()| {
                Error::invalid(
                    "the URL has no path; a Unix socket is named as unix:/path/to/socket",
                )
            })?)
        } else {
            tcp(&url)?
        };
        let database = match (in_path(&url, is_unix)?, options.database) {
            (Some(path), Some(option)) if path != option => {
                return Err(Error::invalid(format!(
                    "the URL names two databases, /{path} and db={option}; name one"
                )));
            }
            (path, option) => path.or(option).unwrap_or(0),
        };
        let tls = match &endpoint {
            Address::Tcp { host, .. } if is_tls => Some(Tls::new(host, options.tls)?),
            _ => {
                if let Some(option) = options.of_tls {
                    return Err(Error::invalid(format!(
                        "the URL's option {option} is for TLS, which is not spoken there; begin the URL with rediss:// or valkeys://"
                    )));
                }
                None
            }
        };
        Ok(Self {
            endpoint,
            tls,
            user: decoded("user", url.username())?.or(options.user.take()),
            password: match url.password() {
                Some(password) => decoded("password", password)?,
                None => options.password.take(),
            },
            database,
            prefix: Arc::new(options.prefix),
        })
    }

    /// Where the URL says that the server is.
    pub(super) fn endpoint(&self) -> &Address {
        &self.endpoint
    }

    pub(super) fn prefix(&self) -> &Arc<Prefix> {
        &self.prefix
    }

    /// What speaks TLS on a new connection to `endpoint`; `None` where plain text is spoken.
    pub(super) fn tls(&self, endpoint: &Address) -> Result<Option<ClientConnection>> {
        match (&self.tls, endpoint) {
            (Some(tls), Address::Tcp { host, .. }) => tls.connection(host).map(Some),
            (None, _) | (_, Address::Unix(_)) => Ok(None),
        }
    }

    pub(super) fn speaks_tls(&self) -> bool {
        self.tls.is_some()
    }

    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    pub(super) fn has_password(&self) -> bool {
        self.password.is_some()
    }

    pub(super) fn database(&self) -> u32 {
        self.database
    }

    /// A server's words without the password, which one that does not know AUTH may repeat.
    pub(super) fn without_password(&self, words: &str) -> String {
        match &self.password {
            Some(password) if !password.is_empty() => words.replace(password.as_str(), "***"),
            _ => words.to_owned(),
        }
    }

    /// The first commands of a connection: log-in and database, HELLO, and after it [`niceties`](Self::niceties).
    pub(super) fn greet(&self, out: &mut Packed) {
        match (&self.user, &self.password) {
            (Some(user), Some(password)) => out.words(&["AUTH", user, password]),
            (None, Some(password)) => out.words(&["AUTH", password]),
            (_, None) => {}
        }
        if self.database != 0 {
            out.words(&["SELECT", &self.database.to_string()]);
        }
        // It tells the server's role, and any user may send it.
        out.words(&["HELLO", "3"]);
        if self.niceties() > 0 {
            out.words(&["CLIENT", "SETINFO", "LIB-NAME", "leaselock"]);
            out.words(&["CLIENT", "SETINFO", "LIB-VER", env!("CARGO_PKG_VERSION")]);
        }
    }

    /// How many commands of the greeting may fail. A user of its own may do only what it was granted, and a denied nicety
    /// would fill the server's ACL log.
    pub(super) fn niceties(&self) -> usize {
        if self.user.is_some() { 0 } else { 2 }
    }
}

/// What follows the `?` of a URL.
#[derive(Default)]
struct UrlOptions {
    database: Option<u32>,
    prefix: Prefix,
    tls: TlsOptions,
    /// One that only TLS can obey.
    of_tls: Option<String>,
    user: Option<String>,
    password: Option<String>,
}

impl UrlOptions {
    fn read(url: &Url, is_unix: bool) -> Result<Self> {
        let mut options = Self::default();
        let mut seen = Vec::new();
        for (name, value) in url.query_pairs() {
            if seen.contains(&name) {
                return Err(Error::invalid(format!(
                    "the URL has the option {} twice; say it once",
                    shown(&name)
                )));
            }
            seen.push(name.clone());
            let file = || Some(PathBuf::from(value.as_ref()));
            if name.starts_with("tls_") || name.starts_with("ssl_") {
                options.of_tls = Some(name.to_string());
            }
            // Whatever it is, a value may be a password in the wrong place, and is not repeated.
            match &*name {
                "db" => options.database = Some(database(&value)?),
                "key_prefix" => options.prefix = Prefix::new(&value)?,
                "tls_ca" | "ssl_ca_certs" => options.tls.ca = file(),
                "tls_cert" | "ssl_certfile" => options.tls.cert = file(),
                "tls_key" | "ssl_keyfile" => options.tls.key = file(),
                "tls_insecure_skip_verify" => {
                    options.tls.skip_verify = match &*value {
                        "true" => true,
                        "false" => false,
                        _ => {
                            return Err(Error::invalid(
                                "tls_insecure_skip_verify is to be true or false",
                            ));
                        }
                    }
                }
                "ssl_cert_reqs" if value == "required" => {}
                "ssl_cert_reqs" => {
                    return Err(Error::invalid(
                        "ssl_cert_reqs may be \"required\" only, which is what happens without it; \
                         to trust any certificate, say so: tls_insecure_skip_verify=true",
                    ));
                }
                "user" if is_unix => options.user = Some(value.into_owned()),
                "pass" if is_unix => options.password = Some(value.into_owned()),
                _ => {
                    return Err(Error::invalid(format!(
                        "the URL's option {} is not known here; there are: {OPTIONS}",
                        shown(&name)
                    )));
                }
            }
        }
        if options.tls.skip_verify && options.tls.ca.is_some() {
            return Err(Error::invalid(
                "tls_ca says whom to trust, and tls_insecure_skip_verify that it does not matter; say one of them",
            ));
        }
        Ok(options)
    }
}

/// The name of an option, where it looks like one: what else stands there may be a part of a password.
fn shown(name: &str) -> String {
    let is_name = name.len() <= 32
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-'));
    if is_name {
        format!("{name:?}")
    } else {
        "after the '?' (in a password it is written %3F)".to_owned()
    }
}

fn refuse_fragment(url: &Url) -> Result<()> {
    match url.fragment() {
        None => Ok(()),
        Some("insecure") => Err(Error::invalid(
            "the URL ends in '#insecure'; trust the server's CA with tls_ca, or, to trust any certificate, \
             say so: ?tls_insecure_skip_verify=true",
        )),
        Some(_) => Err(Error::invalid(
            "the URL has a '#' in it, and what follows would be lost; in a password it is written %23",
        )),
    }
}

fn tcp(url: &Url) -> Result<Address> {
    let host = match url.host() {
        Some(url::Host::Domain(name)) => name.to_owned(),
        Some(url::Host::Ipv4(address)) => address.to_string(),
        Some(url::Host::Ipv6(address)) => address.to_string(),
        None => String::new(),
    };
    match host.as_str() {
        "" => Err(Error::invalid(format!(
            "the URL has no host; it is to read as {FORM}"
        ))),
        "0.0.0.0" | "::" => Err(Error::invalid(format!(
            "{host} is where a server listens, not where it is; name its address, such as localhost"
        ))),
        _ => Ok(Address::Tcp {
            host,
            port: url.port().unwrap_or(DEFAULT_PORT),
        }),
    }
}

/// The database that the path of a URL names.
fn in_path(url: &Url, is_unix: bool) -> Result<Option<u32>> {
    match url.path().trim_matches('/') {
        _ if is_unix => Ok(None),
        "" => Ok(None),
        path => database(path).map(Some),
    }
}

fn database(text: &str) -> Result<u32> {
    text.parse().map_err(|_| {
        Error::invalid(
            "the database in the URL is not a number; it is to be 0 or more, as in /2 or ?db=2",
        )
    })
}

/// A percent-encoded part of a URL; empty is none.
fn decoded(what: &str, text: &str) -> Result<Option<String>> {
    if text.is_empty() {
        return Ok(None);
    }
    match percent_encoding::percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(Some(text.into_owned())),
        Err(_) => Err(Error::invalid(format!(
            "the {what} in the URL is not UTF-8"
        ))),
    }
}
