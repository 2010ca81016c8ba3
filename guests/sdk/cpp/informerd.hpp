/// Handlers for informerd in C++23: derive from `informerd::handler`, name the class in
/// INFORMERD_HANDLER, and link c/informerd.c. It needs no exceptions and no RTTI.
///
/// A `std::string_view` that a function here gives is valid until the call of the handler is over;
/// so is an `object`. Keep a `std::string`.
///
/// What a call may rely on, in what order calls come and what they may cost is in c/wit/.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <expected>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "c/informerd.h"

namespace informerd {

namespace detail {

inline std::string_view view(informerd_string text) { return {text.text, text.length}; }

inline std::optional<std::string_view> view(informerd_abi_option_string text) {
  return text.is_some ? std::optional(view(text.value)) : std::nullopt;
}

inline informerd_string pass(std::string_view text) { return {text.data(), text.size()}; }

/// A copy that lasts until the call is answered, with a zero behind it.
inline informerd_string keep(std::string_view text) {
  auto *copy = static_cast<char *>(informerd_alloc(text.size() + 1));
  text.copy(copy, text.size());
  copy[text.size()] = '\0';
  return {copy, text.size()};
}

}  // namespace detail

/// What is known of a state without reading it.
struct object_key {
  std::string_view group, version, kind;
  /// None for a cluster-scoped object.
  std::optional<std::string_view> namespace_;
  std::string_view name;
  /// Differs between an object and its re-creation under the same name.
  std::string_view uid;
  /// Compare it for equality only.
  std::string_view resource_version;

  /// NAMESPACE/NAME, or NAME.
  std::string full_name() const {
    return namespace_ ? std::string(*namespace_).append("/").append(name) : std::string(name);
  }

  /// As in a manifest: v1, apps/v1.
  std::string api_version() const {
    return group.empty() ? std::string(version) : std::string(group).append("/").append(version);
  }
};

/// One state of one object. Used after its call it traps.
class object {
 public:
  explicit object(informerd_object ticket) : ticket_(ticket) {}
  object(informerd_object ticket, const object_key &key) : ticket_(ticket), key_(key) {}

  const object_key &key() const {
    if (!key_) {
      key_ = from_c(informerd_object_key(ticket_));
    }
    return *key_;
  }

  /// The value at a JSON pointer, for example "/status/phase", as JSON text.
  std::optional<std::string_view> get(std::string_view pointer) const {
    informerd_abi_option_string answer;
    informerd_abi_objects_get(ticket_, pointer.data(), pointer.size(), &answer);
    return detail::view(answer);
  }

  /// The string at a JSON pointer, without quotes and escapes. None if it is something else.
  std::optional<std::string_view> get_string(std::string_view pointer) const {
    informerd_abi_option_string answer;
    informerd_abi_objects_get_string(ticket_, pointer.data(), pointer.size(), &answer);
    return detail::view(answer);
  }

  /// All of it as JSON text.
  std::string_view json() const { return detail::view(informerd_json(ticket_)); }

  static object_key from_c(const informerd_key &key) {
    using detail::view;
    std::optional<std::string_view> namespace_;
    if (key.namespace_.text != nullptr) {
      namespace_ = view(key.namespace_);
    }
    return {view(key.group), view(key.version),         view(key.kind), namespace_, view(key.name),
            view(key.uid),   view(key.resource_version)};
  }

