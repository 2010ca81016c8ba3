/* Failing on request, so that one can see what the host makes of it. */
#ifndef FAILING_H
#define FAILING_H

#include <informerd.h>

/* The state that was failed last, and how often. */
struct failing {
  char *uid, *resource_version;
  unsigned times;
};

/* Nothing has failed yet. */
void forget_failures(struct failing *);

/* Fails as the object's annotation asks for. */
informerd_result fail_on_request(struct failing *, const informerd_key *, informerd_object);

#endif
