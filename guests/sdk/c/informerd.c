/* What is between a handler and the contract. See informerd.h.
 *
 * in:  the host calls the functions with INFORMERD_EXPORT.
 * out: these call the handler's, and put its answers where the host reads them.
 * Memory: all of it is in one list of blocks, newest first, which is freed when an answer has been
 * read. */
#include "informerd.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- Memory -------------------------------------------------------------------------------- */

struct informerd_block {
  struct informerd_block *next;
  size_t size;
  max_align_t memory[];
};

static struct informerd_block *blocks;

void *informerd_alloc(size_t size) {
  struct informerd_block *block = NULL;
  if (size <= SIZE_MAX - sizeof(struct informerd_block)) {
    block = malloc(sizeof(struct informerd_block) + size);
  }
  if (block == NULL) {
    fprintf(stderr, "there is no memory for %zu bytes\n", size);
    abort();
  }
  block->next = blocks;
  block->size = size;
  blocks = block;
  return block->memory;
}

informerd_mark informerd_mark_memory(void) { return blocks; }

void informerd_free_since(informerd_mark mark) {
  while (blocks != mark) {
    struct informerd_block *block = blocks;
    blocks = block->next;
#ifndef __wasm__
    /* A test that reads it afterwards is to fail. */
    memset(block->memory, 0xdd, block->size);
#endif
    free(block);
  }
}

/* The host's. There is a zero behind what it writes. */
void *informerd_abi_realloc(void *old, size_t old_size, size_t align, size_t size) {
  (void)align;
  char *block = informerd_alloc(size == SIZE_MAX ? size : size + 1);
  if (old_size != 0) {
    memcpy(block, old, old_size < size ? old_size : size);
  }
  block[size] = '\0';
  return block;
}

static informerd_string vformat(const char *format, va_list values) {
  va_list again;
  va_copy(again, values);
  int length = vsnprintf(NULL, 0, format, values);
  if (length < 0) {
    fputs("a text is too long, or its format is none\n", stderr);
    abort();
  }
  char *text = informerd_alloc((size_t)length + 1);
  vsnprintf(text, (size_t)length + 1, format, again);
  va_end(again);
  return (informerd_string){text, (size_t)length};
}

informerd_string informerd_format(const char *format, ...) {
  va_list values;
  va_start(values, format);
  informerd_string text = vformat(format, values);
  va_end(values);
  return text;
}

/* --- Texts --------------------------------------------------------------------------------- */

bool informerd_equal(informerd_string a, informerd_string b) {
  if (a.text == NULL || b.text == NULL) {
    return a.text == b.text;
  }
  return a.length == b.length && memcmp(a.text, b.text, a.length) == 0;
}

static informerd_string string(const char *text) {
  return (informerd_string){text, text == NULL ? 0 : strlen(text)};
}

bool informerd_is(informerd_string value, const char *text) {
  return value.text != NULL && informerd_equal(value, string(text));
}

static informerd_string from_option(informerd_abi_option_string option) {
  return option.is_some ? option.value : (informerd_string){NULL, 0};
}

/* --- Objects and configuration ------------------------------------------------------------- */

static informerd_key from_abi_key(const informerd_abi_key *key) {
  return (informerd_key){.group = key->group,
                         .version = key->version,
                         .kind = key->kind,
                         .namespace_ = from_option(key->namespace_),
                         .name = key->name,
                         .uid = key->uid,
                         .resource_version = key->resource_version};
}

informerd_string informerd_key_name(const informerd_key *key) {
  if (key->namespace_.text == NULL) {
    return key->name;
  }
  return informerd_format("%s/%s", key->namespace_.text, key->name.text);
}

informerd_string informerd_key_api_version(const informerd_key *key) {
  if (key->group.length == 0) {
    return key->version;
  }
  return informerd_format("%s/%s", key->group.text, key->version.text);
}

informerd_key informerd_object_key(informerd_object object) {
  informerd_abi_key answer;
  informerd_abi_objects_key(object, &answer);
  return from_abi_key(&answer);
}

informerd_string informerd_get(informerd_object object, const char *pointer) {
  informerd_abi_option_string answer;
  informerd_abi_objects_get(object, pointer, strlen(pointer), &answer);
  return from_option(answer);
}

informerd_string informerd_get_string(informerd_object object, const char *pointer) {
  informerd_abi_option_string answer;
  informerd_abi_objects_get_string(object, pointer, strlen(pointer), &answer);
  return from_option(answer);
}

informerd_string informerd_json(informerd_object object) {
  informerd_string answer;
  informerd_abi_objects_json(object, &answer);
  return answer;
}

informerd_string informerd_config(const char *name) {
  informerd_abi_option_string answer;
  informerd_abi_config_get(name, strlen(name), &answer);
  return from_option(answer);
}

