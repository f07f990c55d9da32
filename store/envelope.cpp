// SPDX-License-Identifier: MIT
#include "store/envelope.h"

#include "store/byte_io.h"
#include "store/crc32c.h"

namespace bitnetd::store {

std::string seal(std::uint8_t schema, std::string_view key, std::string_view payload) {
  std::string out;
  out.reserve(payload.size() + envelope_bytes);
  byte_writer writer(out);
  writer.number(schema);
  out.append(payload);
  writer.number(crc32c(out, crc32c(key)));
  return out;
}

result<opened_record> unseal(std::uint8_t newest, std::string_view key, std::string_view stored) {
  if (stored.size() < envelope_bytes)
    return status(errc::corrupt, "a record of " + std::to_string(stored.size()) +
                                     " bytes is shorter than an empty one");
  const auto body = stored.substr(0, stored.size() - 4);
  if (byte_reader(stored.substr(body.size())).number<std::uint32_t>() != crc32c(body, crc32c(key)))
    return status(errc::corrupt, "the checksum of a record is wrong");
  const auto schema = static_cast<std::uint8_t>(body.front());
  if (schema > newest)
    return status(errc::newer_schema, "a record has schema " + std::to_string(schema) +
                                          ", this program knows up to " + std::to_string(newest));
  return opened_record{schema, body.substr(1)};
}

} // namespace bitnetd::store
