/// Failing on request, so that one can see what the host makes of it.
#pragma once

#include <informerd.hpp>
#include <string>

class failing {
 public:
  /// Fails as the object's annotation asks for.
  informerd::outcome check(const informerd::object &object);

 private:
  informerd::outcome retry(const informerd::object_key &key, unsigned times);

  /// The state that was failed last, and how often.
  std::string uid_, resource_version_;
  unsigned times_ = 0;
};
