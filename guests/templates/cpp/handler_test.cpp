#include <string>

#include "informerd/c/informerd_testing.h"

namespace {

informerd_object pod(const std::string &phase) {
  std::string json = R"({"apiVersion": "v1", "kind": "Pod",
      "metadata": {"namespace": "demo", "name": "web-1"}, "status": {"phase": ")";
  json += phase + R"("}})";
  return informerd_test_object(json.c_str());
}

void a_pod_is_greeted_and_followed() {
  informerd_test_reset("{}");
  INFORMERD_EXPECT(informerd_test_init(), "ok");
  INFORMERD_EXPECT(informerd_test_watches(), "v1 Pod\n");
  INFORMERD_EXPECT(informerd_test_add(pod("Pending"), false), "ok");
  INFORMERD_EXPECT(informerd_test_update(pod("Pending"), pod("Pending")), "ok");
  INFORMERD_EXPECT(informerd_test_update(pod("Pending"), pod("Running")), "ok");
  INFORMERD_EXPECT(informerd_test_log(), "info hello demo/web-1\ninfo demo/web-1 is Running\n");
}

void the_greeting_can_be_configured() {
  informerd_test_reset(R"({"greeting": "moin"})");
  INFORMERD_EXPECT(informerd_test_init(), "ok");
  INFORMERD_EXPECT(informerd_test_add(pod("Pending"), true), "ok");
  INFORMERD_EXPECT(informerd_test_log(), "info moin demo/web-1\n");
}

}  // namespace

int main() {
  a_pod_is_greeted_and_followed();
  the_greeting_can_be_configured();
}
