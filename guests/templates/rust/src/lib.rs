//! Says hello to pods, and tells of their phases.

use informerd_handler::{Failure, Handler, Object, Watch, config, info};

struct Greeter {
    greeting: String,
}

informerd_handler::export!(Greeter);

impl Handler for Greeter {
    fn watches() -> Vec<Watch> {
        vec![Watch::all("v1", "Pod")]
    }

    fn new() -> Result<Self, String> {
        let greeting = config::get_string("greeting").unwrap_or_else(|| "hello".to_owned());
        Ok(Self { greeting })
    }

    fn on_add(&mut self, pod: Object<'_>, _is_in_initial_list: bool) -> Result<(), Failure> {
        info!("{} {}", self.greeting, pod.key());
        Ok(())
    }

    fn on_update(&mut self, old: Object<'_>, new: Object<'_>) -> Result<(), Failure> {
        let (before, after) = (old.get_string("/status/phase"), new.get_string("/status/phase"));
        if before != after {
            info!("{} is {}", new.key(), after.as_deref().unwrap_or("without a phase"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use informerd_handler::testing;

    use super::*;

    fn pod(phase: &str) -> Object<'static> {
        testing::object(&format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"namespace":"demo","name":"web-1"}},
                "status":{{"phase":"{phase}"}}}}"#
        ))
    }

    fn said() -> Vec<String> {
        testing::take_log().into_iter().map(|line| line.message).collect()
    }

    #[test]
    fn a_pod_is_greeted_and_followed() {
        let mut greeter = Greeter::new().unwrap();
        greeter.on_add(pod("Pending"), false).unwrap();
        greeter.on_update(pod("Pending"), pod("Pending")).unwrap();
        greeter.on_update(pod("Pending"), pod("Running")).unwrap();
        assert_eq!(said(), ["hello demo/web-1", "demo/web-1 is Running"]);
    }

    #[test]
    fn the_greeting_can_be_configured() {
        testing::set_config(r#"{"greeting": "moin"}"#);
        Greeter::new().unwrap().on_add(pod("Pending"), true).unwrap();
        assert_eq!(said(), ["moin demo/web-1"]);
    }
}
