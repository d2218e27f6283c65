//! What goes before and behind an answer: interim answers and trailers, checked while the caller can still be told.

use bytes::Bytes;
use napi_derive::napi;
use trilane_core::{ExchangeError, ExchangeId, check_interim};
use trilane_http3::check_trailer;

use crate::answers::{Command, Pairs, latin1};
use crate::error::{ErrorCode, Result, error};
use crate::exchanges::NativeExchanges;
use crate::server::NativeServer;
use crate::values::Utf8;

#[napi]
impl NativeExchanges {
    /// Throws ERR_H3_HEADER if one of these fields, written like those of an answer, may not be a trailer
    /// (RFC 9110 §6.5.1).
    #[napi]
    pub fn check_trailers(#[napi(ts_arg_type = "string")] trailers: Utf8) -> Result<()> {
        checked_trailers(latin1(trailers.0)).map(drop)
    }

    /// Ends what is streamed with trailers, written like fields. Throws ERR_H3_HEADER for what may not be one; the
    /// answer is then not ended.
    #[napi]
    pub fn finish_with_trailers(
        &self,
        slot: u32,
        generation: u32,
        #[napi(ts_arg_type = "string")] trailers: Utf8,
    ) -> Result<()> {
        let id = ExchangeId { slot, generation };
        let trailers = checked_trailers(latin1(trailers.0))?;
        self.parts.commands.push(Command::Trailers(id, trailers));
        Ok(())
    }
}

#[napi]
impl NativeServer {
    /// Sends an interim answer. Throws ERR_H3_RESPONSE_STATUS or ERR_H3_HEADER for what is none; does nothing if the
    /// exchange is over or its answer has begun.
    #[napi]
    pub fn inform(
        &self,
        slot: u32,
        generation: u32,
        status: u32,
        #[napi(ts_arg_type = "string")] fields: Utf8,
    ) -> Result<()> {
        let id = ExchangeId { slot, generation };
        let (status, fields) = checked_interim(status, latin1(fields.0))?;
        self.exchanges
            .commands
            .push(Command::Inform { id, status, fields });
        Ok(())
    }
}

fn checked_trailers(trailers: Bytes) -> Result<Bytes> {
    for (name, value) in Pairs::of(&trailers) {
        check_trailer(name, value).map_err(|reason| {
            let name = String::from_utf8_lossy(name);
            error(
                ErrorCode::Header,
                format!("the trailer \"{name}\" cannot be sent: {reason}"),
            )
        })?;
    }
    Ok(trailers)
}

fn checked_interim(status: u32, fields: Bytes) -> Result<(u16, Bytes)> {
    let narrow = u16::try_from(status).unwrap_or(u16::MAX);
    check_interim(narrow, Pairs::of(&fields)).map_err(|reason| {
        let code = match reason {
            ExchangeError::InterimStatus(_) => ErrorCode::Status,
            _ => ErrorCode::Header,
        };
        error(code, reason)
    })?;
    Ok((narrow, fields))
}
