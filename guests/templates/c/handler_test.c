#include <stdio.h>

#include "informerd/informerd_testing.h"

static informerd_object pod(const char *phase) {
  static const char format[] = INFORMERD_JSON({
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"namespace": "demo", "name": "web-1"},
    "status": {"phase": "%s"}
  });
  char json[sizeof format + 20];
  snprintf(json, sizeof json, format, phase);
  return informerd_test_object(json);
}

static void a_pod_is_greeted_and_followed(void) {
  informerd_test_reset("{}");
  INFORMERD_EXPECT(informerd_test_init(), "ok");
  INFORMERD_EXPECT(informerd_test_watches(), "v1 Pod\n");
  INFORMERD_EXPECT(informerd_test_add(pod("Pending"), false), "ok");
  INFORMERD_EXPECT(informerd_test_update(pod("Pending"), pod("Pending")), "ok");
  INFORMERD_EXPECT(informerd_test_update(pod("Pending"), pod("Running")), "ok");
  INFORMERD_EXPECT(informerd_test_log(), "info hello demo/web-1\ninfo demo/web-1 is Running\n");
}

static void the_greeting_can_be_configured(void) {
  informerd_test_reset(INFORMERD_JSON({"greeting": "moin"}));
  INFORMERD_EXPECT(informerd_test_init(), "ok");
  INFORMERD_EXPECT(informerd_test_add(pod("Pending"), true), "ok");
  INFORMERD_EXPECT(informerd_test_log(), "info moin demo/web-1\n");
}

int main(void) {
  a_pod_is_greeted_and_followed();
  the_greeting_can_be_configured();
}
