//! What is wrong with TLS, in words: which certificate, and what to do. A certificate that does not do now will not do later.

use rustls::{AlertDescription, CertificateError};

use super::config::Address;
use crate::error::{Error, ErrorKind};

/// How to come from a certificate that is its own authority to one for a server.
const MAKE_A_LEAF: &str = "it is a CA's own, which does not do for a server. Keep it as the CA, and let it sign one for the server: \
     openssl req -new -newkey rsa:2048 -nodes -keyout server.key -subj /CN=HOST -out server.csr; \
     printf 'basicConstraints=CA:FALSE\\nsubjectAltName=DNS:HOST\\n' > server.ext; \
     openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -extfile server.ext -out server.crt; \
     then give server.crt and server.key to the server, and ca.crt to tls_ca";

/// The error of a connection whose TLS failed.
pub(super) fn from_tls(address: &Address, error: rustls::Error) -> Error {
    let refused = |text: String| Error::new(ErrorKind::StoreRefused, text);
    let told = match &error {
        rustls::Error::InvalidCertificate(reason) => refused(format!(
            "the certificate of the server at {address} is refused: {error} ({})",
            on_theirs(reason)
        )),
        rustls::Error::AlertReceived(alert) => match on_ours(*alert) {
            Some(advice) => refused(format!(
                "the server at {address} refuses this client: {error} ({advice})"
            )),
            None => no_tls(address, &error),
        },
        _ => no_tls(address, &error),
    };
    told.with_source(error)
}

fn no_tls(address: &Address, error: &rustls::Error) -> Error {
    let question = match error {
        // Before TLS 1.3 that is all that a server says which misses a client's certificate.
        rustls::Error::AlertReceived(AlertDescription::HandshakeFailure) => {
            "does it ask for a client's certificate, to be named with tls_cert and tls_key?"
        }
        _ => "does its port speak TLS?",
    };
    Error::unavailable(format!(
        "there is no TLS with the server at {address}: {error}; {question}"
    ))
}

/// What to do about the server's certificate.
fn on_theirs(reason: &CertificateError) -> &'static str {
    use CertificateError as Of;
    match reason {
        Of::UnknownIssuer => {
            "nobody whom this client trusts vouches for it; name the CA's file with tls_ca"
        }
        Of::NotValidForName | Of::NotValidForNameContext { .. } => {
            "it is for another host name; connect to the name that it is for"
        }
        Of::Expired | Of::ExpiredContext { .. } => "it has expired; renew it",
        Of::NotValidYet | Of::NotValidYetContext { .. } => {
            "it is not valid yet; is this machine's clock right?"
        }
        Of::InvalidPurpose | Of::InvalidPurposeContext { .. } => {
            "it is for no server; one for servers has the extended key usage serverAuth, or none"
        }
        Of::BadSignature => {
            "its CA has the name of one that is trusted, and another key; name that CA's file with tls_ca"
        }
        Of::Other(other) => {
            // The types are those of a library behind the library.
            let words = format!("{other:?} {other}");
            if words.contains("CaUsedAsEndEntity") {
                MAKE_A_LEAF
            } else if words.contains("UnsupportedCertVersion") {
                "it is of version 1, which has no host names; make one with the extension subjectAltName"
            } else {
                "see its words"
            }
        }
        _ => "see its words",
    }
}

/// What to do about the client's certificate; `None` for an alert that says nothing of it.
fn on_ours(alert: AlertDescription) -> Option<&'static str> {
    match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => Some(
            "it asks for a client's certificate; name yours and its key with tls_cert and tls_key",
        ),
        AlertDescription::UnknownCA => {
            Some("it does not trust the CA of the certificate of tls_cert")
        }
        AlertDescription::CertificateExpired => {
            Some("the certificate of tls_cert has expired; renew it")
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied => {
            Some("it does not take the certificate of tls_cert; its log says more")
        }
        _ => None,
    }
}
