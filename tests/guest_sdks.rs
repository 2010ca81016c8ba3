//! The tests of the SDKs (`guests/sdk`) that are not Rust's, run by their languages' tools as the READMEs say.

#[test]
fn go() {
    passes("sdk/go");
}

/// Beside the audit trail, so that no project has them in its copy of the SDK.
#[test]
fn javascript() {
    passes("audit/javascript");
}

#[test]
fn python() {
    passes("sdk/python");
}

fn passes(guest: &str) {
    toolchains::test(guest).unwrap_or_else(|error| panic!("{error}"));
}
