//! The host's functions as Zig has them: slices and optionals. What they give lives until the call is over.

const abi = @import("abi.zig");
const informerd = @import("informerd.zig");
const Text = abi.Text;
const imports = abi.imports;

pub fn objectKey(ticket: abi.Ticket) informerd.Key {
    var answer: abi.Key = undefined;
    imports.objects.key(ticket, &answer);
    return informerd.Key.of(answer);
}

pub fn objectGet(ticket: abi.Ticket, pointer: []const u8) ?[]const u8 {
    const at = Text.of(pointer);
    var answer: abi.OptionalText = undefined;
    imports.objects.get(ticket, at.address, at.length, &answer);
    return answer.slice();
}

pub fn objectGetString(ticket: abi.Ticket, pointer: []const u8) ?[]const u8 {
    const at = Text.of(pointer);
    var answer: abi.OptionalText = undefined;
    imports.objects.@"get-string"(ticket, at.address, at.length, &answer);
    return answer.slice();
}

pub fn objectJson(ticket: abi.Ticket) []const u8 {
    var answer: abi.Text = undefined;
    imports.objects.json(ticket, &answer);
    return answer.slice();
}

pub fn configGet(name: []const u8) ?[]const u8 {
    const of = Text.of(name);
    var answer: abi.OptionalText = undefined;
    imports.config.get(of.address, of.length, &answer);
    return answer.slice();
}

pub fn configGetString(name: []const u8) ?[]const u8 {
    const of = Text.of(name);
    var answer: abi.OptionalText = undefined;
    imports.config.@"get-string"(of.address, of.length, &answer);
    return answer.slice();
}

pub fn configJson() []const u8 {
    var answer: abi.Text = undefined;
    imports.config.json(&answer);
    return answer.slice();
}

pub fn log(level: informerd.Level, message: []const u8, fields: []const informerd.Field) void {
    const crossing = informerd.memory.allocator().alloc(abi.Field, fields.len) catch
        @panic("out of memory");
    for (crossing, fields) |*to, from| to.* = .{ .name = .of(from.name), .value = .of(from.value) };
    const text = Text.of(message);
    const list = abi.List(abi.Field).of(crossing);
    imports.log.log(@backingInt(level), text.address, text.length, list.items, list.count);
}

pub fn cacheGet(
    api_version: []const u8,
    kind: []const u8,
    namespace: ?[]const u8,
    name: []const u8,
) ?abi.Ticket {
    const of_version, const of_kind = .{ Text.of(api_version), Text.of(kind) };
    const in, const of_name = .{ abi.OptionalText.of(namespace), Text.of(name) };
    var answer: abi.OptionalTicket = undefined;
    imports.cache.get(
        of_version.address,
        of_version.length,
        of_kind.address,
        of_kind.length,
        @intFromBool(in.is_some),
        in.text.address,
        in.text.length,
        of_name.address,
        of_name.length,
        &answer,
    );
    return if (answer.is_some) answer.ticket else null;
}

pub fn cacheList(list: informerd.List, cursor: ?[]const u8) abi.PageOrError {
    const of_version, const of_kind = .{ Text.of(list.api_version), Text.of(list.kind) };
    const after = abi.OptionalText.of(cursor);
    var answer: abi.PageOrError = undefined;
    if (list.by_index) |by| {
        const index, const value = .{ Text.of(by.name), Text.of(by.value) };
        imports.cache.@"list-by-index"(
            of_version.address,
            of_version.length,
            of_kind.address,
            of_kind.length,
            index.address,
            index.length,
            value.address,
            value.length,
            list.page_size,
            @intFromBool(after.is_some),
            after.text.address,
            after.text.length,
            &answer,
        );
        return answer;
    }
    const in, const selector = .{ abi.OptionalText.of(list.namespace), Text.of(list.label_selector) };
    imports.cache.@"list-objects"(
        of_version.address,
        of_version.length,
        of_kind.address,
        of_kind.length,
        @intFromBool(in.is_some),
        in.text.address,
        in.text.length,
        selector.address,
        selector.length,
        list.page_size,
        @intFromBool(after.is_some),
        after.text.address,
        after.text.length,
        &answer,
    );
    return answer;
}

pub fn cacheRelease(tickets: []const abi.Ticket) void {
    const list = abi.List(abi.Ticket).of(tickets);
    imports.cache.release(list.items, list.count);
}

/// On standard error; a line of its own.
pub fn printError(line: []const u8) void {
    for ([_][]const u8{ line, "\n" }) |piece| {
        var written: usize = 0;
        _ = imports.standard_error.fd_write(2, &Text.of(piece), 1, &written);
    }
}