informerd_string informerd_config_string(const char *name) {
  informerd_abi_option_string answer;
  informerd_abi_config_get_string(name, strlen(name), &answer);
  return from_option(answer);
}

informerd_string informerd_config_json(void) {
  informerd_string answer;
  informerd_abi_config_json(&answer);
  return answer;
}

/* --- The log ------------------------------------------------------------------------------- */

void informerd_add_field(informerd_fields *fields, const char *name, const char *format, ...) {
  if (fields->count == fields->capacity) {
    size_t capacity = fields->capacity == 0 ? 8 : 2 * fields->capacity;
    informerd_field *larger = informerd_alloc(capacity * sizeof *larger);
    if (fields->count != 0) {
      memcpy(larger, fields->fields, fields->count * sizeof *larger);
    }
    fields->fields = larger;
    fields->capacity = capacity;
  }
  va_list values;
  va_start(values, format);
  informerd_string value = vformat(format, values);
  va_end(values);
  fields->fields[fields->count++] = (informerd_field){string(name), value};
}

static void vlog(informerd_level level, const informerd_fields *fields, const char *format,
                 va_list values) {
  informerd_mark mark = informerd_mark_memory();
  informerd_string message = vformat(format, values);
  informerd_abi_log((int32_t)level, message.text, message.length, fields->fields, fields->count);
  informerd_free_since(mark);
}

void informerd_log(informerd_level level, const char *format, ...) {
  va_list values;
  va_start(values, format);
  vlog(level, &(informerd_fields){0}, format, values);
  va_end(values);
}

void informerd_log_fields(informerd_level level, const informerd_fields *fields, const char *format,
                          ...) {
  va_list values;
  va_start(values, format);
  vlog(level, fields, format, values);
  va_end(values);
}

/* --- The cache ----------------------------------------------------------------------------- */

bool informerd_cache_get(const char *api_version, const char *kind, const char *namespace_,
                         const char *name, informerd_object *found) {
  informerd_string its = string(namespace_);
  informerd_abi_option_object answer;
  informerd_abi_cache_get(api_version, strlen(api_version), kind, strlen(kind), its.text != NULL,
                          its.text, its.length, name, strlen(name), &answer);
  if (answer.is_some) {
    *found = answer.value;
  }
  return answer.is_some;
}

static void ask_for_page(const informerd_list *list, informerd_abi_page_result *answer) {
  informerd_string version = string(list->api_version), kind = string(list->kind);
  informerd_string cursor = list->cursor;
  if (list->index != NULL) {
    informerd_string index = string(list->index), value = string(list->value);
    informerd_abi_cache_list_by_index(
        version.text, version.length, kind.text, kind.length, index.text, index.length, value.text,
        value.length, list->limit, cursor.text != NULL, cursor.text, cursor.length, answer);
  } else {
    informerd_string its = string(list->namespace_), labels = string(list->label_selector);
    informerd_abi_cache_list_objects(version.text, version.length, kind.text, kind.length,
                                     its.text != NULL, its.text, its.length, labels.text,
                                     labels.length, list->limit, cursor.text != NULL, cursor.text,
                                     cursor.length, answer);
  }
}

bool informerd_next_page(informerd_list *list) {
  if (list->count != 0) {
    informerd_abi_cache_release(list->objects, list->count);
    list->count = 0;
  }
  if (list->error.text != NULL || (list->is_begun && list->cursor.text == NULL)) {
    return false;
  }
  list->is_begun = true;
  informerd_abi_page_result answer;
  ask_for_page(list, &answer);
  if (answer.is_error) {
    list->error = answer.is.error;
    return false;
  }
  list->objects = answer.is.page.objects.items;
  list->count = answer.is.page.objects.count;
  list->cursor = from_option(answer.is.page.cursor);
  return true;
}

/* --- Answers ------------------------------------------------------------------------------- */

informerd_result informerd_ok(void) { return (informerd_result){.kind = INFORMERD_OK}; }

informerd_result informerd_retry(const char *reason, ...) {
  va_list values;
  va_start(values, reason);
  informerd_string text = vformat(reason, values);
  va_end(values);
  return (informerd_result){.kind = INFORMERD_RETRY, .reason = text};
}

informerd_result informerd_retry_after(uint32_t ms, const char *reason, ...) {
  va_list values;
  va_start(values, reason);
  informerd_string text = vformat(reason, values);
  va_end(values);
  return (informerd_result){
      .kind = INFORMERD_RETRY, .has_after_ms = true, .after_ms = ms, .reason = text};
}

informerd_result informerd_permanent(const char *reason, ...) {
  va_list values;
  va_start(values, reason);
  informerd_string text = vformat(reason, values);
  va_end(values);
  return (informerd_result){.kind = INFORMERD_PERMANENT, .reason = text};
}

