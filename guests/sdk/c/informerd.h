/* Handlers for informerd in C: define those of the functions at the end of this file that the
 * handler needs, and link informerd.c.
 *
 * Nothing has to be freed. Every text that a function here gives lies in memory that is freed when
 * the call of the handler has been answered: copy what is to be kept (strdup). Every text also ends
 * with a zero that is not counted, so it can be printed with %s; where it is a string from an
 * object, it may have zeros in it as well.
 *
 * What a call may rely on, in what order calls come and what they may cost is in wit/. */
#ifndef INFORMERD_H
#define INFORMERD_H

#include "informerd_abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __GNUC__
#define INFORMERD_PRINTF(text, values) __attribute__((format(printf, text, values)))
#else
#define INFORMERD_PRINTF(text, values)
#endif

/* informerd_string, { const char *text; size_t length; }: UTF-8, and what is passed must be, or it
 * traps. `text` is NULL if there is none.
 * informerd_object: one state of one object, valid until the call is over; used later it traps. */

/* Two texts are the same. None equals none. */
bool informerd_equal(informerd_string, informerd_string);
/* There is a text, and it is this one. */
bool informerd_is(informerd_string, const char *text);

/* --- Objects ------------------------------------------------------------------------------- */

/* What is known of a state without reading it. */
typedef struct {
  informerd_string group, version, kind;
  /* None for a cluster-scoped object. */
  informerd_string namespace_;
  informerd_string name;
  /* Differs between an object and its re-creation under the same name. */
  informerd_string uid;
  /* Compare it for equality only. */
  informerd_string resource_version;
} informerd_key;

/* NAMESPACE/NAME, or NAME. */
informerd_string informerd_key_name(const informerd_key *);
/* As in a manifest: v1, apps/v1. */
informerd_string informerd_key_api_version(const informerd_key *);

informerd_key informerd_object_key(informerd_object);
/* The value at a JSON pointer, for example "/status/phase", as JSON text. Maybe none. */
informerd_string informerd_get(informerd_object, const char *pointer);
/* The string at a JSON pointer, without quotes and escapes. None if it is something else. */
informerd_string informerd_get_string(informerd_object, const char *pointer);
/* All of it as JSON text. */
informerd_string informerd_json(informerd_object);

/* --- The configuration: `config` of the handler spec --------------------------------------- */

/* The value of this name as JSON text. Maybe none. */
informerd_string informerd_config(const char *name);
/* The string of this name, without quotes and escapes. None if it is something else. */
informerd_string informerd_config_string(const char *name);
/* All of it; {} if there is none. */
informerd_string informerd_config_json(void);

/* --- The log ------------------------------------------------------------------------------- */

typedef enum {
  INFORMERD_TRACE,
  INFORMERD_DEBUG,
  INFORMERD_INFO,
  INFORMERD_WARN,
  INFORMERD_ERROR
} informerd_level;

/* What a line says to machines. Begins as {0}. */
typedef struct {
  informerd_field *fields;
  size_t count, capacity;
} informerd_fields;

void informerd_add_field(informerd_fields *, const char *name, const char *format, ...)
    INFORMERD_PRINTF(3, 4);
void informerd_log(informerd_level, const char *format, ...) INFORMERD_PRINTF(2, 3);
void informerd_log_fields(informerd_level, const informerd_fields *, const char *format, ...)
    INFORMERD_PRINTF(3, 4);

/* --- The cache: other objects of what is watched, and of what the handler spec grants ------ */

/* The object of this name; false if there is none. Without a namespace, a cluster-scoped one. */
bool informerd_cache_get(const char *api_version, const char *kind, const char *namespace_,
                         const char *name, informerd_object *found);

/* What is listed, page by page:
 *
 *   informerd_list pods = {.api_version = "v1", .kind = "Pod", .label_selector = "app=web"};
 *   while (informerd_next_page(&pods)) {
 *     for (size_t i = 0; i < pods.count; i++) { ... pods.objects[i] ... }
 *   }
 *   if (pods.error.text != NULL) { ... }
 */
typedef struct {
  const char *api_version, *kind;
  /* NULL: all of them. Not looked at with an index. */
  const char *namespace_, *label_selector;
  /* Instead: the objects under one value of an index, "namespace" or "owner". */
  const char *index, *value;
  /* How many at once, at most. 0 is 500, the most. */
  uint32_t limit;

  /* One page. Its objects are released when the next one is asked for. */
  const informerd_object *objects;
  size_t count;
  /* Why there is no more, if that is not the end. */
  informerd_string error;
  /* Where it goes on. */
  informerd_string cursor;
  bool is_begun;
} informerd_list;

bool informerd_next_page(informerd_list *);

/* --- Memory -------------------------------------------------------------------------------- */

/* A text, as printf writes it. */
informerd_string informerd_format(const char *format, ...) INFORMERD_PRINTF(1, 2);
/* A block, until the call is over. */
void *informerd_alloc(size_t size);

/* A call that reads more than fits into memory can free what it has read, and what else it got from
 * the functions here, since a mark. */
typedef struct informerd_block *informerd_mark;
informerd_mark informerd_mark_memory(void);
void informerd_free_since(informerd_mark);

/* --- What the handler defines ---------------------------------------------------------------
 *
 * All of them are optional: without it, nothing is watched that the handler spec does not name,
 * every configuration is good, and a notification is handled by doing nothing. */

typedef enum { INFORMERD_OK, INFORMERD_RETRY, INFORMERD_PERMANENT } informerd_outcome;

/* How a notification was handled. A bug aborts: that costs the instance and all that it remembered,
 * and the notification comes again. What was printed to stderr last is the reason then. */
typedef struct {
  informerd_outcome kind;
  bool has_after_ms;
  uint32_t after_ms;
  informerd_string reason;
} informerd_result;

informerd_result informerd_ok(void);
/* Deliver this state, or a newer one, again: when the host thinks fit, or after so many
 * milliseconds. */
informerd_result informerd_retry(const char *reason, ...) INFORMERD_PRINTF(1, 2);
informerd_result informerd_retry_after(uint32_t ms, const char *reason, ...) INFORMERD_PRINTF(2, 3);
/* Do not deliver this state again. */
informerd_result informerd_permanent(const char *reason, ...) INFORMERD_PRINTF(1, 2);

/* One collection of objects. */
typedef struct {
  const char *api_version, *kind;
  /* Ends with a NULL. NULL: all namespaces, or a cluster-scoped kind. */
  const char *const *namespaces;
  /* NULL: all objects. */
  const char *label_selector, *field_selector;
} informerd_watch;

/* What this module watches: calls informerd_add_watch for each. Comes before informerd_init. */
void informerd_watches(void);
void informerd_add_watch(informerd_watch);

/* Called once in each new instance: the place to read the configuration and to begin anew. NULL, or
 * the reason why the configuration is refused. */
const char *informerd_init(void);

/* The object appeared, or was there before. */
informerd_result informerd_on_add(const informerd_key *, informerd_object, bool is_in_initial_list);
/* The object changed, from the state that was handled last. The key is that of the new one. */
informerd_result informerd_on_update(const informerd_key *, informerd_object old_state,
                                     informerd_object new_state);
/* The object is gone. `final_state_unknown`: it may have changed after this state. */
informerd_result informerd_on_delete(const informerd_key *, informerd_object last,
                                     bool final_state_unknown);
/* Every object that was there has been handled. */
informerd_result informerd_on_synced(void);

#ifdef __cplusplus
}
#endif
#endif
