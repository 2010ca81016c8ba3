/* The host of tests. See informerd_testing.h.
 *
 * in:  the functions of informerd_testing.h call the exports of informerd.c.
 * out: the imports of informerd_abi.h, answered from the objects that the test has made. */
#include "informerd_testing.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A part of a JSON text. `begin` is NULL if there is none. */
typedef struct {
  const char *begin, *end;
} json;

/* A text that grows. */
typedef struct {
  char *text;
  size_t length;
} buffer;

static char *config;
static char **objects;
static size_t objects_count;
/* Given back to the cache: the real host traps. */
static bool *is_released;
static buffer log_lines, answer;

_Noreturn static void fail(const char *why, const char *text) {
  fprintf(stderr, "%s: %s\n", why, text);
  exit(1);
}

static void append(buffer *buffer, const char *format, ...) {
  va_list values, again;
  va_start(values, format);
  va_copy(again, values);
  size_t more = (size_t)vsnprintf(NULL, 0, format, values);
  buffer->text = realloc(buffer->text, buffer->length + more + 1);
  vsnprintf(buffer->text + buffer->length, more + 1, format, again);
  buffer->length += more;
  va_end(again);
  va_end(values);
}

static void clear(buffer *buffer) {
  buffer->length = 0;
  append(buffer, "%s", "");
}

/* --- JSON ---------------------------------------------------------------------------------- */

static const char *skip_space(const char *at) { return at + strspn(at, " \t\r\n"); }

/* The end of a string; `at` is its quote. */
static const char *skip_string(const char *at) {
  for (at++; *at != '"'; at++) {
    if (*at == '\\') {
      at++;
    }
    if (*at == '\0') {
      fail("not JSON", "a string has no end");
    }
  }
  return at + 1;
}

static const char *skip_value(const char *at) {
  if (*at == '"') {
    return skip_string(at);
  }
  if (*at != '{' && *at != '[') {
    size_t length = strcspn(at, ",]} \t\r\n");
    if (length == 0) {
      fail("not JSON, a value is missing", at);
    }
    return at + length;
  }
  char end = *at == '{' ? '}' : ']';
  const char *begin = at;
  at = skip_space(at + 1);
  if (*at == end) {
    return at + 1;
  }
  for (;;) {
    if (end == '}') {
      if (*at != '"') {
        fail("not JSON, a name is missing", at);
      }
      at = skip_space(skip_string(at));
      if (*at++ != ':') {
        fail("not JSON, a colon is missing", begin);
      }
      at = skip_space(at);
    }
    at = skip_space(skip_value(at));
    if (*at == end) {
      return at + 1;
    }
    if (*at++ != ',') {
      fail("not JSON, a comma or an end is missing", begin);
    }
    at = skip_space(at);
  }
}

static json all_of(const char *text) {
  const char *begin = skip_space(text);
  json value = {begin, skip_value(begin)};
  if (*skip_space(value.end) != '\0') {
    fail("more than one JSON value", text);
  }
  return value;
}

static unsigned hex4(const char *digits) {
  char four[5] = {0};
  memcpy(four, digits, strnlen(digits, 4));
  return (unsigned)strtoul(four, NULL, 16);
}

