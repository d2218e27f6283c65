//! Files as bodies: sent whole, refused, cut short by either side, and changed while they are sent.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use trilane_core::{
    Conditions, ExchangeError, ExchangeEvent, ExchangeId, FileAnswer, FileError, FileLocation, Limits, Stop,
};
use trilane_http3::Code;

use crate::client::{Stream, connect, read};
use crate::scratch::Scratch;
use crate::support::{Script, Setup, TestServer, soon, start};

/// A server whose handler gives its exchanges to the test.
struct Stage {
    server: TestServer,
    handler: Arc<Script>,
    ids: UnboundedReceiver<ExchangeId>,
}

impl Stage {
    fn new(limits: Limits) -> Self {
        let (sender, ids) = unbounded_channel();
        let handler = Script::new(move |_, exchange| sender.send(exchange.into_id()).unwrap());
        let setup = Setup {
            limits,
            ..Setup::default()
        };
        Self {
            server: start(setup, handler.clone()),
            handler,
            ids,
        }
    }

    /// Answers the next request with the file.
    async fn answer(&mut self, path: &Path) -> ExchangeId {
        let id = soon("a request", self.ids.recv()).await.unwrap();
        let answer = whole(FileLocation::Path(path.to_owned()));
        self.server
            .server
            .exchanges()
            .respond_with_file(id, answer)
            .unwrap();
        id
    }

