//! Where the server is, how to log in, and what stands before every key: read from a URL, of which every part is obeyed or
//! refused.

mod address;
mod url_options;

use std::borrow::Cow;
use std::sync::Arc;

use rustls::ClientConnection;
use url::Url;

pub(super) use self::address::Address;
use self::address::AddressMap;
use self::url_options::UrlOptions;
use super::keys::Prefix;
use super::log_in::{LogIn, LogIns};
use super::tls::Tls;
use super::unencoded;
use super::wire::Packed;
use crate::access::ServerAccess;
use crate::error::{Error, Result};
use crate::platform::HAS_UNIX_SOCKETS;

const DEFAULT_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26_379;
const FORM: &str = "redis://[user:password@]host[:port][/database], redis+sentinel://[user:password@]host,host/service, \
                    redis+cluster://[user:password@]host,host or unix:/path?db=0";

/// A server's address, and how to be let in. Nothing of it shows a password.
pub(super) struct Config {
    endpoints: Vec<Address>,
    topology: Topology,
    tls: Option<Arc<Tls>>,
    log_ins: LogIns,
    sentinel_log_in: Arc<LogIn>,
    database: u32,
    prefix: Arc<Prefix>,
    address_map: Arc<AddressMap>,
    replicas: u32,
    /// It is for connections to sentinels, which keep no locks.
    is_for_sentinels: bool,
}

/// What kind of URL it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Tcp,
    Unix,
    Sentinel,
    Cluster,
}

/// How the server is found that keeps a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Topology {
    /// It is the one that the URL names.
    One,
    /// The URL's hosts are sentinels, which know the master of this service.
    Sentinel(String),
    /// The URL's hosts are of a cluster, whose nodes know who has which slot.
    Cluster,
}

impl Config {
    /// Reads `redis://`, `rediss://`, `valkey://`, `valkeys://`, `unix:` and `redis+unix:` URLs, those of sentinels and clusters,
    /// and what is said beside them.
    pub(super) fn parse(text: &str, access: ServerAccess) -> Result<Self> {
        if let Some(advice) = unencoded::advice(text) {
            return Err(Error::invalid(advice));
        }
        let (scheme, is_tls) = scheme(text);
        let (hosts, text) = match scheme {
            Scheme::Tcp | Scheme::Unix => (Vec::new(), Cow::from(text)),
            Scheme::Sentinel => owned(address::several(text, SENTINEL_PORT)?),
            Scheme::Cluster => owned(address::several(text, DEFAULT_PORT)?),
        };
        let url = Url::parse(&text).map_err(|error| {
            // The parser's words never quote the URL.
            Error::invalid(format!(
                "the URL does not read as {FORM}: {error}; in a password '/' is written %2F, '#' %23, '@' %40 and '%' %25"
            ))
        })?;
        refuse_fragment(&url)?;
        let mut options = UrlOptions::read(&url, scheme)?;
        options.add(&access)?;
        let endpoints = match scheme {
            Scheme::Unix if !HAS_UNIX_SOCKETS => {
                return Err(Error::invalid(
                    "a Unix socket cannot be used on this system; have the server listen on a port and write redis://host:port",
                ));
            }
            Scheme::Unix => vec![Address::Unix(url.to_file_path().map_err(|()| {
                Error::invalid(
                    "the URL has no path; a Unix socket is named as unix:/path/to/socket",
                )
            })?)],
            Scheme::Tcp => vec![address::one(&url, DEFAULT_PORT)?],
            Scheme::Sentinel | Scheme::Cluster => hosts,
        };
        let (topology, in_path) = in_path(&url, scheme)?;
        let database = match (in_path, options.database) {
            (Some(path), Some(option)) if path != option => {
                return Err(Error::invalid(format!(
                    "the URL names two databases, /{path} and db={option}; name one"
                )));
            }
            (path, option) => path.or(option).unwrap_or(0),
        };
        let tls = if is_tls {
            Some(Arc::new(Tls::new(&endpoints, options.tls(access.unit)?)?))
        } else {
            if let Some(option) = options.of_tls {
                return Err(Error::invalid(format!(
                    "{option} is for TLS, which is not spoken there; begin the URL with rediss:// or valkeys:// (rediss+sentinel://, rediss+cluster://)"
                )));
            }
            None
        };
        let address_map =
            AddressMap::read(&access.address_map, &access.unit.option("address_map"))?;
        if topology == Topology::One && !address_map.is_empty() {
            return Err(Error::invalid(format!(
                "{} is for addresses that sentinels or a cluster announce, and the URL names the server itself; leave it out",
                access.unit.option("address_map")
            )));
        }
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
        if options.sentinel_user.is_some() && options.sentinel_password.is_none() {
            return Err(Error::invalid(
                "sentinel_username is without sentinel_password; name both, or the password alone",
            ));
        }
        let prefix = options.prefix.as_deref().unwrap_or_default();
        Ok(Self {
            prefix: Arc::new(Prefix::new(prefix, topology == Topology::Cluster)?),
            endpoints,
            topology,
            tls,
            log_ins,
            sentinel_log_in: Arc::new(LogIn::of_sentinels(
                options.sentinel_user,
                options.sentinel_password,
            )),
            database,
            address_map: Arc::new(address_map),
            replicas: options.replicas.unwrap_or(0),
            is_for_sentinels: false,
        })
    }

