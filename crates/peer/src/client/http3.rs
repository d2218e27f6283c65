//! h3's part of a connection: requests out, and what the control stream says.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h3::{ConnectionState as _, client, error::Code, proto::frame::Frame};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;

use super::{
    Reply,
    connection::{Connections, Which},
    quic, reply, within,
};
use crate::failure::Failure;

type Driver = client::Connection<quic::Connection, Bytes>;

/// What opens requests.
type Requests = client::SendRequest<quic::Opener, Bytes>;

/// What this side announces.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    max_field_section_size: Option<u64>,
    extended_connect: bool,
    datagram: bool,
    /// Reserved frames and settings (RFC 9114 §7.2.8), which a server must ignore.
    grease: bool,
}

/// h3's part of a connection.
pub(super) struct Http3 {
    requests: Requests,
    /// `host:port`, the `:authority` of requests.
    pub(super) authority: String,
    goaway: watch::Receiver<Option<u64>>,
    fault: Arc<Mutex<Option<Failure>>>,
}

impl Http3 {
    /// Sends SETTINGS and starts the task that reads the server's control stream.
    pub(super) async fn start(
        quic: &quinn::Connection,
        authority: String,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        let mut builder = client::builder();
        builder.send_grease(settings.grease);
        builder.enable_extended_connect(settings.extended_connect);
        builder.enable_datagram(settings.datagram);
        if let Some(size) = settings.max_field_section_size {
            builder.max_field_section_size(size);
        }
        let built = builder.build(quic::Connection::new(quic.clone())).await;
        let (mut driver, requests) = built.map_err(|error| Failure::from_h3_connection(&error, quic))?;
        let (announce, goaway) = watch::channel(None);
        let fault = Arc::new(Mutex::new(None));
        let (found, quic) = (fault.clone(), quic.clone());
        tokio::spawn(async move {
            let end = poll_fn(|context| poll_control(&mut driver, context, &announce, &quic)).await;
            *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
        });
        Ok(Self {
            requests,
            authority,
            goaway,
            fault,
        })
    }

    /// A handle that opens requests.
    pub(super) fn requests(&self) -> Requests {
        self.requests.clone()
    }

    /// Why h3 itself gave the connection up, if it did.
    pub(super) fn fault(&self) -> Option<Failure> {
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        fault.clone().filter(|fault| fault.kind == "protocol")
    }
}

/// What h3's own `poll_close` does, but keeping the number that a GOAWAY carries.
fn poll_control(
    driver: &mut Driver,
    context: &mut Context<'_>,
    announce: &watch::Sender<Option<u64>>,
    quic: &quinn::Connection,
) -> Poll<Failure> {
    let refuse = |code: Code, reason: &str| {
        // Every code of RFC 9114 is far below 2³².
        quic.close(
            quinn::VarInt::from_u64(code.value()).unwrap_or(quinn::VarInt::MAX),
            reason.as_bytes(),
        );
        Poll::Ready(Failure {
            kind: "protocol",
            code: Some(code.value()),
            reason: reason.to_owned(),
        })
    };
    while let Poll::Ready(frame) = driver.inner.poll_control(context) {
        match frame {
            Ok(Frame::Settings(_)) => {}
            Ok(Frame::Goaway(id)) => {
                let (id, last) = (id.into_inner(), *announce.borrow());
                // RFC 9114 §5.2, §7.2.6: a request stream's id that never grows.
                if id % 4 != 0 || last.is_some_and(|last| id > last) {
                    return refuse(Code::H3_ID_ERROR, "GOAWAY with a wrong id");
                }
                driver.set_closing();
                announce.send_replace(Some(id));
            }
            Ok(_) => return refuse(Code::H3_FRAME_UNEXPECTED, "a frame that a server never sends"),
            Err(error) => return Poll::Ready(Failure::from_h3_connection(&error, quic)),
        }
    }
    if driver.inner.poll_accept_bi(context).is_ready() && quic.close_reason().is_none() {
        return refuse(
            Code::H3_STREAM_CREATION_ERROR,
            "a bidirectional stream from the server",
        );
    }
    Poll::Pending
}

/// `goaway`: waits for a GOAWAY; the id in it, or `null` when none came in time or before the end of the connection.
pub(super) async fn goaway(
    connections: &Connections,
    arguments: Which,
    patience: Duration,
) -> Result<Reply, Failure> {
    let connection = connections.get(&arguments.conn)?;
    let mut goaway = connection.http3()?.goaway.clone();
    let received = within(patience, "GOAWAY", async {
        Ok(goaway.wait_for(Option::is_some).await.ok().and_then(|id| *id))
    });
    Ok(reply([("goaway", json!(received.await.unwrap_or(None)))]))
}
