/// Says hello to pods, and tells of their phases.
#include "informerd/informerd.hpp"

namespace {

class greeter : public informerd::handler {
 public:
  static std::vector<informerd::watch> watches() { return {{.api_version = "v1", .kind = "Pod"}}; }

  informerd::outcome on_add(const informerd::object &pod, bool /*is_in_initial_list*/) override {
    informerd::info(greeting_ + " " + pod.key().full_name());
    return {};
  }

  informerd::outcome on_update(const informerd::object &before,
                               const informerd::object &after) override {
    auto phase = after.get_string("/status/phase");
    if (before.get_string("/status/phase") != phase) {
      auto shown = std::string(phase.value_or("without a phase"));
      informerd::info(after.key().full_name() + " is " + shown);
    }
    return {};
  }

 private:
  std::string greeting_{informerd::config::get_string("greeting").value_or("hello")};
};

}  // namespace

INFORMERD_HANDLER(greeter)
