// SPDX-License-Identifier: MIT
//
// Measures the rules of a semantic cache on generated streams with known truth: how much each one
// serves, and how much of that is wrong. Static thresholds and vCache stand beside ours, with and
// without guards, and an oracle above all. Thresholds are chosen on the development families and
// frozen; every other row is of the held-out and unseen families, or, with a model, of the
// questions that the shipped models are judged by.

#include "tests/bench/cachebench/embedders.h"
#include "tests/bench/cachebench/guard_report.h"
#include "tests/bench/cachebench/plot.h"
#include "tests/bench/cachebench/shipped.h"
#include "tests/bench/cachebench/simulate.h"
#include "tests/bench/cachebench/speed.h"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <string>
#include <vector>

namespace {

using namespace bitnetd;
using namespace bitnetd::bench;

struct options {
  std::string families = BITNETD_SOURCE_DIR "/tests/bench/families", csv, plot, model;
  std::string models = BITNETD_SOURCE_DIR "/models";
  std::vector<std::uint64_t> seeds{1, 2, 3};
  std::size_t requests = 20'000, examples = 0;
  double zipf = 0.9, judge_false_wrong = 0, judge_false_right = 0;
  bool guards_only = false, speed = false, gate = false, quick = false, all = false, longer = false;
};

constexpr double deltas[] = {0.01, 0.02, 0.05};

/// One row of the table: a rule with its parameter, added up over the seeds.
struct row {
  std::string families, rule;
  bool guards = false;
  double parameter = 0;
  std::size_t asked = 0, eligible = 0, hits = 0, wrong = 0, labels = 0, entries = 0, seeds = 0;
  double calibration_error = 0;
  std::map<std::string, std::size_t> wrong_by_kind;

  void add(const outcome& one) {
    asked += one.asked;
    eligible += one.eligible;
    hits += one.hits;
    wrong += one.wrong;
    labels += one.labels;
    entries += one.entries;
    calibration_error += one.calibration_error();
    ++seeds;
    for (const auto& [kind, n] : one.wrong_by_kind)
      wrong_by_kind[kind] += n;
  }
  [[nodiscard]] double hit_rate() const {
    return asked == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(asked);
  }
  [[nodiscard]] double wrong_share() const {
    return hits == 0 ? 0 : static_cast<double>(wrong) / static_cast<double>(hits);
  }
};

void print(const row& one) {
  std::printf("%-12s %-14s %-7s %6.3f %8.2f %9.3f %9.3f %7zu %7zu  ", one.families.c_str(),
              one.rule.c_str(), one.guards ? "guards" : "-", one.parameter, 100 * one.hit_rate(),
              100 * one.wrong_share(), 100 * upper95(one.wrong, one.hits), one.wrong,
              one.labels / std::max<std::size_t>(one.seeds, 1));
  for (const auto& [kind, n] : one.wrong_by_kind)
    std::printf(" %s %zu", kind.c_str(), n);
  std::printf("\n");
  std::fflush(stdout);
}

struct bench {
  const options& asked;
  family_file families;
  std::string name;
  std::vector<prepared_stream> streams;
  std::vector<row>& rows;

