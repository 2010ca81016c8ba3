//! Handlers for informerd in Zig: one struct, and the host's objects, cache, configuration and log with slices,
//! optionals and errors.
//!
//! Whatever the host gives, and whatever is allocated in `Call.arena`, lives until the call returns.
//! `exports.zig` makes a module of the struct, `testing.zig` is the host of tests.

const builtin = @import("builtin");
const std = @import("std");
const Allocator = std.mem.Allocator;

const abi = @import("abi.zig");

pub const exportHandler = @import("exports.zig").exportHandler;
pub const testing = @import("testing.zig");

const is_module = builtin.cpu.arch.isWasm();
const host = if (is_module) @import("host.zig") else testing.host;

/// For what outlives a call. In tests it finds leaks.
pub const allocator: Allocator =
    if (is_module) std.heap.wasm_allocator else std.testing.allocator;

/// The arena of the running call.
pub var memory = std.heap.ArenaAllocator.init(allocator);

/// One collection of objects that a handler watches.
pub const Watch = struct {
    api_version: []const u8 = "v1",
    kind: []const u8,
    /// Empty: all of them, or a cluster-scoped kind.
    namespaces: []const []const u8 = &.{},
    label_selector: []const u8 = "",
    field_selector: []const u8 = "",
};

/// Names one state of one object.
pub const Key = struct {
    /// Empty for the core group.
    group: []const u8,
    version: []const u8,
    kind: []const u8,
    /// Null for a cluster-scoped object.
    namespace: ?[]const u8,
    name: []const u8,
    uid: []const u8,
    resource_version: []const u8,

    pub fn of(key: abi.Key) Key {
        return .{
            .group = key.group.slice(),
            .version = key.version.slice(),
            .kind = key.kind.slice(),
            .namespace = key.namespace.slice(),
            .name = key.name.slice(),
            .uid = key.uid.slice(),
            .resource_version = key.resource_version.slice(),
        };
    }

    /// As in a manifest: `v1`, `apps/v1`.
    pub fn apiVersion(self: Key, arena: Allocator) Allocator.Error![]const u8 {
        if (self.group.len == 0) return self.version;
        return std.mem.concat(arena, u8, &.{ self.group, "/", self.version });
    }

    /// `{f}`: `NAMESPACE/NAME`, or `NAME` if it is cluster-scoped.
    pub fn format(self: Key, writer: *std.Io.Writer) std.Io.Writer.Error!void {
        if (self.namespace) |namespace| try writer.print("{s}/", .{namespace});
        try writer.writeAll(self.name);
    }
};

/// One state of one object, readable until the call returns. To read a value costs far less than to parse all of it.
pub const Object = struct {
    ticket: abi.Ticket,
    /// What the call brought along.
    given_key: ?Key = null,

    /// Name, uid and resource version of this state.
    pub fn key(self: Object) Key {
        return self.given_key orelse host.objectKey(self.ticket);
    }

    /// The JSON text at a JSON pointer, a string with its quotes; null if there is nothing.
    pub fn get(self: Object, pointer: []const u8) ?[]const u8 {
        return host.objectGet(self.ticket, pointer);
    }

    /// The string at a JSON pointer; null if there is nothing, or something else.
    pub fn getString(self: Object, pointer: []const u8) ?[]const u8 {
        return host.objectGetString(self.ticket, pointer);
    }

    /// All of it as JSON text.
    pub fn json(self: Object) []const u8 {
        return host.objectJson(self.ticket);
    }
};

/// The handler spec's `config`. It never changes while an instance lives.
pub const config = struct {
    /// The value of this name as JSON text, a string with its quotes; null if there is none.
    pub fn get(name: []const u8) ?[]const u8 {
        return host.configGet(name);
    }

    /// The string of this name; null if there is none, or something else.
    pub fn getString(name: []const u8) ?[]const u8 {
        return host.configGetString(name);
    }

    /// All of it as JSON text; `{}` if the handler spec has none.
    pub fn json() []const u8 {
        return host.configJson();
    }
};

pub const Level = enum(u32) { trace, debug, info, warn, @"error" };

/// One named value of a log line.
pub const Field = struct { name: []const u8, value: []const u8 };

/// Lines in the host's log, under the handler's name.
pub const log = struct {
    /// A message for people, and values for machines.
    pub fn line(level: Level, message: []const u8, fields: []const Field) void {
        host.log(level, message, fields);
    }

    pub fn debug(comptime format: []const u8, values: anytype) void {
        line(.debug, text(format, values), &.{});
    }

    pub fn info(comptime format: []const u8, values: anytype) void {
        line(.info, text(format, values), &.{});
    }

    pub fn warn(comptime format: []const u8, values: anytype) void {
        line(.warn, text(format, values), &.{});
    }

    pub fn err(comptime format: []const u8, values: anytype) void {
        line(.@"error", text(format, values), &.{});
    }
};

