//! Finding the configuration files and joining all layers.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::{Settings, environment, file};
use crate::args::NetworkArgs;
use crate::failure::Failure;
use crate::values::{self, ReadError};

/// Largest configuration file in bytes.
const MAX_FILE: usize = 1 << 20;

/// The name of a project's configuration file.
const PROJECT_FILE: &str = "lanc.toml";

/// All layers, merged.
///
/// # Errors
/// A file that cannot be read, or a setting that makes no sense.
pub(crate) fn load(options: &NetworkArgs) -> Result<Settings, Failure> {
    let variable = |name: &str| std::env::var(name).ok();
    let directory = std::env::current_dir().ok();
    merged(options, &variable, directory.as_deref())
}

fn merged(
    options: &NetworkArgs,
    variable: &dyn Fn(&str) -> Option<String>,
    directory: Option<&Path>,
) -> Result<Settings, Failure> {
    let named = variable("LANC_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    let upper = Settings::from_options(options).over(environment::layer(variable)?);
    if let Some(path) = options.config.clone().or(named) {
        return Ok(upper.over(read(&path)?));
    }
    let home = variable("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let project = directory.and_then(|directory| project_file(directory, home.as_deref()));
    let user = user_file(variable, home.as_deref()).filter(|path| path.is_file());
    [project, user]
        .into_iter()
        .flatten()
        .try_fold(upper, |upper, path| Ok(upper.over(read(&path)?)))
}

/// The nearest `lanc.toml`, from `directory` up to the root of its repository or to the home
/// directory. Where there is neither, parents are not searched: they may belong to anyone.
fn project_file(directory: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let is_root = |path: &Path| home == Some(path) || path.join(".git").exists();
    let depth = directory.ancestors().position(is_root).unwrap_or(0);
    let places = directory.ancestors().take(depth + 1);
    places.map(|place| place.join(PROJECT_FILE)).find(|path| path.is_file())
}

fn user_file(variable: &dyn Fn(&str) -> Option<String>, home: Option<&Path>) -> Option<PathBuf> {
    let folder = |name: &str| {
        // A relative path is invalid by the XDG specification and is ignored.
        variable(name).map(PathBuf::from).filter(|path| path.is_absolute())
    };
    let config = if cfg!(windows) {
        folder("APPDATA")?
    } else if cfg!(target_os = "macos") {
        home?.join("Library/Application Support")
    } else {
        folder("XDG_CONFIG_HOME").or_else(|| Some(home?.join(".config")))?
    };
    Some(config.join("lanc").join("config.toml"))
}

fn read(path: &Path) -> Result<Settings, Failure> {
    let shown = path.display().to_string();
    let cannot = |reason: &dyn std::fmt::Display| {
        Failure::usage(
            format!("cannot read the configuration file {shown}: {reason}"),
            "check the path given by --config or LANC_CONFIG, and the file's permissions",
        )
    };
    let bytes = File::open(path).map_err(ReadError::from).and_then(|file| {
        let file = io::BufReader::new(file);
        values::read_bounded(file, MAX_FILE)
    });
    let bytes = bytes.map_err(|error| cannot(&error))?;
    let text = String::from_utf8(bytes).map_err(|_| cannot(&"it is not UTF-8"))?;
    file::layer(&shown, &text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_folder::TestFolder;

    fn write(folder: &TestFolder, path: &str, text: &str) {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// The port that wins, with these layers present.
    fn winner(flag: bool, variable: bool, project: bool, user: bool) -> Option<u16> {
        let folder = TestFolder::new();
        std::fs::create_dir_all(folder.path().join("home/project/.git")).unwrap();
        if project {
            write(&folder, "home/project/lanc.toml", "port = 3");
        }
        if user {
            write(&folder, "home/.config/lanc/config.toml", "port = 4\nname = 'user'");
        }
        let home = folder.path().join("home").display().to_string();
        let environment = |name: &str| match name {
            "HOME" => Some(home.clone()),
            "LANC_PORT" if variable => Some("2".to_owned()),
            _ => None,
        };
        let options = NetworkArgs { port: flag.then_some(1), ..Default::default() };
        let directory = folder.path().join("home/project/deep/down");
        std::fs::create_dir_all(&directory).unwrap();
        let settings = merged(&options, &environment, Some(&directory)).unwrap();
        // A setting of the lowest layer shines through whatever lies above.
        assert_eq!(settings.name.is_some(), user);
        settings.port
    }

    #[test]
    fn first_source_wins() {
        for (flag, variable, project, user, port) in [
            (true, true, true, true, Some(1)),
            (false, true, true, true, Some(2)),
            (false, false, true, true, Some(3)),
            (false, false, false, true, Some(4)),
            (false, false, false, false, None),
            (true, false, false, true, Some(1)),
            (false, true, false, false, Some(2)),
        ] {
            assert_eq!(winner(flag, variable, project, user), port);
        }
    }

    #[test]
    fn a_named_file_replaces_the_others() {
        let folder = TestFolder::new();
        write(&folder, "lanc.toml", "name = 'project'\nport = 1");
        write(&folder, "other.toml", "port = 2");
        let other = folder.path().join("other.toml");
        let variable = |name: &str| (name == "LANC_CONFIG").then(|| other.display().to_string());
        let options = NetworkArgs::default();
        let settings = merged(&options, &variable, Some(folder.path())).unwrap();
        assert_eq!((settings.port, settings.name), (Some(2), None));
        let options =
            NetworkArgs { config: Some(folder.path().join("missing")), ..Default::default() };
        let failure = merged(&options, &variable, Some(folder.path())).unwrap_err();
        assert_eq!(failure.exit_code(), 2);
    }

    #[test]
    fn parents_are_searched_only_up_to_a_root() {
        let folder = TestFolder::new();
        write(&folder, "lanc.toml", "port = 1");
        let deep = folder.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        assert_eq!(project_file(&deep, None), None);
        assert_eq!(project_file(folder.path(), None), Some(folder.path().join("lanc.toml")));
        assert_eq!(project_file(&deep, Some(folder.path())), Some(folder.path().join("lanc.toml")));
        assert_eq!(project_file(&deep, Some(&folder.path().join("a"))), None);
        std::fs::create_dir_all(folder.path().join("a/.git")).unwrap();
        assert_eq!(project_file(&deep, Some(folder.path())), None);
    }

    #[test]
    fn a_file_has_a_largest_size() {
        let folder = TestFolder::new();
        write(&folder, "full.toml", &"#".repeat(MAX_FILE));
        assert!(read(&folder.path().join("full.toml")).is_ok());
        write(&folder, "more.toml", &"#".repeat(MAX_FILE + 1));
        assert!(read(&folder.path().join("more.toml")).is_err());
    }
}
