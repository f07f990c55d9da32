// SPDX-License-Identifier: MIT
#include "tests/bench/cachebench/speed.h"

#include "actors/guards.h"
#include "actors/hit_rule.h"
#include "actors/ngram_embedding.h"
#include "actors/similarity_tier.h"
#include "tests/bench/cachebench/family_file.h"
#include "tests/bench/cachebench/stream.h"
#include "tests/support/scratch_folder.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <iomanip>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace bitnetd::bench {
namespace {

constexpr std::size_t lookups = 2000, dimension = actors::ngram_dimension, topics = 64;
constexpr std::int64_t start_us = 1'700'000'000'000'000, day_us = 86'400'000'000;

double cpu_us() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

double seconds_since(std::chrono::steady_clock::time_point began) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

double quantile(std::vector<double>& of, double at) {
  std::ranges::sort(of);
  return of[std::min(of.size() - 1, static_cast<std::size_t>(at * static_cast<double>(of.size())))];
}

/// Vectors around a few topics, as those of real questions.
class vector_source {
public:
  vector_source() {
    for (auto& one : centres_)
      one = noise(1);
  }
  std::vector<float> draw() { return around(centres_[random_() % topics], 0.6f); }
  std::vector<float> around(const std::vector<float>& centre, float spread) {
    auto out = noise(spread);
    for (std::size_t i = 0; i < dimension; ++i)
      out[i] += centre[i];
    return out;
  }

private:
  std::vector<float> noise(float spread) {
    std::vector<float> out(dimension);
    for (auto& x : out)
      x = spread * (static_cast<float>(random_() >> 40) * 0x1p-23f - 1.0f);
    return out;
  }
  std::mt19937_64 random_{1};
  std::vector<std::vector<float>> centres_{topics};
};

} // namespace

void report_lookup(std::size_t entries, std::ostream& out) {
  vector_source vectors;
  actors::similarity_tier tier;
  const hash128 partition, embedder;
  std::vector<std::vector<float>> some;
  for (std::size_t i = 1; i <= entries; ++i) {
    const auto vector = vectors.draw();
    if (i % (std::max<std::size_t>(entries / lookups, 1)) == 0)
      some.push_back(vector);
    tier.add(partition, embedder, i, *store::quantize(vector));
  }
  const auto began_building = std::chrono::steady_clock::now();
  do { // as the daemon does, four times a second
    tier.settle();
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
  } while (tier.is_building());
  const auto built = seconds_since(began_building);
  // Eight prompts that guards have to compare, as they come from the store.
  const std::vector<std::string> prompts{
      "How do I cancel a job that is running?",      "How can I cancel jobs of another principal?",
      "What happens to a job after 5 minutes?",      "What happens to a job after 6 minutes?",
      "Which profile should I use for low latency?", "How do I reload the configuration?",
      "Where does bitnetd keep its answers?",        "Why is the cache in shadow mode?"};
  actors::hit_rule rule(0.02);
  std::vector<double> took;
  std::size_t found_again = 0;
  for (std::size_t i = 0; i < some.size(); ++i) {
    const auto query = vectors.around(some[i], 0.02f);
    const auto began = cpu_us();
    const auto near = tier.nearest(partition, embedder, query, 8);
    const auto asked = actors::wording_of("How do I cancel a running job?");
    for (std::size_t k = 0; k < near.size(); ++k) {
      const auto theirs = actors::wording_of(prompts[k]);
      if (actors::find_veto(asked, theirs, true))
        continue;
      const auto words = actors::difference_of(asked, theirs);
      (void)rule.decide(near[k].entry,
                        actors::hit_features_of(static_cast<double>(near[k].cosine), words.replaced,
                                                words.added, words.moved));
    }
    took.push_back(cpu_us() - began);
    found_again += !near.empty() && near.front().cosine > 0.99f;
  }
  out << "semantic lookup, " << entries << " entries of " << dimension << ": " << std::fixed
      << std::setprecision(0) << quantile(took, 0.5) << " us median, " << quantile(took, 0.99)
      << " us 99th percentile (thread CPU); near duplicates found " << std::setprecision(4)
      << static_cast<double>(found_again) / static_cast<double>(some.size()) << "; "
      << std::setprecision(0) << static_cast<double>(tier.bytes()) / static_cast<double>(entries)
      << " bytes per entry; " << tier.segments() << " segments, built in " << std::setprecision(0)
      << built << " s behind the searches\n";
}

void report_restart(std::size_t entries, std::ostream& out) {
  const tests::scratch_folder folder;
  vector_source vectors;
  const auto canonical = [](std::size_t i) { return "question number " + std::to_string(i); };
  const hash128 partition = hash_bytes("p");
  {
    store::answers_db answers(folder.path());
    std::vector<store::cache_entry> group;
    for (std::size_t i = 1; i <= entries; ++i) {
      store::cache_entry one;
      one.id = *answers.next_id();
      one.partition = partition;
      one.canonical = one.prompt = canonical(i);
      one.key = hash_bytes(one.canonical);
      one.answer.text = std::string(600, 'x');
      one.answer.finish_reason = "stop";
      one.created_us = start_us;
      one.expires_us = start_us + day_us;
      one.vector = *store::quantize(vectors.draw());
      group.push_back(std::move(one));
      if (group.size() == 256 || i == entries) {
        (void)answers.put(group);
        group.clear();
      }
    }
  }
  const auto began = std::chrono::steady_clock::now();
  store::answers_db answers(folder.path());
  const bool hit = answers.get_exact(partition, hash_bytes(canonical(7)), canonical(7)).why().ok();
  const auto exact = seconds_since(began);
  actors::similarity_tier tier;
  const auto loaded = tier.load(answers);
  out << "restart, " << entries << " entries: first exact hit " << std::fixed
      << std::setprecision(2) << exact << " s" << (hit ? "" : " (NOT FOUND)") << ", " << loaded
      << " vectors in memory after " << seconds_since(began) << " s\n";
  std::vector<double> took;
  std::mt19937_64 random{2};
  for (std::size_t i = 0; i < 20'000; ++i) {
    const auto text = canonical(1 + random() % entries);
    const auto start = cpu_us();
    (void)answers.get_exact(partition, hash_bytes(text), text);
    took.push_back(cpu_us() - start);
  }
  out << "exact lookup in the store, " << entries << " entries: " << std::setprecision(1)
      << quantile(took, 0.5) << " us median, " << quantile(took, 0.99)
      << " us 99th percentile (thread CPU)\n";
}

} // namespace bitnetd::bench
