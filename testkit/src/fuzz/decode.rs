//! Messages: whatever was read is written and read again without a change.

use std::sync::Arc;

use lanc_codec::{JsonCodec, MsgpackCodec};
use lanc_core::dialect::Form;
use lanc_core::dialect::frame::{FrameReader, FrameWriter};
use lanc_core::dialect::lean::Head;
use lanc_core::message::Message;
use lanc_core::ports::{Budget, Codec};

/// Depth and values as a node's defaults have them.
const BUDGET: Budget = Budget { depth: 64, nodes: 65_536 };
/// Messages read of one frame.
const MESSAGES: usize = 1024;

/// A frame of JSON messages.
pub fn json_message(bytes: &[u8]) {
    if bytes.first() == Some(&b'{') {
        native(Arc::new(JsonCodec), bytes);
    }
}

/// A frame of MessagePack messages with the nine keys.
pub fn msgpack_message(bytes: &[u8]) {
    if bytes.first().is_some_and(|first| MsgpackCodec.claims(*first)) {
        native(Arc::new(MsgpackCodec), bytes);
    }
}

/// A lean frame.
pub fn lean_frame(bytes: &[u8]) {
    let Ok((head, _)) = Head::read(&MsgpackCodec, bytes, &mut BUDGET.clone()) else { return };
    let lean = FrameWriter::lean(Arc::new(MsgpackCodec), head);
    let native = FrameWriter::native(Arc::new(MsgpackCodec));
    each_message(&MsgpackCodec, bytes, |form, message| {
        if form != Form::LEAN {
            return;
        }
        // An id of another session than the head's, and numbers that have no lean form, cannot
        // come out of a lean frame.
        let first = written(&lean, message);
        assert!(first.is_some(), "read, but not to be written: {message:?}");
        settles(&lean, message);
        settles(&native, message);
    });
}

fn native(codec: Arc<dyn Codec>, bytes: &[u8]) {
    let writer = FrameWriter::native(Arc::clone(&codec));
    each_message(codec.as_ref(), bytes, |form, message| {
        if form == Form::native(codec.format()) {
            settles(&writer, message);
        }
    });
}

/// Reads a frame to its end or to its first fault.
fn each_message(codec: &dyn Codec, bytes: &[u8], mut each: impl FnMut(Form, &Message<'_>)) {
    let Ok(mut frame) = FrameReader::new(codec, bytes, BUDGET) else { return };
    let form = frame.form();
    for _ in 0..MESSAGES {
        if frame.is_empty() {
            return;
        }
        match frame.read() {
            Ok(Ok(message)) => each(form, &message),
            Ok(Err(_)) => {}
            Err(_) => return,
        }
    }
}

fn written(writer: &FrameWriter, message: &Message<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    writer.begin(&mut out);
    writer.write(message, &mut out).then_some(out)
}

/// What was read may be written in another form than it came in, but then it stays: the second
/// writing is the first, and reads back as the same message.
fn settles(writer: &FrameWriter, message: &Message<'_>) {
    let Some(first) = written(writer, message) else { return };
    let ample = Budget { depth: 100, nodes: u32::MAX };
    let frame = FrameReader::new(writer.codec(), &first, ample);
    let mut frame = frame.unwrap_or_else(|why| panic!("{message:?} was written, but: {why}"));
    let again = match frame.read() {
        Ok(Ok(again)) => again,
        other => panic!("{message:?} was written as {first:02x?}, which reads as {other:?}"),
    };
    assert!(frame.is_empty(), "more than one message was written: {first:02x?}");
    assert_eq!(again.method(), message.method());
    let second = written(writer, &again);
    assert_eq!(second.as_ref(), Some(&first), "{message:?}");
    if writer.codec().claims(b'{') {
        assert!(
            !first.contains(&b'\'') && !first.contains(&b'\n'),
            "a raw apostrophe or line feed"
        );
    }
}
