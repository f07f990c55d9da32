// SPDX-License-Identifier: MIT
#pragma once

#include "store/jobs_db.h"
#include "tests/support/scratch_folder.h"

#include <catch2/catch.hpp>

#include <cstdint>
#include <filesystem>
#include <string>

namespace bitnetd::tests {

/// 2026-01-01 00:00 UTC in microseconds: when the tests' jobs are created.
inline constexpr std::int64_t new_year_us = 1'767'225'600'000'000;
inline constexpr std::int64_t second_us = 1'000'000;
inline constexpr std::int64_t hour_us = 3600 * second_us;

/// Ids in rising order, one millisecond apart: job_number(1) < job_number(2).
inline store::job_id job_number(std::uint32_t n) {
  store::job_id id;
  const auto ms = static_cast<std::uint64_t>(new_year_us / 1000) + n;
  for (std::size_t i = 0; i < 6; ++i)
    id.bytes[i] = static_cast<std::uint8_t>(ms >> (40 - 8 * i));
  id.bytes[6] = 0x70;
  id.bytes[8] = 0x80;
  return id;
}

/// A job that was created n milliseconds after the new year.
inline store::job_record some_job(std::uint32_t n, std::string principal = "ann") {
  store::job_record job;
  job.id = job_number(n);
  job.principal = std::move(principal);
  job.created_us = new_year_us + n * std::int64_t{1000};
  job.model = "tiny";
  job.request = R"({"prompt":"question )" + std::to_string(n) + "\"}";
  return job;
}

/// Fails the test with the status' text, or gives the value.
inline void must(const store::status& done) {
  INFO(done.text());
  REQUIRE(done.ok());
}
template <class T> T must(store::result<T> outcome) {
  INFO(outcome.why().text());
  REQUIRE(outcome.ok());
  return std::move(*outcome);
}

/// The log that the next open would replay: the newest one.
inline std::filesystem::path write_ahead_log(const std::filesystem::path& database) {
  std::filesystem::path newest;
  for (const auto& file : std::filesystem::directory_iterator(database))
    if (file.path().extension() == ".log" && file.path().filename() > newest.filename())
      newest = file.path();
  return newest;
}

} // namespace bitnetd::tests
