//! A request of ours before it is on its way.

use bytes::{Bytes, BytesMut};
use trilane_http3::{FieldError, ResponseTo};

use crate::exchange::ExchangeId;

use super::addresses::Target;

/// What a request carries besides its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutgoingBody {
    /// Nothing: the stream is closed for sending behind the head.
    Empty,
    /// All of it.
    Whole(Bytes),
    /// It is written to the exchange piece by piece ([`ExchangeTable::write`](crate::ExchangeTable::write)) and finished
    /// there. Such a request is never sent twice.
    Streaming,
}

/// A request as its maker describes it.
#[derive(Clone, Debug)]
pub struct RequestOrder<'a> {
    /// Where it goes.
    pub target: Target,
    /// `:method`.
    pub method: &'a [u8],
    /// `:authority`, if it is another than that of the target (RFC 9114 §4.3.1).
    pub authority: Option<&'a [u8]>,
    /// `:path` with its query; empty for a plain CONNECT.
    pub path: &'a [u8],
    /// `:protocol` of an extended CONNECT (RFC 9220 §3). Of a WebTransport session it is what older dialects call it; a server
    /// that speaks the newest alone is asked for `webtransport-h3`.
    pub protocol: Option<&'a [u8]>,
    /// What the content is, both ways, after a 2xx answer to a CONNECT.
    pub tunnel: Tunnel,
    /// Fields, lower case, in their order.
    pub fields: &'a [(&'a [u8], &'a [u8])],
    /// What follows the head.
    pub body: OutgoingBody,
    /// Whether HTTP datagrams of the response's side are taken (RFC 9297 §2).
    pub takes_datagrams: bool,
    /// It may go out in early data (0-RTT): it is safe to be processed twice (RFC 8470 §2).
    pub may_be_early: bool,
    /// It has a connection of its own, which ends with it.
    pub dedicated: bool,
}

/// What an accepted CONNECT carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tunnel {
    /// It is none, or bytes.
    Bytes,
    /// Capsules (RFC 9297 §3.1).
    Capsules,
    /// A WebTransport session.
    Session,
}

/// Why a request cannot be sent as it is. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// A field may not be sent.
    #[error("the request's field {name:?} is not allowed in HTTP/3: {source}")]
    Field {
        /// Its name.
        name: String,
        /// What is wrong.
        source: FieldError,
    },
    /// `content-length` is not one decimal number, or not that of the body.
    #[error("content-length must be the length of the body (RFC 9110 §8.6): leave it out, it is added")]
    Length,
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}

/// What a WebTransport session is called in the newest dialect (draft-ietf-webtrans-http3-16 §3.2).
pub(super) const NEWEST_SESSION: &[u8] = b"webtransport-h3";

/// A request that is ready to be sent, as often as that is safe.
#[derive(Debug)]
pub(crate) struct Order {
    pub(super) id: ExchangeId,
    pub(super) target: Target,
    /// The HEADERS frame.
    pub(super) head: Bytes,
    /// The same as a server of the newest dialect of WebTransport wants it, of a request for a session.
    pub(super) newest_head: Option<Bytes>,
    /// The size of the header section, counted as RFC 9114 §4.2.2 says.
    pub(super) section_size: u64,
    pub(super) body: OutgoingBody,
    pub(super) to: ResponseTo,
    pub(super) tunnel: Tunnel,
    pub(super) has_protocol: bool,
    pub(super) takes_datagrams: bool,
    pub(super) may_be_early: bool,
    pub(super) dedicated: bool,
    /// Whether it may be sent again although it may have been processed (RFC 9110 §9.2.2).
    pub(super) is_idempotent: bool,
    /// How often it was sent before.
    pub(super) attempts: u32,
}

/// A checked request: its HEADERS frame and the size of its section.
pub(super) struct Head {
    pub(super) frame: Bytes,
    pub(super) section_size: u64,
    /// What `content-length` promises of a body that is streamed.
    pub(super) declared: Option<u64>,
}

impl RequestOrder<'_> {
    /// Checks the fields and encodes the head. `content-length` is added to a whole body, and to an empty one of a method that
    /// usually has one (RFC 9110 §8.6).
    pub(super) fn head(&self) -> Result<Head, OrderError> {
        let mut declared = None;
        for (name, value) in self.fields {
            trilane_http3::check_field(name, value).map_err(|source| OrderError::Field {
                name: String::from_utf8_lossy(name).into_owned(),
                source,
            })?;
            if *name == b"content-length" {
                let digits = value.iter().all(u8::is_ascii_digit).then_some(*value);
                let length = digits
                    .and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok())
                    .ok_or(OrderError::Length)?;
                if declared.replace(length).is_some() {
                    return Err(OrderError::Length);
                }
            }
        }
        let length = match &self.body {
            OutgoingBody::Whole(body) => Some(body.len() as u64),
            OutgoingBody::Empty if matches!(self.method, b"POST" | b"PUT" | b"PATCH") => Some(0),
            OutgoingBody::Empty => declared.map(|_| 0),
            OutgoingBody::Streaming => None,
        };
        let added = match (length, declared) {
            // RFC9114-4.1.2-own-content-length
            (Some(length), Some(declared)) if length != declared => return Err(OrderError::Length),
            (Some(length), None) => Some(length.to_string()),
            _ => None,
        };
        let added = added
            .as_ref()
            .map(|length| (&b"content-length"[..], length.as_bytes()));
        let fields = self.fields.iter().copied().chain(added);
        let mut frame = BytesMut::with_capacity(256);
        let is_plain_connect = self.method == b"CONNECT" && self.protocol.is_none();
        // RFC9114-3.1.2-scheme-willing: no other is ever sent.
        let scheme: &[u8] = if is_plain_connect { b"" } else { b"https" };
        let authority = match self.authority {
            Some(other) => other,
            None => self.target.authority().as_bytes(),
        };
        trilane_http3::write_request_head(
            &mut frame,
            self.method,
            scheme,
            authority,
            if is_plain_connect { b"" } else { self.path },
            self.protocol,
            fields.clone(),
        );
        let pseudo = [
            (&b":method"[..], self.method),
            (b":scheme", scheme),
            (b":authority", authority),
            (b":path", self.path),
            (b":protocol", self.protocol.unwrap_or_default()),
        ];
        let sent = pseudo.into_iter().filter(|(_, value)| !value.is_empty());
        let section_size = sent
            .chain(fields)
            .map(|(name, value)| (name.len() + value.len() + 32) as u64)
            .sum();
        Ok(Head {
            frame: frame.freeze(),
            section_size,
            declared,
        })
    }

    pub(super) fn response_to(&self) -> ResponseTo {
        match (self.method, self.tunnel) {
            (b"HEAD", _) => ResponseTo::Head,
            (b"CONNECT", Tunnel::Bytes) => ResponseTo::Connect,
            (b"CONNECT", Tunnel::Capsules | Tunnel::Session) => ResponseTo::Capsules,
            _ => ResponseTo::Other,
        }
    }

    pub(super) fn is_idempotent(&self) -> bool {
        matches!(
            self.method,
            b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE"
        )
    }
}

impl Order {
    /// Whether it can be sent again: its body is at hand.
    pub(super) fn can_be_sent_again(&self) -> bool {
        self.body != OutgoingBody::Streaming && self.attempts < super::MAX_ATTEMPTS
    }
}
