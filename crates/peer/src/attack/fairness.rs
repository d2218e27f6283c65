//! One connection with a transfer that never ends, many short requests and a header block that trickles in.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    Plan,
    hostile::Hostile,
    progress::Progress,
    well_formed::{self, ANSWER_WITHIN},
};
use crate::{failure::Failure, target::Target, wire};

/// A user that failed waits this long, so that a dead server does not make a busy loop.
const AFTER_FAILURE: Duration = Duration::from_millis(10);

/// The content of one upload; when it has been sent there is another.
const UPLOAD_BYTES: u64 = 1 << 30;

/// As much as is handed to QUIC at once.
static UPLOAD_PIECE: [u8; 64 * 1024] = [b'u'; 64 * 1024];

/// This client's queue serves all users of a fairness test in turn.
const PRIORITY: i32 = 0;

/// Which way the transfer goes, and the path of the resource that takes or gives without end.
#[derive(Clone, Debug)]
pub(super) enum Bulk {
    Download(String),
    Upload(String),
}

impl Bulk {
    /// The HEADERS frame of one transfer, or an error if the path is none.
    pub(super) fn head(&self, target: &Target) -> Result<Bytes, String> {
        let (method, path) = match self {
            Self::Download(path) => ("GET", path),
            Self::Upload(path) => ("POST", path),
        };
        let authority = target
            .url
            .authority()
            .map_or("localhost", http::uri::Authority::as_str);
        let url = format!("https://{authority}{path}");
        let url = url.parse().map_err(|error| format!("{url}: {error}"))?;
        Ok(well_formed::head(method, &url))
    }
}

/// Three classes on one connection for `plan.lasting`: the transfer, `plan.count` loops of requests, and one header block
/// after the other, padded by `plan.bytes`, of which a byte comes every `plan.interval`.
pub(super) async fn run(plan: &Arc<Plan>, bulk: &Bulk) -> Result<Value, Failure> {
    let hostile = Hostile::connect(plan).await?;
    let stage = Arc::new(Stage {
        plan: plan.clone(),
        quic: hostile.quic.clone(),
        end: Instant::now() + plan.lasting,
    });
    let [transfer, requests, trickle] = [(); 3].map(|()| Arc::new(Progress::new()));
    let mut users = JoinSet::new();
    users.spawn(stage.clone().trickle(trickle.clone()));
    for _ in 0..plan.count {
        users.spawn(stage.clone().ask(requests.clone()));
    }
    let head = bulk.head(&plan.target).map_err(Failure::usage)?;
    let moving = tokio::spawn(stage.clone().transfer(transfer.clone(), bulk.clone(), head));
    while users.join_next().await.is_some() {}
    // It is cut off, but only after the others: they had it as a neighbour to the last.
    moving.abort();
    let report = json!({
        "bulk": transfer.report(stage.end),
        "requests": requests.report(stage.end),
        "trickle": trickle.report(stage.end),
    });
    hostile.close().await;
    Ok(report)
}

/// Where the users are, and until when they go on.
struct Stage {
    plan: Arc<Plan>,
    quic: quinn::Connection,
    end: Instant,
}

impl Stage {
    fn goes_on(&self) -> bool {
        Instant::now() < self.end && self.quic.close_reason().is_none()
    }

    async fn ask(self: Arc<Self>, progress: Arc<Progress>) {
        let request = well_formed::head("GET", &self.plan.target.url);
        while self.goes_on() {
            let begun = Instant::now();
            let result = well_formed::exchange(&self.quic, &request, PRIORITY).await;
            note(&progress, result.map(|()| begun.elapsed())).await;
        }
    }

    /// The latency is that from the last byte of the header block; every byte that QUIC takes is progress.
    async fn trickle(self: Arc<Self>, progress: Arc<Progress>) {
        let padding = vec![b'p'; self.plan.bytes];
        let section = wire::request("GET", &self.plan.target.url, &[(b"x", &padding)]);
        let mut request = BytesMut::new();
        wire::frame(&mut request, wire::HEADERS, &section);
        while self.goes_on() {
            note(&progress, self.trickle_once(&progress, &request).await).await;
        }
    }

    async fn trickle_once(&self, progress: &Progress, request: &[u8]) -> Result<Duration, Failure> {
        let (mut send, mut receive) = self.quic.open_bi().await?;
        for byte in request.chunks(1) {
            send.write_all(byte).await?;
            progress.moved(byte.len());
            tokio::time::sleep(self.plan.interval).await;
        }
        let _ = send.finish();
        let begun = Instant::now();
        let answer = well_formed::read_answer(&mut receive, |_| ());
        match tokio::time::timeout(ANSWER_WITHIN, answer).await {
            Ok(answered) => answered.map(|()| begun.elapsed()),
            Err(_) => Err(Failure::new("deadline", "no answer within 5 s")),
        }
    }

    async fn transfer(self: Arc<Self>, progress: Arc<Progress>, bulk: Bulk, head: Bytes) {
        while self.quic.close_reason().is_none() {
            let begun = Instant::now();
            let result = match bulk {
                Bulk::Download(_) => self.download(&progress, &head).await,
                Bulk::Upload(_) => self.upload(&progress, &head).await,
            };
            note(&progress, result.map(|()| begun.elapsed())).await;
        }
    }

    async fn download(&self, progress: &Progress, head: &[u8]) -> Result<(), Failure> {
        let (mut send, mut receive) = self.quic.open_bi().await?;
        send.write_all(head).await?;
        let _ = send.finish();
        well_formed::read_answer(&mut receive, |length| progress.moved(length)).await
    }

    async fn upload(&self, progress: &Progress, head: &[u8]) -> Result<(), Failure> {
        let (mut send, mut receive) = self.quic.open_bi().await?;
        let mut data = BytesMut::from(head);
        wire::varint(&mut data, wire::DATA);
        wire::varint(&mut data, UPLOAD_BYTES);
        send.write_all(&data).await?;
        let mut left = UPLOAD_BYTES;
        while left > 0 {
            let piece = UPLOAD_PIECE
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            let written = send.write(&UPLOAD_PIECE[..piece]).await?;
            progress.moved(written);
            left -= written as u64;
        }
        let _ = send.finish();
        well_formed::read_answer(&mut receive, |_| ()).await
    }
}

async fn note(progress: &Progress, result: Result<Duration, Failure>) {
    match result {
        Ok(after) => progress.answered(after),
        Err(failure) => {
            progress.failed(&failure);
            tokio::time::sleep(AFTER_FAILURE).await;
        }
    }
}
