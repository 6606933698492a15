//! The keys that are stored for this user: `keys/` in the state folder, which is the user's alone.
//! A file for each, `8b21ace9.key`, and `primary` with the id of the one that nodes seal under.
//!
//! Unlike control sockets, keys outlive a restart of the machine: they are never in
//! `$XDG_RUNTIME_DIR`.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use lanc::{KeyId, MasterKey};

use super::unreadable;
use crate::failure::Failure;

/// Most keys: what a node holds.
pub(crate) const MOST: usize = 16;
/// Most names in the folder that are looked at.
const MAX_ENTRIES: usize = 1024;

const ENDING: &str = "key";
const PRIMARY: &str = "primary";

/// The stored keys, the primary one first.
pub(crate) struct Ring {
    /// There need not be one.
    folder: Option<PathBuf>,
    keys: Vec<MasterKey>,
}

impl Ring {
    /// Reads what is stored; that may be nothing.
    ///
    /// # Errors
    /// Something is stored that may not or cannot be used.
    pub(crate) fn read() -> Result<Self, Failure> {
        Self::at(folder())
    }

    fn at(folder: Option<PathBuf>) -> Result<Self, Failure> {
        let mut ring = Self { folder, keys: Vec::new() };
        let Some(folder) = ring.folder.clone().filter(|folder| folder.exists()) else {
            return Ok(ring);
        };
        close(&folder)?;
        let cannot = |error| failed("read", &folder, &error);
        for file in folder.read_dir().map_err(cannot)?.take(MAX_ENTRIES) {
            let path = file.map_err(cannot)?.path();
            if path.extension().is_none_or(|ending| ending != ENDING) {
                continue;
            }
            let key = MasterKey::read_file(&path).map_err(unreadable)?;
            let id = key.key_id();
            if path.file_stem().is_none_or(|stem| stem != id.to_string().as_str()) {
                let text = format!("{} holds key {id}: its name says another", path.display());
                return Err(Failure::usage(text, "give the file its right name, or remove it"));
            }
            ring.keys.push(key);
        }
        ring.keys.sort_by_key(MasterKey::key_id);
        if ring.keys.len() > 1 {
            let named = fs::read_to_string(folder.join(PRIMARY)).unwrap_or_default();
            let place = ring.keys.iter().position(|key| key.key_id().to_string() == named.trim());
            let Some(place) = place else {
                let text =
                    format!("{} does not say which key is the primary one", folder.display());
                let next = format!("write its id into {}", folder.join(PRIMARY).display());
                return Err(Failure::usage(text, next));
            };
            let primary = ring.keys.remove(place);
            ring.keys.insert(0, primary);
        }
        Ok(ring)
    }

    pub(crate) fn keys(&self) -> &[MasterKey] {
        &self.keys
    }

    pub(crate) fn into_keys(self) -> Vec<MasterKey> {
        self.keys
    }

    /// Stores a key beside the others; the first one is primary. `false`: it was there.
    ///
    /// # Errors
    /// There is no room, or the system refuses.
    pub(crate) fn add(&mut self, key: &MasterKey) -> Result<bool, Failure> {
        let id = key.key_id();
        if let Some(known) = self.keys.iter().find(|known| known.key_id() == id) {
            return if known == key {
                Ok(false)
            } else {
                let text = format!("another key with the id {id} is stored");
                Err(Failure::usage(text, "make a new key: this happens once in four billion times"))
            };
        }
        if self.keys.len() >= MOST {
            let text = format!("{MOST} keys are stored already");
            return Err(Failure::usage(text, "remove one: `lanc key rotate --remove ID`"));
        }
        let folder = self.folder()?;
        close(&folder)?;
        // Said before there is a choice, so that it is never open.
        if let [only] = self.keys.as_slice() {
            write_primary(&folder, only.key_id())?;
        }
        key.write_file(&folder.join(format!("{id}.{ENDING}"))).map_err(unreadable)?;
        self.keys.push(key.clone());
        Ok(true)
    }

    /// Nodes seal under this key from now on.
    ///
    /// # Errors
    /// It is not stored, or the system refuses.
    pub(crate) fn make_primary(&mut self, id: &str) -> Result<(), Failure> {
        let place = self.find(id)?;
        let folder = self.folder()?;
        let key = self.keys.remove(place);
        let written = write_primary(&folder, key.key_id());
        self.keys.insert(if written.is_ok() { 0 } else { place }, key);
        written
    }

    /// Stores a key no longer.
    ///
    /// # Errors
    /// It is not stored, others are and it is the primary one, or the system refuses.
    pub(crate) fn remove(&mut self, id: &str) -> Result<(), Failure> {
        let place = self.find(id)?;
        if place == 0 && self.keys.len() > 1 {
            let text = format!("{id} is the key that nodes seal under");
            return Err(Failure::usage(text, "make another one primary first: --primary ID"));
        }
        let path = self.folder()?.join(format!("{id}.{ENDING}"));
        fs::remove_file(&path).map_err(|error| failed("remove", &path, &error))?;
        self.keys.remove(place);
        Ok(())
    }

    fn find(&self, id: &str) -> Result<usize, Failure> {
        let is_meant = |key: &MasterKey| key.key_id().to_string() == id;
        self.keys.iter().position(is_meant).ok_or_else(|| {
            let ids: Vec<_> = self.keys.iter().map(|key| key.key_id().to_string()).collect();
            let stored = if ids.is_empty() { "none is".to_owned() } else { ids.join(", ") };
            Failure::usage(format!("no key `{id}` is stored"), format!("stored: {stored}"))
        })
    }

    fn folder(&self) -> Result<PathBuf, Failure> {
        self.folder.clone().ok_or_else(|| {
            let next = "set LANC_STATE_DIR to a folder of your own on a local disk";
            Failure::usage("there is no home folder to keep keys in", next)
        })
    }
}

