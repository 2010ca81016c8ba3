//! Builds the control plane's programs where need be, and prints where they are.

use std::process::ExitCode;

fn main() -> ExitCode {
    match control_plane::assets() {
        Ok(assets) => {
            println!("{}", assets.etcd.display());
            println!("{}", assets.kube_apiserver.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
