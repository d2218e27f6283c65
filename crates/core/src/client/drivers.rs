//! The tasks that quinn starts for one connection attempt, and what they may know of it.

use std::future::{Future, pending};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::select;
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};
use tokio::sync::watch;

use super::certificate_fault::CertificateFault;
use crate::sync::lock;

/// How long the tasks of an attempt that was given up live on, to say CONNECTION_CLOSE. quinn alone would keep the
/// socket for three probe timeouts, some seconds before the first round trip is measured.
const PARTING: Duration = Duration::from_millis(20);

tokio::task_local! {
    /// The attempt that the current task drives.
    static ATTEMPT: Arc<Evidence>;
}

/// What the handshake of one attempt has shown. quinn passes a refusal on as text only; this is what it was.
#[derive(Debug, Default)]
pub(super) struct Evidence(Mutex<Shown>);

#[derive(Debug, Default)]
struct Shown {
    certificate: bool,
    fault: Option<CertificateFault>,
}

impl Evidence {
    /// The attempt that the current task drives, if it drives one.
    pub(super) fn with_current(act: impl FnOnce(&Self)) {
        // Outside of such a task nobody asks.
        let _ = ATTEMPT.try_with(|evidence| act(evidence));
    }

    /// The server has shown a certificate: the handshake is a full one.
    pub(super) fn certificate_shown(&self) {
        lock(&self.0).certificate = true;
    }

    pub(super) fn refused(&self, fault: CertificateFault) {
        lock(&self.0).fault.get_or_insert(fault);
    }

    pub(super) fn was_certificate_shown(&self) -> bool {
        lock(&self.0).certificate
    }

    /// Why we refused the certificate, if we did.
    pub(super) fn take_fault(&self) -> Option<CertificateFault> {
        lock(&self.0).fault.take()
    }
}

/// quinn's runtime for one attempt.
#[derive(Debug)]
pub(super) struct Drivers {
    evidence: Arc<Evidence>,
    verdict: watch::Receiver<bool>,
}

/// Whoever holds this decides what becomes of the tasks. Dropping it undecided gives them up.
#[derive(Debug)]
pub(super) struct Reins(watch::Sender<bool>);

impl Drivers {
    pub(super) fn new() -> (Arc<Self>, Reins) {
        let (sender, verdict) = watch::channel(false);
        let evidence = Arc::default();
        (Arc::new(Self { evidence, verdict }), Reins(sender))
    }

    pub(super) fn evidence(&self) -> Arc<Evidence> {
        self.evidence.clone()
    }
}

impl Reins {
    /// Lets the tasks live as long as their connection.
    pub(super) fn keep(self) {
        // An error says that they are gone already.
        let _ = self.0.send(true);
    }
}

impl Runtime for Drivers {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let verdict = self.verdict.clone();
        tokio::spawn(ATTEMPT.scope(self.evidence.clone(), async move {
            select(future, pin!(given_up(verdict))).await;
        }));
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

/// Ends a while after the attempt was given up, never if it is kept.
async fn given_up(mut verdict: watch::Receiver<bool>) {
    let is_kept = verdict.wait_for(|is_kept| *is_kept).await.is_ok();
    if is_kept {
        pending().await
    }
    tokio::time::sleep(PARTING).await;
}
