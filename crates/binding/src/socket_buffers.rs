//! Buffers that the kernel made smaller than they should be: said once for each process.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use napi_derive::napi;
use trilane_core::SocketBuffers;

/// Buffers of a socket, in bytes.
#[napi(object)]
pub struct NativeSocketBuffers {
    pub asked: u32,
    pub receive: u32,
    pub send: u32,
}

/// What one process is told once is not told again, by whichever thread its servers are.
static BUFFERS_TOLD: AtomicBool = AtomicBool::new(false);

/// What is to be told of these buffers, if anything is.
pub(crate) fn told(buffers: Option<SocketBuffers>) -> Option<NativeSocketBuffers> {
    let small = buffers.filter(SocketBuffers::are_small)?;
    (!BUFFERS_TOLD.swap(true, Relaxed)).then_some(NativeSocketBuffers {
        asked: small.asked as u32,
        receive: small.receive as u32,
        send: small.send as u32,
    })
}
