/* The audit trail's logic, on the machine itself. That it is the same in every language is shown by
 * the conformance suite. */
#include <informerd_testing.h>
#include <stdio.h>

/* A handler that has said that it is ready. */
static void begin(const char *config) {
  informerd_test_reset(config);
  INFORMERD_EXPECT(informerd_test_init(), "ok");
  informerd_test_log();
}

static void begin_with_fields(void) {
  begin(INFORMERD_JSON({"kind": "Node", "report": ["/spec/a","/spec/ü"], "detail": "fields"}));
}

/* A node in a state that has this much. */
static informerd_object node(const char *version, const char *metadata, const char *spec) {
  char json[1000];
  snprintf(json, sizeof json,
           "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n-1\",\"uid\":\"u-1\","
           "\"resourceVersion\":\"%s\"%s},\"spec\":%s}",
           version, metadata, spec);
  return informerd_test_object(json);
}

/* A node that asks for a failure. */
static informerd_object asked(const char *version, const char *request) {
  char metadata[200];
  snprintf(metadata, sizeof metadata, ",\"annotations\":{\"audit.informerd.dev/fail\":%s}",
           request);
  return node(version, metadata, "{}");
}

static void it_is_ready(void) {
  informerd_test_reset(INFORMERD_JSON({"report": ["/a"], "page": 5}));
  INFORMERD_EXPECT(informerd_test_init(), "ok");
  INFORMERD_EXPECT(informerd_test_log(), "debug ready pointers=1 page=5\n");
  INFORMERD_EXPECT(informerd_test_watches(), "v1 Pod\n");
  informerd_test_reset(INFORMERD_JSON({"apiVersion": "apps/v1", "kind": "Deployment"}));
  INFORMERD_EXPECT(informerd_test_watches(), "apps/v1 Deployment\n");
}

static void refused(const char *config, const char *why) {
  informerd_test_reset(config);
  INFORMERD_EXPECT(informerd_test_init(), why);
}

static void report_is_refused(const char *report) {
  char config[200];
  snprintf(config, sizeof config, "{\"detail\":1,\"report\":%s}", report);
  refused(config, "refused: config.report must be a list of 1 to 16 JSON pointers, for example "
                  "[\"/status/phase\"]");
}

static void detail_is_refused(const char *detail) {
  char config[200];
  snprintf(config, sizeof config, "{\"page\":0,\"report\":[\"/a\"],\"detail\":%s}", detail);
  refused(config, "refused: config.detail must be \"key\", \"fields\" or \"whole\"");
}

static void page_is_refused(const char *page) {
  char config[200];
  snprintf(config, sizeof config, "{\"report\":[\"/a\"],\"page\":%s}", page);
  refused(config, "refused: config.page must be a number from 1 to 500");
}

static void configurations_are_refused(void) {
  report_is_refused(INFORMERD_JSON("/a"));
  report_is_refused(INFORMERD_JSON([]));
  report_is_refused(INFORMERD_JSON(["/a",1]));
  report_is_refused(INFORMERD_JSON(["/a",null]));
  report_is_refused(INFORMERD_JSON([["/a"]]));
  report_is_refused(INFORMERD_JSON({"/a":"/b"}));
  report_is_refused(INFORMERD_JSON(["a"]));
  report_is_refused(INFORMERD_JSON([""]));
  report_is_refused(INFORMERD_JSON(["/\""]));
  report_is_refused(INFORMERD_JSON(["/\\"]));
  report_is_refused(INFORMERD_JSON(["/\n"]));
  report_is_refused(INFORMERD_JSON(null));
  report_is_refused(
      INFORMERD_JSON(["/","/","/","/","/","/","/","/","/","/","/","/","/","/","/","/","/"]));
  begin(INFORMERD_JSON({"report": ["/größe/,][","/b"]}));

  detail_is_refused(INFORMERD_JSON(""));
  detail_is_refused(INFORMERD_JSON("Key"));
  detail_is_refused(INFORMERD_JSON(1));
  detail_is_refused(INFORMERD_JSON(null));

  page_is_refused(INFORMERD_JSON(0));
  page_is_refused(INFORMERD_JSON(501));
  page_is_refused(INFORMERD_JSON(-1));
  page_is_refused(INFORMERD_JSON(1.5));
  page_is_refused(INFORMERD_JSON(1e2));
  page_is_refused(INFORMERD_JSON("2"));
  page_is_refused(INFORMERD_JSON(4294967298));
  page_is_refused(INFORMERD_JSON(null));
  begin(INFORMERD_JSON({"report": ["/a"], "page": 1}));
  begin(INFORMERD_JSON({"report": ["/a"], "page": 500}));
}

