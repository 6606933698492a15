//! Codec: arguments and results of a call, typed. Lean frames hold the same as MessagePack.

use divan::{Bencher, black_box};
use lanc::ports::Codec;
use lanc::{Bytes, JsonCodec, MsgpackCodec};
use serde::de::DeserializeOwned;

const FORMATS: [&str; 2] = ["json", "msgpack"];

fn codec(format: &str) -> &'static dyn Codec {
    if format == "json" { &JsonCodec } else { &MsgpackCodec }
}

fn written(format: &str, value: &dyn erased_serde::Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec(format).serialize(value, u32::MAX, &mut bytes).expect("it can be written");
    bytes
}

fn write(bencher: Bencher, format: &str, value: &dyn erased_serde::Serialize) {
    let (codec, mut bytes) = (codec(format), Vec::new());
    bencher.bench_local(|| {
        bytes.clear();
        codec.serialize(black_box(value), u32::MAX, &mut bytes).expect("it can be written");
        black_box(bytes.len())
    });
}

fn read<T: DeserializeOwned>(bencher: Bencher, format: &str, bytes: &[u8]) {
    let codec = codec(format);
    bencher.bench_local(|| {
        let mut value = None;
        codec
            .deserialize(black_box(bytes), &mut |from| {
                value = Some(erased_serde::deserialize::<T>(from)?);
                Ok(())
            })
            .expect("it can be read");
        value
    });
}

#[divan::bench(args = FORMATS)]
fn write_two_integers(bencher: Bencher, format: &str) {
    write(bencher, format, &(4660_i64, 7_i64));
}

#[divan::bench(args = FORMATS)]
fn read_two_integers(bencher: Bencher, format: &str) {
    read::<(i64, i64)>(bencher, format, &written(format, &(4660_i64, 7_i64)));
}

#[divan::bench(args = FORMATS)]
fn write_64_kib(bencher: Bencher, format: &str) {
    write(bencher, format, &(Bytes::from(vec![0x5a; 64 << 10]),));
}

#[divan::bench(args = FORMATS)]
fn read_64_kib(bencher: Bencher, format: &str) {
    read::<(Bytes,)>(bencher, format, &written(format, &(Bytes::from(vec![0x5a; 64 << 10]),)));
}
