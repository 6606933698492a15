//! The formats keep the contract of their port.

mod json {
    lanc_testkit::codec_contract!(lanc_codec::JsonCodec);
}

mod msgpack {
    lanc_testkit::codec_contract!(lanc_codec::MsgpackCodec);
}

mod zlib {
    lanc_testkit::compressor_contract!(lanc_codec::Zlib::new());
}
