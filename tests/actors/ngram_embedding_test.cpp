// SPDX-License-Identifier: MIT
#include "actors/ngram_embedding.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <string>

using namespace bitnetd::actors;

namespace {

double cosine(const std::string& a, const std::string& b) {
  const auto x = ngram_embedding(a), y = ngram_embedding(b);
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    sum += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  return sum;
}

} // namespace

TEST_CASE("a text has a vector of unit length, one without letters has none", "[actors][cache]") {
  const auto vector = ngram_embedding("What is a ternary weight?");
  REQUIRE(vector.size() == ngram_dimension);
  double sum = 0;
  for (const float x : vector)
    sum += static_cast<double>(x) * static_cast<double>(x);
  CHECK(sum == Approx(1).margin(1e-5));
  CHECK(ngram_embedding("").empty());
  CHECK(ngram_embedding("?! ...").empty());
}

TEST_CASE("shared wording is near, other wording far", "[actors][cache]") {
  CHECK(cosine("What is a job?", "what is a JOB") == Approx(1).margin(1e-5));
  const auto near = cosine("How do I cancel a job?", "How can I cancel a job?");
  const auto slip =
      cosine("How do I reload the configuration?", "How do I reload the confguration?");
  const auto far = cosine("How do I cancel a job?", "Which city is the capital of France?");
  CHECK(near > 0.7);
  CHECK(slip > 0.75);
  CHECK(far < 0.3);
}

TEST_CASE("vectors of this version never change silently", "[actors][cache]") {
  // They are stored: an entry must be found by the next version of the program, or not looked for.
  const auto vector = ngram_embedding("What is a job?");
  double sum = 0;
  for (std::size_t i = 0; i < vector.size(); ++i)
    sum += static_cast<double>(i + 1) * static_cast<double>(vector[i]);
  INFO("raise the version in ngram_embedder() when this changes on purpose");
  CHECK(sum == Approx(4.921060).margin(1e-3));
}
