// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <deque>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::conformance {

/// What may not be skipped.
enum class required { nothing, house, all };

/// The cases of one comparison: one line of the table.
struct table_row {
  std::string section, what;
  std::size_t passed = 0, failed = 0, skipped = 0;
  std::optional<double> worst, tolerance; ///< of deviations; empty for exact comparisons

  /// A case that must be equal.
  void exact(const std::string& name, bool equal, const std::string& detail = {});
  /// A case that may differ by `tolerance`, and must hold `also` besides. NaN fails.
  void within(const std::string& name, double deviation, bool also = true,
              const std::string& detail = {});

private:
  friend class report;
  void fail(const std::string& name, const std::string& detail);
  std::vector<std::string> failures_;
};

/// Everything that was run, in the order in which it was run.
class report {
public:
  explicit report(required what) : required_{what} {}

  /// A new line of the table. References stay valid.
  table_row& row(std::string section, std::string what, std::optional<double> tolerance = {});
  /// `n` cases that were not run. `house`: they belong to what this engine reads, so that
  /// `--require 01` makes them failures.
  void skip(std::string section, std::string what, std::string reason, bool house,
            std::size_t n = 1);

  /// Writes the table, reasons, and the last line; true when nothing failed and anything ran.
  bool print(std::ostream& out) const;

private:
  required required_;
  std::deque<table_row> rows_;
  std::vector<std::string> skips_;
};

} // namespace bitnetd::conformance
