// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>

namespace bitnetd::engine {

/// Energy of all CPU packages from a powercap folder: `energy_uj` of the zones `intel-rapl:N` whose
/// `name` begins with "package". Most machines let only root read it; virtual machines have none.
/// Counters wrap after `max_energy_range_uj` (some 20 minutes to hours): the meter makes up for it
/// as long as it is read more often than that. Not thread-safe: one owner.
class rapl_meter {
public:
  explicit rapl_meter(std::filesystem::path powercap = "/sys/class/powercap");

  /// Joules since the counters began; empty when no package tells.
  [[nodiscard]] std::optional<double> joules();

private:
  struct counter {
    std::uint64_t last = 0;
    double wrapped_microjoules = 0;
  };
  std::filesystem::path powercap_;
  std::map<std::filesystem::path, counter> counters_;
};

} // namespace bitnetd::engine
