//! Plain functions and closures as LANC functions.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use lanc_core::Class;
use lanc_core::error::{ErrorCode, Fault};
use lanc_core::payload::{Arguments, Payload};
use lanc_core::ports::Codec;
use serde::de::value::SeqDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::args::{Args, decode, missing, printable};
use crate::bytes::decode_from;
use crate::context::{Call, Context, Given, Rest, Room, Spent};
use crate::functions::{Function, Plain, Started};
use crate::reply::{fault, reply};

/// What can be registered: functions and closures of up to eight parameters, with or without
/// [`Context`] as the first, returning a value, a `Result`, or a future of either.
///
/// Parameters are owned types (`String`, not `&str`) that implement `serde::Deserialize`; an
/// `Option` at the end may be left out by the caller. Bulk data is [`Bytes`](crate::Bytes): a
/// `Vec<u8>` is a list of numbers, which takes milliseconds for each MiB. A closure that hands captured state to a
/// future clones it first: `move |x: u64| { let state = state.clone(); async move { ... } }`. Results implement `serde::Serialize`. The error of a `Result` is anything that
/// serialises (text becomes the message) or implements `std::error::Error`; a
/// [`Fault`] keeps its code. Plain functions may block: they run on worker threads.
///
/// `M` is found by the compiler; nobody needs to name it. The trait is implemented here only.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be registered as a function",
    note = "parameters need `serde::Deserialize` and own what they hold (`String`, not `&str`), \
            results `serde::Serialize`, all of them `Send`; there are eight parameters at most, \
            behind a `Context` if there is one",
    note = "the error of a `Result` is a `std::error::Error` or `serde::Serialize`: a boxed one is \
            neither",
    note = "an async closure keeps nothing of its own: let a plain one clone what it shares and \
            return an `async move` block"
)]
pub trait IntoFunction<M>: Send + Sync + 'static {
    /// The function in the form the node keeps it in, and how it is run by default.
    #[doc(hidden)]
    fn into_function(self) -> (Class, Boxed);
}

/// A function in the node's own form.
#[doc(hidden)]
pub struct Boxed(pub(crate) Arc<dyn Function>);

/// How the kinds of functions are told apart.
#[doc(hidden)]
pub mod marker {
    /// Returns a value or a `Result` whose error serialises.
    pub enum Value {}
    /// Returns a `Result` whose error is a `std::error::Error`.
    pub enum Fallible {}
    /// Without a context.
    pub enum Bare {}
    /// With one.
    pub enum WithContext {}
    /// Returns at once.
    pub enum Now {}
    /// Returns a future.
    pub enum Later {}
}

use marker::{Bare, Fallible, Later, Now, Value, WithContext};

/// What a function returned, on its way to a payload.
pub(crate) trait Outcome<M>: Send {
    fn encode(self, codec: &dyn Codec, room: &mut Room) -> Result<Payload, Fault>;
}

impl<T: Serialize + Send> Outcome<Value> for T {
    fn encode(self, codec: &dyn Codec, room: &mut Room) -> Result<Payload, Fault> {
        reply(&self, codec, room)
    }
}

impl<T: Serialize + Send, E: std::error::Error + Send + 'static> Outcome<Fallible>
    for Result<T, E>
{
    fn encode(self, codec: &dyn Codec, room: &mut Room) -> Result<Payload, Fault> {
        match self {
            Ok(value) => reply(&value, codec, room),
            Err(error) => Err(fault(&error)),
        }
    }
}

/// Wraps a closure over the call.
struct Starter<F>(F);

impl<F: Fn(Call) -> Started + Send + Sync> Function for Starter<F> {
    fn start(&self, call: Call) -> Started {
        (self.0)(call)
    }
}

fn bare(start: impl Fn(Given) -> Started + Send + Sync + 'static) -> Boxed {
    with_context(move |call: Call| start(call.given))
}

pub(crate) fn with_context(start: impl Fn(Call) -> Started + Send + Sync + 'static) -> Boxed {
    Boxed(Arc::new(Starter(start)))
}

/// Wraps a closure over what a plain function is given.
struct PlainFn<F>(F);

