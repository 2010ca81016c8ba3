//! From a struct to the exports of a module.

const builtin = @import("builtin");
const std = @import("std");

const abi = @import("abi.zig");
const informerd = @import("informerd.zig");
const Call = informerd.Call;
const Object = informerd.Object;

/// Exports a handler, once in a module: `comptime { informerd.exportHandler(Handler); }`. Off wasm it does nothing, so
/// that `zig test` works.
///
/// What the struct may declare, and what is not there is handled by doing nothing:
///
///     pub fn watches(call: *Call) ![]const Watch
///     pub fn init(call: *Call) !Handler
///     pub fn onAdd(self: *Handler, call: *Call, object: Object, is_in_initial_list: bool) !void
///     pub fn onUpdate(self: *Handler, call: *Call, old: Object, new: Object) !void
///     pub fn onDelete(self: *Handler, call: *Call, last: Object, final_state_unknown: bool) !void
///     pub fn onSynced(self: *Handler, call: *Call) !void
///
/// `init` is there always.
pub fn exportHandler(comptime Handler: type) void {
    if (!builtin.cpu.arch.isWasm()) return;
    const it = Exports(Handler);
    for (.{
        .{ &it.watches, "watches" },    .{ &it.init, "init" },
        .{ &it.onAdd, "on-add" },       .{ &it.onUpdate, "on-update" },
        .{ &it.onDelete, "on-delete" }, .{ &it.onSynced, "on-synced" },
    }) |export_| {
        const function, const name = export_;
        @export(function, .{ .name = name });
        @export(&freeCall, .{ .name = "cabi_post_" ++ name });
    }
    @export(&allocate, .{ .name = "cabi_realloc" });
}

fn Exports(comptime Handler: type) type {
    return struct {
        /// Made by `init`, which is called first.
        var handler: Handler = undefined;
        var call: Call = undefined;
        var watch_list: abi.List(abi.Watch) = undefined;
        var initialized: abi.Initialized = undefined;
        var handled: abi.Handled = undefined;

        fn watches() callconv(.c) *const abi.List(abi.Watch) {
            begin();
            // None leaves it to the handler spec.
            watch_list = .of(&.{});
            if (@hasDecl(Handler, "watches")) {
                watch_list = .of(declared() catch |problem| @panic(@errorName(problem)));
            }
            return &watch_list;
        }

        fn declared() ![]const abi.Watch {
            const list: []const informerd.Watch = try Handler.watches(&call);
            const answer = try call.arena.alloc(abi.Watch, list.len);
            for (answer, list) |*to, from| {
                const namespaces = try call.arena.alloc(abi.Text, from.namespaces.len);
                for (namespaces, from.namespaces) |*text, name| text.* = .of(name);
                to.* = .{
                    .api_version = .of(from.api_version),
                    .kind = .of(from.kind),
                    .namespaces = .of(namespaces),
                    .label_selector = .of(from.label_selector),
                    .field_selector = .of(from.field_selector),
                };
            }
            return answer;
        }

        fn init() callconv(.c) *const abi.Initialized {
            begin();
            initialized = .{};
            if (Handler.init(&call)) |made| {
                handler = made;
            } else |problem| {
                const reason = if (call.reason.len > 0) call.reason else @errorName(problem);
                initialized = .{ .is_refused = true, .reason = .of(reason) };
            }
            return &initialized;
        }

        fn onAdd(of: *const abi.Add) callconv(.c) *const abi.Handled {
            const object = begun(of.key, of.object);
            if (!@hasDecl(Handler, "onAdd")) return answered({});
            return answered(handler.onAdd(&call, object, of.is_in_initial_list));
        }

        fn onUpdate(of: *const abi.Update) callconv(.c) *const abi.Handled {
            const new = begun(of.key, of.new);
            if (!@hasDecl(Handler, "onUpdate")) return answered({});
            return answered(handler.onUpdate(&call, .{ .ticket = of.old }, new));
        }

        fn onDelete(of: *const abi.Delete) callconv(.c) *const abi.Handled {
            const last = begun(of.key, of.last);
            if (!@hasDecl(Handler, "onDelete")) return answered({});
            return answered(handler.onDelete(&call, last, of.final_state_unknown));
        }

        fn onSynced() callconv(.c) *const abi.Handled {
            begin();
            if (!@hasDecl(Handler, "onSynced")) return answered({});
            return answered(handler.onSynced(&call));
        }

        fn begin() void {
            call = .{ .arena = informerd.memory.allocator() };
        }

        fn begun(key: abi.Key, ticket: abi.Ticket) Object {
            begin();
            return .{ .ticket = ticket, .given_key = .of(key) };
        }

        fn answered(result: anyerror!void) *const abi.Handled {
            handled = .{};
            result catch |failure| {
                handled.is_failure = true;
                const is_named = failure == error.Retry or failure == error.Permanent;
                const reason = abi.Text.of(if (is_named) call.reason else @errorName(failure));
                handled.kind = if (failure == error.Permanent) .permanent else .retry;
                handled.failure = switch (handled.kind) {
                    .permanent => .{ .permanent = reason },
                    .retry => .{ .retry = .{
                        .has_after_ms = is_named and call.after_ms != null,
                        .after_ms = call.after_ms orelse 0,
                        .reason = reason,
                    } },
                };
            };
            return &handled;
        }
    };
}

/// For what the host passes. It never makes a block larger, and aligns to 4 at most.
fn allocate(_: usize, old_size: usize, _: usize, size: usize) callconv(.c) [*]u8 {
    if (old_size != 0) @panic("a block was to be made larger");
    // Nothing has to be somewhere, too.
    const block = informerd.memory.allocator().alignedAlloc(u8, .@"4", @max(size, 1)) catch
        @panic("out of memory");
    return block.ptr;
}

/// When the host has read the answer.
fn freeCall(_: *const anyopaque) callconv(.c) void {
    _ = informerd.memory.reset(.{ .retain_with_limit = 64 << 10 });
}
