use lanc_codec::{JsonCodec, MsgpackCodec};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::*;

const CODECS: [&dyn Codec; 2] = [&MsgpackCodec, &JsonCodec];

/// Whether a value takes the short way out, and comes to what the codec alone comes to.
fn goes<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(value: &T) -> [bool; 2] {
    let mut is_read = false;
    for codec in CODECS {
        let (mut short, mut long) = (Vec::new(), Vec::new());
        encode(value, codec, u32::MAX, &mut short).unwrap();
        codec.serialize(value, u32::MAX, &mut long).unwrap();
        assert_eq!(short, long, "{value:?} as {}", codec.format().name());
        let read = decode::<T>(codec, &long);
        assert!(read.is_none() || read.as_ref() == Some(value), "{value:?} became {read:?}");
        is_read |= read.is_some();
    }
    [write::values(value).is_some(), is_read]
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Named {
    a: u8,
}

#[test]
fn numbers_and_truth_values_alone_or_in_a_tuple_take_the_short_way() {
    for number in [0, 1, 127, 128, 255, 256, 65_535, 65_536, u64::from(u32::MAX), 1 << 32, u64::MAX]
    {
        assert_eq!(goes(&number), [true, true]);
        assert_eq!(goes(&number.cast_signed()), [true, true]);
        assert_eq!(goes(&number.cast_signed().wrapping_neg()), [true, true]);
        assert_eq!(goes(&(number, number.cast_signed().wrapping_neg(), true)), [true, true]);
    }
    assert_eq!(goes(&(1_u8, -1_i8, 2_u16, -2_i16, 3_u32, -3_i32, false, 4_u64)), [true, true]);
    assert_eq!(goes(&(1_u8,)), [true, true]);
    assert_eq!(goes(&String::from("text is read only")), [false, true]);
}

#[test]
fn all_else_takes_the_long_way() {
    assert_eq!(goes(&1.5_f64), [false, false]);
    assert_eq!(goes(&Some(1_u8)), [false, false]);
    assert_eq!(goes(&None::<u8>), [false, false]);
    assert_eq!(goes(&((1_u8, 2_u8), 3_u8)), [false, false]);
    assert_eq!(goes(&(1_u8, vec![2_u8])), [false, false]);
    assert_eq!(goes(&Named { a: 1 }), [false, false]);
    assert_eq!(goes(&(1_u8, Named { a: 1 })), [false, false]);
    // A list is read as one, whatever it was written from.
    assert_eq!(goes(&vec![1_u8, 2]), [false, true]);
    // One more than the most.
    assert_eq!(goes(&(1, 2, 3, 4, 5, 6, 7, 8)), [true, true]);
    assert_eq!(goes(&(1, 2, 3, 4, 5, 6, 7, 8, 9)), [false, false]);
}

#[test]
fn what_does_not_fit_is_left_to_the_codec() {
    let bytes = |value: &dyn erased_serde::Serialize| {
        let mut bytes = Vec::new();
        MsgpackCodec.serialize(value, u32::MAX, &mut bytes).unwrap();
        bytes
    };
    assert_eq!(decode::<u8>(&MsgpackCodec, &bytes(&256_u64)), None);
    assert_eq!(decode::<u64>(&MsgpackCodec, &bytes(&-1_i8)), None);
    assert_eq!(decode::<bool>(&MsgpackCodec, &bytes(&1_u8)), None);
    assert_eq!(decode::<String>(&MsgpackCodec, &bytes(&1_u8)), None);
    assert_eq!(decode::<(u8, u8)>(&MsgpackCodec, &bytes(&(1, 2, 3))), None, "one too many");
    assert_eq!(decode::<(u8, u8)>(&MsgpackCodec, &bytes(&(1,))), None, "one too few");
    assert_eq!(decode::<u8>(&MsgpackCodec, &bytes(&(1,))), None, "a list is no number");
    assert_eq!(decode::<(u8,)>(&MsgpackCodec, &bytes(&1)), None, "a number is no list");
    let mut two = bytes(&1_u8);
    two.extend(bytes(&2_u8));
    assert_eq!(decode::<u8>(&MsgpackCodec, &two), None, "more than one value");
}

proptest! {
    /// Whatever the bytes are: what the short way reads, the codec reads too.
    #[test]
    fn any_bytes_come_to_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..24)) {
        fn same<T: DeserializeOwned + PartialEq + fmt::Debug>(bytes: &[u8]) {
            if let Some(read) = decode::<T>(&MsgpackCodec, bytes) {
                assert_eq!(crate::args::decode_long::<T>(&MsgpackCodec, bytes), Ok(read));
            }
        }
        same::<u8>(&bytes);
        same::<i64>(&bytes);
        same::<u64>(&bytes);
        same::<bool>(&bytes);
        same::<String>(&bytes);
        same::<(i64, i64)>(&bytes);
        same::<(String, bool)>(&bytes);
        same::<Vec<u16>>(&bytes);
    }
}
