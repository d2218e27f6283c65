//! Plays a script on a connection of its own and notes what the server makes of it.

use std::time::Duration;

use quinn::{Connection, Endpoint, RecvStream, SendStream, VarInt};
use tokio::{task::JoinSet, time::timeout};

use super::{
    Report,
    conversation::Conversation,
    random_of,
    script::{self, Step},
    templates::Kind,
};
use crate::{endpoint, failure::Failure, target::Target, wire};

/// A server that is being fuzzed may be slow to shake hands, but not dead.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A write or a stream that the server gives no credit for.
const STEP_WITHIN: Duration = Duration::from_millis(200);
/// How long answers are waited for when everything is sent.
const ANSWERS_WITHIN: Duration = Duration::from_millis(150);
/// From the close of a connection to the end of its conversation.
const CLOSE_LEAVES: Duration = Duration::from_millis(2);
/// As much of an answer as is looked at for its status.
const LOOK_AT: usize = 64;
/// As much of an answer as is read at all.
const READ_AT_MOST: usize = 1 << 20;

/// A stream that was opened; the server's half is read beside the script.
struct Opened {
    send: Option<SendStream>,
    stop: Option<tokio::sync::oneshot::Sender<VarInt>>,
}

/// Plays conversation `number` of `seed`.
///
/// # Errors
/// What a sound server never does: no handshake, the end of a sound conversation, or an end that names no broken rule.
pub(super) async fn play(target: &Target, seed: u64, number: u64) -> Result<Report, Failure> {
    let mut random = random_of(seed, number);
    let conversation = Conversation::new(&mut random);
    let steps = script::steps(&conversation, &mut random);
    let (ending, code) = (random.u8(0..4), script::code(&mut random));
    let (endpoint, quic) = connect(target).await?;
    let mut report = Report {
        mutations: conversation.mutations,
        ..Report::default()
    };
    let mut streams: Vec<Option<Opened>> = conversation.streams.iter().map(|_| None).collect();
    let mut answers = JoinSet::new();
    for step in &steps {
        if quic.close_reason().is_some() {
            break;
        }
        if let Some(index) = stream_of(step)
            && streams[index].is_none()
        {
            match timeout(
                STEP_WITHIN,
                open(&quic, conversation.streams[index].kind, &mut answers),
            )
            .await
            {
                Ok(Ok(opened)) => streams[index] = Some(opened),
                Ok(Err(_)) => break,
                Err(_) => {
                    report.streams.push("no_credit".to_owned());
                    continue;
                }
            }
        }
        report.bytes += take(step, &quic, &mut streams).await;
    }
    let waiting = async {
        while let Some(verdict) = answers.join_next().await {
            report
                .streams
                .push(verdict.unwrap_or_else(|_| "worker".to_owned()));
        }
    };
    if timeout(ANSWERS_WITHIN, waiting).await.is_err() {
        let silent = std::iter::repeat_n("silence".to_owned(), answers.len());
        report.streams.extend(silent);
    }
    report.ending = match quic.close_reason() {
        Some(reason) => judge(&conversation, reason.into())?,
        None => "closed by us".to_owned(),
    };
    match ending {
        // Streams are dropped with the connection: quinn closes it with code 0.
        0 => drop(quic),
        1 => quic.close(VarInt::from_u64(code).unwrap_or(VarInt::MAX), &[b'x'; 100]),
        _ => quic.close(VarInt::from_u32(0x100), b""),
    }
    drop((streams, answers));
    // Time for the close to leave; quinn goes on with what is left of the connection by itself.
    tokio::time::sleep(CLOSE_LEAVES).await;
    drop(endpoint);
    Ok(report)
}

/// How the server ended the connection, if it may: not in a sound conversation, and only with the code of a broken rule (RFC
/// 9114 §8.1, RFC 9204 §6, RFC 9297 §5.2). H3_NO_ERROR and H3_INTERNAL_ERROR name none.
///
/// A stateless reset stands for a close, too: a quinn client that was starved until the server had forgotten the connection
/// answers the close, and tells of the reset that this brings instead.
fn judge(conversation: &Conversation, found: Failure) -> Result<String, Failure> {
    let names_a_rule = matches!(found.code, Some(0x101 | 0x103..=0x110 | 0x200..=0x202 | 0x33));
    let may_be = found.kind == "closed" && names_a_rule || found.kind == "stateless_reset";
    if may_be && !conversation.is_sound() {
        return Ok(found.label());
    }
    let kind = if conversation.is_sound() {
        "sound_refused"
    } else {
        "unexpected_end"
    };
    Err(Failure::new(kind, format!("{} {}", found.label(), found.reason)))
}

