//! Interim answers, 1xx: heads that are sent before the final one (RFC 9114 §4.1, RFC 9110 §15.2).

use crate::answer_stream::AnswerStream;
use crate::exchange::{ExchangeError, ExchangeId};
use crate::sync::lock;

use super::{Answer, ExchangeTable};

/// RFC 9110 §15.2.1.
const CONTINUE: u16 = 100;

/// Checks the head of an interim answer before it is sent: the status is 1xx but not 101, which HTTP/3 does not have
/// (RFC 9114 §4.5), and the fields may be sent and do not describe content (RFC 9110 §8.6).
pub fn check_interim<'a>(
    status: u16,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<(), ExchangeError> {
    if !(100..=199).contains(&status) || status == 101 {
        return Err(ExchangeError::InterimStatus(status));
    }
    for (name, value) in fields {
        trilane_http3::check_field(name, value)?;
        if name == b"content-length" {
            return Err(ExchangeError::InterimLength);
        }
    }
    Ok(())
}

impl ExchangeTable {
    /// Sends an interim answer: any number of them, before the final one begins. One that flow control does not take now
    /// goes with the final one; above 64 KiB of those, [`ExchangeError::Full`].
    pub fn inform<'a>(
        &self,
        id: ExchangeId,
        status: u16,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    ) -> Result<(), ExchangeError> {
        check_interim(status, fields.clone())?;
        let head = self.encoder.interim(status, fields);
        let mut slots = lock(&self.slots);
        match &mut slots.get(id)?.answer {
            Answer::Awaited(send) => send.inform(&head).map_err(|_| ExchangeError::Full),
            Answer::Streaming(_) | Answer::Sent => Err(ExchangeError::AlreadyStarted),
        }
    }

    /// The handler begins to read the body of a client that waits for 100 (Continue) (RFC 9110 §10.1.1). An answer that has
    /// begun says more than that.
    pub(crate) fn continue_request(&self, id: ExchangeId) {
        // RFC9110-10.1.1-continue
        let _ = self.inform(id, CONTINUE, std::iter::empty());
    }

    /// The body of a request that is no exchange yet is about to be gathered.
    pub(crate) fn send_continue(&self, send: &mut AnswerStream) {
        // RFC9110-10.1.1-continue, RFC9110-10.1.1-final-follows: what becomes of the request is an answer or a reset.
        let _ = send.inform(&self.encoder.interim(CONTINUE, std::iter::empty()));
    }
}
