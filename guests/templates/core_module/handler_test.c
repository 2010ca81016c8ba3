/* Tests the handler on this machine: the host's functions are here, and its memory is C's. */
#include "handler.c"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the host knows: a phase for each ticket, the configured greeting; and the last line that was logged. */
static const char *phases[] = {"Pending", "Pending", "Running"};
static const char *configured;
static char said[256];

static void answer(const char *text, struct optional_text *to) {
  *to = (struct optional_text){.is_some = text != nullptr};
  if (text != nullptr) {
    to->text.length = strlen(text);
    to->text.at = memcpy(cabi_realloc(nullptr, 0, 1, to->text.length), text, to->text.length);
  }
}

void objects_get_string(uint32_t ticket, const char *pointer, uint32_t length,
                        struct optional_text *to) {
  bool is_phase = length == 13 && memcmp(pointer, "/status/phase", length) == 0;
  answer(is_phase ? phases[ticket] : nullptr, to);
}

void config_get_string(const char *name, uint32_t length, struct optional_text *to) {
  answer(length == 8 && memcmp(name, "greeting", length) == 0 ? configured : nullptr, to);
}

void log_log(uint32_t, const char *message, uint32_t length, const struct field *, uint32_t) {
  snprintf(said, sizeof said, "%.*s", (int)length, message);
}

static void expect(const char *expected) {
  if (strcmp(said, expected) != 0) {
    fprintf(stderr, "it said \"%s\" instead of \"%s\"\n", said, expected);
    exit(1);
  }
  *said = '\0';
}

int main(void) {
  struct key key = {.namespace_name = {true, TEXT("demo")}, .name = TEXT("web-1")};

  init();
  on_add(&(struct add){key, 0, false});
  expect("hello demo/web-1");
  on_update(&(struct update){key, 0, 1});
  expect("");
  on_update(&(struct update){key, 1, 2});
  expect("demo/web-1 is Running");

  configured = "moin";
  init();
  on_add(&(struct add){key, 0, true});
  expect("moin demo/web-1");
  puts("all is well");
}
