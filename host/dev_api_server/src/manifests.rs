//! `ManifestsDir`: objects that are what a directory of manifests says.
//!
//! in: `.yaml`, `.yml` and `.json` files below the directory, several documents or a List each;
//! out: applies and deletes in `storage`. runs: one task; any change in the directory leads to a
//! scan of all of it, once it is quiet. A file that cannot be understood counts as it last did.
//! Between two scans an object gets only what changed in its manifest, so what clients wrote stays.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, timeout_at};

use crate::storage::Storage;

/// A directory whose manifests are kept applied. Dropping it leaves the objects as they are.
///
/// Names that begin with a dot are not looked at, and symbolic links to directories not followed.
pub struct ManifestsDir {
    tasks: JoinSet<()>,
}

impl ManifestsDir {
    /// Applies every manifest in the directory, then follows what becomes of them. Fails if the
    /// directory cannot be read; problems with manifests are warnings.
    pub async fn open(storage: Storage, dir: impl Into<PathBuf>) -> io::Result<ManifestsDir> {
        let dir = dir.into();
        // One is enough to know that something changed.
        let (changed, changes) = mpsc::channel(1);
        let watcher = watch(&dir, changed).map_err(io::Error::other)?;
        let mut manifests = Manifests::new(storage, dir);
        let manifests = spawn_blocking(|| manifests.scan().map(|()| manifests)).await??;
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(manifests, watcher, changes));
        Ok(ManifestsDir { tasks })
    }

    /// Stops following the directory; the objects stay.
    pub async fn close(mut self) {
        self.tasks.shutdown().await;
    }
}

fn watch(dir: &Path, changed: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let on_event = move |event: notify::Result<Event>| {
        let wrote = EventKind::Access(AccessKind::Close(AccessMode::Write));
        // A scan opens and reads files: only what is not reading may lead to the next scan.
        if event.is_ok_and(|it| it.kind.is_access() && it.kind != wrote) {
            return;
        }
        // Full means that a scan is due anyway.
        let _ = changed.try_send(());
    };
    let mut watcher = notify::recommended_watcher(on_event)?;
    watcher.watch(dir, RecursiveMode::Recursive)?;
    Ok(watcher)
}

async fn follow(
    mut manifests: Manifests,
    watcher: RecommendedWatcher,
    mut changes: mpsc::Receiver<()>,
) {
    while changes.recv().await.is_some() {
        // An editor's save is several events, and between them the file may be empty or gone.
        let latest = Instant::now() + UNQUIET_MAX;
        while timeout_at(latest.min(Instant::now() + QUIET), changes.recv()).await.is_ok() {}
        let scanned = spawn_blocking(move || {
            if let Err(error) = manifests.scan() {
                let dir = manifests.dir.display();
                tracing::warn!(%dir, %error, "cannot read the directory, its objects are kept");
            }
            manifests
        });
        match scanned.await {
            Ok(scanned) => manifests = scanned,
            Err(_) => break,
        }
    }
    drop(watcher);
}

/// What was read and applied so far.
struct Manifests {
    storage: Storage,
    dir: PathBuf,
    files: BTreeMap<PathBuf, File>,
    applied: BTreeMap<ManifestKey, Value>,
    /// Those of the last scan, so that each is told once.
    problems: BTreeSet<Problem>,
}

/// A file's bytes, and the manifests of its last good state.
#[derive(Default)]
struct File {
    content: Vec<u8>,
    manifests: Vec<Manifest>,
    problem: Option<Problem>,
}

#[derive(Debug, Clone)]
struct Manifest {
    key: ManifestKey,
    /// Counted from one, without empty documents.
    document: usize,
    value: Value,
}

/// Which object a manifest is about, in the order in which objects are applied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ManifestKey {
    rank: u8,
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
}

/// Why a manifest, or the file with it, is not taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    path: PathBuf,
    document: usize,
    problem: String,
}

impl Manifests {
    fn new(storage: Storage, dir: PathBuf) -> Manifests {
        let (files, applied, problems) = Default::default();
        Manifests { storage, dir, files, applied, problems }
    }

