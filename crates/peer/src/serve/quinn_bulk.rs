//! Bare quinn with large bodies: what QUIC alone takes for a byte.

use bytes::{Bytes, BytesMut};
use quinn::{RecvStream, SendStream};

use super::Options;
use crate::{
    Outcome,
    bulk::{CHUNK, content::Content},
    wire,
};

/// HEADERS with `:status` 200, from QPACK's static table.
const HEAD: &[u8] = b"\x01\x03\x00\x00\xd9";

/// More than any request here takes before its body.
const MOST_HEAD: usize = 4096;

/// Runs the server: `GET …?bytes=N` is answered with N bytes, anything else with the number of bytes that came.
pub(crate) async fn run(options: Options) -> Outcome {
    super::serve(options, connection).await
}

async fn connection(quic: quinn::Connection) {
    let Ok(mut control) = quic.open_uni().await else {
        return;
    };
    if control.write_all(wire::CONTROL_STREAM).await.is_err() {
        return;
    }
    while let Ok((send, receive)) = quic.accept_bi().await {
        tokio::spawn(async move {
            // A client that is gone needs no answer.
            let _ = answer(send, receive).await;
        });
    }
}

async fn answer(
    mut send: SendStream,
    mut receive: RecvStream,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let Some(first) = receive.read_chunk(CHUNK, true).await? else {
        return Ok(());
    };
    let head = &first.bytes[..first.bytes.len().min(MOST_HEAD)];
    let mut out = BytesMut::from(HEAD);
    if let Some(bytes) = asked_bytes(head) {
        wire::varint(&mut out, wire::DATA);
        wire::varint(&mut out, bytes);
        send.write_chunk(out.freeze()).await?;
        let chunk = Bytes::from(vec![b'x'; CHUNK]);
        let mut left = bytes;
        while left > 0 {
            let length = left.min(CHUNK as u64);
            send.write_chunk(chunk.slice(..length as usize)).await?;
            left -= length;
        }
    } else {
        let mut content = Content::keeping(0);
        content.take(&first.bytes);
        while let Some(chunk) = receive.read_chunk(usize::MAX, true).await? {
            content.take(&chunk.bytes);
        }
        let bytes = content.finish()?.bytes;
        wire::frame(&mut out, wire::DATA, bytes.to_string().as_bytes());
        send.write_chunk(out.freeze()).await?;
    }
    send.finish()?;
    Ok(())
}

/// What `?bytes=` says, wherever it is in the plain text of a field section that is not Huffman coded.
fn asked_bytes(head: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"?bytes=";
    let at = head.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let digits = head[at..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number: u64, digit| {
        number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_bytes_is_found_in_a_request() {
        let url = "https://localhost:1/x?bytes=1000".parse().unwrap();
        let head = wire::request("GET", &url, &[(b"user-agent", b"7")]);
        assert_eq!(asked_bytes(&head), Some(1000));
        assert_eq!(
            asked_bytes(&wire::request("POST", &"/x".parse().unwrap(), &[])),
            None
        );
    }
}
