// SPDX-License-Identifier: MIT
#include "tests/conformance/report.h"

#include <cmath>
#include <iomanip>
#include <ostream>
#include <sstream>

namespace bitnetd::conformance {

namespace {

std::string short_number(const std::optional<double>& value) {
  if (!value)
    return "exact";
  std::ostringstream out;
  out << std::setprecision(2) << *value;
  return out.str();
}

} // namespace

void table_row::fail(const std::string& name, const std::string& detail) {
  ++failed;
  failures_.push_back(section + " " + what + ": " + name + (detail.empty() ? "" : ": " + detail));
}

void table_row::exact(const std::string& name, bool equal, const std::string& detail) {
  if (equal)
    ++passed;
  else
    fail(name, detail.empty() ? "differs" : detail);
}

void table_row::within(const std::string& name, double deviation, bool also,
                       const std::string& detail) {
  const double seen = std::isnan(deviation) ? HUGE_VAL : deviation;
  worst = std::max(worst.value_or(0), seen);
  if (seen <= tolerance.value_or(0) && also)
    ++passed;
  else
    fail(name, "deviation " + short_number(seen) + (detail.empty() ? "" : ", " + detail));
}

table_row& report::row(std::string section, std::string what, std::optional<double> tolerance) {
  rows_.push_back({});
  auto& added = rows_.back();
  added.section = std::move(section);
  added.what = std::move(what);
  added.tolerance = tolerance;
  return added;
}

void report::skip(std::string section, std::string what, std::string reason, bool house,
                  std::size_t n) {
  const bool failure = required_ == required::all || (required_ == required::house && house);
  auto& added = row(section, what);
  if (failure)
    for (std::size_t i = 0; i < n; ++i)
      added.fail("not run, but required", reason);
  else {
    added.skipped = n;
    skips_.push_back(section + " " + what + ": " + reason);
  }
}

bool report::print(std::ostream& out) const {
  std::size_t passed = 0, failed = 0, skipped = 0;
  out << std::left << std::setw(11) << "section" << std::setw(60) << "comparison" << std::right
      << std::setw(7) << "run" << std::setw(8) << "passed" << std::setw(8) << "skipped"
      << std::setw(10) << "worst" << std::setw(11) << "tolerance" << '\n';
  for (const auto& row : rows_) {
    passed += row.passed;
    failed += row.failed;
    skipped += row.skipped;
    const bool measured = row.worst.has_value();
    out << std::left << std::setw(11) << row.section << std::setw(60) << row.what << std::right
        << std::setw(7) << row.passed + row.failed << std::setw(8) << row.passed << std::setw(8)
        << row.skipped << std::setw(10) << (measured ? short_number(row.worst) : "")
        << std::setw(11)
        << (measured                      ? short_number(row.tolerance)
            : row.passed + row.failed > 0 ? "exact"
                                          : "")
        << (row.failed > 0 ? "  FAILED" : "") << '\n';
  }
  for (const auto& reason : skips_)
    out << "skipped: " << reason << '\n';
  for (const auto& row : rows_)
    for (const auto& failure : row.failures_)
      out << "FAILED: " << failure << '\n';
  if (passed + failed == 0)
    out << "FAILED: nothing was run: is this the right folder?\n";
  out << passed << " passed, " << failed << " failed, " << skipped << " skipped\n";
  return failed == 0 && passed > 0;
}

} // namespace bitnetd::conformance