    fn scan(&mut self) -> io::Result<()> {
        self.read()?;
        let mut problems = BTreeSet::new();
        let desired = desired(&self.files, &mut problems);
        let gone = self.applied.keys().rev().filter(|key| !desired.contains_key(key));
        for key in gone.cloned().collect::<Vec<_>>() {
            self.applied.remove(&key);
            // An object that a client has deleted already is gone as it should be.
            let _ = self.storage.delete(&key.api_version, &key.kind, &key.namespace, &key.name);
        }
        // With its definition a custom object went; it has to be applied again if that returns.
        self.applied.retain(|key, _| {
            self.storage.lock().resources.of_kind(&key.api_version, &key.kind).is_some()
        });
        for (key, (path, manifest)) in desired {
            problems.extend(self.apply(key, path, manifest));
        }
        problems.extend(self.files.values().filter_map(|it| it.problem.clone()));
        for Problem { path, document, problem } in problems.difference(&self.problems) {
            tracing::warn!(file = %path.display(), document, %problem, "a manifest is not applied");
        }
        self.problems = problems;
        Ok(())
    }

    fn apply(&mut self, key: ManifestKey, path: PathBuf, manifest: Manifest) -> Option<Problem> {
        let Manifest { document, value, .. } = manifest;
        let previous = self.applied.get(&key);
        if previous == Some(&value) {
            return None;
        }
        let applied = self.storage.lock().apply(previous, &value);
        match applied {
            Ok(_) => {
                self.applied.insert(key, value);
                None
            }
            Err(status) => Some(Problem { path, document, problem: status.to_string() }),
        }
    }

    /// Reads the files that changed; forgets those that are gone.
    fn read(&mut self) -> io::Result<()> {
        let mut paths = Vec::new();
        find(&self.dir, &mut paths)?;
        self.files.retain(|path, _| paths.contains(path));
        for path in paths {
            let content = match fs::read(&path) {
                Ok(content) => content,
                // Just renamed or removed: the event of that leads to another scan.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    tracing::warn!(file = %path.display(), %error, "cannot read a manifest");
                    continue;
                }
            };
            let file = self.files.entry(path.clone()).or_default();
            if file.content == content && !content.is_empty() {
                continue;
            }
            match manifests(&path, &content) {
                Ok(manifests) => *file = File { content, manifests, problem: None },
                Err(problem) => {
                    file.content = content;
                    file.problem = Some(problem);
                }
            }
        }
        Ok(())
    }
}

/// One manifest per object: the first one, by path.
fn desired(
    files: &BTreeMap<PathBuf, File>,
    problems: &mut BTreeSet<Problem>,
) -> BTreeMap<ManifestKey, (PathBuf, Manifest)> {
    let mut desired: BTreeMap<ManifestKey, (PathBuf, Manifest)> = BTreeMap::new();
    let all = files.iter().flat_map(|(path, file)| file.manifests.iter().map(move |it| (path, it)));
    for (path, manifest) in all {
        if let Some((first, _)) = desired.get(&manifest.key) {
            let problem = format!("{} has this object already", first.display());
            let document = manifest.document;
            problems.insert(Problem { path: path.clone(), document, problem });
            continue;
        }
        desired.insert(manifest.key.clone(), (path.clone(), manifest.clone()));
    }
    desired
}

fn find(dir: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            match find(&path, paths) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                found => found?,
            }
        } else if ["yaml", "yml", "json"].map(OsStr::new).map(Some).contains(&path.extension()) {
            paths.push(path);
        }
    }
    Ok(())
}

