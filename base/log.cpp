// SPDX-License-Identifier: MIT
#include "base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <cstdlib>
#include <memory>

namespace bitnetd::log {

namespace {

/// `%*` in a pattern: the priority prefix of sd-daemon(3).
class priority_flag final : public spdlog::custom_flag_formatter {
public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    constexpr std::string_view prefixes[] = {"<7>", "<7>", "<6>", "<4>", "<3>", "<2>", "<6>"};
    const auto prefix = prefixes[static_cast<std::size_t>(message.level)];
    out.append(prefix.data(), prefix.data() + prefix.size());
  }
  [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<priority_flag>();
  }
};

} // namespace

void to_standard_error() {
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  const bool journal = std::getenv("JOURNAL_STREAM") != nullptr;
  formatter->add_flag<priority_flag>('*').set_pattern(journal ? "%*%v"
                                                              : "%Y-%m-%dT%H:%M:%S.%e %l %v");
  auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  sink->set_formatter(std::move(formatter));
  auto logger = std::make_shared<spdlog::logger>("bitnetd", std::move(sink));
  logger->set_level(spdlog::get_level());
  spdlog::set_default_logger(std::move(logger));
}

bool set_level(std::string_view level) {
  const auto value = spdlog::level::from_str(std::string{level});
  if (value == spdlog::level::off && level != "off")
    return false;
  spdlog::set_level(value);
  return true;
}

} // namespace bitnetd::log
