//! Programs as functions: `serve --cmd NAME='program {0}'`.

mod find;
mod group;
mod run;
mod template;

use std::collections::BTreeMap;

use async_trait::async_trait;
use lanc::{Args, Config, Context, Fault, Handler, Reply};
use serde_json::Value;

use crate::as_json::AsJson;

pub(crate) use group::end_all;
pub(crate) use template::Template;

/// A program that runs once for each call.
pub(crate) struct Program(Template);

impl Program {
    pub(crate) fn new(template: Template) -> Self {
        Self(template)
    }

    /// Checks that the program can be started, so that it does not show at the first call.
    ///
    /// # Errors
    /// What is wrong, and what to do, for a person.
    pub(crate) fn check(&self) -> Result<(), (String, String)> {
        find::check(&self.0.program())
    }

    /// Braces that look as if an argument was to stand there.
    pub(crate) fn stray_braces(&self) -> Option<&str> {
        self.0.stray_braces()
    }
}

#[async_trait]
impl Handler for Program {
    async fn run(&self, ctx: Context, args: Args) -> Result<Reply, Fault> {
        let positional: Vec<AsJson> = args.positional()?;
        let positional: Vec<Value> = positional.into_iter().map(|value| value.0).collect();
        let named: BTreeMap<String, AsJson> = args.named()?;
        let named: BTreeMap<_, _> = named.into_iter().map(|(key, value)| (key, value.0)).collect();
        let words = self.0.fill(&positional, &named)?;
        // The node of `serve` has the default.
        let depth = Config::default().max_result_depth();
        let result = run::run(&words, depth, ctx.cancelled()).await?;
        Reply::new(&ctx, &result)
    }
}

/// Splits `NAME=TEMPLATE` and reads the template.
///
/// # Errors
/// Text for a person.
pub(crate) fn parse(option: &str) -> Result<(&str, Program), String> {
    let (name, template) = option
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| format!("`{option}` has no name: write NAME='program {{0}}'"))?;
    Ok((name, Program::new(Template::parse(template)?)))
}
