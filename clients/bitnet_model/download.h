// SPDX-License-Identifier: MIT
#pragma once

#include "clients/bitnet_model/hub.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace bitnetd::model_tool {

struct download_options {
  unsigned attempts = 6;                ///< transfers of one file that may break off
  std::chrono::milliseconds wait{1000}; ///< before the second; doubled each time
  std::function<void(std::uint64_t done)> progress = [](std::uint64_t) {};
};

enum class download_outcome { fetched, was_there };

/// Downloads one file to `target`, through `target`.part: what a broken transfer left there is gone
/// on with, size and checksum are compared, and only then does the file appear under its name, all
/// at once. A file that is there already with the right content is left alone.
/// Throws std::runtime_error with what to do; what has come stays in the .part, unless it is wrong.
download_outcome download_file(http_client& http, const std::string& url, const hub_file& file,
                               const std::filesystem::path& target,
                               const download_options& options);

} // namespace bitnetd::model_tool
