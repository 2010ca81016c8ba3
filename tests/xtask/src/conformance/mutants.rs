//! Bugs, one at a time, that the traces must notice.
//!
//! A mutant is one change of the informer's source. It is applied to a copy of the informer and of
//! the traces under `target/mutants`, which then have to say that it differs from client-go.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use crate::setup::{Workspace, cargo, line};

/// What became of the mutants.
pub(super) struct Mutants {
    pub(super) count: usize,
    /// Those that nothing noticed.
    pub(super) survivors: Vec<&'static str>,
}

struct Mutant {
    name: &'static str,
    /// In the informer's `src`.
    file: &'static str,
    /// Stands there exactly once.
    from: &'static str,
    to: &'static str,
}

pub(super) fn run(workspace: &Workspace) -> Result<Mutants> {
    let copy = Copy::prepare(workspace)?;
    let unchanged = copy.verdict()?;
    ensure!(unchanged == Verdict::Equal, "without a mutant, too, the traces differ");
    let mut survivors = Vec::new();
    for mutant in &MUTANTS {
        let begin = Instant::now();
        copy.apply(mutant)?;
        let verdict = copy.verdict().with_context(|| format!("mutant `{}`", mutant.name))?;
        copy.revert(mutant)?;
        let (name, seconds) = (mutant.name, begin.elapsed().as_secs());
        match verdict {
            Verdict::Different => println!("caught in {seconds} s: {name}"),
            Verdict::Equal => {
                println!("NOT CAUGHT in {seconds} s: {name}");
                survivors.push(name);
            }
        }
    }
    Ok(Mutants { count: MUTANTS.len(), survivors })
}

#[derive(PartialEq)]
enum Verdict {
    Equal,
    Different,
}

/// The sources that are changed and built.
struct Copy(PathBuf);

impl Copy {
    /// A workspace of these packages, with the versions and profiles of the real one.
    fn prepare(workspace: &Workspace) -> Result<Self> {
        let copy = workspace.target.join("mutants");
        for folder in PACKAGES {
            // What is no more in the sources must not be there either.
            match fs::remove_dir_all(copy.join(folder)) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot empty {folder}'s copy"));
                }
                _ => {}
            }
            copy_folder(Path::new(folder), &copy.join(folder))?;
        }
        let manifest = read(Path::new("Cargo.toml"))?;
        let (before, rest) = manifest.split_once("members = [").context("Cargo.toml: members")?;
        let (_, after) = rest.split_once(']').context("Cargo.toml: the end of members")?;
        write(&copy.join("Cargo.toml"), &format!("{before}members = {PACKAGES:?}{after}"))?;
        write(&copy.join("Cargo.lock"), &read(Path::new("Cargo.lock"))?)?;
        Ok(Self(copy))
    }

    fn apply(&self, mutant: &Mutant) -> Result<()> {
        let Mutant { name, file, from, to } = mutant;
        let source = read(&original(mutant))?;
        let times = source.matches(from).count();
        ensure!(times == 1, "mutant `{name}`: what it changes is {times} times in {file}");
        write(&self.0.join(original(mutant)), &source.replacen(from, to, 1))
    }

    fn revert(&self, mutant: &Mutant) -> Result<()> {
        write(&self.0.join(original(mutant)), &read(&original(mutant))?)
    }

    fn verdict(&self) -> Result<Verdict> {
        let mut conformance = cargo();
        conformance.current_dir(&self.0).args(["run", "--quiet", "--package", "conformance", "--"]);
        conformance.args(["--seed", "1"]).args(TRACES).env_remove("CARGO_TARGET_DIR");
        let output = conformance.stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("cannot start `{}`", line(&conformance)))?;
        let said = String::from_utf8_lossy(&output.stdout);
        match output.status.code() {
            Some(0) => Ok(Verdict::Equal),
            Some(1) if said.contains("DIFFERENT") => Ok(Verdict::Different),
            _ => bail!("{}\n{said}{}", output.status, String::from_utf8_lossy(&output.stderr)),
        }
    }
}

