// SPDX-License-Identifier: MIT
#include "store/cache_records.h"

#include "store/byte_io.h"
#include "store/envelope.h"

#include <cmath>
#include <cstring>

namespace bitnetd::store {
namespace {

status not_decodable(std::string_view what) {
  return {errc::corrupt, std::string(what) + " does not decode although its checksum is right"};
}

} // namespace

std::string encode_meta(std::string_view key, const cache_meta& meta) {
  const auto& head = meta.head;
  std::string payload;
  byte_writer writer(payload);
  writer.raw(head.key.bytes).raw(head.embedder.bytes);
  writer.time(head.created_us).time(head.expires_us).time(head.last_used_us);
  writer.number(head.bytes).number(head.hits).number(head.cost_ms);
  writer.raw(head.owner.bytes);
  writer.number(static_cast<std::uint8_t>(meta.tags.size()));
  for (const auto& tag : meta.tags)
    writer.number(static_cast<std::uint8_t>(tag.size()))
        .raw({reinterpret_cast<const std::uint8_t*>(tag.data()), tag.size()});
  return seal(cache_schema, key, payload);
}

result<cache_meta> decode_meta(std::string_view key, std::string_view stored) {
  const auto opened = unseal(cache_schema, key, stored);
  if (!opened)
    return opened.why();
  byte_reader reader(opened->payload);
  cache_meta meta;
  auto& head = meta.head;
  reader.raw(head.key.bytes);
  reader.raw(head.embedder.bytes);
  head.created_us = reader.time();
  head.expires_us = reader.time();
  head.last_used_us = reader.time();
  head.bytes = reader.number<std::uint64_t>();
  head.hits = reader.number<std::uint32_t>();
  head.cost_ms = reader.number<std::uint32_t>();
  reader.raw(head.owner.bytes);
  const auto n_tags = reader.number<std::uint8_t>();
  for (std::uint8_t i = 0; i < n_tags; ++i)
    meta.tags.emplace_back(reader.take(reader.number<std::uint8_t>()));
  if (!reader.done())
    return not_decodable("a cache entry");
  return meta;
}

std::string encode_exact(std::string_view key, std::uint64_t id, std::string_view canonical) {
  std::string payload;
  byte_writer(payload).number(id);
  payload.append(canonical);
  return seal(cache_schema, key, payload);
}

result<exact_row> decode_exact(std::string_view key, std::string_view stored) {
  const auto opened = unseal(cache_schema, key, stored);
  if (!opened)
    return opened.why();
  byte_reader reader(opened->payload);
  exact_row row;
  row.id = reader.number<std::uint64_t>();
  if (!reader.ok())
    return not_decodable("an exact row");
  row.canonical = reader.rest();
  return row;
}

std::string encode_answer(std::string_view key, const cached_answer& answer) {
  std::string payload;
  byte_writer writer(payload);
  writer.text(answer.finish_reason).text(answer.model);
  writer.number(answer.prompt_tokens).number(answer.completion_tokens);
  writer.number(static_cast<std::uint32_t>(answer.tokens.size()));
  for (const auto token : answer.tokens)
    writer.number(token);
  writer.text(answer.text);
  return seal(cache_schema, key, payload);
}

result<cached_answer> decode_answer(std::string_view key, std::string_view stored) {
  const auto opened = unseal(cache_schema, key, stored);
  if (!opened)
    return opened.why();
  byte_reader reader(opened->payload);
  cached_answer answer;
  answer.finish_reason = reader.text();
  answer.model = reader.text();
  answer.prompt_tokens = reader.number<std::uint32_t>();
  answer.completion_tokens = reader.number<std::uint32_t>();
  const std::size_t n_tokens = reader.number<std::uint32_t>();
  if (n_tokens > reader.rest().size() / 4)
    return not_decodable("an answer");
  answer.tokens.resize(n_tokens);
  for (auto& token : answer.tokens)
    token = reader.number<std::uint32_t>();
  answer.text = reader.text();
  if (!reader.done())
    return not_decodable("an answer");
  return answer;
}

std::string encode_vector(std::string_view key, const quantized_vector& vector) {
  std::string payload;
  byte_writer(payload)
      .real(vector.scale)
      .raw({reinterpret_cast<const std::uint8_t*>(vector.values.data()), vector.values.size()});
  return seal(cache_schema, key, payload);
}

result<quantized_vector> decode_vector(std::string_view key, std::string_view stored) {
  const auto opened = unseal(cache_schema, key, stored);
  if (!opened)
    return opened.why();
  byte_reader reader(opened->payload);
  quantized_vector vector;
  vector.scale = reader.real();
  const auto values = reader.rest();
  if (!reader.ok() || values.empty() || values.size() > max_dimension ||
      !std::isfinite(vector.scale))
    return not_decodable("a vector");
  vector.values.resize(values.size());
  std::memcpy(vector.values.data(), values.data(), values.size());
  return vector;
}

std::string encode_prompt(std::string_view key, std::string_view prompt) {
  return seal(cache_schema, key, prompt);
}

result<std::string> decode_prompt(std::string_view key, std::string_view stored) {
  const auto opened = unseal(cache_schema, key, stored);
  if (!opened)
    return opened.why();
  return std::string(opened->payload);
}

} // namespace bitnetd::store
