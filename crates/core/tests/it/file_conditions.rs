//! Conditional requests and ranges of files (RFC 9110 §13, §14).

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use trilane_core::{Conditions, Field, FileAnswer, FileLocation};

use crate::client::{Answer, connect};
use crate::scratch::Scratch;
use crate::support::{Script, Setup, start};

/// Sends `path` as asked, once, and returns what the client got.
async fn fetch(
    method: &str,
    path: PathBuf,
    status: u16,
    fields: Vec<Field>,
    conditions: Conditions,
) -> Answer {
    let (sender, mut ids) = tokio::sync::mpsc::unbounded_channel();
    let handler = Script::new(move |_, exchange| sender.send(exchange.into_id()).unwrap());
    let server = start(Setup::default(), handler);
    let mut client = connect(&server).await;
    let answer = FileAnswer {
        status,
        fields,
        location: FileLocation::Path(path),
        conditions,
    };
    let table = server.server.exchanges().clone();
    let (received, ()) = tokio::join!(client.send(method, "/", b""), async {
        let id = ids.recv().await.unwrap();
        table.respond_with_file(id, answer).unwrap();
    });
    received
}

async fn get(path: &std::path::Path, conditions: Conditions) -> Answer {
    fetch("GET", path.to_owned(), 200, vec![], conditions).await
}

fn field(name: &'static str, value: &'static str) -> Field {
    (
        Bytes::from_static(name.as_bytes()),
        Bytes::from_static(value.as_bytes()),
    )
}

fn text(value: &str) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(value.as_bytes()))
}

fn header(answer: &Answer, name: &str) -> Option<String> {
    answer
        .headers
        .get(name)
        .map(|value| value.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_file_comes_with_its_length_and_validators() {
    let scratch = Scratch::new();
    let path = scratch.file("a.txt", "0123456789");
    let answer = get(&path, Conditions::default()).await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"0123456789"[..]));
    assert_eq!(header(&answer, "content-length").unwrap(), "10");
    assert_eq!(header(&answer, "accept-ranges").unwrap(), "bytes");
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(
        header(&answer, "last-modified").unwrap(),
        httpdate::fmt_http_date(modified)
    );
    assert!(header(&answer, "etag").unwrap().starts_with("\"a-"));
}

#[tokio::test]
async fn an_empty_file_is_an_empty_answer() {
    let scratch = Scratch::new();
    let answer = get(&scratch.file("empty", ""), Conditions::default()).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(header(&answer, "content-length").unwrap(), "0");
}

#[tokio::test]
async fn head_has_the_fields_of_get_and_no_body() {
    let scratch = Scratch::new();
    for length in [10usize, 1_000_000] {
        let path = scratch.file("a.bin", vec![1; length]);
        let get = get(&path, Conditions::default()).await;
        let head = fetch("HEAD", path, 200, vec![], Conditions::default()).await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        for name in ["content-length", "etag", "last-modified", "accept-ranges"] {
            assert_eq!(header(&head, name), header(&get, name), "{name}");
        }
        assert_eq!(header(&head, "content-length").unwrap(), length.to_string());
    }
}

#[tokio::test]
async fn a_file_the_client_has_is_answered_304_without_what_describes_content() {
    let scratch = Scratch::new();
    let path = scratch.file("a.txt", "0123456789");
    let etag = header(&get(&path, Conditions::default()).await, "etag").unwrap();
    for method in ["GET", "HEAD"] {
        let conditions = Conditions {
            if_none_match: text(&etag),
            range: text("bytes=0-1"),
            ..Conditions::default()
        };
        let fields = vec![
            field("content-type", "text/plain"),
            field("cache-control", "max-age=5"),
        ];
        let answer = fetch(method, path.clone(), 200, fields, conditions).await;
        assert_eq!((answer.status, answer.body.len()), (304, 0));
        assert_eq!(header(&answer, "etag").unwrap(), etag);
        assert_eq!(header(&answer, "cache-control").unwrap(), "max-age=5");
        for name in ["content-type", "content-length", "content-range", "last-modified"] {
            assert_eq!(header(&answer, name), None, "{name}");
        }
    }
}

