//! The TLS end of the admin API's TCP listener. A renewed certificate is used from the next connection
//! on.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::Context as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

/// A certificate chain and its key, in PEM files.
pub(super) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: Mutex<Current>,
}

#[derive(Clone)]
struct Current {
    /// When both files were changed last.
    changed: Option<(SystemTime, SystemTime)>,
    acceptor: TlsAcceptor,
}

impl Tls {
    /// Errors name the file and the option.
    pub(super) fn open(certificate: &Path, key: &Path) -> anyhow::Result<Self> {
        let changed = changed(certificate, key);
        let current = Current { changed, acceptor: acceptor(certificate, key)? };
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        Ok(Self { certificate, key, current: Mutex::new(current) })
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let acceptor = self.acceptor();
        acceptor.accept(stream).await
    }

    fn acceptor(&self) -> TlsAcceptor {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = changed(&self.certificate, &self.key);
        if changed != current.changed {
            current.changed = changed;
            match acceptor(&self.certificate, &self.key) {
                Ok(acceptor) => current.acceptor = acceptor,
                // Half of it may have been written: the other half changes it again.
                Err(error) => tracing::warn!(
                    error = format!("{error:#}"),
                    "the admin API goes on with its old certificate"
                ),
            }
        }
        current.acceptor.clone()
    }
}

fn changed(certificate: &Path, key: &Path) -> Option<(SystemTime, SystemTime)> {
    let at = |file: &Path| std::fs::metadata(file).and_then(|it| it.modified()).ok();
    Some((at(certificate)?, at(key)?))
}

fn acceptor(certificate: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let of = |file: &Path, option: &str| format!("{} ({option})", file.display());
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| of(certificate, "--admin-tls-cert"))?;
    // What is wrong with a key is said without quoting it.
    let private = PrivateKeyDer::from_pem_file(key).with_context(|| of(key, "--admin-tls-key"))?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .with_context(|| of(certificate, "--admin-tls-cert"))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
