//! Every rule of a request head, each broken once.

mod extended_connect;
mod remembered;

use super::*;
use bytes::BytesMut;

const LIMITS: FieldLimits = FieldLimits {
    max_bytes: 16_384,
    max_fields: 100,
};
const GET: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "https"),
    (":authority", "a"),
    (":path", "/"),
];
const EXTENDED: [(&str, &str); 5] = [
    (":method", "CONNECT"),
    (":scheme", "https"),
    (":authority", "a"),
    (":path", "/"),
    (":protocol", "webtransport"),
];

fn encoded(fields: &[(&str, &str)]) -> BytesMut {
    let mut encoded = BytesMut::new();
    qpack::write_prefix(&mut encoded);
    for (name, value) in fields {
        qpack::write_field(&mut encoded, name.as_bytes(), value.as_bytes());
    }
    encoded
}

fn decode(fields: &[(&str, &str)]) -> Result<RequestHead, DecodeError> {
    let mut head = RequestHead::new();
    head.decode(&encoded(fields), LIMITS).map(|()| head)
}

fn head(fields: &[(&str, &str)]) -> RequestHead {
    decode(fields).unwrap_or_else(|error| panic!("{fields:?}: {error:?}"))
}

fn malformed(fields: &[(&str, &str)]) -> &'static str {
    match decode(fields) {
        Err(DecodeError::Malformed(reason)) => reason,
        other => panic!("{fields:?} should be malformed, got {other:?}"),
    }
}

/// `GET` with more fields behind it.
fn get_with<'a>(fields: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&GET[..], fields].concat()
}

/// `base` with one value replaced, or removed by `None`.
fn altered<'a>(base: &[(&'a str, &'a str)], name: &str, value: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    base.iter()
        .filter_map(|(n, v)| {
            if *n == name {
                value.map(|value| (*n, value))
            } else {
                Some((*n, *v))
            }
        })
        .collect()
}