#[tokio::test]
async fn a_failed_precondition_is_answered_412_without_body() {
    let scratch = Scratch::new();
    let path = scratch.file("a.txt", "0123456789");
    let conditions = Conditions {
        if_match: text("\"other\""),
        range: text("bytes=0-1"),
        ..Conditions::default()
    };
    let answer = get(&path, conditions).await;
    assert_eq!((answer.status, answer.body.len()), (412, 0));
    let conditions = Conditions {
        if_unmodified_since: text(&httpdate::fmt_http_date(
            SystemTime::now() - Duration::from_secs(7200),
        )),
        ..Conditions::default()
    };
    assert_eq!(get(&path, conditions).await.status, 412);
}

#[tokio::test]
async fn one_range_is_answered_206() {
    let scratch = Scratch::new();
    let content: Vec<u8> = (0..1_000_000u32).map(|index| (index % 251) as u8).collect();
    let path = scratch.file("a.bin", &content);
    for (range, start, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=5-14", 5, 15),
        ("bytes=999990-", 999_990, 1_000_000),
        ("bytes=-3", 999_997, 1_000_000),
        ("bytes=100-700099", 100, 700_100),
    ] {
        let conditions = Conditions {
            range: text(range),
            ..Conditions::default()
        };
        let answer = get(&path, conditions).await;
        assert_eq!(answer.status, 206);
        assert_eq!(
            header(&answer, "content-range").unwrap(),
            format!("bytes {start}-{}/1000000", end - 1)
        );
        assert_eq!(
            header(&answer, "content-length").unwrap(),
            (end - start).to_string()
        );
        assert!(header(&answer, "etag").is_some());
        assert!(answer.body == content[start..end], "{range}");
    }
}

#[tokio::test]
async fn a_range_behind_the_end_is_answered_416_with_the_length() {
    let scratch = Scratch::new();
    let conditions = Conditions {
        range: text("bytes=10-"),
        ..Conditions::default()
    };
    let answer = get(&scratch.file("a.txt", "0123456789"), conditions).await;
    assert_eq!((answer.status, answer.body.len()), (416, 0));
    assert_eq!(header(&answer, "content-range").unwrap(), "bytes */10");
}

#[tokio::test]
async fn a_range_of_a_state_that_is_gone_is_answered_with_the_whole_file() {
    let scratch = Scratch::new();
    let path = scratch.file("a.txt", "0123456789");
    let etag = header(&get(&path, Conditions::default()).await, "etag").unwrap();
    for (if_range, status) in [(etag.as_str(), 206), ("\"gone\"", 200)] {
        let conditions = Conditions {
            range: text("bytes=0-4"),
            if_range: text(if_range),
            ..Conditions::default()
        };
        assert_eq!(get(&path, conditions).await.status, status);
    }
}

#[tokio::test]
async fn fields_of_the_handler_win() {
    let scratch = Scratch::new();
    let path = scratch.file("a.txt", "0123456789");
    let mine = || {
        vec![
            field("etag", "\"mine\""),
            field("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
            field("content-length", "99"),
        ]
    };
    let answer = fetch("GET", path.clone(), 200, mine(), Conditions::default()).await;
    assert_eq!(header(&answer, "etag").unwrap(), "\"mine\"");
    assert_eq!(
        header(&answer, "last-modified").unwrap(),
        "Thu, 01 Jan 2026 00:00:00 GMT"
    );
    assert_eq!(header(&answer, "content-length").unwrap(), "10");
    let conditions = Conditions {
        if_none_match: text("\"mine\""),
        ..Conditions::default()
    };
    assert_eq!(
        fetch("GET", path.clone(), 200, mine(), conditions).await.status,
        304
    );
    let range = || Conditions {
        range: text("bytes=0-1"),
        ..Conditions::default()
    };
    let refusing = vec![field("accept-ranges", "none")];
    assert_eq!(
        fetch("GET", path.clone(), 200, refusing, range()).await.status,
        200
    );
    // RFC 9110 §13.2.1: a page for an error is neither conditional nor partial.
    let all = Conditions {
        if_none_match: text("*"),
        ..range()
    };
    let page = fetch("GET", path, 404, vec![], all).await;
    assert_eq!((page.status, page.body.len()), (404, 10));
    assert_eq!(header(&page, "etag"), None);
}
