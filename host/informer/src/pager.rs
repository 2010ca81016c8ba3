//! Reads a whole collection page by page.
//!
//! client-go: `ListPager` (rules PG).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::lister_watcher::{ListOptions, ListPage, ListerWatcher, ListerWatcherError};
use crate::object::Object;
use crate::queue::LeftOut;

/// client-go: `defaultPageSize`.
pub(crate) const PAGE_SIZE: u32 = 500;

/// A complete list.
#[derive(Debug, Default)]
pub(crate) struct List {
    /// The version of the first page.
    pub(crate) resource_version: String,
    pub(crate) objects: Vec<Arc<Object>>,
    pub(crate) rejected: Vec<String>,
    pub(crate) left_out: LeftOut,
    /// An object is in an older state than the one that could not be read.
    pub(crate) outdated: bool,
    /// More than one page was read.
    pub(crate) paginated: bool,
}

/// Lists everything at `resource_version`, in pages of `limit`. If a later page has expired,
/// everything is asked for once more without pages; if that expires too, it is an error. `on_page`
/// adds the objects of a page to those of the pages before.
pub(crate) async fn list<L: ListerWatcher>(
    lister_watcher: &L,
    resource_version: &str,
    limit: Option<u32>,
    mut on_page: impl FnMut(Vec<Arc<Object>>, &mut Vec<Arc<Object>>),
) -> Result<List, ListerWatcherError> {
    let first =
        ListOptions { resource_version: resource_version.to_owned(), limit, continue_token: None };
    let mut options = first.clone();
    let mut list = List::default();
    let mut has_expired = false;
    loop {
        let ListPage { resource_version, continue_token, objects, rejected, rejected_keys } =
            match page(lister_watcher, &options).await {
                Err(ListerWatcherError::Expired(_))
                    if options.continue_token.is_some() && !has_expired =>
                {
                    has_expired = true;
                    list = List { paginated: true, ..List::default() };
                    options = ListOptions { limit: None, ..first.clone() };
                    page(lister_watcher, &options).await?
                }
                page => page?,
            };
        if options.continue_token.is_none() {
            list.resource_version = resource_version;
        }
        on_page(objects, &mut list.objects);
        list.left_out.others |= rejected.len() > rejected_keys.len();
        list.left_out.keys.extend(rejected_keys);
        list.rejected.extend(rejected);
        match continue_token.filter(|token| !token.is_empty()) {
            None => return Ok(list),
            Some(token) => {
                list.paginated = true;
                options.resource_version.clear();
                options.continue_token = Some(token);
            }
        }
    }
}

async fn page<L: ListerWatcher>(
    lister_watcher: &L,
    options: &ListOptions,
) -> Result<ListPage, ListerWatcherError> {
    timeout(PAGE_TIMEOUT, lister_watcher.list(options)).await.unwrap_or_else(|_| {
        Err(ListerWatcherError::Unavailable("the list request was not answered".to_owned()))
    })
}

/// An API server gives a list one minute (`--request-timeout`); the rest is for a slow network. A
/// connection that is half open would otherwise hold the reflector for ever.
const PAGE_TIMEOUT: Duration = Duration::from_secs(5 * 60);
