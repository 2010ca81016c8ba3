//! The contract (`wit/`) as it crosses: the layouts and names of `wit/CORE-MODULES.md`, and nothing else.
//!
//! Above it stands `informerd.zig`; below it, in a module, the host, and in tests `testing.zig`.

pub const Text = extern struct {
    address: [*]const u8,
    length: usize,

    pub const empty = of("");

    /// Where nothing is, Zig may point anywhere; the host wants an address in memory.
    pub fn of(text: []const u8) Text {
        return .{ .address = if (text.len == 0) "" else text.ptr, .length = text.len };
    }

    pub fn slice(self: Text) []const u8 {
        return self.address[0..self.length];
    }
};

pub const OptionalText = extern struct {
    is_some: bool,
    text: Text,

    pub fn of(text: ?[]const u8) OptionalText {
        return .{ .is_some = text != null, .text = .of(text orelse "") };
    }

    pub fn slice(self: OptionalText) ?[]const u8 {
        return if (self.is_some) self.text.slice() else null;
    }
};

pub fn List(Item: type) type {
    return extern struct {
        items: [*]const Item,
        count: usize,

        pub fn of(items: []const Item) @This() {
            const none = [0]Item{};
            return .{ .items = if (items.len == 0) &none else items.ptr, .count = items.len };
        }

        pub fn slice(self: @This()) []const Item {
            return self.items[0..self.count];
        }
    };
}

pub const Ticket = u32;

pub const OptionalTicket = extern struct { is_some: bool, ticket: Ticket };

pub const Key = extern struct {
    group: Text,
    version: Text,
    kind: Text,
    namespace: OptionalText,
    name: Text,
    uid: Text,
    resource_version: Text,
};

pub const Add = extern struct { key: Key, object: Ticket, is_in_initial_list: bool };
pub const Update = extern struct { key: Key, old: Ticket, new: Ticket };
pub const Delete = extern struct { key: Key, last: Ticket, final_state_unknown: bool };

pub const Watch = extern struct {
    api_version: Text,
    kind: Text,
    namespaces: List(Text),
    label_selector: Text,
    field_selector: Text,
};

/// What `init` answers.
pub const Initialized = extern struct { is_refused: bool = false, reason: Text = .empty };

/// What the notifications answer.
pub const Handled = extern struct {
    is_failure: bool = false,
    kind: enum(u32) { retry, permanent } = .retry,
    failure: extern union {
        retry: extern struct { has_after_ms: bool, after_ms: u32, reason: Text },
        permanent: Text,
    } = .{ .permanent = .empty },
};

pub const Field = extern struct { name: Text, value: Text };

pub const Page = extern struct { objects: List(Ticket), cursor: OptionalText };

pub const PageOrError = extern struct {
    is_error: bool,
    is: extern union { page: Page, @"error": Text },
};

/// The host's functions.
pub const imports = struct {
    pub const objects = struct {
        pub extern "objects" fn key(Ticket, *Key) void;
        pub extern "objects" fn get(Ticket, [*]const u8, usize, *OptionalText) void;
        pub extern "objects" fn @"get-string"(Ticket, [*]const u8, usize, *OptionalText) void;
        pub extern "objects" fn json(Ticket, *Text) void;
    };
    pub const config = struct {
        pub extern "config" fn get([*]const u8, usize, *OptionalText) void;
        pub extern "config" fn @"get-string"([*]const u8, usize, *OptionalText) void;
        pub extern "config" fn json(*Text) void;
    };
    pub const log = struct {
        pub extern "log" fn log(u32, [*]const u8, usize, [*]const Field, usize) void;
    };
    pub const cache = struct {
        pub extern "cache" fn get(
            api_version: [*]const u8,
            api_version_length: usize,
            kind: [*]const u8,
            kind_length: usize,
            has_namespace: u32,
            namespace: [*]const u8,
            namespace_length: usize,
            name: [*]const u8,
            name_length: usize,
            answer: *OptionalTicket,
        ) void;
        pub extern "cache" fn @"list-objects"(
            api_version: [*]const u8,
            api_version_length: usize,
            kind: [*]const u8,
            kind_length: usize,
            has_namespace: u32,
            namespace: [*]const u8,
            namespace_length: usize,
            label_selector: [*]const u8,
            label_selector_length: usize,
            limit: u32,
            has_cursor: u32,
            cursor: [*]const u8,
            cursor_length: usize,
            answer: *PageOrError,
        ) void;
        pub extern "cache" fn @"list-by-index"(
            api_version: [*]const u8,
            api_version_length: usize,
            kind: [*]const u8,
            kind_length: usize,
            index: [*]const u8,
            index_length: usize,
            value: [*]const u8,
            value_length: usize,
            limit: u32,
            has_cursor: u32,
            cursor: [*]const u8,
            cursor_length: usize,
            answer: *PageOrError,
        ) void;
        pub extern "cache" fn release([*]const Ticket, usize) void;
    };
    /// WASI preview 1: the last line on standard error before a trap is why the delivery failed.
    pub const standard_error = struct {
        pub extern "wasi_snapshot_preview1" fn fd_write(u32, *const Text, usize, *usize) u32;
    };
};
