//! The options of a client, turned into the core's configuration.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use trilane_core::Limits;
use trilane_core::client::{ClientConfig, ClientLimits, ClientTls, DialOptions, Trust};
use trilane_core::tls::{KeyLogTarget, Resumption};

use crate::certificates::{self, NativeIdentity};
use crate::error::{ErrorCode, Result, error};

/// Everything a client is made from.
#[napi(object)]
pub struct NativeClientOptions {
    /// What is shown to servers which ask for a certificate.
    pub identity: Option<NativeIdentity>,
    /// Authorities, PEM or DER. Absent: those of the system.
    pub ca: Option<Uint8Array>,
    /// SHA-256 of certificates, 32 bytes each; empty: none.
    pub certificate_hashes: Vec<Uint8Array>,
    /// Whether every certificate is trusted.
    pub insecure: bool,
    /// Protocols that are offered (ALPN).
    pub alpn: Vec<String>,
    /// An address of this machine.
    pub local_address: Option<String>,
    pub connect_timeout_ms: u32,
    /// 0: no limit.
    pub headers_timeout_ms: u32,
    pub idle_timeout_ms: u32,
    /// 0: no signs of life.
    pub keep_alive_ms: u32,
    pub max_connections_per_origin: u32,
    pub max_response_header_bytes: u32,
    pub key_log: Option<String>,
    pub qlog_dir: Option<String>,
    /// Whether safe requests may go in early data.
    pub early_data: bool,
}

pub(crate) fn configure(options: &NativeClientOptions) -> Result<ClientConfig> {
    let certificate = |e: &dyn std::fmt::Display| error(ErrorCode::Certificate, e);
    let tls = ClientTls {
        alpn: options.alpn.iter().map(|name| name.as_bytes().to_vec()).collect(),
        trust: trust(options).map_err(|e| certificate(&e))?,
        identity: options.identity.as_ref().map(certificates::load).transpose()?,
        resumption: if options.early_data {
            Resumption::EarlyData
        } else {
            Resumption::Tickets
        },
        key_log: options
            .key_log
            .as_ref()
            .map_or(KeyLogTarget::None, |path| KeyLogTarget::File(path.into())),
    };
    let milliseconds = |ms: u32| Duration::from_millis(u64::from(ms));
    let some = |ms: u32| (ms > 0).then(|| milliseconds(ms));
    Ok(ClientConfig {
        dial: DialOptions {
            tls,
            limits: ClientLimits {
                idle_timeout: milliseconds(options.idle_timeout_ms),
                keep_alive: some(options.keep_alive_ms),
                ..ClientLimits::default()
            },
            connect_timeout: milliseconds(options.connect_timeout_ms),
            local_address: local_address(options.local_address.as_deref())?,
            qlog_dir: options.qlog_dir.as_ref().map(PathBuf::from),
        },
        limits: Limits {
            max_header_bytes: options.max_response_header_bytes as usize,
            ..Limits::default()
        },
        max_connections_per_origin: options.max_connections_per_origin as usize,
        response_timeout: some(options.headers_timeout_ms),
        tell_connections: false,
    })
}

fn trust(options: &NativeClientOptions) -> std::result::Result<Trust, trilane_core::client::TrustError> {
    if options.insecure {
        return Ok(Trust::Insecure);
    }
    if !options.certificate_hashes.is_empty() {
        let hashes: Vec<[u8; 32]> = options
            .certificate_hashes
            .iter()
            .filter_map(|hash| hash.as_ref().try_into().ok())
            .collect();
        return Trust::pinned(&hashes);
    }
    match &options.ca {
        Some(ca) => Trust::authorities(&[ca]),
        None => Ok(Trust::System),
    }
}

fn local_address(text: Option<&str>) -> Result<Option<SocketAddr>> {
    let Some(text) = text else { return Ok(None) };
    match text.parse::<IpAddr>() {
        Ok(ip) => Ok(Some(SocketAddr::new(ip, 0))),
        Err(_) => Err(error(
            ErrorCode::Bind,
            format!("localAddress {text:?} is no IP address: use one of this machine"),
        )),
    }
}
