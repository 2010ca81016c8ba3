#include "config.hpp"

#include <charconv>
#include <map>
#include <optional>
#include <string_view>

namespace {

constexpr std::size_t pointers_max = 16;
constexpr std::uint32_t page_max = 500;

/// As the host spells them. It is filled before the first call: by a static initialiser.
const std::map<std::string_view, detail> details = {
    {R"("key")", detail::key}, {R"("fields")", detail::fields}, {R"("whole")", detail::whole}};

/// The host spells JSON without spaces, and what a pointer must not have is written with a
/// backslash: so a good list is ["/…","/…"], without one.
std::optional<std::vector<std::string>> report(std::string_view json) {
  if (!json.starts_with('[') || json.contains('\\')) {
    return std::nullopt;
  }
  std::vector<std::string> pointers;
  do {
    json.remove_prefix(1);
    if (!json.starts_with("\"/") || pointers.size() == pointers_max) {
      return std::nullopt;
    }
    json.remove_prefix(1);
    auto length = json.find('"');
    pointers.emplace_back(json.substr(0, length));
    json.remove_prefix(length + 1);
  } while (json.starts_with(','));
  return pointers;
}

std::optional<std::uint32_t> page(std::string_view json) {
  std::uint32_t page = 0;
  auto [end, error] = std::from_chars(json.begin(), json.end(), page);
  bool is_number = error == std::errc() && end == json.end();
  return is_number && page >= 1 && page <= page_max ? std::optional(page) : std::nullopt;
}

}  // namespace

std::expected<config, std::string> config::read() {
  auto pointers = ::report(informerd::config::get("report").value_or(""));
  if (!pointers) {
    return std::unexpected(
        R"(config.report must be a list of 1 to 16 JSON pointers, for example ["/status/phase"])");
  }
  auto how_much = details.find(informerd::config::get("detail").value_or(R"("whole")"));
  if (how_much == details.end()) {
    return std::unexpected(R"(config.detail must be "key", "fields" or "whole")");
  }
  auto at_once = ::page(informerd::config::get("page").value_or("100"));
  if (!at_once) {
    return std::unexpected("config.page must be a number from 1 to 500");
  }
  return config{std::move(*pointers), how_much->second, *at_once};
}

std::span<const std::string> config::pointers() const {
  if (detail == detail::key) {
    return {};
  }
  return report;
}

informerd::watch watched() {
  auto get = [](std::string_view name, std::string_view otherwise) {
    return std::string(informerd::config::get_string(name).value_or(otherwise));
  };
  return {.api_version = get("apiVersion", "v1"), .kind = get("kind", "Pod")};
}
