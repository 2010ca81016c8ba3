//! An embedded API server, and hosts on it.

use dev_api_server::{ApiServer, Settings, Storage};
use host::modules::ModuleFetcher;
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::test_host::TestHost;

/// Ends with its test.
pub struct Dev(ApiServer);

impl Dev {
    pub async fn start() -> Self {
        let address = ([127, 0, 0, 1], 0).into();
        Self(ApiServer::bind(address, Settings::default()).await.expect("a free port"))
    }

    pub async fn host(&self) -> TestHost {
        TestHost::start(self.client()).await
    }

    pub fn client(&self) -> Client {
        let config = Config::new(self.0.url().parse().expect("a URL"));
        Client::try_from(config).expect("a plain configuration")
    }

    /// As `host`, with what fetches modules.
    pub async fn host_with(&self, modules: ModuleFetcher) -> TestHost {
        let config = Config::new(self.0.url().parse().expect("a URL"));
        let client = Client::try_from(config).expect("a plain configuration");
        TestHost::start_with(client, modules).await
    }

    pub fn storage(&self) -> Storage {
        self.0.storage()
    }

    /// Creates or changes a config map in the namespace `default`.
    pub fn apply(&self, name: &str, value: &str) {
        let map = config_map_with(name, json!({ "value": value }));
        self.storage().apply(map).expect("a good object");
    }

    pub fn delete(&self, name: &str) {
        self.storage().delete("v1", "ConfigMap", "default", name).expect("it is there");
    }
}

/// A config map in the namespace `default`.
pub fn config_map_with(name: &str, data: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": "default" }, "data": data })
}
