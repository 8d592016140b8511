//! TLS: whom to trust, and with what certificate to come oneself.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error as TlsError,
    RootCertStore, SignatureScheme,
};

use super::config::Address;
use crate::error::{Error, Result};

/// What is said about TLS. Files are PEM.
#[derive(Clone, Default)]
pub(super) struct TlsOptions {
    /// Certificates of the authorities to trust, in place of the system's.
    pub(super) ca: Option<PathBuf>,
    /// The client's own certificate, with those between it and its authority.
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    /// Any certificate will do.
    pub(super) skip_verify: bool,
}

/// How TLS is spoken.
pub(super) struct Tls {
    options: TlsOptions,
    /// Made when the first connection is.
    config: OnceLock<Arc<ClientConfig>>,
}

impl Tls {
    /// Reads the files that are named, so that one that cannot be used is refused before anything is sent; and so is a host
    /// that cannot be spoken with.
    pub(super) fn new(endpoints: &[Address], options: TlsOptions) -> Result<Self> {
        for endpoint in endpoints {
            if let Address::Tcp { host, .. } = endpoint {
                server_name(host)?;
            }
        }
        if options.cert.is_some() != options.key.is_some() {
            return Err(Error::invalid(
                "tls_cert and tls_key belong together: name the client's certificate and its key",
            ));
        }
        let named_files = options.ca.is_some() || options.cert.is_some();
        let tls = Self {
            options,
            config: OnceLock::new(),
        };
        if named_files {
            tls.config()?;
        }
        Ok(tls)
    }

    /// A new connection's part that speaks TLS with `host`, for which the server's certificate must be.
    pub(super) fn connection(&self, host: &str) -> Result<ClientConnection> {
        let mut connection = ClientConnection::new(self.config()?, server_name(host)?)
            .map_err(|error| unusable("TLS", &error))?;
        connection.set_buffer_limit(None);
        Ok(connection)
    }

    /// Whether the server's certificate is verified.
    pub(super) fn verifies(&self) -> bool {
        !self.options.skip_verify
    }

    fn config(&self) -> Result<Arc<ClientConfig>> {
        if let Some(config) = self.config.get() {
            return Ok(config.clone());
        }
        let config = Arc::new(self.options.config()?);
        Ok(self.config.get_or_init(|| config).clone())
    }
}

impl TlsOptions {
    fn config(&self) -> Result<ClientConfig> {
        // A program that chose its provider of cryptography keeps it.
        let provider = CryptoProvider::get_default()
            .cloned()
            .unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()));
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable("TLS", &error))?;
        let builder = if self.skip_verify {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        } else {
            builder.with_root_certificates(self.roots()?)
        };
        let (Some(cert), Some(key)) = (&self.cert, &self.key) else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = certificates("tls_cert", cert)?;
        let private = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| unreadable("tls_key", key, &error))?;
        builder
            .with_client_auth_cert(chain, private)
            .map_err(|error| {
                unusable(
                    "the certificate of tls_cert with the key of tls_key",
                    &error,
                )
            })
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        if let Some(ca) = &self.ca {
            for certificate in certificates("tls_ca", ca)? {
                roots
                    .add(certificate)
                    .map_err(|error| unusable("a certificate of tls_ca", &error))?;
            }
            return Ok(roots);
        }
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(Error::invalid(
                "this machine trusts no certificate authority: install its CA certificates (Debian: ca-certificates), \
                 or name a file of them with tls_ca or SSL_CERT_FILE",
            ));
        }
        Ok(roots)
    }
}

/// When the certificate runs out that the server showed; `None` for one that never does.
pub(super) fn expiry(connection: &ClientConnection) -> Option<SystemTime> {
    let shown = ParsedCertificate::try_from(connection.peer_certificates()?.first()?).ok()?;
    // Its dates are looked at before who signed it, and at the end of time it has run out.
    let end = UnixTime::since_unix_epoch(Duration::MAX);
    let nobody = RootCertStore::empty();
    match verify_server_cert_signed_by_trust_anchor(&shown, &nobody, &[], end, &[]) {
        Err(TlsError::InvalidCertificate(CertificateError::ExpiredContext {
            not_after, ..
        })) => SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(not_after.as_secs())),
        _ => None,
    }
}

fn server_name(host: &str) -> Result<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).map_err(|_| {
        Error::invalid(format!(
            "{host:?} is no host name that a certificate can be for"
        ))
    })
}

fn certificates(option: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = || CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>();
    let found = read().map_err(|error| unreadable(option, path, &error))?;
    if found.is_empty() {
        return Err(Error::invalid(format!(
            "the file {} of {option} has no certificate in it; it is to be PEM, beginning with -----BEGIN CERTIFICATE-----",
            path.display()
        )));
    }
    Ok(found)
}

fn unreadable(option: &str, path: &Path, error: &impl std::fmt::Display) -> Error {
    Error::invalid(format!(
        "the file {} of {option} cannot be read as PEM: {error}",
        path.display()
    ))
}

fn unusable(what: &str, error: &rustls::Error) -> Error {
    Error::invalid(format!("{what} cannot be used: {error}"))
}

/// Trusts any certificate, where `tls_insecure_skip_verify` says so; whoever has it must have its key all the same.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
