//! The frames of a stream, from honest and from hostile instances.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;
use slipway_bridge::protocol::{
    End, Fault, Frame, FrameDecoder, FrameError, Head, InvokeHead, LogLine, LogStream, MAX_HEAD_BYTES,
    MAX_PAYLOAD_BYTES, Outcome,
};

fn log(text: &str) -> Frame {
    Frame::Log(LogLine { time_us: 1_700_000_000_000_000, stream: LogStream::Stdout, text: text.to_owned() })
}

fn end(outcome: Outcome) -> Frame {
    Frame::End(End {
        outcome,
        log_bytes_dropped: 7,
        log_lines_dropped: 1,
        peak_memory_bytes: Some(9_000_000),
        cpu_us: Some(1_500),
        worker_exited: false,
    })
}

fn encode(frames: &[Frame]) -> Bytes {
    let mut bytes = BytesMut::new();
    for frame in frames {
        frame.encode(&mut bytes).unwrap();
    }
    bytes.freeze()
}

fn decode(chunks: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<Vec<Frame>, FrameError> {
    let mut decoder = FrameDecoder::new();
    let mut frames = Vec::new();
    for chunk in chunks {
        decoder.push(chunk.as_ref());
        while let Some(frame) = decoder.next_frame()? {
            frames.push(frame);
        }
    }
    decoder.finish()?;
    Ok(frames)
}

fn any_stream() -> impl Strategy<Value = Vec<Frame>> {
    let logs = || proptest::collection::vec(".{0,40}".prop_map(|text| log(&text.replace('\0', " "))), 0..4);
    let data = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..600), 0..4);
    (logs(), data, logs(), any::<bool>()).prop_map(|(before, data, after, failed)| {
        let head = Head { status_code: 200, headers: vec![("x-a".into(), "b".into())] };
        let error = Fault { kind: "ValueError".into(), message: "no".into(), trace: None };
        let outcome = if failed { Outcome::Failed { error } } else { Outcome::Succeeded };
        before
            .into_iter()
            .chain([Frame::Head(head)])
            .chain(data.into_iter().map(|bytes| Frame::Data(bytes.into())))
            .chain(after)
            .chain([end(outcome)])
            .collect()
    })
}

proptest! {
    #[test]
    fn a_stream_reads_the_same_however_it_is_cut(frames in any_stream(), cuts in proptest::collection::vec(1..64_usize, 1..50)) {
        let bytes = encode(&frames);
        let mut rest = &bytes[..];
        let mut chunks = Vec::new();
        for cut in cuts.into_iter().cycle() {
            let (chunk, left) = rest.split_at(cut.min(rest.len()));
            chunks.push(chunk);
            rest = left;
            if rest.is_empty() { break }
        }
        prop_assert_eq!(decode(chunks).unwrap(), frames);
    }

    #[test]
    fn a_stream_that_stops_early_is_refused(frames in any_stream(), share in 0.0..1.0_f64) {
        let bytes = encode(&frames);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a small buffer")]
        let cut = (bytes.len() as f64 * share) as usize;
        prop_assert!(matches!(decode([&bytes[..cut]]), Err(FrameError::Truncated)));
    }

    #[test]
    fn arbitrary_bytes_never_panic_the_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(bytes.chunks(7));
    }
}

fn prelude(kind: u8, length: u32) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_u8(kind);
    bytes.put_u32(length);
    bytes
}

#[test]
fn a_hostile_length_is_refused_before_its_payload_is_awaited() {
    for length in [u32::MAX, 1024 * 1024 + 1] {
        assert!(matches!(decode([prelude(1, length)]), Err(FrameError::TooLarge(_))));
    }
}

#[test]
fn the_largest_payload_passes_and_a_larger_one_is_not_written() {
    let head = Frame::Head(Head { status_code: 200, headers: Vec::new() });
    let frames = [head, Frame::Data(vec![7; MAX_PAYLOAD_BYTES].into()), end(Outcome::Succeeded)];
    assert_eq!(decode(encode(&frames).chunks(64 * 1024)).unwrap(), frames);

    let mut out = BytesMut::from("kept");
    let refused = Frame::Data(vec![7; MAX_PAYLOAD_BYTES + 1].into()).encode(&mut out);
    assert!(matches!(refused, Err(FrameError::TooLarge(_))));
    assert_eq!(out, "kept");
}

#[test]
fn frames_out_of_order_are_refused() {
    let head = || Frame::Head(Head { status_code: 200, headers: Vec::new() });
    let data = || Frame::Data(Bytes::from_static(b"x"));
    let done = || end(Outcome::Succeeded);
    for frames in
        [vec![data(), done()], vec![head(), head(), done()], vec![done(), log("late")], vec![done(), done()]]
    {
        assert!(matches!(decode([encode(&frames)]), Err(FrameError::OutOfOrder(_))), "{frames:?}");
    }
    assert!(matches!(decode([prelude(9, 0)]), Err(FrameError::UnknownType(9))));
}

#[test]
fn malformed_payloads_are_refused() {
    for kind in [1, 2, 4] {
        let mut bytes = prelude(kind, 3);
        bytes.put_slice(b"{\"x");
        assert!(matches!(decode([bytes]), Err(FrameError::Malformed(_))));
    }
}

#[test]
fn texts_lose_their_nul_characters() {
    let error = Fault { kind: "E".into(), message: "a\0b".into(), trace: Some("\0".into()) };
    let frames = decode([encode(&[log("x\0y"), end(Outcome::Failed { error })])]).unwrap();
    let error = Fault { kind: "E".into(), message: "a\u{fffd}b".into(), trace: Some("\u{fffd}".into()) };
    assert_eq!(frames, [log("x\u{fffd}y"), end(Outcome::Failed { error })]);
}

#[test]
fn the_head_of_a_call_is_split_from_its_body_wherever_it_is_cut() {
    let head = InvokeHead {
        execution_id: "0190f5c8".into(),
        deadline_ms: 5_000,
        traceparent: None,
        method: "POST".into(),
        path: "/ü".into(),
        query: vec![("a".into(), "1".into())],
        headers: vec![],
    };
    let mut sent = BytesMut::from(&head.encode().unwrap()[..]);
    let json = sent.len();
    sent.put_slice(b"body");
    for cut in 0..json {
        assert!(InvokeHead::split(&mut BytesMut::from(&sent[..cut])).unwrap().is_none());
    }
    let split = InvokeHead::split(&mut sent).unwrap().unwrap();
    assert_eq!(serde_json::from_slice::<InvokeHead>(&split).unwrap(), head);
    assert_eq!(sent, "body");
}

#[test]
fn a_head_that_is_too_large_is_refused_on_both_sides() {
    let header = ("x".to_owned(), "y".repeat(MAX_HEAD_BYTES));
    let head = InvokeHead {
        execution_id: String::new(),
        deadline_ms: 1,
        traceparent: None,
        method: "GET".into(),
        path: "/".into(),
        query: vec![],
        headers: vec![header],
    };
    assert!(head.encode().is_err());
    assert!(InvokeHead::split(&mut BytesMut::from(&u32::MAX.to_be_bytes()[..])).is_err());
}
