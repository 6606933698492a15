//! `lanc call`.

use std::io;
use std::time::Duration;

use lanc::{Call, CallError, Carrier, Config, ErrorCode, Executed, Format, Node};
use serde_json::Value;

use crate::args::{CallArgs, Codec, Policy, Transport};
use crate::as_json::AsJson;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::signals::Interrupts;
use crate::values::{self, Arguments, Reading, Style};
use crate::{exit, jobs, naming, network, output};

mod everybody;
mod explain;

pub(crate) use explain::explained;

/// Makes the call and prints what comes of it; returns the exit code.
///
/// # Errors
/// [`Failure`] of the call or before it.
pub(crate) async fn run(args: CallArgs, settings: &Settings, as_json: bool) -> Result<u8, Failure> {
    naming::check_function(&args.name).map_err(|(text, next)| {
        Failure::before_call(ErrorCode::INVALID_ARGUMENTS, text).next(next)
    })?;
    let args = CallArgs { timeout: args.timeout.or(settings.timeout), ..args };
    let config = Config::default();
    let reading = if args.text { Reading::Text } else { Reading::Json };
    let stdin = io::stdin().lock();
    let arguments = values::arguments(&args.args, &args.literal, stdin, &config, reading)?;
    if args.detached {
        return jobs::start(args, arguments, settings, as_json).await;
    }
    let mut interrupts = Interrupts::listen()?;
    let node = network::open(settings, None, config).await?;
    let timeout = args.timeout;
    let outcome = if args.stream {
        print_values(&node, &args, arguments, timeout, as_json, &mut interrupts).await
    } else if args.all || args.one_way {
        tokio::select! {
            outcome = make_other(&node, &args, arguments, timeout, as_json) => outcome,
            () = interrupts.next() => Err(interrupted(Executed::Maybe)),
        }
    } else {
        make(&node, &args, arguments, timeout, as_json, &mut interrupts).await
    };
    tokio::select! {
        () = network::close(&node) => {}
        () = interrupts.next() => {}
    }
    outcome
}

fn interrupted(executed: Executed) -> Failure {
    Failure::interrupted("the call was given up", executed)
}

/// A call with one answer. Given up, it still says whether the function ran.
async fn make(
    node: &Node,
    args: &CallArgs,
    arguments: Arguments,
    timeout: Option<Duration>,
    as_json: bool,
    interrupts: &mut Interrupts,
) -> Result<u8, Failure> {
    let explain = |error: CallError| explained(node, args, error.into());
    let id = prepare::<()>(node, args, arguments, timeout).start().map_err(explain)?;
    let result = tokio::select! {
        result = node.join::<AsJson>(id, Duration::MAX) => result.map_err(explain)?.0,
        () = interrupts.next() => {
            let given_up = node.cancel(id).and_then(|()| node.get::<AsJson>(id));
            return Err(interrupted(given_up.map_or_else(|e| e.executed, |_| Executed::Yes)));
        }
    };
    let printed = output::line(&values::show(&result, output::style(as_json)));
    printed.map_err(Failure::after_unprinted_call)?;
    Ok(exit::OK)
}

/// A line for each value of a function that returns many, as it comes.
async fn print_values(
    node: &Node,
    args: &CallArgs,
    arguments: Arguments,
    timeout: Option<Duration>,
    as_json: bool,
    interrupts: &mut Interrupts,
) -> Result<u8, Failure> {
    let explain = |error: CallError| explained(node, args, error.into());
    let mut values = tokio::select! {
        values = prepare::<Value>(node, args, arguments, timeout).values() => {
            values.map_err(explain)?
        }
        () = interrupts.next() => return Err(interrupted(Executed::Maybe)),
    };
    let mut executed = Executed::Maybe;
    loop {
        let value = tokio::select! {
            value = values.next() => value,
            () = interrupts.next() => return Err(interrupted(executed)),
        };
        let Some(value) = value else { return Ok(exit::OK) };
        let value = value.map_err(explain)?;
        let text = match output::style(as_json) {
            Style::Json => values::show(&value, Style::Json),
            _ => values::show_in_line(&value),
        };
        executed = Executed::Yes;
        let is_read = output::while_read(format!("{text}\n").as_bytes());
        if !is_read.map_err(Failure::after_unprinted_call)? {
            return Ok(exit::OK);
        }
    }
}

/// A call to everybody, or one that wants no answer.
async fn make_other(
    node: &Node,
    args: &CallArgs,
    arguments: Arguments,
    timeout: Option<Duration>,
    as_json: bool,
) -> Result<u8, Failure> {
    let explain = |error: CallError| explained(node, args, error.into());
    if args.all {
        let call = prepare::<AsJson>(node, args, arguments, timeout);
        let answers = call.all().await.map_err(explain)?;
        return everybody::print(node, answers, as_json);
    }
    let call = prepare::<()>(node, args, arguments, timeout);
    call.one_way().await.map(|()| exit::OK).map_err(explain)
}

/// The call that the options describe.
pub(crate) fn prepare<T>(
    node: &Node,
    args: &CallArgs,
    arguments: Arguments,
    timeout: Option<Duration>,
) -> Call<T> {
    let mut call = node.call(&args.name, arguments.positional);
    for (name, value) in &arguments.named {
        call = call.kwarg(name, value);
    }
    if let Some(timeout) = timeout {
        call = call.deadline(timeout);
    }
    if let Some(wait) = args.wait {
        call = call.wait(wait);
    }
    if let Some(peer) = &args.on {
        call = call.on(peer);
    }
    match args.codec {
        Codec::Auto => {}
        Codec::Json => call = call.format(Format::JSON),
        Codec::Msgpack => call = call.format(Format::MSGPACK),
    }
    call = call.over(match args.transport {
        Transport::Auto => Carrier::Auto,
        Transport::Udp => Carrier::Datagrams,
        Transport::Tcp => Carrier::Connection,
    });
    call = call.policy(match args.policy {
        Policy::Latest => lanc::Policy::Latest,
        Policy::Sticky => lanc::Policy::Sticky,
        Policy::Random => lanc::Policy::Random,
        Policy::LeastLoaded => lanc::Policy::LeastLoaded,
    });
    if let Some(count) = args.fastest {
        call = call.fastest(count.into());
    }
    if args.idempotent {
        call = call.idempotent();
    }
    if args.hedge {
        call = call.hedge();
    }
    call
}
