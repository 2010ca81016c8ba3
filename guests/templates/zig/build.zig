//! `zig build` makes the handler, `zig build test` tests it on this machine.

const std = @import("std");

pub fn build(b: *std.Build) void {
    const wasm = b.resolveTargetQuery(.{ .cpu_arch = .wasm32, .os_tag = .freestanding });
    const handler = b.addExecutable(.{
        .name = "handler",
        .root_module = module(b, wasm, .ReleaseSmall),
    });
    // A library that the host calls, and no program: what it exports must stay.
    handler.entry = .disabled;
    handler.rdynamic = true;
    const copy = b.addUpdateSourceFiles();
    copy.addCopyFileToSource(handler.getEmittedBin(), "handlers/{{name}}.wasm");
    b.getInstallStep().dependOn(&copy.step);

    const tests = b.addTest(.{ .root_module = module(b, b.graph.host, .Debug) });
    const step = b.step("test", "Test the handler");
    step.dependOn(&b.addRunArtifact(tests).step);
}

fn module(
    b: *std.Build,
    target: std.Build.ResolvedTarget,
    optimize: std.builtin.OptimizeMode,
) *std.Build.Module {
    const informerd = b.createModule(.{
        .root_source_file = b.path("informerd-handler/informerd.zig"),
        .target = target,
        .optimize = optimize,
    });
    return b.createModule(.{
        .root_source_file = b.path("src/handler.zig"),
        .target = target,
        .optimize = optimize,
        .imports = &.{.{ .name = "informerd", .module = informerd }},
    });
}