/// What a handler answers to be asked again, or not any more. Every other error counts as `Retry`, with its name as
/// the reason.
pub const Failure = error{ Retry, Permanent };

/// What one call has: its arena, the host's cache, and the reason if it fails.
pub const Call = struct {
    arena: Allocator,
    /// Why it failed; of an error that was made here.
    reason: []const u8 = "",
    /// Milliseconds until the retry; null leaves it to the host.
    after_ms: ?u32 = null,

    /// `return call.retry(…)`: deliver this state, or a newer one, again; the host says when.
    pub fn retry(self: *Call, comptime format: []const u8, values: anytype) Failure {
        self.after_ms = null;
        self.reason = text(format, values);
        return error.Retry;
    }

    /// The same, after so many milliseconds.
    pub fn retryAfter(
        self: *Call,
        after_ms: u32,
        comptime format: []const u8,
        values: anytype,
    ) Failure {
        self.after_ms = after_ms;
        self.reason = text(format, values);
        return error.Retry;
    }

    /// `return call.permanent(…)`: do not deliver this state again.
    pub fn permanent(self: *Call, comptime format: []const u8, values: anytype) Failure {
        self.reason = text(format, values);
        return error.Permanent;
    }

    /// `return call.refuse(…)`, in `init`: the configuration will not do.
    pub fn refuse(
        self: *Call,
        comptime format: []const u8,
        values: anytype,
    ) error{Refused} {
        self.reason = text(format, values);
        return error.Refused;
    }

    /// All of the object, as a type of yours. What does not fit is a permanent failure.
    pub fn parse(self: *Call, T: type, object: Object) (Failure || Allocator.Error)!T {
        const options = std.json.ParseOptions{ .ignore_unknown_fields = true };
        return std.json.parseFromSliceLeaky(T, self.arena, object.json(), options) catch |problem|
            switch (problem) {
                error.OutOfMemory => error.OutOfMemory,
                else => self.permanent("{f} is not as expected: {t}", .{ object.key(), problem }),
            };
    }

    /// From the host's cache: the object of this name; `namespace` is null for a cluster-scoped one.
    pub fn get(
        _: *Call,
        api_version: []const u8,
        kind: []const u8,
        namespace: ?[]const u8,
        name: []const u8,
    ) ?Object {
        const ticket = host.cacheGet(api_version, kind, namespace, name) orelse return null;
        return .{ .ticket = ticket };
    }

    /// From the host's cache, page by page.
    pub fn pages(self: *Call, list: List) Pages {
        return .{ .call = self, .list = list };
    }
};

/// Objects of the cache to ask for.
pub const List = struct {
    api_version: []const u8 = "v1",
    kind: []const u8,
    /// Null: all that can be read.
    namespace: ?[]const u8 = null,
    /// Empty: all.
    label_selector: []const u8 = "",
    /// Instead of namespace and selector: the objects under one value of the index `namespace` or `owner`.
    by_index: ?struct { name: []const u8, value: []const u8 } = null,
    /// At most so many a page; 0, and everything above 500, is 500.
    page_size: u32 = 0,
};

/// The pages of a list. The objects of one cannot be read any more when the next is asked for: so a call can go
/// through any number of them.
pub const Pages = struct {
    call: *Call,
    list: List,
    cursor: ?[]const u8 = null,
    tickets: []const abi.Ticket = &.{},
    ended: bool = false,

    /// The next page; null after the last. An error of the cache is a permanent failure, unless it is caught.
    pub fn next(self: *Pages) (Failure || Allocator.Error)!?[]const Object {
        host.cacheRelease(self.tickets);
        self.tickets = &.{};
        if (self.ended) return null;
        self.ended = true;
        const answer = host.cacheList(self.list, self.cursor);
        if (answer.is_error) return self.call.permanent("{s}", .{answer.is.@"error".slice()});
        self.tickets = answer.is.page.objects.slice();
        self.cursor = answer.is.page.cursor.slice();
        self.ended = self.cursor == null;
        const objects = try self.call.arena.alloc(Object, self.tickets.len);
        for (objects, self.tickets) |*object, ticket| object.* = .{ .ticket = ticket };
        return objects;
    }
};

/// For the root file: `pub const panic = informerd.panic;`. Its text becomes the reason of the failed delivery.
pub const panic = std.debug.FullPanic(struct {
    fn call(message: []const u8, _: ?usize) noreturn {
        if (is_module) host.printError(message) else std.debug.print("{s}\n", .{message});
        @trap();
    }
}.call);

/// Lives until the call returns.
fn text(comptime format: []const u8, values: anytype) []const u8 {
    return std.fmt.allocPrint(memory.allocator(), format, values) catch @panic("out of memory");
}

test {
    _ = testing;
}
