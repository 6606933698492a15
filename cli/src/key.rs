//! `lanc key`: making, storing and exchanging keys.

use std::path::Path;
use std::time::Duration;

use lanc::{MasterKey, Stats, SystemEntropy};
use serde_json::{Value, json};

use crate::args::KeyVerb;
use crate::failure::Failure;
use crate::keys::ring::Ring;
use crate::keys::{Keying, Keys, hex, unreadable};
use crate::settings::Settings;
use crate::{duration, escape, exit, local, output, remembered, table};

/// How long a node may take to say what it knows of its keys.
const PATIENCE: Duration = Duration::from_secs(2);

/// Does what the verb says; returns the exit code.
///
/// # Errors
/// A key cannot be read, written or changed; nothing was changed then.
pub(crate) async fn run(verb: KeyVerb, settings: &Settings, as_json: bool) -> Result<u8, Failure> {
    match verb {
        KeyVerb::New { file, store } => new(file.as_deref(), store, as_json)?,
        KeyVerb::Store { file } => {
            let key = MasterKey::read_file(&file).map_err(unreadable)?;
            store_first(&key)?;
            told(&key, None, true, as_json)?;
        }
        KeyVerb::Show { file, secret } => show(file.as_deref(), secret, settings, as_json)?,
        KeyVerb::Rotate { file, primary, remove } => {
            let mut ring = Ring::read()?;
            if let Some(id) = &remove {
                refuse_last(&ring, id, settings)?;
            }
            let is_changed = change(&mut ring, file.as_deref(), primary, remove)?;
            let refused = if is_changed { local::rekey().await? } else { Vec::new() };
            for failure in refused {
                output::note(&format!("a node did not follow: {}\n", failure.headline()));
            }
            list(&ring, as_json).await?;
        }
        KeyVerb::Derive { service, out } => derive(&service, out.as_deref(), settings, as_json)?,
    }
    Ok(exit::OK)
}

fn new(file: Option<&Path>, store: bool, as_json: bool) -> Result<(), Failure> {
    let key = MasterKey::generate(&mut SystemEntropy);
    if store {
        refuse_second(&Ring::read()?)?;
    }
    if let Some(file) = file {
        key.write_file(file).map_err(unreadable)?;
    }
    if store {
        store_first(&key)?;
    }
    told(&key, file, store, as_json)
}

/// Stores the one key of this user.
fn store_first(key: &MasterKey) -> Result<(), Failure> {
    let mut ring = Ring::read()?;
    if ring.keys().first() != Some(key) {
        refuse_second(&ring)?;
    }
    ring.add(key).map(drop)
}

/// Without a key nodes are open, which nobody gets by a slip.
fn refuse_last(ring: &Ring, id: &str, settings: &Settings) -> Result<(), Failure> {
    let is_last = matches!(ring.keys(), [key] if key.key_id().to_string() == id);
    if !is_last || matches!(settings.keying, Some(Keying::Open)) {
        return Ok(());
    }
    let text = format!("{id} is the only key: without it nodes that start from now on are open");
    let next = "exchange it (`lanc key rotate --help`), or add --open if you mean it";
    Err(Failure::usage(text, next))
}

/// There is one key, unless it is being exchanged.
pub(crate) fn refuse_second(ring: &Ring) -> Result<(), Failure> {
    let Some(stored) = ring.keys().first() else { return Ok(()) };
    let id = stored.key_id();
    let text = format!("key {id} is stored here already");
    let next = format!(
        "exchange it (`lanc key rotate --help`), or forget it: `lanc key rotate --remove {id} --open`"
    );
    Err(Failure::usage(text, next))
}

fn told(key: &MasterKey, file: Option<&Path>, stored: bool, as_json: bool) -> Result<(), Failure> {
    let id = key.key_id().to_string();
    if as_json {
        let file = file.map(|file| file.display().to_string());
        let object = json!({ "id": id, "file": file, "stored": stored });
        return output::line(&escape::json(&object));
    }
    let mut text = String::new();
    if let Some(file) = file {
        let file = file.display();
        text += &format!("key {id} is in {file}, which only you can read\n");
        text +=
            &format!("copy it to your other machines by a way you trust: scp -p {file} HOST:\n");
        text +=
            &format!("and use it there: lanc key store {file}, or --key-file {file} each time\n");
        text += "or have it brought there by a short code: `lanc pair`\n";
    }
    if stored {
        text += &format!("key {id} is stored: every `lanc` of yours here uses it from now on\n");
        text += "nodes that run go on as before: start them anew\n";
    }
    output::bytes(text.as_bytes())
}

fn show(
    file: Option<&Path>,
    secret: bool,
    settings: &Settings,
    as_json: bool,
) -> Result<(), Failure> {
    let keys = match file {
        Some(file) => vec![MasterKey::read_file(file).map_err(unreadable)?],
        None => Keys::of(settings)?.all,
    };
    if as_json {
        let object = |(place, key): (usize, &MasterKey)| {
            let mut object = json!({ "id": key.key_id().to_string(), "primary": place == 0 });
            if secret {
                object["secret"] = Value::from(hex(key).as_str());
            }
            object
        };
        let all: Vec<_> = keys.iter().enumerate().map(object).collect();
        return output::line(&escape::json(&Value::from(all)));
    }
    if keys.is_empty() {
        output::note("no key is stored: nodes are open\n");
    }
    for (place, key) in keys.iter().enumerate() {
        let accepted = if place == 0 { "" } else { "  opened too" };
        let secret = if secret { format!("  {}", *hex(key)) } else { String::new() };
        output::line(&format!("{}{accepted}{secret}", key.key_id()))?;
    }
    if file.is_none() && settings.keying.is_none() && !keys.is_empty() {
        output::note(&remembered_peers());
    }
    Ok(())
}

