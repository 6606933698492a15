//! What is told of a value that is not what was expected.

use super::typed;

#[test]
fn a_wrong_type_is_told_without_the_names_of_markers() {
    let long = [&[0xd9, 40][..], &[b'x'; 40]].concat();
    for (value, found) in [
        (&[0xa1, b'x'][..], "string"),
        (&long, "string"),
        (&[0xc4, 1, 0], "byte string"),
        (&[0x91, 1], "list"),
        (&[0xdc, 0, 0], "list"),
        (&[0x80], "map"),
        (&[0xd4, 5, 0], "extension"),
    ] {
        let expected = format!("invalid type: {found}, expected a number or true or false");
        assert_eq!(typed::<i64>(value).unwrap_err(), expected);
        assert_eq!(typed::<(u8, f64)>(&[&[0x92, 1], value].concat()).unwrap_err(), expected);
        assert_eq!(typed::<bool>(value).unwrap_err(), expected);
    }
    let number = "invalid type: floating point `0.5`, expected i64";
    assert_eq!(typed::<i64>(&[0xca, 0x3f, 0, 0, 0]).unwrap_err(), number);
    assert_eq!(
        typed::<i128>(&[0xc0]).unwrap_err(),
        "invalid type: null, expected a number or true or false"
    );
    let text = "invalid type: integer `1`, expected a string";
    assert_eq!(typed::<String>(&[1]).unwrap_err(), text);
}
