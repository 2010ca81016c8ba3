/* Says hello to pods, and tells of their phases. */
#include <stdlib.h>
#include <string.h>

#include "informerd/informerd.h"

static char *greeting;

void informerd_watches(void) {
  informerd_add_watch((informerd_watch){.api_version = "v1", .kind = "Pod"});
}

const char *informerd_init(void) {
  informerd_string configured = informerd_config_string("greeting");
  free(greeting);
  greeting = strdup(configured.text == NULL ? "hello" : configured.text);
  return NULL;
}

informerd_result informerd_on_add(const informerd_key *key, informerd_object pod,
                                  bool is_in_initial_list) {
  (void)pod, (void)is_in_initial_list;
  informerd_log(INFORMERD_INFO, "%s %s", greeting, informerd_key_name(key).text);
  return informerd_ok();
}

informerd_result informerd_on_update(const informerd_key *key, informerd_object old_state,
                                     informerd_object new_state) {
  informerd_string before = informerd_get_string(old_state, "/status/phase");
  informerd_string after = informerd_get_string(new_state, "/status/phase");
  if (!informerd_equal(before, after)) {
    informerd_log(INFORMERD_INFO, "%s is %s", informerd_key_name(key).text,
                  after.text == NULL ? "without a phase" : after.text);
  }
  return informerd_ok();
}
