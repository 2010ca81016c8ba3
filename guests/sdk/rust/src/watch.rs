//! What a handler watches.

use alloc::string::String;
use alloc::vec::Vec;

use crate::Watch;

impl Watch {
    /// All objects of a kind. Narrow it by its fields:
    ///
    /// ```
    /// # use informerd_handler::Watch;
    /// let web = Watch { label_selector: "app=web".into(), ..Watch::all("v1", "Pod") };
    /// ```
    pub fn all(api_version: impl Into<String>, kind: impl Into<String>) -> Self {
        Self {
            api_version: api_version.into(),
            kind: kind.into(),
            namespaces: Vec::new(),
            label_selector: String::new(),
            field_selector: String::new(),
        }
    }

    /// All objects of a type of k8s-openapi: `Watch::kind::<Pod>()`.
    #[cfg(feature = "k8s-openapi")]
    pub fn kind<K: k8s_openapi::Resource>() -> Self {
        Self::all(K::API_VERSION, K::KIND)
    }
}
