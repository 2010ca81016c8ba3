/// The audit trail's logic, on the machine itself. That it is the same in every language is shown
/// by the conformance suite.
#include <c/informerd_testing.h>

#include <string>

namespace {

/// A handler that has said that it is ready.
void begin(const std::string &config) {
  informerd_test_reset(config.c_str());
  INFORMERD_EXPECT(informerd_test_init(), "ok");
  informerd_test_log();
}

constexpr const char *fields_only =
    R"({"kind": "Node", "report": ["/spec/a","/spec/ü"], "detail": "fields"})";
constexpr const char *all_of_it = R"({"kind": "Node", "report": ["/spec/a","/spec/ü"]})";

informerd_object node(const std::string &version, const std::string &more_metadata,
                      const std::string &spec) {
  return informerd_test_object(
      (R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"n-1","uid":"u-1",)"
       R"("resourceVersion":")" +
       version + "\"" + more_metadata + R"(},"spec":)" + spec + "}")
          .c_str());
}

/// A node that asks for a failure.
informerd_object asked(const std::string &version, const std::string &request) {
  return node(version, R"(,"annotations":{"audit.informerd.dev/fail":)" + request + "}", "{}");
}

void it_is_ready() {
  informerd_test_reset(R"({"report": ["/a"], "page": 5})");
  INFORMERD_EXPECT(informerd_test_init(), "ok");
  INFORMERD_EXPECT(informerd_test_log(), "debug ready pointers=1 page=5\n");
  INFORMERD_EXPECT(informerd_test_watches(), "v1 Pod\n");
  informerd_test_reset(R"({"apiVersion": "apps/v1", "kind": "Deployment"})");
  INFORMERD_EXPECT(informerd_test_watches(), "apps/v1 Deployment\n");
}

void refused(const std::string &config, const std::string &why) {
  informerd_test_reset(config.c_str());
  INFORMERD_EXPECT(informerd_test_init(), ("refused: " + why).c_str());
}

void configurations_are_refused() {
  for (const auto *report :
       {R"("/a")", "[]", R"(["/a",1])", R"(["/a",null])", R"([["/a"]])", R"({"/a":"/b"})",
        R"(["a"])", R"([""])", R"(["/\""])", R"(["/\\"])", R"(["/\n"])", "null",
        R"(["/","/","/","/","/","/","/","/","/","/","/","/","/","/","/","/","/"])"}) {
    refused(
        std::string(R"({"detail":1,"report":)") + report + "}",
        R"(config.report must be a list of 1 to 16 JSON pointers, for example ["/status/phase"])");
  }
  begin(R"({"report": ["/größe/,][","/b"]})");
  for (const auto *detail : {R"("")", R"("Key")", "1", "null"}) {
    refused(std::string(R"({"report":["/a"],"page":0,"detail":)") + detail + "}",
            R"(config.detail must be "key", "fields" or "whole")");
  }
  for (const auto *page : {"0", "501", "-1", "1.5", "1e2", R"("2")", "4294967298", "null"}) {
    refused(std::string(R"({"report":["/a"],"page":)") + page + "}",
            "config.page must be a number from 1 to 500");
  }
  begin(R"({"report": ["/a"], "page": 1})");
  begin(R"({"report": ["/a"], "page": 500})");
}

void what_is_added_is_written_down() {
  begin(all_of_it);
  auto added = node("7", R"(,"labels":{"a":"ü,\",","b":""})", R"({"a":["ü"]})");
  INFORMERD_EXPECT(informerd_test_add(added, true), "ok");
  INFORMERD_EXPECT(informerd_test_log(),
                   "info added n-1 seq=1 uid=u-1 resourceVersion=7 initial=true bytes=144 labels=2 "
                   "/spec/a=[\"ü\"] /spec/ü=absent\n");
  INFORMERD_EXPECT(informerd_test_delete(node("8", R"(,"labels":null)", "{}"), true), "ok");
  INFORMERD_EXPECT(
      informerd_test_log(),
      "info deleted n-1 seq=2 uid=u-1 resourceVersion=8 finalStateUnknown=true bytes=117 "
      "labels=0 /spec/a=absent /spec/ü=absent\n");
}

