//! What the published Python package reads: method numbers, func as a list of objects, positional
//! arguments as a map. Its keys in its order.

use std::borrow::Cow;

use super::older::{Inexpressible, Older, id_item};
use crate::fields::Fields;
use crate::message::Method;
use crate::ports::{Budget, Codec, Item};

/// The method of a number; 1.0 counts as 1.
pub(super) fn method(fields: &Fields<'_>) -> Option<Method> {
    let number = match fields.method.as_ref()?.item {
        Item::Float(1.0) => 1,
        Item::Float(2.0) => 2,
        Item::Float(3.0) => 3,
        Item::Float(4.0) => 4,
        ref item => item.as_u64()?,
    };
    match number {
        1 => Some(Method::Hello),
        2 => Some(Method::Func),
        3 => Some(Method::Call),
        4 => Some(Method::Callback),
        _ => None,
    }
}

pub(super) fn write(
    message: &Older<'_>,
    codec: &dyn Codec,
    out: &mut Vec<u8>,
) -> Result<(), Inexpressible> {
    let (mut data, mut args) = (Vec::new(), Vec::new());
    let mut tail = Vec::new();
    let method = match message {
        Older::Hello => {
            codec.write_item(&Item::Text(Cow::Borrowed("hello")), &mut data);
            1
        }
        Older::Func(names) => {
            func_data(names, codec, &mut data);
            2
        }
        Older::Call { id, function, args: list, kwargs } => {
            codec.write_item(&Item::Text(Cow::Borrowed(function)), &mut data);
            positional(list, codec, &mut args);
            if args.is_empty() && !is_empty_map(kwargs, codec) {
                return Err(Inexpressible::NamedAlone);
            }
            tail.extend(id.as_ref().map(|id| ("exe_id", id_item(id))));
            if !args.is_empty() {
                tail.push(("args", Item::Encoded(&args)));
                if !is_empty_map(kwargs, codec) {
                    tail.push(("kwargs", Item::Encoded(kwargs)));
                }
            }
            3
        }
        Older::Callback { id, result } => {
            codec.write_item(&Item::Encoded(result), &mut data);
            tail.push(("exe_id", id_item(id)));
            4
        }
    };
    let mut entries = vec![
        ("type", Item::Text(Cow::Borrowed("LANC"))),
        ("method", Item::Uint(method)),
        ("version", Item::Float(0.01)),
        ("data", Item::Encoded(&data)),
        ("encrypted", Item::Uint(0)),
        ("compress", Item::Uint(0)),
    ];
    entries.append(&mut tail);
    codec.write_map(&entries, out);
    Ok(())
}

fn func_data(names: &[Cow<'_, str>], codec: &dyn Codec, out: &mut Vec<u8>) {
    let mut objects = Vec::new();
    for name in names {
        let mut object = Vec::new();
        codec.write_map(&[("name", Item::Text(Cow::Borrowed(name)))], &mut object);
        objects.push(object);
    }
    let items: Vec<_> = objects.iter().map(|object| Item::Encoded(object)).collect();
    codec.write_list(&items, out);
}

/// This node wrote these bytes: there is nothing to bound.
const OWN: Budget = Budget { depth: u32::MAX, nodes: u32::MAX };

/// The list `args` as `{"p0": .., "p1": ..}`; nothing for an empty one.
fn positional(args: &[u8], codec: &dyn Codec, out: &mut Vec<u8>) {
    let mut values = Vec::new();
    if !args.is_empty() {
        // Arguments are written by this node as a list; anything else has no positions.
        let _ = codec.read_list(args, &mut OWN.clone(), &mut |value| {
            values.push(Item::Encoded(value.raw));
            Ok(())
        });
    }
    if values.is_empty() {
        return;
    }
    let keys: Vec<_> = (0..values.len()).map(|place| format!("p{place}")).collect();
    let entries: Vec<_> = keys.iter().map(String::as_str).zip(values).collect();
    codec.write_map(&entries, out);
}

fn is_empty_map(kwargs: &[u8], codec: &dyn Codec) -> bool {
    let mut any = false;
    if !kwargs.is_empty() {
        let _ = codec.read_map(kwargs, &mut OWN.clone(), &mut |_, _| {
            any = true;
            Ok(())
        });
    }
    !any
}
