#include "config.h"

#include <stdlib.h>
#include <string.h>

static const char *string_or(const char *name, const char *otherwise) {
  informerd_string value = informerd_config_string(name);
  return value.text == NULL ? otherwise : value.text;
}

const char *watched_api_version(void) { return string_or("apiVersion", "v1"); }

const char *watched_kind(void) { return string_or("kind", "Pod"); }

const char *counted_labels(void) { return string_or("labelSelector", ""); }

/* The host spells JSON without spaces, and what a pointer must not have is written with a
 * backslash: so a good list is ["/…","/…"], without one. */
static bool read_report(struct config *config, informerd_string json) {
  if (json.text == NULL || *json.text != '[' || strchr(json.text, '\\') != NULL) {
    return false;
  }
  char *at = config->report_text = strdup(json.text);
  do {
    at++;
    if (at[0] != '"' || at[1] != '/' || config->report_count == POINTERS_MAX) {
      return false;
    }
    config->report[config->report_count++] = ++at;
    at = strchr(at, '"');
    *at++ = '\0';
  } while (*at == ',');
  return true;
}

static bool read_detail(struct config *config, informerd_string json) {
  static const char *const names[] = {
      [DETAIL_KEY] = "\"key\"", [DETAIL_FIELDS] = "\"fields\"", [DETAIL_WHOLE] = "\"whole\""};
  config->detail = DETAIL_WHOLE;
  if (json.text == NULL) {
    return true;
  }
  for (int i = DETAIL_KEY; i <= DETAIL_WHOLE; i++) {
    if (informerd_is(json, names[i])) {
      config->detail = (enum detail)i;
      return true;
    }
  }
  return false;
}

static bool read_page(struct config *config, informerd_string json) {
  config->page = 100;
  if (json.text == NULL) {
    return true;
  }
  if (json.length > 3 || strspn(json.text, "0123456789") != json.length) {
    return false;
  }
  config->page = (unsigned)strtoul(json.text, NULL, 10);
  return config->page >= 1 && config->page <= PAGE_MAX;
}

const char *read_config(struct config *config) {
  free(config->report_text);
  *config = (struct config){0};
  if (!read_report(config, informerd_config("report"))) {
    return "config.report must be a list of 1 to 16 JSON pointers, for example [\"/status/phase\"]";
  }
  if (!read_detail(config, informerd_config("detail"))) {
    return "config.detail must be \"key\", \"fields\" or \"whole\"";
  }
  if (!read_page(config, informerd_config("page"))) {
    return "config.page must be a number from 1 to 500";
  }
  return NULL;
}
