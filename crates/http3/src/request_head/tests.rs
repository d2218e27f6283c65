//! Every rule of a request head, each broken once.

mod extended_connect;

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

fn decode(fields: &[(&str, &str)]) -> Result<RequestHead, DecodeError> {
    let mut encoded = BytesMut::new();
    qpack::write_prefix(&mut encoded);
    for (name, value) in fields {
        qpack::write_field(&mut encoded, name.as_bytes(), value.as_bytes());
    }
    let mut head = RequestHead::new();
    head.decode(&encoded, LIMITS).map(|()| head)
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

/// RFC 9114 §4.3.1.
#[test]
fn a_missing_pseudo_header_is_malformed() {
    assert_eq!(malformed(&altered(&GET, ":method", None)), "no :method");
    assert_eq!(malformed(&altered(&GET, ":scheme", None)), "no :scheme");
    assert_eq!(malformed(&altered(&GET, ":path", None)), "no :path");
    assert_eq!(
        malformed(&altered(&GET, ":authority", None)),
        "no :authority or host"
    );
    assert_eq!(malformed(&[]), "no :method");
}

/// RFC 9114 §4.3.
#[test]
fn a_repeated_pseudo_header_is_malformed() {
    for field in EXTENDED {
        assert_eq!(
            malformed(&[&EXTENDED[..], &[field]].concat()),
            "pseudo-header sent twice"
        );
    }
}

/// RFC 9114 §4.3.
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

/// RFC 9114 §4.3.
#[test]
fn an_unknown_or_response_pseudo_header_is_malformed() {
    for name in [":status", ":foo", ":", ":Path"] {
        assert_eq!(
            malformed(&[&GET[..], &[(name, "200")]].concat()),
            "pseudo-header unknown in requests"
        );
    }
}

/// RFC 9110 §9.1.
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

/// RFC 3986 §3.1.
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

/// RFC 9114 §4.3.1.
#[test]
fn a_path_that_is_empty_or_not_absolute_or_has_forbidden_bytes_is_malformed() {
    for path in ["", "/a b", "/a\0", "/a#b", "/\u{e9}", "/a\r\nx: y", "/\x7f"] {
        assert_eq!(
            malformed(&altered(&GET, ":path", Some(path))),
            "invalid pseudo-header value",
            "{path:?}"
        );
    }
    for path in ["a", "*", "https://a/", "?q"] {
        assert_eq!(
            malformed(&altered(&GET, ":path", Some(path))),
            ":path is neither absolute nor * of OPTIONS"
        );
    }
    let options = altered(&GET, ":method", Some("OPTIONS"));
    assert_eq!(head(&altered(&options, ":path", Some("*"))).path(), b"*");
}

/// RFC 9114 §4.3.1.
#[test]
fn an_empty_authority_or_one_with_user_information_is_malformed() {
    for authority in ["", "user@a", "user:pass@a", "a/b", "a b", ":443"] {
        assert_eq!(
            malformed(&altered(&GET, ":authority", Some(authority))),
            "invalid authority",
            "{authority:?}"
        );
        let only_host = [&altered(&GET, ":authority", None)[..], &[("host", authority)]].concat();
        assert_eq!(malformed(&only_host), "invalid authority", "{authority:?}");
    }
}

/// RFC 9114 §4.3.1.
#[test]
fn a_scheme_other_than_http_may_do_without_an_authority() {
    let urn = altered(&altered(&GET, ":scheme", Some("foo")), ":authority", None);
    assert_eq!(head(&urn).authority(), b"");
    assert_eq!(
        head(&altered(
            &altered(&GET, ":scheme", Some("foo")),
            ":authority",
            Some("")
        ))
        .authority(),
        b""
    );
}

/// RFC 9114 §4.3.1.
#[test]
fn host_stands_in_for_authority_and_must_agree_with_it() {
    let only_host = [&altered(&GET, ":authority", None)[..], &[("host", "b")]].concat();
    assert_eq!(head(&only_host).authority(), b"b");
    let both = head(&get_with(&[("host", "a")]));
    assert_eq!(both.authority(), b"a");
    assert_eq!(both.field(b"host"), Some(&b"a"[..]));
    assert_eq!(
        malformed(&get_with(&[("host", "b")])),
        "host differs from :authority"
    );
    assert_eq!(
        malformed(&get_with(&[("host", "a"), ("host", "a")])),
        "host sent twice"
    );
}

/// RFC 9114 §4.4.
#[test]
fn a_plain_connect_has_method_and_authority_only() {
    let connect = [(":method", "CONNECT"), (":authority", "a:443")];
    let plain = head(&connect);
    assert!(plain.is_connect());
    assert_eq!(
        (plain.scheme(), plain.authority(), plain.path()),
        (&b""[..], &b"a:443"[..], &b""[..])
    );
    for extra in [(":scheme", "https"), (":path", "/")] {
        assert_eq!(
            malformed(&[&connect[..], &[extra]].concat()),
            "CONNECT with :scheme or :path"
        );
    }
    assert_eq!(malformed(&connect[..1]), "CONNECT without :authority");
    assert_eq!(
        malformed(&[connect[0], ("host", "a:443")]),
        "CONNECT without :authority"
    );
    assert_eq!(malformed(&[connect[0], (":authority", "")]), "invalid :authority");
    assert_eq!(
        malformed(&[connect[0], (":authority", "user@a:1")]),
        "invalid :authority"
    );
}

#[test]
fn an_extended_connect_needs_scheme_path_and_authority() {
    assert_eq!(head(&EXTENDED).protocol(), Some(&b"webtransport"[..]));
    // RFC8441-4-scheme-missing
    assert_eq!(malformed(&altered(&EXTENDED, ":scheme", None)), "no :scheme");
    // RFC8441-4-path-missing
    assert_eq!(malformed(&altered(&EXTENDED, ":path", None)), "no :path");
    // RFC8441-4-authority-missing
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

/// RFC8441-4-protocol-without-connect
#[test]
fn a_protocol_without_connect_is_malformed() {
    assert_eq!(
        malformed(&altered(&EXTENDED, ":method", Some("GET"))),
        ":protocol without CONNECT"
    );
}

/// RFC 9114 §4.2 and §10.3.
#[test]
fn a_field_name_that_is_empty_or_upper_case_or_no_token_is_malformed() {
    for name in ["", "Accept", "a b", "a\0b", "a:b", "\u{e9}"] {
        assert_eq!(
            malformed(&get_with(&[(name, "x")])),
            "invalid field name",
            "{name:?}"
        );
    }
}

/// RFC 9114 §10.3, RFC 9110 §5.5.
#[test]
fn a_field_value_with_control_characters_or_surrounding_blanks_is_malformed() {
    for value in [
        "a\0b", "a\rb", "a\nb", "a\x1fb", "a\x7fb", " a", "a ", "\ta", "a\t",
    ] {
        for name in ["x-own", "user-agent"] {
            assert_eq!(
                malformed(&get_with(&[(name, value)])),
                "invalid field value",
                "{value:?}"
            );
        }
    }
    assert_eq!(
        head(&get_with(&[("x", "a\tb"), ("y", "")])).field(b"x"),
        Some(&b"a\tb"[..])
    );
}

/// RFC 9114 §4.2.
#[test]
fn a_connection_specific_field_is_malformed() {
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
    ] {
        assert_eq!(
            malformed(&get_with(&[(name, "close")])),
            "connection-specific field"
        );
    }
    assert_eq!(malformed(&get_with(&[("te", "gzip")])), "te other than trailers");
    assert_eq!(
        malformed(&get_with(&[("te", "trailers, gzip")])),
        "te other than trailers"
    );
    assert_eq!(
        head(&get_with(&[("te", "trailers")])).field(b"te"),
        Some(&b"trailers"[..])
    );
}

#[test]
fn a_content_length_that_is_no_number_or_contradicts_itself_is_malformed() {
    let cases = [
        ("RFC9110-8.6-empty", ""),
        ("RFC9110-8.6-not-digits", "x"),
        ("RFC9110-8.6-not-digits", "-1"),
        ("RFC9110-8.6-not-digits", "+1"),
        ("RFC9110-8.6-not-digits", "1 2"),
        ("RFC9110-8.6-too-large", "18446744073709551616"),
        ("RFC9110-8.6-unequal-list", "1, 2"),
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
    // RFC9110-8.6-unequal-repeats
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
