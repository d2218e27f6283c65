//! Values that cross the border in one copy each.

use bytes::Bytes;
use napi::bindgen_prelude::{FromNapiValue, ToNapiValue, TypeName, Uint8ArraySlice, ValidateNapiValue};
use napi::{Env, Error, Result, Status, ValueType, sys};

/// Text on its way to JavaScript, whose characters are its bytes.
pub struct Latin1(pub(crate) Vec<u8>);

impl ToNapiValue for Latin1 {
    unsafe fn to_napi_value(env: sys::napi_env, text: Self) -> Result<sys::napi_value> {
        let mut value = std::ptr::null_mut();
        // SAFETY: called on the JavaScript thread with its environment; the engine copies the bytes.
        let status = unsafe {
            sys::napi_create_string_latin1(env, text.0.as_ptr().cast(), text.0.len() as isize, &mut value)
        };
        check(status, "cannot make a string")?;
        Ok(value)
    }
}

/// Text of JavaScript as UTF-8; a lone surrogate becomes U+FFFD.
pub struct Utf8(pub(crate) Bytes);

impl TypeName for Utf8 {
    fn type_name() -> &'static str {
        "String"
    }

    fn value_type() -> ValueType {
        ValueType::String
    }
}

impl ValidateNapiValue for Utf8 {}

impl FromNapiValue for Utf8 {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let mut length = 0;
        // SAFETY: called on the JavaScript thread with its environment; without a buffer only the length is written.
        let status =
            unsafe { sys::napi_get_value_string_utf8(env, value, std::ptr::null_mut(), 0, &mut length) };
        check(status, "a string was expected")?;
        // The engine ends what it writes with a NUL.
        let mut text = Vec::<u8>::with_capacity(length + 1);
        let mut written = 0;
        // SAFETY: the buffer has the capacity that is named, and `written` bytes of it are filled.
        unsafe {
            let buffer = text.as_mut_ptr().cast();
            let status = sys::napi_get_value_string_utf8(env, value, buffer, length + 1, &mut written);
            check(status, "cannot read a string")?;
            text.set_len(written);
        }
        Ok(Self(text.into()))
    }
}

/// Bytes on their way to JavaScript, into memory of the engine: no buffer of ours lives on there.
pub struct Copied(pub(crate) Bytes);

impl ToNapiValue for Copied {
    unsafe fn to_napi_value(env: sys::napi_env, bytes: Self) -> Result<sys::napi_value> {
        if bytes.0.len() >= LARGE_BYTES {
            // SAFETY: called on the JavaScript thread with its environment.
            return unsafe { large_copy(env, &bytes.0) };
        }
        let array = Uint8ArraySlice::copy_from(&Env::from_raw(env), &bytes.0)?;
        // SAFETY: called on the JavaScript thread with its environment.
        unsafe { Uint8ArraySlice::to_napi_value(env, array) }
    }
}

/// From this length on the two calls more of [`large_copy`] cost less than filling new memory with zeros.
const LARGE_BYTES: usize = 16 * 1024;

/// A Uint8Array with a copy of `bytes`, whose memory was not filled with zeros first: of what Node-API has, only a Buffer is
/// made in this way, so one is made, and its memory given to the array.
///
/// # Safety
/// To be called on the JavaScript thread, with its environment.
unsafe fn large_copy(env: sys::napi_env, bytes: &[u8]) -> Result<sys::napi_value> {
    let (mut data, mut buffer) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: the engine copies the bytes while it is called, and writes to the places that are named here.
    unsafe {
        let status =
            sys::napi_create_buffer_copy(env, bytes.len(), bytes.as_ptr().cast(), &mut data, &mut buffer);
        check(status, "cannot make a buffer")?;
        array_of(env, buffer)
    }
}

/// A plain Uint8Array over the memory of a Buffer.
///
/// # Safety
/// To be called on the JavaScript thread, with its environment and a Buffer of it.
unsafe fn array_of(env: sys::napi_env, buffer: sys::napi_value) -> Result<sys::napi_value> {
    let (mut memory, mut array, mut data) =
        (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
    let (mut length, mut offset, mut kind) = (0, 0, 0);
    // SAFETY: the engine writes to the places that are named here.
    unsafe {
        let status = sys::napi_get_typedarray_info(
            env,
            buffer,
            &mut kind,
            &mut length,
            &mut data,
            &mut memory,
            &mut offset,
        );
        check(status, "cannot look into a buffer")?;
        let kind = sys::TypedarrayType::uint8_array;
        let status = sys::napi_create_typedarray(env, kind, length, memory, offset, &mut array);
        check(status, "cannot make an array")?;
    }
    Ok(array)
}

/// Bytes in several pieces, on their way into one array of JavaScript: the only copy on their way from the packets.
#[derive(Default)]
pub struct Joined(pub(crate) Vec<Bytes>);

impl ToNapiValue for Joined {
    unsafe fn to_napi_value(env: sys::napi_env, pieces: Self) -> Result<sys::napi_value> {
        let length = pieces.0.iter().map(Bytes::len).sum::<usize>();
        if length < LARGE_BYTES {
            // SAFETY: called on the JavaScript thread with its environment.
            return unsafe { Copied::to_napi_value(env, Copied(pieces.0.concat().into())) };
        }
        let (mut data, mut buffer) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: called on the JavaScript thread with its environment. The buffer has `length` bytes, as many as the pieces
        // have together; nothing of the engine runs before all of them are written.
        unsafe {
            let status = sys::napi_create_buffer(env, length, &mut data, &mut buffer);
            check(status, "cannot make a buffer")?;
            let mut to = data.cast::<u8>();
            for piece in &pieces.0 {
                std::ptr::copy_nonoverlapping(piece.as_ptr(), to, piece.len());
                to = to.add(piece.len());
            }
            array_of(env, buffer)
        }
    }
}

fn check(status: sys::napi_status, what: &str) -> Result<()> {
    if status == sys::Status::napi_ok {
        Ok(())
    } else {
        Err(Error::new(Status::from(status), what.to_owned()))
    }
}
