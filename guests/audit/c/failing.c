#include "failing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void forget_failures(struct failing *failing) {
  free(failing->uid);
  free(failing->resource_version);
  *failing = (struct failing){0};
}

static bool is_state(const struct failing *failing, const informerd_key *key) {
  return failing->uid != NULL && strcmp(failing->uid, key->uid.text) == 0 &&
         strcmp(failing->resource_version, key->resource_version.text) == 0;
}

static informerd_result retry(struct failing *failing, const informerd_key *key, unsigned times) {
  if (!is_state(failing, key)) {
    forget_failures(failing);
    failing->uid = strdup(key->uid.text);
    failing->resource_version = strdup(key->resource_version.text);
  }
  if (failing->times == times) {
    return informerd_ok();
  }
  failing->times++;
  return informerd_retry_after(1, "asked to fail, %u of %u", failing->times, times);
}

informerd_result fail_on_request(struct failing *failing, const informerd_key *key,
                                 informerd_object object) {
  informerd_string request =
      informerd_get_string(object, "/metadata/annotations/audit.informerd.dev~1fail");
  if (informerd_is(request, "permanent")) {
    return informerd_permanent("asked to fail for good");
  }
  if (informerd_is(request, "trap")) {
    fputs("asked to trap\n", stderr);
    abort();
  }
  if (request.length == strlen("retry N") && strncmp(request.text, "retry ", 6) == 0 &&
      request.text[6] >= '1' && request.text[6] <= '9') {
    return retry(failing, key, (unsigned)(request.text[6] - '0'));
  }
  return informerd_ok();
}
