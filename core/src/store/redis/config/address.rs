//! Where servers are: hosts and ports, several of them in one URL, and announced ones that are reached elsewhere.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;

use url::Url;

use super::FORM;
use crate::error::{Error, Result};

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::store::redis) enum Address {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Address {
    /// A host and perhaps a port, an IPv6 address in brackets.
    fn read(text: &str, default_port: Option<u16>) -> Result<Self> {
        // The parser's words never quote what it reads.
        let url = Url::parse(&format!("redis://{text}")).map_err(|error| {
            Error::invalid(format!(
                "a host in the URL does not read as host:port: {error}"
            ))
        })?;
        tcp(&url, default_port)
    }

    /// An address as a server announces it: host and port, of which the host may be an IPv6 address.
    pub(in crate::store::redis) fn announced(host: &str, port: u16) -> Self {
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        Self::Tcp { host, port }
    }

    /// Where one is told by `host:port`, as a server's redirection tells it; without a host it is that of `asked`.
    pub(in crate::store::redis) fn told(text: &str, asked: &Self) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        Some(Self::announced(host, port.parse().ok()?).beside(asked))
    }

    /// The same where it has a host; otherwise its port at the host of `asked`.
    pub(in crate::store::redis) fn beside(self, asked: &Self) -> Self {
        match (self, asked) {
            (Self::Tcp { host, port }, Self::Tcp { host: beside, .. })
                if host.is_empty() || host == "?" =>
            {
                Self::Tcp {
                    host: beside.clone(),
                    port,
                }
            }
            (address, _) => address,
        }
    }
}

/// The one host of a URL.
pub(super) fn one(url: &Url, default_port: u16) -> Result<Address> {
    if url
        .host_str()
        .is_some_and(|host| host.contains(',') || host.contains("%2C"))
    {
        return Err(Error::invalid(
            "the URL names several hosts; say what they are: redis+sentinel://host,host/service, redis+cluster://host,host",
        ));
    }
    tcp(url, Some(default_port))
}

/// The hosts of a URL that may name several, divided by commas; and the URL with a single one, which parses.
pub(super) fn several(text: &str, default_port: u16) -> Result<(Vec<Address>, String)> {
    let no_host = || Error::invalid(format!("the URL has no host; it is to read as {FORM}"));
    let begin = text.find("://").ok_or_else(no_host)? + 3;
    let length = text[begin..]
        .find(['/', '?', '#'])
        .unwrap_or(text.len() - begin);
    let authority = &text[begin..begin + length];
    let hosts = authority
        .rfind('@')
        .map_or(authority, |at| &authority[at + 1..]);
    let mut addresses = Vec::new();
    for host in hosts.split(',') {
        if host.is_empty() {
            return Err(no_host());
        }
        let address = Address::read(host, Some(default_port))?;
        if addresses.contains(&address) {
            return Err(Error::invalid(format!(
                "the URL names {address} twice; say it once"
            )));
        }
        addresses.push(address);
    }
    let single = format!(
        "{}localhost{}",
        &text[..begin + length - hosts.len()],
        &text[begin + length..]
    );
    Ok((addresses, single))
}

fn tcp(url: &Url, default_port: Option<u16>) -> Result<Address> {
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
        _ => match url.port().or(default_port) {
            Some(port) => Ok(Address::Tcp { host, port }),
            None => Err(Error::invalid(format!(
                "{host} is to have a port, as in {host}:6379"
            ))),
        },
    }
}

/// Where servers are reached that announce other addresses: behind NAT, in containers.
#[derive(Default)]
pub(in crate::store::redis) struct AddressMap(HashMap<Address, Address>);

impl AddressMap {
    /// Reads pairs of `host:port`, announced and reachable.
    pub(super) fn read(pairs: &[(String, String)], option: &str) -> Result<Self> {
        let mut map = HashMap::with_capacity(pairs.len());
        for (announced, reachable) in pairs {
            let read = |text: &str| {
                Address::read(text, None).map_err(|_| {
                    Error::invalid(format!(
                        "{option} has {text:?} where an address is to be, as in \"10.0.0.7:6379\""
                    ))
                })
            };
            map.insert(read(announced)?, read(reachable)?);
        }
        Ok(Self(map))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where a server is reached that announces this address.
    pub(in crate::store::redis) fn reach(&self, announced: Address) -> Address {
        self.0.get(&announced).cloned().unwrap_or(announced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::announced(host, port)
    }

    #[test]
    fn a_url_names_several_hosts() {
        let (hosts, single) =
            several("redis+cluster://u:p%40@a,[::1]:7,10.0.0.1:8/3?x=/,b", 6379).expect("hosts");
        assert_eq!(hosts, [tcp("a", 6379), tcp("::1", 7), tcp("10.0.0.1", 8)]);
        assert_eq!(single, "redis+cluster://u:p%40@localhost/3?x=/,b");
        for wrong in [
            "redis+cluster://",
            "redis+cluster://a,,b",
            "redis+cluster://a,a:6379",
            "redis+cluster://a:x,b",
            "redis+cluster://0.0.0.0",
        ] {
            assert!(several(wrong, 6379).is_err(), "{wrong}");
        }
    }

    #[test]
    fn announced_addresses_are_reached_where_the_map_says() {
        let pairs = [
            ("10.0.0.7:6379".to_owned(), "localhost:7001".to_owned()),
            ("[fd00::7]:6379".to_owned(), "[::1]:7002".to_owned()),
        ];
        let map = AddressMap::read(&pairs, "address_map").expect("a map");
        assert_eq!(map.reach(tcp("10.0.0.7", 6379)), tcp("localhost", 7001));
        assert_eq!(map.reach(tcp("fd00::7", 6379)), tcp("::1", 7002));
        assert_eq!(map.reach(tcp("10.0.0.8", 6379)), tcp("10.0.0.8", 6379));
        assert!(
            AddressMap::read(&[("10.0.0.7".to_owned(), "b:1".to_owned())], "address_map").is_err()
        );
    }

    #[test]
    fn a_redirection_names_a_host_or_the_same() {
        let asked = tcp("a", 1);
        assert_eq!(Address::told(":7", &asked), Some(tcp("a", 7)));
        assert_eq!(Address::told("?:7", &asked), Some(tcp("a", 7)));
        assert_eq!(Address::told("fd00::7:8", &asked), Some(tcp("fd00::7", 8)));
        assert_eq!(Address::told("b", &asked), None);
    }
}
