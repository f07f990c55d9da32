// SPDX-License-Identifier: MIT
#include "tests/bench/cachebench/guard_report.h"

#include "actors/guards.h"
#include "tests/bench/cachebench/stream.h"

#include <algorithm>
#include <iomanip>
#include <map>
#include <string>
#include <vector>

namespace bitnetd::bench {

void report_guards(const family_file& from, std::uint64_t seed, std::size_t examples,
                   std::ostream& out) {
  stream_options options;
  options.seed = seed;
  options.requests = 12'000;
  options.popular = 400;
  options.near_miss = 0.5;
  options.novel = 0;
  const auto all = make_stream(from, options);
  std::vector<std::vector<std::size_t>> by_family(from.families.size());
  for (std::size_t i = 0; i < all.requests.size(); ++i)
    by_family[all.intents[all.requests[i].truth].family].push_back(i);

  struct tally {
    std::size_t pairs = 0, held = 0, shown = 0;
    std::map<std::string, std::size_t> by_guard;
  };
  std::map<std::string, tally> kinds;
  for (const auto& requests : by_family)
    for (std::size_t i = 0; i < requests.size(); ++i)
      for (std::size_t j = i + 1; j < std::min(requests.size(), i + 40); ++j) {
        const auto &a = all.requests[requests[i]], &b = all.requests[requests[j]];
        if (a.text == b.text)
          continue;
        const auto kind = a.truth == b.truth
                              ? std::string("right")
                              : difference(from, all.intents[a.truth], all.intents[b.truth]);
        auto& here = kinds[kind];
        ++here.pairs;
        const auto held =
            actors::find_veto(actors::wording_of(a.text), actors::wording_of(b.text), false);
        if (held) {
          ++here.held;
          ++here.by_guard[std::string(to_string(held->which))];
        }
        if ((kind == "right") == held.has_value() && here.shown++ % 150 == 0 && examples > 0) {

          out << "    " << kind << ": " << a.text << "  |  " << b.text;
          if (held)
            out << "  |  " << to_string(held->which) << ": " << held->why;
          out << '\n';
        }
      }
  out << "  kind          pairs    held back\n";
  for (const auto& [kind, here] : kinds) {
    out << "  " << std::left << std::setw(12) << kind << std::right << std::setw(8) << here.pairs
        << std::setw(8) << std::fixed << std::setprecision(2)
        << 100.0 * static_cast<double>(here.held) / static_cast<double>(here.pairs) << " %  ";
    for (const auto& [guard, n] : here.by_guard)
      out << ' ' << guard << ' ' << n;
    out << '\n';
  }
}

} // namespace bitnetd::bench
