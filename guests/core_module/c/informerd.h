/* The contract (wit/) as C sees it in a core module: the canonical ABI, with the short names of
 * wit/CORE-MODULES.md. All of it is C; there is nothing to generate and nothing to link. */
#ifndef INFORMERD_H
#define INFORMERD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* UTF-8, not ended by a zero. What the host gives is yours to free, or to leave to
 * informerd_free_all. */
typedef struct {
  char *text;
  size_t length;
} informerd_string;

#define INFORMERD_TEXT(literal) ((informerd_string){(char *)(literal), sizeof(literal) - 1})

typedef struct {
  bool is_some;
  informerd_string value;
} informerd_option_string;

/* Names one state of one object while a call runs. */
typedef uint32_t informerd_ticket;

typedef struct {
  informerd_string group, version, kind;
  informerd_option_string namespace_name;
  informerd_string name, uid, resource_version;
} informerd_key;

/* What on-add, on-update and on-delete get. */
typedef struct {
  informerd_key key;
  informerd_ticket object;
  bool is_in_initial_list;
} informerd_add;
typedef struct {
  informerd_key key;
  informerd_ticket old, new_;
} informerd_update;
typedef struct {
  informerd_key key;
  informerd_ticket last;
  bool final_state_unknown;
} informerd_delete;

typedef struct {
  informerd_string api_version, kind;
  struct {
    informerd_string *names;
    size_t count;
  } namespaces;
  informerd_string label_selector, field_selector;
} informerd_watch;
typedef struct {
  informerd_watch *watches;
  size_t count;
} informerd_watches;

/* What init answers: fine, or the reason why the configuration is refused. */
typedef struct {
  bool is_refused;
  informerd_string reason;
} informerd_init_result;

/* What the others answer. */
typedef struct {
  bool is_failure;
  struct {
    enum : uint8_t { INFORMERD_RETRY, INFORMERD_PERMANENT } kind;
    union {
      struct {
        struct {
          bool is_some;
          uint32_t value;
        } after_ms;
        informerd_string reason;
      } retry;
      informerd_string permanent;
    };
  } failure;
} informerd_result;

typedef enum { INFORMERD_TRACE, INFORMERD_DEBUG, INFORMERD_INFO, INFORMERD_WARN, INFORMERD_ERROR }
    informerd_level;
typedef struct {
  informerd_string name, value;
} informerd_field;

#define INFORMERD_IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define INFORMERD_EXPORT(name) __attribute__((export_name(name)))

INFORMERD_IMPORT("objects", "get")
void informerd_objects_get(informerd_ticket, const char *pointer, size_t length,
                           informerd_option_string *answer);
INFORMERD_IMPORT("objects", "json")
void informerd_objects_json(informerd_ticket, informerd_string *answer);
INFORMERD_IMPORT("config", "get")
void informerd_config_get(const char *name, size_t length, informerd_option_string *answer);
INFORMERD_IMPORT("log", "log")
void informerd_log(int32_t level, const char *message, size_t length,
                   const informerd_field *fields, size_t count);

/* To be defined by the handler. Answers must stay where they are until the next call. */
INFORMERD_EXPORT("watches") informerd_watches *informerd_handler_watches(void);
INFORMERD_EXPORT("init") informerd_init_result *informerd_handler_init(void);
INFORMERD_EXPORT("on-add") informerd_result *informerd_handler_on_add(informerd_add *);
INFORMERD_EXPORT("on-update") informerd_result *informerd_handler_on_update(informerd_update *);
INFORMERD_EXPORT("on-delete") informerd_result *informerd_handler_on_delete(informerd_delete *);
INFORMERD_EXPORT("on-synced") informerd_result *informerd_handler_on_synced(void);

/* The host's memory for what it passes. Define INFORMERD_MEMORY in one file before this header. */
void informerd_free_all(void);

#ifdef INFORMERD_MEMORY
static struct informerd_block {
  struct informerd_block *next;
} *informerd_blocks;

/* Once for each string that the host passes. It never makes one larger. */
INFORMERD_EXPORT("cabi_realloc")
void *informerd_realloc(void *old, size_t old_size, size_t align, size_t size) {
  (void)align;
  if (old_size != 0) {
    abort();
  }
  (void)old;
  struct informerd_block *block = malloc(16 + size);
  if (block == NULL) {
    abort();
  }
  block->next = informerd_blocks;
  informerd_blocks = block;
  return (char *)block + 16;
}

/* Frees whatever the host has passed since the last time; right at the end of a call. */
void informerd_free_all(void) {
  while (informerd_blocks != NULL) {
    struct informerd_block *next = informerd_blocks->next;
    free(informerd_blocks);
    informerd_blocks = next;
  }
}

#endif
#endif
