/* The contract (wit/) as a core module has it: the canonical ABI, with the short names of
 * wit/CORE-MODULES.md. What a handler uses is in informerd.h, or for C++ in informerd.hpp.
 *
 * imports: the functions of the host. exports: informerd.c has them.
 * On the machine itself, where tests run, informerd_testing.c is the host. */
#ifndef INFORMERD_ABI_H
#define INFORMERD_ABI_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __wasm__
#define INFORMERD_IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define INFORMERD_EXPORT(name) __attribute__((export_name(name)))
#else
#define INFORMERD_IMPORT(module, name)
#define INFORMERD_EXPORT(name)
#endif

/* UTF-8. */
typedef struct {
  const char *text;
  size_t length;
} informerd_string;

typedef struct {
  bool is_some;
  informerd_string value;
} informerd_abi_option_string;

/* Names one state of one object while a call runs: a ticket. */
typedef struct {
  uint32_t ticket;
} informerd_object;

typedef struct {
  informerd_string group, version, kind;
  informerd_abi_option_string namespace_;
  informerd_string name, uid, resource_version;
} informerd_abi_key;

/* What on-add, on-update and on-delete get. */
typedef struct {
  informerd_abi_key key;
  informerd_object object;
  bool is_in_initial_list;
} informerd_abi_add;

typedef struct {
  informerd_abi_key key;
  informerd_object old_state, new_state;
} informerd_abi_update;

typedef struct {
  informerd_abi_key key;
  informerd_object last;
  bool final_state_unknown;
} informerd_abi_delete;

typedef struct {
  informerd_string api_version, kind;
  struct {
    const informerd_string *names;
    size_t count;
  } namespaces;
  informerd_string label_selector, field_selector;
} informerd_abi_watch;

typedef struct {
  const informerd_abi_watch *watches;
  size_t count;
} informerd_abi_watch_list;

/* What init answers. */
typedef struct {
  bool is_refused;
  informerd_string reason;
} informerd_abi_init_result;

/* What the others answer. */
typedef struct {
  bool is_failure;
  struct {
    uint8_t is_permanent;
    union {
      struct {
        struct {
          bool is_some;
          uint32_t value;
        } after_ms;
        informerd_string reason;
      } retry;
      informerd_string permanent;
    } why;
  } failure;
} informerd_abi_result;

typedef struct {
  informerd_string name, value;
} informerd_field;

typedef struct {
  bool is_some;
  informerd_object value;
} informerd_abi_option_object;

/* What the cache answers to a list. */
typedef struct {
  bool is_error;
  union {
    struct {
      struct {
        const informerd_object *items;
        size_t count;
      } objects;
      informerd_abi_option_string cursor;
    } page;
    informerd_string error;
  } is;
} informerd_abi_page_result;

#ifdef __wasm__
/* The table of wit/CORE-MODULES.md. */
static_assert(sizeof(informerd_abi_key) == 60, "object-key");
static_assert(sizeof(informerd_abi_add) == 68, "what on-add gets");
static_assert(sizeof(informerd_abi_update) == 68, "what on-update gets");
static_assert(sizeof(informerd_abi_delete) == 68, "what on-delete gets");
static_assert(sizeof(informerd_abi_watch) == 40, "watch");
static_assert(sizeof(informerd_abi_init_result) == 12, "what init gives");
static_assert(sizeof(informerd_abi_result) == 24, "what the others give");
static_assert(sizeof(informerd_field) == 16, "field");
static_assert(sizeof(informerd_abi_option_object) == 8, "option<ticket>");
static_assert(sizeof(informerd_abi_page_result) == 24, "result<page, string>");
#endif

INFORMERD_IMPORT("objects", "key")
void informerd_abi_objects_key(informerd_object, informerd_abi_key *answer);
INFORMERD_IMPORT("objects", "get")
void informerd_abi_objects_get(informerd_object, const char *pointer, size_t length,
                               informerd_abi_option_string *answer);
INFORMERD_IMPORT("objects", "get-string")
void informerd_abi_objects_get_string(informerd_object, const char *pointer, size_t length,
                                      informerd_abi_option_string *answer);
INFORMERD_IMPORT("objects", "json")
void informerd_abi_objects_json(informerd_object, informerd_string *answer);

INFORMERD_IMPORT("config", "get")
void informerd_abi_config_get(const char *name, size_t length, informerd_abi_option_string *answer);
INFORMERD_IMPORT("config", "get-string")
void informerd_abi_config_get_string(const char *name, size_t length,
                                     informerd_abi_option_string *answer);
INFORMERD_IMPORT("config", "json")
void informerd_abi_config_json(informerd_string *answer);

INFORMERD_IMPORT("log", "log")
void informerd_abi_log(int32_t level, const char *message, size_t length,
                       const informerd_field *fields, size_t count);

/* Texts that there may not be: 1 and the text, or 0. */
INFORMERD_IMPORT("cache", "get")
void informerd_abi_cache_get(const char *api_version, size_t api_version_length, const char *kind,
                             size_t kind_length, int32_t has_namespace, const char *namespace_,
                             size_t namespace_length, const char *name, size_t name_length,
                             informerd_abi_option_object *answer);
INFORMERD_IMPORT("cache", "list-objects")
void informerd_abi_cache_list_objects(const char *api_version, size_t api_version_length,
                                      const char *kind, size_t kind_length, int32_t has_namespace,
                                      const char *namespace_, size_t namespace_length,
                                      const char *label_selector, size_t label_selector_length,
                                      uint32_t limit, int32_t has_cursor, const char *cursor,
                                      size_t cursor_length, informerd_abi_page_result *answer);
INFORMERD_IMPORT("cache", "list-by-index")
void informerd_abi_cache_list_by_index(const char *api_version, size_t api_version_length,
                                       const char *kind, size_t kind_length, const char *index,
                                       size_t index_length, const char *value, size_t value_length,
                                       uint32_t limit, int32_t has_cursor, const char *cursor,
                                       size_t cursor_length, informerd_abi_page_result *answer);
INFORMERD_IMPORT("cache", "release")
void informerd_abi_cache_release(const informerd_object *objects, size_t count);

/* A block for what the host passes. */
INFORMERD_EXPORT("cabi_realloc")
void *informerd_abi_realloc(void *old, size_t old_size, size_t align, size_t size);

INFORMERD_EXPORT("watches") informerd_abi_watch_list *informerd_abi_watches(void);
INFORMERD_EXPORT("init") informerd_abi_init_result *informerd_abi_init(void);
INFORMERD_EXPORT("on-add") informerd_abi_result *informerd_abi_on_add(const informerd_abi_add *);
INFORMERD_EXPORT("on-update")
informerd_abi_result *informerd_abi_on_update(const informerd_abi_update *);
INFORMERD_EXPORT("on-delete")
informerd_abi_result *informerd_abi_on_delete(const informerd_abi_delete *);
INFORMERD_EXPORT("on-synced") informerd_abi_result *informerd_abi_on_synced(void);

#ifdef __cplusplus
}
#endif
#endif
