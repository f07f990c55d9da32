// SPDX-License-Identifier: MIT
#include "tests/bench/cachebench/plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <map>

namespace bitnetd::bench {
namespace {

constexpr double width = 760, height = 460, left = 60, right = 190, top = 20, bottom = 50;
constexpr double least = 0.05, most = 100; // percent of wrong hits on the axis

double x_of(double wrong) {
  const double at = std::log(std::clamp(wrong, least, most) / least) / std::log(most / least);
  return left + at * (width - left - right);
}
double y_of(double hits) { return height - bottom - hits / 100 * (height - top - bottom); }

} // namespace

void write_plot(const std::filesystem::path& path, const std::vector<plot_point>& points) {
  constexpr std::array<const char*, 9> colours{"#0b6e4f", "#c1121f", "#1d4e89",
                                               "#e09f3e", "#7b2d8b", "#444444",
                                               "#3a86ff", "#8f5d2e", "#d45087"};
  std::map<std::string, std::vector<plot_point>> series;
  for (const auto& one : points)
    series[one.series].push_back(one);
  std::ofstream out(path);
  out << "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" << width << "\" height=\"" << height
      << "\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" "
         "fill=\"white\"/>\n";
  for (const double wrong : {0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 50.0, 100.0})
    out << "<line x1=\"" << x_of(wrong) << "\" x2=\"" << x_of(wrong) << "\" y1=\"" << top
        << "\" y2=\"" << height - bottom << "\" stroke=\"#ddd\"/><text x=\"" << x_of(wrong)
        << "\" y=\"" << height - bottom + 16 << "\" text-anchor=\"middle\">"
        << (wrong == least ? 0.0 : wrong) << "</text>\n";
  for (int hits = 0; hits <= 100; hits += 20)
    out << "<line x1=\"" << left << "\" x2=\"" << width - right << "\" y1=\"" << y_of(hits)
        << "\" y2=\"" << y_of(hits) << "\" stroke=\"#ddd\"/><text x=\"" << left - 6 << "\" y=\""
        << y_of(hits) + 4 << "\" text-anchor=\"end\">" << hits << "</text>\n";
  out << "<text x=\"" << (left + width - right) / 2 << "\" y=\"" << height - 12
      << "\" text-anchor=\"middle\">wrong answers among the hits, %</text>\n<text "
         "transform=\"translate(16,"
      << height / 2 << ") rotate(-90)\" text-anchor=\"middle\">requests that hit, %</text>\n";
  std::size_t n = 0;
  for (auto& [name, all] : series) {
    const auto* colour = colours[n % colours.size()];
    std::ranges::sort(all, {}, &plot_point::parameter);
    out << "<polyline fill=\"none\" stroke=\"" << colour << "\" points=\"";
    for (const auto& one : all)
      out << x_of(one.wrong) << ',' << y_of(one.hits) << ' ';
    out << "\"/>\n";
    for (const auto& one : all)
      out << "<circle cx=\"" << x_of(one.wrong) << "\" cy=\"" << y_of(one.hits)
          << "\" r=\"4\" fill=\"" << colour << "\"><title>" << name << ' ' << one.parameter
          << "</title></circle>\n";
    const double y = top + 12 + 18 * static_cast<double>(n++);
    out << "<circle cx=\"" << width - right + 16 << "\" cy=\"" << y - 4 << "\" r=\"4\" fill=\""
        << colour << "\"/><text x=\"" << width - right + 26 << "\" y=\"" << y << "\">" << name
        << "</text>\n";
  }
  out << "</svg>\n";
}

} // namespace bitnetd::bench
