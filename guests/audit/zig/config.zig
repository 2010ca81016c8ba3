//! What is to be reported.

const std = @import("std");
const informerd = @import("informerd");
const Call = informerd.Call;

pub const Config = struct {
    /// JSON pointers. They outlive the call.
    report: []const []const u8,
    detail: Detail,
    /// Objects of the cache at once.
    page: u32,

    pub fn read(call: *Call) !Config {
        const report = try pointers(call) orelse return call.refuse(
            "config.report must be a list of 1 to 16 JSON pointers, for example [\"/status/phase\"]",
            .{},
        );
        const detail = readDetail() orelse
            return call.refuse("config.detail must be \"key\", \"fields\" or \"whole\"", .{});
        const page = readPage() orelse
            return call.refuse("config.page must be a number from 1 to {d}", .{page_max});
        return .{ .report = try kept(report), .detail = detail, .page = page };
    }

    /// What is read of each object.
    pub fn pointersRead(self: Config) []const []const u8 {
        return if (self.detail == .key) &.{} else self.report;
    }

    pub fn deinit(self: Config) void {
        for (self.report) |pointer| informerd.allocator.free(pointer);
        informerd.allocator.free(self.report);
    }
};

/// How much of an object is read.
pub const Detail = enum { key, fields, whole };

/// The apiVersion and kind of what is watched.
pub fn watched() struct { []const u8, []const u8 } {
    const config = informerd.config;
    return .{ config.getString("apiVersion") orelse "v1", config.getString("kind") orelse "Pod" };
}

/// Null if it is something else than what it must be.
fn pointers(call: *Call) !?[]const []const u8 {
    const text = informerd.config.get("report") orelse return null;
    const json = try std.json.parseFromSliceLeaky(std.json.Value, call.arena, text, .{});
    if (json != .array) return null;
    const items = json.array.items;
    if (items.len < 1 or items.len > pointers_max) return null;
    const report = try call.arena.alloc([]const u8, items.len);
    for (report, items) |*pointer, item| {
        if (item != .string or !isPointer(item.string)) return null;
        pointer.* = item.string;
    }
    return report;
}

fn isPointer(text: []const u8) bool {
    for (text) |byte| if (byte == '"' or byte == '\\' or byte < ' ') return false;
    return std.mem.startsWith(u8, text, "/");
}

fn kept(report: []const []const u8) ![]const []const u8 {
    const copies = try informerd.allocator.alloc([]const u8, report.len);
    for (copies, report) |*copy, pointer| copy.* = try informerd.allocator.dupe(u8, pointer);
    return copies;
}

fn readDetail() ?Detail {
    if (informerd.config.get("detail") == null) return .whole;
    // Something else than a string is none of the three.
    return std.meta.stringToEnum(Detail, informerd.config.getString("detail") orelse "");
}

fn readPage() ?u32 {
    const text = informerd.config.get("page") orelse return page_default;
    for (text) |byte| if (!std.ascii.isDigit(byte)) return null;
    const page = std.fmt.parseInt(u32, text, 10) catch return null;
    return if (page >= 1 and page <= page_max) page else null;
}

const pointers_max = 16;
const page_default = 100;
const page_max = 500;
