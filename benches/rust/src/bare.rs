//! The limit: a plain socket, or a TLS stream of leaselock's library, that sends exactly the bytes that leaselock sends,
//! and reads as many as are answered.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde::Deserialize;

use crate::meter::Slice;
use crate::protocol::{Request, answer, requests};

/// One write and the length of its reply.
#[derive(Deserialize)]
struct Exchange {
    send: String,
    reply: usize,
}

#[derive(Deserialize)]
pub struct Options {
    pair: Vec<Exchange>,
}

/// `redis://HOST:PORT` or `rediss://HOST:PORT?ssl_ca_certs=FILE`.
pub fn run(url: &str, options: Options) -> Result<(), Box<dyn Error>> {
    if let Some(address) = url.strip_prefix("redis://") {
        return pairs(connect(address)?, &options.pair);
    }
    let (address, ca) = url
        .strip_prefix("rediss://")
        .and_then(|rest| rest.split_once("?ssl_ca_certs="))
        .ok_or("a bare socket speaks TLS with ssl_ca_certs alone")?;
    let host = address.split_once(':').map_or(address, |(host, _)| host);
    let stream = StreamOwned::new(tls(host, ca)?, connect(address)?);
    pairs(stream, &options.pair)
}

fn connect(address: &str) -> std::io::Result<TcpStream> {
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// TLS as leaselock speaks it.
fn tls(host: &str, ca: &str) -> Result<ClientConnection, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let host = ServerName::try_from(host.to_owned())?;
    Ok(ClientConnection::new(Arc::new(config), host)?)
}

fn pairs(mut socket: impl Read + Write, pair: &[Exchange]) -> Result<(), Box<dyn Error>> {
    answer(&serde_json::json!({ "ready": true }));
    let mut buffer = vec![0; 4096];
    for request in requests() {
        let Request::Pairs { seconds, .. } = request else {
            return Err("a bare socket only runs pairs".into());
        };
        let slice = Slice::start(seconds);
        let mut pairs = 0;
        while slice.goes_on() {
            for exchange in pair {
                socket.write_all(exchange.send.as_bytes())?;
                let mut length = 0;
                while length < exchange.reply {
                    match socket.read(&mut buffer[length..])? {
                        0 => return Err("the server has gone".into()),
                        read => length += read,
                    }
                }
            }
            pairs += 1;
        }
        answer(&slice.result(pairs));
    }
    Ok(())
}
