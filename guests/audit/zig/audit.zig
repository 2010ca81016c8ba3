//! The audit trail in Zig, as `../README.md` describes it. `config.zig` reads what is to be reported, `failing.zig`
//! fails on request, this file writes the trail.

const std = @import("std");
const informerd = @import("informerd");
const Call = informerd.Call;
const Object = informerd.Object;

const Config = @import("config.zig").Config;
const watched = @import("config.zig").watched;
const Failing = @import("failing.zig").Failing;

pub const panic = informerd.panic;

comptime {
    informerd.exportHandler(Audit);
}

pub const Audit = struct {
    config: Config,
    failing: Failing = .{},
    /// Lines written.
    seq: u32 = 0,

    pub fn watches(call: *Call) ![]const informerd.Watch {
        const api_version, const kind = watched();
        return call.arena.dupe(informerd.Watch, &.{.{ .api_version = api_version, .kind = kind }});
    }

    pub fn init(call: *Call) !Audit {
        const config = try Config.read(call);
        var line = Line{ .arena = call.arena };
        try line.add("pointers", "{d}", .{config.report.len});
        try line.add("page", "{d}", .{config.page});
        informerd.log.line(.debug, "ready", line.fields.items);
        return .{ .config = config };
    }

    pub fn onAdd(self: *Audit, call: *Call, object: Object, is_in_initial_list: bool) !void {
        try self.failOnRequest(call, object);
        var line = try self.begin(call, object);
        try line.add("initial", "{}", .{is_in_initial_list});
        try self.addWhole(&line, call, object);
        try self.addValues(&line, object);
        try line.write(.info, "added", object);
    }

    pub fn onUpdate(self: *Audit, call: *Call, old: Object, new: Object) !void {
        try self.failOnRequest(call, new);
        var line = try self.begin(call, new);
        if (self.config.detail == .whole) {
            try line.add("newest", "{}", .{try isNewest(call, new.key())});
        }
        try self.addWhole(&line, call, new);
        var has_changed = self.config.detail == .key;
        for (self.config.pointersRead()) |pointer| {
            const before = Value{ .json = old.get(pointer) };
            const after = Value{ .json = new.get(pointer) };
            if (!before.equals(after)) {
                try line.add(pointer, "{f} -> {f}", .{ before, after });
                has_changed = true;
            }
        }
        if (has_changed) {
            try line.write(.info, "updated", new);
        } else {
            try line.write(.debug, "unchanged", new);
        }
    }

    pub fn onDelete(self: *Audit, call: *Call, last: Object, final_state_unknown: bool) !void {
        try self.failOnRequest(call, last);
        var line = try self.begin(call, last);
        try line.add("finalStateUnknown", "{}", .{final_state_unknown});
        try self.addWhole(&line, call, last);
        try self.addValues(&line, last);
        try line.write(.info, "deleted", last);
    }

    pub fn onSynced(self: *Audit, call: *Call) !void {
        const api_version, const kind = watched();
        var objects: usize = 0;
        var count: usize = 0;
        var pages = call.pages(.{
            .api_version = api_version,
            .kind = kind,
            .label_selector = informerd.config.getString("labelSelector") orelse "",
            .page_size = self.config.page,
        });
        while (try pages.next()) |page| {
            objects += page.len;
            count += 1;
        }
        var line = Line{ .arena = call.arena };
        try line.add("seq", "{d}", .{self.nextSeq()});
        try line.add("objects", "{d}", .{objects});
        try line.add("pages", "{d}", .{count});
        informerd.log.line(.info, "synced", line.fields.items);
    }

    pub fn deinit(self: Audit) void {
        self.config.deinit();
        self.failing.deinit();
    }

    fn failOnRequest(self: *Audit, call: *Call, object: Object) !void {
        if (self.config.detail != .key) try self.failing.check(call, object);
    }

    /// A line with what every line about an object begins with.
    fn begin(self: *Audit, call: *Call, object: Object) !Line {
        const key = object.key();
        var line = Line{ .arena = call.arena };
        try line.add("seq", "{d}", .{self.nextSeq()});
        try line.add("uid", "{s}", .{key.uid});
        try line.add("resourceVersion", "{s}", .{key.resource_version});
        return line;
    }

    fn nextSeq(self: *Audit) u32 {
        self.seq += 1;
        return self.seq;
    }

    fn addWhole(self: *Audit, line: *Line, call: *Call, object: Object) !void {
        if (self.config.detail != .whole) return;
        const json = object.json();
        const options = std.json.ParseOptions{ .ignore_unknown_fields = true };
        const parsed = try std.json.parseFromSliceLeaky(Labelled, call.arena, json, options);
        const labels = if (parsed.metadata.labels) |labels| labels.map.count() else 0;
        try line.add("bytes", "{d}", .{json.len});
        try line.add("labels", "{d}", .{labels});
    }

    fn addValues(self: *Audit, line: *Line, object: Object) !void {
        for (self.config.pointersRead()) |pointer| {
            try line.add(pointer, "{f}", .{Value{ .json = object.get(pointer) }});
        }
    }
};

/// What `labels` is counted by.
const Labelled = struct {
    metadata: struct { labels: ?std.json.ArrayHashMap([]const u8) = null },
};

/// Whether the cache has no other state of the object by now.
fn isNewest(call: *Call, key: informerd.Key) !bool {
    const api_version = try key.apiVersion(call.arena);
    const cached = call.get(api_version, key.kind, key.namespace, key.name) orelse return false;
    return std.mem.eql(u8, cached.key().resource_version, key.resource_version);
}

/// A value, written with `{f}`.
const Value = struct {
    json: ?[]const u8,

    fn equals(self: Value, other: Value) bool {
        const a = self.json orelse return other.json == null;
        return std.mem.eql(u8, a, other.json orelse return false);
    }

    /// Longer values are only measured.
    pub fn format(self: Value, writer: *std.Io.Writer) std.Io.Writer.Error!void {
        const json = self.json orelse "absent";
        if (json.len > value_max) return writer.print("({d} bytes)", .{json.len});
        try writer.writeAll(json);
    }

    const value_max = 256;
};

/// The fields of a line.
const Line = struct {
    arena: std.mem.Allocator,
    fields: std.ArrayList(informerd.Field) = .empty,

    fn add(self: *Line, name: []const u8, comptime format: []const u8, values: anytype) !void {
        const value = try std.fmt.allocPrint(self.arena, format, values);
        try self.fields.append(self.arena, .{ .name = name, .value = value });
    }

    fn write(self: Line, level: informerd.Level, verb: []const u8, object: Object) !void {
        const message = try std.fmt.allocPrint(self.arena, "{s} {f}", .{ verb, object.key() });
        informerd.log.line(level, message, self.fields.items);
    }
};

test {
    _ = @import("tests.zig");
}
