/* The audit trail as a core module: C without bindings, SDK and libc, to wit/CORE-MODULES.md alone. ../README.md
 * describes what it does.
 *
 * From top to bottom: what crosses, memory, text, configuration, failing on request, the trail. */
#include <stdint.h>

/* What crosses: the layouts, and the host's functions by their short names. */

struct text {
  const char *at;
  uint32_t length;
};
struct optional_text {
  bool is_some;
  struct text text;
};
struct key {
  struct text group, version, kind;
  struct optional_text namespace_name;
  struct text name, uid, resource_version;
};
struct add {
  struct key key;
  uint32_t object;
  bool is_in_initial_list;
};
struct update {
  struct key key;
  uint32_t old, new;
};
struct delete {
  struct key key;
  uint32_t last;
  bool final_state_unknown;
};
struct watch {
  struct text api_version, kind;
  struct {
    const struct text *items;
    uint32_t count;
  } namespaces;
  struct text label_selector, field_selector;
};
struct watches {
  const struct watch *items;
  uint32_t count;
};
struct initialized {
  bool is_refused;
  struct text reason;
};
struct handled {
  bool is_failure;
  enum : uint32_t { RETRY, PERMANENT } kind;
  union {
    struct {
      bool has_after_ms;
      uint32_t after_ms;
      struct text reason;
    } retry;
    struct text permanent;
  };
};
struct field {
  struct text name, value;
};
enum level { TRACE, DEBUG, INFO, WARN, ERROR };
struct optional_ticket {
  bool is_some;
  uint32_t ticket;
};
struct page_or_error {
  bool is_error;
  union {
    struct {
      const uint32_t *tickets;
      uint32_t count;
      struct optional_text cursor;
    } page;
    struct text error;
  };
};

static_assert(sizeof(struct key) == 60 && sizeof(struct add) == 68 && sizeof(struct watch) == 40);
static_assert(sizeof(struct handled) == 24 && sizeof(struct page_or_error) == 24);

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))

IMPORT("objects", "key") void objects_key(uint32_t ticket, struct key *);
IMPORT("objects", "get")
void objects_get(uint32_t ticket, const char *pointer, uint32_t length, struct optional_text *);
IMPORT("objects", "get_string")
void objects_get_string(uint32_t ticket, const char *pointer, uint32_t length,
                        struct optional_text *);
IMPORT("objects", "json") void objects_json(uint32_t ticket, struct text *);
IMPORT("config", "get")
void config_get(const char *name, uint32_t length, struct optional_text *);
IMPORT("config", "get_string")
void config_get_string(const char *name, uint32_t length, struct optional_text *);
IMPORT("log", "log")
void log_log(uint32_t level, const char *message, uint32_t length, const struct field *,
             uint32_t count);
IMPORT("cache", "get")
void cache_get(const char *api_version, uint32_t, const char *kind, uint32_t, uint32_t has_namespace,
               const char *namespace_name, uint32_t, const char *name, uint32_t,
               struct optional_ticket *);
IMPORT("cache", "list_objects")
void cache_list_objects(const char *api_version, uint32_t, const char *kind, uint32_t,
                        uint32_t has_namespace, const char *namespace_name, uint32_t,
                        const char *label_selector, uint32_t, uint32_t limit, uint32_t has_cursor,
                        const char *cursor, uint32_t, struct page_or_error *);
IMPORT("cache", "release") void cache_release(const uint32_t *tickets, uint32_t count);

/* Memory: given out one after the other, from the heap's begin up. What `init` needs stays; the rest is free again when
 * the next call begins. */

extern char __heap_base;
static uintptr_t heap_begin, heap;
static bool call_is_over = true;

static void begin_call(void) {
  if (call_is_over) {
    heap = heap_begin = heap_begin ? heap_begin : (uintptr_t)&__heap_base;
    call_is_over = false;
  }
}

static void *allocate(uint32_t size, uint32_t align) {
  constexpr uint32_t page = 65536;
  uintptr_t at = (heap + align - 1) & -(uintptr_t)align;
  uintptr_t memory = __builtin_wasm_memory_size(0) * page;
  if (size > UINT32_MAX - page - at) {
    __builtin_trap();
  }
  heap = at + size;
  if (heap > memory &&
      __builtin_wasm_memory_grow(0, (heap - memory + page - 1) / page) == SIZE_MAX) {
    __builtin_trap();
  }
  return (void *)at;
}

