//! Calls in the background, where there are none: they need Unix domain sockets.

use lanc::ErrorCode;

use crate::args::{CallArgs, JobArgs};
use crate::failure::Failure;
use crate::settings::Settings;
use crate::values::Arguments;

pub(crate) const BACKGROUND: &str = "background";

fn none() -> Result<u8, Failure> {
    let text = "calls cannot be left in the background on this system";
    let failure = Failure::before_call(ErrorCode::UNSUPPORTED, text);
    Err(failure.next("call without --async, and leave that running"))
}

pub(crate) async fn start(_: CallArgs, _: Arguments, _: &Settings, _: bool) -> Result<u8, Failure> {
    none()
}

pub(crate) fn background() -> Result<u8, Failure> {
    none()
}

pub(crate) async fn join(_: &JobArgs, _: bool) -> Result<u8, Failure> {
    none()
}

pub(crate) async fn get(_: &JobArgs, _: bool) -> Result<u8, Failure> {
    none()
}

pub(crate) async fn cancel(_: &JobArgs, _: bool) -> Result<u8, Failure> {
    none()
}

pub(crate) async fn list(_: bool) -> Result<u8, Failure> {
    none()
}