    /// What became of the file, once that is known.
    async fn file_error(&self) -> (&'static str, String) {
        soon("a file to fail", async {
            loop {
                if let Some((what, error)) = self.handler.file_errors.lock().unwrap().pop() {
                    let kind = match error {
                        FileError::NotFound { .. } => "NotFound",
                        FileError::NotRegular { .. } => "NotRegular",
                        FileError::Access { .. } => "Access",
                        FileError::Read { .. } => "Read",
                        FileError::Changed { .. } => "Changed",
                    };
                    return (what, kind.to_owned());
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await
    }

    async fn finished(&self) {
        soon("the end of the answer", async {
            while !self
                .handler
                .events
                .lock()
                .unwrap()
                .iter()
                .any(|(_, event)| *event == ExchangeEvent::Finished)
            {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }

    async fn at_rest(&self) {
        soon("every request to end", async {
            while self.server.server.stats().requests_active > 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }
}

fn whole(location: FileLocation) -> FileAnswer {
    FileAnswer {
        status: 200,
        fields: vec![],
        location,
        conditions: Conditions::default(),
    }
}

fn numbered(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

/// Reads the answer to its end, however it ends.
async fn read_to_end(stream: &mut Stream) -> Result<usize, String> {
    soon("the end of the answer", async {
        stream.recv_response().await.map_err(|error| error.to_string())?;
        let mut length = 0;
        while let Some(chunk) = stream.recv_data().await.map_err(|error| error.to_string())? {
            length += chunk.remaining();
        }
        Ok(length)
    })
    .await
}

#[tokio::test]
async fn files_of_every_length_arrive_whole() {
    let scratch = Scratch::new();
    let mut stage = Stage::new(Limits::default());
    let mut client = connect(&stage.server).await;
    for length in [1, 16 * 1024, 16 * 1024 + 1, 128 * 1024, 128 * 1024 + 1, 3_000_000] {
        let content = numbered(length);
        let path = scratch.file("file", &content);
        let mut stream = client.begin_get().await;
        stage.answer(&path).await;
        let answer = read(&mut stream).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body == content, "{length} bytes");
    }
    stage.finished().await;
    stage.at_rest().await;
    assert_eq!(stage.server.server.stats().body_bytes_sent, 3_294_914 + 1);
}

#[tokio::test]
async fn many_files_at_once_are_not_mixed_up() {
    let scratch = Scratch::new();
    let paths: Vec<PathBuf> = (0..80u8)
        .map(|index| scratch.file(&format!("{index}"), vec![index; 200_000]))
        .collect();
    let mut stage = Stage::new(Limits::default());
    let mut client = connect(&stage.server).await;
    let mut streams = vec![];
    for path in &paths {
        let stream = client.begin_get().await;
        stage.answer(path).await;
        streams.push(stream);
    }
    for (index, stream) in streams.iter_mut().enumerate() {
        let body = read(stream).await.body;
        assert_eq!(body.len(), 200_000);
        assert!(body.iter().all(|byte| usize::from(*byte) == index));
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_and_another_answer_is_awaited() {
    let scratch = Scratch::new();
    scratch.file("folder/a", "");
    let pipe = scratch.path().join("pipe");
    let mut cases = vec![
        (scratch.path().join("nothing"), "NotFound"),
        (scratch.path().join("folder/a/b"), "NotFound"),
        (scratch.path().join("folder"), "NotRegular"),
    ];
    #[cfg(unix)]
    {
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        cases.push((pipe, "NotRegular"));
    }
    let mut stage = Stage::new(Limits::default());
    let mut client = connect(&stage.server).await;
    for (path, expected) in cases {
        let mut stream = client.begin_get().await;
        let id = stage.answer(&path).await;
        assert_eq!(
            stage.file_error().await,
            ("refused", expected.to_owned()),
            "{path:?}"
        );
        stage
            .server
            .server
            .exchanges()
            .respond(id, 404, std::iter::empty(), Bytes::new())
            .unwrap();
        assert_eq!(read(&mut stream).await.status, 404);
    }
}

#[tokio::test]
async fn beneath_a_folder_nothing_outside_is_sent() {
    let scratch = Scratch::new();
    scratch.file("root/a.txt", "inside");
    scratch.file("secret.txt", "outside");
    let root = scratch.path().join("root");
    #[cfg(unix)]
    std::os::unix::fs::symlink("../secret.txt", root.join("link.txt")).unwrap();
    let mut stage = Stage::new(Limits::default());
    let mut client = connect(&stage.server).await;
    for (path, is_inside) in [("a.txt", true), ("link.txt", false), ("../secret.txt", false)] {
        let mut stream = client.begin_get().await;
        let id = soon("a request", stage.ids.recv()).await.unwrap();
        let location = FileLocation::Beneath {
            root: root.clone(),
            path: path.into(),
        };
        let table = stage.server.server.exchanges();
        table.respond_with_file(id, whole(location)).unwrap();
        if is_inside {
            assert_eq!(read(&mut stream).await.body, &b"inside"[..]);
        } else {
            assert_eq!(
                stage.file_error().await,
                ("refused", "NotFound".to_owned()),
                "{path}"
            );
            table.reset(id, Code::H3_INTERNAL_ERROR).unwrap();
        }
    }
}

#[tokio::test]
async fn a_field_that_may_not_be_sent_leaves_the_exchange_open() {
    let scratch = Scratch::new();
    let path = scratch.file("a.txt", "text");
    let mut stage = Stage::new(Limits::default());
    let mut client = connect(&stage.server).await;
    let mut stream = client.begin_get().await;
    let id = soon("a request", stage.ids.recv()).await.unwrap();
    let mut answer = whole(FileLocation::Path(path.clone()));
    answer
        .fields
        .push((Bytes::from_static(b"connection"), Bytes::from_static(b"close")));
    let refused = stage.server.server.exchanges().respond_with_file(id, answer);
    assert!(matches!(refused, Err(ExchangeError::Field(_))));
    let answer = whole(FileLocation::Path(path));
    stage
        .server
        .server
        .exchanges()
        .respond_with_file(id, answer)
        .unwrap();
    assert_eq!(read(&mut stream).await.body, &b"text"[..]);
}

/// More than all windows and queues between the file and a client that does not read.
const LONG: usize = 16_000_000;

/// Waits until no more of the answer is read from the file, because the client does not take it.
async fn stalled(stage: &Stage) {
    soon("the answer to stall", async {
        let mut sent = u64::MAX;
        loop {
            let now = stage.server.server.stats().body_bytes_sent;
            if now == sent && now > 0 {
                return;
            }
            sent = now;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_file_that_shrinks_while_it_is_sent_does_not_look_whole() {
    let scratch = Scratch::new();
    let path = scratch.file("a.bin", vec![7; LONG]);
    let mut stage = Stage::new(Limits::default());
    let mut client = connect(&stage.server).await;
    let mut stream = client.begin_get().await;
    stage.answer(&path).await;
    stalled(&stage).await;
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(LONG as u64 - 1)
        .unwrap();
    let end = read_to_end(&mut stream).await;
    assert!(end.unwrap_err().contains("H3_INTERNAL_ERROR"));
    assert_eq!(stage.file_error().await, ("broken", "Changed".to_owned()));
    stage.at_rest().await;
    assert_eq!(stage.server.server.stats().requests_aborted, 1);
}

#[tokio::test]
async fn of_a_file_that_grows_only_the_announced_length_is_sent() {
    let scratch = Scratch::new();
    let path = scratch.file("a.bin", vec![7; LONG]);
    let mut stage = Stage::new(Limits::default());
    let mut client = connect(&stage.server).await;
    let mut stream = client.begin_get().await;
    stage.answer(&path).await;
    stalled(&stage).await;
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(2 * LONG as u64)
        .unwrap();
    assert_eq!(read_to_end(&mut stream).await, Ok(LONG));
}

#[tokio::test]
async fn a_file_whose_name_is_removed_while_it_is_sent_arrives_whole() {
    let scratch = Scratch::new();
    let path = scratch.file("a.bin", vec![7; LONG]);
    let mut stage = Stage::new(Limits::default());
    let mut client = connect(&stage.server).await;
    let mut stream = client.begin_get().await;
    stage.answer(&path).await;
    stalled(&stage).await;
    std::fs::remove_file(&path).unwrap();
    assert_eq!(read_to_end(&mut stream).await, Ok(LONG));
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_file_back() {
    let scratch = Scratch::new();
    let path = scratch.file("a.bin", vec![7; LONG]);
    let mut stage = Stage::new(Limits::default());
    let mut client = connect(&stage.server).await;
    let _stream = client.begin_get().await;
    stage.answer(&path).await;
    stalled(&stage).await;
    let sent = stage.server.server.stats().body_bytes_sent;
    assert!(sent < LONG as u64 / 2, "{sent} bytes were read for nobody");
}

#[tokio::test]
async fn a_client_that_stops_reading_ends_the_answer() {
    let scratch = Scratch::new();
    let path = scratch.file("a.bin", vec![7; LONG]);
    let mut stage = Stage::new(Limits::default());
    let mut client = connect(&stage.server).await;
    let mut stream = client.begin_get().await;
    stage.answer(&path).await;
    soon("the head", stream.recv_response()).await.unwrap();
    stream.stop_sending(h3::error::Code::H3_REQUEST_CANCELLED);
    assert_eq!(stage.handler.aborted().await, Some(0x10c));
    stage.at_rest().await;
}

#[tokio::test]
async fn a_client_that_closes_its_connection_ends_the_answer() {
    let scratch = Scratch::new();
    let path = scratch.file("a.bin", vec![7; LONG]);
    let mut stage = Stage::new(Limits::default());
    let mut client = connect(&stage.server).await;
    let _stream = client.begin_get().await;
    stage.answer(&path).await;
    stalled(&stage).await;
    client.quic.close(0x100u32.into(), b"");
    assert_eq!(stage.handler.aborted().await, None);
    stage.at_rest().await;
}

#[tokio::test]
async fn a_reset_by_us_ends_the_answer() {
    let scratch = Scratch::new();
    let path = scratch.file("a.bin", vec![7; LONG]);
    let mut stage = Stage::new(Limits::default());
    let mut client = connect(&stage.server).await;
    let mut stream = client.begin_get().await;
    let id = stage.answer(&path).await;
    stalled(&stage).await;
    let table = stage.server.server.exchanges();
    assert_eq!(
        table.write(id, Bytes::from_static(b"x"), trilane_core::Notify::Never),
        Err(ExchangeError::Gone)
    );
    table.reset(id, Code::H3_INTERNAL_ERROR).unwrap();
    assert!(
        read_to_end(&mut stream)
            .await
            .unwrap_err()
            .contains("H3_INTERNAL_ERROR")
    );
    assert_eq!(table.reset(id, Code::H3_INTERNAL_ERROR), Err(ExchangeError::Gone));
    stage.at_rest().await;
}

#[tokio::test]
async fn a_graceful_stop_lets_a_file_end() {
    let scratch = Scratch::new();
    let path = scratch.file("a.bin", vec![7; LONG]);
    let mut stage = Stage::new(Limits::default());
    let mut client = connect(&stage.server).await;
    let mut stream = client.begin_get().await;
    stage.answer(&path).await;
    stalled(&stage).await;
    let stopped = tokio::spawn(stage.server.server.stop(Stop::Graceful(Duration::from_secs(10))));
    assert_eq!(read_to_end(&mut stream).await, Ok(LONG));
    soon("the stop", stopped).await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn downloads_that_stand_still_do_not_use_up_the_descriptors_of_the_process() {
    let scratch = Scratch::new();
    let path = scratch.file("a.bin", "");
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(LONG as u64)
        .unwrap();
    let mut stage = Stage::new(Limits::default());
    let mut clients = [connect(&stage.server).await, connect(&stage.server).await];
    let mut streams = vec![];
    for client in &mut clients {
        for _ in 0..200 {
            let stream = client.begin_get().await;
            stage.answer(&path).await;
            streams.push(stream);
        }
    }
    let descriptors = || {
        std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .filter(|target| *target == path)
            .count()
    };
    // Those that other tests of this process keep open count as well.
    soon("as many files to be open as are kept", async {
        while descriptors() < 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    for _ in 0..20 {
        let open = descriptors();
        // One more is open for a moment while it is read.
        assert!(open <= 256 + 64, "{open} descriptors for 400 downloads");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(streams.drain(..399));
    let mut last = streams.remove(0);
    assert_eq!(read_to_end(&mut last).await, Ok(LONG));
}
