//! Requests and responses on their streams.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use trilane_http3::{
    FieldLimits, FieldSection, MessageError, Part, RequestHead, RequestReader, ResponseHead, ResponseReader,
    ResponseTo, write_data_header, write_request_head, write_response_head, write_trailers,
};

use crate::pieces::{same_in_any_pieces, split_off_cuts};

/// Small, so that what exceeds them is found.
const LIMITS: FieldLimits = FieldLimits {
    max_bytes: 2000,
    max_fields: 20,
};

/// Names and values.
pub(crate) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// What a reader hands on of a head, besides its fields.
#[derive(Clone, Debug, PartialEq)]
enum Line {
    Request {
        method: Vec<u8>,
        scheme: Vec<u8>,
        authority: Vec<u8>,
        path: Vec<u8>,
        protocol: Option<Vec<u8>>,
        content_length: Option<u64>,
    },
    Response {
        status: u16,
        content_length: Option<u64>,
    },
}

/// Everything that a reader says of a stream, with adjacent content joined.
#[derive(Clone, Debug, Default, PartialEq)]
struct Reading {
    heads: Vec<(Line, Fields)>,
    content: Vec<u8>,
    trailers: Option<Fields>,
    error: Option<MessageError>,
}

/// A reader of either kind, with the heads it fills.
trait Reader {
    fn read(&mut self, chunk: &mut Bytes) -> Result<Option<Part>, MessageError>;
    fn finish(&self) -> Result<(), MessageError>;
    fn head(&self) -> (Line, Fields);
    fn trailers(&self) -> &FieldSection;
}

/// RFC 9114 §4.1, the server's side.
pub(crate) fn request(input: &[u8]) {
    let (cuts, wire) = split_off_cuts(input);
    let reading = same_in_any_pieces(wire, cuts, |chunks| read(Requests::new(), chunks));
    check(&reading, wire);
    assert!(reading.heads.len() <= 1);
    if reading.error.is_none() {
        assert_eq!(read(Requests::new(), vec![write(&reading)]), reading);
    }
}

/// RFC 9114 §4.1, the client's side, as the answer to each kind of request.
pub(crate) fn response(input: &[u8]) {
    let (cuts, wire) = split_off_cuts(input);
    for to in [ResponseTo::Other, ResponseTo::Head, ResponseTo::Connect] {
        let reading = same_in_any_pieces(wire, cuts, |chunks| read(Responses::new(to), chunks));
        check(&reading, wire);
        if reading.error.is_none() {
            assert_eq!(read(Responses::new(to), vec![write(&reading)]), reading);
        }
    }
}

/// Nothing comes out that did not go in, and no more than the limits allow.
fn check(reading: &Reading, wire: &[u8]) {
    assert!(reading.heads.len() * 4 + reading.content.len() <= wire.len());
    let sections = reading
        .heads
        .iter()
        .map(|(_, fields)| fields)
        .chain(&reading.trailers);
    for fields in sections {
        assert!(fields.len() <= LIMITS.max_fields);
        let size: usize = fields
            .iter()
            .map(|(name, value)| name.len() + value.len() + 32)
            .sum();
        assert!(size <= LIMITS.max_bytes);
        assert!(fields.iter().all(|(name, _)| !name.starts_with(b":")));
    }
}

fn read(mut reader: impl Reader, chunks: Vec<Bytes>) -> Reading {
    let mut reading = Reading::default();
    for mut chunk in chunks {
        loop {
            match reader.read(&mut chunk) {
                Ok(None) => break,
                Ok(Some(Part::Head)) => reading.heads.push(reader.head()),
                Ok(Some(Part::Data(data))) => {
                    assert!(!data.is_empty());
                    reading.content.extend_from_slice(&data);
                }
                Ok(Some(Part::Trailers)) => reading.trailers = Some(owned(reader.trailers().iter())),
                Err(error) => {
                    // It stays failed.
                    let mut innocent = Bytes::from_static(&[0x21, 0x00]);
                    assert_eq!(reader.read(&mut innocent), Err(error));
                    assert_eq!(reader.finish(), Err(error));
                    reading.error = Some(error);
                    return reading;
                }
            }
        }
        assert!(chunk.is_empty());
    }
    reading.error = reader.finish().err();
    reading
}

/// The message, written by our own hand.
fn write(reading: &Reading) -> Bytes {
    let mut out = BytesMut::new();
    for (line, fields) in &reading.heads {
        match line {
            Line::Request {
                method,
                scheme,
                authority,
                path,
                protocol,
                ..
            } => {
                let protocol = protocol.as_deref();
                write_request_head(
                    &mut out,
                    method,
                    scheme,
                    authority,
                    path,
                    protocol,
                    borrowed(fields),
                );
            }
            Line::Response { status, .. } => write_response_head(&mut out, *status, borrowed(fields)),
        }
    }
    if !reading.content.is_empty() {
        write_data_header(&mut out, reading.content.len() as u64);
        out.extend_from_slice(&reading.content);
    }
    if let Some(trailers) = &reading.trailers {
        write_trailers(&mut out, borrowed(trailers));
    }
    out.freeze()
}

pub(crate) fn owned<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Fields {
    fields
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect()
}

pub(crate) fn borrowed(fields: &Fields) -> impl Iterator<Item = (&[u8], &[u8])> {
    fields.iter().map(|(name, value)| (&name[..], &value[..]))
}

struct Requests {
    reader: RequestReader,
    head: RequestHead,
    trailers: FieldSection,
}

impl Requests {
    fn new() -> Self {
        Self {
            reader: RequestReader::new(LIMITS),
            head: RequestHead::new(),
            trailers: FieldSection::new(),
        }
    }
}

impl Reader for Requests {
    fn read(&mut self, chunk: &mut Bytes) -> Result<Option<Part>, MessageError> {
        self.reader.read(chunk, &mut self.head, &mut self.trailers)
    }

    fn finish(&self) -> Result<(), MessageError> {
        self.reader.finish()
    }

    fn head(&self) -> (Line, Fields) {
        let head = &self.head;
        let line = Line::Request {
            method: head.method().to_vec(),
            scheme: head.scheme().to_vec(),
            authority: head.authority().to_vec(),
            path: head.path().to_vec(),
            protocol: head.protocol().map(<[u8]>::to_vec),
            content_length: head.content_length(),
        };
        (line, owned(head.fields()))
    }

    fn trailers(&self) -> &FieldSection {
        &self.trailers
    }
}

struct Responses {
    reader: ResponseReader,
    head: ResponseHead,
    trailers: FieldSection,
}

impl Responses {
    fn new(to: ResponseTo) -> Self {
        Self {
            reader: ResponseReader::new(LIMITS, to),
            head: ResponseHead::new(),
            trailers: FieldSection::new(),
        }
    }
}

impl Reader for Responses {
    fn read(&mut self, chunk: &mut Bytes) -> Result<Option<Part>, MessageError> {
        self.reader.read(chunk, &mut self.head, &mut self.trailers)
    }

    fn finish(&self) -> Result<(), MessageError> {
        self.reader.finish()
    }

    fn head(&self) -> (Line, Fields) {
        let line = Line::Response {
            status: self.head.status(),
            content_length: self.head.content_length(),
        };
        (line, owned(self.head.fields()))
    }

    fn trailers(&self) -> &FieldSection {
        &self.trailers
    }
}