static informerd_abi_result *answer(informerd_result result) {
  informerd_abi_result *answer = informerd_alloc(sizeof *answer);
  *answer = (informerd_abi_result){.is_failure = result.kind != INFORMERD_OK};
  switch (result.kind) {
    case INFORMERD_OK:
      break;
    case INFORMERD_RETRY:
      answer->failure.why.retry.after_ms.is_some = result.has_after_ms;
      answer->failure.why.retry.after_ms.value = result.after_ms;
      answer->failure.why.retry.reason = result.reason;
      break;
    case INFORMERD_PERMANENT:
      answer->failure.is_permanent = 1;
      answer->failure.why.permanent = result.reason;
      break;
  }
  return answer;
}

/* --- The calls of the host ----------------------------------------------------------------- */

/* What informerd_watches has added. */
static informerd_abi_watch_list watches;

void informerd_add_watch(informerd_watch watch) {
  size_t names = 0;
  while (watch.namespaces != NULL && watch.namespaces[names] != NULL) {
    names++;
  }
  informerd_string *namespaces = informerd_alloc(names * sizeof *namespaces);
  for (size_t i = 0; i < names; i++) {
    namespaces[i] = string(watch.namespaces[i]);
  }
  informerd_abi_watch *longer = informerd_alloc((watches.count + 1) * sizeof *longer);
  if (watches.count != 0) {
    memcpy(longer, watches.watches, watches.count * sizeof *longer);
  }
  longer[watches.count] = (informerd_abi_watch){.api_version = string(watch.api_version),
                                                .kind = string(watch.kind),
                                                .namespaces = {namespaces, names},
                                                .label_selector = string(watch.label_selector),
                                                .field_selector = string(watch.field_selector)};
  watches.watches = longer;
  watches.count++;
}

informerd_abi_watch_list *informerd_abi_watches(void) {
  watches = (informerd_abi_watch_list){NULL, 0};
  informerd_watches();
  return &watches;
}

informerd_abi_init_result *informerd_abi_init(void) {
  const char *reason = informerd_init();
  informerd_abi_init_result *answer = informerd_alloc(sizeof *answer);
  *answer = (informerd_abi_init_result){reason != NULL, string(reason)};
  return answer;
}

informerd_abi_result *informerd_abi_on_add(const informerd_abi_add *call) {
  informerd_key key = from_abi_key(&call->key);
  return answer(informerd_on_add(&key, call->object, call->is_in_initial_list));
}

informerd_abi_result *informerd_abi_on_update(const informerd_abi_update *call) {
  informerd_key key = from_abi_key(&call->key);
  return answer(informerd_on_update(&key, call->old_state, call->new_state));
}

informerd_abi_result *informerd_abi_on_delete(const informerd_abi_delete *call) {
  informerd_key key = from_abi_key(&call->key);
  return answer(informerd_on_delete(&key, call->last, call->final_state_unknown));
}

informerd_abi_result *informerd_abi_on_synced(void) { return answer(informerd_on_synced()); }

/* Once the host has read what a function of this name gave, nothing of the call is needed. */
#define FREE_AFTER(name, function)                                 \
  INFORMERD_EXPORT("cabi_post_" name) void function(void *answer); \
  void function(void *answer) {                                    \
    (void)answer;                                                  \
    informerd_free_since(NULL);                                    \
  }
FREE_AFTER("watches", informerd_abi_post_watches)
FREE_AFTER("init", informerd_abi_post_init)
FREE_AFTER("on-add", informerd_abi_post_on_add)
FREE_AFTER("on-update", informerd_abi_post_on_update)
FREE_AFTER("on-delete", informerd_abi_post_on_delete)
FREE_AFTER("on-synced", informerd_abi_post_on_synced)

/* --- What a handler leaves out --------------------------------------------------------------- */

#define OPTIONAL __attribute__((weak))

OPTIONAL void informerd_watches(void) {}
OPTIONAL const char *informerd_init(void) { return NULL; }
OPTIONAL informerd_result informerd_on_add(const informerd_key *key, informerd_object object,
                                           bool is_in_initial_list) {
  (void)key, (void)object, (void)is_in_initial_list;
  return informerd_ok();
}
OPTIONAL informerd_result informerd_on_update(const informerd_key *key, informerd_object old_state,
                                              informerd_object new_state) {
  (void)key, (void)old_state, (void)new_state;
  return informerd_ok();
}
OPTIONAL informerd_result informerd_on_delete(const informerd_key *key, informerd_object last,
                                              bool final_state_unknown) {
  (void)key, (void)last, (void)final_state_unknown;
  return informerd_ok();
}
OPTIONAL informerd_result informerd_on_synced(void) { return informerd_ok(); }
