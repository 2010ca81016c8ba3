//! The host of tests that run on the machine itself, with plain `zig test`.
//!
//!     const call = informerd.testing.begin();
//!     defer informerd.testing.end();
//!     var handler = try Handler.init(call);
//!     const pod = informerd.testing.object(
//!         \\{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"}}
//!     );
//!     try handler.onAdd(call, pod, false);
//!     try std.testing.expectEqualStrings("hello web", informerd.testing.lines()[0].message);
//!
//! It is simpler than the real one: values are spelled as `std.json` spells them, its cache knows every object that
//! the test has made, the newest of a name last, and selectors and indices are answered with an error. What
//! it must be exact about, the real host shows: `informerd dev`.

const std = @import("std");
const json = std.json;

const abi = @import("abi.zig");
const informerd = @import("informerd.zig");
const Call = informerd.Call;
const Object = informerd.Object;

/// One line that was logged.
pub const Line = struct {
    level: informerd.Level,
    message: []const u8,
    fields: []const informerd.Field,

    /// The value of a field.
    pub fn field(self: Line, name: []const u8) ?[]const u8 {
        for (self.fields) |it| if (std.mem.eql(u8, it.name, name)) return it.value;
        return null;
    }
};

/// Begins a test with a host of its own. All calls of a test share what it gives.
pub fn begin() *Call {
    end();
    call = .{ .arena = arena() };
    return &call;
}

/// Ends it, and frees what it has used.
pub fn end() void {
    objects = .empty;
    logged = .empty;
    configuration = .{ .object = .empty };
    _ = informerd.memory.reset(.free_all);
}

/// An object of this text. Panics if it is no JSON object with a name: that is a mistake in the test.
pub fn object(text: []const u8) Object {
    const value = parse(text);
    if (string(value, "/metadata/name") == null) @panic("the object of a test has a metadata.name");
    objects.append(arena(), value) catch @panic("out of memory");
    return .{ .ticket = @intCast(objects.items.len - 1) };
}

/// Sets the handler's configuration, a JSON object.
pub fn setConfig(text: []const u8) void {
    configuration = parse(text);
    if (configuration != .object) @panic("the configuration of a test is a JSON object");
}

/// What was logged, oldest first.
pub fn lines() []const Line {
    return logged.items;
}

var call: Call = undefined;
/// By ticket.
var objects: std.ArrayList(json.Value) = .empty;
var configuration: json.Value = .{ .object = .empty };
var logged: std.ArrayList(Line) = .empty;

fn arena() std.mem.Allocator {
    return informerd.memory.allocator();
}

fn parse(text: []const u8) json.Value {
    return json.parseFromSliceLeaky(json.Value, arena(), text, .{}) catch
        @panic("what a test gives is JSON");
}

fn spell(value: json.Value) []const u8 {
    return json.Stringify.valueAlloc(arena(), value, .{}) catch @panic("out of memory");
}

fn copy(text: []const u8) []const u8 {
    return arena().dupe(u8, text) catch @panic("out of memory");
}

/// The value at a JSON pointer.
fn at(value: json.Value, pointer: []const u8) ?json.Value {
    if (pointer.len == 0) return value;
    if (pointer[0] != '/') return null;
    var found = value;
    var steps = std.mem.splitScalar(u8, pointer[1..], '/');
    while (steps.next()) |step| {
        found = switch (found) {
            .object => |members| members.get(unescaped(step)) orelse return null,
            .array => |items| blk: {
                const index = std.fmt.parseInt(usize, step, 10) catch return null;
                break :blk if (index < items.items.len) items.items[index] else return null;
            },
            else => return null,
        };
    }
    return found;
}

fn unescaped(step: []const u8) []const u8 {
    const slashes = std.mem.replaceOwned(u8, arena(), step, "~1", "/") catch @panic("out of memory");
    return std.mem.replaceOwned(u8, arena(), slashes, "~0", "~") catch @panic("out of memory");
}

fn string(value: json.Value, pointer: []const u8) ?[]const u8 {
    const found = at(value, pointer) orelse return null;
    return if (found == .string) found.string else null;
}

