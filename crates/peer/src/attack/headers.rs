//! Header blocks that are too long, have too many fields, or never end.

use std::sync::Arc;

use bytes::BytesMut;
use quinn::SendStream;
use tokio::task::JoinSet;

use super::{
    Plan,
    hostile::{self, Hostile},
};
use crate::{failure::Failure, wire};

/// One HEADERS frame of `plan.bytes`, most of it one field's value (RFC 9114 §4.2.2).
pub(super) async fn huge(plan: &Plan, hostile: &Hostile) -> Result<(), Failure> {
    let section = wire::request("GET", &plan.target.url, &[]);
    for _ in 0..plan.count {
        let (mut send, mut receive) = hostile::open_request(plan, &hostile.quic).await?;
        let mut head = BytesMut::new();
        wire::varint(&mut head, wire::HEADERS);
        wire::varint(&mut head, plan.bytes as u64);
        head.extend_from_slice(&section);
        let flood = async {
            hostile::write(plan, &mut send, &head).await?;
            let filler = [b'a'; 16 * 1024];
            let mut left = plan.bytes.saturating_sub(section.len());
            while left > 0 {
                let part = left.min(filler.len());
                hostile::write(plan, &mut send, &filler[..part]).await?;
                left -= part;
            }
            Ok::<_, Failure>(())
        };
        // The server may answer or refuse long before the last byte; it need not take that byte at all.
        let early = tokio::select! {
            flooded = flood => flooded.err(),
            verdict = hostile::verdict(plan, &mut receive) => { plan.tally.note(verdict); continue }
        };
        if let Some(failure) = early {
            plan.tally.note(format!("writing {}", failure.label()));
        }
        plan.tally.note(hostile::verdict(plan, &mut receive).await);
    }
    Ok(())
}

/// One request with `plan.bytes` fields of one letter each.
pub(super) async fn many_fields(plan: &Plan, hostile: &Hostile) -> Result<(), Failure> {
    let fields = vec![(&b"a"[..], &b"b"[..]); plan.bytes];
    let mut bytes = BytesMut::new();
    wire::frame(
        &mut bytes,
        wire::HEADERS,
        &wire::request("GET", &plan.target.url, &fields),
    );
    for _ in 0..plan.count {
        let (mut send, mut receive) = hostile::open_request(plan, &hostile.quic).await?;
        if let Err(failure) = hostile::write(plan, &mut send, &bytes).await {
            plan.tally.note(format!("writing {}", failure.label()));
        }
        let _ = send.finish();
        plan.tally.note(hostile::verdict(plan, &mut receive).await);
    }
    Ok(())
}

/// `plan.count` requests whose header blocks, padded by `plan.bytes`, arrive byte by byte, all at the same time.
pub(super) async fn trickle(plan: &Arc<Plan>, hostile: &Hostile) -> Result<(), Failure> {
    let padding = vec![b'p'; plan.bytes];
    let section = wire::request("GET", &plan.target.url, &[(b"x-padding", &padding)]);
    let mut bytes = BytesMut::new();
    wire::frame(&mut bytes, wire::HEADERS, &section);
    let bytes = bytes.freeze();
    let mut streams = JoinSet::new();
    for _ in 0..plan.count {
        let (mut send, mut receive) = match hostile::open_request(plan, &hostile.quic).await {
            Ok(opened) => opened,
            Err(failure) => {
                plan.tally.note(failure.label());
                break;
            }
        };
        let (plan, bytes) = (plan.clone(), bytes.clone());
        streams.spawn(async move {
            if let Err(failure) = byte_by_byte(&plan, &mut send, &bytes).await {
                plan.tally.note(format!("writing {}", failure.label()));
            }
            let _ = send.finish();
            plan.tally.note(hostile::verdict(&plan, &mut receive).await);
        });
    }
    while streams.join_next().await.is_some() {}
    Ok(())
}

async fn byte_by_byte(plan: &Plan, send: &mut SendStream, bytes: &[u8]) -> Result<(), Failure> {
    for byte in bytes.chunks(1) {
        hostile::write(plan, send, byte).await?;
        tokio::time::sleep(plan.interval).await;
    }
    Ok(())
}
