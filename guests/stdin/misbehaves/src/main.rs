//! Does what no command should do, as the name of the object says.

use std::io::{self, BufRead as _, Write as _};
use std::process::ExitCode;

use serde_json::{Value, json};

fn main() -> ExitCode {
    let mut handled = 0;
    for line in io::stdin().lock().lines() {
        let line: Value = serde_json::from_str(&line.expect("there is a next line"))
            .expect("the line is as promised");
        let ok = json!({ "id": line["id"], "result": "ok" });
        match (line["type"].as_str(), line["config"]["refuse"].as_str()) {
            (Some("init"), Some("unasked")) => println!("{ok}\n{ok}"),
            (Some("init"), Some(reason)) => {
                println!("{}", json!({ "id": 0, "result": "permanent", "reason": reason }));
            }
            (Some("add"), _) => {
                handled += 1;
                eprintln!("the {handled}. of this instance");
                match line["key"]["name"].as_str().unwrap_or_default() {
                    "garbage" => println!("Hello, world!"),
                    "other-id" => println!("{}", json!({ "id": 4711, "result": "ok" })),
                    "no-result" => println!("{}", json!({ "id": line["id"] })),
                    "twice" => println!("{ok}\n{ok}"),
                    "silent" => {}
                    "unended" => print(&ok.to_string()),
                    "too-long" => print(&"x".repeat(100_000)),
                    "exits" => return ExitCode::SUCCESS,
                    "fails" => {
                        println!("{ok}");
                        eprintln!("no more of this");
                        return ExitCode::from(3);
                    }
                    "loops" => loop {
                        std::hint::spin_loop();
                    },
                    "retries" if handled == 1 => println!(
                        "{}",
                        json!({ "id": line["id"], "result": "retry", "afterMs": 1, "reason": "later" })
                    ),
                    _ => println!("{ok}"),
                }
            }
            _ => println!("{ok}"),
        }
    }
    ExitCode::SUCCESS
}

fn print(text: &str) {
    print!("{text}");
    io::stdout().flush().expect("the host reads it");
}