/// A file's manifests, or the first problem, for which the file counts as it last did.
fn manifests(path: &Path, content: &[u8]) -> Result<Vec<Manifest>, Problem> {
    let problem = |document, why: String| {
        let problem = format!("{why}; the file counts as it last did");
        Problem { path: path.to_owned(), document, problem }
    };
    if content.is_empty() {
        // As likely being written as meant; removing the file is unmistakable.
        return Err(problem(1, "the file is empty".to_owned()));
    }
    let documents: Vec<Result<Value, String>> = if path.extension() == Some(OsStr::new("json")) {
        let values = serde_json::Deserializer::from_slice(content).into_iter();
        values.map(|it| it.map_err(|error| error.to_string())).collect()
    } else {
        let options = serde_saphyr::options! {
            // Local files may be as large as they like, and are read as kubectl does.
            budget: None, legacy_octal_numbers: true, with_snippet: false,
        };
        let mut content = content;
        let values = serde_saphyr::read_with_options(&mut content, options);
        values.map(|it| it.map_err(|error| error.to_string())).collect()
    };
    let mut manifests = Vec::new();
    for (index, value) in documents.into_iter().enumerate() {
        let document = index + 1;
        let collected = value.and_then(|value| collect(value, document, &mut manifests));
        collected.map_err(|why| problem(document, why))?;
    }
    Ok(manifests)
}

/// A manifest as it is, or the items of a List, which may leave apiVersion and kind to it.
fn collect(value: Value, document: usize, manifests: &mut Vec<Manifest>) -> Result<(), String> {
    let text = |pointer: &str| {
        let text = value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        text.to_owned()
    };
    let (api_version, kind) = (text("/apiVersion"), text("/kind"));
    if let (Some(item_kind), Some(items)) = (kind.strip_suffix("List"), value["items"].as_array()) {
        for item in items {
            let mut item = item.clone();
            if let (Some(item), false) = (item.as_object_mut(), item_kind.is_empty()) {
                item.entry("apiVersion").or_insert_with(|| api_version.as_str().into());
                item.entry("kind").or_insert_with(|| item_kind.into());
            }
            collect(item, document, manifests)?;
        }
        return Ok(());
    }
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    for (field, text) in [("apiVersion", &api_version), ("kind", &kind), ("metadata.name", &name)] {
        if text.is_empty() {
            return Err(format!("{field} is missing"));
        }
    }
    let rank = match kind.as_str() {
        "Namespace" => 0,
        "CustomResourceDefinition" => 1,
        _ => 2,
    };
    let namespace = if namespace == "default" { String::new() } else { namespace };
    let key = ManifestKey { rank, api_version, kind, namespace, name };
    manifests.push(Manifest { key, document, value });
    Ok(())
}

/// How long nothing must happen before a scan.
const QUIET: Duration = Duration::from_millis(200);
/// The longest that a scan is put off in a directory that is never quiet.
const UNQUIET_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(path: &str, content: &str) -> Problem {
        manifests(Path::new(path), content.as_bytes()).unwrap_err()
    }

    #[test]
    fn documents_and_lists_are_taken_apart() {
        let content = "
# Nothing but a comment.
---
{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {mode: 0644, on: yes}}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: b}}
---
{apiVersion: apps/v1, kind: DeploymentList, items: [{metadata: {name: c}}]}
";
        let manifests = manifests(Path::new("x.yaml"), content.as_bytes()).unwrap();
        let keys = manifests.iter().map(|it| format!("{}/{}", it.key.kind, it.key.name));
        assert_eq!(keys.collect::<Vec<_>>(), ["Pod/a", "Namespace/b", "Deployment/c"]);
        assert_eq!(manifests[0].value["spec"]["mode"], 420);
        assert_eq!(manifests[2].value["apiVersion"], "apps/v1");
    }

    #[test]
    fn a_problem_names_its_document() {
        let good = "{apiVersion: v1, kind: Pod, metadata: {name: a}}";
        let missing = problem("x.yml", &format!("{good}\n---\nkind: Pod\nmetadata: {{name: b}}"));
        assert_eq!(missing.document, 2);
        assert!(missing.problem.starts_with("apiVersion is missing"), "{}", missing.problem);
        let broken = problem("x.yaml", &format!("{good}\n---\n{good}\n---\nkind: [Pod"));
        assert_eq!(broken.document, 3);
        assert!(broken.problem.contains("line 5"), "{}", broken.problem);
        assert_eq!(problem("x.json", r#"{"kind": "Pod""#).document, 1);
        assert!(problem("x.yaml", "").problem.starts_with("the file is empty"));
        assert!(problem("x.yaml", "- a").problem.starts_with("apiVersion is missing"));
    }
}
