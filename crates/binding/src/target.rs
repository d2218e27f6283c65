//! Where a client goes, as JavaScript names it.

use std::fmt::Display;
use std::net::IpAddr;

use napi_derive::napi;
use trilane_core::client::Target;

use crate::error::{ErrorCode, Result, error};

/// A server, as its URL names it.
#[napi(object)]
pub struct NativeTarget {
    /// A name in ASCII, or an address.
    pub host: String,
    pub port: u16,
    /// Where it is; absent: the system is asked.
    pub addresses: Option<Vec<String>>,
}

/// Why there can be no such server.
pub(crate) struct NoTarget(pub(crate) String);

impl NoTarget {
    fn because(reason: impl Display) -> Self {
        Self(reason.to_string())
    }
}

impl NativeTarget {
    pub(crate) fn read(&self) -> Result<Target> {
        let addresses = self.addresses.as_ref().map(|list| list.join("\0"));
        let addresses = addresses.as_ref().map(|text| text.as_bytes());
        read(self.host.as_bytes(), self.port.into(), addresses)
            .map_err(|NoTarget(reason)| error(ErrorCode::ClientRequest, reason))
    }
}

/// The server at `host`; `addresses` have a NUL between them.
pub(crate) fn read(
    host: &[u8],
    port: u32,
    addresses: Option<&[u8]>,
) -> std::result::Result<Target, NoTarget> {
    let host = String::from_utf8_lossy(host);
    // No port at all is refused like one that nobody can have.
    let port = u16::try_from(port).unwrap_or(0);
    let target = Target::new(&host, port).map_err(NoTarget::because)?;
    let Some(addresses) = addresses else {
        return Ok(target);
    };
    let addresses = addresses
        .split(|byte| *byte == 0)
        .filter(|text| !text.is_empty())
        .map(|text| {
            let text = String::from_utf8_lossy(text);
            text.parse::<IpAddr>()
                .map_err(|_| NoTarget(format!("{text:?} is no IP address: resolve() must name some")))
        })
        .collect::<std::result::Result<Vec<_>, _>>()?;
    target.at(addresses).map_err(NoTarget::because)
}
