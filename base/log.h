// SPDX-License-Identifier: MIT
#pragma once

#include <spdlog/spdlog.h>

#include <string_view>

namespace bitnetd::log {

/// The log of the whole process: spdlog's default logger. Callers write `log::info("... {}", x)`.
/// Prompt and answer text never goes in.
using spdlog::critical;
using spdlog::debug;
using spdlog::error;
using spdlog::info;
using spdlog::trace;
using spdlog::warn;

/// Sends the log to standard error: one line per message with time, level and text. Under systemd
/// (JOURNAL_STREAM names standard error) the time is left out and the level becomes the
/// `<N>` prefix of sd-daemon(3), so that the journal knows the priority.
void to_standard_error();

/// Sets the lowest level that is written: trace, debug, info, warn, error, critical, off.
/// Returns false, and changes nothing, for another word.
bool set_level(std::string_view level);

} // namespace bitnetd::log
