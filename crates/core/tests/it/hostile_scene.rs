//! What the tests of hostile servers share: pieces of responses, error codes, and how a request ends.

use trilane_core::client::RequestError;
use trilane_core::{BodyError, ExchangeId};

use crate::caller::Caller;
use crate::raw::{frame, headers};
use crate::support::soon;
use crate::villain::Villain;

pub(crate) const STREAM_CREATION_ERROR: u64 = 0x103;
pub(crate) const CLOSED_CRITICAL_STREAM: u64 = 0x104;
pub(crate) const FRAME_UNEXPECTED: u64 = 0x105;
pub(crate) const FRAME_ERROR: u64 = 0x106;
pub(crate) const DATAGRAM_ERROR: u64 = 0x33;
pub(crate) const EXCESSIVE_LOAD: u64 = 0x107;
pub(crate) const ID_ERROR: u64 = 0x108;
pub(crate) const SETTINGS_ERROR: u64 = 0x109;
pub(crate) const MISSING_SETTINGS: u64 = 0x10a;
pub(crate) const REQUEST_CANCELLED: u64 = 0x10c;
pub(crate) const MESSAGE_ERROR: u64 = 0x10e;
pub(crate) const ENCODER_STREAM_ERROR: u64 = 0x201;
pub(crate) const DECODER_STREAM_ERROR: u64 = 0x202;
pub(crate) const DECOMPRESSION_FAILED: u64 = 0x200;

pub(crate) fn ok() -> Vec<u8> {
    headers(&[(":status", "200")])
}

pub(crate) fn early_hints() -> Vec<u8> {
    headers(&[(":status", "103"), ("link", "</a>")])
}

pub(crate) fn trailers() -> Vec<u8> {
    headers(&[("x-sum", "1")])
}

pub(crate) fn data(content: &[u8]) -> Vec<u8> {
    frame(0, content)
}

/// How the request to a villain ends.
#[derive(Debug)]
pub(crate) enum Ending {
    Response(u16),
    /// The head came, the body did not.
    Cut(BodyError),
    Failed(RequestError),
}

pub(crate) async fn ending(caller: &Caller, id: ExchangeId) -> Ending {
    match caller.outcome(id).await {
        Err(error) => return Ending::Failed(error),
        Ok(heard) if heard.body.is_some() => return Ending::Response(heard.status),
        Ok(_) => {}
    }
    let mut body = caller.client.exchanges().take_body(id).unwrap();
    loop {
        match soon("the end of a body", body.next()).await {
            Ok(Some(_)) => {}
            Ok(None) => return Ending::Response(200),
            Err(error) => return Ending::Cut(error),
        }
    }
}

/// After whatever happened, a request is served, on a connection of this number.
pub(crate) async fn serves_on(villain: &Villain, caller: &Caller, connections: usize, case: &str) {
    let heard = caller.get("/next").await;
    assert_eq!(heard.status, 200, "{case}");
    assert_eq!(villain.connections(), connections, "{case}: connections");
    assert_eq!(caller.client.stats().requests_active, 0, "{case}: open requests");
}

pub(crate) fn is_protocol(ending: &Ending) -> bool {
    matches!(
        ending,
        Ending::Failed(RequestError::Malformed(_)) | Ending::Cut(BodyError::Malformed { .. })
    )
}
