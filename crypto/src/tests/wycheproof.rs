//! The cipher against Project Wycheproof's vectors for AES-256-GCM with the lengths used here.

use lanc_core::ports::{OpenError, SessionKey, TAG};
use serde_json::Value;

use super::{hex, hex_array};
use crate::aead::Aead;

const VECTORS: &str = include_str!("../../../tests/golden/wycheproof-aes-256-gcm.json");

#[test]
fn every_wycheproof_vector_holds() {
    let file: Value = serde_json::from_str(VECTORS).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in file["testGroups"].as_array().unwrap() {
        for case in group["tests"].as_array().unwrap() {
            let field = |name: &str| hex(case[name].as_str().unwrap());
            let key = Aead::new(&hex_array(case["key"].as_str().unwrap()));
            let nonce = hex_array(case["iv"].as_str().unwrap());
            let (aad, plain) = (field("aad"), field("msg"));
            let sealed = [field("ct"), field("tag")].concat();
            let mut elsewhere = vec![0; plain.len()];
            let there = key.open_into(&nonce, &aad, &sealed, &mut elsewhere);
            let mut buffer = sealed.clone();
            let opened = key.open(&nonce, &aad, &mut buffer);
            if case["result"] == "valid" {
                assert_eq!(opened.as_deref(), Ok(plain.as_slice()), "{case}");
                assert_eq!((there, elsewhere), (Ok(()), plain.clone()), "{case}");
                let mut buffer = [b"head", plain.as_slice()].concat();
                key.seal(&nonce, &aad, &mut buffer, 4);
                assert_eq!(buffer, [b"head", sealed.as_slice()].concat(), "{case}");
                let mut buffer = b"head".to_vec();
                key.seal_with_tail(&nonce, &aad, &mut buffer, 4..4, &plain);
                assert_eq!(buffer, [b"head", sealed.as_slice()].concat(), "{case}");
                valid += 1;
            } else {
                assert_eq!(opened, Err(OpenError), "{case}");
                assert_eq!(there, Err(OpenError), "{case}");
                assert!(elsewhere.iter().all(|byte| *byte == 0), "nothing plain is left: {case}");
                let text = &buffer[..buffer.len() - TAG];
                assert!(text.iter().all(|byte| *byte == 0), "nothing plain is left: {case}");
                invalid += 1;
            }
        }
    }
    assert_eq!((valid, invalid), (39, 27));
}

#[test]
fn what_is_shorter_than_a_tag_is_not_opened() {
    let key = Aead::new(&[1; 32]);
    for length in 0..TAG {
        assert_eq!(key.open(&[2; 12], &[], &mut vec![0; length]), Err(OpenError));
    }
}
