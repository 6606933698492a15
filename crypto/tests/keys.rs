//! Master keys: every form they are given in, and the files that hold them.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use lanc_core::ports::Entropy;
use lanc_crypto::{DEFAULT_GROUP, KeyFileError, MasterKey, ParseKeyError, PassphraseError};
use proptest::prelude::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

proptest! {
    #[test]
    fn a_key_is_the_same_in_every_form(bytes: [u8; 32], at in 0..40usize) {
        let key = MasterKey::from_bytes(&bytes);
        let mut wrapped = hex(&bytes).to_uppercase();
        wrapped.insert_str(at, "\r\n\t ");
        let texts = [
            hex(&bytes),
            format!("  {}\n", hex(&bytes)),
            wrapped,
            STANDARD.encode(bytes),
            format!("{}\r\n", STANDARD.encode(bytes)),
            STANDARD_NO_PAD.encode(bytes),
        ];
        for text in texts {
            prop_assert_eq!(&text.parse::<MasterKey>().unwrap(), &key);
            prop_assert_eq!(&MasterKey::from_file_content(text.as_bytes()).unwrap(), &key);
        }
        prop_assert_eq!(&MasterKey::from_file_content(&bytes).unwrap(), &key);
        prop_assert_eq!(key.expose(), &bytes);
    }

    #[test]
    fn whatever_a_file_holds_is_a_key_or_an_error(
        content in prop::collection::vec(any::<u8>(), 0..100),
        text in ".{0,80}",
    ) {
        prop_assert!(content.len() == 32 || MasterKey::from_file_content(&content).is_err());
        let _: Result<MasterKey, _> = text.parse();
    }

    #[test]
    fn one_bit_makes_another_key(bytes: [u8; 32], bit in 0..256usize) {
        let mut other = bytes;
        other[bit / 8] ^= 1 << (bit % 8);
        let (key, other) = (MasterKey::from_bytes(&bytes), MasterKey::from_bytes(&other));
        prop_assert_ne!(&key, &other);
        prop_assert_ne!(key.key_id(), other.key_id());
    }
}

#[test]
fn what_is_no_key_is_told_and_never_repeated() {
    let parse = |text: &str| text.parse::<MasterKey>().unwrap_err();
    let digits = hex(&[7; 32]);
    assert_eq!(parse(" \n"), ParseKeyError::Empty);
    assert_eq!(parse(&digits[1..]), ParseKeyError::Length(63));
    assert_eq!(parse(&format!("{digits}0")), ParseKeyError::Length(65));
    assert_eq!(parse(&digits.replacen('0', "g", 1)), ParseKeyError::Character(64));
    assert_eq!(parse(&URL_SAFE.encode([0xff; 32])), ParseKeyError::Character(44));
    assert_eq!(parse(&STANDARD.encode([7; 31])), ParseKeyError::Character(44));
    assert_eq!(parse(&STANDARD.encode([7; 33])), ParseKeyError::Character(44));
    assert_eq!(parse("correct horse battery"), ParseKeyError::Length(21));
    let content = |bytes: &[u8]| MasterKey::from_file_content(bytes).unwrap_err();
    assert_eq!(content(&[0xff; 33]), ParseKeyError::Bytes(33));
    assert_eq!(content(&[0xff; 31]), ParseKeyError::Bytes(31));
    assert_eq!(content(b""), ParseKeyError::Empty);
    for error in [parse("secret"), parse(&digits.replace('0', "x")), content(&[0xff; 33])] {
        let said = error.to_string();
        assert!(
            said.contains("copy") && !said.contains("secret") && !said.contains("x7"),
            "{said}"
        );
    }
}