#[test]
fn a_request_reads_as_it_was_sent() {
    let fields = get_with(&[
        ("user-agent", "curl/8"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("content-length", "7"),
    ]);
    let head = head(&fields);
    assert_eq!(
        (head.method(), head.scheme(), head.authority(), head.path()),
        (&b"GET"[..], &b"https"[..], &b"a"[..], &b"/"[..])
    );
    assert_eq!(head.protocol(), None);
    assert_eq!(head.content_length(), Some(7));
    assert_eq!(head.field(b"cookie"), Some(&b"a=1"[..]));
    assert_eq!(head.field(b":path"), None, "pseudo-headers are no fields");
    assert_eq!(head.fields().count(), 4);
    assert!(!head.is_connect());
}

#[test]
fn a_head_without_fields_has_none() {
    assert_eq!(head(&GET).fields().count(), 0);
}

#[test]
fn the_same_head_can_be_filled_again() {
    let mut head = head(&get_with(&[("content-length", "7"), ("host", "a")]));
    let mut encoded = BytesMut::new();
    qpack::write_prefix(&mut encoded);
    for (name, value) in GET {
        qpack::write_field(&mut encoded, name.as_bytes(), value.as_bytes());
    }
    head.decode(&encoded, LIMITS).unwrap();
    assert_eq!(head.content_length(), None);
    assert_eq!(head.fields().count(), 0);
}

#[test]
fn a_missing_pseudo_header_is_malformed() {
    // RFC9114-4.3.1-method-missing
    assert_eq!(malformed(&altered(&GET, ":method", None)), "no :method");
    // RFC9114-4.3.1-scheme-missing
    assert_eq!(malformed(&altered(&GET, ":scheme", None)), "no :scheme");
    // RFC9114-4.3.1-path-missing
    assert_eq!(malformed(&altered(&GET, ":path", None)), "no :path");
    // RFC9114-4.3.1-authority-missing
    assert_eq!(
        malformed(&altered(&GET, ":authority", None)),
        "no :authority or host"
    );
    assert_eq!(malformed(&[]), "no :method");
}

#[test]
fn a_repeated_pseudo_header_is_malformed() {
    let repeated = [
        ":method",    // RFC9114-4.3.1-method-repeated
        ":scheme",    // RFC9114-4.3.1-scheme-repeated
        ":authority", // RFC9114-4.3.1-authority-repeated
        ":path",      // RFC9114-4.3.1-path-repeated
        ":protocol",  // RFC9114-4.3-protocol-repeated
    ];
    for name in repeated {
        let field = *EXTENDED.iter().find(|(n, _)| *n == name).unwrap();
        let twice = malformed(&[&EXTENDED[..], &[field]].concat());
        assert_eq!(twice, "pseudo-header sent twice", "{name}");
    }
}

/// RFC9114-4.3-after-field
#[test]
fn a_pseudo_header_after_a_field_is_malformed() {
    assert_eq!(
        malformed(&[&[("a", "b")], &GET[..]].concat()),
        "pseudo-header after a field"
    );
    assert_eq!(
        malformed(&[&GET[..3], &[("accept", "*/*")], &GET[3..]].concat()),
        "pseudo-header after a field"
    );
}

#[test]
fn an_unknown_or_response_pseudo_header_is_malformed() {
    let with = |name, value| malformed(&[&GET[..], &[(name, value)]].concat());
    // RFC9114-4.3-unknown-in-request
    for name in [":foo", ":", ":Path"] {
        assert_eq!(with(name, "200"), "pseudo-header unknown in requests");
    }
    // RFC9114-4.3-status-in-request
    for value in ["200", "299"] {
        assert_eq!(with(":status", value), "pseudo-header unknown in requests");
    }
}

/// RFC9114-4.3.1-method-invalid
#[test]
fn a_method_that_is_no_token_is_malformed() {
    assert_eq!(
        head(&altered(&GET, ":method", Some("PROPFIND"))).method(),
        b"PROPFIND"
    );
    for method in ["", "GE T", "GET\r\n", "G(T", "G\u{e9}T"] {
        assert_eq!(
            malformed(&altered(&GET, ":method", Some(method))),
            "invalid pseudo-header value"
        );
    }
}

/// RFC9114-4.3.1-scheme-invalid
#[test]
fn a_scheme_of_wrong_syntax_is_malformed() {
    assert_eq!(
        head(&altered(&GET, ":scheme", Some("coap+tcp"))).scheme(),
        b"coap+tcp"
    );
    for scheme in ["", "1http", "ht tp", "https:", "h\u{e9}"] {
        assert_eq!(
            malformed(&altered(&GET, ":scheme", Some(scheme))),
            "invalid pseudo-header value"
        );
    }
}

#[test]
fn a_path_that_is_empty_or_not_absolute_or_has_forbidden_bytes_is_malformed() {
    let with = |path| malformed(&altered(&GET, ":path", Some(path)));
    // RFC9114-4.3.1-path-empty
    assert_eq!(with(""), "invalid pseudo-header value");
    // RFC9114-4.3.1-path-characters
    for path in ["/a b", "/a\0", "/a#b", "/\u{e9}", "/a\r\nx: y", "/\x7f", "/a\t"] {
        assert_eq!(with(path), "invalid pseudo-header value", "{path:?}");
    }
    // RFC9114-4.3.1-path-relative
    for path in ["a", "https://a/", "?q", "**", "*/"] {
        assert_eq!(with(path), ":path is neither absolute nor * of OPTIONS");
    }
    // RFC9114-4.3.1-path-asterisk
    assert_eq!(with("*"), ":path is neither absolute nor * of OPTIONS");
    let options = altered(&GET, ":method", Some("OPTIONS"));
    assert_eq!(head(&altered(&options, ":path", Some("*"))).path(), b"*");
}

#[test]
fn an_authority_or_host_that_is_empty_or_no_host_is_malformed() {
    let cases = [
        // RFC9114-4.3.1-authority-empty
        ("", "empty authority"),
        (":443", "invalid authority"),
        // RFC9114-4.3.1-authority-userinfo
        ("user@a", "invalid authority"),
        ("user:pass@a", "invalid authority"),
        ("@a", "invalid authority"),
        // RFC9114-4.3.1-authority-invalid
        ("a/b", "invalid authority"),
        ("a b", "invalid authority"),
        ("a:b", "invalid authority"),
        ("[::1", "invalid authority"),
    ];
    for (authority, reason) in cases {
        let as_authority = altered(&GET, ":authority", Some(authority));
        assert_eq!(malformed(&as_authority), reason, "{authority:?}");
        let only_host = [&altered(&GET, ":authority", None)[..], &[("host", authority)]].concat();
        assert_eq!(malformed(&only_host), reason, "{authority:?}");
    }
}

/// RFC 9114 §4.3.1.
#[test]
fn a_scheme_other_than_http_may_do_without_an_authority_but_not_leave_it_empty() {
    let foo = altered(&GET, ":scheme", Some("foo"));
    assert_eq!(head(&altered(&foo, ":authority", None)).authority(), b"");
    assert_eq!(
        head(&altered(&foo, ":authority", Some("u@a"))).authority(),
        b"u@a"
    );
    // RFC9114-4.3.1-authority-empty
    assert_eq!(
        malformed(&altered(&foo, ":authority", Some(""))),
        "empty authority"
    );
    let host = [&altered(&foo, ":authority", None)[..], &[("host", "")]].concat();
    assert_eq!(malformed(&host), "empty authority");
}

#[test]
fn host_stands_in_for_authority_and_must_agree_with_it() {
    let only_host = [&altered(&GET, ":authority", None)[..], &[("host", "b")]].concat();
    assert_eq!(head(&only_host).authority(), b"b");
    let both = head(&get_with(&[("host", "a")]));
    assert_eq!(both.authority(), b"a");
    assert_eq!(both.field(b"host"), Some(&b"a"[..]));
    assert_eq!(head(&get_with(&[("host", "A")])).authority(), b"a");
    // RFC9114-4.3.1-host-differs
    for host in ["b", "a:443", "", "aa"] {
        assert_eq!(
            malformed(&get_with(&[("host", host)])),
            "host differs from :authority"
        );
    }
    // RFC9114-4.3.1-host-repeated
    assert_eq!(
        malformed(&get_with(&[("host", "a"), ("host", "a")])),
        "host sent twice"
    );
}

#[test]
fn a_plain_connect_has_method_and_authority_only() {
    let connect = [(":method", "CONNECT"), (":authority", "a:443")];
    let plain = head(&connect);
    assert!(plain.is_connect());
    assert_eq!(
        (plain.scheme(), plain.authority(), plain.path()),
        (&b""[..], &b"a:443"[..], &b""[..])
    );
    let with = |extra| malformed(&[&connect[..], &[extra]].concat());
    // RFC9114-4.4-connect-scheme
    assert_eq!(with((":scheme", "https")), "CONNECT with :scheme");
    // RFC9114-4.4-connect-path
    assert_eq!(with((":path", "/")), "CONNECT with :path");
    // RFC9114-4.4-connect-authority-missing
    assert_eq!(malformed(&connect[..1]), "CONNECT without :authority");
    assert_eq!(
        malformed(&[connect[0], ("host", "a:443")]),
        "CONNECT without :authority"
    );
    let to = |authority| malformed(&[connect[0], (":authority", authority)]);
    // RFC9114-4.4-connect-authority-invalid
    for authority in ["", "user@a:1", ":443", "a b:1"] {
        assert_eq!(to(authority), "invalid :authority", "{authority:?}");
    }
    // RFC9114-4.4-connect-port
    for authority in ["a", "a:", "a:0", "a:65536", "[::1]"] {
        assert_eq!(to(authority), "CONNECT without a valid port", "{authority:?}");
    }
}

#[test]
fn an_extended_connect_needs_scheme_path_and_authority() {
    assert_eq!(head(&EXTENDED).protocol(), Some(&b"webtransport"[..]));
    // RFC8441-4-scheme-missing
    assert_eq!(malformed(&altered(&EXTENDED, ":scheme", None)), "no :scheme");
    // RFC8441-4-path-missing
    assert_eq!(malformed(&altered(&EXTENDED, ":path", None)), "no :path");
    // RFC9114-4.4-connect-authority-missing, RFC8441-4-authority-missing
    assert_eq!(
        malformed(&altered(&EXTENDED, ":authority", None)),
        "extended CONNECT without :authority"
    );
}

/// RFC8441-4-protocol-syntax
#[test]
fn a_protocol_that_is_no_upgrade_token_is_malformed() {
    for protocol in ["", "a b", "a/", "/1", "a/1/2"] {
        assert_eq!(
            malformed(&altered(&EXTENDED, ":protocol", Some(protocol))),
            "invalid pseudo-header value"
        );
    }
}

/// RFC9114-4.3-protocol-without-connect, RFC8441-4-protocol-without-connect
#[test]
fn a_protocol_without_connect_is_malformed() {
    assert_eq!(
        malformed(&altered(&EXTENDED, ":method", Some("GET"))),
        ":protocol without CONNECT"
    );
}

#[test]
fn a_field_name_that_is_empty_or_upper_case_or_no_token_is_malformed() {
    let names = [
        "",       // RFC9114-10.3-name-empty
        "Accept", // RFC9114-4.2-name-uppercase
        "accepT", //
        // RFC9114-10.3-name-characters
        "a b", "a\0b", "a\rb", "a\nb", "a:b", "\u{e9}",
    ];
    for name in names {
        let reason = malformed(&get_with(&[(name, "x")]));
        assert_eq!(reason, "invalid field name", "{name:?}");
    }
}

#[test]
fn a_field_value_with_control_characters_or_surrounding_blanks_is_malformed() {
    let values = [
        "a\0b", // RFC9114-10.3-value-nul
        "a\rb", // RFC9114-10.3-value-cr
        "a\nb", // RFC9114-10.3-value-lf
        "a\x1fb", "a\x7fb", "\x01", // RFC9114-10.3-value-control
        " a", "\ta", " ", // RFC9114-10.3-value-leading-blank
        "a ", "a\t", // RFC9114-10.3-value-trailing-blank
    ];
    for value in values {
        for name in ["x-own", "user-agent"] {
            let reason = malformed(&get_with(&[(name, value)]));
            assert_eq!(reason, "invalid field value", "{value:?}");
        }
    }
    assert_eq!(
        head(&get_with(&[("x", "a\tb"), ("y", "")])).field(b"x"),
        Some(&b"a\tb"[..])
    );
}

#[test]
fn a_connection_specific_field_is_malformed() {
    let names = [
        // RFC9114-4.2-connection-specific
        "connection",
        "keep-alive",
        "proxy-connection",
        "upgrade",
        // RFC9114-4.1-transfer-encoding
        "transfer-encoding",
    ];
    for name in names {
        let reason = malformed(&get_with(&[(name, "close")]));
        assert_eq!(reason, "connection-specific field", "{name}");
    }
    // RFC9114-4.2-te-value
    for value in ["gzip", "trailers, gzip", "", "Trailers", "trailers;q=1"] {
        let reason = malformed(&get_with(&[("te", value)]));
        assert_eq!(reason, "te other than trailers", "{value:?}");
    }
    assert_eq!(
        head(&get_with(&[("te", "trailers")])).field(b"te"),
        Some(&b"trailers"[..])
    );
}

#[test]
fn a_content_length_that_is_no_number_or_contradicts_itself_is_malformed() {
    // RFC9114-4.1.2-content-length-invalid
    let cases = [
        ("RFC9110-8.6-empty", ""),
        ("RFC9110-8.6-not-digits", "x"),
        ("RFC9110-8.6-not-digits", "-1"),
        ("RFC9110-8.6-not-digits", "+1"),
        ("RFC9110-8.6-not-digits", "1.0"),
        ("RFC9110-8.6-not-digits", "0x1"),
        ("RFC9110-8.6-not-digits", "1 2"),
        ("RFC9110-8.6-too-large", "18446744073709551616"),
        ("RFC9110-8.6-unequal-list", "1, 2"),
        ("RFC9110-8.6-empty", "1,"),
    ];
    for (rule, value) in cases {
        assert_eq!(
            malformed(&get_with(&[("content-length", value)])),
            "invalid content-length",
            "{rule}"
        );
    }
    let largest = get_with(&[("content-length", "18446744073709551615")]);
    assert_eq!(
        head(&largest).content_length(),
        Some(u64::MAX),
        "RFC9110-8.6-too-large"
    );
    // RFC9110-8.6-unequal-repeats, RFC9114-4.1.2-content-length-differs
    let differ = get_with(&[("content-length", "1"), ("content-length", "2")]);
    assert_eq!(malformed(&differ), "content-length values differ");
    let indexed = get_with(&[("content-length", "0"), ("content-length", "1")]);
    assert_eq!(malformed(&indexed), "content-length values differ");
    // RFC9110-8.6-equal-list
    let repeated = get_with(&[("content-length", "5"), ("content-length", "5, 5")]);
    assert_eq!(head(&repeated).content_length(), Some(5));
}

/// A name may be sent as a literal although the static table has it.
#[test]
fn a_literal_name_is_judged_like_its_static_twin() {
    let literal = |name: &str, value: &str| {
        let mut encoded = BytesMut::new();
        qpack::write_prefix(&mut encoded);
        for (name, value) in GET {
            qpack::write_field(&mut encoded, name.as_bytes(), value.as_bytes());
        }
        // Names of 7 bytes and more: 3-bit prefix, then the rest of the length.
        encoded.extend_from_slice(&[0x27, name.len() as u8 - 7]);
        encoded.extend_from_slice(name.as_bytes());
        encoded.extend_from_slice(&[value.len() as u8]);
        encoded.extend_from_slice(value.as_bytes());
        let mut head = RequestHead::new();
        head.decode(&encoded, LIMITS).map(|()| head.content_length())
    };
    assert_eq!(literal("content-length", "5"), Ok(Some(5)));
    assert_eq!(
        literal("content-length", "x"),
        Err(DecodeError::Malformed("invalid content-length"))
    );
    assert_eq!(
        literal(":method", "PUT"),
        Err(DecodeError::Malformed("pseudo-header sent twice"))
    );
}

/// RFC9110-9.3.6-request-length
#[test]
fn the_content_length_of_a_connect_is_ignored() {
    let connect = [
        (":method", "CONNECT"),
        (":authority", "a:443"),
        ("content-length", "5"),
    ];
    assert_eq!(head(&connect).content_length(), None);
    let custom = altered(&EXTENDED, ":protocol", Some("own"));
    assert_eq!(
        head(&[&custom[..], &[("content-length", "5")]].concat()).content_length(),
        None
    );
}