impl<F> Function for PlainFn<F>
where
    F: Fn(&Arguments, &dyn Codec, &mut Room) -> Result<Payload, Fault> + Send + Sync,
{
    fn start(&self, call: Call) -> Started {
        let Given { args, mut room } = call.given;
        let (arguments, codec) = args.into_parts();
        let result = self.run(&arguments, codec.as_ref(), &mut room);
        Started::Done(result, [arguments.into_buffer(), room.spent()])
    }

    fn plain(&self) -> Option<&dyn Plain> {
        Some(self)
    }
}

impl<F> Plain for PlainFn<F>
where
    F: Fn(&Arguments, &dyn Codec, &mut Room) -> Result<Payload, Fault> + Send + Sync,
{
    fn run(&self, args: &Arguments, codec: &dyn Codec, room: &mut Room) -> Result<Payload, Fault> {
        (self.0)(args, codec, room)
    }
}

fn plain<F>(run: F) -> Boxed
where
    F: Fn(&Arguments, &dyn Codec, &mut Room) -> Result<Payload, Fault> + Send + Sync + 'static,
{
    Boxed(Arc::new(PlainFn(run)))
}

/// A call that ends before its function begins.
fn refused(given: Given, fault: Fault) -> Started {
    Started::Done(Err(fault), given.into_rest().spent())
}

/// A function that has returned.
fn done<M>(outcome: impl Outcome<M>, mut rest: Rest) -> Started {
    let result = rest.encode(outcome);
    Started::Done(result, rest.spent())
}

/// A function that has returned a future. It may take long: the buffers go back at once.
fn later<M>(
    future: impl Future<Output: Outcome<M>> + Send + 'static,
    mut rest: Rest,
    spent: Spent,
) -> Started {
    let run = async move { rest.encode(future.await) };
    Started::Later(Box::pin(run), spent)
}

pub(crate) fn no_named(args: &Arguments) -> Result<(), Fault> {
    if !args.named().is_empty() {
        let text = "the function takes no named arguments";
        return Err(Fault::new(ErrorCode::INVALID_ARGUMENTS, text));
    }
    Ok(())
}

/// A list of parameters, of which optional ones at the end may be missing.
pub(crate) struct Positional<T>(T);

/// Reads a function's parameters.
fn parameters<T>(args: &Arguments, codec: &dyn Codec) -> Result<T, Fault>
where
    Positional<T>: DeserializeOwned,
{
    let read = decode_from(args.shared(), || {
        let bytes = args.positional();
        if bytes.is_empty() {
            let none = SeqDeserializer::<_, serde::de::value::Error>::new(std::iter::empty::<()>());
            return Positional::<T>::deserialize(none).map_err(|error| error.to_string());
        }
        decode(codec, bytes)
    });
    let Positional(values) =
        read.map_err(|reason| Fault::new(ErrorCode::INVALID_ARGUMENTS, printable(&reason)))?;
    Ok(values)
}

impl Args {
    /// Reads a function's parameters.
    pub(crate) fn parameters<T>(&self) -> Result<T, Fault>
    where
        Positional<T>: DeserializeOwned,
    {
        parameters(self.arguments(), self.codec().as_ref())
    }
}

/// So many arguments, in words.
fn arguments(count: usize) -> String {
    match count {
        0 => "no arguments".to_owned(),
        1 => "1 argument".to_owned(),
        _ => format!("{count} arguments"),
    }
}

macro_rules! count {
    () => { 0 };
    ($head:ident $($tail:ident)*) => { 1 + count!($($tail)*) };
}