#[test]
fn a_passphrase_needs_twelve_characters() {
    let short = |text: &str| MasterKey::from_passphrase(text, "demo").unwrap_err();
    assert_eq!(short("elevenchars"), PassphraseError::TooShort(11));
    // Eleven characters, whichever way they are typed.
    assert_eq!(short("na\u{ef}ve e\u{301}leve"), PassphraseError::TooShort(11));
    let composed = MasterKey::from_passphrase("na\u{ef}ve pass \u{e9}", "caf\u{e9}").unwrap();
    let apart = MasterKey::from_passphrase("nai\u{308}ve pass e\u{301}", "cafe\u{301}").unwrap();
    assert_eq!(composed, apart);
    let elsewhere = MasterKey::from_passphrase("na\u{ef}ve pass \u{e9}", DEFAULT_GROUP).unwrap();
    assert_ne!(composed, elsewhere);
}

#[test]
fn services_have_keys_of_their_own() {
    let root = MasterKey::from_bytes(&[7; 32]);
    let service = root.service("caf\u{e9}");
    assert_eq!(service, root.service("cafe\u{301}"));
    assert_ne!(service, root.service("cafe"));
    assert_ne!(service, root);
    assert_ne!(service, MasterKey::from_bytes(&[8; 32]).service("caf\u{e9}"));
    // By an independent implementation of section 2.2 of the specification.
    assert_eq!(hex(root.service("printing").expose()), SERVICE_PRINTING);
    assert_eq!(hex(service.expose()), SERVICE_CAFE);
}

const SERVICE_PRINTING: &str = "3efc29e86df782a193feebb49d82dc8aefcbcb19fa7f12f6eae7e347859ac414";
const SERVICE_CAFE: &str = "43a6606be7355f23c30d5634b9e8d9b2ec7ceb9f88a043c2639974167337959b";

#[test]
fn a_new_key_is_what_was_drawn() {
    struct Fives;
    impl Entropy for Fives {
        fn fill(&mut self, into: &mut [u8]) {
            into.fill(5);
        }
    }
    assert_eq!(MasterKey::generate(&mut Fives), MasterKey::from_bytes(&[5; 32]));
}

/// A folder of its own, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("lanc-keys-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn write(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn a_key_file_is_written_once_and_read_again() {
    let folder = Folder::new("written");
    let path = folder.file("key");
    let key = MasterKey::from_bytes(&[7; 32]);
    key.write_file(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), [7; 32]);
    assert_eq!(MasterKey::read_file(&path).unwrap(), key);
    let again = MasterKey::from_bytes(&[8; 32]).write_file(&path);
    assert!(matches!(&again, Err(KeyFileError::Exists(_))), "{again:?}");
    assert_eq!(MasterKey::read_file(&path).unwrap(), key);
    assert_eq!(folder.names(), ["key"], "nothing else is left");
    let nowhere = key.write_file(&folder.file("none/key"));
    assert!(matches!(&nowhere, Err(KeyFileError::Io { what: "create", .. })), "{nowhere:?}");
}

#[test]
fn what_a_killed_process_has_left_is_gone_with_the_next_key() {
    let folder = Folder::new("leftovers");
    // The third is being written, the others are no files of a key.
    for name in ["key.1.new", "key.99999.new", "key.7.new", "key.x.new", "key.1", "other.1.new"] {
        fs::write(folder.file(name), b"half").unwrap();
    }
    let writing = fs::File::open(folder.file("key.7.new")).unwrap();
    writing.try_lock().unwrap();
    MasterKey::from_bytes(&[7; 32]).write_file(&folder.file("key")).unwrap();
    let mut names = folder.names();
    names.sort();
    assert_eq!(names, ["key", "key.1", "key.7.new", "key.x.new", "other.1.new"]);
    drop(writing);
    // One is left by whoever was killed when the key had its name already.
    let again = MasterKey::from_bytes(&[8; 32]).write_file(&folder.file("key"));
    assert!(matches!(again, Err(KeyFileError::Exists(_))), "{again:?}");
    assert!(!folder.file("key.7.new").exists());
}

