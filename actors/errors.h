// SPDX-License-Identifier: MIT
#pragma once

#include "actors/messages.h"

#include <string>

// The failures that the pipeline itself gives a client. Codes and names are those of
// docs/protocol.md; what is wrong with a frame or a field is said by the front.

namespace bitnetd::actors {

[[nodiscard]] inline failure bad_field(std::string field, std::string message) {
  return {103, "E_FIELD", std::move(message), std::move(field), {}, {}};
}
[[nodiscard]] inline failure busy(std::string message, std::int64_t retry_after_ms) {
  return {120, "E_BUSY", std::move(message), {}, {}, retry_after_ms};
}
[[nodiscard]] inline failure draining() {
  return {121, "E_DRAINING", "the daemon is draining and takes no new jobs", {}, {}, 5000};
}
[[nodiscard]] inline failure disk(std::string message) {
  return {123, "E_DISK", std::move(message), {}, {}, 10000};
}
[[nodiscard]] inline failure no_job() {
  return {130, "E_NO_JOB", "no such job, or its retention has passed", "job", {}, {}};
}
[[nodiscard]] inline failure key_conflict() {
  return {131, "E_KEY_CONFLICT", "this key was used with another body", "key", {}, {}};
}
[[nodiscard]] inline failure deadline_passed(std::string message) {
  return {132, "E_DEADLINE", std::move(message), {}, {}, {}};
}
[[nodiscard]] inline failure cancelled() {
  return {133, "E_CANCELLED", "the job was cancelled", {}, {}, {}};
}
[[nodiscard]] inline failure not_cached() {
  return {134, "E_NOT_CACHED", "only-if-cached was asked and no valid entry is there", {}, {}, {}};
}
[[nodiscard]] inline failure no_model(std::string message) {
  return {140, "E_MODEL", std::move(message), "model", {}, {}};
}
[[nodiscard]] inline failure numeric() {
  return {141, "E_NUMERIC", "the model produced NaN or infinity for this job", {}, {}, {}};
}
[[nodiscard]] inline failure context_exceeded(std::string message, std::int64_t limit) {
  return {142, "E_CTX", std::move(message), {}, limit, {}};
}
[[nodiscard]] inline failure internal(std::string message) {
  return {150, "E_INTERNAL", std::move(message), {}, {}, {}};
}

} // namespace bitnetd::actors