/* What a call brings is the first of it. */
EXPORT("cabi_realloc")
void *cabi_realloc(void *old, uint32_t old_size, uint32_t align, uint32_t size) {
  begin_call();
  void *block = allocate(size, align);
  __builtin_memcpy(block, old, old_size);
  return block;
}

/* Text. */

#define TEXT(literal) ((struct text){literal, sizeof literal - 1})
#define COUNT(array) (sizeof(array) / sizeof *(array))
#define JOIN(...)                                                                                  \
  join((struct text[]){__VA_ARGS__}, COUNT(((struct text[]){__VA_ARGS__})))

static struct text join(const struct text *pieces, uint32_t count) {
  struct text whole = {(const char *)heap, 0};
  for (uint32_t i = 0; i < count; i++) {
    __builtin_memcpy(allocate(pieces[i].length, 1), pieces[i].at, pieces[i].length);
    whole.length += pieces[i].length;
  }
  return whole;
}

static bool equal(struct text a, struct text b) {
  for (uint32_t i = 0; i < a.length && i < b.length; i++) {
    if (a.at[i] != b.at[i]) {
      return false;
    }
  }
  return a.length == b.length;
}

static struct text decimal(uint32_t number) {
  char *end = (char *)allocate(10, 1) + 10, *digit = end;
  do {
    *--digit = '0' + number % 10;
    number /= 10;
  } while (number);
  return (struct text){digit, end - digit};
}

static struct text boolean(bool value) { return value ? TEXT("true") : TEXT("false"); }

static struct text name_of(const struct key *key) {
  const struct optional_text *namespace_name = &key->namespace_name;
  return namespace_name->is_some ? JOIN(namespace_name->text, TEXT("/"), key->name) : key->name;
}

/* Configuration: read once, by `init`. */

enum detail { KEY, FIELDS, WHOLE };
constexpr uint32_t POINTERS_MAX = 16, PAGE_MAX = 500;

static struct {
  struct text report[POINTERS_MAX];
  uint32_t pointers;
  enum detail detail;
  uint32_t page;
} config;

static struct optional_text config_value(struct text name) {
  struct optional_text value;
  config_get(name.at, name.length, &value);
  return value;
}

static struct text config_string(struct text name, struct text or_else) {
  struct optional_text value;
  config_get_string(name.at, name.length, &value);
  return value.is_some ? value.text : or_else;
}

static struct watch watched(void) {
  return (struct watch){.api_version = config_string(TEXT("apiVersion"), TEXT("v1")),
                        .kind = config_string(TEXT("kind"), TEXT("Pod"))};
}

/* A list of strings without escapes, spelled without spaces: ["/a","/b"]. */
static bool read_report(struct text json) {
  const char *at = json.at, *end = json.at + json.length;
  for (config.pointers = 0; config.pointers < POINTERS_MAX; config.pointers++) {
    /* A comma, or at first the bracket; then a quote and the first character. */
    if (end - at < 3 || at[0] != (config.pointers ? ',' : '[') || at[1] != '"' || at[2] != '/') {
      break;
    }
    const char *begin = at += 2;
    while (at < end && *at != '"') {
      if (*at++ == '\\') {
        return false;
      }
    }
    config.report[config.pointers] = (struct text){begin, at - begin};
    at++;
  }
  return config.pointers > 0 && end - at == 1 && *at == ']';
}

static bool read_detail(struct optional_text json) {
  static const struct text names[] = {[KEY] = {"\"key\"", 5}, [FIELDS] = {"\"fields\"", 8},
                                      [WHOLE] = {"\"whole\"", 7}};
  for (config.detail = WHOLE; json.is_some && !equal(json.text, names[config.detail]);
       config.detail--) {
    if (config.detail == KEY) {
      return false;
    }
  }
  return true;
}

static bool read_page(struct optional_text json) {
  config.page = json.is_some ? 0 : 100;
  for (uint32_t i = 0; json.is_some && i < json.text.length; i++) {
    char digit = json.text.at[i];
    config.page = 10 * config.page + (digit - '0');
    if (digit < '0' || digit > '9' || config.page > PAGE_MAX) {
      return false;
    }
  }
  return config.page > 0;
}

/* Failing on request. The state that was failed last, and how often, is kept beyond the call. */

static struct handled handled;

static struct {
  char state[512];
  uint32_t length, times;
} failed;

