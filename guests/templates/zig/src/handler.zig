//! Says hello to pods, and tells of their phases.

const std = @import("std");
const informerd = @import("informerd");
const Call = informerd.Call;
const Object = informerd.Object;

pub const panic = informerd.panic;

comptime {
    informerd.exportHandler(Greeter);
}

const Greeter = struct {
    greeting: []const u8,

    pub fn watches(_: *Call) ![]const informerd.Watch {
        return &.{.{ .api_version = "v1", .kind = "Pod" }};
    }

    pub fn init(_: *Call) !Greeter {
        const greeting = informerd.config.getString("greeting") orelse "hello";
        // What the host gives ends with the call; this is kept.
        return .{ .greeting = try informerd.allocator.dupe(u8, greeting) };
    }

    pub fn deinit(self: Greeter) void {
        informerd.allocator.free(self.greeting);
    }

    pub fn onAdd(self: *Greeter, _: *Call, pod: Object, is_in_initial_list: bool) !void {
        _ = is_in_initial_list;
        informerd.log.info("{s} {f}", .{ self.greeting, pod.key() });
    }

    pub fn onUpdate(_: *Greeter, _: *Call, old: Object, new: Object) !void {
        const before = old.getString("/status/phase") orelse "";
        const after = new.getString("/status/phase") orelse "";
        if (!std.mem.eql(u8, before, after)) {
            informerd.log.info("{f} is {s}", .{ new.key(), after });
        }
    }
};

const pending =
    \\{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"demo","name":"web-1"},
    \\"status":{"phase":"Pending"}}
;
const running =
    \\{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"demo","name":"web-1"},
    \\"status":{"phase":"Running"}}
;

fn expectSaid(expected: []const []const u8) !void {
    const lines = informerd.testing.lines();
    try std.testing.expectEqual(expected.len, lines.len);
    for (expected, lines) |text, line| try std.testing.expectEqualStrings(text, line.message);
}

test "a pod is greeted and followed" {
    const call = informerd.testing.begin();
    defer informerd.testing.end();
    var greeter = try Greeter.init(call);
    defer greeter.deinit();
    const pod = informerd.testing.object(pending);
    try greeter.onAdd(call, pod, false);
    try greeter.onUpdate(call, pod, informerd.testing.object(pending));
    try greeter.onUpdate(call, pod, informerd.testing.object(running));
    try expectSaid(&.{ "hello demo/web-1", "demo/web-1 is Running" });
}

test "the greeting can be configured" {
    const call = informerd.testing.begin();
    defer informerd.testing.end();
    informerd.testing.setConfig(
        \\{"greeting":"moin"}
    );
    var greeter = try Greeter.init(call);
    defer greeter.deinit();
    try greeter.onAdd(call, informerd.testing.object(pending), true);
    try expectSaid(&.{"moin demo/web-1"});
}
