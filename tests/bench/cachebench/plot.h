// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace bitnetd::bench {

struct plot_point {
  std::string series;
  double parameter = 0, hits = 0, wrong = 0; ///< percent
};

/// Writes an SVG: share of requests that hit, over the share of hits that are wrong (logarithmic;
/// none at all stands at the left edge). One colour per series.
void write_plot(const std::filesystem::path& path, const std::vector<plot_point>& points);

} // namespace bitnetd::bench
