//! The peer: kube-rs' watcher and reflector, as its documentation puts them together.
//!
//! in:   a kubeconfig; how many objects and updates there will be
//! out:  `synced`, `delivered` and `relisted` on standard output, as soon as it is so
//! runs: in a process of its own, on tokio's default runtime
//!
//! Its handler counts. That is less than informerd does, which tells the old state, too, and runs a
//! sandboxed handler.

use std::fmt::Debug;
use std::hash::Hash;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use futures_util::{StreamExt, TryStreamExt, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{GroupVersionKind, PartialObjectMeta};
use kube::discovery::oneshot;
use kube::runtime::reflector::store::Writer;
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Client, Config, Resource, ResourceExt};
use serde::de::DeserializeOwned;

/// What the peer needs to know.
#[derive(Debug, Args)]
pub(crate) struct PeerArgs {
    #[arg(long)]
    pub(crate) kubeconfig: PathBuf,
    #[arg(long, value_enum)]
    pub(crate) objects_as: ObjectsAs,
    /// Drop managedFields before an object is cached, as kube's documentation suggests.
    #[arg(long)]
    pub(crate) without_managed_fields: bool,
    /// Ask for a watch-list; otherwise kube's default, a paged list.
    #[arg(long)]
    pub(crate) streaming_list: bool,
    #[arg(long)]
    pub(crate) pods: usize,
    #[arg(long)]
    pub(crate) updates: usize,
}

/// What an object becomes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ObjectsAs {
    /// Any kind, as informerd watches any kind.
    DynamicObject,
    /// A type known when the program is compiled.
    Pod,
    /// The metadata of a Pod, which is all that is asked for.
    Metadata,
}

/// Runs until all updates have been delivered, then waits to be ended.
pub(crate) async fn run(args: PeerArgs) -> anyhow::Result<()> {
    let kubeconfig = Kubeconfig::read_from(&args.kubeconfig)?;
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    let client = Client::try_from(config)?;
    match args.objects_as {
        ObjectsAs::DynamicObject => {
            let pod = GroupVersionKind::gvk("", "v1", "Pod");
            let (kind, _) = oneshot::pinned_kind(&client, &pod).await?;
            let api = Api::<DynamicObject>::all_with(client, &kind);
            reflect(api, Writer::new(kind), &args).await
        }
        ObjectsAs::Pod => reflect(Api::<Pod>::all(client), Writer::default(), &args).await,
        ObjectsAs::Metadata => {
            let api = Api::<PartialObjectMeta<Pod>>::all(client);
            reflect(api, Writer::default(), &args).await
        }
    }
}

async fn reflect<K>(api: Api<K>, writer: Writer<K>, args: &PeerArgs) -> anyhow::Result<()>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Clone + Debug + Eq + Hash + Unpin,
{
    let mut config = watcher::Config::default();
    if args.streaming_list {
        config = config.streaming_lists();
    }
    let store = writer.as_reader();
    let trim = args.without_managed_fields;
    let events = watcher(api, config).default_backoff().map_ok(move |event| match trim {
        true => event.modify(|object| object.managed_fields_mut().clear()),
        false => event,
    });
    let events = reflector(writer, events);
    pin_mut!(events);
    let (mut listed, mut updated) = (0, 0);
    while let Some(event) = events.next().await {
        let event = match event {
            // It lists again by itself.
            Err(watcher::Error::WatchError(status)) if status.code == 410 => continue,
            event => event?,
        };
        match event {
            watcher::Event::Init => listed = 0,
            watcher::Event::InitApply(_) => listed += 1,
            watcher::Event::InitDone => {
                anyhow::ensure!(listed == args.pods && store.len() == listed, "{listed} listed");
                println!("{}", if updated < args.updates { SYNCED } else { RELISTED });
            }
            watcher::Event::Apply(_) => {
                updated += 1;
                if updated == args.updates {
                    println!("{DELIVERED}");
                }
            }
            watcher::Event::Delete(_) => anyhow::bail!("nothing is ever deleted"),
        }
    }
    Err(anyhow::Error::msg("the stream never ends")).context("the watch")
}

/// Printed when the initial list is in the cache.
pub(crate) const SYNCED: &str = "synced";

/// Printed when all updates have been handled.
pub(crate) const DELIVERED: &str = "delivered";

/// Printed when the list after them is in the cache.
pub(crate) const RELISTED: &str = "relisted";