async fn connect(target: &Target) -> Result<(Endpoint, Connection), Failure> {
    let setup = |error: &dyn std::fmt::Display| Failure::new("setup", error);
    let endpoint = endpoint::trusting_client(target.address).map_err(|error| setup(&error))?;
    let connecting = endpoint
        .connect(target.address, &target.name)
        .map_err(|error| setup(&error))?;
    let quic = timeout(CONNECT_WITHIN, connecting)
        .await
        .map_err(|_| Failure::new("deadline", "no handshake within 10 s"))??;
    Ok((endpoint, quic))
}

fn stream_of(step: &Step) -> Option<usize> {
    match step {
        Step::Write(index, _) | Step::Finish(index) | Step::Reset(index, _) | Step::Stop(index, _) => {
            Some(*index)
        }
        Step::Datagram(_) | Step::Pause(_) => None,
    }
}

async fn open(quic: &Connection, kind: Kind, answers: &mut JoinSet<String>) -> Result<Opened, Failure> {
    if kind == Kind::Uni {
        return Ok(Opened {
            send: Some(quic.open_uni().await?),
            stop: None,
        });
    }
    let (send, receive) = quic.open_bi().await?;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    answers.spawn(answer(receive, stopped));
    Ok(Opened {
        send: Some(send),
        stop: Some(stop),
    })
}

/// Carries out one step; the bytes that were sent. What the server refuses is its verdict, found elsewhere.
async fn take(step: &Step, quic: &Connection, streams: &mut [Option<Opened>]) -> u64 {
    let stream = stream_of(step).and_then(|index| streams[index].as_mut());
    match (step, stream) {
        (Step::Pause(time), _) => tokio::time::sleep(*time).await,
        (Step::Datagram(bytes), _) => {
            // A server without datagrams says so in its transport parameters; then there is nothing to send.
            return match quic.send_datagram(bytes.clone().into()) {
                Ok(()) => bytes.len() as u64,
                Err(_) => 0,
            };
        }
        (Step::Write(_, bytes), Some(Opened { send: Some(send), .. })) => {
            return match timeout(STEP_WITHIN, send.write_all(bytes)).await {
                Ok(Ok(())) => bytes.len() as u64,
                _ => 0,
            };
        }
        (Step::Finish(_), Some(Opened { send: Some(send), .. })) => drop(send.finish()),
        (Step::Reset(_, code), Some(opened)) => {
            if let Some(mut send) = opened.send.take() {
                let _ = send.reset(VarInt::from_u64(*code).unwrap_or(VarInt::MAX));
            }
        }
        (Step::Stop(_, code), Some(opened)) => {
            if let Some(stop) = opened.stop.take() {
                let _ = stop.send(VarInt::from_u64(*code).unwrap_or(VarInt::MAX));
            }
        }
        _ => {}
    }
    0
}

/// `answered:200`, `reset:0x10e`, `finished`, `stopped by us`, `cut` for an answer that is longer than is read.
async fn answer(mut receive: RecvStream, stopped: tokio::sync::oneshot::Receiver<VarInt>) -> String {
    let mut seen = Vec::new();
    let mut length = 0;
    let reading = async {
        while let Some(chunk) = receive.read_chunk(1 << 16, true).await? {
            length += chunk.bytes.len();
            let room = LOOK_AT - seen.len().min(LOOK_AT);
            seen.extend_from_slice(&chunk.bytes[..chunk.bytes.len().min(room)]);
            if length > READ_AT_MOST {
                return Ok(Some("cut"));
            }
        }
        Ok::<_, Failure>(None)
    };
    let told = async {
        match stopped.await {
            Ok(code) => code,
            // Nobody will stop it: the answer decides.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        read = reading => match (read, wire::status(&seen)) {
            (Err(failure), _) => failure.label(),
            (Ok(Some(cut)), _) => cut.to_owned(),
            (Ok(None), Some(status)) => format!("answered:{status}"),
            (Ok(None), None) => "finished".to_owned(),
        },
        code = told => {
            let _ = receive.stop(code);
            "stopped by us".to_owned()
        }
    }
}
