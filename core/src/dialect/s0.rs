//! LANC 0.1 as S0 writes it down: nine fields in the order of its table, method names, functions
//! as a list of names, arguments as a list and a map. Hello carries no data.

use std::borrow::Cow;

use super::older::{Older, id_item};
use crate::message::Method;
use crate::ports::{Codec, Item};

pub(super) fn write(message: &Older<'_>, codec: &dyn Codec, out: &mut Vec<u8>) {
    let mut names = Vec::new();
    let mut middle = Vec::new();
    let method = match message {
        Older::Hello => Method::Hello,
        Older::Func(list) => {
            let items: Vec<_> =
                list.iter().map(|name| Item::Text(Cow::Borrowed(name.as_ref()))).collect();
            codec.write_list(&items, &mut names);
            middle.push(("data", Item::Encoded(&names)));
            Method::Func
        }
        Older::Call { id, function, args, kwargs } => {
            middle.push(("data", Item::Text(Cow::Borrowed(function))));
            middle.extend(id.as_ref().map(|id| ("exe_id", id_item(id))));
            middle.push(("args", Item::List(args)));
            middle.push(("kwargs", Item::Map(kwargs)));
            Method::Call
        }
        Older::Callback { id, result } => {
            middle.push(("data", Item::Encoded(result)));
            middle.push(("exe_id", id_item(id)));
            Method::Callback
        }
    };
    let mut entries = vec![
        ("type", Item::Text(Cow::Borrowed("LANC"))),
        ("method", Item::Text(Cow::Borrowed(method.name()))),
        ("version", Item::Float(0.1)),
    ];
    entries.append(&mut middle);
    entries.push(("encrypted", Item::Text(Cow::Borrowed("no"))));
    entries.push(("compress", Item::Text(Cow::Borrowed("no"))));
    codec.write_map(&entries, out);
}
