// SPDX-License-Identifier: MIT
#include "daemon/wire_frames.h"
#include "daemon/wire_json_short.h"
#include "daemon/wire_messages.h"
#include "daemon/wire_requests.h"
#include "tests/fuzz/must.h"

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

// What a client may send, up to the message structs: frames, type, JSON, fields. The input is a row
// of frames, each behind its length in two bytes. Every refusal must have a name and words.

namespace {

using namespace bitnetd;
using fuzz::must;

std::vector<std::string_view> frames_of(const std::uint8_t* data, std::size_t size) {
  std::vector<std::string_view> out;
  while (size >= 2 && out.size() < wire::max_frames) {
    const std::size_t wanted = data[0] | (data[1] << 8);
    const auto length = std::min(wanted, size - 2);
    out.emplace_back(reinterpret_cast<const char*>(data) + 2, length);
    data += 2 + length;
    size -= 2 + length;
  }
  return out;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto frames = frames_of(data, size);
  const auto read = wire::read_envelope(frames);
  if (const auto* bad = std::get_if<wire::bad_envelope>(&read)) {
    must(!bad->why.message.empty() && bad->id.size() <= wire::max_id_bytes);
    return 0;
  }
  const auto& envelope = std::get<wire::envelope>(read);
  must(wire::is_type(envelope.type));
  if (wire::find_request_kind(envelope.type) == nullptr)
    return 0;
  // Whatever the quick parser takes, the careful one reads as the same.
  if (const auto quick = wire::parse_short(envelope.body, {})) {
    const auto careful = wire::parse_carefully(envelope.body);
    must(std::holds_alternative<nlohmann::json>(careful) &&
         std::get<nlohmann::json>(careful) == *quick);
  }
  const auto decoded = wire::decode_request(envelope.type, envelope.body, {4096, 50000});
  if (const auto* why = std::get_if<wire::refusal>(&decoded))
    must(!why->message.empty() && why->kind.code >= 100 && why->message.size() < 4096);
  return 0;
}
