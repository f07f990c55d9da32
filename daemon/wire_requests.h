// SPDX-License-Identifier: MIT
#pragma once

#include "daemon/wire_submit.h"
#include "daemon/wire_tokens.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

// Every request but `submit`, and the one function that reads them all. Job ids are in text form
// and checked for their form only.

namespace bitnetd::wire {

struct hello {
  std::string client;
  bool wants_events = false;
  bool operator==(const hello&) const = default;
};

struct ping {
  std::string t; ///< JSON of the value to give back; empty: none
  bool operator==(const ping&) const = default;
};

struct credit {
  std::string job;
  std::uint32_t n = 0;
  bool operator==(const credit&) const = default;
};

struct attach {
  std::string job;
  std::uint64_t offset = 0; ///< bytes of the text, or items of a batch, that the client has
  std::uint32_t credit = default_credit;
  bool progress = false; ///< tell how far the job is, from time to time
  bool in_order = false; ///< items of a batch in the order of the input, else of their ends
  bool operator==(const attach&) const = default;
};

struct detach {
  std::string job;
  bool operator==(const detach&) const = default;
};

struct status_query {
  std::vector<std::string> jobs;
  bool operator==(const status_query&) const = default;
};

struct result_query {
  std::string job;
  std::uint32_t wait_ms = 0;
  bool operator==(const result_query&) const = default;
};

struct list_query {
  std::vector<std::string> states; ///< words of docs/protocol.md; empty: all
  std::string batch, cursor;
  std::uint32_t limit = 100;
  bool operator==(const list_query&) const = default;
};

struct cancel {
  std::string job, reason;
  bool operator==(const cancel&) const = default;
};

struct ack {
  std::string job;
  bool operator==(const ack&) const = default;
};

/// dead.list
struct dead_query {
  std::string cursor; ///< a job id; empty: from the latest
  std::uint32_t limit = 100;
  bool operator==(const dead_query&) const = default;
};

/// dead.retry, dead.purge, job.requeue: an operator's order about one job, or (dead.purge) all.
struct dead_order {
  std::string job;
  bool operator==(const dead_order&) const = default;
};

/// models, stats, metrics, undrain: the type says it all.
struct plain {
  bool operator==(const plain&) const = default;
};

struct reload {
  bool dry_run = false;
  bool operator==(const reload&) const = default;
};

struct profile {
  std::string name; ///< empty: only tell
  bool operator==(const profile&) const = default;
};

/// An order about cached answers: of an administrator, or (report) of whoever got one.
struct cache_order {
  std::string op; ///< get, del, flush, pin, unpin, report
  std::uint64_t entry = 0;
  bool wrong = true;
  std::string principal, name_space, model, tag;
  bool operator==(const cache_order&) const = default;
};

struct drain {
  std::optional<std::uint32_t> timeout_s;
  bool operator==(const drain&) const = default;
};

using request = std::variant<hello, ping, submit, credit, attach, detach, status_query,
                             result_query, list_query, cancel, ack, tokenize, detokenize,
                             dead_query, dead_order, plain, reload, profile, drain, cache_order>;

/// Reads the body of a request of this type: JSON, then fields. An unknown type is E_FRAME. Role
/// and size are the caller's to check first.
[[nodiscard]] std::variant<request, refusal>
decode_request(std::string_view type, std::string_view body, const submit_bounds& bounds);

/// The words of job states, in the order of their life.
[[nodiscard]] std::span<const std::string_view> job_state_names() noexcept;

} // namespace bitnetd::wire