#[test]
fn every_form_of_content_is_read_from_a_file() {
    let folder = Folder::new("forms");
    let path = folder.file("key");
    for content in [&[7; 32], hex(&[7; 32]).as_bytes(), STANDARD.encode([7; 32]).as_bytes()] {
        write(&path, content);
        assert_eq!(MasterKey::read_file(&path).unwrap(), MasterKey::from_bytes(&[7; 32]));
    }
    // The longest there may be, and one byte more.
    let mut padded = hex(&[7; 32]).into_bytes();
    padded.resize(4096, b'\n');
    write(&path, &padded);
    assert!(MasterKey::read_file(&path).is_ok());
    padded.push(b'\n');
    write(&path, &padded);
    assert!(matches!(MasterKey::read_file(&path), Err(KeyFileError::TooLong(_))));
    write(&path, b"a passphrase");
    let error = MasterKey::read_file(&path).unwrap_err();
    assert!(matches!(error, KeyFileError::Content { source: ParseKeyError::Length(12), .. }));
    assert!(!error.to_string().contains("a passphrase"));
    assert!(matches!(MasterKey::read_file(&folder.0), Err(KeyFileError::NotAFile(_))));
    let missing = MasterKey::read_file(&folder.file("none"));
    assert!(matches!(missing, Err(KeyFileError::Io { what: "read", .. })));
}

#[cfg(unix)]
#[test]
fn a_key_file_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("modes");
    let path = folder.file("key");
    MasterKey::from_bytes(&[7; 32]).write_file(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    for mode in [0o640, 0o604, 0o620, 0o602, 0o601, 0o644, 0o777] {
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        let error = MasterKey::read_file(&path).unwrap_err();
        assert!(matches!(error, KeyFileError::Open { mode: found, .. } if found == mode));
        let said = error.to_string();
        assert!(said.contains(&format!("chmod 600 {}", path.display())), "{said}");
        assert!(said.contains(&format!("mode {mode:04o}")), "{said}");
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        assert!(MasterKey::read_file(&path).is_ok(), "{mode:o}");
    }
}

#[cfg(unix)]
#[test]
fn a_key_behind_a_link_is_read_and_never_overwritten() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = Folder::new("links");
    let (path, link) = (folder.file("key"), folder.file("link"));
    let key = MasterKey::from_bytes(&[7; 32]);
    symlink(&path, &link).unwrap();
    let dangling = MasterKey::read_file(&link);
    assert!(matches!(dangling, Err(KeyFileError::Io { what: "read", .. })), "{dangling:?}");
    let taken = key.write_file(&link);
    assert!(matches!(taken, Err(KeyFileError::Exists(_))), "{taken:?}");
    assert!(!path.exists(), "nothing is written through a link");
    key.write_file(&path).unwrap();
    assert_eq!(MasterKey::read_file(&link).unwrap(), key);
    fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    let open = MasterKey::read_file(&link);
    assert!(matches!(open, Err(KeyFileError::Open { mode: 0o644, .. })), "{open:?}");
}

/// A pipe without a writer would be waited for until somebody comes.
#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused_at_once() {
    use std::os::unix::net::UnixListener;
    let folder = Folder::new("others");
    let pipe = folder.file("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
    let socket = folder.file("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    for path in [&folder.0, &pipe, &socket, Path::new("/dev/zero")] {
        let read = MasterKey::read_file(path);
        assert!(matches!(read, Err(KeyFileError::NotAFile(_))), "{read:?}");
        if path.starts_with(&folder.0) {
            let written = MasterKey::from_bytes(&[7; 32]).write_file(path);
            assert!(matches!(written, Err(KeyFileError::Exists(_))), "{written:?}");
        }
    }
}

#[test]
fn nothing_that_is_printed_tells_a_secret() {
    let key = MasterKey::from_bytes(&[0xab; 32]);
    let id = key.key_id().to_string();
    assert_eq!(format!("{key:?}"), format!("MasterKey({id})"));
    assert_eq!(format!("{:?}", lanc_crypto::Group::new(&key)), format!("Group({id})"));
    let printed = format!("{key:#?} {:#?}", lanc_crypto::Group::new(&key));
    for secret in ["abab", "171", "0xab"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}
