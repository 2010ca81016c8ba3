use std::os::unix::fs::{PermissionsExt as _, symlink};

use tempfile::TempDir;

use super::*;

/// The binary form of `(component)`.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

struct Setting {
    parent: TempDir,
    engine: Engine,
    code: Vec<u8>,
    key: Sha256Hex,
}

impl Setting {
    fn new() -> Self {
        let (parent, engine) = (tempfile::tempdir().unwrap(), Engine::default());
        let code = engine.precompile_component(COMPONENT).unwrap();
        let key = Sha256Hex::key(&engine, &[], COMPONENT);
        Self { parent, engine, code, key }
    }

    fn folder(&self) -> PathBuf {
        self.parent.path().join("a/cache")
    }

    fn open(&self) -> Cache {
        Cache::open(&self.folder(), 1 << 30).unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            fs::read_dir(self.folder()).unwrap().map(|it| it.unwrap().path()).collect();
        files.sort();
        files
    }

    fn found(&self, cache: &Cache) -> &'static str {
        match cache.load(&self.engine, &self.key).unwrap() {
            Found::Component(_) => "component",
            Found::Nothing => "nothing",
            Found::Damaged => "damaged",
        }
    }
}

#[test]
fn what_is_stored_is_found_by_its_key_only_and_is_private() {
    let setting = Setting::new();
    let cache = setting.open();
    assert_eq!(setting.found(&cache), "nothing");
    cache.store(&setting.key, &setting.code).unwrap();
    assert_eq!(setting.found(&cache), "component");
    assert_eq!(setting.found(&setting.open()), "component", "by another process, too");
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(&setting.folder()), 0o700);
    let files = setting.files();
    assert_eq!(files.len(), 1, "nothing temporary is left: {files:?}");
    assert_eq!(mode(&files[0]), 0o600);

    let keys = [
        Sha256Hex::key(&setting.engine, &[], b"other"),
        Sha256Hex::key(&setting.engine, &["prepared"], COMPONENT),
        Sha256Hex::key(&setting.engine, &["pre", "pared"], COMPONENT),
        Sha256Hex::key(
            &Engine::new(wasmtime::Config::new().epoch_interruption(true)).unwrap(),
            &[],
            COMPONENT,
        ),
    ];
    for (index, key) in keys.iter().enumerate() {
        assert!(!keys[..index].contains(key));
        assert!(matches!(cache.load(&setting.engine, key).unwrap(), Found::Nothing));
    }
}

#[test]
fn damage_anywhere_is_noticed_and_the_file_deleted() {
    let setting = Setting::new();
    let cache = setting.open();
    let length = setting.code.len();
    let flipped = |at: usize| {
        let mut code = setting.code.clone();
        code[at] ^= 1;
        code
    };
    let mut damaged = vec![Vec::new(), [&*setting.code, b"x"].concat(), vec![0; length]];
    damaged.extend((0..length).step_by(length / 20).map(flipped));
    damaged.extend((0..length).step_by(length / 20).map(|end| setting.code[..end].to_vec()));
    damaged.push(flipped(length - 1));
    for content in damaged {
        cache.store(&setting.key, &setting.code).unwrap();
        fs::write(&setting.files()[0], content).unwrap();
        assert_eq!(setting.found(&cache), "damaged");
        assert_eq!(setting.files(), Vec::<PathBuf>::new());
        assert_eq!(setting.found(&cache), "nothing");
    }
}

#[test]
fn code_of_another_wasmtime_is_deleted_too() {
    let setting = Setting::new();
    let cache = setting.open();
    cache.store(&setting.key, b"intact, and not what this wasmtime runs").unwrap();
    assert_eq!(setting.found(&cache), "damaged");
    assert!(setting.files().is_empty());
}

#[test]
fn a_folder_or_file_that_others_can_write_is_not_used() {
    let setting = Setting::new();
    let cache = setting.open();
    cache.store(&setting.key, &setting.code).unwrap();
    let set_mode =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let refused = || {
        let loaded = cache.load(&setting.engine, &setting.key);
        loaded.err().expect("it is not used").to_string()
    };
    for mode in [0o720, 0o702, 0o1777] {
        set_mode(&setting.folder(), mode);
        assert!(refused().contains("chmod go-w"), "{mode:o}");
        assert!(cache.store(&setting.key, &setting.code).is_err(), "{mode:o}");
        let opened = Cache::open(&setting.folder(), 1 << 30);
        assert!(opened.unwrap_err().to_string().contains("others can write"), "{mode:o}");
    }
    set_mode(&setting.folder(), 0o700);
    set_mode(&setting.files()[0], 0o622);
    assert!(refused().contains("chmod go-w"));
    set_mode(&setting.files()[0], 0o600);
    assert_eq!(setting.found(&cache), "component");
}

#[test]
fn a_folder_of_another_user_is_not_used() {
    // Whichever of the two we are, one is the other's.
    let ours = rustix::process::geteuid().is_root();
    let folder = match ours {
        true => {
            let folder = tempfile::tempdir().unwrap();
            std::os::unix::fs::chown(folder.path(), Some(65_534), None).unwrap();
            folder.keep()
        }
        false => PathBuf::from("/usr"),
    };
    let error = Cache::open(&folder, 1 << 30).unwrap_err().to_string();
    assert!(error.contains("belongs to user"), "{error}");
    if ours {
        fs::remove_dir(folder).unwrap();
    }
}

#[test]
fn what_is_no_folder_is_not_used_and_a_link_to_one_is() {
    let setting = Setting::new();
    let file = setting.parent.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(Cache::open(&file, 1).is_err());
    assert!(Cache::open(&file.join("below"), 1).is_err());
    setting.open().store(&setting.key, &setting.code).unwrap();
    let link = setting.parent.path().join("link");
    symlink(setting.folder(), &link).unwrap();
    assert_eq!(setting.found(&Cache::open(&link, 1 << 30).unwrap()), "component");
}

#[test]
fn what_was_not_used_for_longest_makes_room() {
    let setting = Setting::new();
    let size = setting.code.len() as u64;
    let cache = Cache::open(&setting.folder(), size * 3 + 1).unwrap();
    let key = |n: u8| Sha256Hex::of(&[n]);
    let has = |n: u8| matches!(cache.load(&setting.engine, &key(n)).unwrap(), Found::Component(_));
    let store = |n: u8| {
        cache.store(&key(n), &setting.code).unwrap();
        // So that times differ on any file system.
        std::thread::sleep(Duration::from_millis(20));
    };
    (0..3).for_each(store);
    assert!(has(0), "it becomes the one that was used last");
    std::thread::sleep(Duration::from_millis(20));
    store(3);
    assert_eq!(setting.files().len(), 3);
    assert!(!has(1) && has(0) && has(2) && has(3));

    let small = Cache::open(&setting.folder(), size - 1).unwrap();
    small.store(&key(4), &setting.code).unwrap();
    assert_eq!(setting.files().len(), 3, "what never fits costs nothing else its place");
}

#[test]
fn what_a_dead_process_left_is_removed_when_it_is_old() {
    let setting = Setting::new();
    setting.open();
    let (old, new) = (setting.folder().join("1-0.new"), setting.folder().join("2-0.new"));
    fs::write(&new, "half").unwrap();
    let file = File::create(&old).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(7200)).unwrap();
    setting.open();
    assert_eq!(setting.files(), [new.canonicalize().unwrap()]);
}
