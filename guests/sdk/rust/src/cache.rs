//! The host's cache: other objects than the one that a call is about.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;

use crate::bindings::informerd::handler::cache;
use crate::{Failure, Object, host};

/// The host's cache. What can be read, and how stale it may be, stands in the contract (`wit/cache.wit`).
#[derive(Clone, Copy, Debug)]
pub struct Cache<'call>(PhantomData<&'call ()>);

/// A question that the cache does not answer: its text says what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheError(pub String);

/// What to list. Made by [`Cache::list`] and [`Cache::by_index`].
#[derive(Clone, Debug)]
pub struct List<'call> {
    api_version: String,
    kind: String,
    by: By,
    page_size: u32,
    call: PhantomData<&'call ()>,
}

#[derive(Clone, Debug)]
enum By {
    Selector { namespace: Option<String>, label_selector: String },
    Index { index: String, value: String },
}

/// The pages of a list, one after the other; each is of the cache as it is when it is asked for. An error is
/// the last item.
#[derive(Debug)]
pub struct Pages<'call> {
    list: List<'call>,
    cursor: Option<String>,
    ended: bool,
}

/// Some of the objects of a list, by namespace and name. Dropping it makes room in the host, so that a
/// call can go through any number of objects page by page.
#[derive(Debug)]
pub struct Page<'call>(Vec<Object<'call>>);

impl<'call> Cache<'call> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }

    /// The object of this name; `namespace` is none for a cluster-scoped one.
    pub fn get(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Option<Object<'call>> {
        let found = host::cache::get(api_version, kind, namespace, name)?;
        Some(Object::new(found, None))
    }

    /// The objects of a kind.
    pub fn list(&self, api_version: impl Into<String>, kind: impl Into<String>) -> List<'call> {
        let by = By::Selector { namespace: None, label_selector: String::new() };
        List::new(api_version.into(), kind.into(), by)
    }

    /// The objects of a kind under one value of an index: `namespace`, or `owner` with a uid.
    pub fn by_index(
        &self,
        api_version: impl Into<String>,
        kind: impl Into<String>,
        index: impl Into<String>,
        value: impl Into<String>,
    ) -> List<'call> {
        let by = By::Index { index: index.into(), value: value.into() };
        List::new(api_version.into(), kind.into(), by)
    }
}

impl<'call> List<'call> {
    fn new(api_version: String, kind: String, by: By) -> Self {
        Self { api_version, kind, by, page_size: 0, call: PhantomData }
    }

    /// Only those in a namespace. An index has its own value instead.
    pub fn in_namespace(mut self, name: impl Into<String>) -> Self {
        if let By::Selector { namespace, .. } = &mut self.by {
            *namespace = Some(name.into());
        }
        self
    }

    /// Only those that a Kubernetes label selector selects. An index has its own value instead.
    pub fn labels(mut self, selector: impl Into<String>) -> Self {
        if let By::Selector { label_selector, .. } = &mut self.by {
            *label_selector = selector.into();
        }
        self
    }

    /// At most so many a page; 500 unless told, and never more.
    pub fn page_size(mut self, objects: u32) -> Self {
        self.page_size = objects;
        self
    }

    /// Asks for the pages, each when it is its turn.
    pub fn pages(self) -> Pages<'call> {
        Pages { list: self, cursor: None, ended: false }
    }

    fn page(&self, cursor: Option<&str>) -> Result<cache::Page, String> {
        let Self { api_version, kind, page_size, .. } = self;
        match &self.by {
            By::Selector { namespace, label_selector } => host::cache::list_objects(
                api_version,
                kind,
                namespace.as_deref(),
                label_selector,
                *page_size,
                cursor,
            ),
            By::Index { index, value } => {
                host::cache::list_by_index(api_version, kind, index, value, *page_size, cursor)
            }
        }
    }
}

impl<'call> Iterator for Pages<'call> {
    type Item = Result<Page<'call>, CacheError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let page = self.list.page(self.cursor.as_deref()).map_err(CacheError);
        self.cursor = page.as_ref().ok().and_then(|page| page.cursor.clone());
        self.ended = self.cursor.is_none();
        let objects = |page: cache::Page| {
            page.objects.into_iter().map(|ticket| Object::new(ticket, None)).collect()
        };
        Some(page.map(|page| Page(objects(page))))
    }
}

impl<'call> Deref for Page<'call> {
    type Target = [Object<'call>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'a, 'call> IntoIterator for &'a Page<'call> {
    type Item = &'a Object<'call>;
    type IntoIter = core::slice::Iter<'a, Object<'call>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        let tickets: Vec<_> = self.0.iter().map(Object::ticket).collect();
        host::cache::release(&tickets);
    }
}

impl fmt::Display for CacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for CacheError {}

/// For good: asking the same again would not help.
impl From<CacheError> for Failure {
    fn from(error: CacheError) -> Self {
        Self::Permanent(error.0)
    }
}
