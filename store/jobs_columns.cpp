// SPDX-License-Identifier: MIT
#include "store/jobs_columns.h"

#include "store/keys.h"

#include <limits>

namespace bitnetd::store::jobs {
namespace {

constexpr auto no_deadline = std::numeric_limits<std::int64_t>::max(); // sorts last

} // namespace

std::string loss_key(std::int64_t found_us) {
  return key_writer().rest(loss_prefix).time(found_us).take();
}

std::string job_key(const job_id& job) { return key_writer().id(job).take(); }

std::string output_key(const job_id& job, std::uint64_t token, std::uint64_t offset) {
  return key_writer().id(job).number(token).number(offset).take();
}

std::string idempotency_key(std::string_view principal, std::string_view key) {
  return key_writer().text(principal).rest(key).take();
}

std::string owner_prefix(std::string_view principal) { return key_writer().text(principal).take(); }

std::string owner_key(std::string_view principal, const job_id& job) {
  return key_writer().text(principal).id(job).take();
}

std::string child_key(const job_id& parent, std::uint32_t index) {
  return key_writer().id(parent).number(index).take();
}

std::string open_key(const open_job& job) {
  return key_writer()
      .byte(static_cast<std::uint8_t>(job.cls))
      .time(job.deadline_us == 0 ? no_deadline : job.deadline_us)
      .text(job.principal)
      .id(job.id)
      .take();
}

std::string open_value(const open_job& job) { return key_writer().time(job.not_before_us).take(); }

result<open_job> read_open(std::string_view key, std::string_view value) {
  open_job job;
  key_reader parts(key);
  const auto cls = parts.byte();
  job.cls = static_cast<job_class>(cls);
  const auto deadline = parts.time();
  job.deadline_us = deadline == no_deadline ? 0 : deadline;
  job.principal = parts.text();
  job.id = parts.id();
  key_reader rest(value);
  job.not_before_us = rest.time();
  if (!parts.done() || !rest.done() || cls >= n_job_classes)
    return status(errc::corrupt, "a row of the order index does not decode");
  return job;
}

std::string ended_key(std::int64_t ended_us, const job_id& job) {
  return key_writer().time(ended_us).id(job).take();
}

std::string expiry_key(std::int64_t until_us, expiring what, std::string_view row) {
  return key_writer().time(until_us).byte(static_cast<std::uint8_t>(what)).rest(row).take();
}

} // namespace bitnetd::store::jobs
