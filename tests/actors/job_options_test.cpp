// SPDX-License-Identifier: MIT
#include "actors/job_options.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <random>

using namespace bitnetd::actors;

namespace {

float any_float(std::mt19937_64& random) {
  while (true) {
    const auto out = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (std::isfinite(out))
      return out;
  }
}

} // namespace

TEST_CASE("what a job draws with is the same to the bit after the journal", "[actors][ledger]") {
  std::mt19937_64 random{11};
  for (int i = 0; i < 2000; ++i) {
    job_options made;
    made.model_hash = i % 7 == 0 ? "" : "00ff" + std::to_string(random());
    made.sampling.seed = random();
    made.sampling.temperature = any_float(random);
    made.sampling.top_k = static_cast<std::uint32_t>(random());
    made.sampling.top_p = any_float(random);
    made.sampling.min_p = any_float(random);
    made.sampling.repetition_penalty = any_float(random);
    made.max_new_tokens = static_cast<std::uint32_t>(random());
    made.retries = static_cast<std::uint32_t>(random());
    made.read = random() % 2 == 0;
    made.base = static_cast<std::uint32_t>(random());
    const auto text = to_text(made);
    INFO(text);
    CHECK(nlohmann::json::accept(text));
    const auto read = read_options(text);
    REQUIRE(read);
    CHECK(read->model_hash == made.model_hash);
    CHECK(read->sampling.seed == made.sampling.seed);
    CHECK(read->sampling.temperature == made.sampling.temperature);
    CHECK(read->sampling.top_k == made.sampling.top_k);
    CHECK(read->sampling.top_p == made.sampling.top_p);
    CHECK(read->sampling.min_p == made.sampling.min_p);
    CHECK(read->sampling.repetition_penalty == made.sampling.repetition_penalty);
    CHECK(read->max_new_tokens == made.max_new_tokens);
    CHECK(read->retries == made.retries);
    CHECK(read->read == made.read);
    CHECK(read->base == made.base);
  }
  CHECK(to_text({}).empty());
}
