//! Dialect and pipeline: calls, to a frame and back. Arguments are encoded already.

use std::borrow::Cow;
use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use lanc::ports::Codec;
use lanc::{JsonCodec, MsgpackCodec};
use lanc_core::Pipeline;
use lanc_core::dialect::frame::{FrameReader, FrameWriter};
use lanc_core::dialect::lean::Head;
use lanc_core::id::ExeId;
use lanc_core::message::{Call, Message, WireId};
use lanc_core::ports::Budget;

const CALLER: u64 = 0x0123_4567_89ab_cdef;
const CALLEE: u64 = 0xfedc_ba98_7654_3210;
const BUDGET: Budget = Budget { depth: 64, nodes: 65_536 };
/// Forms, and how many calls a frame holds. JSON frames hold few at most.
const FRAMES: [(&str, u64); 6] =
    [("json", 1), ("json", 8), ("msgpack", 1), ("msgpack", 32), ("lean", 1), ("lean", 32)];

fn writer(form: &str) -> FrameWriter {
    let head = Head { watermark: Some(1), ..Head::new(CALLER, Some(CALLEE)) };
    match form {
        "json" => FrameWriter::native(Arc::new(JsonCodec)),
        "msgpack" => FrameWriter::native(Arc::new(MsgpackCodec)),
        _ => FrameWriter::lean(Arc::new(MsgpackCodec), head),
    }
}

fn call(form: &str, number: u64) -> Message<'static> {
    let id = ExeId { session: CALLER, number, random: 0x1234_5678 };
    let args: &[u8] = if form == "json" { b"[4660,7]" } else { &[0x92, 0xcd, 0x12, 0x34, 0x07] };
    let call = Call::new(Some(WireId::Native(id)), Cow::Borrowed("add"), args, &[]);
    Message::Call(Call { to: Some(CALLEE), deadline_ms: Some(5000), watermark: Some(1), ..call })
}

fn pack(form: &str, calls: u64, writer: &FrameWriter, frame: &mut Vec<u8>) {
    frame.clear();
    for number in 1..=calls {
        writer.begin(frame);
        assert!(writer.write(black_box(&call(form, number)), frame), "it can be written");
    }
}

#[divan::bench(args = FRAMES)]
fn pack_calls(bencher: Bencher, (form, calls): (&str, u64)) {
    let (writer, mut frame) = (writer(form), Vec::new());
    bencher.counter(ItemsCount::new(calls)).bench_local(|| {
        pack(form, calls, &writer, &mut frame);
        black_box(frame.len())
    });
}

#[divan::bench(args = FRAMES)]
fn unpack_calls(bencher: Bencher, (form, calls): (&str, u64)) {
    let json: Arc<dyn Codec> = Arc::new(JsonCodec);
    let pipeline = Pipeline::new(Arc::new(MsgpackCodec)).with_codec(json);
    let (mut frame, mut scratch) = (Vec::new(), Vec::new());
    pack(form, calls, &writer(form), &mut frame);
    bencher.counter(ItemsCount::new(calls)).bench_local(|| {
        let opened = pipeline.open(black_box(&frame), 1 << 20, &mut scratch);
        let (codec, plain) = opened.expect("it can be opened");
        let mut reader = FrameReader::new(codec.as_ref(), plain, BUDGET).expect("it has a head");
        let mut read = 0;
        while !reader.is_empty() {
            let message = reader.read().expect("a whole message");
            assert!(matches!(black_box(message), Ok(Message::Call(_))), "a call that can be read");
            read += 1;
        }
        assert_eq!(read, calls);
    });
}
