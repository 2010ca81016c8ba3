/// Calls every function of informerd.h and informerd.hpp, and logs what the host answers. A config
/// map named `later` is answered with retry twice, with a time and without; one named `refused`
/// with permanent; one named `big` is read more often than there is room for it, and at one named
/// `count` more is listed than there are tickets for.
#include <informerd.hpp>

namespace {

using informerd::object;
using informerd::outcome;

std::string shown(std::optional<std::string_view> text) {
  return text ? std::string(*text) : std::string("none");
}

std::string shown(informerd_string text) { return text.text == nullptr ? "none" : text.text; }

/// The names on all pages, by C++.
std::string listed(const informerd::cache::query &query) {
  std::string names;
  for (const auto &page : informerd::cache::list(query)) {
    if (!page) {
      return std::string(page.error());
    }
    for (const auto &it : *page) {
      names.append(it.key().name).append(" ");
    }
    names += "|";
  }
  return names;
}

/// The same by C. All that is asked for are literals, so they end with a zero.
std::string listed_by_c(const informerd::cache::query &query) {
  informerd_list list = {};
  list.api_version = query.api_version.data();
  list.kind = query.kind.data();
  list.namespace_ = query.namespace_.value_or(std::string_view()).data();
  list.label_selector = query.label_selector.data();
  list.index = query.index.data();
  list.value = query.value.data();
  list.limit = query.limit;
  std::string names;
  while (informerd_next_page(&list)) {
    for (std::size_t i = 0; i < list.count; i++) {
      names.append(informerd_object_key(list.objects[i]).name.text).append(" ");
    }
    names += "|";
  }
  return list.error.text == nullptr ? names : list.error.text;
}

void list(const char *what, const informerd::cache::query &query) {
  informerd::info(what, {{"c", listed_by_c(query)}, {"cpp", listed(query)}});
}

void look_around(const object &object) {
  auto key = object.key();
  auto version = key.api_version();
  auto found = informerd::cache::get(version, key.kind, key.namespace_, key.name);
  auto other = informerd::cache::get(version, key.kind, std::nullopt, key.name);
  informerd_object by_c;
  bool is_found = informerd_cache_get("v1", "ConfigMap", "default", key.name.data(), &by_c);
  bool is_other = informerd_cache_get("v1", "ConfigMap", nullptr, key.name.data(), &by_c);
  informerd::info("cached", {{"c", std::to_string(is_found) + std::to_string(is_other)},
                             {"cpp", shown(found->get("/data")) + (other ? "other" : "")}});
  list("all", {.api_version = "v1", .kind = "ConfigMap", .limit = 2});
  list("selected", {.api_version = "v1",
                    .kind = "ConfigMap",
                    .namespace_ = "default",
                    .label_selector = "n in (1,3)"});
  list("indexed",
       {.api_version = "v1", .kind = "ConfigMap", .index = "namespace", .value = "default"});
  list("no index", {.api_version = "v1", .kind = "ConfigMap", .index = "colour", .value = "red"});
}

class every_function : public informerd::handler {
 public:
  static std::vector<informerd::watch> watches() {
    return {{.api_version = "v1",
             .kind = "ConfigMap",
             .namespaces = {"default"},
             .label_selector = "n"}};
  }

  static std::expected<every_function, std::string> create() {
    using namespace informerd;
    if (config::get("refuse")) {
      return std::unexpected("refused: " + shown(config::get_string("refuse")));
    }
    log(level::debug, "config",
        {{"cpp", std::string(config::json()) + shown(config::get_string("n"))},
         {"c", shown(informerd_config_json()) + shown(informerd_config_string("text")) +
                   shown(informerd_config("n"))}});
    return every_function();
  }

  outcome on_add(const object &added, bool /*is_in_initial_list*/) override {
    if (added.key().name == "later") {
      return later();
    }
    if (added.key().name == "refused") {
      return std::unexpected(informerd::permanent{"asked \"for\" it"});
    }
    if (added.key().name == "big") {
      read_often(added);
    }
    if (added.key().name == "count") {
      count();
    }
    if (added.key().name == "a") {
      look_around(added);
    }
    return {};
  }

  outcome on_update(const object &before, const object &after) override {
    informerd_fields fields = {};
    auto read = [&](const object &it) { return shown(it.get_string("/data/value")); };
    informerd_add_field(&fields, "cpp", "%s -> %s", read(before).c_str(), read(after).c_str());
    informerd_add_field(&fields, "json", "%.14s", after.json().data());
    informerd_log_fields(INFORMERD_WARN, &fields, "updated %.*s", 1, "abc");
    return {};
  }

  outcome on_delete(const object &last, bool) override {
    informerd::error("deleted " + last.key().full_name());
    return {};
  }

 private:
  outcome later() {
    switch (later_++) {
      case 0:
        return std::unexpected(informerd::retry{"later", std::chrono::milliseconds(1)});
      case 1:
        return std::unexpected(informerd::retry{"whenever you like"});
      default:
        return {};
    }
  }

  /// In a memory that has room for a few of these texts only.
  static void read_often(const object &big) {
    std::size_t bytes = 0;
    for (int i = 0; i < 20; i++) {
      informerd::memory_scope scope;
      bytes += big.get("/data/value")->size();
    }
    informerd::info("read " + std::to_string(bytes) + " bytes");
  }

  static void count() {
    std::size_t by_c = 0, by_cpp = 0;
    informerd_list list = {};
    list.api_version = "v1";
    list.kind = "ConfigMap";
    while (informerd_next_page(&list)) {
      by_c += list.count;
    }
    for (const auto &page : informerd::cache::list({.api_version = "v1", .kind = "ConfigMap"})) {
      by_cpp += page->size();
    }
    informerd_log(INFORMERD_INFO, "counted %zu and %zu", by_c, by_cpp);
  }

  int later_ = 0;
};

}  // namespace

INFORMERD_HANDLER(every_function)
