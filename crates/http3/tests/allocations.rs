//! What the hot path promises: once its buffers are warm, a request costs no allocation.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::{Bytes, BytesMut};
use trilane_http3::{
    FieldLimits, FieldSection, Part, RequestHead, RequestReader, write_data_header, write_request_head,
    write_response_head,
};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system allocator, counting for each thread.
struct Counting;

// SAFETY: every call is handed to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `alloc` above with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

const LIMITS: FieldLimits = FieldLimits {
    max_bytes: 16_384,
    max_fields: 100,
};
const FIELDS: [(&[u8], &[u8]); 4] = [
    (b"user-agent", b"curl/8.0"),
    (b"accept", b"*/*"),
    (b"cookie", b"a=1; b=2"),
    (b"x-own", b"value"),
];

fn request() -> Bytes {
    let mut out = BytesMut::new();
    write_request_head(
        &mut out,
        b"POST",
        b"https",
        b"example.com",
        b"/a?b",
        None,
        FIELDS.into_iter(),
    );
    write_data_header(&mut out, 4);
    out.extend_from_slice(b"body");
    out.freeze()
}

fn read(mut chunk: Bytes, head: &mut RequestHead, trailers: &mut FieldSection) {
    let mut reader = RequestReader::new(LIMITS);
    assert_eq!(reader.read(&mut chunk, head, trailers), Ok(Some(Part::Head)));
    let data = reader.read(&mut chunk, head, trailers);
    assert!(matches!(data, Ok(Some(Part::Data(_)))));
    assert_eq!(reader.read(&mut chunk, head, trailers), Ok(None));
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn a_request_in_one_chunk_costs_no_allocation_once_the_head_is_warm() {
    let (wire, mut head, mut trailers) = (request(), RequestHead::new(), FieldSection::new());
    // Chunks that come out of a datagram are shared already; sharing for the first time allocates.
    let first = wire.clone();
    assert_ne!(
        allocations(|| read(first, &mut head, &mut trailers)),
        0,
        "the counter counts"
    );
    for _ in 0..10 {
        let chunk = wire.clone();
        assert_eq!(allocations(|| read(chunk, &mut head, &mut trailers)), 0);
    }
}

#[test]
fn a_response_head_costs_no_allocation_when_the_buffer_has_room() {
    let mut out = BytesMut::with_capacity(1024);
    let count = allocations(|| {
        write_response_head(&mut out, 200, FIELDS.into_iter());
        write_data_header(&mut out, 10);
    });
    assert_eq!(count, 0);
}

/// A HEADERS frame that arrives byte by byte is copied once, into a buffer that grows by doubling.
#[test]
fn a_head_that_trickles_in_costs_few_allocations() {
    let (wire, mut head, mut trailers) = (request(), RequestHead::new(), FieldSection::new());
    let mut reader = RequestReader::new(LIMITS);
    let bytes: Vec<Bytes> = (0..wire.len()).map(|at| wire.slice(at..=at)).collect();
    let count = allocations(|| {
        for mut byte in bytes {
            assert!(reader.read(&mut byte, &mut head, &mut trailers).is_ok());
        }
    });
    assert!(count < 20, "{count} allocations for {} bytes", wire.len());
}
