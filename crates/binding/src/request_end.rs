//! How requests ended, on the way to JavaScript.

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use trilane_core::{DurationSeries, RequestEnd, RequestOutcome};

use crate::server::{NativeAddress, native_address};

/// A request that is over.
#[napi(object)]
pub struct NativeRequestEnd {
    /// Empty if the header section was refused unread.
    pub method: String,
    /// Empty if the header section was refused unread.
    pub url: String,
    /// The pattern of the route that matched.
    pub route: Option<String>,
    pub status: Option<u16>,
    pub bytes_received: f64,
    pub bytes_sent: f64,
    pub duration_ms: f64,
    pub remote_address: NativeAddress,
    pub connection_id: Uint8Array,
    #[napi(ts_type = "'complete' | 'aborted' | 'reset' | 'refused'")]
    pub outcome: String,
}

impl From<RequestEnd> for NativeRequestEnd {
    fn from(end: RequestEnd) -> Self {
        Self {
            method: latin1(&end.method),
            url: latin1(&end.url),
            route: end.pattern.map(|pattern| pattern.to_string()),
            status: end.status,
            bytes_received: end.bytes_received as f64,
            bytes_sent: end.bytes_sent as f64,
            duration_ms: end.duration.as_secs_f64() * 1000.0,
            remote_address: native_address(end.remote_address),
            connection_id: Uint8Array::with_data_copied(end.connection_id),
            outcome: match end.outcome {
                RequestOutcome::Complete => "complete",
                RequestOutcome::Aborted => "aborted",
                RequestOutcome::Reset => "reset",
                RequestOutcome::Refused => "refused",
            }
            .to_owned(),
        }
    }
}

/// A histogram of how long requests took.
#[napi(object)]
pub struct NativeDurations {
    /// The pattern of the route that matched.
    pub route: Option<String>,
    pub method: String,
    /// The first digit of the status.
    pub status_class: Option<u8>,
    /// Upper bounds in seconds, rising.
    pub bounds: Vec<f64>,
    /// How many took at most as long as each bound.
    pub counts: Vec<f64>,
    pub count: f64,
    pub sum_seconds: f64,
}

impl From<DurationSeries> for NativeDurations {
    fn from(series: DurationSeries) -> Self {
        let (bounds, counts) = series
            .buckets
            .iter()
            .map(|(bound, count)| (*bound, *count as f64))
            .unzip();
        Self {
            route: series.route.map(|route| route.to_string()),
            method: series.method.to_owned(),
            status_class: series.status_class,
            bounds,
            counts,
            count: series.count as f64,
            sum_seconds: series.sum.as_secs_f64(),
        }
    }
}

/// Each byte is a character, as in the text of requests.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
