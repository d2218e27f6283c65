//! Routing, buffered requests, answers and their headers.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use trilane_core::ExchangeError;
use trilane_http3::FieldError;

use crate::client::connect;
use crate::support::{Script, Setup, answer, start, whole};

#[tokio::test]
async fn a_request_reaches_its_route_with_its_parameters_and_its_body() {
    let handler = Script::new(|request, exchange| {
        let span = request.params[0];
        let name = &request.head.path()[span.start as usize..span.end as usize];
        let text = format!(
            "{:?} {} {}",
            request.route,
            String::from_utf8_lossy(name),
            String::from_utf8_lossy(&whole(request))
        );
        answer(exchange, text);
    });
    let server = start(Setup::default(), handler);
    let mut client = connect(&server).await;
    let answer = client.send("POST", "/only/you?x=1", b"hello").await;
    assert_eq!(
        (answer.status, &answer.body[..]),
        (200, &b"Some(RouteId(0)) you hello"[..])
    );
}

/// RFC9110-6.6.1-date, RFC9110-8.6-added
#[tokio::test]
async fn answers_carry_date_and_content_length() {
    let server = start(
        Setup::default(),
        Script::new(|_, exchange| answer(exchange, "12345")),
    );
    let answer = connect(&server).await.get("/").await;
    assert_eq!(answer.headers["content-length"], "5");
    assert!(answer.headers["date"].to_str().unwrap().ends_with(" GMT"));
}

#[tokio::test]
async fn what_no_route_names_is_refused_without_a_fallback() {
    let setup = Setup {
        has_fallback: false,
        ..Setup::default()
    };
    let server = start(setup, Script::new(|_, exchange| answer(exchange, "")));
    let mut client = connect(&server).await;
    assert_eq!(client.get("/nowhere").await.status, 404);
    let refused = client.get("/only/you").await;
    assert_eq!(
        (refused.status, refused.headers["allow"].to_str().unwrap()),
        (405, "POST")
    );
    assert_eq!(client.send("POST", "/only/you", b"").await.status, 200);
}

/// RFC9110-9.3.2-head-answer, RFC9110-15.3.5-204-answer, RFC9110-15.3.6-205-answer, RFC9110-15.4.5-304-answer
#[tokio::test]
async fn head_204_205_and_304_have_no_body() {
    let handler = Script::new(|request, exchange| {
        let status = match request.head.path() {
            b"/204" => 204,
            b"/205" => 205,
            b"/304" => 304,
            _ => 200,
        };
        exchange
            .respond(status, std::iter::empty(), Bytes::from_static(b"body"))
            .unwrap();
    });
    let server = start(Setup::default(), handler);
    let mut client = connect(&server).await;
    let head = client.send("HEAD", "/", b"").await;
    assert_eq!(
        (&head.body[..], head.headers["content-length"].to_str().unwrap()),
        (&b""[..], "4")
    );
    for (path, status) in [("/204", 204), ("/205", 205)] {
        let no_content = client.get(path).await;
        assert_eq!(
            (
                no_content.status,
                no_content.headers.get("content-length"),
                &no_content.body[..]
            ),
            (status, None, &b""[..])
        );
    }
    let not_modified = client.get("/304").await;
    assert_eq!((not_modified.status, &not_modified.body[..]), (304, &b""[..]));
}

/// RFC9110-7.6.1-connection-fields-sent
#[tokio::test]
async fn a_field_that_http3_forbids_is_refused_and_another_answer_may_follow() {
    let refused = Arc::new(Mutex::new(None));
    let result = refused.clone();
    let handler = Script::new(move |_, exchange| {
        let table_answer = [(&b"connection"[..], &b"close"[..])];
        // The exchange is consumed: a refused answer resets the stream rather than leave the client waiting.
        *result.lock().unwrap() = exchange
            .respond(200, table_answer.into_iter(), Bytes::new())
            .err();
    });
    let server = start(Setup::default(), handler);
    let mut client = connect(&server).await;
    let request = http::Request::get("https://localhost/").body(()).unwrap();
    let mut stream = client.begin(request).await;
    stream.finish().await.unwrap();
    let error = stream.recv_response().await.unwrap_err().to_string();
    assert!(error.contains("H3_INTERNAL_ERROR"), "{error}");
    let expected = ExchangeError::Field(FieldError::ConnectionSpecific);
    assert_eq!(*refused.lock().unwrap(), Some(expected));
}

#[tokio::test]
async fn one_connection_carries_many_requests_at_once() {
    let server = start(
        Setup::default(),
        Script::new(|request, exchange| answer(exchange, Bytes::copy_from_slice(request.head.path()))),
    );
    let client = connect(&server).await;
    let tasks: Vec<_> = (0..100)
        .map(|index| {
            let mut requests = client.requests.clone();
            tokio::spawn(async move {
                let path = format!("/{index}");
                let uri = format!("https://localhost{path}");
                let request = http::Request::get(uri).body(()).unwrap();
                let mut stream = requests.send_request(request).await.unwrap();
                stream.finish().await.unwrap();
                assert_eq!(crate::client::read(&mut stream).await.body, path.as_bytes());
            })
        })
        .collect();
    for task in tasks {
        crate::support::soon("a request", task).await.unwrap();
    }
    assert_eq!(server.server.stats().requests, 100);
}
