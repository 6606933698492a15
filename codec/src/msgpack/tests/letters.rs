//! Maps of letters are read as any map is: each form a value can have, wherever it is cut, and
//! whatever the budget.

use lanc_core::ports::{Budget, Codec, DecodeError, Item, Letters, Short};

use super::{AMPLE, MsgpackCodec};

/// A whole reading: how it ended, what is left of the budget, and the values.
type Reading<'a> = (Result<usize, DecodeError>, Budget, Letters<'a>);

fn as_any_map(input: &[u8], mut budget: Budget) -> Reading<'_> {
    let mut letters = Letters::default();
    let end = MsgpackCodec.read_map(input, &mut budget, &mut |key, value| {
        if let [key] = key.as_bytes() {
            letters.put(*key, Short::of(&value), value.raw);
        }
        Ok(())
    });
    (end, budget, letters)
}

fn read(input: &[u8], mut budget: Budget) -> Reading<'_> {
    let mut letters = Letters::default();
    let end = MsgpackCodec.read_letters(input, &mut budget, &mut letters);
    (end, budget, letters)
}

/// The whole of it, and all its beginnings.
fn is_read_as_any_map(input: &[u8]) {
    for cut in 0..=input.len() {
        let input = &input[..cut];
        assert_eq!(read(input, AMPLE), as_any_map(input, AMPLE), "{input:02x?}");
    }
    for (depth, nodes) in (0..4).flat_map(|depth| (0..24).map(move |nodes| (depth, nodes))) {
        let budget = Budget { depth, nodes };
        let (end, left, letters) = read(input, budget);
        let (end_of_any, left_of_any, mut any) = as_any_map(input, budget);
        if matches!(end, Err(DecodeError::TooDeep | DecodeError::TooManyValues)) {
            // That the letter is there is told, which a reader of any map is not.
            for letter in (b'a'..=b'z').filter(|letter| letters.get(*letter) == Some(Short::Null)) {
                any.put(letter, Short::Null, letters.raw(letter).unwrap_or_default());
            }
        }
        let any = (end_of_any, left_of_any, any);
        assert_eq!((end, left, letters), any, "{input:02x?} in {budget:?}");
    }
}

#[test]
fn every_marker_of_a_value() {
    for marker in 0..=u8::MAX {
        for filler in [0x00, 0x01, 0x7f, 0x80, 0xa0, 0xc0, 0xff, b'x'] {
            let value = [&[marker][..], &[filler; 40]].concat();
            is_read_as_any_map(&[b"\x81\xa1k", &value[..]].concat());
            // With neighbours, and as the first and the second item of a list.
            is_read_as_any_map(&[b"\x82\xa1k", &value[..], b"\xa1k\x05"].concat());
            is_read_as_any_map(&[b"\x81\xa1k\x92", &value[..], b"\x05"].concat());
            is_read_as_any_map(&[b"\x81\xa1k\x92\x05", &value[..]].concat());
        }
    }
}

#[test]
fn every_marker_and_byte_of_a_key() {
    for byte in 0..=u8::MAX {
        is_read_as_any_map(&[0x82, 0xa1, byte, 5, 0xa1, b'z', 6]);
        is_read_as_any_map(&[0x82, byte, b'a', 5, 0xa1, b'z', 6]);
        is_read_as_any_map(&[0x82, 0xd9, 1, byte, 5, 0xa2, b'n', byte, 6]);
        is_read_as_any_map(&[byte, 0xa1, b'a', 5, 0xa1, b'z', 6]);
    }
}

#[test]
fn every_form_of_a_number() {
    for number in [0, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000, 0xffff_ffff, 1 << 32, u64::MAX] {
        let [.., c, d, e, f, g, h, i, j] = number.to_be_bytes();
        for form in [
            &[0xcc, j][..],
            &[0xcd, i, j],
            &[0xce, g, h, i, j],
            &[0xcf, c, d, e, f, g, h, i, j],
            &[0xd3, c, d, e, f, g, h, i, j],
        ] {
            let input = [b"\x81\xa1n", form].concat();
            is_read_as_any_map(&input);
            let (end, _, letters) = read(&input, AMPLE);
            assert_eq!((end, letters.raw(b'n')), (Ok(input.len()), Some(form)));
        }
    }
}

#[test]
fn every_length_of_a_text_and_a_list() {
    for length in 0..40_u8 {
        let many = usize::from(length);
        for piece in ["x", "ä", "\u{10ffff}"] {
            let text = piece.repeat(many);
            let mut input = b"\x81\xa1t".to_vec();
            MsgpackCodec.write_item(&Item::Text(text.as_str().into()), &mut input);
            is_read_as_any_map(&input);
            assert_eq!(read(&input, AMPLE).2.get(b't'), Some(Short::Text(&text)));
            // Cut within a character, by a length that is too short.
            input[3] = input[3].wrapping_sub(1);
            is_read_as_any_map(&input);
        }
        for item in [&[5][..], &[0xcd, 1, 2], &[0xa1, b'x'], &[0x91, 5], &[0xc1], &[0xa1, 0xff]] {
            let head = if length > 15 { vec![0xdc, 0, length] } else { vec![0x90 | length] };
            is_read_as_any_map(&[b"\x81\xa1a", &head[..], &item.repeat(many)].concat());
        }
    }
}

#[test]
fn of_a_letter_that_comes_twice_the_last_one_counts() {
    let (end, _, letters) = read(b"\x83\xa1a\x05\xa1b\x06\xa1a\xa2no", AMPLE);
    assert_eq!((end, letters.get(b'a')), (Ok(12), Some(Short::Text("no"))));
    assert_eq!((letters.raw(b'a'), letters.raw(b'b')), (Some(&b"\xa2no"[..]), Some(&b"\x06"[..])));
    assert_eq!((letters.get(b'c'), letters.get(b'A'), letters.get(0)), (None, None, None));
}
