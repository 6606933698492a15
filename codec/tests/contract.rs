//! The formats keep the contract of their port.

mod json {
    lanc_testkit::codec_contract!(lanc_codec::JsonCodec);
}

mod msgpack {
    lanc_testkit::codec_contract!(lanc_codec::MsgpackCodec);
}
