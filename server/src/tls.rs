//! The server's certificate.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is not there, or no PEM file with what it should have.
    #[error("{0} does not read")]
    Pem(String, #[source] rustls::pki_types::pem::Error),
    /// The two do not fit, or the key is of a kind that is not used.
    #[error("they do not fit each other")]
    Rustls(#[from] rustls::Error),
}

/// For a certificate chain, the server's first, and its key.
pub(crate) fn acceptor(chain: &Path, key: &Path) -> Result<TlsAcceptor, Error> {
    let fail = |path: &Path| {
        let path = path.display().to_string();
        move |e| Error::Pem(path, e)
    };
    let certificates = CertificateDer::pem_file_iter(chain).map_err(fail(chain))?;
    let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(fail(chain))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(fail(key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
