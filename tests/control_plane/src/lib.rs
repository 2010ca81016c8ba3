//! A real etcd and kube-apiserver, run as plain processes on loopback for the tests.
//!
//! [`assets`] finds the two programs, or builds them once from the Go module beside this crate.
//! [`ControlPlane`] starts them in a folder of their own, and can break them the way a cluster
//! breaks: the API server dies and comes back, etcd forgets its history.
//!
//! There is no controller manager and no node: a deleted namespace stays `Terminating`, owner
//! references collect nothing and pods never run.

mod assets;
mod control_plane;
mod error;
mod etcd_history;
mod process;
mod run_folder;

pub use assets::{Assets, assets, build_once};
pub use control_plane::ControlPlane;
pub use error::Error;
pub use etcd_history::EtcdChange;
pub use process::Process;
