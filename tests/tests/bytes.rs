//! Bulk bytes as values: in every format, and from one node to another.

use lanc::ports::Codec;
use lanc::{Bytes, ErrorCode, JsonCodec, MsgpackCodec, Node, NodeBuilder};
use lanc_transport_memory::MemoryNetwork;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Picture {
    name: String,
    pixels: Bytes,
    mask: Option<Bytes>,
}

fn written(codec: &dyn Codec, value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::new();
    codec.serialize(value, u32::MAX, &mut out).unwrap();
    out
}

fn read<T: DeserializeOwned>(codec: &dyn Codec, bytes: &[u8]) -> Result<T, String> {
    let mut value = None;
    codec.deserialize(bytes, &mut |deserializer| {
        value = Some(T::deserialize(deserializer)?);
        Ok(())
    })?;
    Ok(value.unwrap())
}

#[test]
fn bytes_are_binary_in_messagepack_and_base64_in_json() {
    let bytes = Bytes::from(vec![0, 1, 255, 254]);
    assert_eq!(written(&MsgpackCodec, &bytes), [0xc4, 4, 0, 1, 255, 254]);
    assert_eq!(written(&JsonCodec, &bytes), br#""AAH//g==""#);
    assert_eq!(written(&JsonCodec, &vec![0_u8, 1]), b"[0,1]", "others stay what they were");
    let picture = Picture {
        name: "it's".to_owned(),
        pixels: (0..=255).collect::<Vec<u8>>().into(),
        mask: Some(Bytes::default()),
    };
    for codec in [&JsonCodec as &dyn Codec, &MsgpackCodec] {
        assert_eq!(read(codec, &written(codec, &picture)), Ok(picture.clone()));
        // A list of numbers is what other languages and a plain vector send.
        assert_eq!(read(codec, &written(codec, &vec![0, 1, 255, 254])), Ok(bytes.clone()));
        assert!(read::<Bytes>(codec, &written(codec, &[256])).is_err());
        assert!(read::<Bytes>(codec, &written(codec, &"no base64")).is_err());
    }
}

async fn node(network: &MemoryNetwork, name: &str, codec: impl Codec + 'static) -> Node {
    let builder = NodeBuilder::new().name(name).codec(codec);
    builder.transport(network.transport()).open().await.unwrap()
}

async fn echoes<C: Codec + Copy + 'static>(codec: C) {
    let network = MemoryNetwork::new().with_max_frame(1 << 20);
    let server = node(&network, "server", codec).await;
    server.register("echo", |bytes: Bytes| bytes).unwrap();
    server.register("first", |bytes: Bytes, n: usize| Some(Bytes::from(bytes.get(..n)?))).unwrap();
    let client = node(&network, "client", codec).await;
    client.settled().await;
    let bytes = Bytes::from((0..75_000_u32).flat_map(u32::to_be_bytes).collect::<Vec<_>>());
    assert_eq!(client.call::<Bytes>("echo", (&bytes,)).await, Ok(bytes.clone()));
    assert_eq!(client.call::<Bytes>("echo", (vec![1, 2, 3],)).await, Ok(vec![1, 2, 3].into()));
    assert_eq!(client.call("first", (&bytes, 2)).await, Ok(Some(Bytes::from(vec![0, 0]))));
    assert_eq!(client.call("first", (&bytes, 300_001)).await, Ok(None::<Bytes>));
    let error = client.call::<Bytes>("echo", ("no base64",)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::INVALID_ARGUMENTS);
}

#[tokio::test(start_paused = true)]
async fn bytes_travel_between_nodes_of_either_format() {
    echoes(JsonCodec).await;
    echoes(MsgpackCodec).await;
}