/// How many peers are remembered, and where.
fn remembered_peers() -> String {
    let Some(file) = remembered::File::of_user() else { return String::new() };
    let path = file.path();
    match file.read(remembered::now()).map(|peers| peers.len()) {
        Ok(0) => format!("no peers are remembered in {}\n", path.display()),
        Ok(count) => format!(
            "peers remembered: {count}, in {}; remove the file to forget them\n",
            path.display()
        ),
        Err(error) => format!("cannot read {}: {error}\n", path.display()),
    }
}

/// The one change that was asked for; `false`: none was.
fn change(
    ring: &mut Ring,
    file: Option<&Path>,
    primary: Option<String>,
    remove: Option<String>,
) -> Result<bool, Failure> {
    if let Some(file) = file {
        let key = MasterKey::read_file(file).map_err(unreadable)?;
        ring.add(&key)?;
    } else if let Some(id) = primary {
        ring.make_primary(&id)?;
    } else if let Some(id) = remove {
        ring.remove(&id)?;
        if ring.keys().is_empty() {
            output::note("no key is stored any more: nodes that start from now on are open\n");
            // They are of the group whose key this was.
            if let Some(Err(error)) = remembered::File::of_user().map(|file| file.forget()) {
                output::note(&format!("its peers are still remembered: {error}\n"));
            }
        }
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// The stored keys, and when anybody needed them, as far as the nodes of this machine know.
async fn list(ring: &Ring, as_json: bool) -> Result<(), Failure> {
    let nodes = local::processes(PATIENCE).await.unwrap_or_default().all;
    let ids: Vec<_> = ring.keys().iter().map(|key| key.key_id().to_string()).collect();
    let needed: Vec<_> = ids.iter().map(|id| Needed::of(id, &nodes)).collect();
    if as_json {
        let rows = ids.iter().zip(&needed).enumerate().map(|(place, (id, needed))| {
            let ago = needed.ago.map(|ago| ago.as_millis().try_into().unwrap_or(u64::MAX));
            json!({ "id": id, "primary": place == 0, "needed_ms": ago, "nodes": needed.nodes })
        });
        return output::line(&escape::json(&rows.collect()));
    }
    if ids.is_empty() {
        output::note("no key is stored\n");
        return Ok(());
    }
    let rows = ids.iter().zip(&needed).enumerate().map(|(place, (id, needed))| {
        let (used, last) = match place {
            0 => ("sealed under", "always".to_owned()),
            _ => ("opened", needed.text()),
        };
        [id.clone(), used.to_owned(), last]
    });
    let rows: Vec<_> = rows.collect();
    output::bytes(table::render(["KEY", "NODES", "NEEDED BY OTHERS"], &rows).as_bytes())
}

/// When somebody last used a key who is not known to hold the primary one.
#[derive(PartialEq, Debug)]
struct Needed {
    /// Nodes of this machine that hold it.
    nodes: usize,
    ago: Option<Duration>,
    /// How long all of these have looked.
    looked: Duration,
}

impl Needed {
    fn of(id: &str, all: &[Stats]) -> Self {
        let of_key = all.iter().flat_map(|node| {
            let held = node.keys.iter().filter(|key| key.id == id);
            held.map(move |key| (node.uptime_ms, key.unused_ms))
        });
        let of_key: Vec<_> = of_key.collect();
        Self {
            nodes: of_key.len(),
            ago: of_key.iter().filter_map(|(_, ago)| *ago).min().map(Duration::from_millis),
            looked: Duration::from_millis(of_key.iter().map(|(up, _)| *up).min().unwrap_or(0)),
        }
    }

    fn text(&self) -> String {
        match (self.nodes, self.ago) {
            (0, _) => "not known: no node here holds it".to_owned(),
            (_, Some(ago)) => format!("{} ago", duration::show(ago)),
            (_, None) => format!("not in {}", duration::show(self.looked)),
        }
    }
}

fn derive(
    service: &str,
    out: Option<&Path>,
    settings: &Settings,
    as_json: bool,
) -> Result<(), Failure> {
    let keys = Keys::of(settings)?.all;
    let Some(root) = keys.first() else {
        let next = "make one (`lanc key new FILE`), or name it by --key-file";
        return Err(Failure::usage("there is no key to derive one from", next));
    };
    if service.is_empty() {
        return Err(Failure::usage("a service has a name", "write `lanc key derive SERVICE`"));
    }
    let key = root.service(service);
    let Some(out) = out else {
        return output::line(&hex(&key));
    };
    key.write_file(out).map_err(unreadable)?;
    let id = key.key_id().to_string();
    if as_json {
        let file = out.display().to_string();
        return output::line(&escape::json(&json!({ "id": id, "file": file, "service": service })));
    }
    output::line(&format!("key {id} of service {service:?} is in {}", out.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_needed_as_long_as_any_node_says_so() {
        let node = |up: u64, keys: Value| {
            serde_json::from_value(json!({ "uptime_ms": up, "keys": keys })).unwrap()
        };
        let old = |unused: Value| json!([{ "id": "1", "primary": true }, { "id": "2", "unused_ms": unused }]);
        let silent = [node(9_000, old(json!(null))), node(60_000, old(json!(null)))];
        assert_eq!(Needed::of("2", &silent).text(), "not in 9.0 s");
        let used = [node(9_000, old(json!(7_000))), node(60_000, old(json!(3_000)))];
        assert_eq!(Needed::of("2", &used).text(), "3.0 s ago");
        assert_eq!(Needed::of("3", &used).nodes, 0);
    }
}
