//! The contract (wit/) in Zig: the canonical ABI, with the short names of wit/CORE-MODULES.md. To be
//! copied into a project of your own.

const std = @import("std");

/// UTF-8.
pub const Text = extern struct {
    address: [*]const u8,
    length: usize,

    pub fn of(slice: []const u8) Text {
        return .{ .address = slice.ptr, .length = slice.len };
    }

    pub fn get(self: Text) []const u8 {
        return self.address[0..self.length];
    }
};

pub const OptionalText = extern struct {
    is_some: bool,
    text: Text,

    pub fn get(self: OptionalText) ?[]const u8 {
        return if (self.is_some) self.text.get() else null;
    }
};

/// Names one state of one object while a call runs.
pub const Ticket = u32;

pub const Key = extern struct {
    group: Text,
    version: Text,
    kind: Text,
    namespace: OptionalText,
    name: Text,
    uid: Text,
    resource_version: Text,
};

/// What on-add, on-update and on-delete get.
pub const Add = extern struct { key: Key, object: Ticket, is_in_initial_list: bool };
pub const Update = extern struct { key: Key, old: Ticket, new: Ticket };
pub const Delete = extern struct { key: Key, last: Ticket, final_state_unknown: bool };

pub const Watch = extern struct {
    api_version: Text,
    kind: Text,
    namespaces: extern struct { names: ?[*]const Text = null, count: usize = 0 } = .{},
    label_selector: Text = Text.of(""),
    field_selector: Text = Text.of(""),
};
pub const Watches = extern struct { watches: [*]const Watch, count: usize };

/// What init answers.
pub const InitResult = extern struct { is_refused: bool = false, reason: Text = Text.of("") };

/// What the others answer.
pub const Result = extern struct {
    is_failure: bool = false,
    failure: extern struct {
        kind: enum(u8) { retry, permanent } = .retry,
        is: extern union {
            retry: extern struct { has_after_ms: bool, after_ms: u32, reason: Text },
            permanent: Text,
        } = .{ .permanent = Text.of("") },
    } = .{},

    pub fn permanent(reason: []const u8) Result {
        return .{ .is_failure = true, .failure = .{
            .kind = .permanent,
            .is = .{ .permanent = Text.of(reason) },
        } };
    }
};

const imports = struct {
    const objects = struct {
        extern "objects" fn get(Ticket, [*]const u8, usize, *OptionalText) void;
    };
    const log = struct {
        extern "log" fn log(i32, [*]const u8, usize, ?*const anyopaque, usize) void;
    };
};

/// The value at a JSON pointer as JSON text.
pub fn get(object: Ticket, pointer: []const u8) ?[]const u8 {
    var answer: OptionalText = undefined;
    imports.objects.get(object, pointer.ptr, pointer.len, &answer);
    return answer.get();
}

pub const Level = enum(i32) { trace, debug, info, warn, @"error" };

pub fn log(level: Level, comptime format: []const u8, values: anytype) void {
    const line = std.fmt.allocPrint(memory.allocator(), format, values) catch @panic("memory");
    imports.log.log(@intFromEnum(level), line.ptr, line.len, null, 0);
}

/// What the host passes, and what a call needs: free all at once when the call is over.
pub var memory = std.heap.ArenaAllocator.init(std.heap.wasm_allocator);

/// The host never makes a block larger.
export fn cabi_realloc(old: usize, old_size: usize, alignment: usize, size: usize) ?[*]u8 {
    _ = .{ old, alignment };
    if (old_size != 0) @panic("a block was to be made larger");
    // An empty text has to be somewhere, too.
    const block = memory.allocator().alignedAlloc(u8, .@"8", @max(size, 1)) catch @panic("memory");
    return block.ptr;
}

/// For the root file: `pub const panic = informerd.panic;`. Says in the log why the module traps.
pub const panic = std.debug.FullPanic(struct {
    fn call(message: []const u8, _: ?usize) noreturn {
        imports.log.log(@intFromEnum(Level.@"error"), message.ptr, message.len, null, 0);
        @trap();
    }
}.call);