static bool retry(const struct key *key, uint32_t times) {
  struct text state = JOIN(key->uid, TEXT(" "), key->resource_version);
  if (!equal(state, (struct text){failed.state, failed.length})) {
    if (state.length > sizeof failed.state) {
      __builtin_trap();
    }
    __builtin_memcpy(failed.state, state.at, state.length);
    failed.length = state.length;
    failed.times = 0;
  }
  if (failed.times == times) {
    return false;
  }
  handled.is_failure = true;
  handled.kind = RETRY;
  handled.retry.has_after_ms = true;
  handled.retry.after_ms = 1;
  handled.retry.reason =
      JOIN(TEXT("asked to fail, "), decimal(++failed.times), TEXT(" of "), decimal(times));
  return true;
}

/* Whether the call fails, as the object's annotation asks for. */
static bool fails(const struct key *key, uint32_t object) {
  handled = (struct handled){};
  struct optional_text request = {};
  if (config.detail != KEY) {
    struct text annotation = TEXT("/metadata/annotations/audit.informerd.dev~1fail");
    objects_get_string(object, annotation.at, annotation.length, &request);
  }
  struct text text = request.text;
  if (!request.is_some) {
    return false;
  }
  if (equal(text, TEXT("trap"))) {
    __builtin_trap();
  }
  if (equal(text, TEXT("permanent"))) {
    handled.is_failure = true;
    handled.kind = PERMANENT;
    handled.permanent = TEXT("asked to fail for good");
    return true;
  }
  struct text prefix = TEXT("retry ");
  bool is_retry = text.length == prefix.length + 1 &&
                  equal((struct text){text.at, prefix.length}, prefix) &&
                  text.at[prefix.length] >= '1' && text.at[prefix.length] <= '9';
  return is_retry && retry(key, text.at[prefix.length] - '0');
}

/* The trail. */

static struct field fields[7 + POINTERS_MAX];
static uint32_t fields_count;
/* Lines written. */
static uint32_t seq;

static void add_field(struct text name, struct text value) {
  fields[fields_count++] = (struct field){name, value};
}

static void write_line(enum level level, struct text message) {
  log_log(level, message.at, message.length, fields, fields_count);
  fields_count = 0;
}

/* What every line about an object begins with. */
static void begin_line(const struct key *key) {
  add_field(TEXT("seq"), decimal(++seq));
  add_field(TEXT("uid"), key->uid);
  add_field(TEXT("resourceVersion"), key->resource_version);
}

static struct optional_text get(uint32_t object, struct text pointer) {
  struct optional_text value;
  objects_get(object, pointer.at, pointer.length, &value);
  return value;
}

/* How many members a map of strings has: each has one colon outside of strings. */
static uint32_t members(struct optional_text json) {
  uint32_t count = 0;
  bool is_in_string = false;
  for (uint32_t i = 0; json.is_some && i < json.text.length; i++) {
    char c = json.text.at[i];
    i += c == '\\';
    is_in_string ^= c == '"';
    count += c == ':' && !is_in_string;
  }
  return count;
}

static void add_whole(uint32_t object) {
  if (config.detail == WHOLE) {
    struct text json;
    objects_json(object, &json);
    add_field(TEXT("bytes"), decimal(json.length));
    add_field(TEXT("labels"), decimal(members(get(object, TEXT("/metadata/labels")))));
  }
}

/* A value as it is written: longer ones are only measured. */
static struct text shown(struct optional_text value) {
  constexpr uint32_t value_max = 256;
  if (!value.is_some) {
    return TEXT("absent");
  }
  return value.text.length <= value_max
             ? value.text
             : JOIN(TEXT("("), decimal(value.text.length), TEXT(" bytes)"));
}

static void add_values(uint32_t object) {
  for (uint32_t i = 0; config.detail != KEY && i < config.pointers; i++) {
    add_field(config.report[i], shown(get(object, config.report[i])));
  }
}

/* Whether the cache has no other state of the object by now. */
static bool is_newest(const struct key *key) {
  struct text api_version =
      key->group.length ? JOIN(key->group, TEXT("/"), key->version) : key->version;
  const struct optional_text *namespace_name = &key->namespace_name;
  struct optional_ticket found;
  cache_get(api_version.at, api_version.length, key->kind.at, key->kind.length,
            namespace_name->is_some, namespace_name->text.at, namespace_name->text.length,
            key->name.at, key->name.length, &found);
  if (!found.is_some) {
    return false;
  }
  struct key cached;
  objects_key(found.ticket, &cached);
  return equal(cached.resource_version, key->resource_version);
}

