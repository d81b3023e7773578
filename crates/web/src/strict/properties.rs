//! What must hold of any bytes, for fuzzing (`scripts/fuzz`) and for the corpus that it left.

use actix_http::ServiceConfig;
use actix_http::h1::{Codec, Message, MessageType};
use actix_web::rt::System;
use actix_web::web::BytesMut;
use slipway_http1::{Body, Chunks, RequestHead};
use tokio_util::codec::Decoder as _;

use super::messages::{Messages, Standing};

thread_local! {
    /// The server's settings, which keep a clock and so need a system to be made in.
    static SETTINGS: ServiceConfig = System::new().block_on(async { ServiceConfig::default() });
}

/// Checks that requests are read the same in whatever pieces they come, and that the server and the gateway's own reader
/// take each to end where it ends here. The first byte says how long the pieces are.
///
/// # Panics
///
/// Where that does not hold.
pub fn check(input: &[u8]) {
    let Some((piece, bytes)) = input.split_first() else { return };
    let piece = usize::from(*piece).max(1);
    let mut whole = Messages::default();
    let passes = whole.take(bytes);
    let mut messages = Messages::default();
    let mut taken = 0;
    for piece in bytes.chunks(piece) {
        taken += messages.take(piece);
        if messages.standing() != Standing::Open {
            break;
        }
    }
    assert_eq!((taken, messages.standing()), (passes, whole.standing()), "in pieces");
    check_ends(&bytes[..passes]);
    check_gateway(bytes, piece);
}

/// Reads as the gateway does, which may refuse more: each request that it takes ends for it where it ends here.
fn check_gateway(bytes: &[u8], piece: usize) {
    let mut start = 0;
    loop {
        let mut head = RequestHead::default();
        let mut seen = Vec::new();
        let mut pieces = bytes[start..].chunks(piece);
        let body = loop {
            let Some(piece) = pieces.next() else { return };
            seen.extend_from_slice(piece);
            match head.read(&mut seen) {
                Ok(Some(body)) => break body,
                Ok(None) => {}
                Err(_) => return,
            }
        };
        for (name, value) in head.fields(&seen) {
            let is_plain = |byte: &u8| !matches!(byte, b'\r' | b'\n' | 0);
            assert!(!name.is_empty() && value.iter().all(is_plain), "{name}: {value:?}");
        }
        let mut end = start + head.length();
        match body {
            Body::None | Body::Opaque => {}
            Body::Sized(length) => match usize::try_from(length) {
                Ok(length) if length <= bytes.len() - end => end += length,
                _ => return,
            },
            Body::Chunked => {
                let mut chunks = Chunks::default();
                end += chunks.take(&bytes[end..]);
                if chunks.is_over() != Ok(true) {
                    return;
                }
            }
        }
        let mut messages = Messages::default();
        messages.take(&bytes[..end]);
        let said = String::from_utf8_lossy(&bytes[..end]);
        if body == Body::Opaque {
            assert!(messages.is_opaque(), "{said:?} switches to another protocol");
            return;
        }
        assert!(messages.is_between(), "{said:?} is a request");
        assert_eq!(messages.standing() == Standing::Over, head.is_last(), "{said:?} is the last one");
        if head.is_last() {
            return;
        }
        start = end;
    }
}

/// Reads byte by byte, and has the server read along: between two requests here it is between two as well, and in one
/// here it is in one.
fn check_ends(bytes: &[u8]) {
    let mut messages = Messages::default();
    let mut server = Codec::new(SETTINGS.with(ServiceConfig::clone));
    let mut unread = BytesMut::new();
    let mut is_between = true;
    for (index, byte) in bytes.iter().enumerate() {
        messages.take(&[*byte]);
        unread.extend_from_slice(&[*byte]);
        loop {
            match server.decode(&mut unread) {
                Ok(Some(Message::Item(_))) => is_between = server.message_type() == MessageType::None,
                Ok(Some(Message::Chunk(Some(_)))) => {}
                Ok(Some(Message::Chunk(None))) => is_between = true,
                Ok(None) => break,
                // It may refuse more: it closes the connection then.
                Err(_) => return,
            }
        }
        if messages.is_opaque() {
            return;
        }
        let is_empty = unread.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
        assert_eq!(
            messages.is_between(),
            is_between && is_empty,
            "after {:?}",
            String::from_utf8_lossy(&bytes[..=index])
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_hold_of_all_that_fuzzing_came_across() {
        slipway_testkit::check_corpus("connections", check);
    }
}