fn isNamed(key: informerd.Key, namespace: ?[]const u8, name: []const u8) bool {
    return std.mem.eql(u8, key.name, name) and isIn(key, namespace);
}

fn isIn(key: informerd.Key, namespace: ?[]const u8) bool {
    const is = key.namespace orelse return namespace == null;
    return std.mem.eql(u8, is, namespace orelse return false);
}

fn isOfKind(key: informerd.Key, api_version: []const u8, kind: []const u8) bool {
    const its = key.apiVersion(arena()) catch @panic("out of memory");
    return std.mem.eql(u8, its, api_version) and std.mem.eql(u8, key.kind, kind);
}

/// The functions of `host.zig`.
pub const host = struct {
    pub fn objectKey(ticket: abi.Ticket) informerd.Key {
        const value = objects.items[ticket];
        const api_version = string(value, "/apiVersion") orelse "";
        const slash = std.mem.findScalar(u8, api_version, '/');
        return .{
            .group = if (slash) |end_| api_version[0..end_] else "",
            .version = if (slash) |end_| api_version[end_ + 1 ..] else api_version,
            .kind = string(value, "/kind") orelse "",
            .namespace = string(value, "/metadata/namespace"),
            .name = string(value, "/metadata/name") orelse "",
            .uid = string(value, "/metadata/uid") orelse "",
            .resource_version = string(value, "/metadata/resourceVersion") orelse "",
        };
    }

    pub fn objectGet(ticket: abi.Ticket, pointer: []const u8) ?[]const u8 {
        return spell(at(objects.items[ticket], pointer) orelse return null);
    }

    pub fn objectGetString(ticket: abi.Ticket, pointer: []const u8) ?[]const u8 {
        return string(objects.items[ticket], pointer);
    }

    pub fn objectJson(ticket: abi.Ticket) []const u8 {
        return spell(objects.items[ticket]);
    }

    pub fn configGet(name: []const u8) ?[]const u8 {
        return spell(configuration.object.get(name) orelse return null);
    }

    pub fn configGetString(name: []const u8) ?[]const u8 {
        const value = configuration.object.get(name) orelse return null;
        return if (value == .string) value.string else null;
    }

    pub fn configJson() []const u8 {
        return spell(configuration);
    }

    pub fn log(level: informerd.Level, message: []const u8, fields: []const informerd.Field) void {
        const kept = arena().alloc(informerd.Field, fields.len) catch @panic("out of memory");
        for (kept, fields) |*to, from| to.* = .{ .name = copy(from.name), .value = copy(from.value) };
        const line = Line{ .level = level, .message = copy(message), .fields = kept };
        logged.append(arena(), line) catch @panic("out of memory");
    }

    pub fn cacheGet(
        api_version: []const u8,
        kind: []const u8,
        namespace: ?[]const u8,
        name: []const u8,
    ) ?abi.Ticket {
        var ticket: abi.Ticket = @intCast(objects.items.len);
        while (ticket > 0) {
            ticket -= 1;
            const key = objectKey(ticket);
            if (isOfKind(key, api_version, kind) and isNamed(key, namespace, name)) return ticket;
        }
        return null;
    }

    /// In the order in which the test made them. A cursor is how many came before.
    pub fn cacheList(list: informerd.List, cursor: ?[]const u8) abi.PageOrError {
        if (list.by_index != null) return problem("the host of tests knows no indices");
        if (list.label_selector.len > 0) return problem("the host of tests knows no selectors");
        const begin_ = std.fmt.parseInt(usize, cursor orelse "0", 10) catch
            return problem("the cursor is none");
        const limit = if (list.page_size == 0) 500 else @min(list.page_size, 500);
        var page: std.ArrayList(abi.Ticket) = .empty;
        var found: usize = 0;
        for (0..objects.items.len) |index| {
            const ticket: abi.Ticket = @intCast(index);
            const key = objectKey(ticket);
            if (!isOfKind(key, list.api_version, list.kind)) continue;
            if (list.namespace != null and !isIn(key, list.namespace)) continue;
            // Only the newest of its name.
            if (cacheGet(list.api_version, list.kind, key.namespace, key.name) != ticket) continue;
            found += 1;
            if (found <= begin_) continue;
            if (page.items.len == limit) {
                const text = std.fmt.allocPrint(arena(), "{d}", .{found - 1}) catch
                    @panic("out of memory");
                return pageOf(page.items, text);
            }
            page.append(arena(), ticket) catch @panic("out of memory");
        }
        return pageOf(page.items, null);
    }

    pub fn cacheRelease(_: []const abi.Ticket) void {}

    fn pageOf(tickets: []const abi.Ticket, cursor: ?[]const u8) abi.PageOrError {
        const page = abi.Page{ .objects = .of(tickets), .cursor = .of(cursor) };
        return .{ .is_error = false, .is = .{ .page = page } };
    }

    fn problem(text: []const u8) abi.PageOrError {
        return .{ .is_error = true, .is = .{ .@"error" = .of(text) } };
    }
};