fn original(mutant: &Mutant) -> PathBuf {
    Path::new(PACKAGES[0]).join("src").join(mutant.file)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let entries = fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type()?.is_dir() {
            true => copy_folder(&from, &to)?,
            false => write(&to, &read(&from)?)?,
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// What is mutated, then what notices it.
const PACKAGES: [&str; 3] = ["host/informer", "tests/conformance", "tests/client_go"];

/// Enough to notice every mutant, and few enough to try them all.
const TRACES: [&str; 6] =
    ["--queue-traces", "3000", "--store-traces", "1500", "--informer-traces", "150"];

const MUTANTS: [Mutant; 24] = [
    Mutant {
        name: "a deletion that a list shows is not queued",
        file: "delta_fifo.rs",
        from: "        missing.extend(known_objects.objects_where(|key| gone(key) && !queued(key)));\n",
        to: "",
    },
    Mutant {
        name: "a resync goes over a queued update",
        file: "delta_fifo.rs",
        from: "known_objects.objects_where(|key| !self.items.contains_key(key))",
        to: "known_objects.objects_where(|_| true)",
    },
    Mutant {
        name: "of two deletions the one without the final state is kept",
        file: "delta_fifo.rs",
        from: "if matches!(older, Delta::DeletedFinalStateUnknown(_))",
        to: "if !matches!(older, Delta::DeletedFinalStateUnknown(_))",
    },
    Mutant {
        name: "the deletion of an unknown object is queued",
        file: "delta_fifo.rs",
        from: "Ok(object) if is_known(&object.key) =>",
        to: "Ok(object) if is_known(&object.key) || true =>",
    },
    Mutant {
        name: "the newest key jumps the line",
        file: "delta_fifo.rs",
        from: "let Some(key) = self.queue.pop_front()",
        to: "let Some(key) = self.queue.pop_back()",
    },
    Mutant {
        name: "the first list ends before its deletions",
        file: "delta_fifo.rs",
        from: "self.queue.len() + missing.iter().filter(|object| !queued(&object.key)).count()",
        to: "self.queue.len()",
    },
    Mutant {
        name: "a list comes before its deletions",
        file: "real_fifo.rs",
        from: "            self.push_deletions(&keys, known_objects);\n            \
               self.items.extend(listed.into_iter().map(Delta::Replaced));\n",
        to: "            self.items.extend(listed.into_iter().map(Delta::Replaced));\n            \
             self.push_deletions(&keys, known_objects);\n",
    },
    Mutant {
        name: "a batch has an object twice",
        file: "real_fifo.rs",
        from: "delta.key().is_some_and(|key| keys.insert(key))",
        to: "delta.key().is_some_and(|key| keys.insert(key) || true)",
    },
    Mutant {
        name: "a batch goes beyond the first list",
        file: "real_fifo.rs",
        from: "initial => self.options.batch_size.min(initial),",
        to: "_ => self.options.batch_size,",
    },
    Mutant {
        name: "what is queued as deleted is deleted again",
        file: "real_fifo.rs",
        from: "newest.get(*key).filter(|delta| !delta.is_deletion())?.object()",
        to: "newest.get(*key)?.object()",
    },
    Mutant {
        name: "a bookmark is not queued",
        file: "real_fifo.rs",
        from: "            self.items.push_back(Delta::Bookmark { resource_version });\n",
        to: "            drop(resource_version);\n",
    },
    Mutant {
        name: "deltas are applied newest first",
        file: "process_loop.rs",
        from: "    let mut transaction = indexer.transaction();\n",
        to: "    let mut transaction = indexer.transaction();\n    \
             deltas.make_contiguous().reverse();\n",
    },
    Mutant {
        name: "what a list has no more is not told",
        file: "process_loop.rs",
        from: "    changes.extend(gone.map(|last| Change::of_deletion(last.clone(), true)));\n",
        to: "    drop(gone);\n",
    },
    Mutant {
        name: "a handler that joins is told what is cached and not what follows",
        file: "process_loop.rs",
        from: "        self.shared_processor.add_listener(queue, resync_period);\n",
        to: "        let _ = resync_period;\n",
    },
    Mutant {
        name: "a handler that joins is told what follows and not what is cached",
        file: "process_loop.rs",
        from: "for object in self.indexer.lister().list() {",
        to: "for object in Vec::new() {",
    },
    Mutant {
        name: "what a late handler is told at first is not marked",
        file: "process_loop.rs",
        from: "queue.push(Notification::Added { object, in_initial_list: true });",
        to: "queue.push(Notification::Added { object, in_initial_list: false });",
    },
    Mutant {
        name: "a list that was read is watched from its beginning",
        file: "reflector.rs",
        from: "        self.last_sync_resource_version = version;\n        Ok(())\n",
        to: "        drop(version);\n        Ok(())\n",
    },
    Mutant {
        name: "the version moves before the event is applied, which is lost",
        file: "reflector.rs",
        from: "            self.hand_over(reflected).await?;\n",
        to: "            if resource_version.ends_with('7') { self.last_sync_resource_version = \
             resource_version; continue; }\n            self.hand_over(reflected).await?;\n",
    },
    Mutant {
        name: "a watch that expired is opened again without a list",
        file: "reflector.rs",
        from: "                    tracing::debug!(message, \"the watch's version expired, listing again\");\n                    \
               return Ok(());\n",
        to: "                    drop(message); self.last_sync_resource_version = \"0\".to_owned();\n                    \
             sleep(VERY_SHORT_WATCH).await;\n",
    },
    Mutant {
        name: "a resync is told to everybody",
        file: "shared_processor.rs",
        from: "let concerned = !is_sync ||",
        to: "let concerned = is_sync || !is_sync ||",
    },
    Mutant {
        name: "a resync comes once",
        file: "shared_processor.rs",
        from: "*it.next.get_or_insert(now + it.period)",
        to: "*it.next.get_or_insert(now + RESYNC_PERIOD_MAX)",
    },
    Mutant {
        name: "an object stays under the index values it had",
        file: "indexer.rs",
        from: "                keys.remove(key);\n",
        to: "",
    },
    Mutant {
        name: "a list leaves the indices as they were",
        file: "indexer.rs",
        from: "            index.rebuild(name, &old, &cache.objects);\n",
        to: "            let _ = (name, &index);\n",
    },
    Mutant {
        name: "a deletion does not move the cache's version",
        file: "indexer.rs",
        from: "        if let Some(resource_version) = deleted_at {\n            \
               self.0.reached(resource_version);\n        }\n",
        to: "        let _ = deleted_at;\n",
    },
];
