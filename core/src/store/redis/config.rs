//! Where the server is, how to log in, and what stands before every key: read from a URL, of which every part is obeyed or
//! refused.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConnection;
use url::Url;

use super::keys::Prefix;
use super::log_in::{LogIn, LogIns};
use super::tls::{Tls, TlsOptions};
use super::unencoded;
use super::wire::Packed;
use crate::access::ServerAccess;
use crate::error::{Error, Result};
use crate::options::Unit;

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

/// A server's address, and how to be let in. Nothing of it shows a password.
pub(super) struct Config {
    endpoint: Address,
    tls: Option<Tls>,
    log_ins: LogIns,
    database: u32,
    prefix: Arc<Prefix>,
}

impl Config {
    /// Reads `redis://`, `rediss://`, `valkey://`, `valkeys://`, `unix:` and `redis+unix:` URLs, and what is said beside them.
    pub(super) fn parse(text: &str, access: ServerAccess) -> Result<Self> {
        if let Some(advice) = unencoded::advice(text) {
            return Err(Error::invalid(advice));
        }
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
        options.add(&access)?;
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
            Address::Tcp { host, .. } if is_tls => Some(Tls::new(host, options.tls(access.unit)?)?),
            _ => {
                if let Some(option) = options.of_tls {
                    return Err(Error::invalid(format!(
                        "{option} is for TLS, which is not spoken there; begin the URL with rediss:// or valkeys://"
                    )));
                }
                None
            }
        };
        let user = decoded("user", url.username())?.or(options.user.take());
        let password = match url.password() {
            Some(password) => decoded("password", password)?,
            None => options.password.take(),
        };
        let log_ins = match access.credentials {
            None => LogIns::OfUrl(Arc::new(LogIn::of_url(user, password))),
            Some(function) if user.is_none() && password.is_none() => LogIns::asked(function),
            Some(_) => {
                return Err(Error::invalid(
                    "the URL has a user or a password, and credentials gives them, too; leave those of the URL out",
                ));
            }
        };
        Ok(Self {
            endpoint,
            tls,
            log_ins,
            database,
            prefix: Arc::new(Prefix::new(options.prefix.as_deref().unwrap_or_default())?),
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

    pub(super) fn log_ins(&self) -> &LogIns {
        &self.log_ins
    }

    pub(super) fn database(&self) -> u32 {
        self.database
    }

    /// The first commands of a connection: log-in and database, HELLO, and after it [`niceties`](LogIn::niceties).
    pub(super) fn greet(&self, log_in: &LogIn, out: &mut Packed) {
        log_in.greet(out);
        if self.database != 0 {
            out.words(&["SELECT", &self.database.to_string()]);
        }
        // It tells the server's role, and any user may send it.
        out.words(&["HELLO", "3"]);
        if log_in.niceties() > 0 {
            out.words(&["CLIENT", "SETINFO", "LIB-NAME", "leaselock"]);
            out.words(&["CLIENT", "SETINFO", "LIB-VER", env!("CARGO_PKG_VERSION")]);
        }
    }
}

/// What follows the `?` of a URL, and the arguments of the same names.
#[derive(Default)]
struct UrlOptions {
    database: Option<u32>,
    prefix: Option<String>,
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    skip_verify: Option<bool>,
    /// One that only TLS can obey, as it was written.
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
            let file = PathBuf::from(value.as_ref());
            if name.starts_with("tls_") || name.starts_with("ssl_") {
                options.of_tls = Some(format!("the URL's option {name}"));
            }
            // Whatever it is, a value may be a password in the wrong place, and is not repeated.
            match &*name {
                "db" => options.database = Some(database(&value)?),
                "key_prefix" => options.prefix = Some(value.into_owned()),
                "tls_ca" | "ssl_ca_certs" => {
                    said(&mut options.ca, file, || {
                        two_spellings("tls_ca", "ssl_ca_certs")
                    })?;
                }
                "tls_cert" | "ssl_certfile" => {
                    said(&mut options.cert, file, || {
                        two_spellings("tls_cert", "ssl_certfile")
                    })?;
                }
                "tls_key" | "ssl_keyfile" => {
                    said(&mut options.key, file, || {
                        two_spellings("tls_key", "ssl_keyfile")
                    })?;
                }
                "tls_insecure_skip_verify" => {
                    options.skip_verify = match &*value {
                        "true" => Some(true),
                        "false" => Some(false),
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
        Ok(options)
    }

    /// Adds what is said in arguments.
    fn add(&mut self, access: &ServerAccess) -> Result<()> {
        let differ = |name| {
            format!(
                "the URL's {name} and the argument {} differ; say it once",
                access.unit.option(name)
            )
        };
        for (name, own, argument) in [
            ("tls_ca", &mut self.ca, &access.tls_ca),
            ("tls_cert", &mut self.cert, &access.tls_cert),
            ("tls_key", &mut self.key, &access.tls_key),
        ] {
            let Some(file) = argument else { continue };
            self.of_tls
                .get_or_insert_with(|| access.unit.option(name).into_owned());
            said(own, file.clone(), || differ(name))?;
        }
        if let Some(skip) = access.tls_insecure_skip_verify {
            if skip {
                self.of_tls
                    .get_or_insert_with(|| access.unit.option("tls_insecure_skip_verify").into());
            }
            said(&mut self.skip_verify, skip, || {
                differ("tls_insecure_skip_verify")
            })?;
        }
        if let Some(prefix) = &access.key_prefix {
            said(&mut self.prefix, prefix.clone(), || differ("key_prefix"))?;
        }
        Ok(())
    }

    fn tls(&mut self, unit: Unit) -> Result<TlsOptions> {
        let skip_verify = self.skip_verify == Some(true);
        if skip_verify && self.ca.is_some() {
            return Err(Error::invalid(
                "tls_ca says whom to trust, and tls_insecure_skip_verify that it does not matter; say one of them",
            ));
        }
        for (name, file) in [
            ("tls_ca", &self.ca),
            ("tls_cert", &self.cert),
            ("tls_key", &self.key),
        ] {
            // It may be a key, which no message may show.
            let text = file.as_ref().map(|file| file.to_string_lossy());
            if text.is_some_and(|text| text.contains("-----BEGIN")) {
                return Err(Error::invalid(format!(
                    "{} is the text of a PEM file; it is to be the file's path",
                    unit.option(name)
                )));
            }
        }
        Ok(TlsOptions {
            ca: self.ca.take(),
            cert: self.cert.take(),
            key: self.key.take(),
            skip_verify,
        })
    }
}

/// Notes what is said of an option; refuses another value than it has, in the words of `differ`.
fn said<T: PartialEq>(
    option: &mut Option<T>,
    value: T,
    differ: impl FnOnce() -> String,
) -> Result<()> {
    match option {
        Some(before) if *before != value => Err(Error::invalid(differ())),
        _ => {
            *option = Some(value);
            Ok(())
        }
    }
}

fn two_spellings(name: &str, other: &str) -> String {
    format!("the URL's options {name} and {other} mean the same, and differ; say it once")
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
