/* The audit trail in C, as ../README.md describes it. config.c reads what is to be reported,
 * failing.c fails on request, this file writes the trail. */
#include <informerd.h>

#include "config.h"
#include "failing.h"

/* Longer values are only measured. */
enum { VALUE_MAX_BYTES = 256 };

static struct {
  struct config config;
  struct failing failing;
  /* Lines written. */
  unsigned seq;
} audit;

void informerd_watches(void) {
  informerd_add_watch(
      (informerd_watch){.api_version = watched_api_version(), .kind = watched_kind()});
}

const char *informerd_init(void) {
  const char *refused = read_config(&audit.config);
  if (refused != NULL) {
    return refused;
  }
  forget_failures(&audit.failing);
  audit.seq = 0;
  informerd_fields fields = {0};
  informerd_add_field(&fields, "pointers", "%zu", audit.config.report_count);
  informerd_add_field(&fields, "page", "%u", audit.config.page);
  informerd_log_fields(INFORMERD_DEBUG, &fields, "ready");
  return NULL;
}

/* What every line about an object begins with. */
static informerd_fields fields_of(const informerd_key *key) {
  informerd_fields fields = {0};
  informerd_add_field(&fields, "seq", "%u", ++audit.seq);
  informerd_add_field(&fields, "uid", "%s", key->uid.text);
  informerd_add_field(&fields, "resourceVersion", "%s", key->resource_version.text);
  return fields;
}

static const char *bool_text(bool value) { return value ? "true" : "false"; }

/* How many members an object has whose values are strings or null: a comma within a string does not
 * count. */
static size_t members(informerd_string json) {
  if (json.length <= 2 || *json.text != '{') {
    return 0;
  }
  size_t count = 1;
  bool is_in_string = false;
  for (const char *at = json.text; *at != '\0'; at++) {
    if (is_in_string && *at == '\\') {
      at++;
    } else if (*at == '"') {
      is_in_string = !is_in_string;
    } else if (!is_in_string && *at == ',') {
      count++;
    }
  }
  return count;
}

static void add_whole(informerd_fields *fields, informerd_object object) {
  if (audit.config.detail == DETAIL_WHOLE) {
    informerd_add_field(fields, "bytes", "%zu", informerd_json(object).length);
    informerd_add_field(fields, "labels", "%zu",
                        members(informerd_get(object, "/metadata/labels")));
  }
}

/* A value as it is written. */
static const char *shown(informerd_string value) {
  if (value.text == NULL) {
    return "absent";
  }
  if (value.length > VALUE_MAX_BYTES) {
    return informerd_format("(%zu bytes)", value.length).text;
  }
  return value.text;
}

/* How many pointers are read of each object. */
static size_t pointers(void) {
  return audit.config.detail == DETAIL_KEY ? 0 : audit.config.report_count;
}

static void add_values(informerd_fields *fields, informerd_object object) {
  for (size_t i = 0; i < pointers(); i++) {
    const char *pointer = audit.config.report[i];
    informerd_add_field(fields, pointer, "%s", shown(informerd_get(object, pointer)));
  }
}

static informerd_result failure(const informerd_key *key, informerd_object object) {
  if (audit.config.detail == DETAIL_KEY) {
    return informerd_ok();
  }
  return fail_on_request(&audit.failing, key, object);
}

informerd_result informerd_on_add(const informerd_key *key, informerd_object object,
                                  bool is_in_initial_list) {
  informerd_result asked = failure(key, object);
  if (asked.kind != INFORMERD_OK) {
    return asked;
  }
  informerd_fields fields = fields_of(key);
  informerd_add_field(&fields, "initial", "%s", bool_text(is_in_initial_list));
  add_whole(&fields, object);
  add_values(&fields, object);
  informerd_log_fields(INFORMERD_INFO, &fields, "added %s", informerd_key_name(key).text);
  return informerd_ok();
}

/* Whether the cache has no other state of the object by now. */
static bool is_newest(const informerd_key *key) {
  informerd_object cached;
  return informerd_cache_get(informerd_key_api_version(key).text, key->kind.text,
                             key->namespace_.text, key->name.text, &cached) &&
         informerd_equal(informerd_object_key(cached).resource_version, key->resource_version);
}

informerd_result informerd_on_update(const informerd_key *key, informerd_object old_state,
                                     informerd_object new_state) {
  informerd_result asked = failure(key, new_state);
  if (asked.kind != INFORMERD_OK) {
    return asked;
  }
  informerd_fields fields = fields_of(key);
  if (audit.config.detail == DETAIL_WHOLE) {
    informerd_add_field(&fields, "newest", "%s", bool_text(is_newest(key)));
  }
  add_whole(&fields, new_state);
  bool has_changed = audit.config.detail == DETAIL_KEY;
  for (size_t i = 0; i < pointers(); i++) {
    const char *pointer = audit.config.report[i];
    informerd_string before = informerd_get(old_state, pointer);
    informerd_string after = informerd_get(new_state, pointer);
    if (!informerd_equal(before, after)) {
      informerd_add_field(&fields, pointer, "%s -> %s", shown(before), shown(after));
      has_changed = true;
    }
  }
  informerd_log_fields(has_changed ? INFORMERD_INFO : INFORMERD_DEBUG, &fields, "%s %s",
                       has_changed ? "updated" : "unchanged", informerd_key_name(key).text);
  return informerd_ok();
}

informerd_result informerd_on_delete(const informerd_key *key, informerd_object last,
                                     bool final_state_unknown) {
  informerd_result asked = failure(key, last);
  if (asked.kind != INFORMERD_OK) {
    return asked;
  }
  informerd_fields fields = fields_of(key);
  informerd_add_field(&fields, "finalStateUnknown", "%s", bool_text(final_state_unknown));
  add_whole(&fields, last);
  add_values(&fields, last);
  informerd_log_fields(INFORMERD_INFO, &fields, "deleted %s", informerd_key_name(key).text);
  return informerd_ok();
}

informerd_result informerd_on_synced(void) {
  informerd_list list = {.api_version = watched_api_version(),
                         .kind = watched_kind(),
                         .label_selector = counted_labels(),
                         .limit = audit.config.page};
  size_t objects = 0, pages = 0;
  while (informerd_next_page(&list)) {
    objects += list.count;
    pages++;
  }
  if (list.error.text != NULL) {
    return informerd_permanent("%s", list.error.text);
  }
  informerd_fields fields = {0};
  informerd_add_field(&fields, "seq", "%u", ++audit.seq);
  informerd_add_field(&fields, "objects", "%zu", objects);
  informerd_add_field(&fields, "pages", "%zu", pages);
  informerd_log_fields(INFORMERD_INFO, &fields, "synced");
  return informerd_ok();
}
