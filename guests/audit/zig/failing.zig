//! Failing on request, so that one can see what the host makes of it.

const std = @import("std");
const informerd = @import("informerd");

pub const Failing = struct {
    /// The state that was failed last: its uid and resource version, and how often.
    state: []const u8 = "",
    times: u8 = 0,

    /// Fails as the object's annotation asks for.
    pub fn check(self: *Failing, call: *informerd.Call, object: informerd.Object) !void {
        const annotation = "/metadata/annotations/audit.informerd.dev~1fail";
        const request = object.getString(annotation) orelse return;
        if (std.mem.eql(u8, request, "permanent")) {
            return call.permanent("asked to fail for good", .{});
        }
        if (std.mem.eql(u8, request, "trap")) @panic("asked to trap");
        const prefix = "retry ";
        if (request.len != prefix.len + 1 or !std.mem.startsWith(u8, request, prefix)) return;
        switch (request[prefix.len]) {
            '1'...'9' => |digit| try self.retry(call, object.key(), digit - '0'),
            else => {},
        }
    }

    fn retry(self: *Failing, call: *informerd.Call, key: informerd.Key, times: u8) !void {
        const state = try std.mem.join(call.arena, " ", &.{ key.uid, key.resource_version });
        if (!std.mem.eql(u8, state, self.state)) {
            const copy = try informerd.allocator.dupe(u8, state);
            self.deinit();
            self.* = .{ .state = copy };
        }
        if (self.times == times) return;
        self.times += 1;
        return call.retryAfter(1, "asked to fail, {d} of {d}", .{ self.times, times });
    }

    pub fn deinit(self: Failing) void {
        informerd.allocator.free(self.state);
    }
};
