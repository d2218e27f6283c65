//! quinn + h3: what the obvious way to build this server costs.

use bytes::Bytes;
use h3::server::RequestStream;

use super::Options;
use crate::Outcome;

type Stream = RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>;

/// Runs the server.
pub(crate) async fn run(options: Options) -> Outcome {
    super::serve(options, connection).await
}

/// Requests without a body are answered in the connection's own task, which is h3's cheapest way; the others get a task.
async fn connection(quic: quinn::Connection) {
    // Without reserved frames: what a test reads is then exactly the response.
    let built = h3::server::builder()
        .send_grease(false)
        .build(h3_quinn::Connection::new(quic))
        .await;
    let Ok(mut connection) = built else { return };
    while let Ok(Some(resolver)) = connection.accept().await {
        let Ok((request, stream)) = resolver.resolve_request().await else {
            continue;
        };
        match *request.method() {
            http::Method::GET | http::Method::HEAD => answer(stream).await,
            _ => drop(tokio::spawn(answer(stream))),
        }
    }
}

async fn answer(mut stream: Stream) {
    if exchange(&mut stream).await.is_err() {
        stream.stop_stream(h3::error::Code::H3_REQUEST_CANCELLED);
    }
}

async fn exchange(stream: &mut Stream) -> Result<(), h3::error::StreamError> {
    while stream.recv_data().await?.is_some() {}
    let mut response = http::Response::new(());
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("text/plain"),
    );
    stream.send_response(response).await?;
    stream.send_data(Bytes::from_static(b"hello world")).await?;
    stream.finish().await
}
