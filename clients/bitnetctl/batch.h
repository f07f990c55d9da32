// SPDX-License-Identifier: MIT
#pragma once

#include "clients/bitnetctl/request_options.h"
#include "clients/bitnetctl/session.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::ctl {

/// How a line of the input becomes an item.
struct line_reading {
  bool chat = false;  ///< a text is a user's turn of a chat
  bool embed = false; ///< a text is to be embedded
  bool plain = false; ///< a line is a text as it stands, no JSON
};

/// `batch run IN -o OUT`: one job per line of a file.
struct batch_options {
  std::string input, output;
  line_reading lines;
  bool fresh = false; ///< run anew what was run before
  bool quiet = false;
  std::chrono::seconds silence{3600}; ///< longest wait without progress
  request_options request;

  void add_to(CLI::App& command);
};

/// Submits the lines as durable batch jobs, shows progress, and writes one JSON object per line in
/// the order of the input, each as soon as it is there. A run that was broken off and is repeated
/// takes up the same jobs: nothing is computed twice. A daemon that ends and comes back meanwhile
/// is waited for.
[[nodiscard]] int run_batch(const session& with, const batch_options& options);

/// The items of a text, line by line: an object with prompt, messages or input (and custom_id), a
/// JSON string, or a plain text. Lines of nothing but space are passed over. Throws bad_input
/// naming the line.
[[nodiscard]] std::vector<json> read_items(std::string_view text, const line_reading& how);

/// Cuts items into batches of at most so many items and bytes: [first, last) of each.
[[nodiscard]] std::vector<std::pair<std::size_t, std::size_t>>
cut_batches(const std::vector<json>& items, std::size_t most_items, std::size_t most_bytes);

} // namespace bitnetd::ctl