static void what_is_added_is_written_down(void) {
  begin(INFORMERD_JSON({"kind": "Node", "report": ["/spec/a","/spec/ü"]}));
  informerd_object added =
      node("7", ",\"labels\":{\"a\":\"ü,\\\",\",\"b\":\"\"}", INFORMERD_JSON({"a":["ü"]}));
  INFORMERD_EXPECT(informerd_test_add(added, true), "ok");
  INFORMERD_EXPECT(informerd_test_log(),
                   "info added n-1 seq=1 uid=u-1 resourceVersion=7 initial=true bytes=144 labels=2 "
                   "/spec/a=[\"ü\"] /spec/ü=absent\n");
  INFORMERD_EXPECT(informerd_test_delete(node("8", ",\"labels\":null", "{}"), true), "ok");
  INFORMERD_EXPECT(informerd_test_log(),
                   "info deleted n-1 seq=2 uid=u-1 resourceVersion=8 finalStateUnknown=true "
                   "bytes=117 labels=0 /spec/a=absent /spec/ü=absent\n");
}

static void what_changes_is_written_down(void) {
  begin(INFORMERD_JSON({"kind": "Node", "report": ["/spec/a","/spec/ü"]}));
  informerd_object first = node("7", "", INFORMERD_JSON({"a":1}));
  informerd_object second = node("8", "", INFORMERD_JSON({"a":null,"ü":"x"}));
  INFORMERD_EXPECT(informerd_test_update(first, second), "ok");
  INFORMERD_EXPECT(informerd_test_log(),
                   "info updated n-1 seq=1 uid=u-1 resourceVersion=8 newest=true bytes=120 "
                   "labels=0 /spec/a=1 -> null /spec/ü=absent -> \"x\"\n");
  INFORMERD_EXPECT(informerd_test_update(first, first), "ok");
  INFORMERD_EXPECT(informerd_test_log(),
                   "debug unchanged n-1 seq=2 uid=u-1 resourceVersion=7 newest=false bytes=108 "
                   "labels=0\n");
}

static void long_values_are_measured(void) {
  begin_with_fields();
  char fits[300], is_long[300], expected[400];
  snprintf(fits, sizeof fits, "{\"a\":%0256d}", 1);
  snprintf(is_long, sizeof is_long, "{\"a\":%0257d}", 1);
  INFORMERD_EXPECT(informerd_test_update(node("7", "", fits), node("8", "", is_long)), "ok");
  snprintf(expected, sizeof expected,
           "info updated n-1 seq=1 uid=u-1 resourceVersion=8 /spec/a=%0256d -> (257 bytes)\n", 1);
  INFORMERD_EXPECT(informerd_test_log(), expected);
}

static void only_the_key_is_read(void) {
  begin(INFORMERD_JSON({"report": ["/spec"], "detail": "key"}));
  informerd_object before = asked("7", INFORMERD_JSON("trap"));
  informerd_object after = asked("8", INFORMERD_JSON("permanent"));
  INFORMERD_EXPECT(informerd_test_update(before, after), "ok");
  INFORMERD_EXPECT(informerd_test_log(), "info updated n-1 seq=1 uid=u-1 resourceVersion=8\n");
}

static void the_cache_is_counted(void) {
  begin(INFORMERD_JSON({"report": ["/a"], "page": 2}));
  for (char name = 'a'; name <= 'c'; name++) {
    char pod[100];
    snprintf(pod, sizeof pod,
             "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%c\"}}", name);
    informerd_test_object(pod);
  }
  node("7", "", "{}");
  INFORMERD_EXPECT(informerd_test_synced(), "ok");
  INFORMERD_EXPECT(informerd_test_log(), "info synced seq=1 objects=3 pages=2\n");
}

static void failures_are_counted_by_state(void) {
  begin_with_fields();
  const char *request = INFORMERD_JSON("retry 2");
  informerd_object states[] = {asked("7", request), asked("8", request)};
  for (int i = 0; i < 2; i++) {
    INFORMERD_EXPECT(informerd_test_add(states[i], false),
                     "retry after 1 ms: asked to fail, 1 of 2");
    INFORMERD_EXPECT(informerd_test_add(states[i], false),
                     "retry after 1 ms: asked to fail, 2 of 2");
    INFORMERD_EXPECT(informerd_test_log(), "");
    INFORMERD_EXPECT(informerd_test_add(states[i], false), "ok");
    informerd_test_log();
  }
  INFORMERD_EXPECT(informerd_test_delete(asked("9", INFORMERD_JSON("permanent")), false),
                   "permanent: asked to fail for good");
  INFORMERD_EXPECT(informerd_test_log(), "");
}

static void is_ignored(const char *request) {
  INFORMERD_EXPECT(informerd_test_add(asked("7", request), false), "ok");
}

static void other_requests_are_ignored(void) {
  begin_with_fields();
  is_ignored(INFORMERD_JSON(""));
  is_ignored(INFORMERD_JSON("retry"));
  is_ignored(INFORMERD_JSON("retry 0"));
  is_ignored(INFORMERD_JSON("retry 10"));
  is_ignored(INFORMERD_JSON("retry 1 "));
  is_ignored(INFORMERD_JSON("permanent\u0000"));
  is_ignored(INFORMERD_JSON("Trap"));
  is_ignored(INFORMERD_JSON(1));
  is_ignored(INFORMERD_JSON(null));
}

int main(void) {
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
