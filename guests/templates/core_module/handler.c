/* Says hello to pods, and tells of their phases: a core module, without bindings, SDK and libc.
 *
 * From top to bottom: what crosses (wit/CORE-MODULES.md has the layouts and names), memory, the handler. */
#include <stdint.h>

/* What crosses. The host's functions have their short names. */

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

/* On another machine, the tests have the host's functions. */
#ifdef __wasm__
#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))
static_assert(sizeof(struct add) == 68 && sizeof(struct watch) == 40 &&
              sizeof(struct handled) == 24);
#else
#define IMPORT(module, name)
#define EXPORT(name)
#endif

IMPORT("objects", "get_string")
void objects_get_string(uint32_t ticket, const char *pointer, uint32_t length,
                        struct optional_text *);
IMPORT("config", "get_string")
void config_get_string(const char *name, uint32_t length, struct optional_text *);
IMPORT("log", "log")
void log_log(uint32_t level, const char *message, uint32_t length, const struct field *,
             uint32_t count);

/* Memory: given out one after the other. What `init` has read stays; the rest is free again when the next call
 * begins. */

static char memory[256 << 10];
static uint32_t kept, used;
static bool call_is_over;

static void *allocate(uint32_t size, uint32_t align) {
  uint32_t at = (used + align - 1) & -align;
  if (size > sizeof memory - at) {
    __builtin_trap();
  }
  used = at + size;
  return memory + at;
}

/* For what the host passes; what a call brings is the first of it. It never makes a block larger. */
EXPORT("cabi_realloc")
void *cabi_realloc(void *old, uint32_t old_size, uint32_t align, uint32_t size) {
  (void)old, (void)old_size;
  if (call_is_over) {
    used = kept;
    call_is_over = false;
  }
  return allocate(size, align);
}

/* Text. */

#define TEXT(literal) ((struct text){literal, sizeof literal - 1})
#define SAY(...)                                                                                   \
  say((struct text[]){__VA_ARGS__}, sizeof((struct text[]){__VA_ARGS__}) / sizeof(struct text))

/* The pieces of NAMESPACE/NAME, or of NAME. */
#define NAME(key)                                                                                  \
  (key)->namespace_name.is_some ? (key)->namespace_name.text : TEXT(""),                           \
      (key)->namespace_name.is_some ? TEXT("/") : TEXT(""), (key)->name

/* One line of these pieces. */
static void say(const struct text *pieces, uint32_t count) {
  char *line = allocate(0, 1);
  uint32_t length = 0;
  for (uint32_t i = 0; i < count; i++) {
    __builtin_memcpy(allocate(pieces[i].length, 1), pieces[i].at, pieces[i].length);
    length += pieces[i].length;
  }
  log_log(INFO, line, length, nullptr, 0);
}

static bool equal(struct text a, struct text b) {
  for (uint32_t i = 0; i < a.length && i < b.length; i++) {
    if (a.at[i] != b.at[i]) {
      return false;
    }
  }
  return a.length == b.length;
}

/* The handler. */

static struct text greeting;
/* What the exports answer: nothing went wrong. */
static const struct handled handled;

EXPORT("watches") const struct watches *watches(void) {
  static const struct watch pods = {.api_version = {"v1", 2}, .kind = {"Pod", 3}};
  static const struct watches all = {&pods, 1};
  return &all;
}

EXPORT("init") const struct initialized *init(void) {
  static const struct initialized fine;
  struct text name = TEXT("greeting");
  struct optional_text configured;
  config_get_string(name.at, name.length, &configured);
  greeting = configured.is_some ? configured.text : TEXT("hello");
  kept = used;
  call_is_over = true;
  return &fine;
}

EXPORT("on_add") const struct handled *on_add(const struct add *call) {
  SAY(greeting, TEXT(" "), NAME(&call->key));
  call_is_over = true;
  return &handled;
}

static struct text phase(uint32_t pod) {
  struct text pointer = TEXT("/status/phase");
  struct optional_text phase;
  objects_get_string(pod, pointer.at, pointer.length, &phase);
  return phase.is_some ? phase.text : TEXT("without a phase");
}

EXPORT("on_update") const struct handled *on_update(const struct update *call) {
  struct text before = phase(call->old), after = phase(call->new);
  if (!equal(before, after)) {
    SAY(NAME(&call->key), TEXT(" is "), after);
  }
  call_is_over = true;
  return &handled;
}

EXPORT("on_delete") const struct handled *on_delete(const struct delete *call) {
  (void)call;
  call_is_over = true;
  return &handled;
}

EXPORT("on_synced") const struct handled *on_synced(void) {
  return &handled;
}
