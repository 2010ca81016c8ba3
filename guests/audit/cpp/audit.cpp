/// The audit trail in C++, as ../README.md describes it. config.cpp reads what is to be reported,
/// failing.cpp fails on request, this file writes the trail.
#include <informerd.hpp>

#include "config.hpp"
#include "failing.hpp"

namespace {

using informerd::fields;
using informerd::object;
using informerd::object_key;
using informerd::outcome;

/// Longer values are only measured.
constexpr std::size_t value_max_bytes = 256;

/// A value as it is written.
std::string shown(std::optional<std::string_view> value) {
  if (!value) {
    return "absent";
  }
  if (value->size() > value_max_bytes) {
    return "(" + std::to_string(value->size()) + " bytes)";
  }
  return std::string(*value);
}

std::string shown(bool value) { return value ? "true" : "false"; }

/// Whether the cache has no other state of the object by now.
bool is_newest(const object_key &key) {
  auto cached = informerd::cache::get(key.api_version(), key.kind, key.namespace_, key.name);
  return cached && cached->key().resource_version == key.resource_version;
}

/// How many members an object has whose values are strings or null: a comma within a string does
/// not count.
std::size_t members(std::string_view json) {
  if (!json.starts_with('{') || json == "{}") {
    return 0;
  }
  std::size_t count = 1;
  bool is_in_string = false;
  for (std::size_t i = 0; i < json.size(); i++) {
    if (is_in_string && json[i] == '\\') {
      i++;
    } else if (json[i] == '"') {
      is_in_string = !is_in_string;
    } else if (!is_in_string && json[i] == ',') {
      count++;
    }
  }
  return count;
}

class audit : public informerd::handler {
 public:
  static std::vector<informerd::watch> watches() { return {watched()}; }

  static std::expected<audit, std::string> create() {
    auto config = config::read();
    if (!config) {
      return std::unexpected(config.error());
    }
    return audit(std::move(*config));
  }

  outcome on_add(const object &added, bool is_in_initial_list) override {
    if (auto asked = fail_on_request(added); !asked) {
      return asked;
    }
    auto line = fields_of(added);
    line.emplace_back("initial", shown(is_in_initial_list));
    add_whole(line, added);
    add_values(line, added);
    informerd::info("added " + added.key().full_name(), line);
    return {};
  }

  outcome on_update(const object &before, const object &after) override {
    if (auto asked = fail_on_request(after); !asked) {
      return asked;
    }
    auto line = fields_of(after);
    if (config_.detail == detail::whole) {
      line.emplace_back("newest", shown(is_newest(after.key())));
    }
    add_whole(line, after);
    if (add_changes(line, before, after) || config_.detail == detail::key) {
      informerd::info("updated " + after.key().full_name(), line);
    } else {
      informerd::debug("unchanged " + after.key().full_name(), line);
    }
    return {};
  }

  outcome on_delete(const object &last, bool final_state_unknown) override {
    if (auto asked = fail_on_request(last); !asked) {
      return asked;
    }
    auto line = fields_of(last);
    line.emplace_back("finalStateUnknown", shown(final_state_unknown));
    add_whole(line, last);
    add_values(line, last);
    informerd::info("deleted " + last.key().full_name(), line);
    return {};
  }

  outcome on_synced() override {
    auto [api_version, kind, _1, _2, _3] = watched();
    auto labels = informerd::config::get_string("labelSelector").value_or("");
    informerd::cache::list list({.api_version = api_version,
                                 .kind = kind,
                                 .label_selector = labels,
                                 .limit = config_.page});
    std::size_t objects = 0, pages = 0;
    for (const auto &page : list) {
      if (!page) {
        return std::unexpected(informerd::permanent{std::string(page.error())});
      }
      objects += page->size();
      pages++;
    }
    informerd::info("synced", {{"seq", next_seq()},
                               {"objects", std::to_string(objects)},
                               {"pages", std::to_string(pages)}});
    return {};
  }

 private:
  explicit audit(config config) : config_(std::move(config)) {
    informerd::debug("ready", {{"pointers", std::to_string(config_.report.size())},
                               {"page", std::to_string(config_.page)}});
  }

  outcome fail_on_request(const object &object) {
    return config_.detail == detail::key ? outcome() : failing_.check(object);
  }

  std::string next_seq() { return std::to_string(++seq_); }

  /// What every line about an object begins with.
  fields fields_of(const object &object) {
    const object_key &key = object.key();
    return {{"seq", next_seq()},
            {"uid", std::string(key.uid)},
            {"resourceVersion", std::string(key.resource_version)}};
  }

  void add_whole(fields &line, const object &object) const {
    if (config_.detail == detail::whole) {
      auto labels = object.get("/metadata/labels").value_or("");
      line.emplace_back("bytes", std::to_string(object.json().size()));
      line.emplace_back("labels", std::to_string(members(labels)));
    }
  }

  void add_values(fields &line, const object &object) const {
    for (const auto &pointer : config_.pointers()) {
      line.emplace_back(pointer, shown(object.get(pointer)));
    }
  }

  /// Whether there are any.
  bool add_changes(fields &line, const object &before, const object &after) const {
    bool has_changed = false;
    for (const auto &pointer : config_.pointers()) {
      auto old_value = before.get(pointer), new_value = after.get(pointer);
      if (old_value != new_value) {
        line.emplace_back(pointer, shown(old_value) + " -> " + shown(new_value));
        has_changed = true;
      }
    }
    return has_changed;
  }

  config config_;
  failing failing_;
  /// Lines written.
  unsigned seq_ = 0;
};

}  // namespace

INFORMERD_HANDLER(audit)
