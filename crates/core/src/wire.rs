//! Error codes as quinn takes them.

use quinn::VarInt;
use trilane_http3::Code;

/// `value` as a QUIC variable-length integer. Codes come from the RFCs or from the wire: all are below 2⁶².
pub(crate) fn code(value: u64) -> VarInt {
    VarInt::from_u64(value).unwrap_or(VarInt::MAX)
}

/// A named code.
pub(crate) fn wire_code(value: Code) -> VarInt {
    code(value.value())
}
