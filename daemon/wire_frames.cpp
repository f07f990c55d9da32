// SPDX-License-Identifier: MIT
#include "daemon/wire_frames.h"

#include <algorithm>
#include <utility>

namespace bitnetd::wire {

namespace {

constexpr std::size_t n_frames = 4; // version, type, id, body

// An id that may be echoed. The client chose the bytes; any are allowed, but not none or too many.
bool is_id(std::string_view id) noexcept { return !id.empty() && id.size() <= max_id_bytes; }

// Foreign bytes in a message for people: a few of them, and only when they can be read.
std::string shown(std::string_view bytes) {
  constexpr std::size_t enough = 32;
  const auto printable = [](char c) { return c >= 0x20 && c < 0x7f; };
  if (bytes.size() > enough || !std::ranges::all_of(bytes, printable))
    return std::to_string(bytes.size()) + " bytes";
  return '"' + std::string(bytes) + '"';
}

} // namespace

bool is_type(std::string_view text) noexcept {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || c == '.'; };
  return !text.empty() && text.size() <= max_type_bytes && std::ranges::all_of(text, allowed);
}

std::variant<envelope, bad_envelope> read_envelope(std::span<const std::string_view> frames) {
  const bool delimiter = !frames.empty() && frames.front().empty();
  if (delimiter)
    frames = frames.subspan(1);

  const bool has_id = frames.size() > 2 && !frames[0].empty() && is_id(frames[2]);
  const std::string_view id = has_id ? frames[2] : "";
  const auto bad = [&](const error_kind& kind, std::string message) {
    return bad_envelope{delimiter, std::string(id), {kind, std::move(message), {}}};
  };
  if (frames.empty())
    return bad(errors::frame, "expected 4 frames (BN1, type, id, body), got none");
  if (frames[0].empty())
    return bad(errors::frame, "two empty frames in front; at most one may be there");
  if (frames[0] != version_frame)
    return bad(errors::version, "the first frame is " + shown(frames[0]) +
                                    "; this daemon speaks BN1 and nothing else");
  if (frames.size() != n_frames)
    return bad(errors::frame, "expected 4 frames (BN1, type, id, body), got " +
                                  (frames.size() > n_frames ? std::string("more")
                                                            : std::to_string(frames.size())));
  if (!is_type(frames[1]))
    return bad(errors::frame,
               "type is " + shown(frames[1]) + ", expected 1 to 24 characters of a-z and the dot");
  if (!is_id(frames[2]))
    return bad(errors::frame,
               "id has " + std::to_string(frames[2].size()) + " bytes, expected 1 to 64");
  return envelope{delimiter, frames[1], frames[2], frames[3]};
}

} // namespace bitnetd::wire
