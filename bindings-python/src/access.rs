//! What a client's arguments say of its access to a server.

use std::path::PathBuf;
use std::sync::Arc;

use leaselock::ClientBuilder;
use pyo3::prelude::*;

use crate::args::{self, Given};
use crate::credentials::{self, Loops};

/// Kept for making the client again in a forked child.
pub(crate) struct Access {
    /// The CA, the client's certificate, its key.
    tls: [Option<PathBuf>; 3],
    skip_verify: Option<bool>,
    key_prefix: Option<String>,
    address_map: Vec<(String, String)>,
    replicas: Option<u32>,
    credentials: Option<credentials::Function>,
}

impl Access {
    pub(crate) fn new(
        tls: [Option<&Bound<'_, PyAny>>; 3],
        skip_verify: &Given<'_>,
        key_prefix: Option<&Bound<'_, PyAny>>,
        address_map: Option<&Bound<'_, PyAny>>,
        replicas: &Given<'_>,
        credentials: Option<&Bound<'_, PyAny>>,
        has_loop: bool,
    ) -> PyResult<Self> {
        let file = |field, value: Option<&Bound<'_, PyAny>>| {
            value.map(|value| args::path(field, value)).transpose()
        };
        let [ca, cert, key] = tls;
        Ok(Self {
            tls: [
                file("tls_ca", ca)?,
                file("tls_cert", cert)?,
                file("tls_key", key)?,
            ],
            skip_verify: match skip_verify {
                Given::Default => None,
                Given::Value(value) => Some(args::flag("tls_insecure_skip_verify", value)?),
            },
            key_prefix: key_prefix
                .map(|prefix| args::text("key_prefix", prefix).map(str::to_owned))
                .transpose()?,
            address_map: match address_map {
                None => Vec::new(),
                Some(map) => args::texts("address_map", map)?,
            },
            replicas: match replicas {
                Given::Default => None,
                Given::Value(value) => Some(args::replicas(value)?),
            },
            credentials: credentials
                .map(|given| credentials::Function::new(given, has_loop))
                .transpose()?,
        })
    }

    /// Says it to a builder of a client that is used on `loops`.
    pub(crate) fn said(
        &self,
        py: Python<'_>,
        mut builder: ClientBuilder,
        loops: &Arc<Loops>,
    ) -> ClientBuilder {
        let [ca, cert, key] = &self.tls;
        if let Some(ca) = ca {
            builder = builder.tls_ca(ca);
        }
        if let Some(cert) = cert {
            builder = builder.tls_cert(cert);
        }
        if let Some(key) = key {
            builder = builder.tls_key(key);
        }
        if let Some(skip) = self.skip_verify {
            builder = builder.tls_insecure_skip_verify(skip);
        }
        if let Some(prefix) = &self.key_prefix {
            builder = builder.key_prefix(prefix);
        }
        if !self.address_map.is_empty() {
            builder = builder.address_map(self.address_map.iter().cloned());
        }
        if let Some(replicas) = self.replicas {
            builder = builder.replicas(replicas);
        }
        if let Some(given) = &self.credentials {
            let asked = given.asked(py, loops);
            builder = builder.credentials(move || asked.clone().ask());
        }
        builder
    }
}
