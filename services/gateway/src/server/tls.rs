//! TLS before the requests, where the gateway has a certificate.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig, crypto::aws_lc_rs};
use tokio_util::sync::CancellationToken;

use crate::watch::{Looks, Stamps};

/// The gateway's certificate and key, as they are at the moment.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    seen: Stamps,
    current: RwLock<Arc<ServerConfig>>,
}

/// Says why TLS cannot be done with two files.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsFault {
    /// One of them cannot be read.
    #[error("{}: {cause}", path.display())]
    File { path: PathBuf, cause: rustls::pki_types::pem::Error },
    /// They do not go together.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

impl Tls {
    /// Reads a certificate with its chain, and its key: two files in PEM.
    pub(crate) fn load(certificate: PathBuf, key: PathBuf) -> Result<Self, TlsFault> {
        let seen = Stamps::of([certificate.clone(), key.clone()]);
        let current = RwLock::new(read(&certificate, &key)?);
        Ok(Self { certificate, key, seen, current })
    }

    /// Returns what takes a connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)).into()
    }

    /// Takes changed files, until the stop. Connections keep what they began with; files at fault change nothing.
    pub(crate) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut looks = match Looks::new() {
            Ok(looks) => looks,
            Err(fault) => {
                tracing::error!(error = %fault, "SIGHUP cannot be heard: a changed certificate is not taken");
                return;
            }
        };
        let mut seen = self.seen.clone();
        while let Some(is_told) = stop.run_until_cancelled(looks.next()).await {
            if !is_told && !seen.have_changed() {
                continue;
            }
            seen = self.stamps();
            match read(&self.certificate, &self.key) {
                Ok(config) => {
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
                    tracing::info!("the certificate was taken anew");
                }
                Err(fault) => {
                    tracing::error!(error = %fault, "the certificate stays as it was: the files are at fault");
                }
            }
        }
    }

    /// Looks at the files, before they are read.
    fn stamps(&self) -> Stamps {
        Stamps::of([self.certificate.clone(), self.key.clone()])
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsFault> {
    let fault = |path: &Path| {
        let path = path.to_owned();
        move |cause| TlsFault::File { path, cause }
    };
    let chain = CertificateDer::pem_file_iter(certificate).map_err(fault(certificate))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(fault(certificate))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(fault(key))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
