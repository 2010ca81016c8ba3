/* Reports the labels of config maps. What is printed goes to the log as well. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#define INFORMERD_MEMORY
#include "informerd.h"

static informerd_option_string get(informerd_ticket object, const char *pointer) {
  informerd_option_string answer;
  informerd_objects_get(object, pointer, strlen(pointer), &answer);
  return answer;
}

static informerd_string labels(informerd_ticket object) {
  informerd_option_string labels = get(object, "/metadata/labels");
  return labels.is_some ? labels.value : INFORMERD_TEXT("none");
}

static bool is_equal(informerd_string a, informerd_string b) {
  return a.length == b.length && memcmp(a.text, b.text, a.length) == 0;
}

static void say(const char *verb, const informerd_key *key, informerd_string labels) {
  const informerd_option_string *namespace = &key->namespace_name;
  char *line;
  int length = asprintf(&line, "%s %.*s%s%.*s%s%.*s", verb,
                        (int)(namespace->is_some ? namespace->value.length : 0),
                        namespace->value.text, namespace->is_some ? "/" : "",
                        (int)key->name.length, key->name.text, labels.length ? " " : "",
                        (int)labels.length, labels.text);
  if (length < 0) {
    abort();
  }
  informerd_log(INFORMERD_INFO, line, length, NULL, 0);
  free(line);
}

/* Fine, unless the label `fail` says how to fail. */
static informerd_result *answer(informerd_ticket object) {
  static informerd_result result;
  result = (informerd_result){0};
  informerd_option_string fail = get(object, "/metadata/labels/fail");
  if (fail.is_some && is_equal(fail.value, INFORMERD_TEXT("\"permanent\""))) {
    result.is_failure = true;
    result.failure.kind = INFORMERD_PERMANENT;
    result.failure.permanent = INFORMERD_TEXT("asked to fail");
  } else if (fail.is_some && is_equal(fail.value, INFORMERD_TEXT("\"trap\""))) {
    fprintf(stderr, "asked to ");
    fprintf(stderr, "trap\n");
    abort();
  }
  informerd_free_all();
  return &result;
}

informerd_watches *informerd_handler_watches(void) {
  static informerd_watch watch;
  static informerd_watches watches = {&watch, 1};
  watch.api_version = INFORMERD_TEXT("v1");
  watch.kind = INFORMERD_TEXT("ConfigMap");
  return &watches;
}

informerd_init_result *informerd_handler_init(void) {
  static informerd_init_result fine;
  return &fine;
}

informerd_result *informerd_handler_on_add(informerd_add *call) {
  say("added", &call->key, labels(call->object));
  return answer(call->object);
}

informerd_result *informerd_handler_on_update(informerd_update *call) {
  informerd_string old_labels = labels(call->old), new_labels = labels(call->new_);
  if (!is_equal(old_labels, new_labels)) {
    say("relabelled", &call->key, new_labels);
  }
  return answer(call->new_);
}

static informerd_result fine;

informerd_result *informerd_handler_on_delete(informerd_delete *call) {
  say("deleted", &call->key, (informerd_string){0});
  informerd_free_all();
  return &fine;
}

informerd_result *informerd_handler_on_synced(void) {
  informerd_log(INFORMERD_INFO, "synced", strlen("synced"), NULL, 0);
  return &fine;
}
