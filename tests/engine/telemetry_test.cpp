// SPDX-License-Identifier: MIT
#include "engine/rapl.h"
#include "engine/telemetry.h"

#include <catch2/catch.hpp>

#include <fstream>
#include <set>
#include <string>
#include <unistd.h>

using namespace bitnetd::engine;

namespace {

/// A folder that looks like /sys/class/powercap and is gone at the end.
class powercap_folder {
public:
  powercap_folder() { std::filesystem::create_directory(path_); }
  ~powercap_folder() { std::filesystem::remove_all(path_); }

  void zone(const std::string& zone, const std::string& name, std::uint64_t microjoules) const {
    std::filesystem::create_directory(path_ / zone);
    std::ofstream{path_ / zone / "name"} << name << '\n';
    std::ofstream{path_ / zone / "max_energy_range_uj"} << 1'000'000'000 << '\n';
    std::ofstream{path_ / zone / "energy_uj"} << microjoules << '\n';
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

private:
  std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("bitnetd-powercap-" + std::to_string(::getpid()));
};

} // namespace

TEST_CASE("every operation has a name of its own", "[engine][telemetry]") {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < n_operations; ++i)
    names.insert(to_string(static_cast<operation>(i)));
  CHECK(names.size() == n_operations);
  CHECK(to_string(operation::embed) == "embed");
  CHECK(to_string(operation::attn_output) == "attn_output");
  CHECK(to_string(operation::sample) == "sample");
}

TEST_CASE("totals add all layers and operations", "[engine][telemetry]") {
  telemetry sums;
  sums.layers.assign(3, std::vector<operation_cost>(n_operations));
  sums.layers[0][0] = {1, 2, 3, 4, 5, 6};
  sums.layers[2][n_operations - 1] = {10, 20, 30, 40, 50, 60};
  const auto total = sums.total();
  CHECK(total.nanoseconds == 11);
  CHECK(total.weight_bytes == 22);
  CHECK(total.kv_bytes == 33);
  CHECK(total.additions == 44);
  CHECK(total.multiplications == 55);
  CHECK(total.zero_additions == 66);
}

TEST_CASE("energy is estimated from the published figures", "[engine][telemetry]") {
  operation_cost cost;
  cost.additions = 1'000'000'000'000;
  CHECK(estimate_joules(cost, false) == Approx(0.03));
  cost.zero_additions = cost.additions; // computed all the same
  CHECK(estimate_joules(cost, false) == Approx(0.03));
  cost.multiplications = 1'000'000'000'000;
  CHECK(estimate_joules(cost, false) == Approx(0.03 + 3.7 + 0.9));
  cost.weight_bytes = 600'000'000'000;
  cost.kv_bytes = 400'000'000'000;
  CHECK(estimate_joules(cost, false) == Approx(0.03 + 4.6));
  CHECK(estimate_joules(cost, true) == Approx(0.03 + 4.6 + 20));
}

TEST_CASE("RAPL packages are added, their parts are not counted twice", "[engine][telemetry]") {
  const powercap_folder folder;
  rapl_meter meter{folder.path()};
  CHECK(!meter.joules());
  folder.zone("intel-rapl:0", "package-0", 5'000'000);
  folder.zone("intel-rapl:0:0", "core", 4'000'000);
  folder.zone("intel-rapl:1", "package-1", 2'500'000);
  folder.zone("intel-rapl:2", "psys", 99'000'000);
  CHECK(meter.joules() == Approx(7.5));
}

TEST_CASE("a RAPL counter that wraps loses nothing", "[engine][telemetry]") {
  const powercap_folder folder;
  rapl_meter meter{folder.path()};
  folder.zone("intel-rapl:0", "package-0", 999'000'000);
  CHECK(meter.joules() == Approx(999));
  folder.zone("intel-rapl:0", "package-0", 1'000'000);
  CHECK(meter.joules() == Approx(1001));
}

TEST_CASE("a machine without RAPL, or one that does not tell, gives a negative figure or a sum",
          "[engine][telemetry]") {
  const auto meter = rapl_meter{}.joules();
  CHECK((rapl_joules() < 0) == !meter.has_value());
}
