/* What is to be reported. */
#ifndef CONFIG_H
#define CONFIG_H

#include <informerd.h>

enum { POINTERS_MAX = 16, PAGE_MAX = 500 };

/* How much of an object is read. */
enum detail { DETAIL_KEY, DETAIL_FIELDS, DETAIL_WHOLE };

struct config {
  /* JSON pointers. They are in `report_text`, which is kept as long as the instance. */
  const char *report[POINTERS_MAX];
  size_t report_count;
  char *report_text;
  enum detail detail;
  /* Objects of the cache at once. */
  unsigned page;
};

/* Reads it, instead of what it was. NULL, or why it is refused. */
const char *read_config(struct config *);

/* The apiVersion and kind of what is watched. */
const char *watched_api_version(void);
const char *watched_kind(void);

/* The selector of the objects of the cache that are counted. */
const char *counted_labels(void);

#endif
