//! Certificates as JavaScript hands them over.

use std::sync::Arc;

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use trilane_core::tls::{
    CertificateStore, ClientAuth, DefaultIdentity, DevelopmentIdentity, Identity, trust_roots,
};

use crate::error::{ErrorCode, Result, error};

/// A certificate chain and its key, each PEM or DER.
#[napi(object)]
pub struct NativeIdentity {
    pub cert: Uint8Array,
    pub key: Uint8Array,
}

/// A certificate for one host name, or for `*.` and a name.
#[napi(object)]
pub struct NativeHostIdentity {
    pub host: String,
    pub identity: NativeIdentity,
}

/// Certificates that take the place of others; what is absent stays.
#[napi(object)]
pub struct NativeTlsUpdate {
    pub identity: Option<NativeIdentity>,
    pub sni: Option<Vec<NativeHostIdentity>>,
}

/// The certificates of a server; without `identity`, one is made for this machine and `hostname`.
pub(crate) fn store(
    identity: Option<&NativeIdentity>,
    sni: &[NativeHostIdentity],
    hostname: Option<&str>,
) -> Result<Arc<CertificateStore>> {
    let default = match identity {
        Some(identity) => DefaultIdentity::Given(load(identity)?),
        None => DefaultIdentity::Development(Arc::new(development(hostname)?)),
    };
    let store = CertificateStore::new(default, by_host(sni)?);
    Ok(Arc::new(store.map_err(|e| error(ErrorCode::Certificate, e))?))
}

/// Whether clients show certificates: "request" or "require", and from whom.
pub(crate) fn client_auth(asked: Option<&str>, authorities: Option<&Uint8Array>) -> Result<ClientAuth> {
    let (Some(asked), Some(authorities)) = (asked, authorities) else {
        return Ok(ClientAuth::None);
    };
    let roots = trust_roots(authorities).map_err(|e| error(ErrorCode::Certificate, format!("ca: {e}")))?;
    Ok(match asked {
        "request" => ClientAuth::Optional(roots),
        _ => ClientAuth::Required(roots),
    })
}

/// Changes nothing if anything is wrong.
pub(crate) fn update(store: &CertificateStore, update: &NativeTlsUpdate) -> Result<()> {
    let default = update.identity.as_ref().map(load).transpose()?;
    let sni = update.sni.as_deref().map(by_host).transpose()?;
    store
        .update(default, sni)
        .map_err(|e| error(ErrorCode::Certificate, e))
}

fn by_host(sni: &[NativeHostIdentity]) -> Result<Vec<(String, Identity)>> {
    sni.iter()
        .map(|entry| Ok((entry.host.clone(), load_for(&entry.host, &entry.identity)?)))
        .collect()
}

pub(crate) fn load(identity: &NativeIdentity) -> Result<Identity> {
    Identity::from_pem_or_der(&identity.cert, &identity.key).map_err(|e| error(ErrorCode::Certificate, e))
}

fn load_for(host: &str, identity: &NativeIdentity) -> Result<Identity> {
    Identity::from_pem_or_der(&identity.cert, &identity.key)
        .map_err(|e| error(ErrorCode::Certificate, format!("sni[{host:?}]: {e}")))
}

fn development(hostname: Option<&str>) -> Result<DevelopmentIdentity> {
    // "::" and "0.0.0.0" are no names by which a client asks.
    let named = hostname.filter(|name| !matches!(*name, "::" | "0.0.0.0" | "localhost"));
    let hosts = named.map(str::to_owned).into_iter().collect();
    DevelopmentIdentity::new(hosts).map_err(|e| error(ErrorCode::Certificate, e))
}
