//! What only an extended CONNECT can get wrong.

use super::*;

/// RFC8441-4-protocol-repeated
#[test]
fn a_repeated_protocol_is_malformed() {
    assert_eq!(
        malformed(&[&EXTENDED[..], &[(":protocol", "connect-udp")]].concat()),
        "pseudo-header sent twice"
    );
}

/// RFC8441-5-connection-field
#[test]
fn the_fields_of_a_websocket_over_http1_are_malformed() {
    for name in ["connection", "upgrade"] {
        let fields = [&EXTENDED[..], &[(name, "websocket")]].concat();
        assert_eq!(malformed(&fields), "connection-specific field");
    }
}

/// RFC9297-3.2-content-fields
#[test]
fn a_request_for_capsules_says_nothing_of_content() {
    let refused = "content-length or content-type on a message with capsules";
    let custom = altered(&EXTENDED, ":protocol", Some("own"));
    for field in [
        ("content-length", "0"),
        ("content-type", "text/plain"),
        ("content-type", "own/type"),
    ] {
        assert_eq!(malformed(&[&EXTENDED[..], &[field]].concat()), refused);
        assert_eq!(
            malformed(&[&custom[..], &[("capsule-protocol", "?1"), field]].concat()),
            refused
        );
        assert!(
            decode(&[&custom[..], &[field]].concat()).is_ok(),
            "a protocol without capsules"
        );
    }
}