 private:
  informerd_object ticket_;
  mutable std::optional<object_key> key_;
};

/// `config` of the handler spec.
namespace config {

/// The value of this name as JSON text.
inline std::optional<std::string_view> get(std::string_view name) {
  informerd_abi_option_string answer;
  informerd_abi_config_get(name.data(), name.size(), &answer);
  return detail::view(answer);
}

/// The string of this name, without quotes and escapes. None if it is something else.
inline std::optional<std::string_view> get_string(std::string_view name) {
  informerd_abi_option_string answer;
  informerd_abi_config_get_string(name.data(), name.size(), &answer);
  return detail::view(answer);
}

/// All of it; {} if there is none.
inline std::string_view json() { return detail::view(informerd_config_json()); }

}  // namespace config

enum class level : std::int32_t { trace, debug, info, warn, error };

/// What a line says to machines.
struct field {
  std::string name, value;
};
using fields = std::vector<field>;

inline void log(level level, std::string_view message, const fields &fields = {}) {
  std::vector<informerd_field> passed;
  passed.reserve(fields.size());
  for (const auto &[name, value] : fields) {
    passed.push_back({detail::pass(name), detail::pass(value)});
  }
  informerd_abi_log(static_cast<std::int32_t>(level), message.data(), message.size(), passed.data(),
                    passed.size());
}

inline void debug(std::string_view message, const fields &fields = {}) {
  log(level::debug, message, fields);
}
inline void info(std::string_view message, const fields &fields = {}) {
  log(level::info, message, fields);
}
inline void warn(std::string_view message, const fields &fields = {}) {
  log(level::warn, message, fields);
}
inline void error(std::string_view message, const fields &fields = {}) {
  log(level::error, message, fields);
}

/// Other objects: of what is watched, and of what the handler spec grants.
namespace cache {

/// The object of this name. No namespace for a cluster-scoped one.
inline std::optional<object> get(std::string_view api_version, std::string_view kind,
                                 std::optional<std::string_view> namespace_,
                                 std::string_view name) {
  std::string_view its = namespace_.value_or("");
  informerd_abi_option_object answer;
  informerd_abi_cache_get(api_version.data(), api_version.size(), kind.data(), kind.size(),
                          namespace_.has_value(), its.data(), its.size(), name.data(), name.size(),
                          &answer);
  return answer.is_some ? std::optional(object(answer.value)) : std::nullopt;
}

/// What is listed.
struct query {
  std::string_view api_version, kind;
  /// None: all of them. Not looked at with an index.
  std::optional<std::string_view> namespace_ = {};
  std::string_view label_selector = {};
  /// Instead: the objects under one value of an index, "namespace" or "owner".
  std::string_view index = {}, value = {};
  /// How many at once, at most. 0 is 500, the most.
  std::uint32_t limit = 0;
};

/// The objects of a page, or why there is none.
using page = std::expected<std::vector<object>, std::string_view>;

/// The pages of a list, for one `for`:
///
///     for (const auto &page : informerd::cache::list({.api_version = "v1", .kind = "Pod"})) {
///       if (!page) { ... page.error() ... }
///       for (const auto &pod : *page) { ... }
///     }
///
/// A page's objects are released when the next one is asked for. An error is the last page.
class list {
 public:
  explicit list(const query &query) : query_(query) {}
  list(const list &) = delete;
  list &operator=(const list &) = delete;
  ~list() { release(); }

  class iterator {
   public:
    using value_type = page;
    using difference_type = std::ptrdiff_t;

    explicit iterator(list *list) : list_(list) {}
    const page &operator*() const { return list_->page_; }
    iterator &operator++() {
      list_->advance();
      return *this;
    }
    void operator++(int) { list_->advance(); }
    bool operator==(std::default_sentinel_t) const { return list_->is_at_end_; }

   private:
    list *list_;
  };

  iterator begin() {
    ask();
    return iterator(this);
  }
  std::default_sentinel_t end() const { return {}; }

 private:
  void advance() {
    release();
    if (cursor_) {
      ask();
    } else {
      is_at_end_ = true;
    }
  }

  void ask() {
    informerd_abi_page_result answer;
    ask(answer);
    cursor_.reset();
    if (answer.is_error) {
      page_ = std::unexpected(detail::view(answer.is.error));
      return;
    }
    const auto &[objects, cursor] = answer.is.page;
    tickets_.assign(objects.items, objects.items + objects.count);
    page_ = std::vector<object>(tickets_.begin(), tickets_.end());
    cursor_ = detail::view(cursor);
  }

  void ask(informerd_abi_page_result &answer) const {
    const auto &[version, kind, namespace_, labels, index, value, limit] = query_;
    std::string_view cursor = cursor_.value_or("");
    if (!index.empty()) {
      informerd_abi_cache_list_by_index(version.data(), version.size(), kind.data(), kind.size(),
                                        index.data(), index.size(), value.data(), value.size(),
                                        limit, cursor_.has_value(), cursor.data(), cursor.size(),
                                        &answer);
      return;
    }
    std::string_view its = namespace_.value_or("");
    informerd_abi_cache_list_objects(version.data(), version.size(), kind.data(), kind.size(),
                                     namespace_.has_value(), its.data(), its.size(), labels.data(),
                                     labels.size(), limit, cursor_.has_value(), cursor.data(),
                                     cursor.size(), &answer);
  }

  void release() {
    if (!tickets_.empty()) {
      informerd_abi_cache_release(tickets_.data(), tickets_.size());
      tickets_.clear();
    }
  }

  query query_;
  std::vector<informerd_object> tickets_;
  page page_;
  std::optional<std::string_view> cursor_;
  bool is_at_end_ = false;
};

}  // namespace cache

/// A call that reads more than fits into memory can put what it does with one object, or one page,
/// in a block that begins with one of these: at its end, what was read in it is free.
class memory_scope {
 public:
  memory_scope() : mark_(informerd_mark_memory()) {}
  memory_scope(const memory_scope &) = delete;
  memory_scope &operator=(const memory_scope &) = delete;
  ~memory_scope() { informerd_free_since(mark_); }

