//! TLS by rustls and ring. The clock has to be right before it is used: PID 1 sets
//! it to the image's time at least.

use super::Error;
use super::stream::Stream;
use super::wire::Wire;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::path::Path;
use std::sync::Arc;

/// Who is trusted. Nobody, unless told.
#[derive(Clone, Debug, Default)]
pub(super) struct Tls {
    roots: Option<RootCertStore>,
    config: Option<Arc<ClientConfig>>,
}

impl Tls {
    /// Adds the certificates of a file. One that cannot be read is left out, as
    /// bundles have odd ones in them; none at all is an error.
    pub(super) fn trust(&mut self, bundle: &Path) -> Result<usize, Error> {
        let fail = |why: &dyn std::fmt::Display| Error::Tls(format!("{}: {why}", bundle.display()));
        let certificates = CertificateDer::pem_file_iter(bundle).map_err(|e| fail(&e))?;
        let roots = self.roots.get_or_insert_with(RootCertStore::empty);
        let (added, _) = roots.add_parsable_certificates(certificates.flatten());
        if added == 0 {
            return Err(fail(&"has no certificates"));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| fail(&e))?
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        self.config = Some(Arc::new(config));
        Ok(added)
    }

    pub(super) fn secure(&self, host: &str, mut wire: Wire) -> Result<Stream, Error> {
        let Some(config) = self.config.clone() else {
            return Err(Error::Tls("no certificate authority is trusted".into()));
        };
        let name = ServerName::try_from(host.to_owned()).map_err(|e| Error::Tls(e.to_string()))?;
        let mut connection = ClientConnection::new(config, name).map_err(|e| Error::Tls(e.to_string()))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut wire).map_err(|error| match Error::of(error) {
                Error::Broken(error) => Error::Tls(error.to_string()),
                own => own,
            })?;
        }
        Ok(Stream::Tls(Box::new(StreamOwned::new(connection, wire))))
    }
}