test "an object is read by its pointers" {
    _ = begin();
    defer end();
    const pod = object(
        \\{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"namespace":"demo","name":"web",
        \\"labels":{"a/b~c":"d"}},"spec":{"list":[null,1.5]}}
    );
    const expectEqualStrings = std.testing.expectEqualStrings;
    try expectEqualStrings("\"d\"", pod.get("/metadata/labels/a~1b~0c").?);
    try expectEqualStrings("d", pod.getString("/metadata/labels/a~1b~0c").?);
    try expectEqualStrings("null", pod.get("/spec/list/0").?);
    try expectEqualStrings("1.5", pod.get("/spec/list/1").?);
    for ([_][]const u8{ "/spec/list/2", "/spec/list/x", "spec", "/spec/list/0/a" }) |pointer| {
        try std.testing.expectEqual(null, pod.get(pointer));
    }
    try std.testing.expectEqual(null, pod.getString("/spec/list"));
    try expectEqualStrings("apps/v1", try pod.key().apiVersion(call.arena));
    const name = try std.fmt.allocPrint(call.arena, "{f}", .{pod.key()});
    try expectEqualStrings("demo/web", name);
}

test "an object is parsed, or the failure says why not" {
    const it = begin();
    defer end();
    const pod = object(
        \\{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"spec":{"nodeName":"n-1"}}
    );
    const Good = struct { spec: struct { nodeName: []const u8 } };
    try std.testing.expectEqualStrings("n-1", (try it.parse(Good, pod)).spec.nodeName);
    const Bad = struct { spec: struct { nodeName: u32 } };
    try std.testing.expectError(error.Permanent, it.parse(Bad, pod));
    try std.testing.expectStringStartsWith(it.reason, "web is not as expected: ");
}

test "the cache is asked by name, and page by page" {
    const it = begin();
    defer end();
    for ([_][]const u8{ "a", "b", "c", "b" }, 0..) |name, version| {
        const text = try std.fmt.allocPrint(it.arena,
            \\{{"apiVersion":"v1","kind":"Node","metadata":{{"name":"{s}","resourceVersion":"{d}"}}}}
        , .{ name, version });
        _ = object(text);
    }
    const newest = it.get("v1", "Node", null, "b").?;
    try std.testing.expectEqualStrings("3", newest.key().resource_version);
    try std.testing.expectEqual(null, it.get("v1", "Node", "demo", "b"));
    try std.testing.expectEqual(null, it.get("v1", "Pod", null, "b"));

    var pages = it.pages(.{ .kind = "Node", .page_size = 2 });
    try std.testing.expectEqual(2, (try pages.next()).?.len);
    try std.testing.expectEqual(1, (try pages.next()).?.len);
    try std.testing.expectEqual(null, try pages.next());

    var refused = it.pages(.{ .kind = "Node", .label_selector = "a=b" });
    try std.testing.expectError(error.Permanent, refused.next());
    try std.testing.expectStringEndsWith(it.reason, "knows no selectors");
}