    /// The same TLS for connections to the sentinels that the URL names, and the log-in that is theirs.
    pub(super) fn for_sentinels(&self) -> Self {
        Self {
            endpoints: self.endpoints.clone(),
            topology: Topology::One,
            tls: self.tls.clone(),
            log_ins: LogIns::OfUrl(self.sentinel_log_in.clone()),
            sentinel_log_in: self.sentinel_log_in.clone(),
            database: 0,
            prefix: self.prefix.clone(),
            address_map: self.address_map.clone(),
            replicas: 0,
            is_for_sentinels: true,
        }
    }

    pub(super) fn is_for_sentinels(&self) -> bool {
        self.is_for_sentinels
    }

    /// The hosts that the URL names: of the server itself, of sentinels, or of a cluster.
    pub(super) fn endpoints(&self) -> &[Address] {
        &self.endpoints
    }

    /// For messages: what the URL names, without credentials.
    pub(super) fn address(&self) -> String {
        let hosts = self.hosts();
        match &self.topology {
            Topology::One => hosts,
            Topology::Sentinel(service) => format!("{service} by {hosts}"),
            Topology::Cluster => format!("the cluster of {hosts}"),
        }
    }

    /// For messages: the hosts that the URL names.
    pub(super) fn hosts(&self) -> String {
        let hosts: Vec<String> = self.endpoints.iter().map(Address::to_string).collect();
        hosts.join(",")
    }

    pub(super) fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Where a server is reached that announces this address.
    pub(super) fn reach(&self, announced: Address) -> Address {
        self.address_map.reach(announced)
    }

    /// How many replicas have to have a lock before it counts.
    pub(super) fn replicas(&self) -> u32 {
        self.replicas
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

    /// Whether the certificates of servers are verified, where TLS is spoken.
    pub(super) fn verifies(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| tls.verifies())
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

/// What a URL's scheme says: the kind, and whether TLS is spoken.
fn scheme(text: &str) -> (Scheme, bool) {
    let scheme = text.split(':').next().unwrap_or_default();
    let (server, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
    let kind = match kind {
        "sentinel" => Scheme::Sentinel,
        "cluster" => Scheme::Cluster,
        "unix" => Scheme::Unix,
        _ if server == "unix" => Scheme::Unix,
        _ => Scheme::Tcp,
    };
    (kind, matches!(server, "rediss" | "valkeys"))
}

fn owned((hosts, text): (Vec<Address>, String)) -> (Vec<Address>, Cow<'static, str>) {
    (hosts, text.into())
}

/// What the path of a URL names: a service of sentinels, and the database.
fn in_path(url: &Url, scheme: Scheme) -> Result<(Topology, Option<u32>)> {
    let path = url.path().trim_matches('/');
    let number = |path: &str| {
        if path.is_empty() {
            Ok(None)
        } else {
            database(path).map(Some)
        }
    };
    match scheme {
        Scheme::Unix => Ok((Topology::One, None)),
        Scheme::Tcp => Ok((Topology::One, number(path)?)),
        Scheme::Cluster => Ok((Topology::Cluster, number(path)?)),
        Scheme::Sentinel => {
            let (service, path) = path.split_once('/').unwrap_or((path, ""));
            let service = decoded("service", service)?.ok_or_else(|| {
                Error::invalid(
                    "the URL names no service; it stands behind the sentinels, as mymaster in \
                     redis+sentinel://host,host/mymaster",
                )
            })?;
            Ok((Topology::Sentinel(service), number(path)?))
        }
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
