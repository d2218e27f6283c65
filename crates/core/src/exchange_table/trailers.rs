//! Trailers of an answer: a field section behind its body (RFC 9114 §4.1, RFC 9110 §6.5).

use bytes::Bytes;

use crate::exchange::{ExchangeError, ExchangeId};
use crate::response::Method;
use crate::sync::lock;

use super::ExchangeTable;

impl ExchangeTable {
    /// Ends a started answer's body with trailers (RFC 9114 §4.1). With [`ExchangeError::Field`] nothing was sent and the
    /// answer is not ended.
    pub fn finish_with_trailers<'a>(
        &self,
        id: ExchangeId,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    ) -> Result<(), ExchangeError> {
        for (name, value) in fields.clone() {
            trilane_http3::check_trailer(name, value)?;
        }
        let queue = self.streaming(id)?;
        // RFC 9114 §4.4: nothing but DATA follows the head of an answer to CONNECT.
        let none = self.is_tunnel(id) || fields.clone().next().is_none();
        queue.finish(if none {
            Bytes::new()
        } else {
            self.encoder.trailers(fields)
        });
        Ok(())
    }

    fn is_tunnel(&self, id: ExchangeId) -> bool {
        let mut slots = lock(&self.slots);
        slots.get(id).is_ok_and(|slot| slot.method == Method::Connect)
    }
}
