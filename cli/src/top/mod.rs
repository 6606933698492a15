//! `lanc top`: what goes on, once a second. Its node only looks: it offers nothing.

mod model;
mod screen;
mod view;

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use lanc::{Config, Node};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::args::TopArgs;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::signals::Interrupts;
use crate::{exit, local, network, output, stats, table, values};
use model::{Flow, Model, Sample};
use screen::{Pressed, Screen};

const REFRESH: Duration = Duration::from_secs(1);
/// Peers are asked for their round trip every so many refreshes, and how many of them.
const PING_EVERY: u32 = 5;
const PINGED: usize = 64;
/// How long a process of this machine may take to answer.
const PROCESS_TIME: Duration = Duration::from_millis(500);

/// Shows what goes on until `q` or an interrupt; prints it once where there is no terminal.
///
/// # Errors
/// [`Failure`] before anything was shown, or the terminal's refusal.
pub(crate) async fn run(args: TopArgs, settings: &Settings, as_json: bool) -> Result<u8, Failure> {
    let node = network::open(settings, None, Config::default()).await?;
    let is_live = !args.once && !as_json && io::stdout().is_terminal() && io::stdin().is_terminal();
    let shown = if is_live { live(&node).await } else { once(&node, as_json).await };
    network::close(&node).await;
    shown.map(|()| exit::OK)
}

async fn live(node: &Node) -> Result<(), Failure> {
    let mut interrupts = Interrupts::listen()?;
    let mut screen = Screen::open()?;
    let mut model = Model::default();
    let mut ticks = interval(REFRESH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (began, mut tick) = (Instant::now(), 0_u32);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                if tick % PING_EVERY == 0 {
                    ping(node);
                }
                tick = tick.wrapping_add(1);
                model.add(Sample { at: began.elapsed(), ..sample(node).await });
            }
            key = screen.next_key() => match key {
                Some(Pressed::Resized) => {}
                Some(Pressed::Key(key)) if model.press(key) == Flow::Go => {}
                Some(Pressed::Key(_)) | None => return Ok(()),
            },
            () = interrupts.next() => return Ok(()),
        }
        screen.draw(&model)?;
    }
}

/// Everything there is to know now.
async fn sample(node: &Node) -> Sample {
    let offers = node.functions().into_iter();
    // A process that does not answer at once must not hold up the picture.
    let mut nodes = local::processes(PROCESS_TIME).await.unwrap_or_default().all;
    nodes.push(node.stats());
    let count = |local: bool, others: usize| others + usize::from(local);
    Sample {
        at: Duration::ZERO,
        nodes,
        offered: offers.map(|f| (f.name, count(f.local.is_some(), f.providers.len()))).collect(),
    }
}

/// Has the round trips measured anew; they are in the peer table once they are there.
fn ping(node: &Node) {
    for peer in node.peers().iter().take(PINGED) {
        let (node, session) = (node.clone(), peer.session.to_string());
        tokio::spawn(async move {
            // A peer that does not answer keeps its last round trip.
            let _ = node.ping(&session).await;
        });
    }
}

/// Prints what there is after the first answers, and ends.
async fn once(node: &Node, as_json: bool) -> Result<(), Failure> {
    node.settled().await;
    crate::listing::measure(node).await;
    let sample = sample(node).await;
    if as_json {
        let of = |(name, count): &(String, usize)| serde_json::json!({ "name": name, "providers": count });
        let offered: Vec<_> = sample.offered.iter().map(of).collect();
        let all = serde_json::json!({ "nodes": sample.nodes, "offered": offered });
        return output::line(&values::show(&all, values::Style::Json));
    }
    let texts: Vec<_> = sample.nodes.iter().map(stats::text).collect();
    let mut text = texts.join("\n");
    if !sample.offered.is_empty() {
        let rows = sample.offered.into_iter().map(|(name, count)| [name, count.to_string()]);
        let rows: Vec<_> = rows.collect();
        text.push('\n');
        text.push_str(&table::render(["FUNCTION", "OFFERED BY"], &rows));
    }
    output::bytes(text.as_bytes())
}