/* The exports. */

EXPORT("watches") const struct watches *watches(void) {
  static struct watch watch;
  static const struct watches all = {&watch, 1};
  begin_call();
  watch = watched();
  call_is_over = true;
  return &all;
}

EXPORT("init") const struct initialized *init(void) {
  static struct initialized answer;
  begin_call();
  struct optional_text report = config_value(TEXT("report"));
  if (!report.is_some || !read_report(report.text)) {
    answer.reason = TEXT("config.report must be a list of 1 to 16 JSON pointers, for example "
                         "[\"/status/phase\"]");
  } else if (!read_detail(config_value(TEXT("detail")))) {
    answer.reason = TEXT("config.detail must be \"key\", \"fields\" or \"whole\"");
  } else if (!read_page(config_value(TEXT("page")))) {
    answer.reason = TEXT("config.page must be a number from 1 to 500");
  } else {
    add_field(TEXT("pointers"), decimal(config.pointers));
    add_field(TEXT("page"), decimal(config.page));
    write_line(DEBUG, TEXT("ready"));
  }
  answer.is_refused = answer.reason.length > 0;
  heap_begin = heap;
  call_is_over = true;
  return &answer;
}

EXPORT("on_add") const struct handled *on_add(const struct add *call) {
  if (!fails(&call->key, call->object)) {
    begin_line(&call->key);
    add_field(TEXT("initial"), boolean(call->is_in_initial_list));
    add_whole(call->object);
    add_values(call->object);
    write_line(INFO, JOIN(TEXT("added "), name_of(&call->key)));
  }
  call_is_over = true;
  return &handled;
}

EXPORT("on_update") const struct handled *on_update(const struct update *call) {
  if (!fails(&call->key, call->new)) {
    begin_line(&call->key);
    if (config.detail == WHOLE) {
      add_field(TEXT("newest"), boolean(is_newest(&call->key)));
    }
    add_whole(call->new);
    bool has_changed = config.detail == KEY;
    for (uint32_t i = 0; config.detail != KEY && i < config.pointers; i++) {
      struct optional_text before = get(call->old, config.report[i]);
      struct optional_text after = get(call->new, config.report[i]);
      bool is_same = before.is_some == after.is_some &&
                     (!before.is_some || equal(before.text, after.text));
      if (!is_same) {
        add_field(config.report[i], JOIN(shown(before), TEXT(" -> "), shown(after)));
        has_changed = true;
      }
    }
    struct text name = name_of(&call->key);
    if (has_changed) {
      write_line(INFO, JOIN(TEXT("updated "), name));
    } else {
      write_line(DEBUG, JOIN(TEXT("unchanged "), name));
    }
  }
  call_is_over = true;
  return &handled;
}

EXPORT("on_delete") const struct handled *on_delete(const struct delete *call) {
  if (!fails(&call->key, call->last)) {
    begin_line(&call->key);
    add_field(TEXT("finalStateUnknown"), boolean(call->final_state_unknown));
    add_whole(call->last);
    add_values(call->last);
    write_line(INFO, JOIN(TEXT("deleted "), name_of(&call->key)));
  }
  call_is_over = true;
  return &handled;
}

EXPORT("on_synced") const struct handled *on_synced(void) {
  begin_call();
  handled = (struct handled){};
  struct watch watch = watched();
  struct text selector = config_string(TEXT("labelSelector"), TEXT(""));
  struct optional_text cursor = {};
  uint32_t objects = 0, pages = 0;
  do {
    struct page_or_error answer;
    cache_list_objects(watch.api_version.at, watch.api_version.length, watch.kind.at,
                       watch.kind.length, false, nullptr, 0, selector.at, selector.length,
                       config.page, cursor.is_some, cursor.text.at, cursor.text.length, &answer);
    if (answer.is_error) {
      handled = (struct handled){.is_failure = true, .kind = PERMANENT, .permanent = answer.error};
      call_is_over = true;
      return &handled;
    }
    objects += answer.page.count;
    pages++;
    cache_release(answer.page.tickets, answer.page.count);
    cursor = answer.page.cursor;
  } while (cursor.is_some);
  add_field(TEXT("seq"), decimal(++seq));
  add_field(TEXT("objects"), decimal(objects));
  add_field(TEXT("pages"), decimal(pages));
  write_line(INFO, TEXT("synced"));
  call_is_over = true;
  return &handled;
}
