//! Everything that crosses more than one crate. One binary; this is its table of contents.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

/// On a real kube-apiserver and etcd: the pipeline end to end, faults included.
mod cluster;
/// Every function of the contract, called by modules of every version of it.
mod contract;
/// Every language's audit trail lives through the same and writes the same.
mod guest_conformance;
/// The SDKs' own tests, in their languages.
mod guest_sdks;
/// What handlers may watch and read: ServiceAccounts, Secrets, granted names.
mod access;
/// Hostile and broken guests beside good ones.
mod guests;
/// What compiling a module may take, and what is kept of it.
mod compiling;
/// Handlers replaced and removed while they run.
mod reload;
/// Handlers whose instances are dropped while they have nothing to do.
mod hibernation;
/// Handlers that are custom resources.
mod handler_resources;
/// What bad input gets: files, modules, kinds, servers.
mod bad_input;
/// What malformed objects, lists and streams get, and that the rest goes on.
mod malformed;
/// client-go beside informerd, in a storm of writes and faults: all that both are told is explained.
mod side_by_side;
/// Modules from https servers and registries, signed and not.
mod sources;
/// Core modules and commands, of languages that cargo does not build.
mod modules;
/// The binary as a user runs it: arguments, signals, output, health.
mod command_line;
/// The admin API of a running host, and the commands that speak it.
mod admin;
/// Projects made by `informerd new`, built, run and changed as their READMEs say.
mod scaffold;
/// The embedded API server answers as a real one does.
mod dev_server_parity;
