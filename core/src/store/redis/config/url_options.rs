//! What follows the `?` of a URL, and the arguments of the same names.

use std::path::PathBuf;

use url::Url;

use super::{Scheme, database};
use crate::access::ServerAccess;
use crate::error::{Error, Result};
use crate::options::Unit;
use crate::store::redis::tls::TlsOptions;

/// What may follow the `?` of a URL.
const OPTIONS: &str = "db, key_prefix, replicas, tls_ca, tls_cert, tls_key, tls_insecure_skip_verify (unix: also user, pass; \
     redis+sentinel: also sentinel_username, sentinel_password)";

/// What follows the `?` of a URL, and the arguments of the same names.
#[derive(Default)]
pub(super) struct UrlOptions {
    pub(super) database: Option<u32>,
    pub(super) prefix: Option<String>,
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    skip_verify: Option<bool>,
    /// One that only TLS can obey, as it was written.
    pub(super) of_tls: Option<String>,
    pub(super) replicas: Option<u32>,
    pub(super) sentinel_user: Option<String>,
    pub(super) sentinel_password: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

impl UrlOptions {
    pub(super) fn read(url: &Url, scheme: Scheme) -> Result<Self> {
        let is_unix = scheme == Scheme::Unix;
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
                "replicas" => options.replicas = Some(replicas(&value)?),
                "sentinel_username" if scheme == Scheme::Sentinel => {
                    options.sentinel_user = Some(value.into_owned());
                }
                "sentinel_password" if scheme == Scheme::Sentinel => {
                    options.sentinel_password = Some(value.into_owned());
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
    pub(super) fn add(&mut self, access: &ServerAccess) -> Result<()> {
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
        if let Some(replicas) = access.replicas {
            said(&mut self.replicas, replicas, || differ("replicas"))?;
        }
        Ok(())
    }

    pub(super) fn tls(&mut self, unit: Unit) -> Result<TlsOptions> {
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

fn replicas(text: &str) -> Result<u32> {
    text.parse().map_err(|_| {
        Error::invalid("replicas in the URL is not a number; it is how many replicas have to have a lock, as in ?replicas=1")
    })
}