 private:
  informerd_mark mark_;
};

/// Deliver this state, or a newer one, again.
struct retry {
  std::string reason;
  /// None leaves it to the host.
  std::optional<std::chrono::milliseconds> after = {};
};

/// Do not deliver this state again.
struct permanent {
  std::string reason;
};

using failure = std::variant<retry, permanent>;

/// How a notification was handled: `return {};`, or `return std::unexpected(retry{"why"});`. A bug
/// aborts: that costs the instance and all that it remembered, and the notification comes again.
using outcome = std::expected<void, failure>;

/// One collection of objects.
struct watch {
  std::string api_version, kind;
  /// Empty: all of them, or a cluster-scoped kind.
  std::vector<std::string> namespaces = {};
  /// Empty: all objects.
  std::string label_selector = {}, field_selector = {};
};

/// What a handler does; what it does not override is handled by doing nothing. It may have, too:
///
///     static std::vector<watch> watches();
///     static std::expected<T, std::string> create();
///
/// what the module watches, if the handler spec does not say it, and what makes the handler of a
/// new instance, otherwise default-constructed: the place to read the configuration; an error
/// refuses it.
class handler {
 public:
  virtual ~handler() = default;

  /// The object appeared, or was there before.
  virtual outcome on_add(const object &, bool /*is_in_initial_list*/) { return {}; }
  /// The object changed, from the state that was handled last.
  virtual outcome on_update(const object & /*old_state*/, const object & /*new_state*/) {
    return {};
  }
  /// The object is gone. `final_state_unknown`: it may have changed after this state.
  virtual outcome on_delete(const object & /*last*/, bool /*final_state_unknown*/) { return {}; }
  /// Every object that was there has been handled.
  virtual outcome on_synced() { return {}; }
};

namespace detail {

inline informerd_result answer(const outcome &outcome) {
  if (outcome) {
    return informerd_ok();
  }
  informerd_result result = {};
  if (const auto *it = std::get_if<retry>(&outcome.error())) {
    result.kind = INFORMERD_RETRY;
    if (it->after) {
      result.has_after_ms = true;
      result.after_ms = static_cast<std::uint32_t>(std::clamp<std::int64_t>(
          it->after->count(), 0, std::numeric_limits<std::uint32_t>::max()));
    }
    result.reason = keep(it->reason);
  } else if (const auto *it = std::get_if<permanent>(&outcome.error())) {
    result.kind = INFORMERD_PERMANENT;
    result.reason = keep(it->reason);
  }
  return result;
}

template <class Handler>
class exported {
 public:
  static void watches() {
    if constexpr (requires { Handler::watches(); }) {
      for (const watch &watch : Handler::watches()) {
        add(watch);
      }
    }
  }

  static const char *init() {
    instance_.reset();
    if constexpr (requires { Handler::create(); }) {
      std::expected<Handler, std::string> created = Handler::create();
      if (!created) {
        return keep(created.error()).text;
      }
      instance_.emplace(std::move(*created));
    } else {
      instance_.emplace();
    }
    return nullptr;
  }

  static Handler &instance() {
    if (!instance_) {
      std::fputs("a call before init, or after it refused\n", stderr);
      std::abort();
    }
    return *instance_;
  }

 private:
  static void add(const watch &watch) {
    auto count = watch.namespaces.size();
    auto **namespaces = static_cast<const char **>(informerd_alloc((count + 1) * sizeof(char *)));
    for (std::size_t i = 0; i < count; i++) {
      namespaces[i] = keep(watch.namespaces[i]).text;
    }
    namespaces[count] = nullptr;
    informerd_add_watch({keep(watch.api_version).text, keep(watch.kind).text, namespaces,
                         keep(watch.label_selector).text, keep(watch.field_selector).text});
  }

  static inline std::optional<Handler> instance_;
};

}  // namespace detail
}  // namespace informerd

/// Makes a class the module's handler. Once, outside of any namespace.
#define INFORMERD_HANDLER(Handler)                                                           \
  void informerd_watches() { informerd::detail::exported<Handler>::watches(); }              \
  const char *informerd_init() { return informerd::detail::exported<Handler>::init(); }      \
  informerd_result informerd_on_add(const informerd_key *key, informerd_object object,       \
                                    bool is_in_initial_list) {                               \
    auto &handler = informerd::detail::exported<Handler>::instance();                        \
    informerd::object added(object, informerd::object::from_c(*key));                        \
    return informerd::detail::answer(handler.on_add(added, is_in_initial_list));             \
  }                                                                                          \
  informerd_result informerd_on_update(const informerd_key *key, informerd_object old_state, \
                                       informerd_object new_state) {                         \
    auto &handler = informerd::detail::exported<Handler>::instance();                        \
    informerd::object before(old_state);                                                     \
    informerd::object after(new_state, informerd::object::from_c(*key));                     \
    return informerd::detail::answer(handler.on_update(before, after));                      \
  }                                                                                          \
  informerd_result informerd_on_delete(const informerd_key *key, informerd_object last,      \
                                       bool final_state_unknown) {                           \
    auto &handler = informerd::detail::exported<Handler>::instance();                        \
    informerd::object deleted(last, informerd::object::from_c(*key));                        \
    return informerd::detail::answer(handler.on_delete(deleted, final_state_unknown));       \
  }                                                                                          \
  informerd_result informerd_on_synced() {                                                   \
    return informerd::detail::answer(                                                        \
        informerd::detail::exported<Handler>::instance().on_synced());                       \
  }