  bench(const options& o, const std::string& which, family_file from, const made_embedder& by,
        std::vector<row>& out)
      : asked(o), families(std::move(from)), name(which), rows(out) {
    for (const auto seed : o.seeds) {
      stream_options how;
      how.seed = seed;
      how.requests = o.requests;
      how.zipf = o.zipf;
      streams.push_back(prepare(make_stream(families, how), by.embed, by.knows_meaning));
    }
  }
  template <class Make>
  row run(const std::string& rule, bool guards, double parameter, const Make& make) {
    row out{name, rule, guards, parameter, 0, 0, 0, 0, 0, 0, 0, 0, {}};
    for (std::size_t i = 0; i < streams.size(); ++i) {
      const auto how = make(asked.seeds[i]);
      out.add(simulate(families, streams[i], *how, guards));
    }
    print(out);
    rows.push_back(out);
    return out;
  }
  row run_ours(double delta, bool guards) {
    return run("ours", guards, delta, [&](std::uint64_t seed) {
      return trusted(delta, asked.judge_false_wrong, asked.judge_false_right, seed);
    });
  }
};

using sweeps = std::map<bool, std::vector<row>>; ///< with guards, and without

/// The lowest threshold whose wrong share is within delta; above one when there is none.
double best_threshold(bench& on, sweeps& swept, bool guards, double delta) {
  auto& sweep = swept[guards];
  if (sweep.empty())
    for (const double least : {0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99})
      sweep.push_back(
          on.run("static", guards, least, [&](std::uint64_t) { return static_threshold(least); }));
  for (const auto& one : sweep)
    if (one.hits > 0 && one.wrong_share() <= delta)
      return one.parameter;
  return 1.01;
}

family_file families_of(const options& o, const std::string& name) {
  return name == "shipped" ? shipped_families(o.models)
                           : read_families(o.families + "/" + name + ".families");
}

using frozen_thresholds = std::map<std::pair<bool, double>, double>;

/// Every rule on one set of families. Whether ours kept what it promised.
bool judge(const options& o, bench& on, const frozen_thresholds& frozen) {
  bool kept = true;
  for (const bool guards : {false, true}) {
    on.run("oracle", guards, 0, [](std::uint64_t) { return oracle(); });
    for (const double delta : deltas) {
      if (const double least = frozen.at({guards, delta}); least <= 1)
        on.run("static frozen", guards, least,
               [&](std::uint64_t) { return static_threshold(least); });
      if (!o.quick) {
        on.run("vcache", guards, delta,
               [&](std::uint64_t seed) { return vcache(delta, false, seed); });
        on.run("vcache all", guards, delta,
               [&](std::uint64_t seed) { return vcache(delta, true, seed); });
      }
      const auto ours = on.run_ours(delta, guards);
      if (guards && ours.hits > 0)
        kept &= ours.wrong_share() <= delta;
    }
  }
  return kept;
}

int run(const options& o) {
  const auto by = make_embedder(o.model);
  std::vector<row> rows;
  std::printf("# embedder %s; seeds", by.name.c_str());
  for (const auto seed : o.seeds)
    std::printf(" %llu", static_cast<unsigned long long>(seed));
  std::printf("; %zu requests each, Zipf %.2f; judge wrong on right answers %.3f, on wrong %.3f\n",
              o.requests, o.zipf, o.judge_false_wrong, o.judge_false_right);
  std::printf("%-12s %-14s %-7s %6s %8s %9s %9s %7s %7s   wrong hits by what differs\n", "families",
              "rule", "", "param", "hits %", "wrong %", "<= 95%", "wrong", "labels");
  bench development(o, "development", families_of(o, "development"), by, rows);
  frozen_thresholds frozen;
  sweeps swept;
  for (const bool guards : {false, true})
    for (const double delta : deltas)
      frozen[{guards, delta}] = o.quick ? 1.01 : best_threshold(development, swept, guards, delta);

  bool kept = true;
  const std::vector<std::string> judges = o.model.empty()
                                              ? std::vector<std::string>{"held_out", "unseen", "later"}
                                              : std::vector<std::string>{"shipped"};
  for (const auto& name : judges) {
    bench on(o, name, families_of(o, name), by, rows);
    kept &= judge(o, on, frozen);
  }
  if (!o.csv.empty()) {
    std::ofstream out(o.csv);
    out << "families,rule,guards,parameter,asked,eligible,hits,wrong,hit_rate,wrong_share,"
           "wrong_upper95,labels,entries,calibration_error\n";
    for (const auto& one : rows)
      out << one.families << ',' << one.rule << ',' << one.guards << ',' << one.parameter << ','
          << one.asked << ',' << one.eligible << ',' << one.hits << ',' << one.wrong << ','
          << one.hit_rate() << ',' << one.wrong_share() << ',' << upper95(one.wrong, one.hits)
          << ',' << one.labels << ',' << one.entries << ','
          << one.calibration_error / static_cast<double>(one.seeds) << '\n';
  }
  if (!o.plot.empty()) {
    std::vector<plot_point> points;
    for (const auto& one : rows)
      if (one.families == judges.back() && one.hits > 0)
        points.push_back({one.rule + (one.guards ? ", guards" : ""), one.parameter,
                          100 * one.hit_rate(), 100 * one.wrong_share()});
    write_plot(o.plot, points);
  }
  if (o.gate && !kept)
    std::fprintf(stderr, "a bound on the share of wrong hits did not hold\n");
  return o.gate && !kept ? 1 : 0;
}

int report_speed(bool longer) {
  for (const std::size_t entries : {10'000, 100'000})
    report_lookup(entries, std::cout);
  if (longer)
    report_lookup(1'000'000, std::cout);
  report_restart(100'000, std::cout);
  return 0;
}

int report_all_guards(const options& o) {
  for (const auto* file : {"development", "held_out", "unseen", "later"}) {
    std::cout << file << " families\n";
    report_guards(families_of(o, file), o.seeds.front(), o.examples, std::cout);
  }
  return 0;
}

/// Every figure of docs/cache.md in one run.
int report_all(options o) {
  std::cout << "## Streams of generated questions, hashed n-grams" << std::endl;
  int out = run(o);
  std::cout << "\n## Questions that the shipped models are judged by, shipped embedding model"
            << std::endl;
  auto shipped = o;
  shipped.model = o.models + "/bitnetd-embed.gguf";
  shipped.csv.clear();
  shipped.plot.clear();
  out |= run(shipped);
  std::cout << "\n## Pairs that the guards hold back, by what differs" << std::endl;
  out |= report_all_guards(o);
  std::cout << "\n## Cost" << std::endl;
  return out | report_speed(o.longer);
}

} // namespace

int main(int argc, char** argv) {
  options o;
  CLI::App app("measures the rules of a semantic cache on streams with known truth");
  app.add_option("--families", o.families, "folder of the family files");
  app.add_option("--models", o.models, "folder of the shipped models");
  app.add_option("--seeds", o.seeds, "one stream per seed")->delimiter(',');
  app.add_option("--requests", o.requests, "per stream")->check(CLI::Range(100, 10'000'000));
  app.add_option("--zipf", o.zipf, "exponent of popularity")->check(CLI::Range(0.0, 3.0));
  app.add_option("--model", o.model, "embedding model (GGUF); not given: hashed n-grams");
  app.add_option("--judge-false-wrong", o.judge_false_wrong, "right answers that the judge rejects")
      ->check(CLI::Range(0.0, 0.5));
  app.add_option("--judge-false-right", o.judge_false_right, "wrong answers that the judge accepts")
      ->check(CLI::Range(0.0, 0.5));
  app.add_option("--csv", o.csv, "writes every row");
  app.add_option("--plot", o.plot, "writes hits against wrong hits (SVG)");
  app.add_flag("--all", o.all, "every figure of docs/cache.md");
  app.add_flag("--guards", o.guards_only, "only: how many pairs of each kind the guards hold back");
  app.add_option("--examples", o.examples, "with --guards: failures of each kind to show");
  app.add_flag("--speed", o.speed, "only: what lookups and a restart cost");
  app.add_flag("--long", o.longer, "with --speed or --all: a million entries too");
  app.add_flag("--quick", o.quick, "only the oracle and our rule");
  app.add_flag("--gate", o.gate, "exit 1 when a promised share of wrong hits is exceeded");
  CLI11_PARSE(app, argc, argv);
  try {
    if (o.all)
      return report_all(o);
    if (o.speed)
      return report_speed(o.longer);
    return o.guards_only ? report_all_guards(o) : run(o);
  } catch (const std::exception& error) {
    std::cerr << "cachebench: " << error.what() << '\n';
    return 2;
  }
}
