// SPDX-License-Identifier: MIT
#include "engine/rapl.h"

#include <fstream>
#include <string>
#include <utility>

namespace bitnetd::engine {

namespace {

template <class T> std::optional<T> read_value(const std::filesystem::path& file) {
  std::ifstream in{file};
  T value{};
  return in >> value ? std::optional{value} : std::nullopt;
}

/// Whether a zone is a whole package, and not a part of one (core, dram) that would count twice.
bool is_package(const std::filesystem::path& zone) {
  const auto name = read_value<std::string>(zone / "name");
  return name && name->starts_with("package");
}

} // namespace

rapl_meter::rapl_meter(std::filesystem::path powercap) : powercap_{std::move(powercap)} {}

std::optional<double> rapl_meter::joules() {
  std::optional<double> microjoules;
  std::error_code error;
  for (std::filesystem::directory_iterator zone{powercap_, error}, end; !error && zone != end;
       zone.increment(error)) {
    if (!is_package(zone->path()))
      continue;
    const auto now = read_value<std::uint64_t>(zone->path() / "energy_uj");
    if (!now)
      continue;
    auto& seen = counters_[zone->path()];
    if (*now < seen.last)
      seen.wrapped_microjoules += static_cast<double>(
          read_value<std::uint64_t>(zone->path() / "max_energy_range_uj").value_or(0));
    seen.last = *now;
    microjoules = microjoules.value_or(0) + seen.wrapped_microjoules + static_cast<double>(*now);
  }
  return microjoules ? std::optional{*microjoules * 1e-6} : std::nullopt;
}

} // namespace bitnetd::engine
