//! A port that speaks TLS before another one that does not, and changes its certificate.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// What each connection that speaks TLS begins with: a record of a handshake.
const HANDSHAKE: u8 = 0x16;

#[derive(Default)]
struct State {
    target: u16,
    certificate: Mutex<Option<TlsAcceptor>>,
    plain: AtomicUsize,
    shown: watch::Sender<()>,
}

pub(crate) struct Front(Arc<State>);

impl Front {
    /// Listens on a free port, before the port `target` of this host; the port.
    pub(crate) async fn open(target: u16) -> std::io::Result<(Self, u16)> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State {
            target,
            ..State::default()
        });
        let of_front = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                if let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(connection(client, Arc::clone(&of_front)));
                }
            }
        });
        Ok((Self(state), port))
    }

    /// Carries out a command, without the name; the answer.
    pub(crate) fn obey(&self, command: &[&str]) -> String {
        let state = &*self.0;
        match *command {
            ["show", file] => match acceptor(Path::new(file)) {
                Ok(acceptor) => {
                    *state.certificate() = Some(acceptor);
                    state.shown.send_replace(());
                    "ok".to_owned()
                }
                Err(error) => format!("error: {file}: {error}"),
            },
            ["plain"] => state.plain.load(Relaxed).to_string(),
            _ => format!("error: what is {command:?}?"),
        }
    }
}

impl State {
    fn certificate(&self) -> MutexGuard<'_, Option<TlsAcceptor>> {
        self.certificate
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn acceptor(file: &Path) -> Result<TlsAcceptor, Box<dyn std::error::Error>> {
    let certificate = CertificateDer::from_pem_file(file.with_extension("crt"))?;
    let key = PrivateKeyDer::from_pem_file(file.with_extension("key"))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn connection(client: TcpStream, state: Arc<State>) {
    let mut shown = state.shown.subscribe();
    let Some(acceptor) = state.certificate().clone() else {
        return;
    };
    let mut first = [0];
    if !matches!(client.peek(&mut first).await, Ok(1)) {
        return;
    }
    if first != [HANDSHAKE] {
        state.plain.fetch_add(1, Relaxed);
    }
    let carried = async {
        let _ = client.set_nodelay(true);
        let Ok(mut client) = acceptor.accept(client).await else {
            return;
        };
        let Ok(mut server) = TcpStream::connect(("127.0.0.1", state.target)).await else {
            return;
        };
        let _ = server.set_nodelay(true);
        let _ = copy_bidirectional(&mut client, &mut server).await;
    };
    tokio::select! {
        biased;
        // From then on nothing is carried any more.
        _ = shown.changed() => {}
        () = carried => {}
    }
}
