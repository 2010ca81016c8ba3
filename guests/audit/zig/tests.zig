//! What the trail says, natively: `zig test`. The conformance suite plays all of it to the module.

const std = @import("std");
const informerd = @import("informerd");
const testing = informerd.testing;
const Audit = @import("audit.zig").Audit;
const expectEqualStrings = std.testing.expectEqualStrings;

fn deployment(replicas: []const u8, annotation: []const u8) !informerd.Object {
    const text = try std.fmt.allocPrint(informerd.memory.allocator(),
        \\{{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"namespace":"demo","name":"web",
        \\"uid":"u","resourceVersion":"{s}","labels":{{"a":"b"}},
        \\"annotations":{{"audit.informerd.dev/fail":"{s}"}}}},"spec":{{"replicas":{s}}}}}
    , .{ replicas, annotation, replicas });
    return testing.object(text);
}

fn started(call: *informerd.Call) !Audit {
    testing.setConfig(
        \\{"apiVersion":"apps/v1","kind":"Deployment","report":["/spec/replicas","/spec/paused"]}
    );
    return Audit.init(call);
}

fn last() testing.Line {
    return testing.lines()[testing.lines().len - 1];
}

test "a life is written down, the values that change and the state that is not the newest" {
    const call = testing.begin();
    defer testing.end();
    var audit = try started(call);
    defer audit.deinit();

    const one = try deployment("1", "");
    try audit.onAdd(call, one, true);
    try expectEqualStrings("added demo/web", last().message);
    try expectEqualStrings("1", last().field("/spec/replicas").?);
    try expectEqualStrings("absent", last().field("/spec/paused").?);
    try expectEqualStrings("1", last().field("labels").?);

    const two = try deployment("2", "");
    try audit.onUpdate(call, one, two);
    try expectEqualStrings("updated demo/web", last().message);
    try expectEqualStrings("1 -> 2", last().field("/spec/replicas").?);
    try std.testing.expectEqual(null, last().field("/spec/paused"));
    try expectEqualStrings("true", last().field("newest").?);

    _ = try deployment("3", "");
    try audit.onUpdate(call, two, two);
    try expectEqualStrings("unchanged demo/web", last().message);
    try expectEqualStrings("false", last().field("newest").?);

    try audit.onDelete(call, two, true);
    try expectEqualStrings("deleted demo/web", last().message);
    try audit.onSynced(call);
    try expectEqualStrings("1", last().field("objects").?);
    try expectEqualStrings("5", last().field("seq").?);
}

test "it fails as it is asked to" {
    const call = testing.begin();
    defer testing.end();
    var audit = try started(call);
    defer audit.deinit();
    const retried = try deployment("1", "retry 2");
    for ([_][]const u8{ "asked to fail, 1 of 2", "asked to fail, 2 of 2" }) |reason| {
        try std.testing.expectError(error.Retry, audit.onAdd(call, retried, false));
        try expectEqualStrings(reason, call.reason);
    }
    try audit.onAdd(call, retried, false);
    const given_up = try deployment("2", "permanent");
    try std.testing.expectError(error.Permanent, audit.onAdd(call, given_up, false));
    for ([_][]const u8{ "retry 0", "retry 10", "retry", "" }) |ignored| {
        try audit.onAdd(call, try deployment("3", ignored), false);
    }
}

test "a configuration that will not do is refused" {
    const call = testing.begin();
    defer testing.end();
    for ([_]struct { []const u8, []const u8 }{
        .{ "{}", "config.report" },
        .{ "{\"report\":[[47]]}", "config.report" },
        .{ "{\"report\":[\"a\"]}", "config.report" },
        .{ "{\"report\":[\"/a\"],\"detail\":1}", "config.detail" },
        .{ "{\"report\":[\"/a\"],\"page\":501}", "config.page" },
    }) |case| {
        const config, const reason = case;
        testing.setConfig(config);
        try std.testing.expectError(error.Refused, Audit.init(call));
        try std.testing.expectStringStartsWith(call.reason, reason);
    }
}
