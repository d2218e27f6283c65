//! TLS sessions that outlive their connections: clients that come back.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use data_encoding::HEXLOWER_PERMISSIVE;
use quinn::{Connecting, Connection};
use rustls::ClientConfig;

use super::raw::RawStream;
use crate::failure::Failure;

/// By the names that the script gave them. rustls resumes a session only with the very configuration that it began with.
static SESSIONS: Mutex<Option<HashMap<String, Arc<ClientConfig>>>> = Mutex::new(None);

/// The configuration of all connections of this session: the first one's, and `make` is not asked again.
pub(super) fn config(
    session: &str,
    make: impl FnOnce() -> Result<ClientConfig, Failure>,
) -> Result<Arc<ClientConfig>, Failure> {
    let mut sessions = SESSIONS.lock().unwrap_or_else(PoisonError::into_inner);
    let sessions = sessions.get_or_insert_default();
    if let Some(config) = sessions.get(session) {
        return Ok(config.clone());
    }
    let mut config = make()?;
    config.enable_early_data = true;
    let config = Arc::new(config);
    sessions.insert(session.to_owned(), config.clone());
    Ok(config)
}

/// A connection whose first packets carry a whole bidirectional stream of these bytes in early data. Also returns that
/// stream, and whether the server took it.
pub(super) async fn early(
    connecting: Connecting,
    hex: &str,
) -> Result<(Connection, RawStream, bool), Failure> {
    let bytes = HEXLOWER_PERMISSIVE
        .decode(hex.as_bytes())
        .map_err(Failure::usage)?;
    let Ok((quic, accepted)) = connecting.into_0rtt() else {
        return Err(Failure::usage(
            "the session has no ticket for early data: connect with it before, to a server that allows it",
        ));
    };
    let (mut send, receive) = quic.open_bi().await?;
    send.write_all(&bytes).await?;
    // Only a stream that was reset cannot be finished.
    let _ = send.finish();
    let accepted = accepted.await;
    if let Some(error) = quic.close_reason() {
        return Err(error.into());
    }
    Ok((quic, RawStream::new(None, Some(receive)), accepted))
}
