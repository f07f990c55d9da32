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

std::string open_class_key(job_class cls) {
  return key_writer().byte(static_cast<std::uint8_t>(cls)).take();
}

std::string open_after_key(job_class cls, std::int64_t deadline_us) {
  return key_writer().byte(static_cast<std::uint8_t>(cls)).time(deadline_us + 1).take();
}

std::string ended_key(std::int64_t ended_us, const job_id& job) {
  return key_writer().time(ended_us).id(job).take();
}

std::string expiry_key(std::int64_t until_us, expiring what, std::string_view row) {
  return key_writer().time(until_us).byte(static_cast<std::uint8_t>(what)).rest(row).take();
}

std::string waking_key(std::int64_t not_before_us, const job_id& job) {
  return key_writer().time(not_before_us).id(job).take();
}

std::string completed_key(const job_id& parent, std::uint32_t number) {
  return key_writer().id(parent).number(number).take();
}

std::string completed_value(const job_id& child, std::uint32_t index, job_state state) {
  return key_writer().id(child).number(index).byte(static_cast<std::uint8_t>(state)).take();
}

result<completed_item> read_completed(std::string_view key, std::string_view value) {
  completed_item out;
  key_reader place(key);
  (void)place.id();
  out.number = place.number32();
  key_reader what(value);
  out.child = what.id();
  out.index = what.number32();
  const auto state = what.byte();
  out.state = static_cast<job_state>(state);
  if (!place.done() || !what.done() || state >= n_job_states)
    return status(errc::corrupt, "a row of the order of completion does not decode");
  return out;
}

std::string dead_key(std::int64_t ended_us, const job_id& job) {
  return key_writer().time(ended_us).id(job).take();
}

} // namespace bitnetd::store::jobs
