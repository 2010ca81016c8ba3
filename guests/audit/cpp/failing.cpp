#include "failing.hpp"

#include <cstdio>
#include <cstdlib>

informerd::outcome failing::check(const informerd::object &object) {
  auto request = object.get_string("/metadata/annotations/audit.informerd.dev~1fail").value_or("");
  if (request == "permanent") {
    return std::unexpected(informerd::permanent{"asked to fail for good"});
  }
  if (request == "trap") {
    std::fputs("asked to trap\n", stderr);
    std::abort();
  }
  constexpr std::string_view retry_prefix = "retry ";
  if (request.starts_with(retry_prefix) && request.size() == retry_prefix.size() + 1 &&
      request.back() >= '1' && request.back() <= '9') {
    return retry(object.key(), static_cast<unsigned>(request.back() - '0'));
  }
  return {};
}

informerd::outcome failing::retry(const informerd::object_key &key, unsigned times) {
  if (uid_ != key.uid || resource_version_ != key.resource_version) {
    uid_ = key.uid;
    resource_version_ = key.resource_version;
    times_ = 0;
  }
  if (times_ == times) {
    return {};
  }
  times_++;
  auto reason = "asked to fail, " + std::to_string(times_) + " of " + std::to_string(times);
  return std::unexpected(informerd::retry{reason, std::chrono::milliseconds(1)});
}
