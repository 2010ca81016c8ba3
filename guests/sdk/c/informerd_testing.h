/* The host of tests, which run on the machine itself: link informerd_testing.c, too.
 *
 *   informerd_test_reset("{\"greeting\": \"moin\"}");
 *   INFORMERD_EXPECT(informerd_test_init(), "ok");
 *   informerd_object pod = informerd_test_object(
 *       INFORMERD_JSON({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}}));
 *   INFORMERD_EXPECT(informerd_test_add(pod, false), "ok");
 *   INFORMERD_EXPECT(informerd_test_log(), "info moin web\n");
 *
 * It calls the handler as the real one does, and all memory of a call is gone after it. It is
 * simpler than the real one: values are spelled as the test spells them, its cache knows every
 * object that the test has made, the newest of a name last, and selectors and indices are answered
 * with an error. What it must be exact about, the real host shows: `informerd dev`. */
#ifndef INFORMERD_TESTING_H
#define INFORMERD_TESTING_H

#include "informerd.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A text of this JSON. */
#define INFORMERD_JSON(...) #__VA_ARGS__

/* Ends the test, and says where and how, if these are not the same text. */
#define INFORMERD_EXPECT(actual, expected) \
  informerd_test_expect(__FILE__, __LINE__, #actual, actual, expected)
void informerd_test_expect(const char *file, int line, const char *what, const char *actual,
                           const char *expected);

/* A new host with this configuration, nothing in its log, and no objects. What the handler
 * remembers is its own: informerd_test_init has it begin anew. */
void informerd_test_reset(const char *config);

/* An object in this state. Ends the test if it is no JSON. */
informerd_object informerd_test_object(const char *json);

/* The calls of the host. They give the answer as a text: "ok", "retry: REASON",
 * "retry after N ms: REASON", "permanent: REASON" or, of init, "refused: REASON". It is valid until
 * the next function of this file. */
const char *informerd_test_init(void);
const char *informerd_test_add(informerd_object, bool is_in_initial_list);
const char *informerd_test_update(informerd_object old_state, informerd_object new_state);
const char *informerd_test_delete(informerd_object last, bool final_state_unknown);
const char *informerd_test_synced(void);

/* What is watched, a line each: "apps/v1 Deployment namespace=demo labels=app=web". */
const char *informerd_test_watches(void);

/* What was logged since the last time: lines as "info MESSAGE NAME=VALUE NAME=VALUE". */
const char *informerd_test_log(void);

#ifdef __cplusplus
}
#endif
#endif