void what_changes_is_written_down() {
  begin(all_of_it);
  auto first = node("7", "", R"({"a":1})");
  auto second = node("8", "", R"({"a":null,"ü":"x"})");
  INFORMERD_EXPECT(informerd_test_update(first, second), "ok");
  INFORMERD_EXPECT(
      informerd_test_log(),
      "info updated n-1 seq=1 uid=u-1 resourceVersion=8 newest=true bytes=120 labels=0 "
      "/spec/a=1 -> null /spec/ü=absent -> \"x\"\n");
  INFORMERD_EXPECT(informerd_test_update(first, first), "ok");
  INFORMERD_EXPECT(
      informerd_test_log(),
      "debug unchanged n-1 seq=2 uid=u-1 resourceVersion=7 newest=false bytes=108 labels=0\n");
}

void long_values_are_measured() {
  begin(fields_only);
  std::string fits(256, '1'), is_long(257, '1');
  auto before = node("7", "", "{\"a\":" + fits + "}"),
       after = node("8", "", "{\"a\":" + is_long + "}");
  INFORMERD_EXPECT(informerd_test_update(before, after), "ok");
  auto expected =
      "info updated n-1 seq=1 uid=u-1 resourceVersion=8 /spec/a=" + fits + " -> (257 bytes)\n";
  INFORMERD_EXPECT(informerd_test_log(), expected.c_str());
}

void only_the_key_is_read() {
  begin(R"({"report": ["/spec"], "detail": "key"})");
  auto before = asked("7", R"("trap")"), after = asked("8", R"("permanent")");
  INFORMERD_EXPECT(informerd_test_update(before, after), "ok");
  INFORMERD_EXPECT(informerd_test_log(), "info updated n-1 seq=1 uid=u-1 resourceVersion=8\n");
}

void the_cache_is_counted() {
  begin(R"({"report": ["/a"], "page": 2})");
  for (const auto *name : {"a", "b", "c"}) {
    informerd_test_object(
        (std::string(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")") + name + "\"}}")
            .c_str());
  }
  node("7", "", "{}");
  INFORMERD_EXPECT(informerd_test_synced(), "ok");
  INFORMERD_EXPECT(informerd_test_log(), "info synced seq=1 objects=3 pages=2\n");
}

void failures_are_counted_by_state() {
  begin(fields_only);
  for (const auto *version : {"7", "8"}) {
    auto state = asked(version, R"("retry 2")");
    INFORMERD_EXPECT(informerd_test_add(state, false), "retry after 1 ms: asked to fail, 1 of 2");
    INFORMERD_EXPECT(informerd_test_add(state, false), "retry after 1 ms: asked to fail, 2 of 2");
    INFORMERD_EXPECT(informerd_test_log(), "");
    INFORMERD_EXPECT(informerd_test_add(state, false), "ok");
    informerd_test_log();
  }
  INFORMERD_EXPECT(informerd_test_delete(asked("9", R"("permanent")"), false),
                   "permanent: asked to fail for good");
  INFORMERD_EXPECT(informerd_test_log(), "");
}

void other_requests_are_ignored() {
  begin(fields_only);
  for (const auto *request : {R"("")", R"("retry")", R"("retry 0")", R"("retry 10")",
                              R"("retry 1 ")", R"("permanent\u0000")", R"("Trap")", "1", "null"}) {
    INFORMERD_EXPECT(informerd_test_add(asked("7", request), false), "ok");
  }
}

}  // namespace

int main() {
  it_is_ready();
  configurations_are_refused();
  what_is_added_is_written_down();
  what_changes_is_written_down();
  long_values_are_measured();
  only_the_key_is_read();
  the_cache_is_counted();
  failures_are_counted_by_state();
  other_requests_are_ignored();
}