macro_rules! arity {
    ($visitor:ident: $($name:ident)*) => {
        struct $visitor<$($name),*>(PhantomData<($($name,)*)>);

        impl<'de, $($name: Deserialize<'de>),*> Visitor<'de> for $visitor<$($name),*> {
            type Value = Positional<($($name,)*)>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&arguments(count!($($name)*)))
            }

            #[allow(non_snake_case, unused_assignments, unused_mut)]
            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Self::Value, S::Error> {
                let mut number = 0;
                $(
                    number += 1;
                    let next = list.next_element().map_err(|error| {
                        serde::de::Error::custom(format_args!("argument {number}: {error}"))
                    });
                    let $name = match next? {
                        Some(value) => value,
                        None => missing(number)?,
                    };
                )*
                if list.next_element::<IgnoredAny>()?.is_some() {
                    let text = format!("the function takes {}", arguments(number));
                    return Err(serde::de::Error::custom(text));
                }
                Ok(Positional(($($name,)*)))
            }
        }

        impl<'de, $($name: Deserialize<'de>),*> Deserialize<'de> for Positional<($($name,)*)> {
            fn deserialize<Des: Deserializer<'de>>(d: Des) -> Result<Self, Des::Error> {
                d.deserialize_seq($visitor(PhantomData))
            }
        }

        impl<Func, Ret, Kind, $($name),*> IntoFunction<(Now, Bare, Kind, Ret, ($($name,)*))> for Func
        where
            Func: Fn($($name),*) -> Ret + Send + Sync + 'static,
            Ret: Outcome<Kind>,
            $($name: DeserializeOwned + Send,)*
        {
            #[allow(non_snake_case)]
            fn into_function(self) -> (Class, Boxed) {
                (Class::Blocking, plain(move |args, codec, room| {
                    no_named(args)?;
                    let ($($name,)*) = parameters::<($($name,)*)>(args, codec)?;
                    self($($name),*).encode(codec, room)
                }))
            }
        }

        impl<Func, Ret, Kind, $($name),*>
            IntoFunction<(Now, WithContext, Kind, Ret, ($($name,)*))> for Func
        where
            Func: Fn(Context, $($name),*) -> Ret + Send + Sync + 'static,
            Ret: Outcome<Kind>,
            $($name: DeserializeOwned + Send,)*
        {
            #[allow(non_snake_case)]
            fn into_function(self) -> (Class, Boxed) {
                (Class::Blocking, with_context(move |call| {
                    match call.given.args.parameters::<($($name,)*)>() {
                        Ok(($($name,)*)) => {
                            let ctx = Context::new(call);
                            let outcome = self(ctx.clone(), $($name),*);
                            done(outcome, ctx.into_rest())
                        }
                        Err(fault) => refused(call.given, fault),
                    }
                }))
            }
        }

        impl<Func, Fut, Kind, $($name),*>
            IntoFunction<(Later, Bare, Kind, Fut, ($($name,)*))> for Func
        where
            Func: Fn($($name),*) -> Fut + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: Outcome<Kind>,
            $($name: DeserializeOwned + Send,)*
        {
            #[allow(non_snake_case)]
            fn into_function(self) -> (Class, Boxed) {
                (Class::Async, bare(move |given| {
                    let read = no_named(given.args.arguments());
                    match read.and_then(|()| given.args.parameters::<($($name,)*)>()) {
                        Ok(($($name,)*)) => {
                            let mut rest = given.into_rest();
                            let spent = rest.spent();
                            later(self($($name),*), rest, spent)
                        }
                        Err(fault) => refused(given, fault),
                    }
                }))
            }
        }

        impl<Func, Fut, Kind, $($name),*>
            IntoFunction<(Later, WithContext, Kind, Fut, ($($name,)*))> for Func
        where
            Func: Fn(Context, $($name),*) -> Fut + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: Outcome<Kind>,
            $($name: DeserializeOwned + Send,)*
        {
            #[allow(non_snake_case)]
            fn into_function(self) -> (Class, Boxed) {
                (Class::Async, with_context(move |call| {
                    match call.given.args.parameters::<($($name,)*)>() {
                        Ok(($($name,)*)) => {
                            let ctx = Context::new(call);
                            let rest = ctx.rest();
                            later(self(ctx, $($name),*), rest, Spent::default())
                        }
                        Err(fault) => refused(call.given, fault),
                    }
                }))
            }
        }
    };
}

arity!(V0:);
arity!(V1: A);
arity!(V2: A B);
arity!(V3: A B C);
arity!(V4: A B C D);
arity!(V5: A B C D E);
arity!(V6: A B C D E F);
arity!(V7: A B C D E F G);
arity!(V8: A B C D E F G H);
