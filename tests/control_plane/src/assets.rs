//! Where the programs come from: a folder that is given, or a Go build that is kept.

use std::env;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::time::Instant;

use crate::error::Error;
use crate::process::log_tail;

/// The folder of the Go module that pins and builds both programs.
const GO_MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/go");
const GO_MOD: &str = include_str!("../go/go.mod");

const ETCD: &str = "etcd";
const ETCD_MODULE: &str = "go.etcd.io/etcd/server/v3";
const KUBE_APISERVER: &str = "kube-apiserver";
const KUBERNETES_MODULE: &str = "k8s.io/kubernetes";

/// The two programs of a control plane.
#[derive(Debug, Clone)]
pub struct Assets {
    /// The etcd server.
    pub etcd: PathBuf,
    /// The Kubernetes API server.
    pub kube_apiserver: PathBuf,
}

/// Finds the programs, building them where need be; says on stderr what takes long.
///
/// - `KUBEBUILDER_ASSETS`, if set, is the folder that holds them, as for controller-runtime.
/// - Otherwise they are built with Go, once per pinned version, into
///   `target/control-plane/<version>/` of the workspace; `INFORMERD_TEST_ASSETS`, if set, stands
///   for `target/control-plane`. Two builders at once wait for each other.
///
/// Blocks; a first build takes many minutes.
///
/// # Errors
///
/// If a given folder lacks a program, or if there is no Go or its build fails.
pub fn assets() -> Result<Assets, Error> {
    if let Some(folder) = env::var_os("KUBEBUILDER_ASSETS").filter(|folder| !folder.is_empty()) {
        return Assets::given(Path::new(&folder));
    }
    let cache = match env::var_os("INFORMERD_TEST_ASSETS").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => {
            let package = Path::new(env!("CARGO_MANIFEST_DIR"));
            let workspace = package.ancestors().nth(2).unwrap_or(package);
            workspace.join("target/control-plane")
        }
    };
    Assets::built(&cache)
}

impl Assets {
    fn in_folder(folder: &Path) -> Self {
        Self { etcd: folder.join(ETCD), kube_apiserver: folder.join(KUBE_APISERVER) }
    }

    fn given(folder: &Path) -> Result<Self, Error> {
        let assets = Self::in_folder(folder);
        for (program, path) in [(ETCD, &assets.etcd), (KUBE_APISERVER, &assets.kube_apiserver)] {
            if !path.is_file() {
                return Err(Error::NoProgram { program, folder: folder.to_path_buf() });
            }
        }
        Ok(assets)
    }

    fn built(cache: &Path) -> Result<Self, Error> {
        let kubernetes = pinned_version(KUBERNETES_MODULE);
        let folder = cache.join(format!("{kubernetes}-etcd-{}", pinned_version(ETCD_MODULE)));
        let assets = Self::in_folder(&folder);
        if assets.etcd.is_file() && assets.kube_apiserver.is_file() {
            return Ok(assets);
        }

        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        // Held until the file is closed at the end of this function.
        let _building = lock(&folder.join("lock"))?;
        let go_module = Path::new(GO_MODULE);
        if !assets.etcd.is_file() {
            go_build(go_module, ETCD, ETCD_MODULE, "", &assets.etcd)?;
        }
        if !assets.kube_apiserver.is_file() {
            let package = format!("{KUBERNETES_MODULE}/cmd/kube-apiserver");
            let stamp = version_stamp(kubernetes);
            go_build(go_module, KUBE_APISERVER, &package, &stamp, &assets.kube_apiserver)?;
        }
        Ok(assets)
    }
}

/// The version that `go.mod` requires of a module.
fn pinned_version(module: &str) -> &'static str {
    GO_MOD
        .lines()
        .filter_map(|line| line.trim().strip_prefix(module)?.split_whitespace().next())
        .find(|word| word.starts_with('v'))
        .unwrap_or("unknown")
}

/// The linker flags that make `/version` tell the release that was built.
fn version_stamp(version: &str) -> String {
    let package = "k8s.io/component-base/version";
    let mut numbers = version.trim_start_matches('v').split('.');
    let major = numbers.next().unwrap_or_default();
    let minor = numbers.next().unwrap_or_default();
    format!(
        "-X {package}.gitVersion={version} -X {package}.gitMajor={major} \
         -X {package}.gitMinor={minor}"
    )
}

/// Locks the file at `path`, which is created if need be; other builders wait meanwhile.
fn lock(path: &Path) -> Result<File, Error> {
    let file = File::create(path).map_err(Error::io("create", path))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {
            eprintln!("control_plane: waiting for another builder of the programs");
        }
        Err(TryLockError::Error(source)) => return Err(Error::io("lock", path)(source)),
    }
    file.lock().map_err(Error::io("lock", path))?;
    Ok(file)
}

/// Builds a Go program once, into `binary`; `go_module` is the folder whose `go.mod` pins it. Says on
/// stderr that it does. Two builders at once wait for each other.
///
/// # Errors
///
/// If there is no Go or its build fails.
pub fn build_once(
    go_module: &Path,
    program: &'static str,
    package: &str,
    binary: &Path,
) -> Result<(), Error> {
    if binary.is_file() {
        return Ok(());
    }
    let folder = binary.parent().unwrap_or(binary);
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    // Held until the file is closed at the end of this function.
    let _building = lock(&folder.join("lock"))?;
    match binary.is_file() {
        true => Ok(()),
        false => go_build(go_module, program, package, "", binary),
    }
}

/// Builds one Go program and moves it to `binary` when it is whole.
fn go_build(
    go_module: &Path,
    program: &'static str,
    package: &str,
    stamp: &str,
    binary: &Path,
) -> Result<(), Error> {
    let log = binary.with_extension("build.log");
    let unfinished = binary.with_extension(format!("{}.tmp", process::id()));
    let output = File::create(&log).map_err(Error::io("create", &log))?;
    let errors = output.try_clone().map_err(Error::io("write", &log))?;

    eprintln!(
        "control_plane: building {program} with Go, once; this takes minutes ({})",
        log.display()
    );
    let begin = Instant::now();
    let status = Command::new("go")
        .current_dir(go_module)
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        .args(["build", "-trimpath", "-ldflags", &format!("-s -w {stamp}"), "-o"])
        .arg(&unfinished)
        .arg(package)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .status()
        .map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::NoGo { program },
            _ => Error::io("run", Path::new("go"))(source),
        })?;
    if !status.success() {
        let tail = log_tail(&log);
        return Err(Error::Build { program, log, tail });
    }
    fs::rename(&unfinished, binary).map_err(Error::io("create", binary))?;
    eprintln!("control_plane: built {program} in {} s", begin.elapsed().as_secs());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_mod_pins_both_programs() {
        assert!(pinned_version(KUBERNETES_MODULE).starts_with("v1."));
        assert!(pinned_version(ETCD_MODULE).starts_with("v3."));
    }

    #[test]
    fn stamp_carries_the_release() {
        let stamp = version_stamp("v1.36.3");
        assert!(stamp.contains("version.gitVersion=v1.36.3 "), "{stamp}");
        assert!(stamp.contains("version.gitMajor=1 "), "{stamp}");
        assert!(stamp.ends_with("version.gitMinor=36"), "{stamp}");
    }

    #[test]
    fn given_folder_must_hold_both() {
        let error = Assets::given(Path::new("/nonexistent")).unwrap_err();
        assert!(error.to_string().contains("there is no etcd in it"), "{error}");
    }
}
