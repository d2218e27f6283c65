//! The key log, compared with the one that an independent client keeps of the same connections.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use trilane_core::tls::{KeyLogTarget, Resumption, TlsOptions};

use crate::client::returning_client;
use crate::support::{Script, Setup, answer, soon, start};

/// By label and client random: the secret.
type Secrets = BTreeMap<(String, String), String>;

#[derive(Debug, Default)]
struct Memory(Mutex<Secrets>);

impl rustls::KeyLog for Memory {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let key = (label.to_owned(), hex(client_random));
        self.0.lock().unwrap().insert(key, hex(secret));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// All secrets of full handshakes, resumed ones and early data: with them a capture of the connections can be decrypted.
#[tokio::test]
async fn the_key_log_has_the_secrets_that_the_client_has_also_of_resumed_sessions_and_early_data() {
    let folder = std::env::temp_dir().join(format!("trilane-key-log-it-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (resumption, early) in [(Resumption::Tickets, 0), (Resumption::EarlyData, 1)] {
        let path = folder.join(format!("{resumption:?}"));
        let setup = Setup {
            tls: TlsOptions {
                resumption,
                key_log: KeyLogTarget::File(path.clone()),
                ..TlsOptions::default()
            },
            ..Setup::default()
        };
        let server = start(setup, Script::new(|_, exchange| answer(exchange, "")));
        let memory = Arc::new(Memory::default());
        let client = returning_client(&server, memory.clone());
        for _ in 0..2 {
            let connecting = client.connect(server.address, "localhost").unwrap();
            let quic = match connecting.into_0rtt() {
                Ok((quic, accepted)) => {
                    assert!(soon("the handshake", accepted).await);
                    quic
                }
                Err(connecting) => soon("a handshake", connecting).await.unwrap(),
            };
            let (mut send, mut recv) = soon("a stream", quic.open_bi()).await.unwrap();
            send.write_all(&[1, 8, 0, 0, 0xd1, 0xd7, 0xc1, 0x50, 1, b'a'])
                .await
                .unwrap();
            send.finish().unwrap();
            soon("an answer", recv.read_to_end(1000)).await.unwrap();
            quic.close(0_u32.into(), b"");
        }
        let theirs = memory.0.lock().unwrap().clone();
        let mut ours: Secrets = std::fs::read_to_string(&path)
            .unwrap()
            .lines()
            .map(|line| {
                let [label, random, secret] = line.split(' ').collect::<Vec<_>>()[..] else {
                    panic!("{line:?} is no line of a key log");
                };
                ((label.to_owned(), random.to_owned()), secret.to_owned())
            })
            .collect();
        // rustls has the secret of early data for every session that resumes, whether or not there was any.
        ours.retain(|key, _| key.0 != "CLIENT_EARLY_TRAFFIC_SECRET" || theirs.contains_key(key));
        assert_eq!(ours, theirs, "{resumption:?}");
        let of = |label: &str| theirs.keys().filter(|(name, _)| name == label).count();
        assert_eq!(of("CLIENT_TRAFFIC_SECRET_0"), 2);
        assert_eq!(of("SERVER_HANDSHAKE_TRAFFIC_SECRET"), 2);
        assert_eq!(of("CLIENT_EARLY_TRAFFIC_SECRET"), early, "{resumption:?}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