/* Writes a character as UTF-8. */
static char *put(char *to, unsigned c) {
  if (c < 0x80) {
    *to++ = (char)c;
  } else if (c < 0x800) {
    *to++ = (char)(0xc0 | c >> 6);
    *to++ = (char)(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    *to++ = (char)(0xe0 | c >> 12);
    *to++ = (char)(0x80 | (c >> 6 & 0x3f));
    *to++ = (char)(0x80 | (c & 0x3f));
  } else {
    *to++ = (char)(0xf0 | c >> 18);
    *to++ = (char)(0x80 | (c >> 12 & 0x3f));
    *to++ = (char)(0x80 | (c >> 6 & 0x3f));
    *to++ = (char)(0x80 | (c & 0x3f));
  }
  return to;
}

/* What a string says, in memory of the call. None if it is something else. */
static informerd_string unquoted(json value) {
  if (value.begin == NULL || *value.begin != '"') {
    return (informerd_string){NULL, 0};
  }
  char *text = informerd_alloc((size_t)(value.end - value.begin)), *to = text;
  for (const char *at = value.begin + 1; at < value.end - 1; at++) {
    if (*at != '\\') {
      *to++ = *at;
      continue;
    }
    const char *plain = strchr("b\bf\fn\nr\rt\t", *++at);
    if (*at != 'u') {
      *to++ = plain == NULL ? *at : plain[1];
      continue;
    }
    unsigned c = hex4(at + 1);
    at += 4;
    if (c >= 0xd800 && c < 0xdc00 && at[1] == '\\' && at[2] == 'u') {
      c = 0x10000 + ((c - 0xd800) << 10) + (hex4(at + 3) - 0xdc00);
      at += 6;
    }
    to = put(to, c);
  }
  *to = '\0';
  return (informerd_string){text, (size_t)(to - text)};
}

/* The member of this name, or the item at this index. */
static json member(json value, informerd_string name) {
  char kind = *value.begin;
  if (kind != '{' && kind != '[') {
    return (json){NULL, NULL};
  }
  const char *at = skip_space(value.begin + 1);
  for (size_t index = 0; *at != '}' && *at != ']'; index++) {
    bool is_it;
    if (kind == '{') {
      json key = {at, skip_string(at)};
      is_it = informerd_equal(unquoted(key), name);
      at = skip_space(skip_space(key.end) + 1);
    } else {
      is_it = informerd_is(name, informerd_format("%zu", index).text);
    }
    json found = {at, skip_value(at)};
    if (is_it) {
      return found;
    }
    at = skip_space(found.end);
    if (*at == ',') {
      at = skip_space(at + 1);
    }
  }
  return (json){NULL, NULL};
}

/* The value at a JSON pointer. */
static json find(const char *text, informerd_string pointer) {
  json value = all_of(text);
  const char *at = pointer.text, *end = at + pointer.length;
  while (at < end && value.begin != NULL) {
    if (*at++ != '/') {
      return (json){NULL, NULL};
    }
    char *step = informerd_alloc(pointer.length + 1);
    size_t length = 0;
    for (; at < end && *at != '/'; at++) {
      bool is_escape = *at == '~' && at + 1 < end && (at[1] == '0' || at[1] == '1');
      step[length++] = !is_escape ? *at : at[1] == '0' ? '~' : '/';
      at += is_escape;
    }
    value = member(value, (informerd_string){step, length});
  }
  return value;
}

/* --- What the host knows -------------------------------------------------------------------- */

static const char *state(informerd_object object) {
  if (object.ticket >= objects_count) {
    fail("a ticket that the host has not given", "the real host traps");
  }
  if (is_released[object.ticket]) {
    fail("an object that was given back is read", objects[object.ticket]);
  }
  return objects[object.ticket];
}

static char *copy(const char *text) {
  char *copy = malloc(strlen(text) + 1);
  return strcpy(copy, text);
}

static informerd_object ticket_of(const char *text) {
  objects = realloc(objects, (objects_count + 1) * sizeof *objects);
  is_released = realloc(is_released, (objects_count + 1) * sizeof *is_released);
  objects[objects_count] = copy(text);
  is_released[objects_count] = false;
  return (informerd_object){(uint32_t)objects_count++};
}

static informerd_string at(const char *text, const char *pointer) {
  informerd_string value = unquoted(find(text, (informerd_string){pointer, strlen(pointer)}));
  return value.text == NULL ? (informerd_string){"", 0} : value;
}

static informerd_abi_key key_of(const char *text) {
  informerd_string version = at(text, "/apiVersion"), group = {"", 0};
  const char *slash = strchr(version.text, '/');
  if (slash != NULL) {
    group = informerd_format("%.*s", (int)(slash - version.text), version.text);
    version = (informerd_string){slash + 1, strlen(slash + 1)};
  }
  informerd_string namespace_ = at(text, "/metadata/namespace");
  return (informerd_abi_key){.group = group,
                             .version = version,
                             .kind = at(text, "/kind"),
                             .namespace_ = {namespace_.length != 0, namespace_},
                             .name = at(text, "/metadata/name"),
                             .uid = at(text, "/metadata/uid"),
                             .resource_version = at(text, "/metadata/resourceVersion")};
}

void informerd_test_reset(const char *new_config) {
  informerd_free_since(NULL);
  while (objects_count != 0) {
    free(objects[--objects_count]);
  }
  free(config);
  config = copy(new_config);
  if (*all_of(config).begin != '{') {
    fail("the configuration is no JSON object", config);
  }
  clear(&log_lines);
}

informerd_object informerd_test_object(const char *text) {
  if (at(text, "/metadata/name").length == 0) {
    fail("an object without a metadata.name", text);
  }
  return ticket_of(text);
}

void informerd_test_expect(const char *file, int line, const char *what, const char *actual,
                           const char *expected) {
  if (strcmp(actual, expected) != 0) {
    fprintf(stderr, "%s:%d: %s\nis:       %s\nexpected: %s\n", file, line, what, actual, expected);
    exit(1);
  }
}

const char *informerd_test_log(void) {
  clear(&answer);
  append(&answer, "%s", log_lines.text == NULL ? "" : log_lines.text);
  clear(&log_lines);
  return answer.text;
}

/* --- The calls of the host ----------------------------------------------------------------- */

/* What a call gave, and the end of its memory. */
static const char *told(const informerd_abi_result *result) {
  clear(&answer);
  if (!result->is_failure) {
    append(&answer, "ok");
  } else if (result->failure.is_permanent) {
    informerd_string reason = result->failure.why.permanent;
    append(&answer, "permanent: %.*s", (int)reason.length, reason.text);
  } else {
    informerd_string reason = result->failure.why.retry.reason;
    append(&answer, "retry");
    if (result->failure.why.retry.after_ms.is_some) {
      append(&answer, " after %u ms", (unsigned)result->failure.why.retry.after_ms.value);
    }
    append(&answer, ": %.*s", (int)reason.length, reason.text);
  }
  informerd_free_since(NULL);
  return answer.text;
}

const char *informerd_test_watches(void) {
  clear(&answer);
  const informerd_abi_watch_list *list = informerd_abi_watches();
  for (size_t i = 0; i < list->count; i++) {
    const informerd_abi_watch *watch = &list->watches[i];
    append(&answer, "%.*s %.*s", (int)watch->api_version.length, watch->api_version.text,
           (int)watch->kind.length, watch->kind.text);
    for (size_t n = 0; n < watch->namespaces.count; n++) {
      informerd_string name = watch->namespaces.names[n];
      append(&answer, " namespace=%.*s", (int)name.length, name.text);
    }
    informerd_string labels = watch->label_selector, fields = watch->field_selector;
    if (labels.length != 0) {
      append(&answer, " labels=%.*s", (int)labels.length, labels.text);
    }
    if (fields.length != 0) {
      append(&answer, " fields=%.*s", (int)fields.length, fields.text);
    }
    append(&answer, "\n");
  }
  informerd_free_since(NULL);
  return answer.text;
}

const char *informerd_test_init(void) {
  clear(&answer);
  const informerd_abi_init_result *result = informerd_abi_init();
  if (result->is_refused) {
    append(&answer, "refused: %.*s", (int)result->reason.length, result->reason.text);
  } else {
    append(&answer, "ok");
  }
  informerd_free_since(NULL);
  return answer.text;
}

const char *informerd_test_add(informerd_object object, bool is_in_initial_list) {
  informerd_abi_add call = {key_of(state(object)), object, is_in_initial_list};
  return told(informerd_abi_on_add(&call));
}

const char *informerd_test_update(informerd_object old_state, informerd_object new_state) {
  informerd_abi_update call = {key_of(state(new_state)), old_state, new_state};
  return told(informerd_abi_on_update(&call));
}

const char *informerd_test_delete(informerd_object last, bool final_state_unknown) {
  informerd_abi_delete call = {key_of(state(last)), last, final_state_unknown};
  return told(informerd_abi_on_delete(&call));
}

const char *informerd_test_synced(void) { return told(informerd_abi_on_synced()); }

/* --- What the handler calls ---------------------------------------------------------------- */

/* As the real host passes a text: in a block of its own. */
static informerd_string passed(const char *begin, size_t length) {
  char *block = informerd_abi_realloc(NULL, 0, 1, length);
  memcpy(block, begin, length);
  return (informerd_string){block, length};
}

static informerd_abi_option_string as_json(json value) {
  if (value.begin == NULL) {
    return (informerd_abi_option_string){0};
  }
  return (informerd_abi_option_string){true,
                                       passed(value.begin, (size_t)(value.end - value.begin))};
}

static informerd_abi_option_string as_string(json value) {
  informerd_string text = unquoted(value);
  if (text.text == NULL) {
    return (informerd_abi_option_string){0};
  }
  return (informerd_abi_option_string){true, passed(text.text, text.length)};
}

void informerd_abi_objects_key(informerd_object object, informerd_abi_key *answer) {
  *answer = key_of(state(object));
}

void informerd_abi_objects_get(informerd_object object, const char *pointer, size_t length,
                               informerd_abi_option_string *answer) {
  *answer = as_json(find(state(object), (informerd_string){pointer, length}));
}

void informerd_abi_objects_get_string(informerd_object object, const char *pointer, size_t length,
                                      informerd_abi_option_string *answer) {
  *answer = as_string(find(state(object), (informerd_string){pointer, length}));
}

void informerd_abi_objects_json(informerd_object object, informerd_string *answer) {
  *answer = as_json(all_of(state(object))).value;
}

void informerd_abi_config_get(const char *name, size_t length,
                              informerd_abi_option_string *answer) {
  *answer = as_json(member(all_of(config), (informerd_string){name, length}));
}

void informerd_abi_config_get_string(const char *name, size_t length,
                                     informerd_abi_option_string *answer) {
  json value = member(all_of(config), (informerd_string){name, length});
  *answer = as_string(value);
}

void informerd_abi_config_json(informerd_string *answer) {
  *answer = as_json(all_of(config)).value;
}

void informerd_abi_log(int32_t level, const char *message, size_t length,
                       const informerd_field *fields, size_t count) {
  static const char *const levels[] = {"trace", "debug", "info", "warn", "error"};
  append(&log_lines, "%s %.*s", levels[level], (int)length, message);
  for (size_t i = 0; i < count; i++) {
    append(&log_lines, " %.*s=%.*s", (int)fields[i].name.length, fields[i].name.text,
           (int)fields[i].value.length, fields[i].value.text);
  }
  append(&log_lines, "\n");
}

typedef struct {
  const char *namespace_, *name;
  size_t object;
} entry;

static int by_name(const void *left, const void *right) {
  const entry *a = left, *b = right;
  int order = strcmp(a->namespace_, b->namespace_);
  return order != 0 ? order : strcmp(a->name, b->name);
}

/* The newest state of each object of a kind, in the order of namespaces and names. */
static entry *newest_of(informerd_string api_version, informerd_string kind, size_t *count) {
  entry *entries = informerd_alloc((objects_count + 1) * sizeof *entries);
  *count = 0;
  for (size_t object = 0; object < objects_count; object++) {
    informerd_abi_key key = key_of(objects[object]);
    if (!informerd_equal(at(objects[object], "/apiVersion"), api_version) ||
        !informerd_equal(key.kind, kind)) {
      continue;
    }
    entry entry = {key.namespace_.value.text, key.name.text, object};
    size_t place = 0;
    while (place < *count && by_name(&entries[place], &entry) != 0) {
      place++;
    }
    entries[place] = entry;
    *count += place == *count;
  }
  qsort(entries, *count, sizeof *entries, by_name);
  return entries;
}

void informerd_abi_cache_get(const char *api_version, size_t api_version_length, const char *kind,
                             size_t kind_length, int32_t has_namespace, const char *namespace_,
                             size_t namespace_length, const char *name, size_t name_length,
                             informerd_abi_option_object *answer) {
  size_t count;
  entry *entries = newest_of((informerd_string){api_version, api_version_length},
                             (informerd_string){kind, kind_length}, &count);
  informerd_string wanted = {has_namespace ? namespace_ : "", namespace_length};
  *answer = (informerd_abi_option_object){0};
  for (size_t i = 0; i < count; i++) {
    if (informerd_is(wanted, entries[i].namespace_) &&
        informerd_is((informerd_string){name, name_length}, entries[i].name)) {
      *answer = (informerd_abi_option_object){true, ticket_of(objects[entries[i].object])};
    }
  }
}

static informerd_abi_page_result page_error(const char *why) {
  return (informerd_abi_page_result){.is_error = true, .is.error = passed(why, strlen(why))};
}

/* A cursor is the number of objects before it. */
void informerd_abi_cache_list_objects(const char *api_version, size_t api_version_length,
                                      const char *kind, size_t kind_length, int32_t has_namespace,
                                      const char *namespace_, size_t namespace_length,
                                      const char *label_selector, size_t label_selector_length,
                                      uint32_t limit, int32_t has_cursor, const char *cursor,
                                      size_t cursor_length, informerd_abi_page_result *answer) {
  (void)label_selector;
  if (label_selector_length != 0) {
    *answer = page_error("the host of tests has no selectors");
    return;
  }
  size_t count;
  entry *entries = newest_of((informerd_string){api_version, api_version_length},
                             (informerd_string){kind, kind_length}, &count);
  size_t before = 0, skipped = 0, given = 0;
  if (has_cursor) {
    before = strtoul(informerd_format("%.*s", (int)cursor_length, cursor).text, NULL, 10);
  }
  limit = limit == 0 || limit > 500 ? 500 : limit;
  informerd_object *page = informerd_alloc(limit * sizeof *page);
  *answer = (informerd_abi_page_result){0};
  for (size_t i = 0; i < count; i++) {
    informerd_string wanted = {namespace_, namespace_length};
    if (has_namespace && !informerd_is(wanted, entries[i].namespace_)) {
      continue;
    }
    if (skipped < before) {
      skipped++;
    } else if (given < limit) {
      page[given++] = ticket_of(objects[entries[i].object]);
    } else {
      informerd_string next = informerd_format("%zu", before + given);
      answer->is.page.cursor = (informerd_abi_option_string){true, next};
      break;
    }
  }
  answer->is.page.objects.items = page;
  answer->is.page.objects.count = given;
}

void informerd_abi_cache_list_by_index(const char *api_version, size_t api_version_length,
                                       const char *kind, size_t kind_length, const char *index,
                                       size_t index_length, const char *value, size_t value_length,
                                       uint32_t limit, int32_t has_cursor, const char *cursor,
                                       size_t cursor_length, informerd_abi_page_result *answer) {
  (void)api_version, (void)api_version_length, (void)kind, (void)kind_length, (void)index;
  (void)index_length, (void)value, (void)value_length, (void)limit, (void)has_cursor;
  (void)cursor, (void)cursor_length;
  *answer = page_error("the host of tests has no indices");
}

void informerd_abi_cache_release(const informerd_object *released, size_t count) {
  for (size_t i = 0; i < count; i++) {
    state(released[i]);
    is_released[released[i].ticket] = true;
  }
}