/// Where keys are stored. It need not be there.
pub(crate) fn folder() -> Option<PathBuf> {
    place(&variable)
}

fn place(variable: &dyn Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    if let Some(path) = variable("LANC_STATE_DIR") {
        return Some(std::path::absolute(&path).unwrap_or(path).join("keys"));
    }
    let folder = |name: &str| variable(name).filter(|path| path.is_absolute());
    let state = if cfg!(windows) {
        folder("LOCALAPPDATA")
    } else {
        folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))
    };
    Some(state?.join("lanc").join("keys"))
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Makes the folder and the one above it, and sees that both are the user's alone.
#[cfg(unix)]
fn close(folder: &Path) -> Result<(), Failure> {
    if let Some(state) = folder.parent() {
        crate::control::Folder::at(state.to_owned())?;
    }
    crate::control::Folder::at(folder.to_owned()).map(drop)
}

#[cfg(not(unix))]
fn close(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|error| failed("make", folder, &error))
}

fn write_primary(folder: &Path, id: KeyId) -> Result<(), Failure> {
    let path = folder.join(PRIMARY);
    let beside = folder.join(format!("{PRIMARY}.{}.new", std::process::id()));
    let write = || -> io::Result<()> {
        let mut file = File::create(&beside)?;
        writeln!(file, "{id}")?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
    };
    write().map_err(|error| failed("write", &path, &error))
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Failure {
    let next = "check the folder and the disk; LANC_STATE_DIR names another folder";
    Failure::usage(format!("cannot {what} {}: {error}", path.display()), next)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::test_folder::TestFolder;

    fn key(seed: u8) -> MasterKey {
        MasterKey::from_bytes(&[seed; 32])
    }

    fn id(seed: u8) -> String {
        key(seed).key_id().to_string()
    }

    fn ids(folder: &Path) -> Vec<String> {
        let ring = Ring::at(Some(folder.to_owned())).unwrap();
        ring.keys().iter().map(|key| key.key_id().to_string()).collect()
    }

    #[test]
    fn keys_are_stored_rotated_and_removed() {
        let place = TestFolder::new();
        let folder = place.path().join("lanc/keys");
        assert!(Ring::at(Some(folder.clone())).unwrap().keys().is_empty() && !folder.exists());
        let mut ring = Ring::at(Some(folder.clone())).unwrap();
        assert!(ring.add(&key(1)).unwrap() && !ring.add(&key(1)).unwrap());
        assert!(ring.add(&key(2)).unwrap());
        assert_eq!(ids(&folder), [id(1), id(2)]);
        assert_eq!(ring.remove(&id(1)).unwrap_err().exit_code(), 2);
        ring.make_primary(&id(2)).unwrap();
        assert_eq!(ids(&folder), [id(2), id(1)]);
        assert!(ring.make_primary("00000000").is_err());
        ring.remove(&id(1)).unwrap();
        assert_eq!(ids(&folder), [id(2)]);
        ring.remove(&id(2)).unwrap();
        assert!(ids(&folder).is_empty());
        // A first key is the primary one, whatever was said before.
        assert!(ring.add(&key(3)).unwrap());
        assert_eq!(ids(&folder), [id(3)]);

        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.join(format!("{}.key", id(3)))), 0o600);
        assert_eq!((mode(&folder), mode(folder.parent().unwrap())), (0o700, 0o700));
    }

    #[test]
    fn there_is_room_for_sixteen() {
        let place = TestFolder::new();
        let mut ring = Ring::at(Some(place.path().join("lanc/keys"))).unwrap();
        for seed in 1..=16 {
            assert!(ring.add(&key(seed)).unwrap());
        }
        assert!(ring.add(&key(17)).unwrap_err().to_text(true).contains("--remove"));
    }

    #[test]
    fn what_is_stored_and_cannot_be_trusted_is_no_empty_ring() {
        let broken = |break_it: &dyn Fn(&Path)| {
            let place = TestFolder::new();
            let folder = place.path().join("lanc/keys");
            let mut ring = Ring::at(Some(folder.clone())).unwrap();
            ring.add(&key(1)).unwrap();
            ring.add(&key(2)).unwrap();
            break_it(&folder);
            Ring::at(Some(folder)).map(|_| ()).unwrap_err()
        };
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let file = |folder: &Path| folder.join(format!("{}.key", id(1)));
        for failure in [
            broken(&|folder| mode(folder, 0o755)),
            broken(&|folder| mode(folder.parent().unwrap(), 0o770)),
            broken(&|folder| mode(&file(folder), 0o640)),
            broken(&|folder| fs::write(file(folder), "short").unwrap()),
            broken(&|folder| fs::rename(file(folder), folder.join("x.key")).unwrap()),
            broken(&|folder| fs::remove_file(folder.join(PRIMARY)).unwrap()),
        ] {
            assert_eq!(failure.exit_code(), 2, "{failure:?}");
        }
    }

    #[test]
    fn keys_are_kept_where_they_last() {
        let variables = |set: &'static [(&str, &str)]| {
            move |name: &str| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| PathBuf::from(value))
            }
        };
        for (set, expected) in [
            (&[("HOME", "/h"), ("XDG_RUNTIME_DIR", "/r")][..], Some("/h/.local/state/lanc/keys")),
            (&[("HOME", "/h"), ("XDG_STATE_HOME", "/s")], Some("/s/lanc/keys")),
            (&[("HOME", "/h"), ("LANC_STATE_DIR", "/l")], Some("/l/keys")),
            (&[("HOME", "h")], None),
            (&[], None),
        ] {
            assert_eq!(place(&variables(set)), expected.map(PathBuf::from), "{set:?}");
        }
    }
}
