//! Reports the labels of config maps.

const std = @import("std");
const informerd = @import("informerd.zig");

pub const panic = informerd.panic;

const config_maps = [_]informerd.Watch{.{
    .api_version = informerd.Text.of("v1"),
    .kind = informerd.Text.of("ConfigMap"),
}};
const watch_list = informerd.Watches{ .watches = &config_maps, .count = config_maps.len };
const initialised = informerd.InitResult{};
const ok = informerd.Result{};
const asked_to_fail = informerd.Result.permanent("asked to fail");

export fn watches() *const informerd.Watches {
    return &watch_list;
}

export fn init() *const informerd.InitResult {
    return &initialised;
}

export fn on_add(call: *const informerd.Add) *const informerd.Result {
    defer _ = informerd.memory.reset(.retain_capacity);
    informerd.log(.info, "added {f} {s}", .{ Name{ .key = &call.key }, labels(call.object) });
    return answer(call.object);
}

export fn on_update(call: *const informerd.Update) *const informerd.Result {
    defer _ = informerd.memory.reset(.retain_capacity);
    const now = labels(call.new);
    if (!std.mem.eql(u8, labels(call.old), now)) {
        informerd.log(.info, "relabelled {f} {s}", .{ Name{ .key = &call.key }, now });
    }
    return answer(call.new);
}

export fn on_delete(call: *const informerd.Delete) *const informerd.Result {
    defer _ = informerd.memory.reset(.retain_capacity);
    informerd.log(.info, "deleted {f}", .{Name{ .key = &call.key }});
    return &ok;
}

export fn on_synced() *const informerd.Result {
    informerd.log(.info, "synced", .{});
    return &ok;
}

const Name = struct {
    key: *const informerd.Key,

    pub fn format(self: Name, writer: *std.Io.Writer) std.Io.Writer.Error!void {
        if (self.key.namespace.get()) |namespace| try writer.print("{s}/", .{namespace});
        try writer.writeAll(self.key.name.get());
    }
};

fn labels(object: informerd.Ticket) []const u8 {
    return informerd.get(object, "/metadata/labels") orelse "none";
}

/// Fine, unless the label `fail` says how to fail.
fn answer(object: informerd.Ticket) *const informerd.Result {
    const fail = informerd.get(object, "/metadata/labels/fail") orelse return &ok;
    if (std.mem.eql(u8, fail, "\"permanent\"")) return &asked_to_fail;
    if (std.mem.eql(u8, fail, "\"trap\"")) @panic("asked to trap");
    return &ok;
}
